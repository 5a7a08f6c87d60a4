//! The admin pages: who may see them, what may be done there, and what they never hold.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::house::{Answer, House, run, shared};

const PAGES: [&str; 11] = [
    "/flow",
    "/flow?span=7d",
    "/policy",
    "/policy?role=bi",
    "/policy/diff",
    "/audit",
    "/alerts?severity=high",
    "/persons",
    "/why",
    "/try",
    "/runtime",
];

/// Sends one request to the admin listener.
pub(crate) async fn send(
    house: &House,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut stream = TcpStream::connect(house.admin).await.unwrap();
    let lines: String = headers
        .iter()
        .map(|(n, v)| format!("{n}: {v}\r\n"))
        .collect();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: admin.test\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n{lines}\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut raw = Vec::new();
    let _ = stream.read_to_end(&mut raw).await;
    Answer::parse(raw)
}

pub(crate) fn tokens(house: &House) -> (String, String) {
    let admin = &house.carrier.settings.admin;
    let exposed = |t: &Option<privet::engine::secret::Secret<String>>| {
        t.as_ref().unwrap().expose_secret().clone()
    };
    (exposed(&admin.token), exposed(&admin.viewer_token))
}

pub(crate) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Signs in with a form and gives the session's cookie.
pub(crate) async fn sign_in(house: &House, token: &str) -> String {
    let answer = send(
        house,
        "POST",
        "/login",
        &[],
        &format!("token={token}&next=%2Faudit"),
    )
    .await;
    assert_eq!(answer.status, 303, "{}", answer.head);
    assert_eq!(answer.header("location"), Some("/audit".to_owned()));
    let cookie = answer.header("set-cookie").unwrap();
    assert!(
        cookie.contains("httponly") || cookie.contains("HttpOnly"),
        "{cookie}"
    );
    cookie.split(';').next().unwrap().to_owned()
}

/// The form token that a page holds.
pub(crate) fn form_token(page: &str) -> String {
    let at = page.find("name=\"form_token\" value=\"").unwrap();
    let rest = &page[at + 25 - 1..];
    let rest = rest.trim_start_matches('"');
    rest[..rest.find('"').unwrap()].to_owned()
}

#[test]
fn nothing_is_shown_to_strangers() {
    run(async {
        let house = shared().await;
        for target in PAGES
            .iter()
            .chain(&["/audit/tail", "/policy.csv", "/", "/nowhere"])
        {
            let tool = send(house, "GET", target, &[], "").await;
            assert_eq!(tool.status, 401, "{target}: a tool gets no page");
            let person = send(house, "GET", target, &[("Accept", "text/html")], "").await;
            assert_eq!(person.status, 303, "{target}");
            assert!(
                person
                    .header("location")
                    .unwrap()
                    .starts_with("/login?next=")
            );
        }
        let wrong = send(house, "GET", "/flow", &[("Authorization", "Bearer no")], "").await;
        assert_eq!(wrong.status, 401);
        for (target, status) in [
            ("/livez", 200),
            ("/metrics", 200),
            ("/login", 200),
            ("/assets/privet.js", 200),
        ] {
            assert_eq!(
                send(house, "GET", target, &[], "").await.status,
                status,
                "{target}"
            );
        }
        let refused = send(
            house,
            "POST",
            "/login",
            &[],
            "token=wrong&next=//evil.example",
        )
        .await;
        assert_eq!(refused.status, 403);
        assert!(house.audit().contains("admin-login-refused"));
    });
}

#[test]
fn every_page_stands_without_inline_script_or_style() {
    run(async {
        let house = shared().await;
        let (operator, viewer) = tokens(house);
        for token in [operator, viewer] {
            for target in PAGES {
                let bearer = bearer(&token);
                let answer = send(house, "GET", target, &[("Authorization", &bearer)], "").await;
                let page = answer.text();
                assert_eq!(answer.status, 200, "{target}: {page}");
                let policy = answer.header("content-security-policy").unwrap();
                for needed in [
                    "default-src 'none'",
                    "script-src 'self'",
                    "frame-ancestors 'none'",
                ] {
                    assert!(policy.contains(needed), "{policy}");
                }
                assert!(!policy.contains("unsafe"), "{policy}");
                assert!(page.starts_with("<!DOCTYPE html>"), "{target}");
                for inline in [
                    "<style",
                    " style=",
                    "<script>",
                    " onclick=",
                    "javascript:",
                    "http://",
                    "https://",
                ] {
                    // Addresses of upstreams are text of the configuration.
                    if target == "/runtime" && inline.starts_with("http") {
                        continue;
                    }
                    assert!(!page.contains(inline), "{target} holds {inline}");
                }
                assert!(!page.contains("demo-service-token"), "{target}");
                assert!(!page.contains(&token), "{target}");
            }
        }
    });
}

