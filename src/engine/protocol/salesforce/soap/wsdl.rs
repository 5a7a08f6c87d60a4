//! The partner WSDL that privet serves: the calls that are open, typed as the partner API types them, and privet's own
//! address. It is privet's own writing and holds nothing of the organisation.

use std::fmt::Write as _;

use quick_xml::escape::escape;

use super::super::describe;

/// Names and their types.
type Members = &'static [(&'static str, &'static str)];

/// Calls: name, arguments, and the type of its result; `[]` behind a type: any number of them.
const CALLS: [(&str, Members, &str); 18] = [
    (
        "login",
        &[("username", "xsd:string"), ("password", "xsd:string")],
        "tns:LoginResult",
    ),
    ("getUserInfo", &[], "tns:GetUserInfoResult"),
    ("getServerTimestamp", &[], "tns:GetServerTimestampResult"),
    ("query", &[("queryString", "xsd:string")], "tns:QueryResult"),
    (
        "queryAll",
        &[("queryString", "xsd:string")],
        "tns:QueryResult",
    ),
    (
        "queryMore",
        &[("queryLocator", "xsd:string")],
        "tns:QueryResult",
    ),
    (
        "retrieve",
        &[
            ("fieldList", "xsd:string"),
            ("sObjectType", "xsd:string"),
            ("ids", "xsd:string[]"),
        ],
        "ens:sObject[]",
    ),
    (
        "search",
        &[("searchString", "xsd:string")],
        "tns:SearchResult",
    ),
    (
        "describeSObject",
        &[("sObjectType", "xsd:string")],
        "tns:DescribeSObjectResult",
    ),
    (
        "describeSObjects",
        &[("sObjectTypes", "xsd:string[]")],
        "tns:DescribeSObjectResult[]",
    ),
    ("describeGlobal", &[], "tns:DescribeGlobalResult"),
    (
        "getUpdated",
        &[
            ("sObjectType", "xsd:string"),
            ("startDate", "xsd:dateTime"),
            ("endDate", "xsd:dateTime"),
        ],
        "tns:GetUpdatedResult",
    ),
    (
        "getDeleted",
        &[
            ("sObjectType", "xsd:string"),
            ("startDate", "xsd:dateTime"),
            ("endDate", "xsd:dateTime"),
        ],
        "tns:GetDeletedResult",
    ),
    (
        "create",
        &[("sObjects", "ens:sObject[]")],
        "tns:SaveResult[]",
    ),
    (
        "update",
        &[("sObjects", "ens:sObject[]")],
        "tns:SaveResult[]",
    ),
    (
        "upsert",
        &[
            ("externalIDFieldName", "xsd:string"),
            ("sObjects", "ens:sObject[]"),
        ],
        "tns:UpsertResult[]",
    ),
    ("delete", &[("ids", "xsd:string[]")], "tns:DeleteResult[]"),
    ("logout", &[], ""),
];

