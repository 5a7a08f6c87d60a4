//! The same query answered in CSV and in XML, and records uploaded in both.

use super::*;
use crate::engine::catalog::FieldRef;
use crate::engine::protocol::{
    Action, Comparison, CsvShape, Operation, RecordShape, Shape, Upload, UploadFormat, Use,
    Written, XmlNull, XmlShape, XmlTyped,
};
use crate::engine::rewrite::csv::{Delimiter, LineEnding};
use crate::engine::rewrite::{Abort, BodyProgram, Format};

const RULES: &str = "p, allow, role:r, read, User.Email, clear, work, *, -, -, email\n\
    p, allow, role:r, read, Contact.Email, mask:email, work, *, -, -, contact-email\n\
    p, allow, role:r, read, Account.Name, redact, work, cross, -, -, abroad\n";

impl House {
    fn operation(&self, soql: &str) -> Operation {
        let segments = ["services", "data", "v61.0", "query"].map(String::from);
        let query = [("q".to_owned(), soql.to_owned())];
        let head = RequestHead {
            method: &Method::GET,
            path: "/services/data/v61.0/query",
            segments: &segments,
            query: &query,
            headers: &HeaderMap::new(),
        };
        let sealer = self.keys.sealer("acme");
        protocol::understand(
            &self.api,
            &head,
            b"",
            &self.loaded.catalog,
            &self.caller,
            &sealer,
        )
        .unwrap()
    }

    fn planned(&self, operation: Operation) -> Result<super::super::Plan, Refusal> {
        let catalog = &self.loaded.catalog;
        let decision = policy::decide(&self.loaded.policies, catalog, &self.caller, &operation);
        plan(operation, &decision, catalog, &self.keys, &self.caller)
    }

    /// The plan of `soql` answered in another format.
    fn in_format(&self, soql: &str, shape: impl Fn(RecordShape) -> Shape) -> super::super::Plan {
        let mut operation = self.operation(soql);
        operation.shape = shape(row_of(&operation.shape).unwrap().clone());
        self.planned(operation).unwrap()
    }

    /// An upload to Contact whose fields are these, in this format.
    fn upload(
        &self,
        format: UploadFormat,
        fields: &[&str],
        named: bool,
    ) -> Result<super::super::Plan, Refusal> {
        let catalog = &self.loaded.catalog;
        let mut operation = self.operation("SELECT Id FROM Contact");
        let object = catalog.object("salesforce", "Contact").unwrap();
        let mut members: Vec<(Arc<str>, Written)> = Vec::new();
        operation.uses.clear();
        operation.action = Action::Write;
        operation.shape = Shape::Drop;
        for field in fields {
            members.push(((*field).into(), Written::Use(operation.uses.len())));
            operation.uses.push(Use {
                field: FieldRef {
                    object,
                    field: catalog.get(object).field(field).unwrap(),
                },
                action: Action::Write,
                written: (*field).into(),
                comparison: Comparison::Other,
                values: Vec::new(),
                named,
            });
        }
        let root = match format {
            UploadFormat::Csv { .. } => Written::Object(members),
            UploadFormat::Xml => {
                members.push(("type".into(), Written::Expect("Contact".into())));
                Written::Object(vec![("sObject".into(), Written::Object(members))])
            }
        };
        operation.upload = Some(Upload {
            format,
            null: Some("#N/A".into()),
            root,
        });
        self.planned(operation)
    }
}

/// The record shape of the rows.
fn row_of(shape: &Shape) -> Option<&RecordShape> {
    match shape {
        Shape::Record(record) => Some(record),
        Shape::Object(members) => members.iter().find_map(|(_, s)| row_of(s)),
        Shape::Array { element, .. } | Shape::Answer(element) => row_of(element),
        _ => None,
    }
}

fn run(program: &BodyProgram, body: &str) -> Result<String, Abort> {
    let mut whole = None;
    for cut in [1, 7, body.len()] {
        let mut rewriter = Rewriter::new(program, Bounds::default());
        let mut out = Out::default();
        for piece in body.as_bytes().chunks(cut) {
            rewriter.push(Bytes::copy_from_slice(piece), &mut out)?;
        }
        rewriter.finish(&mut out)?;
        let text = String::from_utf8(out.concat()).unwrap();
        assert_eq!(
            *whole.get_or_insert_with(|| text.clone()),
            text,
            "cut {cut}"
        );
    }
    Ok(whole.unwrap())
}

