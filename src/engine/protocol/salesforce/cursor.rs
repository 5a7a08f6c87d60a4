//! Cursors: the upstream's locator and everything needed to understand its page anew, sealed for one caller.
//!
//! A cursor is one URL path segment. It expires [`LIFETIME_S`] after the page that showed it. Where it would be longer
//! than [`CURSOR_BYTES_MAX`], or the upstream's link is not understood, the link leads to [`NO_CURSOR`] instead, which is
//! always refused with a clear text: further pages are never hidden in silence.
//!
//! The id of a bulk job is sealed in the same way and lives [`JOB_LIFETIME_S`]: nothing of a job is kept here, so that
//! a restart forgets none, and each later request about it is understood and decided anew.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::{Deserialize, Serialize};

use crate::engine::identity::Identity;
use crate::engine::refusal::{Reason, Refusal};
use crate::engine::token::Sealer;

use super::soql::QUERY_BYTES_MAX;

/// Longest cursor, in bytes: with the path before it, it fits the 16 KiB that a request target may have here and at
/// Salesforce ("URI length limits", REST API Developer Guide).
pub const CURSOR_BYTES_MAX: usize = 15 * 1024;
/// How long a cursor lives, in seconds. Salesforce keeps its own for two days.
pub const LIFETIME_S: i64 = 24 * 60 * 60;
/// How long the id of a bulk job lives, in seconds, from the answer that showed it. Salesforce keeps jobs and their
/// results for seven days (Bulk API 2.0 Developer Guide, "Bulk API 2.0 limits").
const JOB_LIFETIME_S: i64 = 7 * 24 * 60 * 60;
/// How far the clocks of two replicas may differ, in seconds.
const CLOCK_SKEW_S: i64 = 60;
/// The segment of a page that no cursor can lead to.
pub const NO_CURSOR: &str = "no-cursor";
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
    /// The upstream's own locator, or id of the job.
    pub(super) locator: String,
    /// What it leads to is a bulk job, not a page of a query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) job: Option<Box<Job>>,
    subject: Arc<str>,
    client: Option<Arc<str>>,
    /// Sorted.
    roles: Vec<Arc<str>>,
    purpose: Option<Arc<str>>,
    issued_s: i64,
}

/// What a bulk job was created with, as far as later requests must know it.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) operation: JobOperation,
    /// The object whose records are written; empty for queries, whose SOQL names it.
    pub(super) object: Arc<str>,
    /// The field that an upsert finds records by.
    pub(super) key: Option<Arc<str>>,
    /// `COMMA`…
    pub(super) delimiter: Arc<str>,
    /// `LF`, `CRLF`
    pub(super) line_ending: Arc<str>,
    /// The locator is that of a page of the results of this job, which is the upstream's id of it; `None`: the locator
    /// is the job's id.
    pub(super) of: Option<String>,
}

/// What a bulk job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum JobOperation {
    Query,
    QueryAll,
    Insert,
    Update,
    Upsert,
    Delete,
    HardDelete,
}

impl JobOperation {
    const WORDS: [(&'static str, Self); 7] = [
        ("query", Self::Query),
        ("queryAll", Self::QueryAll),
        ("insert", Self::Insert),
        ("update", Self::Update),
        ("upsert", Self::Upsert),
        ("delete", Self::Delete),
        ("hardDelete", Self::HardDelete),
    ];

    /// The operation that `word` names, exactly.
    pub(super) fn parse(word: &str) -> Option<Self> {
        let known = Self::WORDS.iter().find(|(known, _)| *known == word);
        known.map(|(_, operation)| *operation)
    }

    /// Its word.
    pub(super) fn word(self) -> &'static str {
        Self::WORDS[self as usize].0
    }