/// Types whose members may all be missing.
const TYPES: [(&str, Members); 16] = [
    (
        "ScopeInfo",
        &[("label", "xsd:string"), ("name", "xsd:string")],
    ),
    (
        "LoginResult",
        &[
            ("metadataServerUrl", "xsd:string"),
            ("passwordExpired", "xsd:boolean"),
            ("sandbox", "xsd:boolean"),
            ("serverUrl", "xsd:string"),
            ("sessionId", "xsd:string"),
            ("userId", "xsd:string"),
            ("userInfo", "tns:GetUserInfoResult"),
        ],
    ),
    (
        "GetUserInfoResult",
        &[
            ("organizationId", "xsd:string"),
            ("organizationName", "xsd:string"),
            ("sessionSecondsValid", "xsd:int"),
            ("userFullName", "xsd:string"),
            ("userId", "xsd:string"),
            ("userLanguage", "xsd:string"),
            ("userLocale", "xsd:string"),
            ("userName", "xsd:string"),
            ("userTimeZone", "xsd:string"),
            ("userType", "xsd:string"),
        ],
    ),
    ("GetServerTimestampResult", &[("timestamp", "xsd:dateTime")]),
    (
        "QueryResult",
        &[
            ("done", "xsd:boolean"),
            ("queryLocator", "xsd:string"),
            ("records", "ens:sObject[]"),
            ("size", "xsd:int"),
        ],
    ),
    ("SearchResult", &[("searchRecords", "tns:SearchRecord[]")]),
    ("SearchRecord", &[("record", "ens:sObject")]),
    (
        "GetUpdatedResult",
        &[
            ("ids", "xsd:string[]"),
            ("latestDateCovered", "xsd:dateTime"),
        ],
    ),
    (
        "GetDeletedResult",
        &[
            ("deletedRecords", "tns:DeletedRecord[]"),
            ("earliestDateAvailable", "xsd:dateTime"),
            ("latestDateCovered", "xsd:dateTime"),
        ],
    ),
    (
        "DeletedRecord",
        &[("deletedDate", "xsd:dateTime"), ("id", "xsd:string")],
    ),
    (
        "SaveResult",
        &[
            ("errors", "tns:Error[]"),
            ("id", "xsd:string"),
            ("success", "xsd:boolean"),
        ],
    ),
    (
        "UpsertResult",
        &[
            ("created", "xsd:boolean"),
            ("errors", "tns:Error[]"),
            ("id", "xsd:string"),
            ("success", "xsd:boolean"),
        ],
    ),
    (
        "DeleteResult",
        &[
            ("errors", "tns:Error[]"),
            ("id", "xsd:string"),
            ("success", "xsd:boolean"),
        ],
    ),
    (
        "Error",
        &[
            ("fields", "xsd:string[]"),
            ("message", "xsd:string"),
            ("statusCode", "xsd:string"),
        ],
    ),
    (
        "DescribeGlobalResult",
        &[
            ("encoding", "xsd:string"),
            ("maxBatchSize", "xsd:int"),
            ("sobjects", "tns:DescribeGlobalSObjectResult[]"),
        ],
    ),
    (
        "PicklistEntry",
        &[
            ("active", "xsd:boolean"),
            ("defaultValue", "xsd:boolean"),
            ("label", "xsd:string"),
            ("validFor", "xsd:string"),
            ("value", "xsd:string"),
        ],
    ),
];

/// Headers: name and members.
const HEADERS: [(&str, Members); 4] = [
    ("SessionHeader", &[("sessionId", "xsd:string")]),
    ("CallOptions", &[("client", "xsd:string")]),
    ("QueryOptions", &[("batchSize", "xsd:int")]),
    ("AllOrNoneHeader", &[("allOrNone", "xsd:boolean")]),
];

fn elements<'a>(out: &mut String, members: impl Iterator<Item = (&'a str, &'a str)>) {
    for (name, kind) in members {
        let (kind, bounds) = match kind.strip_suffix("[]") {
            Some(kind) => (kind, " minOccurs=\"0\" maxOccurs=\"unbounded\""),
            None => (kind, " minOccurs=\"0\""),
        };
        let _ = write!(
            out,
            "<element name=\"{name}\" type=\"{kind}\" nillable=\"true\"{bounds}/>"
        );
    }
}

fn complex<'a>(out: &mut String, name: &str, members: impl Iterator<Item = (&'a str, &'a str)>) {
    let _ = write!(out, "<complexType name=\"{name}\"><sequence>");
    elements(out, members);
    out.push_str("</sequence></complexType>");
}

