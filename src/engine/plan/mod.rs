//! Operation × Decision → [`Plan`]: the only thing that can be sent upstream.
//!
//! `program` lowers the operation's shape and the decision's treatments into a rewrite program; `literal`
//! turns tokens of the request back into values; `link` rewrites cursors and URLs; `account` says for audit and
//! headers what was planned.

mod account;
mod ledger;
mod link;
mod literal;
mod program;

use std::sync::Arc;

use crate::engine::catalog::Catalog;
use crate::engine::event::What;
use crate::engine::identity::Identity;
use crate::engine::policy::{Decision, Verdict};
use crate::engine::protocol::{
    Action, Api, Forward, Literal, Operation, Resolved, UpstreamRequest,
};
use crate::engine::refusal::Refusal;
use crate::engine::rewrite::Program;
use crate::engine::token::KeyRing;

pub use ledger::{Shown, ShownSet};

/// What happens to one request and its answer. Only [`plan`] makes one, and only a Plan can be sent upstream:
/// forwarding without a decision does not compile.
#[derive(Debug)]
pub struct Plan {
    api: Api,
    writes: bool,
    request: UpstreamRequest,
    program: Arc<Program>,
    treated_header: Option<String>,
    shown: Option<Arc<Shown>>,
}

impl Plan {
    /// The API that it goes to.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// The upstream request.
    pub fn request(&self) -> &UpstreamRequest {
        &self.request
    }

    /// The program for the response body.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// Which records the answer shows, once it has come; `None` while the ledger is off, and for answers whose
    /// records cannot be told (aggregates).
    pub fn shown(&self) -> Option<&Arc<Shown>> {
        self.shown.as_ref()
    }

    /// Whether something changes upstream: the attempt must be durable before it is sent.
    pub fn is_write(&self) -> bool {
        self.writes
    }

    /// The value of `Privet-Treated`: `Email=mask, Phone=redact`, at most 20 names, hidden fields left out.
    pub fn treated_header(&self) -> Option<&str> {
        self.treated_header.as_deref()
    }
}

/// What the audit says of an operation and its decision, planned or refused.
pub fn account(operation: &Operation, decision: &Decision, catalog: &Catalog) -> What {
    account::what(operation, decision, catalog)
}

/// Plans one operation.
///
/// `caller` is the identity that the decision was made for; its tenant is bound into tokens.
///
/// # Errors
/// The decision's refusal; a value that is neither a token nor allowed in its place; a request that the dialect
/// cannot print.
pub fn plan(
    operation: Operation,
    decision: &Decision,
    catalog: &Catalog,
    keys: &KeyRing,
    caller: &Identity,
) -> Result<Plan, Refusal> {
    if let Some(refusal) = &decision.refusal {
        return Err(refusal.clone());
    }
    for verdict in &decision.verdicts {
        if let Verdict::Refuse(refusal) = verdict {
            return Err(refusal.clone());
        }
    }
    if decision.verdicts.len() != operation.uses.len() {
        return Err(internal("decision and operation differ"));
    }
    // Before any value: a name that is hidden was refused above, one that does not exist must not come later.
    if let Some(refusal) = operation.forward.refused() {
        return Err(refusal.clone());
    }

    let mut values: Vec<Option<Vec<Literal>>> = Vec::with_capacity(operation.uses.len());
    for (used, verdict) in operation.uses.iter().zip(&decision.verdicts) {
        values.push(literal::resolve(
            used,
            verdict,
            decision,
            catalog,
            keys,
            &caller.tenant,
        )?);
    }
    let kept: Vec<bool> = decision
        .verdicts
        .iter()
        .map(|v| match v {
            Verdict::Output(ruling) => !ruling.is_hidden(),
            Verdict::Permit(_) | Verdict::PermitTokens(_) | Verdict::PermitNullOrTokens(_) => true,
            Verdict::Refuse(_) => false,
        })
        .collect();

    let clear: Vec<bool> = decision
        .verdicts
        .iter()
        .map(|v| matches!(v, Verdict::Output(ruling) if ruling.is_clear()))
        .collect();

    let lowered = program::lower(&operation, decision, catalog, keys, caller)?;
    let resolved = Resolved {
        kept: &kept,
        values: &values,
        conditions: &lowered.conditions,
        clear: &clear,
    };
    let request = match &operation.forward {
        Forward::Salesforce(forward) => forward.print(&resolved)?,
        Forward::Map(forward) => forward.print(&resolved)?,
    };
    Ok(Plan {
        request,
        shown: lowered.shown,
        program: Arc::new(lowered.program),
        treated_header: account::treated_header(&operation, decision, catalog),
        writes: changes(operation.action) || operation.uses.iter().any(|u| changes(u.action)),
        api: operation.api,
    })
}

fn changes(action: Action) -> bool {
    matches!(action, Action::Write | Action::Delete)
}

fn internal(detail: &'static str) -> Refusal {
    Refusal::new(
        crate::engine::refusal::Reason::Internal,
        "The request could not be planned",
    )
    .detail(detail)
}

#[cfg(test)]
mod tests;
