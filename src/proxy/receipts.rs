//! Receipts: what a caller who may ask gets to know of its own request, afterwards and by request id.
//!
//! Kept in memory, bounded in number, bytes and time; another caller's receipt and one that never was answer alike.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::engine::catalog::Catalog;
use crate::engine::event::Outcome;
use crate::engine::identity::Identity;
use crate::engine::plan::Said;
use crate::engine::policy::Policies;

/// Where receipts are asked for; a request id follows.
pub const PATH: &str = "/.privet/receipts/";
/// How long one is kept.
const KEPT: Duration = Duration::from_secs(3600);
/// Most of them.
const RECEIPTS_MAX: usize = 2_048;
/// Most bytes of them, as JSON.
const BYTES_MAX: usize = 16 << 20;

/// The receipts of a process.
#[derive(Debug, Default)]
pub struct Receipts {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    by_request: HashMap<Arc<str>, Receipt>,
    /// Oldest first.
    order: VecDeque<Arc<str>>,
    bytes: usize,
}

#[derive(Debug)]
struct Receipt {
    caller: Caller,
    made: Instant,
    manifest: Value,
    bytes: usize,
    ended: Option<Value>,
}

/// Whose receipt it is: another tenant, subject, client or way of proof is another caller.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Caller {
    tenant: Arc<str>,
    subject: Arc<str>,
    client: Option<Arc<str>>,
}

impl Caller {
    fn of(identity: &Identity) -> Self {
        Self {
            tenant: Arc::clone(&identity.tenant),
            subject: Arc::clone(&identity.subject),
            client: identity.client.clone(),
        }
    }
}

/// Field → treatment → rule, as JSON. The rule that hides a field is not told.
pub fn manifest(
    request_id: &str,
    purpose: &str,
    said: &[Said],
    catalog: &Catalog,
    policies: &Policies,
) -> Value {
    let fields: Vec<Value> = said
        .iter()
        .map(|s| {
            let answers: Vec<Value> = s
                .answers
                .iter()
                .map(|(word, rules)| {
                    let rules: Vec<String> = rules
                        .iter()
                        .filter(|_| !matches!(*word, "drop" | "deny"))
                        .map(|id| match policies.rule(id) {
                            Some(r) => format!("{id} ({}:{})", r.position.file, r.position.line),
                            None => id.to_string(),
                        })
                        .collect();
                    json!({ "treatment": word, "rules": rules })
                })
                .collect();
            // A field that this caller does not see keeps the name that the caller gave it.
            let field = match (&s.written, s.hidden) {
                (Some(written), true) => written.to_string(),
                _ => s.name.clone(),
            };
            json!({
                "field": field,
                "class": (!s.hidden).then(|| catalog.field(s.field).class.to_string()),
                "use": s.action,
                "answers": answers,
            })
        })
        .collect();
    json!({
        "request_id": request_id,
        "policy": policies.version().to_string(),
        "purpose": purpose,
        "fields": fields,
    })
}

impl Receipts {
    /// Keeps `manifest` for `caller`.
    pub fn keep(&self, request_id: &Arc<str>, caller: &Identity, manifest: Value) {
        let bytes = manifest.to_string().len();
        let mut held = self.held();
        held.order.push_back(Arc::clone(request_id));
        held.bytes += bytes;
        held.by_request.insert(
            Arc::clone(request_id),
            Receipt {
                caller: Caller::of(caller),
                made: Instant::now(),
                manifest,
                bytes,
                ended: None,
            },
        );
        while held.order.len() > RECEIPTS_MAX
            || held.bytes > BYTES_MAX
            || held.oldest().is_some_and(|r| r.made.elapsed() > KEPT)
        {
            let Some(oldest) = held.order.pop_front() else {
                break;
            };
            if let Some(gone) = held.by_request.remove(&oldest) {
                held.bytes -= gone.bytes;
            }
        }
    }

    /// The answer of a request has ended: its counts, if it has a receipt.
    pub fn ended(&self, request_id: &str, outcome: &Outcome) {
        let mut held = self.held();
        let Some(receipt) = held.by_request.get_mut(request_id) else {
            return;
        };
        // Counts of what a caller sees: a field that is hidden from it was not among the values.
        let treated: BTreeMap<&str, u64> = outcome
            .treated
            .iter()
            .filter(|(name, _)| !name.starts_with("drop ") && !name.starts_with("deny "))
            .map(|(name, n)| (&**name, *n))
            .collect();
        receipt.ended = Some(json!({
            "ending": outcome.ending,
            "status": outcome.status,
            "rows": outcome.rows,
            "treated": treated,
        }));
    }

    /// The receipt of `request_id`, if it is this caller's.
    pub fn of(&self, request_id: &str, caller: &Identity) -> Option<Value> {
        let held = self.held();
        let receipt = held.by_request.get(request_id)?;
        if receipt.caller != Caller::of(caller) || receipt.made.elapsed() > KEPT {
            return None;
        }
        let mut whole = receipt.manifest.clone();
        whole["ended"] = receipt.ended.clone().unwrap_or(Value::Null);
        Some(whole)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn oldest(&self) -> Option<&Receipt> {
        self.by_request.get(self.order.front()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::event::Ending;
    use crate::engine::identity::Proof;

    fn caller(subject: &str) -> Identity {
        Identity {
            subject: subject.into(),
            client: Some("mailer".into()),
            roles: Vec::new(),
            region: None,
            tenant: "acme".into(),
            proof: Proof::ApiKey {
                key_id: "k_1".into(),
            },
            mfa: None,
            auth_time_s: None,
            purpose_asked: None,
            now_s: 0,
            address: None,
        }
    }

    #[test]
    fn a_receipt_is_its_callers_alone_and_counts_come_at_the_end() {
        let receipts = Receipts::default();
        let id: Arc<str> = "r1".into();
        receipts.keep(&id, &caller("ana"), json!({ "request_id": "r1" }));
        assert_eq!(receipts.of("r1", &caller("bob")), None);
        assert_eq!(receipts.of("r2", &caller("ana")), None);
        assert_eq!(
            receipts.of("r1", &caller("ana")).unwrap()["ended"],
            Value::Null
        );
        let mut outcome = Outcome::without_answer(Ending::Complete, "x");
        outcome.treated = BTreeMap::from([
            ("mask:email Contact.Email".to_owned(), 3),
            ("drop Contact.Health__c".to_owned(), 3),
        ]);
        receipts.ended("r1", &outcome);
        let whole = receipts.of("r1", &caller("ana")).unwrap();
        assert_eq!(
            whole["ended"]["treated"],
            json!({ "mask:email Contact.Email": 3 })
        );
    }

    #[test]
    fn the_store_is_bounded_in_number_and_bytes() {
        let receipts = Receipts::default();
        for n in 0..RECEIPTS_MAX + 10 {
            receipts.keep(&format!("r{n}").into(), &caller("a"), json!({}));
        }
        assert_eq!(receipts.held().order.len(), RECEIPTS_MAX);
        assert_eq!(receipts.of("r9", &caller("a")), None);
        let large = json!({ "x": "y".repeat(BYTES_MAX / 4) });
        for n in 0..8 {
            receipts.keep(&format!("l{n}").into(), &caller("a"), large.clone());
        }
        let held = receipts.held();
        assert!(held.bytes <= BYTES_MAX && held.by_request.len() == held.order.len());
    }
}