/// The WSDL of the partner API. `origin`: privet's own, without a final slash; `version`: such as `61.0`.
pub fn partner(origin: &str, version: &str) -> String {
    let (origin, version) = (escape(origin), escape(version));
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <definitions targetNamespace=\"urn:partner.soap.sforce.com\" xmlns=\"http://schemas.xmlsoap.org/wsdl/\" \
         xmlns:soap=\"http://schemas.xmlsoap.org/wsdl/soap/\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" \
         xmlns:tns=\"urn:partner.soap.sforce.com\" xmlns:ens=\"urn:sobject.partner.soap.sforce.com\">\
         <types><schema elementFormDefault=\"qualified\" xmlns=\"http://www.w3.org/2001/XMLSchema\" \
         targetNamespace=\"urn:sobject.partner.soap.sforce.com\"><complexType name=\"sObject\"><sequence>\
         <element name=\"type\" type=\"xsd:string\"/>\
         <element name=\"fieldsToNull\" type=\"xsd:string\" nillable=\"true\" minOccurs=\"0\" maxOccurs=\"unbounded\"/>\
         <element name=\"Id\" type=\"xsd:string\" nillable=\"true\" minOccurs=\"0\"/>\
         <any namespace=\"##targetNamespace\" minOccurs=\"0\" maxOccurs=\"unbounded\" processContents=\"lax\"/>\
         </sequence></complexType></schema>\
         <schema elementFormDefault=\"qualified\" xmlns=\"http://www.w3.org/2001/XMLSchema\" \
         targetNamespace=\"urn:partner.soap.sforce.com\"><import namespace=\"urn:sobject.partner.soap.sforce.com\"/>",
    );
    for (name, members) in TYPES {
        complex(&mut out, name, members.iter().copied());
    }
    for (name, members) in [
        ("DescribeSObjectResult", describe::object_members()),
        ("DescribeGlobalSObjectResult", describe::summary_members()),
        ("Field", describe::field_members()),
        ("ChildRelationship", describe::child_members()),
        ("RecordTypeInfo", describe::record_type_members()),
    ] {
        complex(&mut out, name, members.into_iter());
    }
    for (name, members) in HEADERS {
        let _ = write!(out, "<element name=\"{name}\"><complexType><sequence>");
        elements(&mut out, members.iter().copied());
        out.push_str("</sequence></complexType></element>");
    }
    for (name, arguments, result) in CALLS {
        let _ = write!(out, "<element name=\"{name}\"><complexType><sequence>");
        elements(&mut out, arguments.iter().copied());
        let _ = write!(
            out,
            "</sequence></complexType></element><element name=\"{name}Response\"><complexType><sequence>"
        );
        if !result.is_empty() {
            elements(&mut out, std::iter::once(("result", result)));
        }
        out.push_str("</sequence></complexType></element>");
    }
    out.push_str("</schema></types><message name=\"Header\">");
    for (name, _) in HEADERS {
        let _ = write!(out, "<part element=\"tns:{name}\" name=\"{name}\"/>");
    }
    out.push_str("</message>");
    for (name, ..) in CALLS {
        let _ = write!(
            out,
            "<message name=\"{name}Request\"><part element=\"tns:{name}\" name=\"parameters\"/></message>\
             <message name=\"{name}Response\"><part element=\"tns:{name}Response\" name=\"parameters\"/></message>"
        );
    }
    out.push_str("<portType name=\"Soap\">");
    for (name, ..) in CALLS {
        let _ = write!(
            out,
            "<operation name=\"{name}\"><input message=\"tns:{name}Request\"/><output message=\"tns:{name}Response\"/>\
             </operation>"
        );
    }
    out.push_str(
        "</portType><binding name=\"SoapBinding\" type=\"tns:Soap\">\
         <soap:binding style=\"document\" transport=\"http://schemas.xmlsoap.org/soap/http\"/>",
    );
    for (name, ..) in CALLS {
        let _ = write!(
            out,
            "<operation name=\"{name}\"><soap:operation soapAction=\"\"/><input>"
        );
        for (header, _) in HEADERS {
            let _ = write!(
                out,
                "<soap:header use=\"literal\" message=\"tns:Header\" part=\"{header}\"/>"
            );
        }
        out.push_str(
            "<soap:body parts=\"parameters\" use=\"literal\"/></input><output><soap:body use=\"literal\"/></output></operation>",
        );
    }
    let _ = write!(
        out,
        "</binding><service name=\"SforceService\"><port binding=\"tns:SoapBinding\" name=\"Soap\">\
         <soap:address location=\"{origin}/services/Soap/u/{version}\"/></port></service></definitions>"
    );
    out
}
