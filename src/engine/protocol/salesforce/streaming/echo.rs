//! What a refusal repeats of the messages that it answers, so that a client knows which of them failed: channels of
//! Bayeux's own, and ids. A subscription is a text that could be anything, and ids are enough to tell messages apart.

use serde_json::{Map, Value, json};

/// Most messages that are answered one by one.
const MESSAGES_MAX: usize = 20;
/// Longest text that is repeated, in bytes.
const TEXT_MAX: usize = 18;

/// The messages of a refused request: channel and id of each, as the client wrote them. `Debug` does not show them.
#[derive(Clone, Default)]
pub struct Echoes(Vec<Map<String, Value>>);

impl std::fmt::Debug for Echoes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Echoes({})", self.0.len())
    }
}

impl Echoes {
    /// Of a request's body, whatever it is.
    pub fn of(body: &[u8]) -> Self {
        let messages = match serde_json::from_slice(body) {
            Ok(Value::Array(messages)) => messages,
            Ok(message @ Value::Object(_)) => vec![message],
            _ => Vec::new(),
        };
        Self(messages.iter().take(MESSAGES_MAX).map(echo).collect())
    }

    /// The answer that says that none of them was carried out. `status`: HTTP's; `code` and `message` as in other shapes.
    pub fn refused(&self, status: u16, code: &str, message: &str) -> Value {
        // `code:arguments:text`; a colon more would end the text early for those who take it apart.
        let number = if code == UNKNOWN_CLIENT { 403 } else { status };
        let error = format!("{number}:{code}:{}", message.replace(':', " -"));
        // Beside other messages a poll is not what was refused: it goes on by itself.
        let alone = self.0.len() <= 1;
        let answer = |echo: &Map<String, Value>| {
            let mut reply = echo.clone();
            reply.insert("successful".into(), false.into());
            reply.insert("error".into(), error.as_str().into());
            let channel = echo.get("channel").and_then(Value::as_str);
            let polls = matches!(channel, None | Some("/meta/connect" | "/meta/handshake"));
            // Without advice a client asks again at once, and for ever.
            let advice = match status {
                _ if code == UNKNOWN_CLIENT => {
                    Some(json!({"reconnect": "handshake", "interval": 0}))
                }
                400..500 if polls && !alone && status != 401 => {
                    Some(json!({"reconnect": "retry", "interval": 0}))
                }
                500.. if polls => Some(json!({"reconnect": "retry", "interval": 5000})),
                _ if polls || status == 401 => Some(json!({"reconnect": "none", "interval": 0})),
                _ => None,
            };
            reply.extend(advice.map(|advice| ("advice".to_owned(), advice)));
            Value::Object(reply)
        };
        if self.0.is_empty() {
            // Where nothing was read, it is said where Salesforce says that a session is over.
            let poll = Map::from_iter([("channel".to_owned(), "/meta/connect".into())]);
            return Value::Array(vec![answer(&poll)]);
        }
        self.0.iter().map(answer).collect()
    }
}

/// The code of a client id that is not the caller's.
const UNKNOWN_CLIENT: &str = "UNKNOWN_CLIENT";

fn echo(message: &Value) -> Map<String, Value> {
    let mut found = Map::new();
    for key in ["channel", "id"] {
        match message.get(key) {
            Some(Value::String(text)) if (if key == "id" { is_plain } else { is_meta })(text) => {
                found.insert(key.into(), text.as_str().into());
            }
            Some(Value::Number(number)) if key == "id" => {
                found.insert(key.into(), number.clone().into());
            }
            _ => {}
        }
    }
    found
}

/// Counters, as clients make them; nothing that could be a value.
fn is_plain(text: &str) -> bool {
    text.len() <= TEXT_MAX
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// Channels of the protocol itself.
fn is_meta(text: &str) -> bool {
    let kind = text.strip_prefix("/meta/");
    kind.is_some_and(|kind| kind.len() <= TEXT_MAX && kind.bytes().all(|b| b.is_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_messages_that_it_answers() {
        let body =
            br#"[{"channel":"/meta/subscribe","id":"3","clientId":"c","subscription":"/topic/T"},
            {"channel":"/meta/connect","id":4,"subscription":"jo@example.org"}]"#;
        let told = Echoes::of(body).refused(403, "INSUFFICIENT_ACCESS", "X: no");
        assert_eq!(
            told,
            json!([
                {"channel": "/meta/subscribe", "id": "3", "successful": false,
                 "error": "403:INSUFFICIENT_ACCESS:X - no"},
                {"channel": "/meta/connect", "id": 4, "successful": false,
                 "error": "403:INSUFFICIENT_ACCESS:X - no", "advice": {"reconnect": "retry", "interval": 0}}
            ])
        );
        let poll = Echoes::of(br#"[{"channel":"/meta/connect","id":"4"}]"#);
        let told = poll.refused(403, "INSUFFICIENT_ACCESS", "no");
        assert_eq!(told[0]["advice"]["reconnect"], "none");
        for body in ["", "[]", "x", "7"] {
            let told = Echoes::of(body.as_bytes()).refused(401, "INVALID_SESSION_ID", "no");
            assert_eq!(told[0]["advice"]["reconnect"], "none");
            assert_eq!(told[0]["channel"], "/meta/connect");
        }
        let told = Echoes::of(body).refused(200, UNKNOWN_CLIENT, "Unknown client");
        assert_eq!(told[0]["advice"]["reconnect"], "handshake");
    }
}
