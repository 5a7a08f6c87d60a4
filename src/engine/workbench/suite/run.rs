//! Suites → [`Report`], through the stages that requests go through.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use serde_json::Value;

use super::{
    CallerExpects, Case, Expected, Failure, Kind, Never, RefusalRow, Report, Suite, Test, json_of,
};
use crate::engine::catalog::{FieldRef, ObjectId};
use crate::engine::identity::Identity;
use crate::engine::plan::{Plan, plan};
use crate::engine::policy::{Decision, Loaded, Verdict, decide, is_inside};
use crate::engine::protocol::Action;
use crate::engine::refusal::Refusal;
use crate::engine::rewrite::{Abort, Bounds, Out, Rewriter};
use crate::engine::token::KeyRing;
use crate::engine::workbench::request::Request;
use crate::engine::workbench::space::{
    self, Cell, Corner, Words, asked, cells, corners, families, point_words, rule_words,
    variant_of, variant_values,
};

/// Stands in an expected JSON text for any token of privet's.
const ANY_TOKEN: &str = "<token>";

/// Runs suites against a set. Data regions of the set's objects are changed where a test's record says so, and put
/// back.
pub fn run(suites: &[Suite], set: &mut Loaded, keys: &KeyRing, row: RefusalRow<'_>) -> Report {
    let mut report = run_tests(suites, set, keys, row);
    report
        .cases
        .extend((0..invariants(suites)).filter_map(|i| run_invariant(suites, set, i)));
    report
}

/// How many invariants the suites hold.
pub fn invariants(suites: &[Suite]) -> usize {
    suites.iter().map(|s| s.never.len()).sum()
}

/// Looks for a counter-example to one invariant over the whole space. Invariants know nothing of each other: a caller
/// with several processors may ask for several at once.
pub fn run_invariant(suites: &[Suite], set: &Loaded, index: usize) -> Option<Case> {
    let (suite, never) = suites
        .iter()
        .flat_map(|s| s.never.iter().map(move |n| (s, n)))
        .nth(index)?;
    let mut case = Case {
        file: suite.file.clone(),
        name: never.text.clone(),
        line: never.line,
        passed: 0,
        failures: Vec::new(),
    };
    match counter_example(set, never) {
        None => case.passed = 1,
        Some(text) => case.failures.push(Failure {
            line: never.line,
            text,
        }),
    }
    Some(case)
}

/// As [`run`], without the invariants.
pub fn run_tests(
    suites: &[Suite],
    set: &mut Loaded,
    keys: &KeyRing,
    row: RefusalRow<'_>,
) -> Report {
    let mut runner = Runner {
        set,
        keys,
        row,
        exercised: BTreeSet::new(),
    };
    let mut report = Report::default();
    for suite in suites {
        for test in &suite.tests {
            report.cases.push(runner.test(suite, test));
        }
    }
    report.exercised = runner.exercised;
    report
}

struct Runner<'a> {
    set: &'a mut Loaded,
    keys: &'a KeyRing,
    row: RefusalRow<'a>,
    exercised: BTreeSet<Arc<str>>,
}

