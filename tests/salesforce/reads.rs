//! What reads records beside rows and queries: relationship paths, lists, counts, layouts, describe; and what is closed.

use privet::engine::refusal::Reason;
use serde_json::{Value, json};

use super::RULES;
use super::conversation::House;

fn ids(house: &House, object: &str) -> Vec<String> {
    let object = privet::demo::metadata::object(object).unwrap();
    let store = house.crm.store();
    let rows = &store.table(object).rows;
    rows.iter()
        .map(|row| row[0].as_text().unwrap().to_owned())
        .collect()
}

/// The account with most contacts.
fn account(house: &House) -> (String, usize) {
    let contact = privet::demo::metadata::object("Contact").unwrap();
    let field = privet::demo::metadata::OBJECTS[contact]
        .field("AccountId")
        .unwrap();
    let store = house.crm.store();
    let mut counts = std::collections::BTreeMap::new();
    for row in &store.table(contact).rows {
        if let Some(id) = row[field].as_text() {
            *counts.entry(id.to_owned()).or_insert(0) += 1;
        }
    }
    counts.into_iter().max_by_key(|(_, n)| *n).unwrap()
}

#[test]
fn a_path_of_relationships_is_treated_like_the_record_it_leads_to() {
    let house = House::with(RULES);
    let (account, contacts) = account(&house);
    let (_, body) = house.got(
        "desk",
        "GET",
        &format!("/sobjects/account/{account}/contacts?fields=Name,Email,Salary__c"),
        "",
    );
    assert_eq!(
        (&body["totalSize"], &body["done"]),
        (&contacts.into(), &true.into())
    );
    let first = &body["records"][0];
    assert!(first["Name"].is_string() && first.get("Salary__c").is_none());
    assert!(first["Email"].is_null() || first["Email"].as_str().unwrap().starts_with("tk1."));
    let target = house.last().target;
    assert!(target.contains("/Contacts?fields=Name%2CEmail"), "{target}");
    assert!(!target.contains("Salary"), "{target}");

    // Without a list every field of the schema may come, each with its treatment.
    let (_, body) = house.got(
        "desk",
        "GET",
        &format!("/sobjects/Account/{account}/Contacts"),
        "",
    );
    let first = &body["records"][0];
    assert_eq!(first["attributes"]["type"], "Contact");
    assert!(first.get("Salary__c").is_none() && first.get("SSN__c").is_none());
    let contact = first["Id"].as_str().unwrap().to_owned();

    let (_, parent) = house.got(
        "desk",
        "GET",
        &format!("/sobjects/Contact/{contact}/Account"),
        "",
    );
    assert_eq!(
        (&parent["Id"], &parent["attributes"]["type"]),
        (&account.into(), &"Account".into())
    );
    let two = format!("/sobjects/Contact/{contact}/Account/Owner?fields=Name,Email");
    let (_, owner) = house.got("desk", "GET", &two, "");
    assert_eq!(owner["attributes"]["type"], "User");
    assert!(house.last().target.contains("/Account/Owner?fields="));
}

#[test]
fn a_polymorphic_parent_is_judged_by_its_own_type() {
    let house = House::with(RULES);
    let mut seen = std::collections::BTreeSet::new();
    for task in ids(&house, "Task").iter().take(60) {
        let Ok((200, who)) = house.ask("desk", "GET", &format!("/sobjects/Task/{task}/Who"), "")
        else {
            continue;
        };
        seen.insert(who["attributes"]["type"].as_str().unwrap().to_owned());
        assert!(who.get("Salary__c").is_none());
        assert!(who["Phone"].is_null() || who["Phone"].as_str().unwrap().starts_with("****"));
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["Contact", "Lead"]);
}

