//! Links that lead back to the proxy.

use std::borrow::Cow;
use std::sync::Arc;

use crate::engine::protocol::salesforce::{NextPage, errors};
use crate::engine::rewrite::LinkRewriter;
use crate::engine::token::{Tokenizer, long_record_id};

/// An absolute URL of the upstream's origin → the public origin; a path stays; anything else is removed.
#[derive(Debug)]
pub(super) struct OriginLink {
    pub(super) upstream: Arc<str>,
    pub(super) public: Arc<str>,
}

impl LinkRewriter for OriginLink {
    fn rewrite<'a>(&self, upstream: &'a str) -> Option<Cow<'a, str>> {
        if upstream.bytes().any(|b| b.is_ascii_control() || b == b'\\') {
            return None;
        }
        // `//host/` is another origin; a relative path without a slash stays relative.
        if upstream.starts_with('/') && !upstream.starts_with("//") {
            return Some(upstream.into());
        }
        let rest = upstream.get(self.upstream.len()..)?;
        let same = upstream
            .get(..self.upstream.len())?
            .eq_ignore_ascii_case(&self.upstream);
        (same && (rest.is_empty() || rest.starts_with(['/', '?', '#'])))
            .then(|| format!("{}{rest}", self.public).into())
    }
}

/// The upstream's locator → the caller's own sealed cursor.
#[derive(Debug)]
pub(super) struct NextPageLink {
    pub(super) page: NextPage,
}

impl LinkRewriter for NextPageLink {
    fn rewrite<'a>(&self, upstream: &'a str) -> Option<Cow<'a, str>> {
        self.page.link(upstream).map(Cow::Owned)
    }

    fn is_required(&self) -> bool {
        true
    }
}

/// A mapped API's link to a further page; `None` = none may be followed.
#[derive(Debug)]
pub(super) struct MappedPageLink(pub(super) Option<OriginLink>);

impl LinkRewriter for MappedPageLink {
    fn rewrite<'a>(&self, upstream: &'a str) -> Option<Cow<'a, str>> {
        // Some APIs say "" where there is no further page, or name it by its query alone.
        match (&self.0, upstream) {
            (_, "") => Some(Cow::Borrowed("")),
            (Some(_), query) if query.starts_with('?') => Some(Cow::Borrowed(query)),
            (Some(origin), link) => origin.rewrite(link),
            (None, _) => None,
        }
    }

    fn is_required(&self) -> bool {
        true
    }
}

/// `/services/data/v61.0/sobjects/Contact/003…` with the id in its last segment replaced by its token.
#[derive(Debug)]
pub(super) struct RecordUrl {
    pub(super) tokenizer: Arc<Tokenizer>,
}

impl LinkRewriter for RecordUrl {
    fn rewrite<'a>(&self, upstream: &'a str) -> Option<Cow<'a, str>> {
        let (path, id) = upstream.rsplit_once('/')?;
        if !(id.len() == 15 || id.len() == 18)
            || !id.bytes().all(|b| b.is_ascii_alphanumeric())
            || !path.starts_with("/services/")
        {
            return None;
        }
        let mut url = format!("{path}/");
        self.tokenizer.token(&long_record_id(id), &mut url);
        Some(url.into())
    }
}

/// An error code from the closed list stays, any other becomes the one that stands for all.
#[derive(Debug)]
pub(super) struct ErrorCode;

impl LinkRewriter for ErrorCode {
    fn rewrite<'a>(&self, upstream: &'a str) -> Option<Cow<'a, str>> {
        Some(Cow::Borrowed(
            errors::passing(upstream).unwrap_or(errors::OTHER_CODE),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_upstreams_own_origin_is_followed() {
        let link = OriginLink {
            upstream: "https://acme.my.example".into(),
            public: "https://crm.acme.example".into(),
        };
        for (given, expected) in [
            (
                "https://acme.my.example/a?b",
                Some("https://crm.acme.example/a?b"),
            ),
            ("HTTPS://ACME.my.example", Some("https://crm.acme.example")),
            ("/services/data/v61.0", Some("/services/data/v61.0")),
            ("https://acme.my.example.evil.test/a", None),
            ("https://acme.my.example@evil.test/", None),
            ("//evil.test/", None),
            ("http://acme.my.example/a", None),
            ("", None),
        ] {
            assert_eq!(link.rewrite(given).as_deref(), expected, "{given}");
        }
    }
}
