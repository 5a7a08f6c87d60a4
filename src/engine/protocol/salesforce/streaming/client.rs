//! Client ids: the upstream's own, sealed for one caller. Another's opens to nothing, so nobody polls what another has
//! subscribed.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::engine::identity::Identity;
use crate::engine::refusal::{Reason, Refusal};
use crate::engine::token::Sealer;

/// Longest client id of an upstream, in characters.
const CLIENT_ID_MAX: usize = 128;

/// Whom a client id belongs to. It has no time of its own: the upstream ends a session whose client does not poll.
#[derive(Clone, Serialize, Deserialize, PartialEq)]
pub(in super::super) struct Session {
    /// Tells it from whatever else is sealed.
    kind: Box<str>,
    api: Arc<str>,
    subject: Arc<str>,
    client: Option<Arc<str>>,
    /// Sorted.
    roles: Vec<Arc<str>>,
    purpose: Option<Arc<str>>,
    /// The upstream's own id.
    id: String,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Session {
    /// A session of `caller` whose id is not known yet.
    pub(super) fn new(api: &Arc<str>, caller: &Identity) -> Self {
        let mut roles = caller.roles.clone();
        roles.sort_unstable();
        roles.dedup();
        Self {
            kind: "stream".into(),
            api: api.clone(),
            subject: caller.subject.clone(),
            client: caller.client.clone(),
            roles,
            purpose: caller.purpose_asked.clone(),
            id: String::new(),
        }
    }

    /// The upstream's id in `text`, if it was sealed for this session's caller.
    pub(super) fn open(
        &self,
        text: &str,
        open: &dyn Fn(&str) -> Option<Vec<u8>>,
    ) -> Result<String, Refusal> {
        let found: Option<Self> = open(text).and_then(|plain| serde_json::from_slice(&plain).ok());
        let own = found.filter(|found| {
            let same = Self {
                id: found.id.clone(),
                ..self.clone()
            };
            *found == same && is_client_id(&found.id)
        });
        own.map(|found| found.id).ok_or_else(unknown_client)
    }
}

/// What Salesforce says of an id that it does not know (any more): the client shakes hands again.
fn unknown_client() -> Refusal {
    Refusal::new(Reason::InvalidCursor, "Unknown client").coded("UNKNOWN_CLIENT")
}

fn is_client_id(text: &str) -> bool {
    (1..=CLIENT_ID_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'!' | b'.'))
}

/// Turns the upstream's client id into the caller's. Pure and deterministic: the same in every answer.
pub struct StreamClient {
    session: Session,
    sealer: Arc<Sealer>,
}

impl std::fmt::Debug for StreamClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamClient").finish_non_exhaustive()
    }
}

impl StreamClient {
    pub(in super::super) fn new(session: Session, sealer: Arc<Sealer>) -> Self {
        Self { session, sealer }
    }

    /// The caller's id for the upstream's; `None` for what is no id.
    pub fn rewrite(&self, upstream: &str) -> Option<Cow<'static, str>> {
        if !is_client_id(upstream) {
            return None;
        }
        let session = Session {
            id: upstream.to_owned(),
            ..self.session.clone()
        };
        let sealed = self.sealer.seal(&serde_json::to_vec(&session).ok()?);
        (!sealed.is_empty()).then_some(Cow::Owned(sealed))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{api, caller};
    use super::*;

    #[test]
    fn an_id_returns_to_its_caller_alone() {
        let sealer = crate::engine::token::KeyRing::generate(&[3; 64]).sealer("acme");
        let session = Session::new(&api().name, &caller("ana"));
        let ids = StreamClient::new(session.clone(), Arc::clone(&sealer));
        let sealed = ids.rewrite("2t80j2hcog29sdh9ihjd9643a").unwrap();
        assert_eq!(ids.rewrite("2t80j2hcog29sdh9ihjd9643a").unwrap(), sealed);
        let open = |text: &str| sealer.open(text);
        assert_eq!(
            session.open(&sealed, &open).unwrap(),
            "2t80j2hcog29sdh9ihjd9643a"
        );
        let others: [fn(&mut Identity); 4] = [
            |c| c.subject = "bob".into(),
            |c| c.client = None,
            |c| c.roles.truncate(1),
            |c| c.purpose_asked = Some("support".into()),
        ];
        for change in others {
            let mut other = caller("ana");
            change(&mut other);
            let other = Session::new(&api().name, &other);
            assert_eq!(other.open(&sealed, &open), Err(unknown_client()));
        }
        let raw = session.open("2t80j2hcog29sdh9ihjd9643a", &open);
        assert_eq!(raw, Err(unknown_client()));
        assert_eq!(ids.rewrite("jo@example.org"), None);
    }
}