#[test]
fn a_list_of_children_has_pages_of_its_caller() {
    let house = House::with(RULES);
    let (account, _) = account(&house);
    // Every contact hangs on one account now: more than one page of them.
    {
        let contact = privet::demo::metadata::object("Contact").unwrap();
        let mut store = house.crm.store_mut();
        for row in 0..store.table(contact).rows.len() {
            store.set(
                contact,
                row,
                "AccountId",
                privet::demo::store::Value::text(&account),
            );
        }
    }
    let target = format!("/sobjects/Account/{account}/Contacts?fields=Id,Email,Salary__c");
    let (_, first) = house.got("desk", "GET", &target, "");
    assert_eq!(first["done"], false);
    let mut next = first["nextRecordsUrl"].as_str().unwrap().to_owned();
    assert!(!next.contains("01g"), "{next}");
    assert_eq!(
        house.refused("reader", "GET", &next, ""),
        Reason::InvalidCursor
    );
    let mut seen = first["records"].as_array().unwrap().len();
    loop {
        let (_, page) = house.got("desk", "GET", &next, "");
        for record in page["records"].as_array().unwrap() {
            assert!(record.get("Salary__c").is_none());
            assert!(
                record["Email"].is_null() || record["Email"].as_str().unwrap().starts_with("tk1.")
            );
            seen += 1;
        }
        match page["nextRecordsUrl"].as_str() {
            Some(link) => next = link.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, 2_000);
}

#[test]
fn a_path_that_leads_nowhere_answers_like_one_that_is_hidden() {
    let house = House::with(&format!(
        "{RULES}p, deny, role:blind, read, Contact.AccountId, -, *, *, -, -, r-blind\n"
    ));
    let contact = house.contact(0, "Id");
    let refusal = |role: &str, rest: &str| {
        let target = format!("/sobjects/Contact/{contact}/{rest}");
        let before = house.crm.seen().len();
        let refusal = house.ask(role, "GET", &target, "").unwrap_err();
        assert_eq!(house.crm.seen().len(), before, "{target}");
        (refusal.reason, refusal.message.into_owned())
    };
    let unknown = |name: &str| {
        (
            Reason::UnknownObject,
            format!("sObject type '{name}' is not supported."),
        )
    };
    // op-2 of the cases: a single field is no resource.
    for (role, path, name) in [
        ("desk", "Salary__c", "Salary__c"),
        ("desk", "Email", "Email"),
        ("desk", "Nothing", "Nothing"),
        ("blind", "Account", "Account"),
        ("blind", "account?fields=Name", "account"),
        ("desk", "Account/Nothing", "Nothing"),
        ("desk", "Cases/Contact", "Contact"),
    ] {
        assert_eq!(refusal(role, path), unknown(name), "{role} {path}");
    }
    assert_eq!(
        refusal("desk", "Account?fields=Nothing__c").0,
        Reason::UnknownField
    );
    assert_eq!(
        refusal("desk", "Account?fields=Owner.Name").0,
        Reason::BadRequest
    );
    assert_eq!(refusal("desk", "Account?more=1").0, Reason::BadRequest);
    assert_eq!(
        house.refused("desk", "GET", "/sobjects/Contact/Email/a@b.c/Account", ""),
        Reason::EndpointClosed
    );
    let target = format!("/sobjects/Contact/{contact}/Account");
    assert_eq!(
        house.refused("desk", "DELETE", &target, ""),
        Reason::MethodNotAllowed
    );
}

#[test]
fn a_path_starts_at_a_token() {
    let house = House::with(RULES);
    let (_, found) = house.got(
        "pseudonym",
        "GET",
        "/query?q=SELECT+Id+FROM+Contact+WHERE+AccountId+!=+null+LIMIT+1",
        "",
    );
    let token = found["records"][0]["Id"].as_str().unwrap();
    assert!(token.starts_with("tk1."));
    let (status, parent) = house.got(
        "pseudonym",
        "GET",
        &format!("/sobjects/Contact/{token}/Account?fields=Name"),
        "",
    );
    assert_eq!((status, parent["Name"].is_string()), (200, true));
    let contact = house.contact(0, "Id");
    let raw = format!("/sobjects/Contact/{contact}/Account");
    assert_eq!(
        house.refused("pseudonym", "GET", &raw, ""),
        Reason::UnknownPath
    );
}

#[test]
fn lists_show_ids_and_names_as_they_are_read() {
    let house = House::with(&format!(
        "{RULES}p, allow, role:shy, read, class:pii.name, mask:all, *, *, -, 20, r-shy\n\
         p, deny, role:narrow, read, Lead.*, -, *, *, -, -, r-narrow\n"
    ));
    let (_, basic) = house.got("shy", "GET", "/sobjects/contact", "");
    assert_eq!(basic["objectDescribe"]["name"], "Contact");
    let recent = basic["recentItems"].as_array().unwrap();
    assert_eq!(recent.len(), 5);
    assert!(
        recent
            .iter()
            .all(|r| r["Name"] == "****" && r["Id"].is_string())
    );
    let (_, recent) = house.got("shy", "GET", "/recent?limit=200", "");
    let recent = recent.as_array().unwrap();
    let of = |name: &str| recent.iter().find(|r| r["attributes"]["type"] == name);
    assert_eq!(of("Contact").unwrap()["Name"], "****");
    assert!(of("Account").unwrap()["Name"].as_str().unwrap() != "****");
    let (_, narrow) = house.got("narrow", "GET", "/recent", "");
    assert!(
        narrow
            .as_array()
            .unwrap()
            .iter()
            .all(|r| r["attributes"]["type"] != "Lead")
    );
    assert!(narrow.as_array().unwrap().len() >= 10);
    assert_eq!(
        house.refused("narrow", "GET", "/sobjects/Lead", ""),
        Reason::UnknownObject
    );
    assert_eq!(
        house.refused("desk", "GET", "/sobjects/Nothing__c", ""),
        Reason::UnknownObject
    );
    assert_eq!(
        house.refused("desk", "GET", "/recent?limit=0", ""),
        Reason::BadRequest
    );
    let (_, tokens) = house.got("pseudonym", "GET", "/sobjects/Contact", "");
    assert!(
        tokens["recentItems"][0]["Id"]
            .as_str()
            .unwrap()
            .starts_with("tk1.")
    );
}

#[test]
fn changed_and_deleted_records_are_a_filter_by_their_time() {
    let house = House::with(&format!(
        "{RULES}p, deny, role:timeless, filter, Contact.SystemModstamp, -, *, *, -, -, r-timeless\n\
         p, allow, role:vague, read, Contact.SystemModstamp, generalise:year, *, *, -, 20, r-vague\n"
    ));
    let range = "start=2020-01-01T00:00:00%2B00:00&end=2027-01-01T00:00:00Z";
    let (_, body) = house.got(
        "desk",
        "GET",
        &format!("/sobjects/Contact/updated/?{range}"),
        "",
    );
    assert_eq!(body["ids"].as_array().unwrap().len(), 2_000);
    assert!(body["latestDateCovered"].is_string());
    let (_, tokens) = house.got(
        "pseudonym",
        "GET",
        &format!("/sobjects/Contact/updated?{range}"),
        "",
    );
    assert!(
        tokens["ids"]
            .as_array()
            .unwrap()
            .iter()
            .all(|id| id.as_str().unwrap().starts_with("tk1."))
    );

    let id = house.contact(0, "Id");
    assert_eq!(
        house
            .got("desk", "DELETE", &format!("/sobjects/Contact/{id}"), "")
            .0,
        204
    );
    let (_, body) = house.got(
        "desk",
        "GET",
        &format!("/sobjects/Contact/deleted?{range}"),
        "",
    );
    assert_eq!(body["deletedRecords"][0]["id"], *id);
    assert!(body["deletedRecords"][0]["deletedDate"].is_string());
    for (role, target, reason) in [
        (
            "timeless",
            format!("/sobjects/Contact/updated?{range}"),
            Reason::Denied,
        ),
        (
            "vague",
            format!("/sobjects/Contact/deleted?{range}"),
            Reason::TreatedFieldEvaluated,
        ),
        (
            "desk",
            "/sobjects/Contact/updated".to_owned(),
            Reason::BadRequest,
        ),
        (
            "desk",
            "/sobjects/Contact/updated?start=a&end=b".to_owned(),
            Reason::BadRequest,
        ),
        (
            "desk",
            format!("/sobjects/Contact/updated?{range}&more=1"),
            Reason::BadRequest,
        ),
        // op-3 of the cases.
        (
            "desk",
            "/sobjects/Contact?lastModifiedAfter=2026-01-01T00:00:00Z".to_owned(),
            Reason::BadRequest,
        ),
        (
            "desk",
            format!("/sobjects/Nothing__c/updated?{range}"),
            Reason::UnknownObject,
        ),
    ] {
        assert_eq!(
            house.refused(role, "GET", &target, ""),
            reason,
            "{role} {target}"
        );
    }
}

#[test]
fn limits_are_numbers_and_counts_are_aggregates() {
    let house = House::with(&format!(
        "{RULES}p, deny, role:uncounted, aggregate, Contact.Id, -, *, *, -, -, r-uncounted\n"
    ));
    let (_, limits) = house.got("desk", "GET", "/limits", "");
    assert_eq!(
        limits["DailyApiRequests"],
        json!({"Max": 15000, "Remaining": 14982})
    );
    let (_, counts) = house.got(
        "desk",
        "GET",
        "/limits/recordCount?sObjects=contact,Lead",
        "",
    );
    assert_eq!(
        counts["sObjects"],
        json!([{"count": 2000, "name": "Contact"}, {"count": 60, "name": "Lead"}])
    );
    for (role, target, reason) in [
        (
            "uncounted",
            "/limits/recordCount?sObjects=Contact",
            Reason::Denied,
        ),
        (
            "desk",
            "/limits/recordCount?sObjects=Contact,Nothing__c",
            Reason::UnknownObject,
        ),
        ("desk", "/limits/recordCount", Reason::BadRequest),
        (
            "desk",
            "/limits/recordCount?sObjects=",
            Reason::MalformedQuery,
        ),
        (
            "desk",
            "/query?explain=SELECT+Id+FROM+Contact",
            Reason::EndpointClosed,
        ),
    ] {
        assert_eq!(
            house.refused(role, "GET", target, ""),
            reason,
            "{role} {target}"
        );
    }
    // Id is read as a token, and counting shows no more than that.
    assert_eq!(
        house
            .got(
                "pseudonym",
                "GET",
                "/limits/recordCount?sObjects=Contact",
                ""
            )
            .0,
        200
    );
}

/// The names of every field that an answer describes.
fn described(value: &Value, names: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if let Some(details) = members.get("details") {
                names.insert(details["name"].as_str().unwrap().to_owned());
            }
            members.values().for_each(|v| described(v, names));
        }
        Value::Array(items) => items.iter().for_each(|v| described(v, names)),
        _ => {}
    }
}

