//! The engine in one conversation with the demo CRM: understand, decide, plan, ask, rewrite. No sockets, no clock.

use std::path::Path;
use std::sync::Mutex;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use privet::config::folder;
use privet::demo::crm::{Asked, Crm};
use privet::engine::catalog::Catalog;
use privet::engine::identity::{Identity, Proof};
use privet::engine::plan::{self, Plan};
use privet::engine::policy::{self, Loaded, Policies};
use privet::engine::protocol::{self, Api, Dialect, Known, RequestHead};
use privet::engine::refusal::{Reason, Refusal};
use privet::engine::rewrite::{Abort, Bounds, Out, Rewriter};
use privet::engine::token::KeyRing;
use serde_json::Value;

/// One installation before the demo CRM.
pub struct House {
    pub crm: Crm,
    session: String,
    catalog: Catalog,
    policies: Policies,
    keys: KeyRing,
    /// The CRM's cookies.
    cookie: Mutex<String>,
}

/// Status and body; or the refusal.
pub type Answer = Result<(u16, Value), Refusal>;

impl House {
    /// With the shipped schema, classes and vocabulary, and these rules.
    pub fn with(rules: &str) -> Self {
        let (catalog, policies) = Self::loaded(rules);
        let crm = Crm::default();
        Self {
            session: crm.open_session(),
            crm,
            catalog,
            policies,
            keys: KeyRing::generate(&[7; 64]),
            cookie: Mutex::default(),
        }
    }

    /// Other rules from now on.
    pub fn rule(&mut self, rules: &str) {
        (self.catalog, self.policies) = Self::loaded(rules);
    }

