//! `privet init`: a commented set-up that shows nothing yet, ready to be filled.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::cli::{exit, keys};

/// Flags of `privet init`.
#[derive(Debug, Clone, clap::Args)]
pub struct InitArgs {
    /// Your org's own domain, such as `https://acme.my.salesforce.com`
    #[arg(long, value_name = "URL")]
    pub upstream: String,
    /// Your company: bound into every token
    #[arg(long, value_name = "NAME", default_value = "acme")]
    pub tenant: String,
    /// Where it is written
    #[arg(value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
}

/// What the upstream is written as in the template.
const UPSTREAM: &str = "@UPSTREAM@";
const TENANT: &str = "@TENANT@";
const CONFIG: &str = "privet.yaml";
const SECRET: &str = "state/client-secret";
const KEYS: &str = "state/privet-keys.json";

const FILES: &[(&str, &str)] = &[
    (CONFIG, include_str!("init/privet.yaml")),
    (
        "policies/vocabulary.yaml",
        include_str!("init/vocabulary.yaml"),
    ),
    (
        "policies/roles.csv",
        "# g, who,           role\n\
         # Who holds which role, beside the roles that API keys and tokens carry themselves.\n\
         # g, role:support, role:employee\n",
    ),
    (
        "policies/rules/company.csv",
        "# p, effect, who, action, what, treatment, purpose, region, when, priority, id\n\
         # One row = one rule; no row = the field is dropped. Until there is one, nobody sees anything.\n\
         # p, allow, role:support, read, class:pii.email, mask:email, support, *, -, -, support-email\n",
    ),
    (
        "policies/classes/salesforce.csv",
        "# g2, field, class\n\
         # Which field holds what. A field without a row is hidden until somebody has read what it is.\n\
         # g2, Contact.Email, class:pii.email\n",
    ),
    (
        "policies/schema/salesforce.json",
        include_str!("init/schema.json"),
    ),
    (
        "policies/tests/company_test.yaml",
        include_str!("init/company_test.yaml"),
    ),
];

/// Runs the verb: 0 written, 1 a file is there already (nothing is changed then), 2 the URL is none.
///
/// # Errors
/// A file cannot be written.
pub fn execute(args: &InitArgs, out: &mut dyn Write, notes: &mut dyn Write) -> anyhow::Result<u8> {
    let url = args.upstream.trim_end_matches('/');
    let host = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    if !host.is_some_and(|h| !h.is_empty() && h.bytes().all(fits)) {
        writeln!(
            notes,
            "error: --upstream is an origin such as https://acme.my.salesforce.com"
        )?;
        return Ok(exit::USAGE);
    }
    let named = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    if args.tenant.is_empty() || !args.tenant.bytes().all(named) {
        writeln!(
            notes,
            "error: --tenant is a name of letters, digits, - and _"
        )?;
        return Ok(exit::USAGE);
    }
    let at = &args.directory;
    let all = FILES.iter().map(|(name, _)| *name).chain([SECRET, KEYS]);
    for name in all {
        let path = at.join(name);
        if path.symlink_metadata().is_ok() {
            writeln!(notes, "`{}` exists: nothing was changed", path.display())?;
            return Ok(exit::FAILURE);
        }
    }
    for (name, text) in FILES {
        let text = text.replace(UPSTREAM, url).replace(TENANT, &args.tenant);
        let path = at.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, text)?;
        writeln!(out, "{}", path.display())?;
    }
    secret(&at.join(SECRET))?;
    writeln!(out, "{}", at.join(SECRET).display())?;
    let ring = keys::Ring {
        config: at.join(CONFIG),
        keys: Some(at.join(KEYS)),
    };
    let code = keys::run(&keys::KeysCommand::Init(ring), out, notes)?;
    if code == exit::OK {
        writeln!(
            notes,
            "next: put the org's client id into {CONFIG} and its secret into {SECRET}, then\n  \
             privet schema pull --config {CONFIG} --objects Account,Contact --write\n  \
             privet check --config {CONFIG}"
        )?;
    }
    Ok(code)
}

/// A place for the upstream's secret that only its owner may read.
fn secret(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?
        .write_all(b"put-the-client-secret-here\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check;

    #[test]
    fn what_is_written_passes_check_and_nothing_is_written_twice() {
        let folder = tempfile::tempdir().unwrap();
        let args = InitArgs {
            upstream: "https://acme.my.salesforce.com/".to_owned(),
            tenant: "acme".to_owned(),
            directory: folder.path().join("here"),
        };
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        assert_eq!(execute(&args, &mut out, &mut notes).unwrap(), exit::OK);
        let mut told = Vec::new();
        let checked = check::CheckArgs {
            offline: true,
            online: false,
            policies: None,
            config: Some(args.directory.join(CONFIG)),
            verbose: false,
            format: check::Format::Text,
        };
        let code = check::run(&checked, &mut told).unwrap();
        let told = String::from_utf8(told).unwrap();
        assert_eq!(code, exit::OK, "{told}");
        let written = fs::read_to_string(args.directory.join(CONFIG)).unwrap();
        assert!(written.contains("\"https://acme.my.salesforce.com\""));
        fs::remove_file(args.directory.join(CONFIG)).unwrap();
        let again = execute(&args, &mut out, &mut notes).unwrap();
        assert_eq!(again, exit::FAILURE);
        assert!(!args.directory.join(CONFIG).exists());
        let wrong = InitArgs {
            upstream: "acme.my.salesforce.com".to_owned(),
            ..args
        };
        assert_eq!(execute(&wrong, &mut out, &mut notes).unwrap(), exit::USAGE);
    }
}
