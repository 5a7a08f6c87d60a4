//! Operation × Decision → [`Plan`]: the only thing that can be sent upstream.

use std::sync::Arc;

use crate::engine::event::What;
use crate::engine::protocol::UpstreamRequest;
use crate::engine::rewrite::Program;

/// What happens to one request and its answer. Only [`plan`] makes one, and only a Plan can be sent upstream:
/// forwarding without a decision does not compile.
#[derive(Debug)]
pub struct Plan {
    request: UpstreamRequest,
    program: Arc<Program>,
    what: Arc<What>,
    treated: Option<String>,
}

impl Plan {
    /// Stands in for `plan()` until that is joined.
    pub(crate) fn stand_in(
        request: UpstreamRequest,
        program: Arc<Program>,
        what: Arc<What>,
        treated: Option<String>,
    ) -> Self {
        Self {
            request,
            program,
            what,
            treated,
        }
    }

    /// The upstream request.
    pub fn request(&self) -> &UpstreamRequest {
        &self.request
    }

    /// The program for the response body.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// What the audit log says of it.
    pub fn what(&self) -> Arc<What> {
        Arc::clone(&self.what)
    }

    /// The text of `Privet-Treated`, if anything is treated.
    pub fn treated_header(&self) -> Option<String> {
        self.treated.clone()
    }
}
