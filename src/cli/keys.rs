//! `privet keys`: the key ring, and the API keys of clients.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::exit;
use crate::config::{self, KeyPlaces, Machine, Surroundings, folder, unix_seconds};
use crate::diagnostic::{Diagnostic, suggest};
use crate::engine::identity::api_key::{self, KeyFile, NewKey, StoredKey};
use crate::engine::identity::is_well_formed_name;
use crate::engine::policy::load;
use crate::engine::token::{KeyRing, KeyState};
use crate::observe::audit::Signer;

/// Longest life of an API key: ten years.
const LIFE_S_MAX: i64 = 3650 * 86_400;

/// Makes, lists and ends keys.
#[derive(Debug, clap::Subcommand)]
pub enum KeysCommand {
    /// Write a new key ring (mode 0600, its folder is made if need be; an existing file is never touched)
    Init(Ring),
    /// Make a new active key; tokens made under the old ones can still be opened
    Rotate(Ring),
    /// Make an API key for a client: it is shown once, on standard output
    Issue(Issue),
    /// End an API key
    Revoke(Revoke),
    /// Show the keys of the ring and the API keys, never a secret
    List(Places),
}

/// Which key ring.
#[derive(Debug, clap::Args)]
pub struct Ring {
    /// The configuration that names the key ring
    #[arg(long, value_name = "FILE", default_value = "privet.yaml")]
    pub config: PathBuf,
    /// The key ring, instead of the configuration's
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,
}

/// Which key ring and which file of API keys.
#[derive(Debug, clap::Args)]
pub struct Places {
    /// The key ring
    #[command(flatten)]
    pub ring: Ring,
    /// The file of API keys, instead of the configuration's `identity.api_keys`
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// What to issue.
#[derive(Debug, clap::Args)]
pub struct Issue {
    /// Name of the client, as `clients` in vocabulary.yaml spells it
    pub client: String,
    /// Roles, with commas between them
    #[arg(long, value_delimiter = ',', required = true, value_name = "ROLE,…")]
    pub roles: Vec<String>,
    /// The region from which the client asks
    #[arg(long)]
    pub region: Option<String>,
    /// When it ends: 90d, 12h, or a date such as 2027-03-31
    #[arg(long, value_name = "TIME")]
    pub expires: String,
    /// The files
    #[command(flatten)]
    pub places: Places,
}

/// What to end.
#[derive(Debug, clap::Args)]
pub struct Revoke {
    /// Public id of the key: what stands between `pvt_` and the next `_`
    pub id: String,
    /// The files
    #[command(flatten)]
    pub places: Places,
}

/// Why a command ends: what to print and the exit code.
struct Stop {
    code: u8,
    text: String,
}

impl Stop {
    fn new(code: u8, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }
}

impl From<Vec<Diagnostic>> for Stop {
    fn from(problems: Vec<Diagnostic>) -> Self {
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Self::new(exit::CONFIG, shown.join("\n\n"))
    }
}

/// Runs `command`. `out` gets the answer, `notes` what a person should know. Gives the exit code.
///
/// # Errors
/// When `out` or `notes` cannot be written.
pub fn run(command: &KeysCommand, out: &mut dyn Write, notes: &mut dyn Write) -> io::Result<u8> {
    let done = match command {
        KeysCommand::Init(ring) => init(ring),
        KeysCommand::Rotate(ring) => rotate(ring),
        KeysCommand::Issue(issue) => issue_key(issue),
        KeysCommand::Revoke(revoke) => revoke_key(revoke),
        KeysCommand::List(places) => list(places),
    };
    match done {
        Ok(answer) => {
            out.write_all(answer.out.as_bytes())?;
            notes.write_all(answer.notes.as_bytes())?;
            Ok(exit::OK)
        }
        Err(stop) => {
            writeln!(notes, "{}", stop.text)?;
            Ok(stop.code)
        }
    }
}

/// What a command says when it is done.
#[derive(Default)]
struct Answer {
    out: Zeroizing<String>,
    notes: String,
}

fn init(ring: &Ring) -> Result<Answer, Stop> {
    let path = ring_path(ring)?;
    let folder = folder_of(&path);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|e| failed("make", folder, &e))?;
    let fresh = KeyRing::generate(&*random()?).created(&now());
    let _lock = lock(&path)?;
    if path.symlink_metadata().is_ok() {
        let text = format!("`{}` exists: nothing was changed", path.display());
        return Err(Stop::new(exit::FAILURE, text));
    }
    replace(&path, fresh.to_json().as_bytes())?;
    let notes = format!(
        "wrote a new key ring to `{}` (mode 0600)\nback it up: without it no token can be opened again\n",
        path.display()
    );
    Ok(Answer {
        notes,
        ..Answer::default()
    })
}