impl Runner<'_> {
    fn exercise(&mut self, rules: &[Arc<str>]) {
        for id in rules {
            if self.set.policies.rule(id).is_some() {
                self.exercised.insert(id.clone());
            }
        }
    }

    fn test(&mut self, suite: &Suite, test: &Test) -> Case {
        let mut case = Case {
            file: suite.file.clone(),
            name: test.name.clone(),
            line: test.line,
            passed: 0,
            failures: Vec::new(),
        };
        let region = test
            .record
            .iter()
            .find(|(k, _)| &**k == "region")
            .map(|(_, v)| v.clone());
        let before: Vec<Option<Arc<str>>> = self
            .set
            .catalog
            .objects
            .iter()
            .map(|o| o.data_region.clone())
            .collect();
        // What the record does not say is unknown; a request knows only where its API's data lives.
        let moved =
            !matches!(test.kind, Kind::Request { .. }) && before.iter().any(|b| *b != region);
        if moved {
            for object in &mut self.set.catalog.objects {
                object.data_region = region.clone();
            }
            self.set.policies.forget_tables();
        }
        match &test.kind {
            Kind::Fields {
                action,
                object,
                callers,
            } => {
                for caller in callers {
                    self.fields(test, *action, *object, caller, &mut case);
                }
            }
            Kind::Record {
                caller,
                object,
                given,
                expected,
            } => self.record(test, caller, *object, given, expected, &mut case),
            Kind::Request {
                caller,
                request,
                expected,
            } => self.request(test, caller, request, expected, &mut case),
        }
        if moved {
            for (object, region) in self.set.catalog.objects.iter_mut().zip(before) {
                object.data_region = region;
            }
            self.set.policies.forget_tables();
        }
        case
    }

    fn purpose(&self, test: &Test, caller: &Identity) -> Arc<str> {
        test.purpose.clone().unwrap_or_else(|| {
            caller
                .client
                .as_ref()
                .and_then(|c| self.set.catalog.vocabulary.clients.get(c))
                .and_then(|c| c.purposes.first())
                .cloned()
                .unwrap_or_else(|| "none".into())
        })
    }

    fn fields(
        &mut self,
        test: &Test,
        action: Action,
        object: ObjectId,
        caller: &CallerExpects,
        case: &mut Case,
    ) {
        let purpose = self.purpose(test, &caller.identity);
        let standpoint = self
            .set
            .policies
            .standpoint(&self.set.catalog, &caller.identity, purpose);
        let set: &Loaded = self.set;
        let all: Vec<Vec<Cell>> = (0..match action {
            Action::Delete => 1,
            _ => set.catalog.get(object).fields.len() as u32,
        })
            .map(|field| {
                cells(
                    &set.policies,
                    &set.catalog,
                    &standpoint,
                    FieldRef { object, field },
                    action,
                )
            })
            .collect();
        let value = |name: &str| {
            test.record
                .iter()
                .find(|(k, _)| &**k == name)
                .map(|(_, v)| v.clone())
        };
        let variant = variant_of(&self.set.catalog, object, &value);
        let at = |field: u32| -> Option<Cell> {
            let of = all.get(if action == Action::Delete {
                0
            } else {
                field as usize
            })?;
            of.get(if of.len() == 1 { 0 } else { variant }).cloned()
        };
        let mut wanted: Vec<(u32, super::Wanted, u32)> = Vec::new();
        for one in &caller.fields {
            wanted.extend(one.wanted.map(|(w, line)| (one.field, w, line)));
            if let (Some((id, line)), Some(got)) = (&one.because, at(one.field)) {
                self.exercise(&got.rules);
                if got.rules.contains(id) {
                    case.passed += 1;
                } else {
                    case.failures.push(Failure {
                        line: *line,
                        text: format!(
                            "{} {}: wanted because of {id}, got {} by {}",
                            caller.name,
                            self.name(object, one.field),
                            got.outcome,
                            rule_words(&self.set.policies, &got.rules)
                        ),
                    });
                }
            }
        }
        if let Some((outcome, line)) = caller.rest {
            let named: Vec<u32> = wanted.iter().map(|(f, ..)| *f).collect();
            let fields = self.set.catalog.get(object).fields.len() as u32;
            wanted.extend(
                (0..fields)
                    .filter(|f| !named.contains(f))
                    .map(|f| (f, outcome, line)),
            );
        }
        for (field, outcome, line) in wanted {
            let Some(got) = at(field) else { continue };
            self.exercise(&got.rules);
            if got.outcome == outcome {
                case.passed += 1;
            } else {
                case.failures.push(Failure {
                    line,
                    text: format!(
                        "{} {}: wanted {outcome}, got {} by {}",
                        caller.name,
                        self.name(object, field),
                        got.outcome,
                        rule_words(&self.set.policies, &got.rules)
                    ),
                });
            }
        }
    }

    fn name(&self, object: ObjectId, field: u32) -> String {
        self.set.catalog.field_name(FieldRef { object, field })
    }

    /// A record as the answer of a query that names every field of it.
    fn record(
        &mut self,
        test: &Test,
        caller: &Identity,
        object: ObjectId,
        given: &Value,
        expected: &Value,
        case: &mut Case,
    ) {
        let name = self.set.catalog.get(object).name.clone();
        let api = self.set.catalog.get(object).api.clone();
        let mut fail = |text: String| {
            case.failures.push(Failure {
                line: test.line,
                text,
            });
        };
        let salesforce = self
            .set
            .catalog
            .apis
            .get(&api)
            .is_some_and(|a| &*a.dialect == "salesforce");
        if !salesforce {
            fail(format!(
                "`given` for {name} needs `request`: records of a mapped API stand where its routes say"
            ));
            return;
        }
        let mut columns = Vec::new();
        selected(given, "", &mut columns);
        let mut given = given.clone();
        if let Value::Object(members) = &mut given {
            let conditions = &self.set.catalog.get(object).conditions;
            for condition in conditions {
                let field = &self.set.catalog.get(object).fields[condition.field as usize].name;
                let said = test.record.iter().find(|(k, _)| *k == condition.name);
                let value = said
                    .and_then(|(_, said)| condition.values.iter().find(|(v, _)| v == said))
                    .and_then(|(_, values)| values.first());
                if let Some(value) = value
                    && !members.contains_key(&**field)
                {
                    // Where the engine asks for it: first.
                    members.shift_insert(0, field.to_string(), json_of(value));
                }
            }
        }
        let request = Request {
            method: Method::GET,
            path: "/services/data/v61.0/query".to_owned(),
            query: vec![(
                "q".to_owned(),
                format!("SELECT {} FROM {name}", columns.join(", ")),
            )],
            body: Vec::new(),
            api: Some(api),
        };
        let mut caller = caller.clone();
        caller.purpose_asked = None;
        let purpose = self.purpose(test, &caller);
        let answer =
            serde_json::json!({ "totalSize": 1, "done": true, "records": [given] }).to_string();
        let rewritten = self
            .planned(&caller, &request, Some(purpose))
            .map_err(|refusal| self.refused(&refusal))
            .and_then(|plan| rewrite(&plan, &answer).map_err(|a| a.to_string()));
        match rewritten {
            Err(why) => fail(format!("wanted {expected}, got a refusal: {why}")),
            Ok(whole) => {
                let got = whole.pointer("/records/0").cloned().unwrap_or(Value::Null);
                if matches(expected, &got) {
                    case.passed += 1;
                } else {
                    fail(format!("wanted {expected}, got {got}"));
                }
            }
        }
    }

    fn refused(&self, refusal: &Refusal) -> String {
        let (status, code) = (self.row)(refusal);
        let by = refusal.rule.as_ref().map_or_else(String::new, |rule| {
            format!(
                " by {}",
                rule_words(&self.set.policies, std::slice::from_ref(rule))
            )
        });
        format!("{status} {code} ({}){by}", refusal.message)
    }

    fn request(
        &mut self,
        test: &Test,
        caller: &Identity,
        request: &Request,
        expected: &[Expected],
        case: &mut Case,
    ) {
        let planned = self.planned(caller, request, None);
        let got = match &planned {
            Ok(_) => "allowed".to_owned(),
            Err(refusal) => self.refused(refusal),
        };
        for one in expected {
            let wrong = match (one, &planned) {
                (Expected::Allowed(wanted), planned) => (*wanted != planned.is_ok()).then(|| {
                    let wanted = if *wanted { "allowed" } else { "refused" };
                    format!("wanted {wanted}, got {got}")
                }),
                (Expected::Refusal { status, code }, planned) => {
                    let wanted = format!(
                        "{} {}",
                        status.map_or_else(|| "a refusal".to_owned(), |s| s.to_string()),
                        code.as_deref().unwrap_or("")
                    );
                    let fits = planned.as_ref().err().is_some_and(|refusal| {
                        let row = (self.row)(refusal);
                        status.is_none_or(|s| s == row.0)
                            && code.as_ref().is_none_or(|c| c == row.1)
                    });
                    (!fits).then(|| format!("wanted {}, got {got}", wanted.trim_end()))
                }
                (Expected::Json { expected, .. }, Err(_)) => {
                    Some(format!("wanted {expected}, got {got}"))
                }
                (Expected::Json { given, expected }, Ok(plan)) => {
                    match rewrite(plan, &given.to_string()) {
                        Ok(got) if matches(expected, &got) => None,
                        Ok(got) => Some(format!("wanted {expected}, got {got}")),
                        Err(abort) => Some(format!("wanted {expected}, got {abort}")),
                    }
                }
            };
            match wrong {
                None => case.passed += 1,
                Some(text) => case.failures.push(Failure {
                    line: test.line,
                    text,
                }),
            }
        }
    }

    /// Understand, decide, plan. With `granted` that purpose counts as granted.
    fn planned(
        &mut self,
        caller: &Identity,
        request: &Request,
        granted: Option<Arc<str>>,
    ) -> Result<Plan, Refusal> {
        let catalog = &self.set.catalog;
        let operation = request.understood(catalog, caller, self.keys)?;
        let decision = match granted {
            None => decide(&self.set.policies, catalog, caller, &operation),
            Some(purpose) => self
                .set
                .policies
                .standpoint(catalog, caller, purpose)
                .decide(
                    &self.set.policies,
                    catalog,
                    &crate::engine::policy::Asking {
                        action: operation.action,
                        uses: &operation.uses,
                        objects: &operation.objects,
                        exports: operation.exports,
                        written: &|_| None,
                    },
                ),
        };
        let planned = plan(operation, &decision, catalog, self.keys, caller);
        self.exercise(&deciding(&decision));
        planned
    }
}