    fn loaded(rules: &str) -> (Catalog, Policies) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut sources = folder::read(&root.join("policies")).unwrap();
        sources
            .files
            .retain(|(path, _)| !path.starts_with("rules/"));
        sources
            .files
            .push(("rules/test.csv".to_owned(), rules.as_bytes().to_vec()));
        sources.files.sort();
        let Loaded {
            catalog, policies, ..
        } = policy::load(&sources).unwrap_or_else(|found| panic!("{found:#?}"));
        (catalog, policies)
    }

    fn caller(role: &str) -> Identity {
        Identity {
            subject: "ana".into(),
            client: Some("service-desk".into()),
            roles: vec![role.into()],
            region: Some("eu".into()),
            tenant: "acme".into(),
            proof: Proof::ApiKey { key_id: "k".into() },
            mfa: Some(true),
            auth_time_s: None,
            purpose_asked: None,
            now_s: 1_800_000_000,
            address: None,
        }
    }

    /// Asks as a caller with `role`. `target`: after `/services/data/v61.0`, or whole; `body`: JSON or empty.
    pub fn ask(&self, role: &str, method: &str, target: &str, body: &str) -> Answer {
        let plan = self.plan(role, method, target, body)?;
        self.send(&plan)
    }

    fn plan(&self, role: &str, method: &str, target: &str, body: &str) -> Result<Plan, Refusal> {
        let target = if ["/services/", "/id/", "/cometd/"]
            .iter()
            .any(|root| target.starts_with(root))
        {
            target.to_owned()
        } else {
            format!("/services/data/v61.0{target}")
        };
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let decode = |text: &str| privet::demo::server::form(text);
        let segments: Vec<String> = path
            .split('/')
            .skip(1)
            .map(|s| decode(s).first().map_or_else(String::new, |p| p.0.clone()))
            .collect();
        let query = decode(query);
        let mut headers = HeaderMap::new();
        if !body.is_empty() {
            headers.insert("content-type", HeaderValue::from_static("application/json"));
        }
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let head = RequestHead {
            method: &method,
            path,
            segments: &segments,
            query: &query,
            headers: &headers,
        };
        let api = Api {
            name: "salesforce".into(),
            dialect: Dialect::Salesforce,
            versions: (30, 66),
            public_origin: "https://crm.test".into(),
            upstream_origin: "https://acme.my.test".into(),
        };
        let caller = Self::caller(role);
        let sealer = self.keys.sealer(&caller.tenant);
        let body = body.as_bytes();
        let catalog = &self.catalog;
        let planned = |operation| {
            let decision = policy::decide(&self.policies, catalog, &caller, &operation);
            plan::plan(operation, &decision, catalog, &self.keys, &caller)
        };
        let first = protocol::beforehand(&api, &head, body, catalog, &caller, &sealer)?;
        let known = match first {
            None => Known::default(),
            Some(operation) => {
                let (_, answer) = self.send(&planned(operation)?)?;
                Known::new(answer.to_string().into())
            }
        };
        planned(protocol::understand_knowing(
            &api, &head, body, catalog, &caller, &sealer, &known,
        )?)
    }

    fn send(&self, plan: &Plan) -> Answer {
        let decode = |text: &str| privet::demo::server::form(text);
        let request = plan.request();
        let (path, query) = request
            .path_and_query
            .split_once('?')
            .unwrap_or((&request.path_and_query, ""));
        let mut headers = request.headers.clone();
        headers.insert(
            "authorization",
            format!("Bearer {}", self.session).parse().unwrap(),
        );
        if request.cookies {
            let cookie = self.cookie.lock().unwrap().clone();
            headers.insert("cookie", cookie.parse().unwrap());
        }
        let reply = self.crm.answer(&Asked {
            method: request.method.to_string(),
            target: request.path_and_query.clone(),
            segments: path
                .split('/')
                .skip(1)
                .map(|s| decode(s).first().map_or_else(String::new, |p| p.0.clone()))
                .collect(),
            query: decode(query),
            headers,
            body: request.body.to_vec(),
            origin: "https://acme.my.test".to_owned(),
        });
        let set = reply.headers.iter().find(|(name, _)| *name == "set-cookie");
        if let Some((_, line)) = set {
            let pair = line.split(';').next().unwrap_or_default();
            pair.clone_into(&mut self.cookie.lock().unwrap());
        }
        if reply.status >= 300 || reply.body.is_empty() {
            // The carrier replaces error bodies whole.
            return Ok((reply.status, Value::Null));
        }
        if plan.is_opaque() {
            return Ok((reply.status, String::from_utf8(reply.body).unwrap().into()));
        }
        let mut rewriter = Rewriter::new(plan.program(), Bounds::default());
        let mut out = Out::default();
        let unacceptable = |_| Refusal::new(Reason::UpstreamUnacceptable, "aborted");
        rewriter
            .push(Bytes::from(reply.body), &mut out)
            .map_err(unacceptable)?;
        rewriter.finish(&mut out).map_err(unacceptable)?;
        Ok((reply.status, serde_json::from_slice(&out.concat()).unwrap()))
    }

    /// What a CRM that answers `reply` to this request would have a caller see.
    pub fn treated(
        &self,
        role: &str,
        target: &str,
        body: &str,
        reply: &str,
    ) -> Result<Value, Abort> {
        let plan = self.plan(role, "POST", target, body);
        let plan = plan.unwrap_or_else(|r| panic!("{target}: {}", r.message));
        let mut rewriter = Rewriter::new(plan.program(), Bounds::default());
        let mut out = Out::default();
        rewriter.push(Bytes::from(reply.to_owned()), &mut out)?;
        rewriter.finish(&mut out)?;
        Ok(serde_json::from_slice(&out.concat()).unwrap())
    }

    /// The CRM's status when somebody else asks it, without privet. `target`: after `/services/data/v61.0`.
    pub fn elsewhere(&self, method: &str, target: &str, body: &str) -> u16 {
        let target = format!("/services/data/v61.0{target}");
        let mut headers = HeaderMap::new();
        let session = format!("Bearer {}", self.session);
        headers.insert("authorization", session.parse().unwrap());
        let asked = Asked {
            method: method.to_owned(),
            segments: target.split('/').skip(1).map(str::to_owned).collect(),
            target,
            query: Vec::new(),
            headers,
            body: body.as_bytes().to_vec(),
            origin: "https://acme.my.test".to_owned(),
        };
        self.crm.answer(&asked).status
    }

    /// The query that a GET would send upstream, understood, decided and planned; the demo CRM need not know it.
    pub fn planned(&self, role: &str, target: &str) -> String {
        let request = self
            .plan(role, "GET", target, "")
            .unwrap_or_else(|r| panic!("{target}: {}", r.message));
        let query = request
            .request()
            .path_and_query
            .split_once('?')
            .unwrap()
            .1
            .to_owned();
        privet::demo::server::form(&query)[0].1.clone()
    }

    /// As [`Self::ask`], answered.
    pub fn got(&self, role: &str, method: &str, target: &str, body: &str) -> (u16, Value) {
        self.ask(role, method, target, body)
            .unwrap_or_else(|r| panic!("{method} {target}: {}", r.message))
    }

    /// As [`Self::ask`], refused: why, and nothing has reached the CRM.
    pub fn refused(&self, role: &str, method: &str, target: &str, body: &str) -> Reason {
        let before = self.crm.seen().len();
        let answer = self.ask(role, method, target, body);
        let Err(refusal) = answer else {
            panic!("{method} {target} {body} is answered: {answer:?}");
        };
        assert_eq!(self.crm.seen().len(), before, "{method} {target}");
        refusal.reason
    }

    /// The raw value of the CRM behind the first contact that has one.
    pub fn contact(&self, index: usize, field: &str) -> String {
        let object = privet::demo::metadata::object("Contact").unwrap();
        let field = privet::demo::metadata::OBJECTS[object]
            .field(field)
            .unwrap();
        let store = self.crm.store();
        store
            .value(object, index, field)
            .as_text()
            .unwrap_or_default()
            .to_owned()
    }

    /// What reached the CRM last.
    pub fn last(&self) -> Asked {
        self.crm.seen().pop().unwrap()
    }
}
