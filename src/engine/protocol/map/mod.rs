//! Any JSON API, as `policies/apis/*.yaml` describes it.

use crate::engine::catalog::Catalog;
use crate::engine::refusal::{Reason, Refusal};

use super::{Api, Operation, RequestHead};

/// One `policies/apis/*.yaml`, checked.
#[derive(Debug)]
pub struct ApiMap {}

/// How a mapped request goes upstream.
#[derive(Debug)]
pub struct Forward {}

/// Understands one request of a mapped API.
///
/// # Errors
/// A refusal in the design's words.
pub fn understand(
    _api: &Api,
    _head: &RequestHead<'_>,
    _body: &[u8],
    _catalog: &Catalog,
) -> Result<Operation, Refusal> {
    Err(Refusal::new(
        Reason::UnknownPath,
        "The requested resource does not exist",
    ))
}