#[test]
fn layouts_name_only_what_is_read() {
    let house = House::with(RULES);
    for target in [
        "/sobjects/Contact/describe/layouts",
        "/sobjects/Contact/describe/layouts/012000000000000AAA",
        "/sobjects/contact/describe/compactLayouts",
        "/sobjects/Contact/describe/approvalLayouts",
        "/sobjects/Contact/describe/namedLayouts/Any",
        "/compactLayouts?q=Contact,Account",
    ] {
        let (status, body) = house.got("desk", "GET", target, "");
        let mut names = std::collections::BTreeSet::new();
        described(&body, &mut names);
        assert!(
            status == 200 && names.contains("Email") && names.contains("LastName"),
            "{target}: {body}"
        );
        let text = body.to_string();
        for hidden in ["Salary", "SSN", "\"Case.Subject\""] {
            assert!(!text.contains(hidden), "{target}: {hidden}");
        }
    }
    for (target, reason) in [
        ("/sobjects/Contact/describe/more", Reason::UnknownPath),
        (
            "/sobjects/Contact/describe/namedLayouts",
            Reason::UnknownPath,
        ),
        (
            "/sobjects/Nothing__c/describe/layouts",
            Reason::UnknownObject,
        ),
        ("/compactLayouts", Reason::BadRequest),
        (
            "/compactLayouts?q=Contact,Nothing__c",
            Reason::UnknownObject,
        ),
    ] {
        assert_eq!(house.refused("desk", "GET", target, ""), reason, "{target}");
    }
}

