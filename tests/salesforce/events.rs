//! Change events and PushTopics over CometD.

use privet::engine::refusal::Reason;
use serde_json::{Value, json};

use super::RULES;
use super::conversation::House;

const COMETD: &str = "/cometd/61.0";

/// A client of the Streaming API.
struct Listener<'h> {
    house: &'h House,
    role: &'static str,
    id: String,
}

impl<'h> Listener<'h> {
    fn new(house: &'h House, role: &'static str) -> Self {
        let (status, told) = house.got(
            role,
            "POST",
            COMETD,
            r#"[{"channel":"/meta/handshake","id":"1","version":"1.0","supportedConnectionTypes":["long-polling"],
                "ext":{"replay":true,"ack":true}}]"#,
        );
        assert_eq!((status, &told[0]["successful"]), (200, &true.into()));
        assert_eq!(
            told[0]["ext"],
            json!({"replay": true, "payload.format": true})
        );
        let id = told[0]["clientId"].as_str().unwrap().to_owned();
        assert!(!id.contains("demo"), "{id}");
        Self { house, role, id }
    }

    fn message(&self, channel: &str, more: &Value) -> String {
        let mut message = json!({"channel": channel, "id": "7", "clientId": self.id});
        for (key, value) in more.as_object().unwrap() {
            message[key] = value.clone();
        }
        json!([message]).to_string()
    }

    fn subscribe(&self, channel: &str) {
        let body = self.message("/meta/subscribe", &json!({"subscription": channel}));
        let (_, told) = self.house.got(self.role, "POST", COMETD, &body);
        assert_eq!(told[0]["successful"], true, "{told}");
        assert_eq!(told[0]["subscription"], channel);
        assert_eq!(told[0]["clientId"], self.id.as_str());
    }

    fn refused(&self, channel: &str) -> Reason {
        let body = self.message("/meta/subscribe", &json!({"subscription": channel}));
        match self.house.ask(self.role, "POST", COMETD, &body) {
            Err(refusal) => refusal.reason,
            Ok(answer) => panic!("{channel}: {answer:?}"),
        }
    }

    /// The events of one poll.
    fn poll(&self) -> Vec<Value> {
        let body = self.message("/meta/connect", &json!({"connectionType": "long-polling"}));
        let (_, told) = self.house.got(self.role, "POST", COMETD, &body);
        let mut told = told.as_array().unwrap().clone();
        let reply = told.pop().unwrap();
        assert_eq!(
            (&reply["successful"], &reply["id"]),
            (&true.into(), &"7".into())
        );
        told
    }
}

#[test]
fn a_change_event_is_treated_field_by_field() {
    let house = House::with(RULES);
    let desk = Listener::new(&house, "desk");
    desk.subscribe("/data/ContactChangeEvent");
    assert!(desk.poll().is_empty());

    let id = house.contact(3, "Id");
    let email = house.contact(3, "Email");
    house.crm.store_mut().set(
        privet::demo::metadata::object("Contact").unwrap(),
        3,
        "Email",
        privet::demo::store::Value::text("new@person.example"),
    );
    assert_ne!(email, "new@person.example");
    let body = r#"{"Title":"Boss","Salary__c":77001,"Phone":"+49 30 901820","MailingCity":"Jena","FirstName":"Zoe"}"#;
    let session = house.elsewhere("PATCH", &format!("/sobjects/Contact/{id}"), body);
    assert_eq!(session, 204);

    let events = desk.poll();
    assert_eq!(events.len(), 1, "{events:?}");
    let event = &events[0];
    assert_eq!(event["channel"], "/data/ContactChangeEvent");
    let payload = &event["data"]["payload"];
    assert_eq!(payload["Title"], "Boss");
    assert_eq!(payload["Phone"], "****1820");
    assert_eq!(payload["MailingAddress"], json!({"City": "Jena"}));
    let token = payload["Email"].as_str().unwrap();
    assert!(token.starts_with("tk1.") && token.ends_with("@token.invalid"));
    assert!(payload.get("Salary__c").is_none(), "{payload}");
    let header = &payload["ChangeEventHeader"];
    assert_eq!(header["recordIds"], json!([id]));
    assert_eq!(header["entityName"], "Contact");
    assert_eq!(header["changeType"], "UPDATE");
    let changed = header["changedFields"].as_array().unwrap();
    assert!(changed.contains(&"Email".into()) && changed.contains(&"MailingAddress.City".into()));
    assert!(!changed.contains(&"Salary__c".into()), "{changed:?}");
    assert!(event["data"]["event"]["replayId"].is_u64());
    assert!(!json!(events).to_string().contains("77001"));
    assert!(desk.poll().is_empty());
}

