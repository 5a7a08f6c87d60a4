//! A test file → [`Suite`], or every mistake in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    CallerExpects, Expected, FieldExpects, Kind, Never, Request, Suite, Test, Wanted, keys, wanted,
};
use crate::diagnostic::Diagnostic;
use crate::engine::catalog::{Catalog, FieldRef, ObjectId};
use crate::engine::identity::{Identity, Proof};
use crate::engine::policy::reader::Reader;
use crate::engine::policy::{Loaded, Policies};
use crate::engine::protocol::Action;
use crate::engine::treatment::Treatment;
use crate::yaml::{At, Node, Value};

type Members<'n> = BTreeMap<&'n str, (&'n At<String>, &'n Node)>;

/// Reads one file. `file` is its name for people; `now_s` stands in where the file names no time.
///
/// # Errors
/// Every mistake of the file.
pub fn read(file: &str, text: &str, set: &Loaded, now_s: i64) -> Result<Suite, Vec<Diagnostic>> {
    let mut at = Reading {
        reader: Reader::new(file, text),
        catalog: &set.catalog,
        policies: &set.policies,
        now_s,
    };
    let Some(root) = at.reader.parse() else {
        return Err(at.reader.found);
    };
    let sections = at.members(&root, "the file", &keys::FILE);
    match sections.get("schema") {
        Some((_, node)) if at.reader.number::<u32>(node, "`schema`") == Some(1) => {}
        _ => at.reader.error(
            "schema-version",
            root.place,
            1,
            "this version of privet reads `schema: 1`".to_owned(),
            Some("write `schema: 1` as the first line".to_owned()),
        ),
    }
    if let Some((_, node)) = sections.get("now")
        && let Some(text) = at.reader.text(node, "`now`")
    {
        match text.value.parse::<jiff::Timestamp>() {
            Ok(now) => at.now_s = now.as_second(),
            Err(_) => at.reader.error(
                "bad-time",
                text.place,
                text.value.chars().count(),
                format!("`{}` is not a time", text.value),
                Some("write it like \"2026-11-23T10:00:00Z\"".to_owned()),
            ),
        }
    }
    let mut callers: BTreeMap<String, Identity> = BTreeMap::new();
    if let Some((_, node)) = sections.get("callers") {
        for (name, node) in at.reader.map(node, "`callers`") {
            let caller = at.caller(name, node, &callers);
            callers.insert(name.value.clone(), caller);
        }
    }
    let mut suite = Suite {
        file: file.into(),
        tests: Vec::new(),
        never: Vec::new(),
    };
    if let Some((_, node)) = sections.get("tests") {
        for node in at.list(node, "`tests`") {
            if let Some(test) = at.test(node, &callers) {
                suite.tests.push(test);
            }
        }
    }
    if let Some((_, node)) = sections.get("never") {
        for node in at.list(node, "`never`") {
            if let Some(never) = at.never(node) {
                suite.never.push(never);
            }
        }
    }
    if at.reader.found.is_empty() {
        Ok(suite)
    } else {
        Err(at.reader.found)
    }
}

struct Reading<'a> {
    reader: Reader<'a>,
    catalog: &'a Catalog,
    policies: &'a Policies,
    now_s: i64,
}

impl<'a> Reading<'a> {
    fn members<'n>(&mut self, node: &'n Node, what: &str, known: &[&'static str]) -> Members<'n> {
        let mut all = Members::new();
        for (key, value) in self.reader.map(node, what) {
            if known.contains(&key.value.as_str()) {
                all.insert(&key.value, (key, value));
            } else {
                self.reader
                    .unknown("unknown-key", "key", key, known.iter().copied());
            }
        }
        all
    }

    fn list<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        match &node.value {
            Value::List(items) => items,
            Value::Null => &[],
            _ => {
                self.reader.wrong(node, what, "a list");
                &[]
            }
        }
    }

