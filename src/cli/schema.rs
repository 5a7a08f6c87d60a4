//! `privet schema pull`: writes `policies/schema/<api>.json` from the CRM's describe, to be reviewed and committed
//! like a rule.

use std::collections::BTreeSet;
use std::future::Future;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::config::{ApiSettings, Machine, Settings};
use crate::engine::protocol::Dialect;
use crate::engine::protocol::salesforce::schema_pull;
use crate::proxy::refuse::ErrorShape;
use crate::proxy::upstream::Upstream;

/// Flags of `privet schema pull`.
#[derive(Debug, Clone, clap::Args)]
pub struct SchemaPullArgs {
    /// The configuration file, for upstream and credential
    #[arg(long, value_name = "FILE", default_value = "privet.yaml")]
    pub config: PathBuf,
    /// The API under `apis:`; may be left out where only one is Salesforce
    #[arg(long, value_name = "NAME")]
    pub api: Option<String>,
    /// Objects to describe; without it, those of the schema file as it is
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub objects: Vec<String>,
    /// Write policies/schema/NAME.json instead of printing it
    #[arg(long, conflicts_with = "stdout")]
    pub write: bool,
    /// Print it (the default)
    #[arg(long)]
    pub stdout: bool,
}

/// Why no schema was written.
#[derive(Debug, thiserror::Error)]
pub enum SchemaPullError {
    /// The flags do not fit the configuration.
    #[error("{0}")]
    Usage(String),
    /// The upstream did not answer a describe.
    #[error("describe of {object}: {cause}")]
    Upstream {
        /// What was asked for.
        object: String,
        /// The transport's own words; never a body.
        cause: String,
    },
    /// An answer is no describe.
    #[error("{0}")]
    Unreadable(String),
    /// A file could not be read or written.
    #[error("{path}: {cause}")]
    File {
        /// Which file.
        path: PathBuf,
        /// The system's own words.
        cause: io::Error,
    },
}

impl SchemaPullError {
    /// The process's exit code: 2 usage, 69 dependency unavailable, 1 any other failure.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Upstream { .. } => 69,
            Self::Unreadable(_) | Self::File { .. } => 1,
        }
    }
}