/// As another program changes the contact at `row`.
fn change(house: &House, row: usize, body: &Value) {
    let id = house.contact(row, "Id");
    let status = house.elsewhere(
        "PATCH",
        &format!("/sobjects/Contact/{id}"),
        &body.to_string(),
    );
    assert_eq!(status, 204);
}

#[test]
fn a_push_topic_brings_what_its_query_selects_treated() {
    let house = House::with(RULES);
    let desk = Listener::new(&house, "desk");
    desk.subscribe("/topic/ContactUpdates");
    change(
        &house,
        5,
        &json!({"LastName": "Doe", "Phone": "+49 30 901821"}),
    );
    let events = desk.poll();
    assert_eq!(events.len(), 1);
    let data = &events[0]["data"];
    assert_eq!(events[0]["channel"], "/topic/ContactUpdates");
    assert_eq!(data["event"]["type"], "updated");
    assert!(data["event"]["replayId"].is_u64());
    let record = &data["sobject"];
    let mut keys: Vec<&String> = record.as_object().unwrap().keys().collect();
    keys.sort();
    // The hidden field that the query selects is not there.
    assert_eq!(keys, ["Email", "Id", "Name", "Phone"]);
    assert_eq!(record["Phone"], "****1821");
    assert!(record["Email"].as_str().unwrap().starts_with("tk1."));
    assert!(record["Name"].as_str().unwrap().ends_with(" Doe"));
}

#[test]
fn a_push_topic_that_filters_what_may_not_be_filtered_brings_nothing() {
    let house = House::with(RULES);
    let desk = Listener::new(&house, "desk");
    let topic = |query: &str| house.crm.streams().keep_topic("Mine", query);
    for query in [
        "SELECT Id FROM Contact WHERE Salary__c > 60000",
        "SELECT Id FROM Contact WHERE Email = 'a@b.example'",
        "SELECT Id FROM Contact WHERE Title = 'Boss' AND (NOT Phone LIKE '+49%')",
    ] {
        topic(query);
        assert_eq!(
            desk.refused("/topic/Mine"),
            Reason::TreatedFieldEvaluated,
            "{query}"
        );
    }
    for query in [
        "SELECT Id FROM Nothing__c",
        "SELECT Id, (SELECT Id FROM Cases) FROM Contact",
        "SELECT Id, Account.Name FROM Contact",
        "this is no query",
    ] {
        topic(query);
        assert_eq!(desk.refused("/topic/Mine"), Reason::UnknownPath, "{query}");
    }
    assert_eq!(desk.refused("/topic/Nobodys"), Reason::UnknownPath);

    // A query that is changed behind a subscription acts on the next poll: it answers nothing any more.
    topic("SELECT Id, Title FROM Contact WHERE Title != null");
    desk.subscribe("/topic/Mine");
    change(&house, 6, &json!({"Title": "Clerk"}));
    assert_eq!(desk.poll()[0]["data"]["sobject"]["Title"], "Clerk");
    topic("SELECT Id, Title FROM Contact WHERE Salary__c > 1");
    change(&house, 6, &json!({"Title": "Boss"}));
    let events = desk.poll();
    assert_eq!(events[0]["channel"], "/privet/withheld", "{events:?}");
    assert_eq!(events.len(), 1);
}

#[test]
fn what_a_rule_takes_away_the_next_poll_does_not_bring() {
    let mut house = House::with(RULES);
    let desk = Listener::new(&house, "desk");
    desk.subscribe("/data/ContactChangeEvent");
    change(
        &house,
        9,
        &json!({"Title": "Boss", "Phone": "+49 30 901822"}),
    );
    let payload = desk.poll().remove(0)["data"]["payload"].clone();
    assert_eq!(
        (&payload["Title"], &payload["Phone"]),
        (&"Boss".into(), &"****1822".into())
    );

    let id = desk.id;
    let redacted = RULES.replace(
        "mask:last4,     *, *, -, -,  t-phone",
        "redact,         *, *, -, -,  t-phone",
    );
    house.rule(&redacted);
    change(&house, 9, &json!({"Phone": "+49 30 901823"}));
    let desk = Listener {
        house: &house,
        role: "desk",
        id,
    };
    let payload = desk.poll().remove(0)["data"]["payload"].clone();
    assert_eq!(payload["Phone"], Value::Null);

    let id = desk.id;
    house.rule(
        "# p, effect, who, action, what, treatment, purpose, region, when, priority, id\n\
         p, allow, *, read, Account.*, clear, *, *, -, 90, t-all\n",
    );
    change(&house, 9, &json!({"Phone": "+49 30 901824"}));
    let desk = Listener {
        house: &house,
        role: "desk",
        id,
    };
    let events = desk.poll();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["channel"], "/privet/withheld");
    assert_eq!(
        desk.refused("/data/ContactChangeEvent"),
        Reason::UnknownObject
    );
}