    fn text(&mut self, members: &Members<'_>, key: &str) -> Option<At<String>> {
        let (_, node) = members.get(key)?;
        self.reader.text(node, &format!("`{key}`"))
    }

    fn word(&mut self, members: &Members<'_>, key: &str) -> Option<Arc<str>> {
        self.text(members, key).map(|t| t.value.as_str().into())
    }

    fn unknown(&mut self, what: &str, word: &At<String>, known: &[&str]) {
        let code = match what {
            "purpose" => "unknown-purpose",
            "region" => "unknown-region",
            "caller" => "unknown-caller",
            "role" => "unknown-role",
            "client" => "unknown-client",
            "principal" => "unknown-principal",
            "object" => "unknown-object",
            "field" => "unknown-field",
            "class" => "unknown-class",
            "treatment" => "unknown-treatment",
            "flag" => "unknown-flag",
            _ => "unknown-word",
        };
        self.reader.unknown(code, what, word, known.iter().copied());
    }

    fn caller(
        &mut self,
        name: &At<String>,
        node: &Node,
        known: &BTreeMap<String, Identity>,
    ) -> Identity {
        let members = self.members(node, "a caller", &keys::CALLER);
        let mut caller = Identity {
            subject: name.value.as_str().into(),
            client: None,
            roles: Vec::new(),
            region: None,
            tenant: "test".into(),
            proof: Proof::ApiKey {
                key_id: "test".into(),
            },
            mfa: None,
            auth_time_s: None,
            purpose_asked: None,
            now_s: self.now_s,
            address: None,
        };
        if let Some(like) = self.text(&members, "like") {
            match known.get(&like.value) {
                Some(other) => caller = other.clone(),
                None => {
                    let names: Vec<&str> = known.keys().map(String::as_str).collect();
                    self.unknown("caller", &like, &names);
                }
            }
        }
        if let Some(user) = self.word(&members, "user") {
            caller.subject = user;
        }
        if let Some(client) = self.text(&members, "client") {
            self.known_principal("client", &client);
            caller.client = Some(client.value.as_str().into());
        }
        if let Some((_, roles)) = members.get("roles") {
            let texts = self.reader.texts(roles, "a role");
            for role in &texts {
                self.known_principal("role", role);
            }
            caller.roles = texts.iter().map(|r| r.value.as_str().into()).collect();
        }
        if let Some(region) = self.text(&members, "region") {
            self.region(&region, &[]);
            caller.region = Some(region.value.as_str().into());
        }
        if let Some((_, mfa)) = members.get("mfa") {
            caller.mfa = self.reader.bool(mfa, "`mfa`");
        }
        if let Some(session) = self.text(&members, "session") {
            match seconds(&session.value) {
                Some(age) => caller.auth_time_s = Some(self.now_s - age),
                None => self.reader.error(
                    "bad-duration",
                    session.place,
                    session.value.chars().count(),
                    format!("`{}` is not a duration", session.value),
                    Some("write it like `5m` (s, m or h)".to_owned()),
                ),
            }
        }
        if let Some(address) = self.text(&members, "address") {
            match address.value.parse() {
                Ok(ip) => caller.address = Some(ip),
                Err(_) => self.reader.error(
                    "bad-address",
                    address.place,
                    address.value.chars().count(),
                    format!("`{}` is not an IP address", address.value),
                    None,
                ),
            }
        }
        caller
    }

    fn purpose(&mut self, members: &Members<'_>) -> Option<Arc<str>> {
        let purpose = self.text(members, "purpose")?;
        let catalog = self.catalog;
        let mut known: Vec<&str> = catalog.vocabulary.purposes.iter().map(|p| &**p).collect();
        known.push("none");
        if !known.contains(&purpose.value.as_str()) {
            self.unknown("purpose", &purpose, &known);
        }
        Some(purpose.value.as_str().into())
    }