fn csv(row: RecordShape) -> Shape {
    Shape::Csv(Box::new(CsvShape {
        delimiter: Delimiter::Comma,
        line_ending: LineEnding::Lf,
        no_records: true,
        row,
    }))
}

fn xml(typed: XmlTyped) -> impl Fn(RecordShape) -> Shape {
    move |row| {
        Shape::Xml(Box::new(XmlShape {
            root: Shape::Object(vec![
                ("done".into(), Shape::Keep),
                (
                    "records".into(),
                    Shape::Array {
                        element: Box::new(Shape::Record(row)),
                        rows: true,
                    },
                ),
            ]),
            typed,
            null: XmlNull::Xsi,
        }))
    }
}

#[test]
fn csv_columns_take_the_treatment_of_the_record_that_their_name_leads_to() {
    let house = house(&format!("{ALL}{RULES}"));
    let soql = "SELECT Id, Email, Account.Name, Account.Owner.Name FROM Contact";
    let plan = house.in_format(soql, csv);
    assert_eq!(plan.program().format(), Format::Csv);
    // The condition of the account was asked for, and leaves again.
    assert!(decoded(&plan.request().path_and_query).contains("Account.BillingCountryCode"));
    let body = "Account.Owner.Name,\"Id\",Email,Account.BillingCountryCode,Account.Name,Surprise\n\
        o,003000000000001AAA,jo.doe@example.org,DE,Acme,x\n\
        o,003000000000002AAA,jo.doe@example.org,US,Acme,x\n\
        o,003000000000003AAA,jo.doe@example.org,,Acme,x\n";
    assert_eq!(
        run(plan.program(), body).unwrap(),
        "Account.Owner.Name,\"Id\",Email,Account.Name\n\
        o,003000000000001AAA,j****@example.org,Acme\n\
        o,003000000000002AAA,j****@example.org,\n\
        o,003000000000003AAA,j****@example.org,\n"
    );
    assert_eq!(
        run(plan.program(), "Records not found for this query").unwrap(),
        "Records not found for this query"
    );
    // Another delimiter than the plan's is another document.
    assert!(run(plan.program(), "Id\tEmail\n1\tjo.doe@example.org\n").is_err());
}

#[test]
fn xml_records_are_told_by_type_and_treated_by_condition() {
    let house = house(&format!("{ALL}{RULES}"));
    let soql = "SELECT Id, Email, Account.Name FROM Contact";
    let head = "<r xmlns:sf=\"urn:s\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><done>true</done>";
    let record = |country: &str, name: &str| {
        format!(
            "<records xsi:type=\"sf:sObject\"><sf:type>Contact</sf:type><sf:Email>jo.doe@example.org</sf:Email>\
             <sf:Account xsi:type=\"sf:sObject\"><sf:type>Account</sf:type>{name}{country}</sf:Account></records>"
        )
    };
    let plan = house.in_format(soql, xml(XmlTyped::Child));
    assert_eq!(plan.program().format(), Format::Xml);
    let country = |code: &str| format!("<sf:BillingCountryCode>{code}</sf:BillingCountryCode>");
    let name = "<sf:Name>Acme</sf:Name>";
    let masked = |text: String| text.replace("jo.doe", "j****");
    let body = format!(
        "{head}{}{}{}</r>",
        record(&country("DE"), name),
        record(&country("US"), name),
        record("", name)
    );
    let redacted = "<sf:Name xsi:nil=\"true\"/>";
    assert_eq!(
        run(plan.program(), &body).unwrap(),
        masked(format!(
            "{head}{}{}{}</r>",
            record("", name),
            record("", redacted),
            record("", redacted)
        ))
    );
    let other = record("", name).replace(">Contact<", ">User<");
    assert!(matches!(
        run(plan.program(), &format!("{head}{other}</r>")),
        Err(Abort::Contradiction { .. })
    ));
}

#[test]
fn an_enterprise_record_without_its_type_is_refused() {
    let house = house(&format!("{ALL}{RULES}"));
    let plan = house.in_format("SELECT Id, Email FROM Contact", xml(XmlTyped::Attribute));
    let record = |kind: &str| {
        format!(
            "<r xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><records{kind}>\
             <Email>jo.doe@example.org</Email></records></r>"
        )
    };
    let text = run(plan.program(), &record(" xsi:type=\"Contact\"")).unwrap();
    assert!(text.contains("j****@example.org"), "{text}");
    for kind in ["", " xsi:type=\"User\""] {
        assert!(run(plan.program(), &record(kind)).is_err(), "{kind}");
    }
}

