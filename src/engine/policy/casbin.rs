//! The only file that names Casbin: an enforcer in memory over checked rules, and its answer to one question.
//!
//! Nothing is read from files here, so the ways in which Casbin's own readers fail open cannot happen; an error
//! or a panic of Casbin is a deny.

#![allow(
    clippy::needless_pass_by_value,
    reason = "Casbin hands its functions owned values"
)]

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use casbin::function_map::OperatorFunction;
use casbin::rhai::{Dynamic, ImmutableString, Map};
use casbin::{CoreApi, DefaultModel, Enforcer, EventData, Logger, NullAdapter};

use super::rules::Rule;
use crate::engine::treatment::Treatment;

/// The model. `policies/model.conf` holds the same text for people and for stock Casbin tools; this one decides.
pub const MODEL: &str = r#"[request_definition]
r = sub, obj, act, ctx

[policy_definition]
p = eft, sub, act, obj, treatment, purpose, region, when, priority, id

[role_definition]
g = _, _
g2 = _, _

[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))

[matchers]
m = (p.act == "*" || anyOf(r.act, p.act)) && (p.purpose == "*" || anyOf(r.ctx.purpose, p.purpose)) && (p.region == "*" || regionIs(r.ctx, p.region, p.eft)) && (p.sub == "*" || g(r.sub, p.sub)) && (p.obj == r.obj || g2(r.obj, p.obj) || ((p.eft == "deny" || !g2(r.obj, "class:unclassified")) && (p.obj == "*" || objMatch(r.obj, p.obj)))) && (p.when == "-" || when(r.ctx, p.when, p.eft))
"#;

/// The subject of every question; its `g` rows are the principals at hand. No caller's text reaches Casbin.
const SUBJECT: &str = "set:asked";

/// A field that no schema can hold, for the self-test.
const NOTHING: &str = "?.?";

/// The facts of one question.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    map: Map,
}

impl Asked {
    /// Under `purpose`, from `region`, about data in `data_region`; `None` = unknown.
    pub(super) fn new(purpose: &str, region: Option<&str>, data_region: Option<&str>) -> Self {
        let mut asked = Self::default();
        asked.text("purpose", purpose);
        if let Some(region) = region {
            asked.text("region", region);
        }
        asked.data_region(data_region);
        asked
    }

    pub(super) fn data_region(&mut self, region: Option<&str>) {
        match region {
            Some(region) => self.text("data_region", region),
            None => {
                self.map.remove("data_region");
            }
        }
    }

    /// A fact by its canonical word; absent = missing.
    pub(super) fn fact(&mut self, word: &str, value: bool) {
        self.map.insert(word.into(), Dynamic::from_bool(value));
    }

    /// A record flag; `None` = unknown.
    pub(super) fn flag(&mut self, flag: &str, value: Option<&str>) {
        let key = format!("record.{flag}");
        match value {
            Some(value) => self.text(&key, value),
            None => {
                self.map.remove(key.as_str());
            }
        }
    }

    fn text(&mut self, key: &str, value: &str) {
        self.map
            .insert(key.into(), Dynamic::from(ImmutableString::from(value)));
    }
}

/// One allow row that matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Matched {
    pub(super) treatment: Option<Treatment>,
    pub(super) priority: u8,
    pub(super) id: Arc<str>,
}

/// What Casbin said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// A deny row matched.
    Deny(Arc<str>),
    /// Only allow rows matched.
    Allow(Vec<Matched>),
    /// No row matched.
    NoRow,
    /// Casbin failed: deny.
    Failed,
}

/// An enforcer over some rules for one set of principals.
pub(super) struct Engine {
    /// `None` = no rule at all. (Casbin evaluates the matcher over empty strings then.)
    enforcer: Option<Enforcer>,
}

impl Engine {
    /// Builds the enforcer and asks it once, so that a broken model shows here and not at a request.
    ///
    /// `roles` are the principals of the asking subject with their closure; `links` are `g2` rows.
    pub(super) fn build<'r>(
        rules: impl IntoIterator<Item = &'r Rule>,
        roles: impl IntoIterator<Item = String>,
        links: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, String> {
        Self::from_rows(
            rules.into_iter().map(Rule::casbin_row).collect(),
            roles,
            links,
        )
    }

