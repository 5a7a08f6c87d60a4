//! Logins end at privet: what Salesforce's login endpoints are asked, and what privet answers in Salesforce's words.
//!
//! A client proves itself with its name and its API key and gets a session of privet's own; the CRM's session, host and
//! user never show. `oauth` reads and answers `/services/oauth2/…`, `soap` the login call of SOAP, `who` says who
//! somebody is: ids that privet makes up of tenant and client, since the CRM's user behind them is nobody's business.

pub mod oauth;
pub mod soap;
pub mod who;

use crate::engine::secret::Secret;

/// A path that is privet's own business: no upstream is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Door {
    /// `/services/oauth2/token`.
    Token,
    /// `/services/oauth2/introspect`.
    Introspect,
    /// `/services/oauth2/revoke`.
    Revoke,
    /// `/services/oauth2/authorize`, and whatever else begins a login of a person there.
    Authorize,
    /// `/services/oauth2/userinfo`: for who has a session.
    UserInfo,
    /// `/id/{organisation}/{user}`: for who has a session.
    Identity {
        /// The organisation of the path.
        organisation: String,
        /// The user of the path.
        user: String,
    },
    /// `/services/Soap/u|c/{version}[/{organisation}]`.
    Soap {
        /// Which of the two WSDLs: `u` = partner, `c` = enterprise.
        wsdl: soap::Wsdl,
        /// As in the path, such as `61.0`.
        version: String,
    },
    /// The partner WSDL: `/services/wsdl/partner[/{version}]`, `/soap/wsdl.jsp?type=*`.
    Wsdl {
        /// As in the path, such as `61.0`.
        version: Option<String>,
    },
}

/// Client name and API key, as a login says them. `Debug` shows neither.
pub struct Credentials {
    /// The client's name: `client_id`, or `username`.
    pub client: String,
    /// Its API key, perhaps with a security token behind it.
    pub key: Secret<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(***)")
    }
}

/// The door that a path leads to, if it is one. `segments`: decoded, a trailing slash left in.
pub fn door(segments: &[String]) -> Option<Door> {
    let mut path: Vec<&str> = segments.iter().map(String::as_str).collect();
    if path.last() == Some(&"") {
        path.pop();
    }
    match path[..] {
        ["services", "oauth2", what] => match what {
            "token" => Some(Door::Token),
            "introspect" => Some(Door::Introspect),
            "revoke" => Some(Door::Revoke),
            "userinfo" => Some(Door::UserInfo),
            "authorize" | "authorize_device" | "singleaccess" | "par" => Some(Door::Authorize),
            _ => None,
        },
        ["id", organisation, user] => Some(Door::Identity {
            organisation: organisation.to_owned(),
            user: user.to_owned(),
        }),
        ["services", "Soap", wsdl, version, ref rest @ ..] if rest.len() <= 1 => {
            let wsdl = match wsdl {
                "u" => soap::Wsdl::Partner,
                "c" => soap::Wsdl::Enterprise,
                _ => return None,
            };
            is_version(version).then(|| Door::Soap {
                wsdl,
                version: version.to_owned(),
            })
        }
        ["soap", "wsdl.jsp"] | ["services", "wsdl", "partner"] => {
            Some(Door::Wsdl { version: None })
        }
        ["services", "wsdl", "partner", version] => is_version(version).then(|| Door::Wsdl {
            version: Some(version.to_owned()),
        }),
        _ => None,
    }
}

/// `61.0`.
fn is_version(text: &str) -> bool {
    let digits = |text: &str, max: usize| {
        (1..=max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
    };
    text.split_once('.')
        .is_some_and(|(major, minor)| digits(major, 3) && digits(minor, 1))
}

impl Door {
    /// Name for audit and metrics, from a closed set.
    pub fn endpoint(&self) -> &'static str {
        match self {
            Self::Token => "oauth-token",
            Self::Introspect => "oauth-introspect",
            Self::Revoke => "oauth-revoke",
            Self::Authorize => "oauth-authorize",
            Self::UserInfo => "oauth-userinfo",
            Self::Identity { .. } => "identity",
            Self::Soap { .. } => "soap",
            Self::Wsdl { .. } => "soap-wsdl",
        }
    }

    /// The methods that it takes, as `Allow` lists them.
    pub fn methods(&self) -> &'static str {
        match self {
            Self::Token | Self::Introspect | Self::Soap { .. } => "POST",
            Self::Wsdl { .. } => "GET, HEAD",
            Self::Revoke | Self::Authorize | Self::UserInfo => "GET, HEAD, POST",
            Self::Identity { .. } => "GET, HEAD, POST",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str) -> Option<Door> {
        let segments: Vec<String> = path.split('/').skip(1).map(str::to_owned).collect();
        door(&segments)
    }

    #[test]
    fn doors_are_told_from_other_paths() {
        assert_eq!(at("/services/oauth2/token"), Some(Door::Token));
        assert_eq!(at("/services/oauth2/token/"), Some(Door::Token));
        assert!(matches!(at("/id/00D/005"), Some(Door::Identity { .. })));
        for path in [
            "/services/Soap/u/61.0",
            "/services/Soap/c/58.0/00D000000000001",
        ] {
            assert!(matches!(at(path), Some(Door::Soap { .. })), "{path}");
        }
        for path in [
            "/services/oauth2",
            "/services/oauth2/token/x",
            "/services/oauth2/jwks",
            "/services/Soap/m/61.0",
            "/services/Soap/u/61",
            "/services/Soap/u/61.0/a/b",
            "/services/Soap/u/x.y",
            "/id/00D",
            "/services/data/v61.0/query",
        ] {
            assert_eq!(at(path), None, "{path}");
        }
    }
}
