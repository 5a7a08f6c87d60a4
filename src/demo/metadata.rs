//! What the demo CRM is made of: its objects and fields, as its describe calls tell them.

use serde_json::{Map, Value, json};

/// One object.
#[derive(Debug)]
pub struct Object {
    /// API name.
    pub name: &'static str,
    /// What people call several of them.
    pub plural: &'static str,
    /// First three characters of its record ids.
    pub key_prefix: &'static str,
    /// In the order in which a row without `fields=` prints them.
    pub fields: &'static [Field],
    /// Child relationships: name, child object, the child's reference field.
    pub children: &'static [(&'static str, &'static str, &'static str)],
}

/// One field.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// API name.
    pub name: &'static str,
    /// Salesforce's type word.
    pub kind: &'static str,
    /// Characters; 0 where the type has no length.
    pub length: u32,
    /// Possible targets of a reference.
    pub reference_to: &'static [&'static str],
    /// `Account` of `AccountId`; empty = none.
    pub relationship: &'static str,
    /// The compound that it is a part of; empty = none.
    pub compound: &'static str,
    /// The object's name field.
    pub name_field: bool,
    /// The fields that its formula reads.
    pub formula: &'static [&'static str],
    /// The formula's text.
    pub formula_text: &'static str,
    /// Values of a picklist.
    pub picklist: &'static [&'static str],
}

const fn field(name: &'static str, kind: &'static str, length: u32) -> Field {
    Field {
        name,
        kind,
        length,
        reference_to: &[],
        relationship: "",
        compound: "",
        name_field: false,
        formula: &[],
        formula_text: "",
        picklist: &[],
    }
}

const fn text(name: &'static str, length: u32) -> Field {
    field(name, "string", length)
}

const fn plain(name: &'static str, kind: &'static str) -> Field {
    field(name, kind, 0)
}

const fn choice(name: &'static str, picklist: &'static [&'static str]) -> Field {
    Field {
        picklist,
        ..field(name, "picklist", 255)
    }
}

const fn reference(
    name: &'static str,
    relationship: &'static str,
    reference_to: &'static [&'static str],
) -> Field {
    Field {
        reference_to,
        relationship,
        ..field(name, "reference", 18)
    }
}

impl Field {
    const fn part_of(self, compound: &'static str) -> Self {
        Self { compound, ..self }
    }

    const fn names_the_record(self) -> Self {
        Self {
            name_field: true,
            ..self
        }
    }

    /// Whether the organisation added it (`__c`).
    pub fn is_custom(&self) -> bool {
        self.name.ends_with("__c")
    }

    /// Whether clients may set it.
    pub fn is_writable(&self) -> bool {
        self.formula.is_empty()
            && !matches!(self.kind, "id" | "address")
            && (self.name != "Name" || self.length != 121)
            && !matches!(
                self.name,
                "CreatedDate"
                    | "CreatedById"
                    | "LastModifiedDate"
                    | "LastModifiedById"
                    | "SystemModstamp"
                    | "IsDeleted"
                    | "CaseNumber"
            )
    }

    /// Its label, as describe gives it.
    pub fn label(&self) -> String {
        let name = self.name.trim_end_matches("__c");
        let mut out = String::new();
        for c in name.chars() {
            if c.is_uppercase() && out.ends_with(|p: char| p.is_lowercase()) {
                out.push(' ');
            }
            out.push(if c == '_' { ' ' } else { c });
        }
        out
    }
}

impl Object {
    /// The field called `name` (ASCII case-insensitive).
    pub fn field(&self, name: &str) -> Option<usize> {
        self.fields
            .iter()
            .position(|f| f.name.eq_ignore_ascii_case(name))
    }

    /// The reference field whose relationship is called `name`.
    pub fn relationship(&self, name: &str) -> Option<usize> {
        self.fields
            .iter()
            .position(|f| !f.relationship.is_empty() && f.relationship.eq_ignore_ascii_case(name))
    }

    /// The child relationship called `name`.
    pub fn child(&self, name: &str) -> Option<&(&'static str, &'static str, &'static str)> {
        self.children
            .iter()
            .find(|c| c.0.eq_ignore_ascii_case(name))
    }