fn rotate(ring: &Ring) -> Result<Answer, Stop> {
    let path = ring_path(ring)?;
    let _lock = lock(&path)?;
    let rotated = read_ring(&path)?
        .rotate(&*random()?)
        .ok_or_else(|| {
            Stop::new(
                exit::FAILURE,
                "the ring is full: remove keys that nothing uses",
            )
        })?
        .created(&now());
    replace(&path, rotated.to_json().as_bytes())?;
    let active = rotated.keys().next().map_or("", |(id, ..)| id);
    let notes = format!(
        "`{active}` makes tokens from the next reload on; older keys still open theirs\n\
         tokens of the same value made before and after do not join\n"
    );
    Ok(Answer {
        notes,
        ..Answer::default()
    })
}

fn issue_key(issue: &Issue) -> Result<Answer, Stop> {
    let names = issue.roles.iter().chain(issue.region.as_ref());
    if let Some(bad) = names
        .chain([&issue.client])
        .find(|n| !is_well_formed_name(n))
    {
        let text = format!(
            "`{}` is no name: 1 to 128 characters A-Z a-z 0-9 _ . : @ -",
            bad.escape_debug()
        );
        return Err(Stop::new(exit::USAGE, text));
    }
    let expires = expiry(&issue.expires, Machine.now_s())?;
    let path = api_keys_path(&issue.places)?;
    let pepper = read_ring(&ring_path(&issue.places.ring)?)?.api_key_pepper();
    let _lock = lock(&path)?;
    let mut text = read_api_keys(&path)?;
    let new = NewKey {
        client: &issue.client,
        roles: &issue.roles,
        region: issue.region.as_deref(),
        expires: &expires,
    };
    let (key, line) = api_key::issue(new, *random()?, &*random()?, &pepper);
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&line);
    text.push('\n');
    // What is written must load, the new line and the old ones.
    KeyFile::parse(&path.to_string_lossy(), &text, pepper)?;
    replace(&path, text.as_bytes())?;
    let mut notes = format!(
        "for client `{}`, until {expires}; this is the only time it is shown\nstored as a keyed hash in `{}`\n",
        issue.client,
        path.display()
    );
    for warning in unknown_roles(issue) {
        notes.push_str(&format!("{warning}\n"));
    }
    Ok(Answer {
        out: Zeroizing::new(format!("{}\n", key.expose_secret())),
        notes,
    })
}

/// Warnings about roles that no row names. None while there is no policy folder that loads: the first key may be made
/// before the first rule.
fn unknown_roles(issue: &Issue) -> Vec<Diagnostic> {
    let loaded = config::key_places(&issue.places.ring.config, &Machine)
        .ok()
        .and_then(|places| folder::read(&places.policies?).ok())
        .and_then(|sources| load(&sources).ok());
    let Some(loaded) = loaded else {
        return Vec::new();
    };
    let known: Vec<&str> = loaded.policies.roles().collect();
    let unknown = issue.roles.iter().filter(|r| !known.contains(&r.as_str()));
    unknown
        .map(|role| {
            let mut message = format!("no rule and no row of roles.csv names role `{role}`");
            if let Some(help) = suggest(role, &known) {
                message.push_str(&format!(" ({help})"));
            }
            Diagnostic::warning("unknown-role", None, message)
        })
        .collect()
}

fn revoke_key(revoke: &Revoke) -> Result<Answer, Stop> {
    let path = api_keys_path(&revoke.places)?;
    let _lock = lock(&path)?;
    let text = api_key::revoke(&read_api_keys(&path)?, &revoke.id, &now()).ok_or_else(|| {
        let text = format!(
            "no key `{}` that is still good in `{}`",
            revoke.id.escape_debug(),
            path.display()
        );
        Stop::new(exit::FAILURE, text)
    })?;
    replace(&path, text.as_bytes())?;
    Ok(Answer {
        notes: format!("ended `{}`\n", revoke.id),
        ..Answer::default()
    })
}

