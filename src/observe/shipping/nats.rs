//! NATS JetStream: each record is published with its name as `Nats-Msg-Id`, by which the stream drops what comes twice,
//! and counts once the stream has acknowledged it. The few lines of the client protocol that this needs are spoken here.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use super::dial::Stream;
use super::{Dial, Format, NotTaken, Sink, render, uid};
use crate::engine::secret::Secret;

/// Most messages whose acknowledgement is waited for at a time.
const WINDOW: usize = 256;
/// Longest line of the protocol, bytes.
const LINE_BYTES_MAX: u64 = 64 << 10;
/// Longest message that is read, bytes: acknowledgements are short.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Who privet is there.
#[derive(Debug, Clone, Default)]
pub struct NatsLogin {
    /// User and password.
    pub user: Option<(String, Secret<String>)>,
    /// Or a token.
    pub token: Option<Secret<String>>,
}

/// A JetStream stream that takes `subject`.
#[derive(Debug)]
pub struct NatsSink {
    dial: Dial,
    subject: String,
    login: NatsLogin,
    timeout: Duration,
    connection: Option<Connection>,
}

impl NatsSink {
    /// Connects with the first batch. `timeout`: longest time for one batch.
    pub fn new(dial: Dial, subject: String, login: NatsLogin, timeout: Duration) -> Self {
        Self {
            dial,
            subject,
            login,
            timeout,
            connection: None,
        }
    }

    async fn publish(&mut self, format: Format, records: &[Value]) -> Result<(), NotTaken> {
        // After a failure nobody knows what is still on its way: the next batch begins anew.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.dial, &self.login).await?,
        };
        for window in records.chunks(WINDOW) {
            connection.publish(&self.subject, format, window).await?;
        }
        self.connection = Some(connection);
        Ok(())
    }
}

impl Sink for NatsSink {
    async fn deliver(&mut self, format: Format, records: &[Value]) -> Result<(), NotTaken> {
        let timeout = self.timeout;
        tokio::time::timeout(timeout, self.publish(format, records))
            .await
            .map_err(|_| NotTaken("the server took too long".into()))?
    }
}

struct Connection {
    stream: BufReader<Stream>,
    /// Acknowledgements come to `<inbox>.<window>.<place>`.
    inbox: String,
    window: u64,
    payload_bytes_max: usize,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

/// What the server says.
enum Said {
    Pong,
    /// To this subject: the headers' first line and the payload.
    Message {
        subject: String,
        status: String,
        payload: Vec<u8>,
    },
}

impl Connection {
    async fn open(dial: &Dial, login: &NatsLogin) -> Result<Self, NotTaken> {
        // The greeting comes before TLS (unless the server is told otherwise), byte by byte so as not to read into it.
        let mut tcp = dial.tcp().await?;
        let mut greeting = Vec::new();
        while greeting.last() != Some(&b'\n') {
            if greeting.len() as u64 >= LINE_BYTES_MAX {
                return Err(NotTaken("this is no NATS server".into()));
            }
            greeting.push(tcp.read_u8().await?);
        }
        let info: Value = greeting
            .strip_prefix(b"INFO ")
            .and_then(|text| serde_json::from_slice(text).ok())
            .ok_or_else(|| NotTaken("this is no NATS server".into()))?;
        if info["headers"] != true {
            return Err(NotTaken(
                "the server is too old: it knows no headers".into(),
            ));
        }
        let secured = info["tls_required"] == true || info["tls_available"] == true;
        if dial.tls.is_some() && !secured {
            return Err(NotTaken("the server speaks no TLS".into()));
        }
        let stream = dial.secure(tcp).await?;
        let mut connection = Self {
            stream: BufReader::new(stream),
            inbox: format!("_INBOX.{}", uuid::Uuid::now_v7().simple()),
            window: 0,
            payload_bytes_max: info["max_payload"]
                .as_u64()
                .and_then(|n| usize::try_from(n).ok())
                .unwrap_or(1 << 20),
        };
        let mut options = json!({
            "verbose": false,
            "pedantic": false,
            "tls_required": dial.tls.is_some(),
            "name": "privet",
            "lang": "rust",
            "version": env!("CARGO_PKG_VERSION"),
            "protocol": 1,
            "headers": true,
            "no_responders": true,
        });
        if let Some((user, password)) = &login.user {
            options["user"] = user.as_str().into();
            options["pass"] = password.expose_secret().as_str().into();
        }
        if let Some(token) = &login.token {
            options["auth_token"] = token.expose_secret().as_str().into();
        }
        let hello = format!(
            "CONNECT {options}\r\nSUB {}.*.* 1\r\nPING\r\n",
            connection.inbox
        );
        connection.stream.write_all(hello.as_bytes()).await?;
        connection.stream.flush().await?;
        while !matches!(connection.next().await?, Said::Pong) {}
        Ok(connection)
    }