    /// The field that names a record.
    pub fn name_field(&self) -> Option<usize> {
        self.fields.iter().position(|f| f.name_field)
    }
}

/// The object called `name` (ASCII case-insensitive): its index in [`OBJECTS`].
pub fn object(name: &str) -> Option<usize> {
    OBJECTS
        .iter()
        .position(|o| o.name.eq_ignore_ascii_case(name))
}

/// A picklist.
pub const CASE_STATUS: &[&str] = &["New", "Working", "Escalated", "Closed"];
/// A picklist.
pub const CASE_PRIORITY: &[&str] = &["High", "Medium", "Low"];
/// A picklist.
pub const CASE_ORIGIN: &[&str] = &["Phone", "Email", "Web"];
/// A picklist.
pub const INDUSTRY: &[&str] = &[
    "Banking",
    "Energy",
    "Healthcare",
    "Insurance",
    "Manufacturing",
    "Retail",
    "Technology",
    "Transportation",
];
/// A picklist.
pub const LEAD_SOURCE: &[&str] = &["Web", "Phone Inquiry", "Partner Referral", "Trade Show"];
/// A picklist.
pub const LEAD_STATUS: &[&str] = &["Open", "Contacted", "Qualified", "Unqualified"];
/// A picklist.
pub const TASK_STATUS: &[&str] = &["Not Started", "In Progress", "Completed"];

const OWNER: Field = reference("OwnerId", "Owner", &["User"]);
const CREATED_BY: Field = reference("CreatedById", "CreatedBy", &["User"]);
const CREATED: Field = plain("CreatedDate", "datetime");
const MODIFIED: Field = plain("LastModifiedDate", "datetime");
const STAMP: Field = plain("SystemModstamp", "datetime");
const DELETED: Field = plain("IsDeleted", "boolean");
const ID: Field = field("Id", "id", 18);

