//! Operation × Decision → [`Plan`]: the only thing that can be sent upstream.
//!
//! `program` (a file per format) lowers the operation's shape and the decision's treatments into a rewrite program; `literal`
//! turns tokens of the request back into values; `link` rewrites cursors and URLs; `account` says for audit and
//! headers what was planned.

mod account;
mod ledger;
mod link;
mod literal;
mod manifest;
mod program;

use std::sync::Arc;

pub use ledger::{Shown, ShownSet};
pub use manifest::Said;

use http::{HeaderMap, HeaderValue};

use crate::engine::catalog::Catalog;
use crate::engine::event::What;
use crate::engine::identity::Identity;
use crate::engine::policy::{Decision, Verdict};
use crate::engine::protocol::salesforce::{NO_CURSOR, NextPage};
use crate::engine::protocol::{
    Action, Api, Forward, Literal, Operation, Resolved, Shape, UpstreamRequest, Use,
};
use crate::engine::refusal::{Reason, Refusal};
use crate::engine::rewrite::{Abort, BodyProgram};
use crate::engine::token::KeyRing;

/// What happens to one request and its answer. Only [`plan`] makes one, and only a Plan can be sent upstream:
/// forwarding without a decision does not compile.
#[derive(Debug)]
pub struct Plan {
    api: Api,
    writes: bool,
    exports: bool,
    request: UpstreamRequest,
    program: BodyProgram,
    upload: Option<UploadProgram>,
    treated_header: Option<String>,
    shown: Option<Arc<Shown>>,
    results_page: Option<NextPage>,
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
    pub fn program(&self) -> &BodyProgram {
        &self.program
    }

    /// Which records the answer shows, once it has come; `None` while the ledger is off, and for answers whose
    /// records cannot be told (aggregates).
    pub fn shown(&self) -> Option<&Arc<Shown>> {
        self.shown.as_ref()
    }

    /// Whether the answer is a file, to be passed as it comes instead of being rewritten.
    pub fn is_opaque(&self) -> bool {
        matches!(self.program, BodyProgram::Opaque)
    }

    /// The request body goes upstream through this program while it arrives; `None`: it stands in the request.
    pub fn upload(&self) -> Option<&UploadProgram> {
        self.upload.as_ref()
    }

    /// Whether something changes upstream: the attempt must be durable before it is sent.
    pub fn is_write(&self) -> bool {
        self.writes
    }

    /// Whether the answer is an extract (a bulk job, a report, a file) rather than an API answer: compressed as the
    /// client likes it, as nobody chooses a part of it next to a secret.
    pub fn is_export(&self) -> bool {
        self.exports
    }

    /// Headers of the upstream's answer that tell of the page of an extract: how many records it holds, and the locator
    /// of the next one, sealed for this caller. Empty for answers that are no such page.
    pub fn page_headers(&self, upstream: &HeaderMap) -> HeaderMap {
        let mut told = HeaderMap::new();
        let Some(page) = &self.results_page else {
            return told;
        };
        let text = |name: &str| upstream.get(name).and_then(|v| v.to_str().ok());
        if let Some(count) = text(RECORDS_HEADER).filter(|c| is_count(c))
            && let Ok(count) = HeaderValue::from_str(count)
        {
            told.insert(RECORDS_HEADER, count);
        }
        // The last page says `null`; a locator that cannot be read leads to a page that is always refused.
        let locator = upstream.get(LOCATOR_HEADER).and_then(|v| match v.to_str() {
            Ok("null") => Some("null".to_owned()),
            Ok(locator) => page.link(locator),
            Err(_) => Some(NO_CURSOR.to_owned()),
        });
        if let Some(locator) = locator.and_then(|l| HeaderValue::from_str(&l).ok()) {
            told.insert(LOCATOR_HEADER, locator);
        }
        told
    }

    /// The value of `Privet-Treated`: `Email=mask, Phone=redact`, at most 20 names, hidden fields left out.
    pub fn treated_header(&self) -> Option<&str> {
        self.treated_header.as_deref()
    }
}

/// How many records a page of Bulk API 2.0 holds.
const RECORDS_HEADER: &str = "sforce-numberofrecords";
/// Where its next page is.
const LOCATOR_HEADER: &str = "sforce-locator";