fn counter_example(set: &Loaded, never: &Never) -> Option<String> {
    let catalog = &set.catalog;
    let actions = match never.action {
        Action::Read => vec![Action::Read],
        other => vec![Action::Read, other],
    };
    let wanted = |who: Option<&Arc<str>>| match (&never.who, who) {
        (None, _) => true,
        (Some(wanted), Some(who)) => {
            who == wanted
                || who
                    .split_once(':')
                    .is_some_and(|(_, name)| *name == **wanted)
        }
        (Some(_), None) => false,
    };
    let meant = |at: FieldRef| {
        never.object.is_none_or(|o| o == at.object)
            && never.field.is_none_or(|f| f == at)
            && never
                .class
                .as_ref()
                .is_none_or(|c| set.policies.classes(catalog, at).any(|of| is_inside(of, c)))
    };
    let words = Words::of(&[set]);
    let families = families(set, never.action, &meant);
    for who in words.who.iter().filter(|w| wanted(w.as_ref())) {
        for (field, _) in &families {
            let rules = asked(set, who.as_ref(), *field, &actions);
            for corner in corners(&words, &rules) {
                if let Some(found) = broken(set, never, who.as_ref(), *field, &corner) {
                    return Some(found);
                }
            }
        }
    }
    None
}

/// How the invariant is broken for one field in one corner.
fn broken(
    set: &Loaded,
    never: &Never,
    who: Option<&Arc<str>>,
    field: FieldRef,
    corner: &Corner,
) -> Option<String> {
    let mut point = corner.point(who);
    if let Some(purpose) = &never.purpose {
        point.purpose = corner.purposes.iter().find(|p| *p == purpose)?.clone();
    }
    let of = cells(
        &set.policies,
        &set.catalog,
        &set.policies.standing(&set.catalog, &point),
        field,
        never.action,
    );
    for variant in 0..space::variants(&set.catalog, field.object) {
        let Some(cell) = of.get(if of.len() == 1 { 0 } else { variant }) else {
            continue;
        };
        if !never.outcomes.contains(&cell.outcome) {
            continue;
        }
        let values = variant_values(&set.catalog, field.object, variant);
        let region = corner
            .regions
            .iter()
            .find(|r| in_region(set, never, r.as_ref(), field.object, &values));
        let Some(region) = region else { continue };
        point.region = region.clone();
        let record: String = values
            .iter()
            .map(|(name, value)| format!(", {name} {}", value.as_deref().unwrap_or("unknown")))
            .collect();
        return Some(format!(
            "counter-example: {} {} {} as {}{record}, by {}",
            point_words(&point),
            match never.action {
                Action::Read => "reads".to_owned(),
                other => format!("may {}", other.word()),
            },
            set.catalog.field_name(field),
            cell.outcome,
            rule_words(&set.policies, &cell.rules),
        ));
    }
    None
}