/// Every object, sorted by name.
pub static OBJECTS: &[Object] = &[
    Object {
        name: "Account",
        plural: "Accounts",
        key_prefix: "001",
        fields: &[
            ID,
            DELETED,
            text("Name", 255).names_the_record(),
            choice("Industry", INDUSTRY),
            field("BillingStreet", "textarea", 255).part_of("BillingAddress"),
            text("BillingCity", 40).part_of("BillingAddress"),
            text("BillingPostalCode", 20).part_of("BillingAddress"),
            text("BillingCountry", 80).part_of("BillingAddress"),
            field("BillingCountryCode", "picklist", 10).part_of("BillingAddress"),
            plain("BillingAddress", "address"),
            field("Phone", "phone", 40),
            field("Website", "url", 255),
            plain("AnnualRevenue", "currency"),
            plain("NumberOfEmployees", "int"),
            field("Description", "textarea", 32000),
            OWNER,
            CREATED,
            CREATED_BY,
            MODIFIED,
            STAMP,
        ],
        children: &[
            ("Cases", "Case", "AccountId"),
            ("Contacts", "Contact", "AccountId"),
            ("Tasks", "Task", "WhatId"),
        ],
    },
    Object {
        name: "Attachment",
        plural: "Attachments",
        key_prefix: "00P",
        fields: &[
            ID,
            DELETED,
            text("Name", 255).names_the_record(),
            reference("ParentId", "Parent", &["Account", "Case", "Contact"]),
            text("ContentType", 120),
            plain("BodyLength", "int"),
            plain("Body", "base64"),
            OWNER,
            CREATED,
            MODIFIED,
            STAMP,
        ],
        children: &[],
    },
    Object {
        name: "Case",
        plural: "Cases",
        key_prefix: "500",
        fields: &[
            ID,
            DELETED,
            text("CaseNumber", 30).names_the_record(),
            reference("ContactId", "Contact", &["Contact"]),
            reference("AccountId", "Account", &["Account"]),
            text("Subject", 255),
            field("Description", "textarea", 32000),
            choice("Status", CASE_STATUS),
            choice("Priority", CASE_PRIORITY),
            choice("Origin", CASE_ORIGIN),
            plain("IsClosed", "boolean"),
            plain("ClosedDate", "datetime"),
            OWNER,
            CREATED,
            CREATED_BY,
            MODIFIED,
            STAMP,
        ],
        children: &[("Tasks", "Task", "WhatId")],
    },
    Object {
        name: "Contact",
        plural: "Contacts",
        key_prefix: "003",
        fields: &[
            ID,
            DELETED,
            reference("AccountId", "Account", &["Account"]),
            text("LastName", 80).part_of("Name"),
            text("FirstName", 40).part_of("Name"),
            text("Name", 121).names_the_record(),
            field("MailingStreet", "textarea", 255).part_of("MailingAddress"),
            text("MailingCity", 40).part_of("MailingAddress"),
            text("MailingPostalCode", 20).part_of("MailingAddress"),
            text("MailingCountry", 80).part_of("MailingAddress"),
            field("MailingCountryCode", "picklist", 10).part_of("MailingAddress"),
            plain("MailingLatitude", "double").part_of("MailingAddress"),
            plain("MailingLongitude", "double").part_of("MailingAddress"),
            plain("MailingAddress", "address"),
            field("Phone", "phone", 40),
            field("MobilePhone", "phone", 40),
            field("Email", "email", 80),
            text("Title", 128),
            text("Department", 80),
            choice("LeadSource", LEAD_SOURCE),
            plain("Birthdate", "date"),
            field("Description", "textarea", 32000),
            OWNER,
            plain("HasOptedOutOfEmail", "boolean"),
            CREATED,
            CREATED_BY,
            MODIFIED,
            STAMP,
            Field {
                formula: &["FirstName", "Account.Name"],
                formula_text: "\"Dear \" & FirstName & \" of \" & Account.Name",
                ..text("Greeting__c", 1300)
            },
            text("Health__c", 255),
            text("Loyalty_Number__c", 20),
            plain("Salary__c", "currency"),
            text("SSN__c", 20),
        ],
        children: &[("Cases", "Case", "ContactId"), ("Tasks", "Task", "WhoId")],
    },
    Object {
        name: "Lead",
        plural: "Leads",
        key_prefix: "00Q",
        fields: &[
            ID,
            DELETED,
            text("LastName", 80).part_of("Name"),
            text("FirstName", 40).part_of("Name"),
            text("Name", 121).names_the_record(),
            text("Company", 255),
            field("Email", "email", 80),
            field("Phone", "phone", 40),
            choice("Status", LEAD_STATUS),
            plain("HasOptedOutOfEmail", "boolean"),
            OWNER,
            CREATED,
            MODIFIED,
            STAMP,
        ],
        children: &[("Tasks", "Task", "WhoId")],
    },
    Object {
        name: "Task",
        plural: "Tasks",
        key_prefix: "00T",
        fields: &[
            ID,
            DELETED,
            reference("WhoId", "Who", &["Contact", "Lead"]),
            reference("WhatId", "What", &["Account", "Case"]),
            field("Subject", "combobox", 255).names_the_record(),
            plain("ActivityDate", "date"),
            choice("Status", TASK_STATUS),
            choice("Priority", CASE_PRIORITY),
            field("Description", "textarea", 32000),
            OWNER,
            CREATED,
            MODIFIED,
            STAMP,
        ],
        children: &[],
    },
    Object {
        name: "User",
        plural: "Users",
        key_prefix: "005",
        fields: &[
            ID,
            text("Username", 80),
            text("LastName", 80).part_of("Name"),
            text("FirstName", 40).part_of("Name"),
            text("Name", 121).names_the_record(),
            field("Email", "email", 128),
            text("Title", 80),
            text("Department", 80),
            text("Alias", 8),
            plain("IsActive", "boolean"),
            reference("ManagerId", "Manager", &["User"]),
            CREATED,
            MODIFIED,
            STAMP,
        ],
        children: &[],
    },
];

/// The API version at which the schema below counts as pulled.
pub const SCHEMA_VERSION: &str = "61.0";

