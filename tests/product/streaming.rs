//! Long polls through the carrier: its patience, its cookies, and what the ledger and the audit log are told.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};

use privet::demo::crm::Crm;
use privet::demo::metadata::object;
use privet::demo::server::{self, Handler};
use privet::demo::store::Value;
use privet::observe::audit::{Certainty, who_saw};
use serde_json::{Value as Json, json};

use crate::house::{DESK, House, Plan, run};

const COMETD: &str = "/cometd/61.0";

fn message(channel: &str, client: &str, more: &Json) -> String {
    let mut message = json!({"channel": channel, "id": "1", "clientId": client});
    for (key, value) in more.as_object().unwrap() {
        message[key] = value.clone();
    }
    json!([message]).to_string()
}

async fn subscribe(house: &House, client: &str) {
    let body = message(
        "/meta/subscribe",
        client,
        &json!({"subscription": "/data/ContactChangeEvent"}),
    );
    let told = house.ask(DESK, "POST", COMETD, &body).await.json();
    assert_eq!(told[0]["successful"], true, "{told}");
}

fn poll(client: &str) -> String {
    message(
        "/meta/connect",
        client,
        &json!({"connectionType": "long-polling"}),
    )
}

fn change(crm: &Crm, row: usize) -> String {
    let contacts = object("Contact").unwrap();
    let mut store = crm.store_mut();
    store.set(contacts, row, "Title", Value::text("Heard"));
    let now = Value::text("2026-11-23T12:00:00.000+0000");
    store.set(contacts, row, "LastModifiedDate", now);
    store.table(contacts).rows[row][0]
        .as_text()
        .unwrap()
        .to_owned()
}

/// The CRM, which answers `/limits` only once it is told to.
fn stubborn(crm: &Arc<Crm>, go_on: Receiver<()>) -> Handler {
    let answers = server::handler(crm);
    let go_on = Mutex::new(go_on);
    Arc::new(move |asked| {
        if asked.target.ends_with("/limits") {
            tokio::task::block_in_place(|| {
                let _ = go_on.lock().unwrap_or_else(PoisonError::into_inner).recv();
            });
        }
        answers(asked)
    })
}

#[test]
fn a_poll_may_take_longer_than_any_other_answer() {
    run(async {
        let crm = Arc::new(Crm::default());
        let (release, go_on) = channel();
        let house = Plan {
            salesforce: stubborn(&crm, go_on),
            crm: Arc::clone(&crm),
            settings: "limits: { upstream_head_ms: 500 }\n",
            ..Plan::default()
        }
        .build()
        .await;
        let house = Arc::new(house);
        let client = house.handshake(DESK).await;
        subscribe(&house, &client).await;
        // The first poll of a client is answered at once; the second waits.
        house.ask(DESK, "POST", COMETD, &poll(&client)).await;
        let polls = tokio::spawn({
            let (house, body) = (Arc::clone(&house), poll(&client));
            async move { house.ask(DESK, "POST", COMETD, &body).await }
        });
        let asked = || crm.seen().iter().filter(|a| a.target == COMETD).count();
        while asked() < 4 {
            tokio::task::yield_now().await;
        }
        // Another answer has its time, all of it, while the poll waits.
        let late = house.get(DESK, "/services/data/v61.0/limits").await;
        assert_eq!(late.status, 502, "{}", late.text());
        assert!(!polls.is_finished());
        release.send(()).unwrap();
        change(&crm, 11);
        let told = polls.await.unwrap().json();
        assert_eq!(told[0]["data"]["payload"]["Title"], "Heard", "{told}");
    });
}

#[test]
fn who_saw_an_event_is_known_and_cookies_stay_sealed() {
    run(async {
        let house = Plan {
            ledger: true,
            watched: false,
            ..Plan::default()
        }
        .build()
        .await;
        let client = house.handshake(DESK).await;
        subscribe(&house, &client).await;
        let id = change(&house.services.crm, 12);
        let answer = house.ask(DESK, "POST", COMETD, &poll(&client)).await;
        assert!(answer.text().contains(&id), "{}", answer.text());
        for asked in house.services.crm.seen() {
            let cookie = asked
                .header("cookie")
                .unwrap_or("BAYEUX_BROWSER=demo-browser-1");
            assert_eq!(cookie, "BAYEUX_BROWSER=demo-browser-1", "{}", asked.target);
        }
        house.carrier.log().close().await.unwrap();
        let live = house.carrier.live.current();
        let keys: Vec<_> = live.keys.ledger_keys().collect();
        let found = who_saw(&house.folder.join("audit"), &keys, &id).unwrap();
        let request = answer.header("privet-request-id").unwrap();
        let access = found
            .accesses
            .iter()
            .find(|a| *a.request_id == *request)
            .unwrap();
        assert_eq!(access.certainty, Certainty::Shown);
        assert_eq!(access.objects, ["Contact"]);
        // What privet asked for beforehand stands in the log as what it is.
        let audit = house.audit();
        assert!(audit.contains("\"push-topics\"") && audit.contains("\"stream-connect\""));
        assert!(!audit.contains(&id) && !audit.contains("demo-browser"));
    });
}

#[test]
fn refusals_are_messages_that_clients_of_bayeux_understand() {
    run(async {
        let house = crate::house::shared().await;
        let nobody = house
            .ask_bearing("pvt_none", "POST", COMETD, &poll("x"))
            .await;
        let told = nobody.json();
        assert_eq!(
            (nobody.status, &told[0]["channel"]),
            (401, &"/meta/connect".into())
        );
        assert_eq!(told[0]["advice"]["reconnect"], "none");
        assert!(nobody.header("set-cookie").is_none());

        // A client of another caller, or of a privet whose keys are gone: it shakes hands again.
        let stranger = house.ask(DESK, "POST", COMETD, &poll("x")).await;
        let told = stranger.json();
        assert_eq!((stranger.status, &told[0]["id"]), (200, &"1".into()));
        assert_eq!(told[0]["advice"]["reconnect"], "handshake");

        let events = message(
            "/meta/subscribe",
            "x",
            &json!({"subscription": "/event/Order__e"}),
        );
        let closed = house.ask(DESK, "POST", COMETD, &events).await;
        let told = closed.json();
        assert_eq!(
            (closed.status, &told[0]["successful"]),
            (403, &false.into())
        );
        let error = told[0]["error"].as_str().unwrap();
        assert!(
            error.starts_with("403:INSUFFICIENT_ACCESS:Platform events - not open"),
            "{error}"
        );
        assert!(told[0].get("advice").is_none(), "{told}");
    });
}