    /// Whether records are read, not written.
    pub(super) fn is_query(self) -> bool {
        matches!(self, Self::Query | Self::QueryAll)
    }
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

/// One text for every id that leads to no job of this caller.
pub(super) fn no_job() -> Refusal {
    Refusal::new(
        Reason::UnknownPath,
        "The requested job does not exist, is over, or was not created by this caller through this proxy",
    )
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
            job: None,
            subject: caller.subject.clone(),
            client: caller.client.clone(),
            roles: roles(caller),
            purpose: caller.purpose_asked.clone(),
            issued_s: caller.now_s,
        }
    }

    /// The id of a job of `caller` that the upstream has not created yet. `soql`: of a query job.
    pub(super) fn of_job(
        api: &Arc<str>,
        version: u16,
        soql: &str,
        job: Job,
        caller: &Identity,
    ) -> Self {
        Self {
            job: Some(Box::new(job)),
            ..Self::new(api, version, false, soql, caller)
        }
    }

    /// Whether its seal is short enough whichever id the upstream gives the job.
    pub(super) fn fits(&self) -> bool {
        let mut made = self.clone();
        made.locator = "7".repeat(18);
        // A seal adds a key id, a nonce and a tag.
        made.packed().is_some_and(|packed| {
            BASE64URL_NOPAD.encode_len(packed.len() + 64) + 16 <= CURSOR_BYTES_MAX
        })
    }

    /// Opens `segment`, the id of a bulk job or the locator of a page of its results, for `caller`. Its age stays as it
    /// is: it is shown again as it came.
    ///
    /// # Errors
    /// One answer for unknown, expired, of another API or caller.
    pub(super) fn open_job(
        segment: &str,
        open: &dyn Fn(&str) -> Option<Vec<u8>>,
        api: &str,
        caller: &Identity,
    ) -> Result<(Self, Job), Refusal> {
        let mut cursor =
            Self::opened(segment, open, api, caller, JOB_LIFETIME_S).map_err(|_| no_job())?;
        let job = cursor.job.take().ok_or_else(no_job)?;
        Ok((cursor, *job))
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
        let mut cursor = Self::opened(segment, open, api, caller, LIFETIME_S)?;
        if cursor.job.is_some() {
            return Err(invalid());
        }
        // The page after this one is shown now.
        cursor.issued_s = caller.now_s;
        Ok(cursor)
    }

    fn opened(
        segment: &str,
        open: &dyn Fn(&str) -> Option<Vec<u8>>,
        api: &str,
        caller: &Identity,
        lifetime_s: i64,
    ) -> Result<Self, Refusal> {
        if segment == NO_CURSOR {
            return Err(Refusal::new(
                Reason::InvalidCursor,
                "invalid query locator: this page has no cursor, because its query is too long or the upstream's link unusual",
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
            && (-CLOCK_SKEW_S..=lifetime_s).contains(&age_s)
            && is_locator(&cursor.locator);
        if !own {
            return Err(invalid());
        }
        Ok(cursor)
    }

    /// The upstream's own text that it holds in base64url.
    pub(super) fn foreign(&self) -> Option<String> {
        String::from_utf8(BASE64URL_NOPAD.decode(self.locator.as_bytes()).ok()?).ok()
    }

    fn packed(&self) -> Option<Vec<u8>> {
        let plain = serde_json::to_vec(self).ok()?;
        let mut packer = DeflateEncoder::new(Vec::new(), Compression::best());
        packer.write_all(&plain).ok()?;
        packer.finish().ok()
    }

    /// Seals it; `None` when it would be too long.
    fn seal(&self, seal: &dyn Fn(&[u8]) -> String) -> Option<String> {
        let text = seal(&self.packed()?);
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
    pub(super) page: Page,
    pub(super) sealer: Arc<Sealer>,
}

/// What a further page is sealed from.
pub(super) struct Page {
    pub(super) cursor: Cursor,
    pub(super) upstream_origin: Arc<str>,
    pub(super) form: Form,
}

/// How the upstream says where the next page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `nextRecordsUrl`.
    Link,
    /// SOAP's `queryLocator`, the id of a bulk job or of a report's instance: a locator alone.
    Bare,
    /// A cursor of GraphQL, a locator of Bulk API 2.0: a text of any characters, held in base64url.
    Foreign,
    /// `contentUrl` of Bulk API 2.0, `services/data/vNN.0/jobs/ingest/<job>/batches`.
    JobData,
}

impl std::fmt::Debug for NextPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NextPage").finish_non_exhaustive()
    }
}