/// `policies/schema/salesforce.json` for this CRM, to the byte: objects and fields sorted by name, one field a
/// line.
pub fn schema_json() -> String {
    let mut out = format!(
        "{{\n  \"schema\": 1,\n  \"api\": \"salesforce\",\n  \"dialect\": \"salesforce\",\n  \"version\": \"{SCHEMA_VERSION}\",\n  \"objects\": {{\n"
    );
    for (i, object) in OBJECTS.iter().enumerate() {
        out.push_str(&format!(
            "    \"{}\": {{\n      \"keyPrefix\": \"{}\",\n      \"fields\": {{\n",
            object.name, object.key_prefix
        ));
        let mut fields: Vec<&Field> = object.fields.iter().collect();
        fields.sort_by_key(|f| f.name);
        lines(&mut out, fields.iter().map(|f| (f.name, schema_field(f))));
        out.push_str("      }");
        if !object.children.is_empty() {
            out.push_str(",\n      \"childRelationships\": {\n");
            lines(
                &mut out,
                object.children.iter().map(|(name, child, via)| {
                    (
                        *name,
                        format!("{{\"childSObject\": \"{child}\", \"field\": \"{via}\"}}"),
                    )
                }),
            );
            out.push_str("      }");
        }
        out.push_str(if i + 1 == OBJECTS.len() {
            "\n    }\n"
        } else {
            "\n    },\n"
        });
    }
    out.push_str("  }\n}\n");
    out
}

fn lines<'a>(out: &mut String, entries: impl ExactSizeIterator<Item = (&'a str, String)>) {
    let last = entries.len();
    for (i, (name, body)) in entries.enumerate() {
        let comma = if i + 1 == last { "" } else { "," };
        out.push_str(&format!("        \"{name}\": {body}{comma}\n"));
    }
}

fn schema_field(f: &Field) -> String {
    let mut out = format!("{{\"type\": \"{}\"", f.kind);
    // Ids have a length in describe that nobody writes down.
    if f.length > 0 && !matches!(f.kind, "id" | "reference") {
        out.push_str(&format!(", \"length\": {}", f.length));
    }
    if !f.reference_to.is_empty() {
        out.push_str(&format!(", \"referenceTo\": {}", list(f.reference_to)));
        out.push_str(&format!(", \"relationshipName\": \"{}\"", f.relationship));
    }
    if !f.compound.is_empty() {
        out.push_str(&format!(", \"compoundFieldName\": \"{}\"", f.compound));
    }
    if f.name_field {
        out.push_str(", \"nameField\": true");
    }
    if !f.formula.is_empty() {
        out.push_str(&format!(", \"formula\": {}", list(f.formula)));
    }
    out.push('}');
    out
}

fn list(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|w| format!("\"{w}\"")).collect();
    format!("[{}]", quoted.join(", "))
}

/// One entry of describeGlobal's `sobjects`, which is also the head of a describe.
pub fn summary(object: &Object, version: &str) -> Map<String, Value> {
    let base = format!("/services/data/v{version}/sobjects/{}", object.name);
    let Value::Object(map) = json!({
        "activateable": false,
        "associateEntityType": null,
        "associateParentEntity": null,
        "createable": true,
        "custom": false,
        "customSetting": false,
        "deepCloneable": false,
        "deletable": object.name != "User",
        "deprecatedAndHidden": false,
        "feedEnabled": true,
        "hasSubtypes": false,
        "isInterface": false,
        "isSubtype": false,
        "keyPrefix": object.key_prefix,
        "label": object.name,
        "labelPlural": object.plural,
        "layoutable": true,
        "mergeable": false,
        "mruEnabled": true,
        "name": object.name,
        "queryable": true,
        "replicateable": true,
        "retrieveable": true,
        "searchable": true,
        "triggerable": true,
        "undeletable": true,
        "updateable": true,
        "urls": {
            "rowTemplate": format!("{base}/{{ID}}"),
            "describe": format!("{base}/describe"),
            "sobject": base,
        },
    }) else {
        return Map::new();
    };
    map
}