fn is_count(text: &str) -> bool {
    (1..=12).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// The program that a request body goes through on its way upstream: the inverse of an answer's.
#[derive(Debug)]
pub struct UploadProgram {
    program: BodyProgram,
    /// Parallel to the program's counters.
    refusals: Vec<Refusal>,
}

impl UploadProgram {
    /// What is carried out.
    pub fn program(&self) -> &BodyProgram {
        &self.program
    }

    /// What the client is told when the program ends the upload.
    pub fn refusal(&self, abort: &Abort) -> Refusal {
        match abort {
            Abort::Refused { counter, .. } => match self.refusals.get(*counter as usize) {
                Some(refusal) => refusal.clone(),
                None => internal("a value was refused that no use stands for"),
            },
            Abort::Contradiction { .. } => Refusal::new(
                Reason::MalformedBody,
                "The request body holds what the request did not announce",
            ),
            Abort::TooLarge { .. } => Refusal::new(
                Reason::BodyTooLarge,
                "A part of the request body is too big",
            ),
            other => Refusal::new(Reason::MalformedBody, format!("The request body: {other}")),
        }
    }
}

/// What the audit says of an operation and its decision, planned or refused.
pub fn account(operation: &Operation, decision: &Decision, catalog: &Catalog) -> What {
    account::what(operation, decision, catalog)
}

/// What happens to each field of an operation and which rules say so, planned or refused.
pub fn manifest(operation: &Operation, decision: &Decision, catalog: &Catalog) -> Vec<Said> {
    manifest::said(operation, decision, catalog)
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
    // What an upload may hold without having named it is refused when it comes.
    let waits = |used: &Use| operation.upload.is_some() && !used.named && changes(used.action);
    let is_optional = |index: usize| operation.optional.contains(&index);
    for (index, (used, verdict)) in operation.uses.iter().zip(&decision.verdicts).enumerate() {
        if let Verdict::Refuse(refusal) = verdict
            && !waits(used)
            && !is_optional(index)
        {
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
    for (index, (used, verdict)) in operation.uses.iter().zip(&decision.verdicts).enumerate() {
        if waits(used) || is_optional(index) {
            values.push(None);
            continue;
        }
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
        .enumerate()
        .map(|(index, v)| match v {
            Verdict::Output(ruling) => !ruling.is_hidden(),
            // Nobody turns the values of a stored query back.
            Verdict::PermitTokens(_) | Verdict::PermitNullOrTokens(_) if is_optional(index) => {
                false
            }
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
    let upload = match &operation.upload {
        None => None,
        Some(upload) => Some(program::lower_upload(
            upload,
            &program::Judging {
                operation: &operation,
                decision,
                catalog,
                keys,
                tenant: &caller.tenant,
            },
        )?),
    };
    let resolved = Resolved {
        kept: &kept,
        values: &values,
        conditions: &lowered.conditions,
        clear: &clear,
    };
    let results_page = match &operation.forward {
        Forward::Salesforce(forward) => forward.results_page(keys.sealer(&caller.tenant)),
        Forward::Map(_) => None,
    };
    let request = match &operation.forward {
        Forward::Salesforce(forward) => forward.print(&resolved)?,
        Forward::Map(forward) => forward.print(&resolved)?,
    };
    Ok(Plan {
        request,
        results_page,
        shown: lowered.shown,
        program: lowered.program,
        upload,
        treated_header: account::treated_header(&operation, decision, catalog),
        exports: operation.exports || matches!(operation.shape, Shape::Csv(_)),
        writes: changes(operation.action) || operation.uses.iter().any(|u| changes(u.action)),
        api: operation.api,
    })
}

/// The response program alone, for records that come from a file instead of an upstream: nothing can be sent with it,
/// so what the request itself would be refused for on its way there does not matter.
///
/// # Errors
/// The decision's refusal, or that of an output.
pub fn offline(
    operation: &Operation,
    decision: &Decision,
    catalog: &Catalog,
    keys: &KeyRing,
    caller: &Identity,
) -> Result<BodyProgram, Refusal> {
    if let Some(refusal) = &decision.refusal {
        return Err(refusal.clone());
    }
    for verdict in &decision.verdicts {
        if let Verdict::Refuse(refusal) = verdict {
            return Err(refusal.clone());
        }
    }
    Ok(program::lower(operation, decision, catalog, keys, caller)?.program)
}

fn changes(action: Action) -> bool {
    matches!(action, Action::Write | Action::Delete)
}

fn internal(detail: &'static str) -> Refusal {
    Refusal::new(Reason::Internal, "The request could not be planned").detail(detail)
}

#[cfg(test)]
mod tests;
