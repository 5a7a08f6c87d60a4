//! `privet redact`: standard input to standard output as one caller would get it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::cli::{complain, exit};
use crate::config::{Machine, bundle, folder, trust};
use crate::diagnostic::nearest;
use crate::engine::identity::{Identity, Proof};
use crate::engine::policy::{Loaded, load};
use crate::engine::rewrite::Out;
use crate::engine::rewrite::csv::Delimiter;
use crate::engine::token::KeyRing;
use crate::engine::workbench::redaction::{Form, Redaction};

/// Flags of `privet redact`.
#[derive(Debug, Clone, clap::Args)]
pub struct RedactArgs {
    /// As whom: a client, then roles; or roles alone
    #[arg(
        long = "as",
        value_name = "CLIENT,ROLE",
        value_delimiter = ',',
        required = true
    )]
    pub who: Vec<String>,
    /// Why; without it, the first purpose of the client
    #[arg(long, value_name = "PURPOSE")]
    pub purpose: Option<String>,
    /// What the records are
    #[arg(long, value_name = "OBJECT")]
    pub object: String,
    /// How they are written
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Where the caller asks from
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// The caller used a second factor
    #[arg(long)]
    pub mfa: bool,
    /// Judge the records as a file that the caller takes away, not as an answer that it reads
    #[arg(long)]
    pub export: bool,
    /// The configuration, for policies, keys and tenant
    #[arg(long, value_name = "FILE", default_value = "privet.yaml")]
    pub config: PathBuf,
    /// The policy folder, instead of the configuration's
    #[arg(long, value_name = "DIR", requires = "keys")]
    pub policies: Option<PathBuf>,
    /// The key ring, instead of the configuration's
    #[arg(long, value_name = "FILE", requires = "policies")]
    pub keys: Option<PathBuf>,
    /// The tenant that tokens are made for; with --policies
    #[arg(
        long,
        value_name = "NAME",
        default_value = "default",
        requires = "policies"
    )]
    pub tenant: String,
}

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// An array of records, one record, or the answer of a query.
    #[default]
    Json,
    /// A record a line.
    Ndjson,
    /// Comma-separated, with a header.
    Csv,
}

/// Bytes read at once.
const CHUNK_BYTES: usize = 64 << 10;
/// Inputs below this show no progress.
const PROGRESS_BYTES_MIN: u64 = 8 << 20;
/// Progress is drawn once for so many bytes.
const PROGRESS_STEP_BYTES: u64 = 4 << 20;

/// Runs the verb on standard input: 0 all of it came through, 1 it is broken or the caller is refused, 2 a name is
/// unknown, 78 configuration, policies or keys are invalid.
///
/// # Errors
/// Input cannot be read or output cannot be written.
pub fn execute(
    args: &RedactArgs,
    out: &mut dyn Write,
    notes: &mut (impl Write + std::io::IsTerminal),
) -> anyhow::Result<u8> {
    let input = std::io::stdin();
    let total = input
        .as_fd()
        .try_clone_to_owned()
        .and_then(|fd| File::from(fd).metadata())
        .ok()
        .filter(std::fs::Metadata::is_file)
        .map(|m| m.len());
    let progress = notes.is_terminal().then_some(Progress {
        total,
        next: PROGRESS_BYTES_MIN,
        drawn: false,
    });
    run(args, &mut input.lock(), out, notes, progress)
}

