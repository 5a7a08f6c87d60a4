//! Who may come in: tokens, sessions, and what proves that a form was ours.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use data_encoding::BASE64URL_NOPAD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use crate::config::Admin;

/// How long a session lasts.
const SESSION: Duration = Duration::from_secs(12 * 3600);
/// Most sessions; the oldest one ends for a new one.
const SESSIONS_MAX: usize = 256;
/// Most wrong tokens in [`WINDOW`]; then none is looked at until it is over.
const WRONG_MAX: u32 = 20;
const WINDOW: Duration = Duration::from_secs(60);

/// What a visitor may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Look.
    Viewer,
    /// Look, and reload.
    Operator,
}

impl Role {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }
}

/// Somebody who is in.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    pub(super) role: Role,
    /// What the forms of this session carry; `None` = a bearer token came with the request itself, which no other
    /// site can send.
    pub(super) form_token: Option<String>,
    /// When the session ends.
    pub(super) until: Instant,
}

impl Visitor {
    /// Whether a form with this token is one of ours.
    pub(super) fn sent(&self, form_token: Option<&str>) -> bool {
        match &self.form_token {
            None => true,
            // Not secret from its own session, so that a plain comparison tells nothing.
            Some(own) => form_token == Some(own),
        }
    }
}

/// Why a login did not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    Wrong,
    TooMany,
}

/// The doors of one admin listener.
pub(super) struct Doors {
    random: SystemRandom,
    /// New for each process: tokens and session ids are compared by their tags under it, in constant time.
    key: hmac::Key,
    tokens: Vec<(hmac::Tag, Role)>,
    sessions: Mutex<HashMap<Vec<u8>, Session>>,
    wrong: Mutex<(Instant, u32)>,
    cookie: String,
}

#[derive(Debug, Clone, Copy)]
struct Session {
    role: Role,
    began: Instant,
}

impl std::fmt::Debug for Doors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Doors")
    }
}