#[test]
fn a_describe_tells_what_rows_allow() {
    let house = House::with(&format!(
        "{RULES}p, allow, role:analyst, filter|sort|group|aggregate|key, class:pii.phone, -, *, *, -, -, r-analyst\n\
         p, deny, role:analyst, sort, Contact.LastName, -, *, *, -, -, r-unsorted\n"
    ));
    let field = |role: &str, name: &str| -> Value {
        let (_, body) = house.got(role, "GET", "/sobjects/Contact/describe", "");
        let fields = body["fields"].as_array().unwrap();
        fields.iter().find(|f| f["name"] == name).unwrap().clone()
    };
    let able = |field: &Value| {
        ["filterable", "sortable", "groupable", "aggregatable"].map(|k| field[k].as_bool().unwrap())
    };
    // Treated, and no row beside the read.
    assert_eq!(able(&field("desk", "Phone")), [false; 4]);
    assert_eq!(able(&field("analyst", "Phone")), [true; 4]);
    // Each of which holds.
    for soql in [
        "SELECT Id FROM Contact WHERE Phone LIKE '%2F%25' LIMIT 1",
        "SELECT Id FROM Contact ORDER BY Phone LIMIT 1",
        "SELECT COUNT(Id) FROM Contact GROUP BY Phone",
        "SELECT MAX(Phone) FROM Contact",
    ] {
        let target = format!("/query?q={}", soql.replace(' ', "+"));
        assert_eq!(house.got("analyst", "GET", &target, "").0, 200, "{soql}");
        assert_eq!(
            house.refused("desk", "GET", &target, ""),
            Reason::TreatedFieldEvaluated,
            "{soql}"
        );
    }
    // A token may be compared and grouped, a clear field all that no row denies.
    let email = field("desk", "Email");
    assert_eq!(able(&email), [true, false, true, false]);
    assert_eq!(
        (&email["type"], &email["length"]),
        (&"string".into(), &255.into())
    );
    assert_eq!(able(&field("desk", "LastName")), [true; 4]);
    assert_eq!(
        able(&field("analyst", "LastName")),
        [true, false, true, true]
    );
    let phone = field("desk", "Phone");
    assert_eq!(
        (&phone["type"], &phone["length"]),
        (&"string".into(), &40.into())
    );
}

