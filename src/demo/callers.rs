//! The three callers of the demo, and what they ask.

/// One caller with an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Head of its column.
    pub title: &'static str,
    /// Client that its API key is issued to (`clients` in vocabulary.yaml).
    pub client: &'static str,
    /// Role on its key; empty = none.
    pub role: &'static str,
    /// Region on its key.
    pub region: &'static str,
    /// The purpose that its client gets by default.
    pub purpose: &'static str,
}

/// Who asks in the demo.
pub const CALLERS: [Caller; 3] = [
    Caller {
        title: "support agent",
        client: "service-desk",
        role: "support_agent",
        region: "eu",
        purpose: "support",
    },
    Caller {
        title: "BI analyst",
        client: "tableau",
        role: "bi",
        region: "eu",
        purpose: "analytics",
    },
    Caller {
        title: "marketing",
        client: "mailer",
        role: "marketing",
        region: "us",
        purpose: "marketing",
    },
];

/// A caller with its secret and the answer to nothing yet.
#[derive(Clone)]
pub struct Credential {
    /// Who.
    pub caller: Caller,
    /// The API key, sent as a bearer token. It is worth nothing outside this demo run, which prints it.
    pub bearer: String,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credential({})", self.caller.client)
    }
}