/// `privet schema pull`: connects with the configuration's own credential. Exit code as [`SchemaPullError::exit_code`],
/// or 78 for an invalid configuration.
///
/// # Errors
/// The runtime cannot be started, or nothing can be written.
pub fn execute(
    args: &SchemaPullArgs,
    out: &mut (impl Write + Send),
    notes: &mut dyn Write,
) -> anyhow::Result<u8> {
    let settings = match crate::config::load(&args.config, &Machine) {
        Ok(settings) => settings,
        Err(problems) => {
            super::complain(notes, &problems)?;
            return Ok(super::exit::CONFIG);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let pulled = runtime.block_on(async {
        let (_, served) = api(args, &settings)?;
        let upstream = Upstream::new(served, &settings.limits, ErrorShape::Salesforce)
            .map_err(|e| SchemaPullError::Usage(e.to_string()))?;
        let upstream = &upstream;
        let fetch = |path: String| async move { upstream.pull_schema(&path).await };
        run(args, &settings, fetch, schema_pull::schema_json, out).await
    });
    match pulled {
        Ok(code) => Ok(code),
        Err(error) => {
            writeln!(notes, "error: {error}")?;
            Ok(error.exit_code())
        }
    }
}

/// Turns describes into the text of a schema file: API name, version (`61.0`), one describe per object.
pub type Convert = fn(&str, &str, &[Value]) -> Result<String, String>;

/// The API that the flags mean: what a caller needs to connect before [`run`].
///
/// # Errors
/// [`SchemaPullError::Usage`] where there is none, more than one, or one that cannot be described.
pub fn api<'s>(
    args: &SchemaPullArgs,
    settings: &'s Settings,
) -> Result<(&'s Arc<str>, &'s ApiSettings), SchemaPullError> {
    let usage = |text: String| Err(SchemaPullError::Usage(text));
    if let Some(name) = &args.api {
        return match settings.apis.get_key_value(name.as_str()) {
            None => usage(format!("no API `{name}` under `apis:`")),
            Some((_, api)) if api.dialect == Dialect::Map => usage(format!(
                "`{name}` is a mapped API: its schema file is written by hand"
            )),
            Some(found) => Ok(found),
        };
    }
    let mut described = settings
        .apis
        .iter()
        .filter(|(_, api)| api.dialect == Dialect::Salesforce);
    match (described.next(), described.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => usage("no API under `apis:` has the dialect salesforce".to_owned()),
        (Some(_), Some(_)) => usage("several APIs could be meant: name one with --api".to_owned()),
    }
}

/// Pulls the schema. `fetch` answers a GET of a path on the API's upstream, under privet's own credential.
///
/// # Errors
/// See [`SchemaPullError`]; nothing has been written then.
pub async fn run<F, Fut>(
    args: &SchemaPullArgs,
    settings: &Settings,
    fetch: F,
    convert: Convert,
    out: &mut (impl Write + Send),
) -> Result<u8, SchemaPullError>
where
    F: Fn(String) -> Fut,
    Fut: Future<Output = Result<Bytes, String>>,
{
    let (name, api) = api(args, settings)?;
    let file = settings
        .policies
        .join("schema")
        .join(format!("{name}.json"));
    let objects = objects(args, &file)?;
    let version = format!("{}.0", api.versions.1);
    let mut describes = Vec::with_capacity(objects.len());
    for object in objects {
        let path = format!("/services/data/v{version}/sobjects/{object}/describe");
        let body = fetch(path)
            .await
            .map_err(|cause| SchemaPullError::Upstream {
                object: object.clone(),
                cause,
            })?;
        let describe: Value = serde_json::from_slice(&body).map_err(|e| {
            SchemaPullError::Unreadable(format!(
                "describe of {object}: not JSON at line {} column {}",
                e.line(),
                e.column()
            ))
        })?;
        if describe["name"] != object.as_str() {
            return Err(SchemaPullError::Unreadable(format!(
                "describe of {object}: it describes something else"
            )));
        }
        describes.push(describe);
    }
    let count = describes.len();
    // The one place where describes become a schema file.
    let text = convert(name, &version, &describes).map_err(SchemaPullError::Unreadable)?;
    let stream = |cause| SchemaPullError::File {
        path: "stdout".into(),
        cause,
    };
    if args.write {
        replace(&file, &text).map_err(|cause| SchemaPullError::File {
            path: file.clone(),
            cause,
        })?;
        writeln!(out, "{}: {count} objects", file.display()).map_err(stream)?;
    } else {
        out.write_all(text.as_bytes()).map_err(stream)?;
    }
    Ok(0)
}

/// The objects to describe, sorted, each once.
fn objects(args: &SchemaPullArgs, file: &Path) -> Result<BTreeSet<String>, SchemaPullError> {
    let names: BTreeSet<String> = if args.objects.is_empty() {
        let nothing = || {
            SchemaPullError::Usage(format!(
                "{} names no object yet: name some with --objects",
                file.display()
            ))
        };
        let text = match std::fs::read(file) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(nothing()),
            Err(cause) => {
                return Err(SchemaPullError::File {
                    path: file.to_owned(),
                    cause,
                });
            }
        };
        let schema: Value = serde_json::from_slice(&text)
            .map_err(|e| SchemaPullError::Unreadable(format!("{}: {e}", file.display())))?;
        schema["objects"]
            .as_object()
            .filter(|o| !o.is_empty())
            .ok_or_else(nothing)?
            .keys()
            .cloned()
            .collect()
    } else {
        args.objects.iter().map(|o| o.trim().to_owned()).collect()
    };
    // Names stand in a path.
    let fits = |name: &String| {
        (1..=80).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    match names.iter().find(|n| !fits(n)) {
        Some(wrong) => Err(SchemaPullError::Usage(format!(
            "`{wrong}` is no object name"
        ))),
        None => Ok(names),
    }
}

/// Replaces `file` as a whole, so that a reader never sees half of it.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let new = file.with_extension("json.new");
    let mut handle = std::fs::File::create(&new)?;
    handle.write_all(text.as_bytes())?;
    handle.sync_all()?;
    std::fs::rename(new, file)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{
        Admin, Compress, Credential, IdentitySettings, Limits, Listen, LogSettings, Mode, Trust,
    };
    use crate::engine::secret::Secret;

    fn settings(policies: &Path) -> Settings {
        let api = |dialect| ApiSettings {
            dialect,
            paths: Vec::new(),
            upstream_url: "https://crm.example".into(),
            trust: Trust::System,
            credential: Credential::Bearer(Secret::new("t".to_owned())),
            versions: (50, 61),
            mode: Mode::Enforce,
            compress: Compress::Files,
            inflated_bytes_max: 1,
        };
        Settings {
            tenant: "acme".into(),
            policies: policies.to_owned(),
            bundle: None,
            keys: PathBuf::new(),
            state: PathBuf::new(),
            listen: Listen {
                address: ([127, 0, 0, 1], 0).into(),
                tls: None,
                public_url: "http://localhost".into(),
                trusted_proxies: Vec::new(),
            },
            admin: Admin {
                address: ([127, 0, 0, 1], 0).into(),
                token: None,
                viewer_token: None,
            },
            identity: IdentitySettings::default(),
            apis: BTreeMap::from([
                ("people".into(), api(Dialect::Map)),
                ("crm".into(), api(Dialect::Salesforce)),
            ]),
            limits: Limits::default(),
            audit_directory: PathBuf::new(),
            audit: crate::config::AuditSettings::default(),
            log: LogSettings {
                json: true,
                level: "info".into(),
            },
        }
    }

    fn args(objects: &[&str], write: bool) -> SchemaPullArgs {
        SchemaPullArgs {
            config: "privet.yaml".into(),
            api: None,
            objects: objects.iter().map(|o| (*o).to_owned()).collect(),
            write,
            stdout: false,
        }
    }

    async fn describe(path: String) -> Result<Bytes, String> {
        let object = path
            .strip_prefix("/services/data/v61.0/sobjects/")
            .and_then(|p| p.strip_suffix("/describe"))
            .ok_or("another path")?;
        Ok(format!(r#"{{"name":"{object}"}}"#).into())
    }

    fn convert(api: &str, version: &str, describes: &[Value]) -> Result<String, String> {
        let names: Vec<&str> = describes
            .iter()
            .filter_map(|d| d["name"].as_str())
            .collect();
        let objects: Vec<String> = names.iter().map(|n| format!("\"{n}\":{{}}")).collect();
        Ok(format!(
            r#"{{"api":"{api}","version":"{version}","objects":{{{}}}}}"#,
            objects.join(",")
        ))
    }

    #[tokio::test]
    async fn a_pull_writes_the_file_and_the_next_one_keeps_its_objects() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let mut out = Vec::new();
        let asked = args(&["Contact", "Account"], true);
        assert_eq!(
            run(&asked, &settings, describe, convert, &mut out)
                .await
                .unwrap(),
            0
        );
        let written = std::fs::read_to_string(folder.path().join("schema/crm.json")).unwrap();
        assert_eq!(
            written,
            r#"{"api":"crm","version":"61.0","objects":{"Account":{},"Contact":{}}}"#
        );
        let mut out = Vec::new();
        run(&args(&[], false), &settings, describe, convert, &mut out)
            .await
            .unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), written);
    }

    #[tokio::test]
    async fn mistakes_have_their_exit_codes() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let failing = |_: String| std::future::ready(Err::<Bytes, _>("no route".to_owned()));
        let mut sink = Vec::new();
        let e = run(&args(&[], false), &settings, describe, convert, &mut sink)
            .await
            .unwrap_err();
        assert_eq!(e.exit_code(), 2, "{e}");
        let e = run(
            &args(&["a/b"], false),
            &settings,
            describe,
            convert,
            &mut sink,
        )
        .await
        .unwrap_err();
        assert_eq!(e.exit_code(), 2, "{e}");
        let e = run(&args(&["A"], true), &settings, failing, convert, &mut sink)
            .await
            .unwrap_err();
        assert_eq!(e.exit_code(), 69, "{e}");
        let mapped = SchemaPullArgs {
            api: Some("people".to_owned()),
            ..args(&["A"], false)
        };
        let e = run(&mapped, &settings, describe, convert, &mut sink)
            .await
            .unwrap_err();
        assert_eq!(e.exit_code(), 2, "{e}");
        assert!(sink.is_empty());
        assert!(!folder.path().join("schema").exists());
    }
}
