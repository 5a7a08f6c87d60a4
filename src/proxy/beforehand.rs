//! What has to be asked of the upstream before a request can be understood: a request of privet's own on the caller's
//! behalf, decided, planned and recorded like any other. Its answer stays here.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use crate::engine::event::Ending;
use crate::engine::identity::Identity;
use crate::engine::plan;
use crate::engine::policy;
use crate::engine::protocol::{Known, Operation};
use crate::engine::refusal::{Reason, Refusal};
use crate::engine::rewrite::{Bounds, Out, Rewriter};

use super::carrier::{Carrier, ServedApi};
use super::journal::{End, cannot_record};
use super::snapshot::Live;
use super::upstream::Ids;

/// What asking goes by.
pub struct Asking<'a> {
    /// The process.
    pub carrier: &'a Carrier,
    /// The API.
    pub served: &'a ServedApi,
    /// Policy, catalog and keys of the request.
    pub live: &'a Live,
    /// Who asks.
    pub identity: &'a Identity,
    /// The client's own credential, where that is passed on.
    pub authorization: Option<&'a HeaderValue>,
    /// Ids of the request that needs to know.
    pub ids: &'a Ids<'a>,
}

impl std::fmt::Debug for Asking<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asking").finish_non_exhaustive()
    }
}

impl Asking<'_> {
    /// What the upstream says to `operation`, as its plan lets it pass; nothing, where the upstream refuses.
    ///
    /// # Errors
    /// The operation's refusal; an upstream that cannot be reached; an answer that may not pass; a log that cannot record.
    pub async fn ask(&self, operation: Operation) -> Result<Known, Refusal> {
        let catalog = &self.live.set.catalog;
        let decision = policy::decide(&self.live.set.policies, catalog, self.identity, &operation);
        let account = plan::account(&operation, &decision, catalog);
        let plan = plan::plan(
            operation,
            &decision,
            catalog,
            &self.live.keys,
            self.identity,
        )?;
        let mut journal = self.carrier.journal(plan.request().method.as_str());
        journal.api = Some(Arc::clone(&self.served.api.name));
        journal.correlation_id = Some(self.ids.request_id.into());
        journal.caller(self.identity);
        journal.asked(account);
        journal.attempt().await?;
        let upstream = &self.served.upstream;
        let pulled = upstream.pull(&plan, self.authorization, self.ids).await;
        let treated = match &pulled {
            Ok(Some(body)) => Some(treated(&plan, body)),
            _ => None,
        };
        let (ending, status) = match (&pulled, &treated) {
            (Err(_), _) | (_, Some(Err(_))) => (Ending::UpstreamFailed, StatusCode::BAD_GATEWAY),
            (Ok(None), _) => (Ending::Complete, StatusCode::BAD_REQUEST),
            _ => (Ending::Complete, StatusCode::OK),
        };
        let end = End {
            ending,
            status: status.as_u16(),
            reason: None,
            counts: None,
        };
        journal.close(end).await.map_err(cannot_record)?;
        pulled?;
        treated.transpose().map(|known| known.unwrap_or_default())
    }
}

/// The answer, rewritten by its plan.
fn treated(plan: &plan::Plan, body: &Bytes) -> Result<Known, Refusal> {
    let mut rewriter = Rewriter::new(plan.program(), Bounds::default());
    let mut out = Out::default();
    rewriter
        .push(body.clone(), &mut out)
        .and_then(|()| rewriter.finish(&mut out))
        .map_err(|abort| {
            Refusal::new(
                Reason::UpstreamUnacceptable,
                "the upstream's answer may not pass",
            )
            .detail(abort.to_string())
        })?;
    Ok(Known::new(out.concat().into()))
}