    /// Publishes, and returns when the stream has acknowledged all.
    async fn publish(
        &mut self,
        subject: &str,
        format: Format,
        records: &[Value],
    ) -> Result<(), NotTaken> {
        self.window += 1;
        let mine = format!("{}.{}.", self.inbox, self.window);
        let mut out = Vec::new();
        for (place, record) in records.iter().enumerate() {
            let headers = format!("NATS/1.0\r\nNats-Msg-Id: {}\r\n\r\n", uid(record));
            let body = render(format, record).to_string();
            let bytes = headers.len() + body.len();
            if bytes > self.payload_bytes_max {
                return Err(NotTaken("a record is larger than the server takes".into()));
            }
            let line = format!("HPUB {subject} {mine}{place} {} {bytes}\r\n", headers.len());
            for piece in [&*line, &*headers, &*body, "\r\n"] {
                out.extend_from_slice(piece.as_bytes());
            }
        }
        self.stream.write_all(&out).await?;
        self.stream.flush().await?;
        let mut open: Vec<bool> = vec![true; records.len()];
        let mut left = records.len();
        while left > 0 {
            let Said::Message {
                subject,
                status,
                payload,
            } = self.next().await?
            else {
                continue;
            };
            let Some(place) = subject
                .strip_prefix(&*mine)
                .and_then(|place| place.parse::<usize>().ok())
            else {
                continue;
            };
            acknowledged(&status, &payload)?;
            if let Some(open) = open.get_mut(place)
                && std::mem::take(open)
            {
                left -= 1;
            }
        }
        Ok(())
    }

    async fn line(&mut self) -> Result<String, NotTaken> {
        let mut line = Vec::new();
        (&mut self.stream)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)
            .await?;
        if !line.ends_with(b"\r\n") {
            return Err(NotTaken("the server broke off".into()));
        }
        line.truncate(line.len() - 2);
        String::from_utf8(line).map_err(|_| NotTaken("the server speaks no NATS".into()))
    }

    /// The next thing that matters; answers pings on the way.
    async fn next(&mut self) -> Result<Said, NotTaken> {
        loop {
            let line = self.line().await?;
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("PING") => {
                    self.stream.write_all(b"PONG\r\n").await?;
                    self.stream.flush().await?;
                }
                Some("PONG") => return Ok(Said::Pong),
                Some("+OK" | "INFO") => {}
                Some("-ERR") => {
                    let said: String = line.chars().skip(5).take(80).collect();
                    return Err(NotTaken(format!("the server says {said}")));
                }
                Some(word @ ("MSG" | "HMSG")) => {
                    let with_headers = word == "HMSG";
                    let words: Vec<&str> = words.collect();
                    return self.message(&words, with_headers).await;
                }
                _ => return Err(NotTaken("the server speaks no NATS".into())),
            }
        }
    }

    /// The message whose line had these words: subject, sid, perhaps a reply subject, perhaps the headers' bytes, all bytes.
    async fn message(&mut self, words: &[&str], with_headers: bool) -> Result<Said, NotTaken> {
        let bad = || NotTaken("the server speaks no NATS".into());
        let number = |back: usize| {
            let word = words.len().checked_sub(back).and_then(|n| words.get(n));
            word.and_then(|w| w.parse::<usize>().ok())
        };
        let bytes = number(1)
            .filter(|n| *n <= MESSAGE_BYTES_MAX)
            .ok_or_else(bad)?;
        let header_bytes = if with_headers {
            number(2).filter(|n| *n <= bytes).ok_or_else(bad)?
        } else {
            0
        };
        let mut whole = vec![0; bytes + 2];
        self.stream.read_exact(&mut whole).await?;
        whole.truncate(bytes);
        let payload = whole.split_off(header_bytes);
        let headers = String::from_utf8_lossy(&whole);
        Ok(Said::Message {
            subject: (*words.first().ok_or_else(bad)?).to_owned(),
            status: headers.lines().next().unwrap_or_default().to_owned(),
            payload,
        })
    }
}

/// Whether an answer to a publication says that the stream has it.
fn acknowledged(status: &str, payload: &[u8]) -> Result<(), NotTaken> {
    // "No responders": no stream takes the subject.
    if status.starts_with("NATS/1.0 503") {
        return Err(NotTaken("no stream takes the subject".into()));
    }
    let answer: Value = serde_json::from_slice(payload).unwrap_or_default();
    if answer["error"].is_null() && answer["stream"].is_string() && answer["seq"].is_u64() {
        return Ok(());
    }
    let code = &answer["error"]["err_code"];
    Err(NotTaken(format!(
        "the stream refused a record, error {code}"
    )))
}

#[cfg(test)]
mod tests {
    use super::acknowledged;

    #[test]
    fn only_a_stream_that_says_so_has_it() {
        let taken = br#"{"stream":"AUDIT","seq":7}"#;
        assert!(acknowledged("", taken).is_ok());
        assert!(acknowledged("", br#"{"stream":"AUDIT","seq":7,"duplicate":true}"#).is_ok());
        for (status, payload) in [
            ("NATS/1.0 503", &b""[..]),
            ("", b""),
            ("", b"{}"),
            (
                "",
                br#"{"error":{"code":503,"err_code":10077},"stream":"AUDIT","seq":0}"#,
            ),
        ] {
            assert!(acknowledged(status, payload).is_err(), "{status}");
        }
    }
}
