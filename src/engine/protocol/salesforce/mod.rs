//! Salesforce's REST API.

pub mod soql;

use crate::engine::catalog::Catalog;
use crate::engine::identity::Identity;
use crate::engine::refusal::{Reason, Refusal};
use crate::engine::token::Sealer;

use super::{Api, Operation, RequestHead};

/// How a Salesforce request goes upstream.
#[derive(Debug)]
pub struct Forward {}

/// Understands one Salesforce request.
///
/// # Errors
/// A refusal in the design's words.
pub fn understand(
    _api: &Api,
    _head: &RequestHead<'_>,
    _body: &[u8],
    _catalog: &Catalog,
    _caller: &Identity,
    _sealer: &Sealer,
) -> Result<Operation, Refusal> {
    Err(Refusal::new(
        Reason::UnknownPath,
        "The requested resource does not exist",
    ))
}