/// As [`execute`], with any input.
///
/// # Errors
/// See [`execute`].
pub fn run(
    args: &RedactArgs,
    input: &mut dyn Read,
    out: &mut dyn Write,
    notes: &mut dyn Write,
    mut progress: Option<Progress>,
) -> anyhow::Result<u8> {
    let (set, keys, tenant) = match surroundings(args) {
        Ok(found) => found,
        Err(found) => {
            complain(notes, &found)?;
            return Ok(exit::CONFIG);
        }
    };
    let (caller, purpose) = match caller(args, &set, tenant) {
        Ok(found) => found,
        Err(why) => {
            writeln!(notes, "error: {why}")?;
            return Ok(exit::USAGE);
        }
    };
    let catalog = &set.catalog;
    let Some(object) = catalog
        .object_by_name
        .get(args.object.to_ascii_lowercase().as_str())
    else {
        let known = catalog.objects.iter().map(|o| &*o.name);
        writeln!(notes, "error: {}", unknown("object", &args.object, known))?;
        return Ok(exit::USAGE);
    };
    let form = match args.format {
        Format::Json => Form::Json,
        Format::Ndjson => Form::Ndjson,
        Format::Csv => Form::Csv(Delimiter::Comma),
    };
    let redaction = match Redaction::new(&set, &keys, &caller, &purpose, *object, form, args.export)
    {
        Ok(redaction) => redaction,
        Err(refusal) => {
            writeln!(notes, "error: refused: {}", refusal.message)?;
            return Ok(exit::FAILURE);
        }
    };
    let mut redactor = redaction.begin();
    let mut treated = Out::default();
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut seen = 0_u64;
    let aborted = loop {
        let n = match input.read(&mut buffer) {
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e.into()),
        };
        if n == 0 {
            break redactor.finish(&mut treated).err();
        }
        seen += n as u64;
        let pushed = redactor.push(Bytes::copy_from_slice(&buffer[..n]), &mut treated);
        if let Err(abort) = pushed {
            break Some(abort);
        }
        written(&mut treated, out)?;
        if let Some(progress) = &mut progress {
            progress.at(seen, notes)?;
        }
    };
    if let Some(progress) = &progress {
        progress.ended(notes)?;
    }
    if let Some(abort) = aborted {
        // What was treated with the broken piece stays here.
        out.flush()?;
        writeln!(notes, "error: {abort}; the output ends before it")?;
        return Ok(exit::FAILURE);
    }
    written(&mut treated, out)?;
    out.flush()?;
    Ok(exit::OK)
}

fn written(treated: &mut Out, out: &mut dyn Write) -> std::io::Result<()> {
    for chunk in treated.take() {
        out.write_all(&chunk)?;
    }
    Ok(())
}

/// How far it is, for people who watch.
#[derive(Debug)]
pub struct Progress {
    /// Size of the input in bytes, if it has one.
    total: Option<u64>,
    next: u64,
    drawn: bool,
}

impl Progress {
    fn at(&mut self, seen: u64, notes: &mut dyn Write) -> std::io::Result<()> {
        if seen < self.next || self.total.is_some_and(|t| t < PROGRESS_BYTES_MIN) {
            return Ok(());
        }
        self.next = seen + PROGRESS_STEP_BYTES;
        self.drawn = true;
        let mib = seen >> 20;
        match self.total {
            Some(total) if total > 0 => {
                let percent = (seen.saturating_mul(100) / total).min(100);
                let full = usize::try_from(percent / 4).unwrap_or(0);
                let bar = format!("{}{}", "#".repeat(full), ".".repeat(25 - full));
                write!(
                    notes,
                    "\r[{bar}] {percent:>3} % {mib} of {} MiB",
                    total >> 20
                )?;
            }
            _ => write!(notes, "\r{mib} MiB")?,
        }
        notes.flush()
    }

    fn ended(&self, notes: &mut dyn Write) -> std::io::Result<()> {
        if self.drawn { writeln!(notes) } else { Ok(()) }
    }
}

type Surroundings = (Loaded, KeyRing, Arc<str>);

fn surroundings(args: &RedactArgs) -> Result<Surroundings, Vec<crate::diagnostic::Diagnostic>> {
    let unreadable = |path: &std::path::Path, e: std::io::Error| {
        let text = format!("{}: {e}", path.display());
        vec![crate::diagnostic::Diagnostic::error(
            "unreadable",
            None,
            text,
        )]
    };
    let set = |directory: &std::path::Path| {
        let sources = folder::read(directory).map_err(|e| unreadable(directory, e))?;
        load(&sources)
    };
    if let (Some(policies), Some(file)) = (&args.policies, &args.keys) {
        let text = zeroize::Zeroizing::new(
            std::fs::read_to_string(file).map_err(|e| unreadable(file, e))?,
        );
        let keys = KeyRing::parse(&file.to_string_lossy(), &text)?;
        return Ok((set(policies)?, keys, args.tenant.as_str().into()));
    }
    let settings = crate::config::load(&args.config, &Machine)?;
    let keys = trust::key_ring(&settings, &Machine)?;
    let (sources, _) = bundle::read(&settings)?;
    Ok((load(&sources)?, keys, settings.tenant))
}

