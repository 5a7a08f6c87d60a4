//! The extraction attack over the Streaming API: a subscriber who guesses at a column that it may not read.
//!
//! An administrator's PushTopic that picks records by the column would say for each change whether a guess is right; so
//! would a filter in a channel's name. The names of changed fields would say that the column was written.

use privet::demo::metadata::object;
use privet::demo::store::Value;
use serde_json::{Value as Json, json};

use super::attacker::{COLUMNS, VICTIM, guarded, house, open};
use crate::house::{ANALYST, DESK, DESK_US, House, MARKETING, run};

const COMETD: &str = "/cometd/61.0";
const CHANGES: &str = "/data/ContactChangeEvent";
const TOPIC: &str = "/topic/Guess";

/// Statuses and bodies, without what differs from one conversation to the next.
type Said = Vec<(u16, Json)>;

async fn tell(house: &House, who: &str, client: &str, channel: &str, more: Json) -> (u16, Json) {
    let mut message = json!({"channel": channel, "id": "1", "clientId": client});
    for (key, value) in more.as_object().unwrap() {
        message[key] = value.clone();
    }
    let answer = house
        .ask(who, "POST", COMETD, &json!([message]).to_string())
        .await;
    let mut said = answer.json();
    for part in said.as_array_mut().unwrap() {
        for path in ["/clientId", "/data/event/replayId", "/error"] {
            if let Some(value) = part.pointer_mut(path) {
                *value = Json::Null;
            }
        }
        if let Some(header) = part.pointer_mut("/data/payload/ChangeEventHeader") {
            for name in ["transactionKey", "commitNumber", "commitTimestamp"] {
                header.as_object_mut().unwrap().remove(name);
            }
        }
    }
    (answer.status, said)
}

/// Subscribes, has the victim's record changed by somebody else, and polls.
async fn listen(house: &House, who: &str, channel: &str, write: (&str, &str)) -> Said {
    let client = house.handshake(who).await;
    let mut said = Vec::new();
    said.push(
        tell(
            house,
            who,
            &client,
            "/meta/subscribe",
            json!({"subscription": channel}),
        )
        .await,
    );
    {
        let mut store = house.services.crm.store_mut();
        let contact = object("Contact").unwrap();
        store.set(contact, VICTIM, write.0, Value::text(write.1));
        store.set(
            contact,
            VICTIM,
            "LastModifiedDate",
            Value::text("2026-11-23T12:00:00.000+0000"),
        );
    }
    // The first poll of a client is answered at once, whatever there is.
    let polls = json!({"connectionType": "long-polling"});
    said.push(tell(house, who, &client, "/meta/connect", polls).await);
    said
}

/// What is heard on the topic if it picks records by `field` and a guess.
async fn guess(house: &House, who: &str, field: &str, guess: &str) -> Said {
    let query = format!("SELECT Id, Title FROM Contact WHERE {field} LIKE '{guess}%'");
    house.services.crm.streams().keep_topic("Guess", &query);
    listen(house, who, TOPIC, ("Title", "the same")).await
}

#[test]
fn a_topic_does_not_say_whether_a_guess_is_right() {
    run(async {
        let guarded = house(guarded()).await;
        let open = house(open()).await;
        for (field, secret) in COLUMNS {
            let wrong = "zz";
            for who in [DESK, ANALYST, MARKETING] {
                let right = guess(&guarded, who, field, &secret[..4]).await;
                assert_eq!(
                    right,
                    guess(&guarded, who, field, wrong).await,
                    "{who} {field}"
                );
                assert!(!json!(right).to_string().contains(secret));
                assert_eq!(right[0].0, 400, "{who} {field}");
            }
            // Whoever reads the column in clear learns nothing new, and hears the difference.
            let right = guess(&open, DESK, field, &secret[..4]).await;
            assert_ne!(right, guess(&open, DESK, field, wrong).await, "{field}");
            let filtered = format!("{TOPIC}?{field}='{}'", &secret[..4]);
            let said = listen(&guarded, DESK, &filtered, ("Title", "x")).await;
            assert_eq!(said[0].0, 403);
        }
    });
}

#[test]
fn a_change_does_not_name_the_column_that_was_written() {
    run(async {
        let guarded = house(guarded()).await;
        for (field, secret) in COLUMNS {
            // Whom the column is dropped for hears of it neither by name nor by value.
            let said = json!(listen(&guarded, DESK, CHANGES, (field, secret)).await).to_string();
            assert!(
                said.contains("\"recordIds\"") && said.contains("LastModifiedDate"),
                "{said}"
            );
            assert!(!said.contains(field) && !said.contains(secret), "{said}");
            // Whom it is masked or a token for hears its name, and no more.
            for who in [ANALYST, MARKETING] {
                let said = json!(listen(&guarded, who, CHANGES, (field, secret)).await).to_string();
                assert!(said.contains(field) && !said.contains(secret), "{said}");
            }
            let clear = listen(&guarded, DESK_US.title, CHANGES, (field, secret)).await;
            assert!(json!(clear).to_string().contains(secret), "{clear:?}");
        }
    });
}
