//! Links that lead back to the proxy.

use std::borrow::Cow;
use std::sync::Arc;

use crate::engine::protocol::salesforce::streaming::StreamClient;
use crate::engine::protocol::salesforce::{NextPage, errors};
use crate::engine::rewrite::LinkRewriter;
use crate::engine::token::{Tokenizer, long_record_id};
use crate::engine::treatment::{Resolver, Scalar, Treated};

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

/// `/services/data/v61.0/sobjects/Contact/003…` of one of these objects, its id as it is or replaced by its token.
/// Whatever else stands where a record's own url belongs is removed.
#[derive(Debug)]
pub(super) struct RecordUrl {
    pub(super) objects: Vec<Arc<str>>,
    pub(super) upstream: Arc<str>,
    pub(super) tokenizer: Option<Arc<Tokenizer>>,
}

impl LinkRewriter for RecordUrl {
    fn rewrite<'a>(&self, upstream: &'a str) -> Option<Cow<'a, str>> {
        let own = match upstream.get(..self.upstream.len()) {
            Some(origin) if origin.eq_ignore_ascii_case(&self.upstream) => {
                &upstream[self.upstream.len()..]
            }
            _ => upstream,
        };
        let (path, id) = own.rsplit_once('/')?;
        let (version, object) = path
            .strip_prefix("/services/data/v")?
            .split_once("/sobjects/")?;
        let is_version = (1..=6).contains(&version.len())
            && version.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if !is_version
            || !self.objects.iter().any(|o| o.eq_ignore_ascii_case(object))
            || !(id.len() == 15 || id.len() == 18)
            || !id.bytes().all(|b| b.is_ascii_alphanumeric())
        {
            return None;
        }
        let Some(tokenizer) = &self.tokenizer else {
            return Some(own.into());
        };
        let mut url = format!("{path}/");
        tokenizer.token(&long_record_id(id), &mut url);
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

/// A position stays, anything else is removed.
#[derive(Debug)]
pub(super) struct Position;

impl LinkRewriter for Position {
    fn rewrite<'a>(&self, upstream: &'a str) -> Option<Cow<'a, str>> {
        let plain = upstream
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'_' | b'!' | b'T'));
        plain.then_some(Cow::Borrowed(upstream))
    }
}

/// `CODE:text:fields --`, as bulk jobs spell an error in a cell: the code as [`ErrorCode`] has it, and nothing else.
#[derive(Debug)]
pub(super) struct ErrorText;

impl Resolver for ErrorText {
    fn resolve<'b>(&self, value: Scalar<'_>, buf: &'b mut String) -> Treated<'b> {
        let Scalar::Text(text) = value else {
            return Treated::Same;
        };
        let code = text.split(':').next().unwrap_or_default();
        buf.push_str(errors::passing(code.trim()).unwrap_or(errors::OTHER_CODE));
        Treated::Text(buf)
    }
}

/// The upstream's client id of the Streaming API → the caller's own.
#[derive(Debug)]
pub(super) struct ClientId(pub(super) StreamClient);

impl LinkRewriter for ClientId {
    fn rewrite<'a>(&self, upstream: &'a str) -> Option<Cow<'a, str>> {
        self.0.rewrite(upstream)
    }

    fn is_required(&self) -> bool {
        true
    }
}

/// `403:argument:text` of a message that failed: the digits stay, arguments and text may hold anything.
#[derive(Debug)]
pub(super) struct MessageError;

impl LinkRewriter for MessageError {
    fn rewrite<'a>(&self, upstream: &'a str) -> Option<Cow<'a, str>> {
        let digits = upstream.get(..3);
        let digits = digits.filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
        Some(format!("{}::the message was not accepted", digits.unwrap_or("400")).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_records_url_leads_to_a_record_of_its_object_or_nowhere() {
        let link = RecordUrl {
            objects: vec!["Contact".into()],
            upstream: "https://acme.my.example".into(),
            tokenizer: None,
        };
        let path = "/services/data/v61.0/sobjects/Contact/0035g000000001AAAQ";
        assert_eq!(link.rewrite(path).as_deref(), Some(path));
        let absolute = format!("https://acme.my.example{path}");
        assert_eq!(link.rewrite(&absolute).as_deref(), Some(path));
        for bad in [
            "/services/data/v61.0/sobjects/Lead/00Q5g000000001AAAQ",
            "/services/data/v61.0/sobjects/Contact/jo@example.org",
            "/services/data/v61.0/sobjects/Contact/Email/0035g000000001AAAQ",
            "/services/data/v61.0/sobjects/Contact/0035g000000001AAAQ?a=b",
            "/services/data/vjo@example.org/sobjects/Contact/0035g000000001AAAQ",
            "https://evil.example/services/data/v61.0/sobjects/Contact/0035g000000001AAAQ",
            "jo@example.org",
            "",
        ] {
            assert_eq!(link.rewrite(bad), None, "{bad}");
        }
    }

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
