//! `tests/*_test.yaml`: what the rules are meant to do, and whether they do it.

mod read;
mod run;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::engine::catalog::ConditionValue;
use crate::engine::identity::Identity;
use crate::engine::protocol::Action;
use crate::engine::refusal::Refusal;
use crate::engine::treatment::Treatment;

use super::request::Request;

pub use read::{read, seconds};
pub use run::{invariants, run, run_invariant, run_tests};

/// Keys of a test file and of its parts, as read.
pub mod keys {
    /// The file.
    pub const FILE: [&str; 5] = ["schema", "now", "callers", "tests", "never"];
    /// A caller.
    pub const CALLER: [&str; 8] = [
        "like", "user", "client", "roles", "region", "mfa", "session", "address",
    ];
    /// A test.
    pub const TEST: [&str; 13] = [
        "name",
        "caller",
        "purpose",
        "action",
        "object",
        "record",
        "expect",
        "because",
        "given",
        "expect_json",
        "request",
        "expect_refusal",
        "expect_allowed",
    ];
    /// A request.
    pub const REQUEST: [&str; 6] = ["method", "path", "soql", "query", "body", "api"];
    /// A refusal.
    pub const REFUSAL: [&str; 2] = ["status", "code"];
    /// An invariant.
    pub const NEVER: [&str; 8] = [
        "class",
        "field",
        "object",
        "who",
        "purpose",
        "region",
        "action",
        "treatment",
    ];
}

/// One file, read and checked against the policy set.
#[derive(Debug)]
pub struct Suite {
    /// As the person knows it.
    pub file: Arc<str>,
    pub(super) tests: Vec<Test>,
    pub(super) never: Vec<Never>,
}

#[derive(Debug)]
pub(super) struct Test {
    pub(super) name: String,
    pub(super) line: u32,
    /// Data region and flags of the record.
    pub(super) record: Vec<(Arc<str>, Arc<str>)>,
    pub(super) purpose: Option<Arc<str>>,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// Treatments of fields.
    Fields {
        action: Action,
        object: crate::engine::catalog::ObjectId,
        callers: Vec<CallerExpects>,
    },
    /// A record, treated.
    Record {
        caller: Identity,
        object: crate::engine::catalog::ObjectId,
        given: serde_json::Value,
        expected: serde_json::Value,
    },
    /// A whole request.
    Request {
        caller: Identity,
        request: Request,
        expected: Vec<Expected>,
    },
}

#[derive(Debug)]
pub(super) struct CallerExpects {
    pub(super) name: String,
    pub(super) identity: Identity,
    /// (field index, word, line, because).
    pub(super) fields: Vec<FieldExpects>,
    /// `"*"`.
    pub(super) rest: Option<(Wanted, u32)>,
}

#[derive(Debug)]
pub(super) struct FieldExpects {
    pub(super) field: u32,
    pub(super) wanted: Option<(Wanted, u32)>,
    pub(super) because: Option<(Arc<str>, u32)>,
}

/// What is wanted of one field: a treatment, or for a use a verdict.
pub(super) type Wanted = super::space::Outcome;

#[derive(Debug)]
pub(super) enum Expected {
    Allowed(bool),
    Refusal {
        status: Option<u16>,
        code: Option<String>,
    },
    /// Upstream's whole answer, and what the client gets.
    Json {
        given: serde_json::Value,
        expected: serde_json::Value,
    },
}

#[derive(Debug)]
pub(super) struct Never {
    pub(super) line: u32,
    pub(super) text: String,
    pub(super) class: Option<Arc<str>>,
    pub(super) field: Option<crate::engine::catalog::FieldRef>,
    pub(super) object: Option<crate::engine::catalog::ObjectId>,
    pub(super) who: Option<Arc<str>>,
    pub(super) purpose: Option<Arc<str>>,
    pub(super) region: Option<Arc<str>>,
    pub(super) action: Action,
    pub(super) outcomes: Vec<Wanted>,
}

/// One failed expectation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Line in the file.
    pub line: u32,
    /// Wanted, got, deciding rule; one line.
    pub text: String,
}

/// One test or invariant with its failures.
#[derive(Debug)]
pub struct Case {
    /// The file.
    pub file: Arc<str>,
    /// The test's name, or the invariant as text.
    pub name: String,
    /// Where it stands.
    pub line: u32,
    /// How many expectations held.
    pub passed: usize,
    /// Those that did not.
    pub failures: Vec<Failure>,
}

/// What running some suites showed.
#[derive(Debug, Default)]
pub struct Report {
    /// In the files' order.
    pub cases: Vec<Case>,
    /// Rules that decided something that a test expected.
    pub exercised: BTreeSet<Arc<str>>,
}

impl Report {
    /// Expectations that held, and those that did not.
    pub fn counts(&self) -> (usize, usize) {
        self.cases.iter().fold((0, 0), |(passed, failed), case| {
            (passed + case.passed, failed + case.failures.len())
        })
    }
}

/// Status and error code of a refusal, as the carrier answers it.
pub type RefusalRow<'a> = &'a dyn Fn(&Refusal) -> (u16, &'static str);

/// A record's value that means what a flag says.
pub(super) fn json_of(value: &ConditionValue) -> serde_json::Value {
    match value {
        ConditionValue::Text(t) => (&**t).into(),
        ConditionValue::Bool(b) => (*b).into(),
        ConditionValue::Number(n) => serde_json::from_str(n).unwrap_or_default(),
    }
}

/// The word of an expectation, if it is one for `action`.
pub(super) fn wanted(word: &str, action: Action) -> Option<Wanted> {
    use super::space::Outcome;
    if super::space::is_output(action) {
        return match word {
            "deny" => Some(Outcome::Output(Treatment::Deny)),
            word => Treatment::parse(word).map(Outcome::Output),
        };
    }
    [Outcome::Allowed, Outcome::Tokens, Outcome::Refused]
        .into_iter()
        .find(|o| o.word() == word)
}
