//! The folder that a demo run lives in: state, keys, `privet.yaml`, and the policies if there are none at hand.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Every file of the shipped `policies/`, compiled in.
macro_rules! compiled_in {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../policies/", $path)))),*]
    };
}

/// Path under `policies/` and text.
pub const POLICIES: &[(&str, &str)] = compiled_in![
    "apis/analytics.yaml",
    "apis/people.yaml",
    "classes/analytics.csv",
    "classes/connect.csv",
    "classes/people.csv",
    "classes/salesforce.csv",
    "model.conf",
    "monitors.yaml",
    "packs/ccpa/classes/salesforce.csv",
    "packs/ccpa/rules/ccpa.csv",
    "packs/ccpa/tests/ccpa_test.yaml",
    "packs/ccpa/vocabulary.yaml",
    "packs/gdpr/classes/salesforce.csv",
    "packs/gdpr/rules/gdpr.csv",
    "packs/gdpr/tests/gdpr_test.yaml",
    "packs/gdpr/vocabulary.yaml",
    "packs/lgpd/classes/salesforce.csv",
    "packs/lgpd/rules/lgpd.csv",
    "packs/lgpd/tests/lgpd_test.yaml",
    "packs/lgpd/vocabulary.yaml",
    "packs/pdpa/classes/salesforce.csv",
    "packs/pdpa/rules/pdpa.csv",
    "packs/pdpa/tests/pdpa_test.yaml",
    "packs/pdpa/vocabulary.yaml",
    "roles.csv",
    "rules/analytics.csv",
    "rules/baseline.csv",
    "rules/marketing.csv",
    "rules/support.csv",
    "schema/analytics.json",
    "schema/people.json",
    "schema/salesforce.json",
    "tests/demo_test.yaml",
    "vocabulary.yaml",
];

/// A folder that disappears with the value.
#[derive(Debug)]
pub struct Workspace {
    /// The folder: `privet.yaml`, keys and state.
    pub folder: PathBuf,
    /// The policy folder that is in force.
    pub policies: PathBuf,
    /// What opens the admin pages to an operator; new for each run.
    pub admin_token: String,
    /// What opens them to a viewer.
    pub viewer_token: String,
}

/// Where the demo's services listen; origins without a final slash.
#[derive(Debug, Clone)]
pub struct Origins {
    /// The CRM.
    pub salesforce: String,
    /// The staff directory.
    pub people: String,
    /// The data source.
    pub analytics: String,
}

/// Bearer token of the demo's staff directory and data source.
pub const SERVICE_TOKEN: &str = "demo-service-token";

impl Workspace {
    /// Makes the folder. `policies` names a policy folder; without it `./policies` is taken if there is one, else
    /// the shipped policies are written into the new folder, to be edited there.
    ///
    /// # Errors
    /// The folder cannot be made, or `policies` is no folder.
    pub fn create(policies: Option<&Path>) -> io::Result<Self> {
        let folder = private_folder()?;
        // From here on the folder goes away whatever fails.
        let mut workspace = Self {
            policies: folder.join("policies"),
            folder,
            admin_token: random_name("demo")?,
            viewer_token: random_name("demo-viewer")?,
        };
        match policies {
            Some(given) => workspace.policies = fs::canonicalize(given)?,
            None if Path::new("policies/vocabulary.yaml").is_file() => {
                workspace.policies = fs::canonicalize("policies")?;
            }
            None => write_policies(&workspace.policies)?,
        }
        Ok(workspace)
    }

    /// Writes `privet.yaml` for privet on `listen` before these services, and gives its path. The key ring
    /// (`keys.json`) and the API keys (`api-keys.jsonl`) are the caller's to make, in [`Self::folder`].
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn configure(&self, listen: &str, admin: &str, origins: &Origins) -> io::Result<PathBuf> {
        let path = self.folder.join("privet.yaml");
        fs::write(&path, self.privet_yaml(listen, admin, origins))?;
        Ok(path)
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Writes the shipped policies into `folder`.
///
/// # Errors
/// A file cannot be written.
pub fn write_policies(folder: &Path) -> io::Result<()> {
    for (name, text) in POLICIES {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, text)?;
    }
    Ok(())
}

/// A new folder that only its owner may enter.
fn private_folder() -> io::Result<PathBuf> {
    let folder = std::env::temp_dir().join(random_name("privet-demo")?);
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&folder)?;
    Ok(folder)
}

fn random_name(prefix: &str) -> io::Result<String> {
    let mut random = [0u8; 8];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut random)
        .map_err(|_| io::Error::other("no randomness"))?;
    let random = data_encoding::HEXLOWER.encode(&random);
    Ok(format!("{prefix}-{random}"))
}

impl Workspace {
    /// The configuration of a demo run. Paths without a folder are relative to the file.
    fn privet_yaml(&self, listen: &str, admin: &str, origins: &Origins) -> String {
        // A JSON string is a YAML double-quoted scalar.
        let policies = serde_json::Value::from(self.policies.to_string_lossy().into_owned());
        let (token, viewer) = (&self.admin_token, &self.viewer_token);
        let Origins {
            salesforce,
            people,
            analytics,
        } = origins;
        let (id, secret) = (crate::demo::crm::CLIENT_ID, crate::demo::crm::CLIENT_SECRET);
        format!(
            r#"# Written by `privet demo`; gone when it ends.
schema: 1
tenant: demo
policies: {policies}
keys: keys.json
state: state
listen:
  address: "{listen}"
  public_url: "http://{listen}"
admin: {{ address: "{admin}", token: {token}, viewer_token: {viewer} }}
identity:
  api_keys: api-keys.jsonl
  purpose: {{ header: Privet-Purpose }}
apis:
  salesforce:
    dialect: salesforce
    paths: [/services/, /id/, /cometd/]
    upstream: {{ url: "{salesforce}" }}
    credential: {{ kind: client_credentials, client_id: {id}, client_secret: {secret} }}
    versions: {{ min: 50, max: 66 }}
  people:
    dialect: map
    paths: [/people]
    upstream: {{ url: "{people}" }}
    credential: {{ kind: bearer, token: {SERVICE_TOKEN} }}
  analytics:
    dialect: map
    paths: [/api/v1/]
    upstream: {{ url: "{analytics}" }}
    credential: {{ kind: bearer, token: {SERVICE_TOKEN} }}
audit: {{ directory: audit, ledger: true }}
log: {{ format: text, level: warn }}
"#
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_policy_file_is_compiled_in() {
        fn walk(folder: &Path, base: &Path, found: &mut Vec<String>) {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    walk(&path, base, found);
                } else {
                    let name = path.strip_prefix(base).unwrap();
                    found.push(name.to_string_lossy().replace('\\', "/"));
                }
            }
        }
        let base = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/policies"));
        let mut found = Vec::new();
        walk(base, base, &mut found);
        found.retain(|f| !f.starts_with('.'));
        found.sort();
        let compiled: Vec<&str> = POLICIES.iter().map(|(n, _)| *n).collect();
        assert_eq!(found, compiled, "list it in POLICIES (sorted)");
    }

    #[test]
    fn the_folder_goes_with_its_run() {
        let given = tempfile::tempdir().unwrap();
        let workspace = Workspace::create(Some(given.path())).unwrap();
        let origins = Origins {
            salesforce: "http://localhost:1".into(),
            people: "http://localhost:2".into(),
            analytics: "http://localhost:3".into(),
        };
        let file = workspace
            .configure("127.0.0.1:0", "127.0.0.1:0", &origins)
            .unwrap();
        assert!(file.is_file());
        drop(workspace);
        assert!(!file.exists() && given.path().exists());
    }
}