/// A whole describe of `object`. `origin` stands in the links that Salesforce gives as absolute.
pub fn describe(object: &Object, version: &str, origin: &str) -> Value {
    let mut map = summary(object, version);
    let base = format!("/services/data/v{version}/sobjects/{}", object.name);
    map.insert("actionOverrides".into(), json!([]));
    map.insert(
        "childRelationships".into(),
        object
            .children
            .iter()
            .map(|(name, child, via)| {
                json!({
                    "cascadeDelete": false,
                    "childSObject": child,
                    "deprecatedAndHidden": false,
                    "field": via,
                    "junctionIdListNames": [],
                    "junctionReferenceTo": [],
                    "relationshipName": name,
                    "restrictedDelete": false,
                })
            })
            .collect(),
    );
    map.insert("compactLayoutable".into(), json!(true));
    map.insert(
        "fields".into(),
        object.fields.iter().map(describe_field).collect(),
    );
    map.insert("listviewable".into(), Value::Null);
    map.insert("lookupLayoutable".into(), Value::Null);
    map.insert("namedLayoutInfos".into(), json!([]));
    map.insert("networkScopeFieldName".into(), Value::Null);
    map.insert(
        "recordTypeInfos".into(),
        json!([{
            "active": true, "available": true, "defaultRecordTypeMapping": true,
            "developerName": "Master", "master": true, "name": "Master",
            "recordTypeId": "012000000000000AAA",
            "urls": {"layout": format!("{base}/describe/layouts/012000000000000AAA")},
        }]),
    );
    map.insert("searchLayoutable".into(), json!(true));
    map.insert("sobjectDescribeOption".into(), json!("FULL"));
    map.insert(
        "supportedScopes".into(),
        json!([{"label": "All records", "name": "everything"}]),
    );
    if let Some(Value::Object(urls)) = map.get_mut("urls") {
        urls.insert(
            "compactLayouts".into(),
            json!(format!("{base}/describe/compactLayouts")),
        );
        urls.insert("layouts".into(), json!(format!("{base}/describe/layouts")));
        urls.insert("uiDetailTemplate".into(), json!(format!("{origin}/{{ID}}")));
        urls.insert("uiEditTemplate".into(), json!(format!("{origin}/{{ID}}/e")));
        urls.insert(
            "uiNewRecord".into(),
            json!(format!("{origin}/{}/e", object.key_prefix)),
        );
    }
    Value::Object(map)
}