impl NextPage {
    /// `/services/data/vNN.0/query/<cursor>` for the upstream's link; never `None`: a link that can not be sealed leads to
    /// [`NO_CURSOR`].
    pub fn link(&self, upstream: &str) -> Option<String> {
        Some(self.page.link(upstream, &|plain| self.sealer.seal(plain)))
    }
}

impl Page {
    fn link(&self, upstream: &str, seal: &dyn Fn(&[u8]) -> String) -> String {
        // The last page of SOAP says so by an empty locator, if not by null.
        if self.form == Form::Bare && upstream.is_empty() {
            return String::new();
        }
        let coded;
        let found = match self.form {
            Form::Bare => Some(upstream).filter(|u| is_locator(u)),
            Form::Link => self.locator(upstream),
            Form::JobData => upstream
                .strip_suffix("/batches")
                .and_then(|path| path.rsplit_once("/jobs/ingest/"))
                .map(|(_, job)| job)
                .filter(|job| is_locator(job)),
            Form::Foreign => {
                coded = BASE64URL_NOPAD.encode(upstream.as_bytes());
                Some(&*coded).filter(|c| is_locator(c))
            }
        };
        let segment = found.and_then(|locator| {
            let mut cursor = self.cursor.clone();
            cursor.locator = locator.to_owned();
            cursor.seal(seal)
        });
        if self.form == Form::JobData {
            let segment = segment.unwrap_or_else(|| NO_CURSOR.to_owned());
            let version = self.cursor.version;
            return format!("services/data/v{version}.0/jobs/ingest/{segment}/batches");
        }
        if self.form != Form::Link {
            return segment.unwrap_or_else(|| NO_CURSOR.to_owned());
        }
        format!(
            "/services/data/v{}.0/{}/{}",
            self.cursor.version,
            if self.cursor.all { "queryAll" } else { "query" },
            segment.as_deref().unwrap_or(NO_CURSOR)
        )
    }