const WRITES: &str = "p, allow, role:r, read, class:pii.email, tokenize, work, *, -, -, email\n\
    p, allow, role:r, write, Contact.Email, -, work, *, -, -, write-email\n\
    p, allow, role:r, write, Contact.Name, -, work, *, -, -, write-name\n";

const CSV: UploadFormat = UploadFormat::Csv {
    delimiter: Delimiter::Comma,
    line_ending: LineEnding::Lf,
};

#[test]
fn an_uploaded_document_has_its_tokens_turned_back_and_its_masks_refused() {
    let house = house(&format!("{ALL}{WRITES}"));
    let token = house.token("pii.email", "jo,\"d\"@example.org");
    let foreign = house.token("id.user", "jo@example.org");
    let csv = house.upload(CSV, &["Name", "Email"], true).unwrap();
    let csv = csv.upload().unwrap();
    assert_eq!(
        run(
            csv.program(),
            &format!("Email,Name\n{token},Jo\n,#N/A\nnew@example.org,x\n")
        )
        .unwrap(),
        "Email,Name\n\"jo,\"\"d\"\"@example.org\",Jo\n,#N/A\nnew@example.org,x\n"
    );
    let written = |value: &str| run(csv.program(), &format!("Email,Name\n{value},Jo\n"));
    for bad in ["j****@example.org", "****", foreign.as_str()] {
        let abort = written(bad).unwrap_err();
        let refusal = csv.refusal(&abort);
        assert_eq!(refusal.reason, Reason::IntegrityException, "{bad}");
        assert!(refusal.message.contains("'Email'"), "{}", refusal.message);
        assert!(!refusal.message.contains(bad));
    }
    // A value beyond its bound is not emptied.
    let long = "x".repeat(Bounds::default().treated_bytes_max + 1);
    assert!(matches!(written(&long), Err(Abort::Refused { .. })));
    // A column that nothing names, and one that is missing.
    assert!(run(csv.program(), "Email,Name,Phone\na@example.org,b,c\n").is_err());
    assert!(run(csv.program(), "Email\na@example.org\n").is_err());

    let xml = house
        .upload(UploadFormat::Xml, &["Name", "Email"], false)
        .unwrap();
    let xml = xml.upload().unwrap();
    let body = |email: &str| {
        format!(
            "<sObjects><sObject><type>Contact</type><Name>Jo</Name>{email}</sObject></sObjects>"
        )
    };
    assert_eq!(
        run(xml.program(), &body(&format!("<Email>{token}</Email>"))).unwrap(),
        body("<Email>jo,&quot;d&quot;@example.org</Email>")
    );
    for bad in ["j****@example.org", &foreign, "<b/>"] {
        let abort = run(xml.program(), &body(&format!("<Email>{bad}</Email>"))).unwrap_err();
        assert!(matches!(abort, Abort::Refused { .. }), "{bad}: {abort}");
    }
    assert!(run(xml.program(), &body("<Phone>1</Phone>")).is_err());
}

#[test]
fn a_field_that_may_not_be_written_is_refused_when_it_is_named_or_when_it_comes() {
    let house = house(&format!(
        "{ALL}p, allow, role:r, write, Contact.Email, -, work, *, -, -, write-email\n\
         p, allow, role:r, read, Contact.Email, clear, work, *, -, -, email\n"
    ));
    let named = house.upload(CSV, &["Email", "Name"], true).unwrap_err();
    assert_eq!(named.reason, Reason::Denied);
    let plan = house
        .upload(UploadFormat::Xml, &["Email", "Name"], false)
        .unwrap();
    assert!(plan.is_write());
    let upload = plan.upload().unwrap();
    let body = |inner: &str| {
        format!("<sObjects><sObject><type>Contact</type>{inner}</sObject></sObjects>")
    };
    assert!(run(upload.program(), &body("<Email>a@example.org</Email>")).is_ok());
    let abort = run(upload.program(), &body("<Name>Jo</Name>")).unwrap_err();
    let refusal = upload.refusal(&abort);
    assert_eq!(refusal.reason, Reason::Denied);
    assert_eq!(refusal.message, named.message);
}