fn list(places: &Places) -> Result<Answer, Stop> {
    let ring = read_ring(&ring_path(&places.ring)?)?;
    let mut out = Zeroizing::new(String::from("ring key  state         created\n"));
    for (id, state, created) in ring.keys() {
        let state = match state {
            KeyState::Active => "active",
            KeyState::DecryptOnly => "decrypt-only",
        };
        out.push_str(&format!("{id:<9} {state:<13} {}\n", created.unwrap_or("-")));
    }
    out.push_str("\nring key  audit checkpoints are signed with (Ed25519, base64)\n");
    for (id, seed) in ring.audit_seeds() {
        if let Some(signer) = Signer::from_seed(seed.expose_secret()) {
            out.push_str(&format!("{id:<9} {}\n", signer.public()));
        }
    }
    // Without a file of API keys there is nothing more to show.
    if let Ok(path) = api_keys_path(places) {
        let text = read_api_keys(&path)?;
        let file = KeyFile::parse(&path.to_string_lossy(), &text, ring.api_key_pepper())?;
        out.push_str("\napi key   client                    region    state     expires               roles\n");
        let now_s = Machine.now_s();
        for key in file.keys() {
            let StoredKey {
                grant, expires_s, ..
            } = key;
            let state = match key {
                k if k.revoked_s.is_some() => "revoked",
                k if k.expires_s.is_some_and(|t| t <= now_s) => "expired",
                _ => "good",
            };
            out.push_str(&format!(
                "{:<9} {:<25} {:<9} {state:<9} {:<21} {}\n",
                grant.key_id,
                grant.client,
                grant.region.as_deref().unwrap_or("-"),
                expires_s.map_or_else(|| "-".to_owned(), rfc3339),
                grant.roles.join(","),
            ));
        }
    }
    Ok(Answer {
        out,
        ..Answer::default()
    })
}

/// `90d`, `12h`, a date or a time → RFC 3339.
fn expiry(text: &str, now_s: i64) -> Result<String, Stop> {
    let unit = |suffix: char, seconds: i64| {
        let number = text.strip_suffix(suffix)?.parse::<i64>().ok()?;
        now_s.checked_add(number.checked_mul(seconds)?)
    };
    let at = unit('d', 86_400)
        .or_else(|| unit('h', 3600))
        .or_else(|| unix_seconds(text))
        .ok_or_else(|| {
            Stop::new(
                exit::USAGE,
                "`--expires` must be like 90d, 12h, 2027-03-31 or 2027-03-31T12:00:00Z",
            )
        })?;
    if at <= now_s || at - now_s > LIFE_S_MAX {
        return Err(Stop::new(
            exit::USAGE,
            "`--expires` must lie in the future, ten years at most",
        ));
    }
    Ok(rfc3339(at))
}

fn rfc3339(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| "-".to_owned(), |t| t.to_string())
}

fn now() -> String {
    rfc3339(Machine.now_s())
}

/// `N` bytes of the system's generator.
fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, Stop> {
    let mut bytes = Zeroizing::new([0; N]);
    SystemRandom::new()
        .fill(&mut *bytes)
        .map_err(|_| Stop::new(exit::FAILURE, "the system gives no random bytes"))?;
    Ok(bytes)
}

fn places_of(config: &Path) -> Result<KeyPlaces, Stop> {
    Ok(config::key_places(config, &Machine)?)
}

fn ring_path(ring: &Ring) -> Result<PathBuf, Stop> {
    match &ring.keys {
        Some(path) => Ok(path.clone()),
        None => places_of(&ring.config)?.keys.ok_or_else(|| {
            Stop::new(
                exit::USAGE,
                "the configuration has no `keys`: name the file with --keys",
            )
        }),
    }
}