impl Doors {
    /// `None` = no token is configured, so there are no pages (or the system has no randomness). `port` tells the
    /// cookies of several listeners on one host apart: cookies know no ports.
    pub(super) fn new(settings: &Admin, port: u16) -> Option<Self> {
        let random = SystemRandom::new();
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &random).ok()?;
        let tokens: Vec<(hmac::Tag, Role)> = [
            (&settings.token, Role::Operator),
            (&settings.viewer_token, Role::Viewer),
        ]
        .into_iter()
        .filter_map(|(token, role)| {
            let token = token.as_ref()?;
            Some((hmac::sign(&key, token.expose_secret().as_bytes()), role))
        })
        .collect();
        if tokens.is_empty() {
            return None;
        }
        Some(Self {
            random,
            key,
            tokens,
            sessions: Mutex::default(),
            wrong: Mutex::new((Instant::now(), 0)),
            cookie: format!("privet_admin_{port}"),
        })
    }

    /// The role that `token` opens. Looks at every token, each in constant time.
    pub(super) fn role(&self, token: &str) -> Result<Role, Closed> {
        {
            let mut wrong = lock(&self.wrong);
            if wrong.0.elapsed() > WINDOW {
                *wrong = (Instant::now(), 0);
            }
            if wrong.1 >= WRONG_MAX {
                return Err(Closed::TooMany);
            }
        }
        let mut found = None;
        for (tag, role) in &self.tokens {
            if hmac::verify(&self.key, token.as_bytes(), tag.as_ref()).is_ok() {
                found = Some(*role);
            }
        }
        found.ok_or_else(|| {
            lock(&self.wrong).1 += 1;
            Closed::Wrong
        })
    }

    /// A new session; the cookie that carries it. `None` = the system has no randomness.
    pub(super) fn admit(&self, role: Role) -> Option<String> {
        let mut id = [0_u8; 32];
        self.random.fill(&mut id).ok()?;
        let id = BASE64URL_NOPAD.encode(&id);
        let mut sessions = lock(&self.sessions);
        sessions.retain(|_, s| s.began.elapsed() < SESSION);
        if sessions.len() >= SESSIONS_MAX
            && let Some(oldest) = sessions
                .iter()
                .min_by_key(|(_, s)| s.began)
                .map(|(k, _)| k.clone())
        {
            sessions.remove(&oldest);
        }
        let began = Instant::now();
        sessions.insert(self.tag(&id), Session { role, began });
        Some(format!(
            "{}={id}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}",
            self.cookie,
            SESSION.as_secs()
        ))
    }

    /// Ends the session of this request; the cookie that says so.
    pub(super) fn leave(&self, headers: &HeaderMap) -> String {
        if let Some(id) = self.session_id(headers) {
            lock(&self.sessions).remove(&self.tag(id));
        }
        format!(
            "{}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0",
            self.cookie
        )
    }

    /// Who sends this request, if it is somebody: by session, or by bearer token.
    pub(super) fn visitor(&self, headers: &HeaderMap) -> Option<Visitor> {
        let bearer = headers
            .get(AUTHORIZATION)
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.strip_prefix("Bearer "));
        if let Some(token) = bearer {
            let role = self.role(token).ok()?;
            return Some(Visitor {
                role,
                form_token: None,
                until: Instant::now() + SESSION,
            });
        }
        let id = self.session_id(headers)?;
        let session = *lock(&self.sessions).get(&self.tag(id))?;
        if session.began.elapsed() >= SESSION {
            return None;
        }
        let form = hmac::sign(&self.key, format!("form {id}").as_bytes());
        Some(Visitor {
            role: session.role,
            form_token: Some(BASE64URL_NOPAD.encode(form.as_ref())),
            until: session.began + SESSION,
        })
    }

    fn session_id<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| *name == self.cookie)
            .map(|(_, id)| id)
    }

    fn tag(&self, id: &str) -> Vec<u8> {
        hmac::sign(&self.key, format!("session {id}").as_bytes())
            .as_ref()
            .to_vec()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a POST comes from a page of this listener, as far as the browser says: `Sec-Fetch-Site` and `Origin`, where
/// there are such. Tools that are no browsers send neither.
pub(super) fn is_own_form(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|v| v.to_str().unwrap_or("?"));
    let site = text("sec-fetch-site");
    if !matches!(site, None | Some("same-origin" | "none")) {
        return false;
    }
    match (text(ORIGIN.as_str()), text(HOST.as_str())) {
        (None, _) => true,
        (Some(origin), Some(host)) => origin
            .split_once("://")
            .is_some_and(|(scheme, at)| matches!(scheme, "http" | "https") && at == host),
        (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::secret::Secret;

    fn doors() -> Doors {
        let settings = Admin {
            address: ([127, 0, 0, 1], 0).into(),
            token: Some(Secret::new("opens-all".to_owned())),
            viewer_token: Some(Secret::new("opens-some".to_owned())),
        };
        Doors::new(&settings, 9090).unwrap()
    }

    fn with(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(n, v)| (http::HeaderName::from_static(n), v.parse().unwrap()))
            .collect()
    }

    #[test]
    fn tokens_open_their_role_and_wrong_ones_run_out() {
        let doors = doors();
        assert_eq!(doors.role("opens-all"), Ok(Role::Operator));
        assert_eq!(doors.role("opens-some"), Ok(Role::Viewer));
        for _ in 0..WRONG_MAX {
            assert_eq!(doors.role("opens-al"), Err(Closed::Wrong));
        }
        assert_eq!(doors.role("opens-all"), Err(Closed::TooMany));
    }

    #[test]
    fn a_session_is_its_cookie_and_ends_with_it() {
        let doors = doors();
        let cookie = doors.admit(Role::Viewer).unwrap();
        for needed in ["HttpOnly", "SameSite=Strict", "privet_admin_9090="] {
            assert!(cookie.contains(needed), "{cookie}");
        }
        let pair = cookie.split(';').next().unwrap();
        let headers = with(&[("cookie", &format!("a=b; {pair}"))]);
        let visitor = doors.visitor(&headers).unwrap();
        assert_eq!(visitor.role, Role::Viewer);
        assert!(visitor.sent(visitor.form_token.as_deref()));
        assert!(!visitor.sent(None) && !visitor.sent(Some("x")));
        let other = with(&[("cookie", &doors.admit(Role::Viewer).unwrap())]);
        let other = doors.visitor(&other).unwrap();
        assert!(
            !visitor.sent(other.form_token.as_deref()),
            "another session's form"
        );
        doors.leave(&headers);
        assert!(doors.visitor(&headers).is_none());
        assert!(doors.visitor(&with(&[])).is_none());
        let bearer = with(&[("authorization", "Bearer opens-some")]);
        assert!(doors.visitor(&bearer).unwrap().sent(None));
    }

    #[test]
    fn sessions_are_bounded() {
        let doors = doors();
        for _ in 0..SESSIONS_MAX + 5 {
            doors.admit(Role::Viewer).unwrap();
        }
        assert_eq!(lock(&doors.sessions).len(), SESSIONS_MAX);
    }

    #[test]
    fn forms_of_other_origins_are_known() {
        let host = ("host", "127.0.0.1:9090");
        for (headers, own) in [
            (with(&[host]), true),
            (with(&[host, ("origin", "http://127.0.0.1:9090")]), true),
            (with(&[host, ("origin", "http://127.0.0.1:9091")]), false),
            (with(&[host, ("origin", "http://evil.example")]), false),
            (with(&[host, ("origin", "null")]), false),
            (with(&[("origin", "http://127.0.0.1:9090")]), false),
            (with(&[host, ("sec-fetch-site", "same-site")]), false),
            (with(&[host, ("sec-fetch-site", "cross-site")]), false),
            (with(&[host, ("sec-fetch-site", "same-origin")]), true),
        ] {
            assert_eq!(is_own_form(&headers), own, "{headers:?}");
        }
    }

    #[test]
    fn without_a_token_there_are_no_doors() {
        let settings = Admin {
            address: ([127, 0, 0, 1], 0).into(),
            token: None,
            viewer_token: None,
        };
        assert!(Doors::new(&settings, 1).is_none());
    }
}