    /// The set's names of one kind: those that rows name, and for clients those of the vocabulary.
    fn names_of(&self, kind: &str) -> Vec<&'a str> {
        let mut known: Vec<&str> = self
            .policies
            .principals()
            .iter()
            .filter_map(|p| p.strip_prefix(kind)?.strip_prefix(':'))
            .collect();
        if kind == "client" {
            known.extend(self.catalog.vocabulary.clients.keys().map(|c| &**c));
        }
        known
    }

    /// A role or a client that no file of the set knows is a misspelt one: it would hold nothing, and pass.
    fn known_principal(&mut self, kind: &str, name: &At<String>) {
        let known = self.names_of(kind);
        if !known.contains(&name.value.as_str()) {
            self.unknown(kind, name, &known);
        }
    }

    /// `role:x`, `user:x`, `client:x` or the bare name of one of them that a row names.
    fn who(&mut self, who: &At<String>) {
        let principals = self.policies.principals();
        let bare = |p: &'a Arc<str>| p.split_once(':').map_or(&**p, |(_, name)| name);
        let known: Vec<&str> = if who.value.contains(':') {
            principals.iter().map(|p| &**p).collect()
        } else {
            principals.iter().map(bare).collect()
        };
        if !known.contains(&who.value.as_str()) {
            self.unknown("principal", who, &known);
        }
    }

    fn region(&mut self, region: &At<String>, also: &[&str]) {
        let catalog = self.catalog;
        let known: Vec<&str> = catalog
            .vocabulary
            .regions
            .iter()
            .map(|r| &**r)
            .chain(also.iter().copied())
            .collect();
        if !known.contains(&region.value.as_str()) {
            self.unknown("region", region, &known);
        }
    }

    fn object(&mut self, text: &At<String>) -> Option<ObjectId> {
        let catalog = self.catalog;
        let found = catalog
            .object_by_name
            .get(text.value.to_ascii_lowercase().as_str())
            .copied();
        if found.is_none() {
            let names: Vec<&str> = catalog.objects.iter().map(|o| &*o.name).collect();
            self.unknown("object", text, &names);
        }
        found
    }

    fn field(&mut self, object: ObjectId, text: &At<String>, name: &str) -> Option<u32> {
        let object = self.catalog.get(object);
        let found = object.field(name);
        if found.is_none() {
            let names: Vec<&str> = object.fields.iter().map(|f| &*f.name).collect();
            self.unknown("field", text, &names);
        }
        found
    }

    fn action(&mut self, members: &Members<'_>) -> Action {
        let Some(text) = self.text(members, "action") else {
            return Action::Read;
        };
        Action::parse(&text.value).unwrap_or_else(|| {
            let known: Vec<&str> = Action::WORDS.iter().map(|(w, _)| *w).collect();
            self.unknown("action", &text, &known);
            Action::Read
        })
    }

    fn outcome(&mut self, node: &Node, action: Action) -> Option<Wanted> {
        let text = self.reader.text(node, "an expectation")?;
        let found = wanted(&text.value, action);
        if found.is_none() {
            if super::super::space::is_output(action) {
                let mut known: Vec<&str> = Treatment::WORDS.iter().map(|(w, _)| *w).collect();
                known.push("deny");
                self.unknown("treatment", &text, &known);
            } else {
                self.unknown("verdict", &text, &["allowed", "tokens", "refused"]);
            }
        }
        found
    }

    fn test(&mut self, node: &Node, callers: &BTreeMap<String, Identity>) -> Option<Test> {
        let members = self.members(node, "a test", &keys::TEST);
        let name = self.text(&members, "name");
        if name.is_none() && !members.contains_key("name") {
            self.missing(node, "`name:` is missing");
        }
        let purpose = self.purpose(&members);
        let mut record = Vec::new();
        if let Some((_, node)) = members.get("record") {
            for (key, value) in self.reader.map(node, "`record`") {
                let Some(value) = self.reader.text(value, "a flag's value") else {
                    continue;
                };
                let catalog = self.catalog;
                if key.value == "region" {
                    self.region(&value, &[]);
                } else if let Some(values) = catalog.vocabulary.flags.get(key.value.as_str()) {
                    if value.value != "unknown" && !values.iter().any(|v| **v == *value.value) {
                        let known: Vec<&str> = values.iter().map(|v| &**v).collect();
                        self.unknown("flag value", &value, &known);
                    }
                } else {
                    let mut known: Vec<&str> =
                        catalog.vocabulary.flags.keys().map(|f| &**f).collect();
                    known.push("region");
                    self.unknown("flag", key, &known);
                }
                record.push((key.value.as_str().into(), value.value.as_str().into()));
            }
        }
        let kind = if members.contains_key("request") {
            self.request(node, &members, callers, purpose.as_ref())?
        } else if members.contains_key("given") {
            self.given(node, &members, callers)?
        } else {
            self.fields(node, &members, callers)?
        };
        Some(Test {
            name: name.map(|n| n.value).unwrap_or_default(),
            line: node.place.line,
            record,
            purpose,
            kind,
        })
    }

    fn missing(&mut self, node: &Node, message: &str) {
        self.reader.error(
            "missing-key",
            node.place,
            1,
            message.to_owned(),
            Some("a test has `expect`, or `given` and `expect_json`, or `request`".to_owned()),
        );
    }

    fn named_caller(
        &mut self,
        text: &At<String>,
        callers: &BTreeMap<String, Identity>,
    ) -> Option<Identity> {
        let found = callers.get(&text.value).cloned();
        if found.is_none() {
            let names: Vec<&str> = callers.keys().map(String::as_str).collect();
            self.unknown("caller", text, &names);
        }
        found
    }

    fn one_caller(
        &mut self,
        node: &Node,
        members: &Members<'_>,
        callers: &BTreeMap<String, Identity>,
    ) -> Option<Identity> {
        if !members.contains_key("caller") {
            self.missing(node, "`caller:` is missing");
        }
        let text = self.text(members, "caller")?;
        self.named_caller(&text, callers)
    }

    fn fields(
        &mut self,
        node: &Node,
        members: &Members<'_>,
        callers: &BTreeMap<String, Identity>,
    ) -> Option<Kind> {
        let action = self.action(members);
        let (Some((_, expect)), true) = (members.get("expect"), members.contains_key("object"))
        else {
            self.missing(node, "`expect:` needs `object:`, and something is missing");
            return None;
        };
        let object = self.text(members, "object")?;
        let object = self.object(&object)?;
        let mut list: Vec<CallerExpects> = Vec::new();
        for (caller, fields) in self.reader.map(expect, "`expect`") {
            let Some(identity) = self.named_caller(caller, callers) else {
                continue;
            };
            let mut expects = CallerExpects {
                name: caller.value.clone(),
                identity,
                fields: Vec::new(),
                rest: None,
            };
            for (name, node) in self.reader.map(fields, "the expectations of a caller") {
                let outcome = self.outcome(node, action).map(|w| (w, node.place.line));
                if name.value == "*" {
                    expects.rest = outcome;
                } else if let Some(field) = self.field(object, name, &name.value) {
                    expects.fields.push(FieldExpects {
                        field,
                        wanted: outcome,
                        because: None,
                    });
                }
            }
            list.push(expects);
        }
        if let Some((_, because)) = members.get("because") {
            for (place, id) in self.reader.map(because, "`because`") {
                let Some(id) = self.reader.text(id, "a rule's id") else {
                    continue;
                };
                self.because(place, &id, object, &mut list);
            }
        }
        Some(Kind::Fields {
            action,
            object,
            callers: list,
        })
    }

    /// `ana.Email: support-email-clear`.
    fn because(
        &mut self,
        place: &At<String>,
        id: &At<String>,
        object: ObjectId,
        list: &mut [CallerExpects],
    ) {
        let mut names: Vec<&str> = list.iter().map(|c| c.name.as_str()).collect();
        names.sort_by_key(|n| std::cmp::Reverse(n.len()));
        let split = names.iter().find_map(|n| {
            let field = place.value.strip_prefix(n)?.strip_prefix('.')?;
            Some(((*n).to_owned(), field.to_owned()))
        });
        let Some((caller, field)) = split else {
            self.unknown("caller", place, &names);
            return;
        };
        let Some(field) = self.field(object, place, &field) else {
            return;
        };
        let because = Some((Arc::from(id.value.as_str()), id.place.line));
        if let Some(expects) = list.iter_mut().find(|c| c.name == caller) {
            match expects.fields.iter_mut().find(|f| f.field == field) {
                Some(known) => known.because = because,
                None => expects.fields.push(FieldExpects {
                    field,
                    wanted: None,
                    because,
                }),
            }
        }
    }

    fn given(
        &mut self,
        node: &Node,
        members: &Members<'_>,
        callers: &BTreeMap<String, Identity>,
    ) -> Option<Kind> {
        let caller = self.one_caller(node, members, callers);
        let (Some((_, given)), Some((_, expected))) =
            (members.get("given"), members.get("expect_json"))
        else {
            self.missing(node, "`given:` needs `expect_json:`");
            return None;
        };
        let (given_json, expected) = (json(given), json(expected));
        let named = match self.text(members, "object") {
            Some(text) => Some(text),
            None => given_json
                .pointer("/attributes/type")
                .and_then(serde_json::Value::as_str)
                .map(|t| At {
                    value: t.to_owned(),
                    place: given.place,
                }),
        };
        let Some(named) = named else {
            self.missing(
                given,
                "the object is not known: write `object:` or `attributes: { type: … }`",
            );
            return None;
        };
        let object = self.object(&named)?;
        Some(Kind::Record {
            caller: caller?,
            object,
            given: given_json,
            expected,
        })
    }

    fn request(
        &mut self,
        node: &Node,
        members: &Members<'_>,
        callers: &BTreeMap<String, Identity>,
        purpose: Option<&Arc<str>>,
    ) -> Option<Kind> {
        let caller = self.one_caller(node, members, callers);
        let (_, wanted) = members.get("request")?;
        let parts = self.members(wanted, "`request`", &keys::REQUEST);
        let method = match self.text(&parts, "method") {
            None => http::Method::GET,
            Some(text) => {
                const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
                if !METHODS.contains(&text.value.as_str()) {
                    self.unknown("method", &text, &METHODS);
                }
                text.value.parse().unwrap_or(http::Method::GET)
            }
        };
        let path = self.text(&parts, "path");
        if path.is_none() {
            self.missing(wanted, "`path:` is missing");
        }
        let mut query = Vec::new();
        if let Some(soql) = self.text(&parts, "soql") {
            query.push(("q".to_owned(), soql.value));
        }
        if let Some((_, node)) = parts.get("query") {
            for (key, value) in self.reader.map(node, "`query`") {
                let value = match json(value) {
                    serde_json::Value::String(text) => text,
                    other => other.to_string(),
                };
                query.push((key.value.clone(), value));
            }
        }
        let body = parts.get("body").map_or_else(Vec::new, |(_, node)| {
            match json(node) {
                serde_json::Value::String(text) => text,
                other => other.to_string(),
            }
            .into_bytes()
        });
        let api = self.word(&parts, "api");
        let mut expected = Vec::new();
        if let Some((_, node)) = members.get("expect_allowed")
            && let Some(allowed) = self.reader.bool(node, "`expect_allowed`")
        {
            expected.push(Expected::Allowed(allowed));
        }
        if let Some((_, node)) = members.get("expect_refusal") {
            let parts = self.members(node, "`expect_refusal`", &keys::REFUSAL);
            let status = parts
                .get("status")
                .and_then(|(_, n)| self.reader.number(n, "`status`"));
            let code = self.text(&parts, "code").map(|c| c.value);
            expected.push(Expected::Refusal { status, code });
        }
        if let (Some((_, given)), Some((_, wanted))) =
            (members.get("given"), members.get("expect_json"))
        {
            expected.push(Expected::Json {
                given: json(given),
                expected: json(wanted),
            });
        }
        if expected.is_empty() {
            self.missing(
                node,
                "a request test needs `expect_allowed`, `expect_refusal`, or `given` and `expect_json`",
            );
        }
        let mut caller = caller?;
        caller.purpose_asked = purpose.cloned();
        Some(Kind::Request {
            caller,
            request: Request {
                method,
                path: path?.value,
                query,
                body,
                api,
            },
            expected,
        })
    }

    fn never(&mut self, node: &Node) -> Option<Never> {
        let members = self.members(node, "an invariant", &keys::NEVER);
        let action = self.action(&members);
        let mut outcomes = Vec::new();
        match members.get("treatment") {
            Some((_, node)) => match &node.value {
                Value::List(items) => {
                    for item in items {
                        outcomes.extend(self.outcome(item, action));
                    }
                }
                _ => outcomes.extend(self.outcome(node, action)),
            },
            None if super::super::space::is_output(action) => {
                self.missing(node, "`treatment:` is missing");
            }
            None => outcomes.push(Wanted::Allowed),
        }
        let class = self.text(&members, "class");
        if let Some(class) = &class {
            let catalog = self.catalog;
            let known: Vec<&str> = catalog
                .vocabulary
                .classes
                .keys()
                .map(|c| &**c)
                .chain(["unclassified", "id"])
                .collect();
            let inside = |k: &&str| crate::engine::policy::is_inside(k, &class.value);
            let of_object = class.value.strip_prefix("id.").is_some_and(|object| {
                catalog
                    .object_by_name
                    .contains_key(object.to_ascii_lowercase().as_str())
            });
            if !of_object && !known.iter().any(inside) {
                self.unknown("class", class, &known);
            }
        }
        let object = self
            .text(&members, "object")
            .and_then(|text| self.object(&text));
        let field = self.text(&members, "field").and_then(|text| {
            let (object, name) = text.value.split_once('.').unwrap_or((&text.value, ""));
            let spelt = At {
                value: object.to_owned(),
                place: text.place,
            };
            let object = self.object(&spelt)?;
            let field = self.field(object, &text, name)?;
            Some(FieldRef { object, field })
        });
        if let Some(region) = self.text(&members, "region") {
            self.region(&region, &["same", "cross"]);
        }
        let who = self.text(&members, "who");
        if let Some(who) = &who {
            self.who(who);
        }
        let text: Vec<String> = self
            .reader
            .map(node, "an invariant")
            .iter()
            .map(|(k, v)| format!("{}: {}", k.value, plain(v)))
            .collect();
        Some(Never {
            line: node.place.line,
            text: format!("never {{ {} }}", text.join(", ")),
            class: class.map(|c| c.value.as_str().into()),
            field,
            object,
            who: who.map(|w| w.value.as_str().into()),
            purpose: self.purpose(&members),
            region: self.word(&members, "region"),
            action,
            outcomes,
        })
    }
}

fn plain(node: &Node) -> String {
    match json(node) {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    }
}

/// `5m` in seconds.
pub fn seconds(text: &str) -> Option<i64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    number.parse::<u32>().ok().map(|n| i64::from(n) * unit)
}

/// The value as JSON.
fn json(node: &Node) -> serde_json::Value {
    use serde_json::Value as Json;
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(b) => Json::Bool(*b),
        Value::Number(n) => serde_json::from_str(n).unwrap_or_else(|_| n.as_str().into()),
        Value::Text(t) => Json::String(t.clone()),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(members) => Json::Object(
            members
                .iter()
                .map(|(k, v)| (k.value.clone(), json(v)))
                .collect(),
        ),
    }
}
