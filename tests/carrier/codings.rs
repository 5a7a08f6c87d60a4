//! Content codings over real sockets, on both sides and in both directions.

use bytes::Bytes;
use privet::config::Compress;
use privet::engine::coding::{Coding, Decoder, Encoder};

use crate::fixture::{KEY, Origin, Proxy, Reply, dechunk, split};
use crate::{ITEMS, status};

const CODINGS: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

fn word(coding: Coding) -> &'static str {
    coding.word().expect("a word")
}

fn encoded(coding: Coding, text: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new(coding).expect("memory").expect("a coding");
    let mut out = encoder
        .push(text)
        .expect("written")
        .unwrap_or_default()
        .to_vec();
    out.extend(encoder.finish().expect("finished"));
    out
}

fn decoded(coding: Coding, body: Vec<u8>) -> Vec<u8> {
    let mut decoder = Decoder::new(coding, u64::MAX, u64::MAX);
    let mut out = Vec::new();
    decoder
        .push(Bytes::from(body), |piece| {
            out.extend_from_slice(&piece);
            Ok(())
        })
        .expect("decodes");
    decoder.finish().expect("complete");
    out
}

fn answer(coding: &str, body: &[u8]) -> Reply {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: {coding}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    Reply::raw([head.as_bytes(), body].concat())
}

#[tokio::test]
async fn answers_in_every_coding_are_read_and_nothing_else_is() {
    let origin = Origin::start(|request| {
        let case = request.split("case=").nth(1).expect("a case");
        let case = case.split(' ').next().expect("a word");
        match CODINGS.into_iter().find(|c| word(*c) == case) {
            Some(coding) => answer(case, &encoded(coding, ITEMS.as_bytes())),
            None if case == "cut" => {
                let body = encoded(Coding::Zstd, ITEMS.as_bytes());
                answer("zstd", &body[..body.len() - 1])
            }
            None if case == "behind" => {
                let mut body = encoded(Coding::Brotli, ITEMS.as_bytes());
                body.push(b'x');
                answer("br", &body)
            }
            None if case == "chained" => {
                let once = encoded(Coding::Gzip, ITEMS.as_bytes());
                answer("gzip, gzip", &encoded(Coding::Gzip, &once))
            }
            None => answer(case, ITEMS.as_bytes()),
        }
    })
    .await;
    let proxy = Proxy::start(origin.address, None).await;
    for coding in CODINGS {
        let (head, body) = proxy.get(&format!("/a?case={}", word(coding))).await;
        assert!(!head.contains("content-encoding"), "{head}");
        assert_eq!(
            dechunk(&body).as_deref(),
            Some(ITEMS.as_bytes()),
            "{coding:?}"
        );
    }
    for bad in ["compress", "cut", "behind", "chained"] {
        let (head, body) = proxy.get(&format!("/a?case={bad}")).await;
        assert_eq!(status(&head), "502", "{bad}: {head}");
        assert!(!String::from_utf8_lossy(&body).contains("Ada"), "{bad}");
    }
}

#[tokio::test]
async fn extracts_leave_compressed_as_accepted_and_api_answers_only_where_that_is_set() {
    // Long enough to leave in several pieces.
    let items: Vec<String> = (0..20_000)
        .map(|id| format!(r#"{{"id":"{id}","name":"Ada"}}"#))
        .collect();
    let items = format!(r#"{{"items":[{}]}}"#, items.join(","));
    let sent = items.clone();
    let origin = Origin::start(move |_| Reply::json(&sent)).await;
    let files = Proxy::start(origin.address, None).await;
    let api = Proxy::start_with(origin.address, None, |settings| {
        for api in settings.apis.values_mut() {
            api.compress = Compress::Api;
        }
    })
    .await;
    for (proxy, target, compresses) in [
        (&files, "/extract", true),
        (&files, "/a", false),
        (&api, "/a", true),
    ] {
        for coding in CODINGS {
            let accept = format!("Accept-Encoding: {}\r\n", word(coding));
            let (head, body) = proxy.ask("GET", target, &accept).await;
            let said = format!("content-encoding: {}\r\n", word(coding));
            assert_eq!(head.contains(&said), compresses, "{target}: {head}");
            assert!(head.contains("accept-encoding"), "Vary: {head}");
            assert!(
                !head.contains("content-length") && !head.contains("etag"),
                "{head}"
            );
            let body = dechunk(&body).expect("a clean end");
            let plain = if compresses {
                assert!(body.len() < items.len() / 4, "{coding:?}");
                decoded(coding, body)
            } else {
                body
            };
            assert!(plain == items.as_bytes(), "{target} {coding:?}");
        }
        let (head, body) = proxy
            .ask("GET", target, "Accept-Encoding: gzip;q=0, compress\r\n")
            .await;
        assert!(!head.contains("content-encoding"), "{head}");
        assert!(dechunk(&body).as_deref() == Some(items.as_bytes()));
    }
}

#[tokio::test]
async fn request_bodies_are_read_in_every_coding_and_sent_without() {
    let origin = Origin::start(|_| Reply::json(ITEMS)).await;
    let proxy = Proxy::start_with(origin.address, None, |settings| {
        settings.limits.request_body_bytes_max = 4096;
    })
    .await;
    let post = |coding: &'static str, body: Vec<u8>| {
        let head = format!(
            "POST /a HTTP/1.1\r\nHost: crm.test\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let proxy = &proxy;
        async move {
            split(
                &proxy
                    .exchange(&[head.into_bytes(), body].concat(), false)
                    .await,
            )
        }
    };
    let text = br#"{"asked":"for"}"#;
    for coding in CODINGS {
        let (head, _) = post(word(coding), encoded(coding, text)).await;
        assert_eq!(status(&head), "200", "{coding:?}: {head}");
        let sent = origin.requests().pop().expect("a request");
        assert!(sent.ends_with(r#"{"asked":"for"}"#), "{sent}");
        assert!(
            !sent.to_ascii_lowercase().contains("content-encoding"),
            "{sent}"
        );
    }
    let asked = origin.requests().len();
    let bomb = encoded(Coding::Gzip, &vec![b' '; 1 << 20]);
    let cut = encoded(Coding::Zstd, text);
    let cut = cut[..cut.len() - 1].to_vec();
    let once = encoded(Coding::Gzip, text);
    for (coding, body, expected) in [
        ("gzip", bomb, "413"),
        ("zstd", cut, "400"),
        ("gzip", text.to_vec(), "400"),
        ("gzip, gzip", once.clone(), "415"),
        ("compress", once, "415"),
    ] {
        let (head, _) = post(coding, body).await;
        assert_eq!(status(&head), expected, "{coding}: {head}");
    }
    assert_eq!(origin.requests().len(), asked);
}
