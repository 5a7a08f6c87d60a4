//! A request on paper, understood as one from the wire would be.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method};

use crate::engine::catalog::Catalog;
use crate::engine::identity::Identity;
use crate::engine::protocol::{Api, Dialect, Operation, RequestHead, understand};
use crate::engine::refusal::{Reason, Refusal};
use crate::engine::token::KeyRing;

/// One request.
#[derive(Debug)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// Its path, such as `/services/data/v61.0/query`.
    pub path: String,
    /// Decoded query pairs.
    pub query: Vec<(String, String)>,
    /// JSON, or empty.
    pub body: Vec<u8>,
    /// The API it is for; `None` = the one that knows the path.
    pub api: Option<Arc<str>>,
}

impl Request {
    /// A SOQL query.
    pub fn soql(query: &str) -> Self {
        Self {
            method: Method::GET,
            path: "/services/data/v61.0/query".to_owned(),
            query: vec![("q".to_owned(), query.to_owned())],
            body: Vec::new(),
            api: None,
        }
    }

    /// What it touches.
    ///
    /// # Errors
    /// The refusal of the API whose path it is.
    pub fn understood(
        &self,
        catalog: &Catalog,
        caller: &Identity,
        keys: &KeyRing,
    ) -> Result<Operation, Refusal> {
        let sealer = keys.sealer(&caller.tenant);
        let mut headers = HeaderMap::new();
        if !self.body.is_empty() {
            headers.insert(
                http::header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
        }
        let segments: Vec<String> = self
            .path
            .trim_start_matches('/')
            .split('/')
            .map(str::to_owned)
            .collect();
        let head = RequestHead {
            method: &self.method,
            path: &self.path,
            segments: &segments,
            query: &self.query,
            headers: &headers,
        };
        let mut refused: Option<Refusal> = None;
        for (name, schema) in &catalog.apis {
            if self.api.as_ref().is_some_and(|wanted| wanted != name) {
                continue;
            }
            let api = Api {
                name: name.clone(),
                dialect: if &*schema.dialect == "salesforce" {
                    Dialect::Salesforce
                } else {
                    Dialect::Map
                },
                versions: (1, 999),
                public_origin: "https://privet.test".into(),
                upstream_origin: "https://upstream.test".into(),
            };
            match understand(&api, &head, &self.body, catalog, caller, &sealer) {
                Ok(operation) => return Ok(operation),
                Err(refusal) => {
                    if refused
                        .as_ref()
                        .is_none_or(|r| r.reason == Reason::UnknownPath)
                    {
                        refused = Some(refusal);
                    }
                }
            }
        }
        Err(refused.unwrap_or_else(|| {
            Refusal::new(Reason::UnknownPath, "no API of the schema has this path")
        }))
    }
}
