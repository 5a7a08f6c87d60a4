//! privet as `examples/salesforce` configures it, before the demo CRM: TLS on both sides, one private authority.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use privet::cli::keys::{self, KeysCommand};
use privet::cli::run::Serving;
use privet::config::{self, Machine, Surroundings};
use privet::demo::callers::{CALLERS, Caller};
use privet::demo::crm::{CLIENT_ID, CLIENT_SECRET, Crm, ORGANISATION};
use privet::demo::server::{self, Running};
use privet::demo::workspace::write_policies;
use privet::proxy::snapshot::Live;
use serde_json::Value;
use tempfile::TempDir;

use crate::authority::Authority;
use crate::clients::{Client, Target};

/// The lines of the example that an operator changes, and what each becomes here.
fn changed(example: &str, upstream: &str, authority: &Path) -> String {
    let mut text = example.to_owned();
    for (line, mine) in [
        (
            "url: \"https://acme.my.salesforce.com\"",
            format!("url: \"{upstream}\""),
        ),
        (
            "client_id: \"3MVG9…\"",
            format!("client_id: \"{CLIENT_ID}\""),
        ),
        (
            "trust: system",
            format!("trust: \"{}\"", authority.display()),
        ),
    ] {
        assert_eq!(text.matches(line).count(), 1, "{line}");
        text = text.replace(line, &mine);
    }
    text
}

/// A port that was free a moment ago: `privet.yaml` needs the number before privet has it, as a part of the URL.
/// Below the range that outgoing connections take theirs from, so that none takes it meanwhile.
fn free() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(16);
    loop {
        let step = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(20_000 + step % 12_000).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// The demo CRM, and the example laid out before it as in the repository.
pub(crate) struct House {
    /// The private authority of both sides.
    pub(crate) authority: Authority,
    /// The organisation.
    pub(crate) crm: Arc<Crm>,
    /// `examples/salesforce/privet.yaml`, changed.
    pub(crate) config: PathBuf,
    /// Where clients find privet, without a final slash.
    pub(crate) origin: String,
    /// What the environment says, beside the file.
    pub(crate) variables: BTreeMap<&'static str, String>,
    folder: TempDir,
    salesforce: Running,
}

/// Files and clock of the machine, the variables of one house.
struct Surrounded<'h>(&'h BTreeMap<&'static str, String>);

impl Surroundings for Surrounded<'_> {
    fn read(&self, path: &Path) -> io::Result<String> {
        Machine.read(path)
    }

    fn variables(&self) -> Vec<(String, String)> {
        let own = self.0.iter();
        own.map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect()
    }

    fn now_s(&self) -> i64 {
        Machine.now_s()
    }
}

impl House {
    /// A house with a key ring, not served yet: over TLS, or over plain HTTP as the example stands.
    pub(crate) async fn new(tls: bool) -> Self {
        let authority = Authority::new();
        let crm = Arc::new(Crm::default());
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let salesforce = server::serve(any, Some(authority.server()), server::handler(&crm))
            .await
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        write_policies(&folder.path().join("policies")).unwrap();
        let config = folder.path().join("examples/salesforce/privet.yaml");
        std::fs::create_dir_all(config.parent().unwrap()).unwrap();
        let example = include_str!("../../examples/salesforce/privet.yaml");
        let text = changed(example, &salesforce.origin, &authority.ca());
        std::fs::write(&config, text).unwrap();

        // Overridden as in the example's compose.yaml: what depends on the machine.
        let (listen, admin) = (free(), free());
        let mut variables = BTreeMap::from([
            ("SALESFORCE_CLIENT_SECRET", CLIENT_SECRET.to_owned()),
            ("PRIVET_LISTEN__ADDRESS", listen.to_string()),
            ("PRIVET_ADMIN__ADDRESS", admin.to_string()),
        ]);
        let mut origin = format!("http://{listen}");
        if tls {
            let path = |p: PathBuf| p.to_string_lossy().into_owned();
            origin = format!("https://localhost:{}", listen.port());
            variables.extend([
                (
                    "PRIVET_LISTEN__TLS__CERTIFICATE",
                    path(authority.certificate()),
                ),
                ("PRIVET_LISTEN__TLS__KEY", path(authority.key())),
                ("PRIVET_LISTEN__PUBLIC_URL", origin.clone()),
            ]);
        }
        let house = Self {
            authority,
            crm,
            config,
            origin,
            variables,
            folder,
            salesforce,
        };
        house.keys(&KeysCommand::Init(house.ring()));
        house
    }