fn api_keys_path(places: &Places) -> Result<PathBuf, Stop> {
    match &places.file {
        Some(path) => Ok(path.clone()),
        None => places_of(&places.ring.config)?.api_keys.ok_or_else(|| {
            Stop::new(
                exit::USAGE,
                "the configuration has no `identity.api_keys`: name the file with --file",
            )
        }),
    }
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Stop {
    Stop::new(
        exit::FAILURE,
        format!("cannot {what} `{}`: {error}", path.display()),
    )
}

fn read_ring(path: &Path) -> Result<KeyRing, Stop> {
    let text = Zeroizing::new(fs::read_to_string(path).map_err(|e| failed("read", path, &e))?);
    Ok(KeyRing::parse(&path.to_string_lossy(), &text)?)
}

/// The file's text; a file that is not there yet is empty.
fn read_api_keys(path: &Path) -> Result<String, Stop> {
    match fs::read_to_string(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read.map_err(|e| failed("read", path, &e)),
    }
}

/// The folder of a file that may be named without one.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Keeps other `privet keys` away from the folder until it is dropped.
fn lock(path: &Path) -> Result<File, Stop> {
    let folder = folder_of(path);
    let lock = File::open(folder).map_err(|e| failed("open", folder, &e))?;
    lock.lock().map_err(|e| failed("lock", folder, &e))?;
    Ok(lock)
}

/// Puts `content` in the place of `path` whole: whoever reads sees the old file or the new one. A new file gets the
/// mode 0600, an old one keeps its own; a symbolic link stays and its target is replaced.
fn replace(path: &Path, content: &[u8]) -> Result<(), Stop> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = folder_of(&target);
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let draft = folder.join(format!(".{name}.{}", std::process::id()));
    let mode = fs::metadata(&target).map_or(0o600, |m| m.permissions().mode() & 0o777);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| {
            file.write_all(content)?;
            file.set_permissions(Permissions::from_mode(mode))?;
            file.sync_all()?;
            fs::rename(&draft, &target)?;
            File::open(folder)?.sync_all()
        });
    written.map_err(|e| {
        let stop = failed("write", &target, &e);
        // Best effort: the draft may hold secrets, and the error that counts is the first one.
        drop(fs::remove_file(&draft));
        stop
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        keys: KeysCommand,
    }

    /// Runs `privet keys …` in `folder`; gives exit code, output and notes.
    fn keys(folder: &Path, line: &str) -> (u8, String, String) {
        let path = |name: &str| folder.join(name).display().to_string();
        let words = line
            .replace("RING", &format!("--keys {}", path("ring.json")))
            .replace("FILE", &format!("--file {}", path("api.jsonl")))
            .replace("CONFIG", &format!("--config {}", path("privet.yaml")));
        let line = Line::try_parse_from(["keys"].into_iter().chain(words.split(' '))).unwrap();
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let code = run(&line.keys, &mut out, &mut notes).unwrap();
        (
            code,
            String::from_utf8(out).unwrap(),
            String::from_utf8(notes).unwrap(),
        )
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn grants(folder: &Path, key: &str) -> bool {
        let ring = read_ring(&folder.join("ring.json")).ok().unwrap();
        let text = fs::read_to_string(folder.join("api.jsonl")).unwrap();
        KeyFile::parse("f", &text, ring.api_key_pepper())
            .unwrap()
            .verify(key.trim(), Machine.now_s())
            .is_some()
    }

    #[test]
    fn a_role_that_no_row_names_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let yaml = "keys: ring.json\nidentity: { api_keys: api.jsonl }\npolicies: rows\n";
        fs::write(at.join("privet.yaml"), yaml).unwrap();
        assert_eq!(keys(at, "init CONFIG").0, exit::OK);
        let line = "issue desk --roles agent,laed --expires 12h CONFIG";
        let (code, _, notes) = keys(at, line);
        assert_eq!(code, exit::OK);
        assert!(!notes.contains("warning"), "no rows to ask: {notes}");

        fs::create_dir_all(at.join("rows/rules")).unwrap();
        let write = |name: &str, text: &str| fs::write(at.join("rows").join(name), text).unwrap();
        write("vocabulary.yaml", "schema: 1\nclasses: { pii: {} }\n");
        write("roles.csv", "# g, who, role\ng, role:lead, role:agent\n");
        let header =
            "# p, effect, who, action, what, treatment, purpose, region, when, priority, id";
        let rule = "p, deny, role:auditor, read, class:pii, -, *, *, -, -, no-audit";
        write("rules/all.csv", &format!("{header}\n{rule}\n"));
        let (code, key, notes) = keys(at, line);
        assert_eq!(code, exit::OK);
        assert!(grants(at, &key));
        let warnings: Vec<&str> = notes.lines().filter(|l| l.contains("warning")).collect();
        let [warning] = warnings.as_slice() else {
            panic!("{notes}");
        };
        assert!(warning.contains("`laed`") && warning.contains("did you mean `lead`?"));
        let (_, _, notes) = keys(at, "issue desk --roles lead,auditor --expires 12h CONFIG");
        assert!(!notes.contains("warning"), "{notes}");
    }

    #[test]
    fn a_key_is_issued_listed_and_revoked_and_outlives_a_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        assert_eq!(keys(at, "init RING").0, exit::OK);
        assert_eq!(mode(&at.join("ring.json")), 0o600);
        let before = fs::read(at.join("ring.json")).unwrap();
        assert_eq!(keys(at, "init RING").0, exit::FAILURE);
        assert_eq!(fs::read(at.join("ring.json")).unwrap(), before);

        let issue = "issue desk --roles support,lead --region eu --expires 90d RING FILE";
        let (code, key, notes) = keys(at, issue);
        assert_eq!(code, exit::OK, "{notes}");
        assert!(!notes.contains(key.trim()));
        assert_eq!(mode(&at.join("api.jsonl")), 0o600);
        assert_eq!(keys(at, "rotate RING").0, exit::OK);
        let (_, second, _) = keys(at, issue);
        assert!(grants(at, &key) && grants(at, &second));

        let (_, listed, _) = keys(at, "list RING FILE");
        let id = key.split('_').nth(1).unwrap();
        assert!(listed.contains("k2        active") && listed.contains("k1        decrypt-only"));
        assert!(listed.contains(id) && listed.contains("support,lead"));
        assert!(!listed.contains(key.trim()));

        assert_eq!(keys(at, &format!("revoke {id} RING FILE")).0, exit::OK);
        assert!(!grants(at, &key) && grants(at, &second));
        assert_eq!(keys(at, &format!("revoke {id} RING FILE")).0, exit::FAILURE);
        assert!(keys(at, "list RING FILE").1.contains("revoked"));
        // Nothing but the two files is left behind.
        assert_eq!(fs::read_dir(at).unwrap().count(), 2);
    }

    #[test]
    fn the_configuration_names_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let (code, _, notes) = keys(at, "init CONFIG");
        assert_eq!(code, exit::CONFIG);
        assert!(notes.contains("privet.yaml"));
        let yaml = "keys: ring.json\nidentity: { api_keys: api.jsonl }\n";
        fs::write(at.join("privet.yaml"), yaml).unwrap();
        assert_eq!(keys(at, "init CONFIG").0, exit::OK);
        let (code, key, _) = keys(at, "issue desk --roles a --expires 12h CONFIG");
        assert_eq!(code, exit::OK);
        assert!(grants(at, &key));
        let deep = format!("init --keys {}", at.join("state/keys/ring.json").display());
        assert_eq!(keys(at, &deep).0, exit::OK);
        assert_eq!(mode(&at.join("state/keys")), 0o700);
    }

    #[test]
    fn mistakes_change_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        assert_eq!(keys(at, "init RING").0, exit::OK);
        for (line, code) in [
            ("issue a,b --roles x --expires 1d RING FILE", exit::USAGE),
            (
                "issue desk --roles x,y/z --expires 1d RING FILE",
                exit::USAGE,
            ),
            (
                "issue desk --roles x --expires yesterday RING FILE",
                exit::USAGE,
            ),
            ("issue desk --roles x --expires 0d RING FILE", exit::USAGE),
            (
                "issue desk --roles x --expires 2020-01-01 RING FILE",
                exit::USAGE,
            ),
            (
                "issue desk --roles x --expires 99999d RING FILE",
                exit::USAGE,
            ),
            (
                "issue desk --roles x --expires 1d CONFIG FILE",
                exit::CONFIG,
            ),
            ("revoke abc RING FILE", exit::FAILURE),
        ] {
            assert_eq!(keys(at, line).0, code, "{line}");
        }
        assert!(!at.join("api.jsonl").exists());
        fs::write(at.join("api.jsonl"), "{\"id\":7}\n").unwrap();
        let (code, out, _) = keys(at, "issue desk --roles x --expires 1d RING FILE");
        assert_eq!((code, out.as_str()), (exit::CONFIG, ""));
        assert_eq!(fs::read(at.join("api.jsonl")).unwrap(), b"{\"id\":7}\n");
    }

    #[test]
    fn expiry_is_read_as_written() {
        let now_s = unix_seconds("2026-11-23T10:00:00Z").unwrap();
        for (text, at) in [
            ("90d", "2027-02-21T10:00:00Z"),
            ("12h", "2026-11-23T22:00:00Z"),
            ("2027-03-31", "2027-03-31T00:00:00Z"),
            ("2027-03-31T12:00:00+02:00", "2027-03-31T10:00:00Z"),
        ] {
            assert_eq!(expiry(text, now_s).ok().as_deref(), Some(at));
        }
    }
}