    fn from_rows(
        rows: Vec<Vec<String>>,
        roles: impl IntoIterator<Item = String>,
        links: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, String> {
        if rows.is_empty() {
            return Ok(Self { enforcer: None });
        }
        let build = || -> Result<Enforcer, String> {
            let model = now(DefaultModel::from_str(MODEL))?.map_err(|e| e.to_string())?;
            let mut enforcer =
                now(Enforcer::new_raw(model, NullAdapter))?.map_err(|e| e.to_string())?;
            // The one it comes with keeps a thread for each enforcer.
            enforcer.set_logger(Box::new(Silent));
            enforcer.add_function("anyOf", OperatorFunction::Arg2(any_of));
            enforcer.add_function("objMatch", OperatorFunction::Arg2(obj_match));
            enforcer.add_function("regionIs", OperatorFunction::Arg3(region_is));
            enforcer.add_function("when", OperatorFunction::Arg3(when));
            let model = enforcer.get_mut_model();
            for row in rows {
                if !model.add_policy("p", "p", row) {
                    return Err("a rule stands twice".to_owned());
                }
            }
            for role in roles {
                model.add_policy("g", "g", vec![SUBJECT.to_owned(), role]);
            }
            // The object of the self-test; with no link at all Casbin's role graph would not exist.
            let known = (NOTHING.to_owned(), "class:unclassified".to_owned());
            for (field, class) in links.into_iter().chain([known]) {
                model.add_policy("g", "g2", vec![field, class]);
            }
            enforcer.build_role_links().map_err(|e| e.to_string())?;
            Ok(enforcer)
        };
        let enforcer = catch_unwind(AssertUnwindSafe(build))
            .map_err(|_| "Casbin panicked while it was built".to_owned())??;
        let engine = Self {
            enforcer: Some(enforcer),
        };
        match engine.ask(NOTHING, "read", &Asked::new("none", None, None)) {
            Answer::Failed => Err("Casbin failed its self-test".to_owned()),
            _ => Ok(engine),
        }
    }

    /// Asks for `action` on `object` (`Contact.Email`, or `Contact.*` for delete).
    pub(super) fn ask(&self, object: &str, action: &str, asked: &Asked) -> Answer {
        let Some(enforcer) = &self.enforcer else {
            return Answer::NoRow;
        };
        let arguments = vec![
            Dynamic::from(ImmutableString::from(SUBJECT)),
            Dynamic::from(ImmutableString::from(object)),
            Dynamic::from(ImmutableString::from(action)),
            Dynamic::from_map(asked.map.clone()),
        ];
        let Ok(Ok((allowed, rows))) =
            catch_unwind(AssertUnwindSafe(|| enforcer.enforce_ex(arguments)))
        else {
            return Answer::Failed;
        };
        let column =
            |row: &[String], i: usize| -> Arc<str> { row.get(i).map_or("", String::as_str).into() };
        if let Some(row) = rows.iter().find(|r| r.first().is_none_or(|e| e != "allow")) {
            return Answer::Deny(column(row, 9));
        }
        match (allowed, rows.is_empty()) {
            (true, false) => Answer::Allow(
                rows.iter()
                    .map(|row| Matched {
                        treatment: row.get(4).and_then(|w| Treatment::parse(w)),
                        priority: row.get(8).and_then(|p| p.parse().ok()).unwrap_or(u8::MAX),
                        id: column(row, 9),
                    })
                    .collect(),
            ),
            (false, true) => Answer::NoRow,
            _ => Answer::Failed,
        }
    }
}

/// A logger that logs nothing.
struct Silent;

impl Logger for Silent {
    fn enable_log(&mut self, _: bool) {}

    fn is_enabled(&self) -> bool {
        false
    }

    fn print_enforce_log(&self, _: Vec<String>, _: bool, _: bool) {}

    fn print_mgmt_log(&self, _: &EventData) {}

    fn print_explain_log(&self, _: Vec<String>) {}

    fn print_status_log(&self, _: bool) {}
}

/// With an in-memory model and no adapter Casbin's constructors never wait: one poll is enough.
fn now<F: Future>(future: F) -> Result<F::Output, String> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => Err("Casbin wanted to wait".to_owned()),
    }
}

fn string(value: &Dynamic) -> ImmutableString {
    value.clone().try_cast().unwrap_or_default()
}

/// Whether the word is one of the bar-separated words.
fn any_of(word: Dynamic, list: Dynamic) -> Dynamic {
    let word = string(&word);
    (!word.is_empty() && string(&list).split('|').any(|w| w == word.as_str())).into()
}

/// Whether `Contact.Email` is inside `Contact.*`.
fn obj_match(object: Dynamic, pattern: Dynamic) -> Dynamic {
    string(&pattern)
        .strip_suffix('*')
        .is_some_and(|p| p.ends_with('.') && string(&object).starts_with(p))
        .into()
}