fn describe_field(f: &Field) -> Value {
    let text_like = matches!(
        f.kind,
        "string" | "email" | "phone" | "url" | "picklist" | "textarea" | "combobox"
    );
    let compound = matches!(f.kind, "address" | "base64");
    let long = f.length > 255 && f.kind == "textarea";
    let soap = match f.kind {
        "id" | "reference" => "tns:ID",
        "boolean" => "xsd:boolean",
        "date" => "xsd:date",
        "datetime" => "xsd:dateTime",
        "currency" | "double" => "xsd:double",
        "int" => "xsd:int",
        "address" => "urn:address",
        "base64" => "xsd:base64Binary",
        _ => "xsd:string",
    };
    let (digits, precision, scale) = match f.kind {
        "int" => (8, 0, 0),
        "currency" => (0, 18, 2),
        "double" => (0, 18, 15),
        _ => (0, 0, 0),
    };
    let picklist: Vec<Value> = f
        .picklist
        .iter()
        .map(|v| json!({"active": true, "defaultValue": false, "label": v, "validFor": null, "value": v}))
        .collect();
    let absent_or = |text: &str| {
        if text.is_empty() {
            Value::Null
        } else {
            json!(text)
        }
    };
    // In two halves: the macro nests once per member.
    let mut first = json!({
        "aggregatable": !compound && !long && f.kind != "boolean",
        "aiPredictionField": false,
        "autoNumber": f.name == "CaseNumber",
        "byteLength": if text_like || matches!(f.kind, "id" | "reference") { f.length * 3 } else { 0 },
        "calculated": !f.formula.is_empty(),
        "calculatedFormula": absent_or(f.formula_text),
        "cascadeDelete": false,
        "caseSensitive": false,
        "compoundFieldName": absent_or(f.compound),
        "controllerName": null,
        "createable": f.is_writable(),
        "custom": f.is_custom(),
        "defaultValue": if f.kind == "boolean" { json!(false) } else { Value::Null },
        "defaultValueFormula": null,
        "defaultedOnCreate": f.kind == "boolean",
        "dependentPicklist": false,
        "deprecatedAndHidden": false,
        "digits": digits,
        "displayLocationInDecimal": false,
        "encrypted": false,
        "externalId": f.name == "Loyalty_Number__c",
        "extraTypeInfo": if f.kind == "textarea" { json!("plaintextarea") } else { Value::Null },
        "filterable": !compound && !long,
        "filteredLookupInfo": null,
        "formulaTreatNullNumberAsZero": false,
    });
    let second = json!({
        "groupable": !compound && !long && !matches!(f.kind, "currency" | "double" | "datetime"),
        "highScaleNumber": false,
        "htmlFormatted": false,
        "idLookup": matches!(f.name, "Id" | "Email" | "Loyalty_Number__c"),
        "inlineHelpText": null,
        "label": f.label(),
        "length": f.length,
        "mask": null,
        "maskType": null,
        "name": f.name,
        "nameField": f.name_field,
        "namePointing": f.reference_to.len() > 1,
        "nillable": !matches!(f.kind, "id" | "boolean"),
        "permissionable": f.is_writable(),
        "picklistValues": picklist,
        "polymorphicForeignKey": f.reference_to.len() > 1,
        "precision": precision,
        "queryByDistance": f.kind == "address",
        "referenceTargetField": null,
        "referenceTo": f.reference_to,
        "relationshipName": absent_or(f.relationship),
        "relationshipOrder": null,
        "restrictedDelete": false,
        "restrictedPicklist": f.kind == "picklist",
        "scale": scale,
        "searchPrefilterable": f.kind == "reference",
        "soapType": soap,
        "sortable": !compound && !long,
        "type": f.kind,
        "unique": f.name == "Loyalty_Number__c",
        "updateable": f.is_writable(),
        "writeRequiresMasterRead": false,
    });
    if let (Value::Object(first), Value::Object(second)) = (&mut first, second) {
        first.extend(second);
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_schema_is_what_the_demo_describes() {
        let shipped = include_str!("../../policies/schema/salesforce.json");
        // After a change of the demo's fields: PRIVET_BLESS=1 cargo test --lib the_shipped_schema
        if std::env::var_os("PRIVET_BLESS").is_some() {
            let path = concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/policies/schema/salesforce.json"
            );
            std::fs::write(path, schema_json()).unwrap();
            return;
        }
        assert_eq!(shipped, schema_json());
        serde_json::from_str::<Value>(shipped).unwrap();
    }

    #[test]
    fn a_describe_has_every_key_of_a_field() {
        let contact = &OBJECTS[object("contact").unwrap()];
        let d = describe(contact, "61.0", "https://demo.example");
        let fields = d["fields"].as_array().unwrap();
        assert_eq!(fields.len(), contact.fields.len());
        let keys = "aggregatable aiPredictionField autoNumber byteLength calculated calculatedFormula compoundFieldName \
             controllerName createable custom defaultValue defaultValueFormula dependentPicklist digits encrypted \
             externalId extraTypeInfo filterable filteredLookupInfo formulaTreatNullNumberAsZero groupable \
             highScaleNumber htmlFormatted idLookup inlineHelpText label length mask maskType name nameField \
             namePointing nillable permissionable picklistValues polymorphicForeignKey precision queryByDistance \
             referenceTo referenceTargetField relationshipName relationshipOrder restrictedPicklist scale \
             searchPrefilterable soapType sortable type unique updateable";
        for (f, key) in fields
            .iter()
            .flat_map(|f| keys.split_whitespace().map(move |k| (f, k)))
        {
            assert!(f.get(key).is_some(), "{} lacks {key}", f["name"]);
        }
    }
}