fn unknown<'a>(what: &str, word: &str, known: impl Iterator<Item = &'a str>) -> String {
    let near = nearest(word, known).map_or_else(String::new, |n| format!("; did you mean `{n}`?"));
    format!("unknown {what} `{word}`{near}")
}

/// Who asks, and why.
fn caller(
    args: &RedactArgs,
    set: &Loaded,
    tenant: Arc<str>,
) -> Result<(Identity, Arc<str>), String> {
    let vocabulary = &set.catalog.vocabulary;
    let roles: Vec<&str> = set.policies.roles().collect();
    let mut words = args.who.iter().map(String::as_str).peekable();
    let client = words
        .next_if(|first| vocabulary.clients.contains_key(*first))
        .map(Arc::<str>::from);
    let mut held: Vec<Arc<str>> = Vec::new();
    for (at, word) in words.enumerate() {
        if !roles.contains(&word) {
            let clients = vocabulary.clients.keys().map(|c| &**c);
            return Err(if at == 0 && client.is_none() {
                unknown("client or role", word, clients.chain(roles.iter().copied()))
            } else {
                unknown("role", word, roles.iter().copied())
            });
        }
        held.push(word.into());
    }
    if let Some(region) = &args.region
        && !vocabulary.regions.iter().any(|r| **r == **region)
    {
        let known = vocabulary.regions.iter().map(|r| &**r);
        return Err(unknown("region", region, known));
    }
    if let Some(purpose) = &args.purpose
        && !vocabulary.purposes.iter().any(|p| **p == **purpose)
        && purpose != "none"
    {
        let known = vocabulary.purposes.iter().map(|p| &**p);
        return Err(unknown("purpose", purpose, known));
    }
    let default = || {
        let client = client.as_ref().and_then(|c| vocabulary.clients.get(c));
        client.and_then(|c| c.purposes.first().cloned())
    };
    let purpose: Arc<str> = match &args.purpose {
        Some(purpose) => purpose.as_str().into(),
        None => default().unwrap_or_else(|| "none".into()),
    };
    let identity = Identity {
        subject: client.clone().unwrap_or_else(|| "somebody".into()),
        client,
        roles: held,
        region: args.region.as_deref().map(Into::into),
        tenant,
        proof: Proof::ApiKey {
            key_id: "redact".into(),
        },
        mfa: args.mfa.then_some(true),
        auth_time_s: None,
        purpose_asked: args.purpose.as_deref().map(Into::into),
        now_s: jiff::Timestamp::now().as_second(),
        address: None,
    };
    Ok((identity, purpose))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/policies");

    struct Given {
        _folder: tempfile::TempDir,
        args: RedactArgs,
    }

    fn given(who: &[&str], format: Format) -> Given {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys.json");
        std::fs::write(&keys, &*KeyRing::generate(&[7; 64]).to_json()).unwrap();
        let args = RedactArgs {
            who: who.iter().map(|w| (*w).to_owned()).collect(),
            purpose: None,
            object: "contact".to_owned(),
            format,
            region: Some("eu".to_owned()),
            mfa: false,
            export: false,
            config: "privet.yaml".into(),
            policies: Some(POLICIES.into()),
            keys: Some(keys),
            tenant: "acme".to_owned(),
        };
        Given {
            _folder: folder,
            args,
        }
    }

    /// One byte at a time where `slow`.
    struct Input<'a>(&'a [u8], bool);

    impl Read for Input<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let most = if self.1 { 1 } else { buffer.len() };
            let most = most.min(buffer.len());
            self.0.read(&mut buffer[..most])
        }
    }

    fn ran(given: &Given, input: &str, slow: bool) -> (u8, String, String) {
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let mut input = Input(input.as_bytes(), slow);
        let code = run(&given.args, &mut input, &mut out, &mut notes, None).unwrap();
        (
            code,
            String::from_utf8(out).unwrap(),
            String::from_utf8(notes).unwrap(),
        )
    }

    const RECORD: &str = concat!(
        r#"{"attributes":{"type":"Contact","url":"/services/data/v61.0/sobjects/Contact/003000000000001AAA"},"#,
        r#""Id":"003000000000001AAA","HasOptedOutOfEmail":false,"Email":"jane.doe@example.org","Xyz__c":"new","#,
        r#""Account":{"attributes":{"type":"Account"},"Name":"Acme"},"Birthdate":"1987-05-23"}"#
    );

    #[test]
    fn the_forms_of_json_agree_however_they_are_cut() {
        let json = given(&["service-desk", "support_agent"], Format::Json);
        let (code, one, why) = ran(&json, RECORD, false);
        assert_eq!(code, 0, "{why}");
        let value: serde_json::Value = serde_json::from_str(&one).unwrap();
        assert_eq!(value["Id"], "003000000000001AAA", "{one}");
        assert_eq!(value["Account"]["Name"], "Acme", "{one}");
        assert_eq!(value["Email"], "j****@example.org", "{one}");
        assert!(!one.contains("Xyz__c"), "{one}");
        assert!(!one.contains("1987-05-23"), "{one}");
        assert_eq!(ran(&json, RECORD, true).1, one);
        for slow in [false, true] {
            let list = format!(" [{RECORD},{RECORD}]");
            assert_eq!(ran(&json, &list, slow).1.trim(), format!("[{one},{one}]"));
            let answer = format!(r#"{{"totalSize":1,"done":true,"records":[{RECORD}]}}"#);
            let wanted = format!(r#"{{"totalSize":1,"done":true,"records":[{one}]}}"#);
            assert_eq!(ran(&json, &answer, slow).1, wanted);
            let lines = given(&["service-desk", "support_agent"], Format::Ndjson);
            let text = format!("{RECORD}\n\n{RECORD}");
            assert_eq!(ran(&lines, &text, slow).1, format!("{one}\n{one}"));
        }
    }

    #[test]
    fn csv_keeps_the_header_of_what_is_shown() {
        let csv = given(&["service-desk", "support_agent"], Format::Csv);
        let text = "Id,Xyz__c,Email,HasOptedOutOfEmail,Account.Name,Birthdate\n\
                    003000000000001AAA,new,jane.doe@example.org,false,Acme,1987-05-23\n";
        let (code, out, why) = ran(&csv, text, false);
        assert_eq!(code, 0, "{why}");
        assert!(
            out.starts_with("Id,Email,HasOptedOutOfEmail,Account.Name"),
            "{out}"
        );
        assert!(
            out.contains("003000000000001AAA,j****@example.org,false,Acme"),
            "{out}"
        );
        assert!(!out.contains("1987-05-23") && !out.contains("new"), "{out}");
        assert_eq!(ran(&csv, text, true).1, out);
    }

    #[test]
    fn nothing_follows_what_is_broken() {
        let lines = given(&["service-desk", "support_agent"], Format::Ndjson);
        let text = format!("{RECORD}\n{{\"Email\":\"a@example.org\",}}\n{RECORD}\n");
        let (code, out, why) = ran(&lines, &text, true);
        assert_eq!(code, 1);
        assert_eq!(out.lines().count(), 1, "{out}");
        assert!(out.ends_with('\n'), "{out}");
        assert!(
            why.contains("malformed") && !why.contains("example.org"),
            "{why}"
        );
        let json = given(&["service-desk", "support_agent"], Format::Json);
        for text in ["", "[{\"Id\":", "{\"Id\" \"x\"}"] {
            assert_eq!(ran(&json, text, false).0, 1, "{text}");
        }
    }

    #[test]
    fn a_caller_that_is_refused_or_unknown_gets_nothing() {
        let mut asked = given(&["service-desk", "support_agent"], Format::Json);
        asked.args.purpose = Some("marketing".to_owned());
        let (code, out, _) = ran(&asked, RECORD, false);
        assert_eq!((code, out.as_str()), (1, ""));
        let wrong = given(&["service-desk", "support_agnt"], Format::Json);
        let (code, out, why) = ran(&wrong, RECORD, false);
        assert_eq!((code, out.as_str()), (2, ""));
        assert!(why.contains("did you mean `support_agent`?"), "{why}");
    }
}
