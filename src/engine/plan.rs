//! Operation × Decision → [`Plan`]: the only thing that can be sent upstream.

use std::sync::Arc;

use crate::engine::protocol::UpstreamRequest;
use crate::engine::rewrite::Program;

/// What happens to one request and its answer. Only [`plan`] makes one, and only a Plan can be sent upstream:
/// forwarding without a decision does not compile.
#[derive(Debug)]
pub struct Plan {
    request: UpstreamRequest,
    program: Arc<Program>,
}

impl Plan {
    /// The upstream request.
    pub fn request(&self) -> &UpstreamRequest {
        &self.request
    }

    /// The program for the response body.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }
}