#[test]
fn a_flag_is_fetched_in_the_branch_of_a_typeof() {
    let house = House::with(
        "# p, effect, who, action, what, treatment, purpose, region, when, priority, id\n\
         p, allow, *, read, *, clear, *, *, -, 90, t-all\n\
         p, allow, *, read, class:pii.email, clear, *, *, record.consent=granted, 20, t-granted\n\
         p, allow, *, read, class:pii.email, redact, *, *, -, -, t-email\n",
    );
    let soql = "SELECT Id, TYPEOF Who WHEN Contact THEN Email, Id ELSE Name END FROM Task LIMIT 5";
    let operation = house.planned("desk", &format!("/query?q={}", soql.replace(' ', "+")));
    assert!(
        operation.contains("WHEN Contact THEN HasOptedOutOfEmail, Email, Id ELSE"),
        "{operation}"
    );
}

#[test]
fn a_file_passes_only_where_its_field_is_read_in_clear() {
    let house = House::with(&format!(
        "{RULES}p, allow, role:filed, read, Attachment.Body, redact, *, *, -, 20, r-filed\n\
         p, allow, role:unfiled, read, Attachment.Body, drop, *, *, -, 20, r-unfiled\n\
         p, deny, role:denied, read, Attachment.Body, -, *, *, -, -, r-denied\n\
         p, allow, role:coded, read, class:id.attachment, tokenize, *, *, -, 20, r-coded\n"
    ));
    let file = ids(&house, "Attachment").remove(0);
    let record = format!("/sobjects/Attachment/{file}");
    let body = format!("{record}/body");
    let (status, bytes) = house.got("desk", "GET", &body, "");
    assert_eq!((status, bytes), (200, "<p>Invented file 0</p>".into()));
    assert!(house.last().target.ends_with("/Body"));
    for (role, reason) in [
        ("filed", Reason::EndpointClosed),
        ("unfiled", Reason::UnknownObject),
        ("denied", Reason::Denied),
    ] {
        assert_eq!(house.refused(role, "GET", &body, ""), reason, "{role}");
    }
    // In a record it is a path with an id in it.
    let (_, whole) = house.got("desk", "GET", &record, "");
    assert!(
        whole["Body"]
            .as_str()
            .unwrap()
            .ends_with(&format!("{file}/Body"))
    );
    let (_, recent) = house.got("coded", "GET", "/sobjects/Attachment", "");
    let token = recent["recentItems"][0]["Id"].as_str().unwrap();
    assert!(token.starts_with("tk1."));
    let (_, whole) = house.got("coded", "GET", &format!("/sobjects/Attachment/{token}"), "");
    assert_eq!(whole["Body"], Value::Null);
    assert_eq!(
        house
            .got(
                "coded",
                "GET",
                &format!("/sobjects/Attachment/{token}/Body"),
                ""
            )
            .0,
        200
    );
    // Files that are not their record's own field.
    for (target, reason) in [
        (format!("{record}/Body/more"), Reason::UnknownObject),
        (format!("{record}/Name"), Reason::UnknownObject),
        (
            "/servlet/servlet.FileDownload".to_owned(),
            Reason::UnknownPath,
        ),
        (
            format!(
                "/sobjects/Contact/{}/richTextImageFields/Nothing__c/0EM000000000001",
                house.contact(0, "Id")
            ),
            Reason::UnknownObject,
        ),
        (
            format!(
                "/sobjects/Contact/{}/richTextImageFields/Salary__c/0EM000000000001",
                house.contact(0, "Id")
            ),
            Reason::UnknownObject,
        ),
    ] {
        assert_eq!(
            house.refused("desk", "GET", &target, ""),
            reason,
            "{target}"
        );
    }
}