#[test]
fn a_client_id_is_good_for_its_caller_alone() {
    let house = House::with(RULES);
    let desk = Listener::new(&house, "desk");
    desk.subscribe("/topic/ContactUpdates");
    for (role, id) in [
        ("reader", desk.id.as_str()),
        ("desk", "demo18client1"),
        ("desk", ""),
    ] {
        let thief = Listener {
            house: &house,
            role,
            id: id.to_owned(),
        };
        let body = thief.message("/meta/connect", &json!({"connectionType": "long-polling"}));
        assert_eq!(
            house.refused(role, "POST", COMETD, &body),
            Reason::InvalidCursor
        );
    }
}

#[test]
fn channels_are_open_or_closed_by_name() {
    let house = House::with(RULES);
    let desk = Listener::new(&house, "desk");
    for (channel, reason) in [
        ("/data/ChangeEvents", Reason::EndpointClosed),
        ("/data/Sales__chn", Reason::EndpointClosed),
        ("/event/Order__e", Reason::EndpointClosed),
        ("/u/notifications/All", Reason::EndpointClosed),
        ("/topic/ContactUpdates?Salary__c=1", Reason::EndpointClosed),
        ("/systemTopic/Logging", Reason::EndpointClosed),
        ("/data/Nothing__ChangeEvent", Reason::UnknownObject),
        ("/data/ContactFeed", Reason::UnknownPath),
        ("/topic/*", Reason::UnknownPath),
        ("/**", Reason::UnknownPath),
        ("/meta/connect", Reason::UnknownPath),
    ] {
        assert_eq!(desk.refused(channel), reason, "{channel}");
    }
    let publish = desk.message("/topic/ContactUpdates", &json!({"data": {"a": 1}}));
    assert_eq!(
        house.refused("desk", "POST", COMETD, &publish),
        Reason::EndpointClosed
    );
    let many = Value::Array(vec![json!({"channel": "/meta/handshake"}); 21]).to_string();
    for (body, reason) in [
        ("[]", Reason::MalformedBody),
        ("{}", Reason::MalformedBody),
        (many.as_str(), Reason::MalformedBody),
        (
            r#"{"channel":"/meta/handshake","supportedConnectionTypes":["websocket"]}"#,
            Reason::BadRequest,
        ),
    ] {
        assert_eq!(
            house.refused("desk", "POST", COMETD, body),
            reason,
            "{body}"
        );
    }
    assert_eq!(
        house.refused("desk", "GET", COMETD, ""),
        Reason::MethodNotAllowed
    );
    assert_eq!(
        house.refused("desk", "POST", "/cometd/9.0", "[]"),
        Reason::UnknownPath
    );
    assert_eq!(
        house.refused("desk", "GET", "/cometd/replay/36.0", ""),
        Reason::EndpointClosed
    );
}

#[test]
fn events_come_again_from_where_the_client_says() {
    let house = House::with(RULES);
    change(&house, 7, &json!({"Title": "First"}));
    change(&house, 7, &json!({"Title": "Second"}));
    let desk = Listener::new(&house, "desk");
    let channel = "/data/ContactChangeEvent";
    let ext = json!({"subscription": [channel, "/topic/ContactUpdates"], "ext": {"replay": {channel: -2}}});
    let (_, told) = house.got(
        "desk",
        "POST",
        COMETD,
        &desk.message("/meta/subscribe", &ext),
    );
    assert_eq!(told[0]["successful"], true);
    let titles: Vec<Value> = desk
        .poll()
        .iter()
        .map(|e| e["data"]["payload"]["Title"].clone())
        .collect();
    assert_eq!(titles, ["First", "Second"]);
    let leave = desk.message("/meta/unsubscribe", &json!({"subscription": channel}));
    assert_eq!(
        house.got("desk", "POST", COMETD, &leave).1[0]["successful"],
        true
    );
    change(&house, 7, &json!({"Title": "Third"}));
    let events = desk.poll();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["channel"], "/topic/ContactUpdates");
    let bye = desk.message("/meta/disconnect", &json!({}));
    assert_eq!(
        house.got("desk", "POST", COMETD, &bye).1[0]["successful"],
        true
    );
}

