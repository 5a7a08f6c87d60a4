//! CRM clients from elsewhere, run as they are.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// One client program.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Client {
    /// simple-salesforce (PyPI).
    SimpleSalesforce,
    /// jsforce (npm).
    Jsforce,
    /// simple-salesforce, logging in by itself.
    SimpleSalesforceLogin,
    /// jsforce, logging in by itself.
    JsforceLogin,
    /// simple-salesforce, changing records.
    SimpleSalesforceWrites,
    /// jsforce, changing records.
    JsforceWrites,
    /// simple-salesforce, Bulk API 1.0.
    SimpleSalesforceBulk1,
    /// jsforce, Bulk API 1.0.
    JsforceBulk1,
    /// simple-salesforce, Bulk API 2.0.
    SimpleSalesforceBulk2,
    /// jsforce, Bulk API 2.0.
    JsforceBulk2,
    /// jsforce's SOAP API.
    JsforceSoap,
    /// jsforce: reports, list views, UI API.
    JsforceReports,
    /// jsforce's Streaming API.
    JsforceStreaming,
    /// zeep (PyPI).
    Zeep,
}

/// Where a client finds its CRM.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Origin, without a final slash.
    pub(crate) origin: String,
    /// What the client takes for its session id.
    pub(crate) token: String,
    /// The name of the client that the token was issued to.
    pub(crate) client: String,
    /// The private authority's certificate, PEM.
    pub(crate) authority: PathBuf,
}

pub(crate) fn folder() -> PathBuf {
    std::env::var_os("PRIVET_CLIENTS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/clients"),
        PathBuf::from,
    )
}

impl Client {
    /// Runs the client and gives what it printed; `None` (and a printed line) where it is not installed.
    /// Blocks. With PRIVET_CI=1 a client that is not installed fails the test.
    pub(crate) fn run(self, target: &Target) -> Option<Value> {
        let (program, needed, script) = match self {
            Self::SimpleSalesforce
            | Self::SimpleSalesforceLogin
            | Self::SimpleSalesforceWrites
            | Self::SimpleSalesforceBulk1
            | Self::SimpleSalesforceBulk2 => (
                folder().join("venv/bin/python"),
                folder().join("venv/bin/python"),
                match self {
                    Self::SimpleSalesforce => "simple_salesforce_client.py",
                    Self::SimpleSalesforceWrites => "simple_salesforce_writes.py",
                    Self::SimpleSalesforceBulk1 => "simple_salesforce_bulk1.py",
                    Self::SimpleSalesforceBulk2 => "simple_salesforce_bulk2.py",
                    _ => "simple_salesforce_login.py",
                },
            ),
            Self::Zeep => (
                folder().join("venv/bin/python"),
                folder().join("venv/.zeep-4.3.3"),
                "zeep_client.py",
            ),
            Self::Jsforce
            | Self::JsforceLogin
            | Self::JsforceWrites
            | Self::JsforceBulk1
            | Self::JsforceBulk2
            | Self::JsforceSoap
            | Self::JsforceReports
            | Self::JsforceStreaming => (
                PathBuf::from("node"),
                folder().join("node/node_modules/jsforce"),
                match self {
                    Self::Jsforce => "jsforce_client.js",
                    Self::JsforceWrites => "jsforce_writes.js",
                    Self::JsforceSoap => "jsforce_soap.js",
                    Self::JsforceBulk1 => "jsforce_bulk1.js",
                    Self::JsforceBulk2 => "jsforce_bulk2.js",
                    Self::JsforceStreaming => "jsforce_streaming.js",
                    Self::JsforceReports => "jsforce_reports.js",
                    _ => "jsforce_login.js",
                },
            ),
        };
        if !needed.exists() {
            let text = format!("skipped: {self:?} is not installed (tests/e2e/install-clients.sh)");
            assert!(
                std::env::var_os("PRIVET_CI").is_none_or(|v| v != "1"),
                "{text}"
            );
            println!("{text}");
            return None;
        }
        // Nothing of the environment's proxies and certificates: each would redirect a client or replace its trust.
        let output = Command::new(program)
            .arg(
                Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join("tests/e2e")
                    .join(script),
            )
            .env_clear()
            .envs(std::env::var_os("PATH").map(|p| ("PATH", p)))
            .env("NODE_PATH", folder().join("node/node_modules"))
            .env("NODE_EXTRA_CA_CERTS", &target.authority)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("E2E_ORIGIN", &target.origin)
            .env("E2E_TOKEN", &target.token)
            .env("E2E_CLIENT", &target.client)
            .env("E2E_CA", &target.authority)
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|e| panic!("{self:?} does not start: {e}"));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{self:?} failed:\n{complaint}");
        Some(
            serde_json::from_slice(&output.stdout)
                .unwrap_or_else(|e| panic!("{self:?} printed no JSON: {e}\n{complaint}")),
        )
    }
}
