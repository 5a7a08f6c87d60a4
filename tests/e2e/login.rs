//! Clients that log in by themselves: the login ends at privet, and nothing leads past it.

use privet::demo::callers::CALLERS;
use privet::observe::audit::{Checks, verify};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::clients::Client;
use crate::expected::Expected;
use crate::house::House;

/// What `client` got of a house, logging in as the demo's first caller.
async fn logged_in(client: Client) -> Option<(House, Value)> {
    let house = House::new(true).await;
    let got = house.asked_by(client).await?;
    let audit = verify(&house.state().join("audit"), &Checks::default()).unwrap();
    assert_eq!(audit.open, 0);
    for asked in house.crm.seen() {
        assert!(!asked.target.contains("Soap") && !asked.target.starts_with("/id/"));
    }
    Some((house, got))
}

/// What holds for every way to log in.
fn sees_its_records(house: &House, one: &Value) {
    assert!(one["token"].as_str().unwrap().starts_with("pvs_"));
    let records = one["records"].as_array().unwrap();
    assert_eq!(records.len(), 2);
    let expected = Expected::new(house, &CALLERS[0]);
    for record in records {
        assert_eq!(*record, expected.contact(record, &["Id", "Email"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jsforce_logs_in_at_privet() {
    let Some((house, got)) = logged_in(Client::JsforceLogin).await else {
        return;
    };
    for way in ["soap", "password", "client_credentials", "found"] {
        let one = &got[way];
        sees_its_records(&house, one);
        assert_eq!(one["instanceUrl"], house.origin.as_str(), "{way}");
        let who = &one["who"];
        assert_eq!(who["username"], CALLERS[0].client, "{way}");
        if way != "found" {
            assert_eq!(one["user"]["id"], who["user_id"], "{way}");
            assert_eq!(
                one["user"]["organizationId"], who["organization_id"],
                "{way}"
            );
        }
        for url in who["urls"].as_object().unwrap().values() {
            assert!(url.as_str().unwrap().starts_with(&house.origin), "{url}");
        }
    }
    let failures = &got["failures"];
    let says = |way: &str, text: &str| {
        let message = failures[way]["message"].as_str().unwrap();
        assert!(message.contains(text), "{way}: {message}");
    };
    says("soap", "INVALID_LOGIN");
    says("password", "authentication failure");
    assert_eq!(failures["password"]["name"], "invalid_grant");
    assert_eq!(failures["code"]["name"], "unsupported_grant_type");
    assert_eq!(failures["refresh"]["name"], "unsupported_grant_type");
    assert_eq!(failures["session"]["code"], "INVALID_SESSION_ID");
}

#[tokio::test(flavor = "multi_thread")]
async fn simple_salesforce_logs_in_at_privet() {
    let Some((house, got)) = logged_in(Client::SimpleSalesforceLogin).await else {
        return;
    };
    let host = house.origin.strip_prefix("https://").unwrap();
    for way in ["soap", "password", "client_credentials"] {
        sees_its_records(&house, &got[way]);
        assert_eq!(got[way]["instance"], host, "{way}");
    }
    let failures = &got["failures"];
    for (way, code) in [
        ("soap", "INVALID_LOGIN"),
        ("password", "invalid_grant"),
        ("client_credentials", "invalid_client"),
    ] {
        assert_eq!(
            failures[way]["kind"], "SalesforceAuthenticationFailed",
            "{way}"
        );
        assert_eq!(failures[way]["code"], code, "{way}");
    }
}

/// Status, head and body of one request over a connection of its own.
pub(crate) async fn raw(
    house: &House,
    method: &str,
    target: &str,
    head: &str,
    body: &str,
) -> (u16, String, String) {
    let host = house.origin.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{head}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let head = head.to_ascii_lowercase();
    let body = if head.contains("transfer-encoding: chunked") {
        unchunked(body)
    } else {
        body.to_owned()
    };
    (status, head, body)
}

fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, tail)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        body.push_str(&tail[..size]);
        rest = tail[size..].strip_prefix("\r\n").unwrap();
    }
    body
}

const FORM: &str = "content-type: application/x-www-form-urlencoded\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_good_wherever_a_crm_takes_one_and_says_nothing_of_the_crm() {
    let house = House::new(false).await;
    let (key, other) = (house.issue(&CALLERS[0]), house.issue(&CALLERS[1]));
    let serving = house.serve().await;
    let client = CALLERS[0].client;
    let token = "/services/oauth2/token";
    let form =
        |key: &str| format!("grant_type=client_credentials&client_id={client}&client_secret={key}");
    let (status, head, body) = raw(&house, "POST", token, FORM, &form(&key)).await;
    assert_eq!(status, 200, "{body}");
    assert!(head.contains("cache-control: private, no-store") && !head.contains("set-cookie"));
    let answer: Value = serde_json::from_str(&body).unwrap();
    let session = answer["access_token"].as_str().unwrap();
    assert_eq!(answer["instance_url"], house.origin.as_str());

    // As a bearer, as Bulk API 1.0's header, as SOAP's session id; never as two at once.
    let resources = "/services/data/v61.0";
    for head in [
        format!("authorization: Bearer {session}\r\n"),
        format!("authorization: OAuth {session}\r\n"),
        format!("x-sfdc-session: {session}\r\n"),
        format!("x-sfdc-session: {key}\r\n"),
    ] {
        let (status, _, body) = raw(&house, "GET", resources, &head, "").await;
        assert_eq!(status, 200, "{head} {body}");
        let resources: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(resources["identity"], answer["id"]);
    }
    let both = format!("authorization: Bearer {session}\r\nx-sfdc-session: {session}\r\n");
    assert_eq!(raw(&house, "GET", resources, &both, "").await.0, 400);
    let soap = |session: &str| {
        format!(
            "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Header><SessionHeader>\
             <sessionId>{session}</sessionId></SessionHeader></e:Header><e:Body><merge/></e:Body></e:Envelope>"
        )
    };
    let xml = "content-type: text/xml\r\n";
    for (session, code) in [
        (session, "INSUFFICIENT_ACCESS"),
        ("pvs_x", "INVALID_SESSION_ID"),
    ] {
        let (status, _, body) =
            raw(&house, "POST", "/services/Soap/u/61.0", xml, &soap(session)).await;
        assert_eq!(status, 500);
        assert!(
            body.contains(&format!("<faultcode>sf:{code}</faultcode>")),
            "{body}"
        );
    }

    // Who asks about a session learns of its own alone.
    let about =
        |client: &str, key: &str| format!("token={session}&client_id={client}&client_secret={key}");
    let introspect = "/services/oauth2/introspect";
    let (_, _, body) = raw(&house, "POST", introspect, FORM, &about(client, &key)).await;
    let told: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (&told["active"], &told["client_id"]),
        (&true.into(), &client.into())
    );
    let (_, _, body) = raw(
        &house,
        "POST",
        introspect,
        FORM,
        &about(CALLERS[1].client, &other),
    )
    .await;
    assert_eq!(body, r#"{"active":false}"#);

    for (method, target, head, body, status, says) in [
        (
            "POST",
            token,
            FORM,
            form("pvt_no"),
            400,
            "\"error\":\"invalid_client\"",
        ),
        (
            "POST",
            token,
            "",
            form(&key),
            400,
            "\"error\":\"invalid_request\"",
        ),
        (
            "GET",
            token,
            "",
            String::new(),
            405,
            "\"error\":\"invalid_request\"",
        ),
        (
            "POST",
            "/services/oauth2/token?x=1",
            FORM,
            form(&key),
            400,
            "invalid_request",
        ),
        (
            "POST",
            token,
            FORM,
            "x".repeat(20_000),
            413,
            "\"error\":\"invalid_request\"",
        ),
        (
            "POST",
            introspect,
            FORM,
            about(client, "pvt_no"),
            400,
            "\"error\":\"invalid_client\"",
        ),
        (
            "GET",
            "/services/oauth2/authorize?response_type=code",
            "",
            String::new(),
            400,
            "\"error\":\"unsupported_response_type\"",
        ),
        (
            "POST",
            "/services/oauth2/revoke",
            FORM,
            format!("token={session}"),
            400,
            "\"error\":\"unsupported_token_type\"",
        ),
        (
            "GET",
            "/services/oauth2/userinfo",
            "",
            String::new(),
            401,
            "INVALID_SESSION_ID",
        ),
        (
            "GET",
            "/services/Soap/u/61.0",
            "",
            String::new(),
            405,
            "METHOD_NOT_ALLOWED",
        ),
        (
            "POST",
            "/services/Soap/u/61.0",
            xml,
            "<x/>".to_owned(),
            500,
            "INVALID_REQUEST",
        ),
    ] {
        let (got, head, body) = raw(&house, method, target, head, &body).await;
        assert_eq!(got, status, "{method} {target} {body}");
        assert!(body.contains(says), "{method} {target} {body}");
        assert_eq!(
            head.contains("\r\nallow: post\r\n"),
            status == 405,
            "{head}"
        );
    }
    let long = format!("/services/data/v61.0/query?q={}", "a".repeat(20_000));
    let (status, _, body) = raw(&house, "GET", &long, "", "").await;
    assert_eq!(status, 414);
    assert!(
        body.starts_with("[{\"message\":") && body.contains("\"URI_TOO_LONG\""),
        "{body}"
    );
    assert!(!body.contains("pvt_"));

    // Nothing of all that went upstream but the reads.
    for asked in house.crm.seen() {
        let reads = asked.target == resources || asked.target == token;
        assert!(reads, "{}", asked.target);
    }
    serving.stop().await.unwrap();
    let audit = verify(&house.state().join("audit"), &Checks::default()).unwrap();
    assert_eq!(audit.open, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_wrong_logins_is_recorded_and_not_looked_at() {
    let house = House::new(false).await;
    let key = house.issue(&CALLERS[0]);
    let serving = house.serve().await;
    let form = |key: &str| {
        let client = CALLERS[0].client;
        format!("grant_type=password&username={client}&password={key}")
    };
    let token = "/services/oauth2/token";
    for _ in 0..20 {
        let (status, _, body) = raw(&house, "POST", token, FORM, &form("pvt_no")).await;
        assert_eq!(status, 400);
        assert!(body.contains("authentication failure"), "{body}");
    }
    let (status, _, body) = raw(&house, "POST", token, FORM, &form(&key)).await;
    assert_eq!(status, 400);
    assert!(body.contains("login rate exceeded"), "{body}");
    serving.stop().await.unwrap();
    let audit = verify(&house.state().join("audit"), &Checks::default()).unwrap();
    // The start of the log, start and end of the service, and attempt and outcome of each login.
    assert_eq!((audit.records, audit.open), (45, 0));
}