/// Whether the caller's region is one of those listed. Unknown counts as `cross`; a deny row holds wherever
/// the region in question is unknown.
fn region_is(ctx: Dynamic, list: Dynamic, effect: Dynamic) -> Dynamic {
    let Some(ctx) = ctx.try_cast::<Map>() else {
        return (string(&effect) == "deny").into();
    };
    let deny = string(&effect) == "deny";
    let caller = ctx.get("region").map(string);
    let data = ctx.get("data_region").map(string);
    string(&list)
        .split('|')
        .any(|wanted| match (wanted, &caller, &data) {
            ("same", Some(c), Some(d)) => c == d,
            ("cross", Some(c), Some(d)) => c != d,
            ("same", ..) => deny,
            ("cross", ..) => true,
            (region, Some(c), _) => c.as_str() == region,
            (_, None, _) => deny,
        })
        .into()
}

/// Whether all terms hold. A missing fact makes a term false on an allow row and true on a deny row, also
/// when negated.
fn when(ctx: Dynamic, terms: Dynamic, effect: Dynamic) -> Dynamic {
    let deny = string(&effect) == "deny";
    let Some(ctx) = ctx.try_cast::<Map>() else {
        return deny.into();
    };
    string(&terms)
        .split('&')
        .all(|term| {
            let (negated, fact) = match term.strip_prefix('!') {
                Some(fact) => (true, fact),
                None => (false, term),
            };
            let holds = match fact.split_once('=') {
                Some((flag, value)) if flag.starts_with("record.") => {
                    ctx.get(flag).map(|v| string(v) == value)
                }
                _ => ctx.get(fact).and_then(|v| v.as_bool().ok()),
            };
            holds.map_or(deny, |holds| holds != negated)
        })
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(ToString::to_string).collect()
    }

    fn engine(rows: &[&[&str]]) -> Result<Engine, String> {
        Engine::from_rows(
            rows.iter().map(|r| row(r)).collect(),
            ["role:a".to_owned()],
            [("A.f".to_owned(), "class:c".to_owned())],
        )
    }

    #[test]
    fn what_casbin_cannot_take_shows_before_a_request() {
        let short: &[&str] = &["allow", "*", "read", "*", "clear", "*", "*", "-", "50"];
        assert!(engine(&[short]).is_err());
        let fine: &[&str] = &["allow", "*", "read", "*", "clear", "*", "*", "-", "50", "a"];
        assert!(engine(&[fine]).is_ok());
        assert!(engine(&[fine, fine]).is_err());
    }

    #[test]
    fn no_rule_allows_nothing() {
        let nothing = engine(&[]).unwrap();
        let asked = Asked::new("", None, None);
        assert_eq!(nothing.ask("", "", &asked), Answer::NoRow);
    }

    /// One role manager serves `g` and `g2`: prefixes keep them apart, and no name is its own role.
    #[test]
    fn a_class_is_no_role_and_a_role_no_class() {
        let by_class: &[&str] = &[
            "allow", "class:c", "read", "*", "clear", "*", "*", "-", "50", "a",
        ];
        let on_role: &[&str] = &[
            "allow", "*", "read", "role:a", "clear", "*", "*", "-", "50", "b",
        ];
        let engine = engine(&[by_class, on_role]).unwrap();
        let asked = Asked::new("x", None, None);
        assert_eq!(engine.ask("A.f", "read", &asked), Answer::NoRow);
    }

    #[test]
    fn regions() {
        for (caller, data, list, effect, wanted) in [
            (Some("eu"), Some("eu"), "same", "allow", true),
            (Some("eu"), Some("us"), "same", "deny", false),
            (Some("eu"), Some("us"), "cross", "allow", true),
            (Some("eu"), Some("eu"), "cross", "deny", false),
            (None, Some("eu"), "same", "allow", false),
            (None, Some("eu"), "same", "deny", true),
            (Some("eu"), None, "cross", "allow", true),
            (None, None, "cross", "deny", true),
            (None, Some("eu"), "eu", "allow", false),
            (None, Some("eu"), "eu", "deny", true),
            (Some("us"), None, "eu|us", "allow", true),
            (Some("us"), None, "eu", "deny", false),
        ] {
            let asked = Asked::new("x", caller, data);
            let got = region_is(Dynamic::from_map(asked.map), list.into(), effect.into());
            assert_eq!(
                got.as_bool().ok(),
                Some(wanted),
                "{caller:?} {data:?} {list} {effect}"
            );
        }
    }
}