fn in_region(
    set: &Loaded,
    never: &Never,
    caller: Option<&Arc<str>>,
    object: ObjectId,
    values: &[(Arc<str>, Option<Arc<str>>)],
) -> bool {
    let Some(wanted) = &never.region else {
        return true;
    };
    let object = set.catalog.get(object);
    let data = match object.conditions.iter().position(|c| c.is_region) {
        Some(i) => values.get(i).and_then(|(_, v)| v.clone()),
        None => object.data_region.clone(),
    };
    let same = caller.is_some() && caller == data.as_ref();
    match &**wanted {
        "same" => same,
        "cross" => !same,
        region => caller.is_some_and(|c| **c == *region),
    }
}
/// Every rule that a decision rests on.
fn deciding(decision: &Decision) -> Vec<Arc<str>> {
    let mut all = Vec::new();
    for verdict in &decision.verdicts {
        match verdict {
            Verdict::Output(ruling) => {
                all.extend(
                    ruling
                        .by_variant
                        .iter()
                        .flat_map(|r| r.rules.iter().cloned()),
                );
            }
            Verdict::Permit(rules)
            | Verdict::PermitTokens(rules)
            | Verdict::PermitNullOrTokens(rules) => all.extend(rules.iter().cloned()),
            Verdict::Refuse(refusal) => all.extend(refusal.rule.clone()),
        }
    }
    all
}

