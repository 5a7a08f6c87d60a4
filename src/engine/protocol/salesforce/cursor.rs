//! Cursors: the upstream's locator and everything needed to understand its page anew, sealed for one caller.
//!
//! A cursor is one URL path segment. It expires [`LIFETIME_S`] after the page that showed it. Where it would be longer
//! than [`CURSOR_BYTES_MAX`] the link leads to [`TOO_LONG`] instead, which is always refused with a clear text: further
//! pages are never hidden in silence.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::{Deserialize, Serialize};

use crate::engine::identity::Identity;
use crate::engine::refusal::{Reason, Refusal};
use crate::engine::token::Sealer;

use super::soql::QUERY_BYTES_MAX;

/// Longest cursor, in bytes.
pub const CURSOR_BYTES_MAX: usize = 6 * 1024;
/// How long a cursor lives, in seconds. Salesforce keeps its own for two days.
pub const LIFETIME_S: i64 = 24 * 60 * 60;
/// The segment of a page whose cursor would be too long.
pub const TOO_LONG: &str = "cursor-too-long";
/// Longest upstream locator, in bytes.
const LOCATOR_BYTES_MAX: usize = 200;

/// What a cursor holds.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// Format of this structure.
    format: u8,
    api: Arc<str>,
    /// API version (major).
    pub(super) version: u16,
    /// `queryAll` rather than `query`.
    pub(super) all: bool,
    /// As the caller wrote it.
    pub(super) soql: Arc<str>,
    /// The child query whose page it is.
    pub(super) child: Option<u16>,
    /// The upstream's own locator.
    pub(super) locator: String,
    subject: Arc<str>,
    client: Option<Arc<str>>,
    /// Sorted.
    roles: Vec<Arc<str>>,
    purpose: Option<Arc<str>>,
    issued_s: i64,
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

fn roles(caller: &Identity) -> Vec<Arc<str>> {
    let mut roles = caller.roles.clone();
    roles.sort_unstable();
    roles.dedup();
    roles
}

pub(super) fn invalid() -> Refusal {
    Refusal::new(Reason::InvalidCursor, "invalid query locator")
}

impl Cursor {
    /// A cursor of `caller` that points nowhere yet.
    pub(super) fn new(
        api: &Arc<str>,
        version: u16,
        all: bool,
        soql: &str,
        caller: &Identity,
    ) -> Self {
        Self {
            format: 1,
            api: api.clone(),
            version,
            all,
            soql: soql.into(),
            child: None,
            locator: String::new(),
            subject: caller.subject.clone(),
            client: caller.client.clone(),
            roles: roles(caller),
            purpose: caller.purpose_asked.clone(),
            issued_s: caller.now_s,
        }
    }

    /// Opens `segment` for `caller`.
    ///
    /// # Errors
    /// One answer for unknown, expired, of another API or caller.
    pub(super) fn open(
        segment: &str,
        open: &dyn Fn(&str) -> Option<Vec<u8>>,
        api: &str,
        caller: &Identity,
    ) -> Result<Self, Refusal> {
        if segment == TOO_LONG {
            return Err(Refusal::new(
                Reason::InvalidCursor,
                "invalid query locator: the query is too long for further pages, ask with LIMIT or fewer literals",
            ));
        }
        if segment.len() > CURSOR_BYTES_MAX {
            return Err(invalid());
        }
        let packed = open(segment).ok_or_else(invalid)?;
        let mut plain = Vec::new();
        let bound = 2 * QUERY_BYTES_MAX as u64 + (64 << 10);
        DeflateDecoder::new(&*packed)
            .take(bound)
            .read_to_end(&mut plain)
            .map_err(|_| invalid())?;
        let cursor: Self = serde_json::from_slice(&plain).map_err(|_| invalid())?;
        let age_s = caller.now_s.saturating_sub(cursor.issued_s);
        let own = cursor.format == 1
            && &*cursor.api == api
            && cursor.subject == caller.subject
            && cursor.client == caller.client
            && cursor.roles == roles(caller)
            && cursor.purpose == caller.purpose_asked
            && (0..=LIFETIME_S).contains(&age_s)
            && is_locator(&cursor.locator);
        if own { Ok(cursor) } else { Err(invalid()) }
    }

    /// Seals it; `None` when it would be too long.
    fn seal(&self, seal: &dyn Fn(&[u8]) -> String) -> Option<String> {
        let plain = serde_json::to_vec(self).ok()?;
        let mut packer = DeflateEncoder::new(Vec::new(), Compression::best());
        packer.write_all(&plain).ok()?;
        let text = seal(&packer.finish().ok()?);
        (text.len() <= CURSOR_BYTES_MAX).then_some(text)
    }
}

/// Whether `text` may be a locator of Salesforce (`01g…-2000`).
fn is_locator(text: &str) -> bool {
    (1..=LOCATOR_BYTES_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// Turns the upstream's `nextRecordsUrl` into one that leads back here. Pure and deterministic.
pub struct NextPage {
    pub(super) cursor: Cursor,
    pub(super) sealer: Arc<Sealer>,
    pub(super) upstream_origin: Arc<str>,
}

impl std::fmt::Debug for NextPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NextPage").finish_non_exhaustive()
    }
}

impl NextPage {
    /// `/services/data/vNN.0/query/<cursor>` for the upstream's link; `None` if that is not a link to a page.
    pub fn link(&self, upstream: &str) -> Option<String> {
        self.link_with(upstream, &|plain| self.sealer.seal(plain))
    }

    fn link_with(&self, upstream: &str, seal: &dyn Fn(&[u8]) -> String) -> Option<String> {
        let path = upstream
            .strip_prefix(&*self.upstream_origin)
            .unwrap_or(upstream);
        let rest = path.strip_prefix("/services/data/v")?;
        let (_, rest) = rest.split_once('/')?;
        let locator = rest
            .strip_prefix("query/")
            .or_else(|| rest.strip_prefix("queryAll/"))?;
        if !is_locator(locator) {
            return None;
        }
        let mut cursor = self.cursor.clone();
        cursor.locator = locator.to_owned();
        let segment = cursor.seal(seal);
        let endpoint = if cursor.all { "queryAll" } else { "query" };
        Some(format!(
            "/services/data/v{}.0/{endpoint}/{}",
            cursor.version,
            segment.as_deref().unwrap_or(TOO_LONG)
        ))
    }
}