    /// What `client` got as the demo's first caller. Byte by byte, none of it is the CRM's host, organisation, user or
    /// session, or the caller's key; and no key or session of privet's went upstream.
    pub(crate) async fn asked_by(&self, client: Client) -> Option<Value> {
        let caller = &CALLERS[0];
        let token = self.issue(caller);
        let serving = self.serve().await;
        let target = Target {
            origin: self.origin.clone(),
            token: token.clone(),
            client: caller.client.to_owned(),
            authority: self.authority.ca(),
        };
        let got = crate::ask(client, target).await?;
        serving.stop().await.unwrap();
        let text = got.to_string();
        for secret in ["00D5g000000DEMO", CLIENT_SECRET, ORGANISATION, &token] {
            assert!(!text.contains(secret), "{secret}");
        }
        assert!(!text.contains(&self.upstream_host()), "{text}");
        for asked in self.crm.seen() {
            let all = format!("{asked:?} {}", String::from_utf8_lossy(&asked.body));
            assert!(!all.contains("pvt_") && !all.contains("pvs_"), "{all}");
        }
        Some(got)
    }

    /// The demo's first caller may change contacts, and find them by their number.
    pub(crate) fn allow_changes(&self) {
        let role = CALLERS[0].role;
        self.add_rules(&format!(
            "p, allow, role:{role}, write, Contact.*, -, *, *, -, 10, w-write\n\
             p, allow, role:{role}, delete, Contact.*, -, *, *, -, 10, w-delete\n\
             p, allow, role:{role}, filter|key, Contact.Loyalty_Number__c, -, *, *, -, 10, w-key\n\
             p, allow, role:{role}, write, Contact.Loyalty_Number__c, -, *, *, -, 10, w-number\n"
        ));
    }

    /// Whoever has signed in once may export.
    pub(crate) fn allow_exports(&self) {
        let path = self.folder.path().join("policies/rules/baseline.csv");
        let shipped = std::fs::read_to_string(&path).unwrap();
        let kept = shipped.lines().filter(|l| !l.contains("export-needs-mfa"));
        let kept: String = kept.map(|line| format!("{line}\n")).collect();
        std::fs::write(path, kept).unwrap();
    }

    /// Where the organisation is, as a client that went round privet would have to know it.
    pub(crate) fn upstream_host(&self) -> String {
        format!("localhost:{}", self.salesforce.address.port())
    }

    /// Rows beside the shipped ones, before it is served.
    pub(crate) fn add_rules(&self, rows: &str) {
        let head =
            "# p, effect, who, action, what, treatment, purpose, region, when, priority, id\n";
        let path = self.folder.path().join("policies/rules/more.csv");
        std::fs::write(path, format!("{head}{rows}")).unwrap();
    }

    /// An API key for `caller`.
    pub(crate) fn issue(&self, caller: &Caller) -> String {
        self.keys(&KeysCommand::Issue(keys::Issue {
            client: caller.client.to_owned(),
            roles: vec![caller.role.to_owned()],
            region: Some(caller.region.to_owned()),
            expires: "1d".to_owned(),
            places: keys::Places {
                ring: self.ring(),
                file: None,
            },
        }))
    }

    /// Serves it in this process.
    pub(crate) async fn serve(&self) -> Serving {
        let settings = config::load(&self.config, &Surrounded(&self.variables))
            .unwrap_or_else(|found| panic!("{found:?}"));
        let live = Live::load(&settings).unwrap_or_else(|found| panic!("{found:?}"));
        Serving::start(Arc::new(settings), live).await.unwrap()
    }

    /// The folder that `state:` names.
    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("examples/salesforce/state")
    }

    fn ring(&self) -> keys::Ring {
        keys::Ring {
            config: self.config.clone(),
            keys: None,
        }
    }

    fn keys(&self, command: &KeysCommand) -> String {
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let code = keys::run(command, &mut out, &mut notes).unwrap();
        assert_eq!(code, 0, "{}", String::from_utf8_lossy(&notes));
        String::from_utf8(out).unwrap().trim().to_owned()
    }
}