    /// The locator in the upstream's `nextRecordsUrl`.
    fn locator<'u>(&self, upstream: &'u str) -> Option<&'u str> {
        let path = upstream
            .strip_prefix(&*self.upstream_origin)
            .unwrap_or(upstream);
        let (_, rest) = path.strip_prefix("/services/data/v")?.split_once('/')?;
        let locator = rest
            .strip_prefix("query/")
            .or_else(|| rest.strip_prefix("queryAll/"))?;
        is_locator(locator).then_some(locator)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{api, caller};
    use super::*;

    /// Not secret, but whole: what it did not make it does not open.
    fn seal(plain: &[u8]) -> String {
        format!("s{}", BASE64URL_NOPAD.encode(plain))
    }

    fn unseal(text: &str) -> Option<Vec<u8>> {
        BASE64URL_NOPAD
            .decode(text.strip_prefix('s')?.as_bytes())
            .ok()
    }

    /// The link that a query's page gives for the upstream's link.
    fn link(soql: &str, upstream: &str) -> String {
        let mut cursor = Cursor::new(&api().name, 61, true, soql, &caller("ana"));
        cursor.child = Some(3);
        let origin = "https://acme.my.salesforce.com";
        // What NextPage does, without a key ring.
        let page = Page {
            cursor,
            upstream_origin: origin.into(),
            form: Form::Link,
        };
        page.link(upstream, &seal)
    }

    fn open(segment: &str, caller: &Identity) -> Result<Cursor, Refusal> {
        Cursor::open(segment, &unseal, "salesforce", caller)
    }

    #[test]
    fn a_cursor_returns_to_its_caller_alone() {
        let soql = "SELECT Id FROM Contact WHERE Email = 'tk1.a.b'";
        for upstream in [
            "/services/data/v61.0/query/01gD0000002HU6K-2000",
            "https://acme.my.salesforce.com/services/data/v61.0/queryAll/01gD0000002HU6K-2000",
        ] {
            let link = link(soql, upstream);
            let segment = link.strip_prefix("/services/data/v61.0/queryAll/").unwrap();
            let cursor = open(segment, &caller("ana")).unwrap();
            assert_eq!(cursor.locator, "01gD0000002HU6K-2000");
            assert_eq!(
                (&*cursor.soql, cursor.child, cursor.all),
                (soql, Some(3), true)
            );

            let mut same = caller("ana");
            same.roles.reverse();
            same.now_s += LIFETIME_S;
            assert!(open(segment, &same).is_ok());
            let others: [fn(&mut Identity); 6] = [
                |c| c.subject = "bob".into(),
                |c| c.client = None,
                |c| c.roles.truncate(1),
                |c| c.purpose_asked = Some("support".into()),
                |c| c.now_s += LIFETIME_S + 1,
                |c| c.now_s -= CLOCK_SKEW_S + 1,
            ];
            for change in others {
                let mut other = caller("ana");
                change(&mut other);
                assert_eq!(open(segment, &other).unwrap_err(), invalid());
            }
            let elsewhere = Cursor::open(segment, &unseal, "other", &caller("ana"));
            assert_eq!(elsewhere.unwrap_err(), invalid());
        }
    }

    #[test]
    fn a_locator_of_soap_is_the_cursor_alone() {
        let page = Page {
            cursor: Cursor::new(
                &api().name,
                61,
                false,
                "SELECT Id FROM Contact",
                &caller("ana"),
            ),
            upstream_origin: "https://acme.my.salesforce.com".into(),
            form: Form::Bare,
        };
        let segment = page.link("01gD0000002HU6K-2000", &seal);
        let cursor = open(&segment, &caller("ana")).unwrap();
        assert_eq!(cursor.locator, "01gD0000002HU6K-2000");
        assert_eq!(page.link("", &seal), "");
        assert_eq!(
            page.link("/services/data/v61.0/query/01g-1", &seal),
            NO_CURSOR
        );
    }

    #[test]
    fn pages_are_never_hidden() {
        let ids: Vec<String> = (0u32..2000)
            .map(|i| format!("'{:x}'", u64::from(i).wrapping_mul(0x9E37_79B9_7F4A_7C15)))
            .collect();
        let long = format!("SELECT Id FROM Contact WHERE Id IN ({})", ids.join(","));
        let good = "/services/data/v61.0/query/01gD0000002HU6K-2000";
        for (soql, upstream) in [
            (long.as_str(), good),
            ("SELECT Id FROM Contact", "/elsewhere"),
            (
                "SELECT Id FROM Contact",
                "https://evil.test/services/data/v61.0/query/01g-1",
            ),
            (
                "SELECT Id FROM Contact",
                "/services/data/v61.0/query/../limits",
            ),
        ] {
            let link = link(soql, upstream);
            assert_eq!(link, format!("/services/data/v61.0/queryAll/{NO_CURSOR}"));
            let refusal = open(NO_CURSOR, &caller("ana")).unwrap_err();
            assert_eq!(refusal.reason, Reason::InvalidCursor);
        }
    }

    #[test]
    fn a_long_query_has_a_cursor() {
        // Ids of one org: a prefix that all share, then characters that nothing foretells.
        let ids: Vec<String> = (0u64..820)
            .map(|i| {
                let noise = i.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                let tail = BASE64URL_NOPAD.encode(&noise.to_be_bytes()[..6]);
                format!("'0035g0000{tail}AAQ'").replace(['-', '_'], "x")
            })
            .collect();
        let soql = format!("SELECT Id FROM Contact WHERE Id IN ({})", ids.join(","));
        assert!(soql.len() > 18_000, "{}", soql.len());
        let link = link(&soql, "/services/data/v61.0/query/01gD0000002HU6K-2000");
        let segment = link.strip_prefix("/services/data/v61.0/queryAll/").unwrap();
        assert!((6 * 1024..CURSOR_BYTES_MAX).contains(&segment.len()));
        assert_eq!(&*open(segment, &caller("ana")).unwrap().soql, soql);
    }

    #[test]
    fn garbage_is_no_cursor() {
        for text in ["", "01gD0000002HU6K-2000", "sAAAA", "s"] {
            assert_eq!(open(text, &caller("ana")).unwrap_err(), invalid());
        }
    }
}