#[test]
fn only_operators_reload_and_only_by_a_form_of_theirs() {
    run(async {
        let house = shared().await;
        let (operator, viewer) = tokens(house);
        let (looks, works) = (
            sign_in(house, &viewer).await,
            sign_in(house, &operator).await,
        );
        let token = async |cookie: &str| {
            let page = send(house, "GET", "/runtime", &[("Cookie", cookie)], "").await;
            form_token(&page.text())
        };
        let (of_viewer, of_operator) = (token(&looks).await, token(&works).await);
        let post = async |cookie: &str, form: &str, extra: (&str, &str)| {
            let body = format!("form_token={form}");
            send(
                house,
                "POST",
                "/reload",
                &[("Cookie", cookie), extra],
                &body,
            )
            .await
            .status
        };
        let own = ("Origin", "http://admin.test");
        assert_eq!(post(&looks, &of_viewer, own).await, 403, "a viewer");
        assert_eq!(post(&works, "", own).await, 403, "no form token");
        assert_eq!(
            post(&works, &of_viewer, own).await,
            403,
            "another session's"
        );
        let other = ("Origin", "http://evil.example");
        assert_eq!(
            post(&works, &of_operator, other).await,
            403,
            "another origin"
        );
        let site = ("Sec-Fetch-Site", "same-site");
        assert_eq!(
            post(&works, &of_operator, site).await,
            403,
            "another port of this host"
        );
        assert!(!house.audit().contains("admin-reload"));
        assert_eq!(post(&works, &of_operator, own).await, 200);
        assert_eq!(
            send(house, "GET", "/reload", &[("Cookie", &works)], "")
                .await
                .status,
            404
        );
        let audit = house.audit();
        assert!(audit.contains("admin-reload") && audit.contains("operator from 127.0.0.1"));
        // Out is out.
        let body = format!("form_token={of_operator}");
        let left = send(house, "POST", "/logout", &[("Cookie", &works), own], &body).await;
        assert_eq!(left.status, 303);
        let after = send(house, "GET", "/runtime", &[("Cookie", &works)], "").await;
        assert_eq!(after.status, 401);
    });
}

#[test]
fn what_is_pasted_is_answered_and_forgotten() {
    run(async {
        let house = shared().await;
        let (_, viewer) = tokens(house);
        let bearer = bearer(&viewer);
        let canary = "canary-4711@leak.test";
        let record = format!("%7B%22Email%22:%22{canary}%22,%22Birthdate%22:%221987-05-23%22%7D");
        let form = format!("object=Contact&client=tableau&region=eu&role=bi&json={record}");
        let answer = send(house, "POST", "/try", &[("Authorization", &bearer)], &form).await;
        let page = answer.text();
        assert_eq!(answer.status, 200);
        assert!(
            page.contains("@token.invalid") && page.contains("1987-01-01"),
            "{page}"
        );
        assert_eq!(page.matches(canary).count(), 1, "before, and not after");
        assert!(
            page.contains("rules/analytics.csv:"),
            "with the rule that decided"
        );
        for target in PAGES.iter().chain(&["/metrics", "/policy.csv"]) {
            let later = send(house, "GET", target, &[("Authorization", &bearer)], "").await;
            assert!(!later.text().contains(canary), "{target}");
        }
        assert!(!house.audit().contains(canary));
        // Tokens of this page are no tokens of a caller.
        let again = send(house, "POST", "/try", &[("Authorization", &bearer)], &form).await;
        let token = |page: &str| {
            let at = page.find("@token.invalid").unwrap();
            page[at - 40..at].to_owned()
        };
        assert_ne!(token(&page), token(&again.text()));
        // Markup that is pasted stays text.
        let markup =
            "object=Contact&client=tableau&json=%3Cscript%3Ealert(1)%3C/script%3E%3C/textarea%3E";
        let answer = send(house, "POST", "/try", &[("Authorization", &bearer)], markup).await;
        assert!(
            !answer.text().contains("<script>alert"),
            "{}",
            answer.text()
        );
    });
}