/// A scope and the kind of a parent ask about a field that the query does not name.
#[test]
fn scopes_and_kinds_of_parents_ask_about_references() {
    let asked = [
        "/query?q=SELECT+Id+FROM+Contact+USING+SCOPE+mine",
        "/query?q=SELECT+Id+FROM+Task+WHERE+Who.Type+=+'Contact'",
        "/query?q=SELECT+Id+FROM+Task+ORDER+BY+Who.Type",
    ];
    for (rules, refused) in [
        ("", None),
        (
            "p, deny, *, read, Contact.OwnerId, -, *, *, -, -, t-owner\n\
             p, deny, *, read, Task.WhoId, -, *, *, -, -, t-who\n",
            Some(Reason::UnknownField),
        ),
    ] {
        let house = House::with(&format!("{RULES}{rules}"));
        for target in asked {
            let reason = house.ask("desk", "GET", target, "").err().map(|r| r.reason);
            assert_eq!(reason, refused, "{target}");
        }
    }
}

#[test]
fn clauses_of_a_query_are_done_or_refused_by_name() {
    let house = House::with(RULES);
    for (clause, named) in [
        ("USING SCOPE mine_and_my_groups", "USING SCOPE"),
        ("USING SCOPE my_territory", "USING SCOPE"),
        ("USING SCOPE my_team_territory", "USING SCOPE"),
        ("USING SCOPE scopingRule", "USING SCOPE"),
        ("USING SCOPE team", "USING SCOPE"),
        ("WITH SYSTEM_MODE", "WITH SYSTEM_MODE"),
        ("WITH DATA CATEGORY G__c AT a__c", "WITH DATA CATEGORY"),
        ("WITH NETWORK = '0DB'", "WITH"),
        ("FOR VIEW", "FOR VIEW"),
        ("FOR REFERENCE", "FOR REFERENCE"),
        ("FOR UPDATE", "FOR UPDATE"),
        ("UPDATE TRACKING", "UPDATE TRACKING"),
        ("UPDATE VIEWSTAT", "UPDATE VIEWSTAT"),
        ("ALL ROWS", "ALL ROWS"),
    ] {
        let target = format!(
            "/query?q=SELECT+Id+FROM+Contact+{}",
            clause.replace(' ', "+")
        );
        let refusal = house.ask("desk", "GET", &target, "").unwrap_err();
        assert_eq!(refusal.reason, Reason::MalformedQuery, "{clause}");
        assert!(refusal.message.contains(named), "{}", refusal.message);
    }
    for soql in [
        "SELECT Id FROM Contact USING SCOPE everything",
        "SELECT Id FROM Contact USING SCOPE mine",
        "SELECT Id FROM Task WHERE Who.Type = 'Contact'",
        "SELECT Id FROM Contact WITH SECURITY_ENFORCED",
        "SELECT Id FROM Contact WITH USER_MODE LIMIT 1",
        "SELECT c.Id, a.Name FROM Contact c, c.Account a WHERE a.Name != null",
        "SELECT Id FROM Account WHERE AnnualRevenue > USD5000 LIMIT 1",
        "SELECT HOUR_IN_DAY(convertTimezone(CreatedDate)), COUNT(Id) FROM Contact GROUP BY HOUR_IN_DAY(convertTimezone(CreatedDate))",
        "SELECT Id FROM Contact WHERE DISTANCE(MailingAddress, GEOLOCATION(48.1, 11.5), 'km') < 20 ORDER BY DISTANCE(MailingAddress, GEOLOCATION(48.1, 11.5), 'km') LIMIT 1",
    ] {
        let printed = house.planned("desk", &format!("/query?q={}", soql.replace(' ', "+")));
        assert!(printed.starts_with("SELECT "), "{printed}");
    }
    for (soql, reason) in [
        // Following a reference, measuring a distance, converting: each evaluates its field.
        (
            "SELECT Id FROM Contact WHERE SALARY__C > USD5",
            Reason::UnknownField,
        ),
        (
            "SELECT Id FROM Contact WHERE DISTANCE(Salary__c, GEOLOCATION(1,2), 'km') < 1",
            Reason::UnknownField,
        ),
        (
            "SELECT COUNT(Id) FROM Contact GROUP BY CALENDAR_YEAR(convertTimezone(Salary__c))",
            Reason::UnknownField,
        ),
        (
            "SELECT c.Id FROM Contact c, c.Nothing n",
            Reason::UnknownField,
        ),
    ] {
        let target = format!("/query?q={}", soql.replace(' ', "+"));
        assert_eq!(house.refused("desk", "GET", &target, ""), reason, "{soql}");
    }
}