/// The columns of a SELECT that would bring this record: `Email`, `Account.Name`.
fn selected(record: &Value, prefix: &str, into: &mut Vec<String>) {
    for (name, value) in record.as_object().into_iter().flatten() {
        match value {
            _ if name == "attributes" => {}
            Value::Object(members) if members.contains_key("attributes") => {
                selected(value, &format!("{prefix}{name}."), into);
            }
            _ => into.push(format!("{prefix}{name}")),
        }
    }
}

fn rewrite(plan: &Plan, body: &str) -> Result<Value, Abort> {
    let mut rewriter = Rewriter::new(plan.program(), Bounds::default());
    let mut out = Out::default();
    rewriter.push(Bytes::copy_from_slice(body.as_bytes()), &mut out)?;
    rewriter.finish(&mut out)?;
    Ok(serde_json::from_slice(&out.concat()).unwrap_or(Value::Null))
}

/// Whether `got` is what was expected; `<token>` stands for any token.
fn matches(expected: &Value, got: &Value) -> bool {
    match (expected, got) {
        (Value::String(e), Value::String(g)) if e == ANY_TOKEN => g.starts_with("tk1."),
        (Value::Object(e), Value::Object(g)) => {
            e.len() == g.len()
                && e.iter()
                    .all(|(k, v)| g.get(k).is_some_and(|other| matches(v, other)))
        }
        (Value::Array(e), Value::Array(g)) => {
            e.len() == g.len() && e.iter().zip(g).all(|(e, g)| matches(e, g))
        }
        _ => expected == got,
    }
}