#[test]
fn record_ids_are_tokens_where_ids_are() {
    let house = House::with(RULES);
    let listener = Listener::new(&house, "pseudonym");
    listener.subscribe("/data/ContactChangeEvent");
    listener.subscribe("/topic/ContactUpdates");
    change(&house, 8, &json!({"Title": "Boss"}));
    let events = listener.poll();
    assert_eq!(events.len(), 2);
    let id = house.contact(8, "Id");
    assert!(!json!(events).to_string().contains(&id));
    let of_topic = events
        .iter()
        .find(|e| e["channel"] == "/topic/ContactUpdates");
    let of_change = events
        .iter()
        .find(|e| e["channel"] != "/topic/ContactUpdates");
    assert_eq!(
        of_topic.unwrap()["data"]["sobject"]["Id"],
        of_change.unwrap()["data"]["payload"]["ChangeEventHeader"]["recordIds"][0]
    );
}

#[test]
fn whatever_a_poll_brings_beside_what_is_known_is_withheld() {
    let house = House::with(RULES);
    let desk = Listener::new(&house, "desk");
    let body = desk.message("/meta/connect", &json!({"connectionType": "long-polling"}));
    let told = |reply: &Value| house.treated("desk", COMETD, &body, &reply.to_string());
    let header = json!({"entityName": "Contact", "recordIds": ["0035g000000000AAAQ"], "changeType": "GAP_UPDATE",
        "changedFields": ["Salary__c", "salary__C", "Title", "x@y.example"], "commitUser": "0055g0000000001AAA"});
    let event = |payload: Value| json!({"channel": "/data/ContactChangeEvent", "data": {"payload": payload}});
    let long = "x".repeat(70_000);
    for (reply, kept) in [
        (
            json!([{"channel": "/event/Order__e", "data": {"payload": {"Email": "jo@firm.example"}}}]),
            None,
        ),
        (
            json!([{"channel": "/data/OtherChangeEvent", "data": {"a": "jo@firm.example"}}]),
            None,
        ),
        (
            json!([{"channel": "/DATA/ContactChangeEvent", "data": {"a": "jo@firm.example"}}]),
            None,
        ),
        (
            json!([{"channel": "/topic/Nobodys", "data": {"sobject": {"Email": "jo@firm.example"}}}]),
            None,
        ),
        (
            json!([{"data": {"payload": {"Email": "jo@firm.example"}}}]),
            None,
        ),
        (json!([{"channel": 7, "data": "jo@firm.example"}]), None),
        // The event comes before the channel that says how to treat it, and is too long to wait.
        (
            json!([{"a": long, "channel": "/data/ContactChangeEvent"}]),
            None,
        ),
        (
            json!([event(json!({"ChangeEventHeader": header}))]),
            Some(
                json!({"ChangeEventHeader": {"entityName": "Contact", "recordIds": ["0035g000000000AAAQ"],
                "changeType": "GAP_UPDATE", "changedFields": ["Title"]}}),
            ),
        ),
        (
            json!([event(
                json!({"SALARY__C": 1, "Salary__c": 2, "Nothing__c": "jo@firm.example", "Title": {"a": 1},
                "Name": {"FirstName": "Jo", "Secret": "x"}, "MailingAddress": ["jo@firm.example"]})
            )]),
            Some(json!({"Title": null, "Name": {"FirstName": "Jo"}, "MailingAddress": null})),
        ),
    ] {
        let got = told(&reply).unwrap_or_else(|abort| panic!("{reply}: {abort}"));
        match kept {
            None => assert_eq!(got[0]["channel"], "/privet/withheld", "{got}"),
            Some(kept) => assert_eq!(got[0]["data"]["payload"], kept),
        }
        let text = got.to_string();
        assert!(
            !text.contains("firm.example") && !text.contains("xxxx"),
            "{text}"
        );
    }
    for reply in [
        json!([event(
            json!({"ChangeEventHeader": {"entityName": "Account"}})
        )]),
        json!([{"channel": "/meta/connect", "clientId": "jo@firm.example"}]),
    ] {
        assert!(told(&reply).is_err(), "{reply}");
    }
    let twice = r#"[{"channel":"/meta/connect","channel":"/data/ContactChangeEvent","data":{"payload":{"Salary__c":1}}}]"#;
    assert!(house.treated("desk", COMETD, &body, twice).is_err());
    let failed = json!([{"channel": "/meta/subscribe", "successful": false, "error": "403:jo@firm.example:no",
        "ext": {"sfdc": {"failureReason": "jo@firm.example"}}, "advice": {"reconnect": "none", "hosts": ["crm"]}}]);
    assert_eq!(
        told(&failed).unwrap(),
        json!([{"channel": "/meta/subscribe", "successful": false, "error": "403::the message was not accepted",
            "ext": {}, "advice": {"reconnect": "none"}}])
    );
}