#[test]
fn what_is_closed_says_so_and_what_is_unknown_is_not_there() {
    let house = House::with(RULES);
    for (target, what) in [
        (
            "/tooling/query?q=SELECT+Id+FROM+ApexClass",
            "The Tooling API",
        ),
        (
            "/tooling/executeAnonymous?anonymousBody=x",
            "The Tooling API",
        ),
        ("/tooling/sobjects", "The Tooling API"),
        ("/metadata/deployRequest", "The Metadata API"),
        ("/services/Soap/m/61.0", "The SOAP API"),
        ("/services/Soap/s/61.0", "The SOAP API"),
        ("/services/apexrest/anything", "Apex REST"),
        ("/services/apexsoap/anything", "Apex SOAP"),
        ("/services/async/61.0/job", "Bulk API 1.0"),
        ("/event/eventSchema/x", "Platform events"),
        ("/eventSchema/x", "Platform events"),
        ("/sobjects/Contact/eventSchema", "Platform events"),
        ("/jobs/query", "Lists of bulk jobs"),
        ("/jobs/else", "This resource of Bulk API 2.0"),
        ("/ui-api/records/003", "The User Interface API"),
        ("/wave/query", "CRM Analytics"),
        ("/chatter/feeds", "Chatter"),
        ("/connect/files/069/content", "The Connect API"),
        ("/actions/custom/apex/x", "Invocable actions"),
        ("/process/rules", "Processes"),
        ("/quickActions", "Quick actions"),
        ("/sobjects/Contact/quickActions", "Quick actions"),
        ("/sobjects/Contact/defaultValues", "Default values"),
        ("/tabs", "Tabs"),
        ("/theme", "Themes"),
        ("/appMenu/Salesforce1", "The app menu"),
        ("/query?explain=00O", "Query plans (explain)"),
    ] {
        let before = house.crm.seen().len();
        let refusal = house.ask("desk", "GET", target, "").unwrap_err();
        assert_eq!(
            (refusal.reason, &*refusal.message, house.crm.seen().len()),
            (
                Reason::EndpointClosed,
                &*format!("{what}: not open through this proxy"),
                before
            ),
            "{target}"
        );
    }
    for target in [
        "/nothing",
        "/sobjects/Contact/Nothing",
        "/services/pubsub/x",
        "/services/data/v61.0/sobjects//x",
        "/services/data/v29.0/limits",
    ] {
        assert_eq!(
            house.refused("desk", "GET", target, ""),
            Reason::UnknownPath,
            "{target}"
        );
    }
}
