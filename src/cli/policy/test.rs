//! `privet policy test`: do the rules do what was meant?

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cli::{complain, exit};
use crate::engine::policy::{Loaded, Policies};
use crate::engine::token::KeyRing;
use crate::engine::workbench::suite::{self, Report};
use crate::proxy::refuse;

/// Flags of `privet policy test`.
#[derive(Debug, Clone, clap::Args)]
pub struct TestArgs {
    /// The policy folder
    #[arg(long, value_name = "DIR", default_value = "policies")]
    pub policies: PathBuf,
    /// Test files; without any, tests/*_test.yaml of the policy folder
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Fail unless so many percent of the rules are exercised
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub threshold: Option<u8>,
    /// Write the results as JUnit XML as well
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// Tokens in tests are made with this key and are worth nothing anywhere else.
pub(super) const TEST_KEY: [u8; 64] = [0x70; 64];

/// Runs the verb: 0 all held, 1 something did not, 78 a file is invalid.
///
/// # Errors
/// A file cannot be read or written.
pub fn execute(args: &TestArgs, out: &mut dyn Write, notes: &mut dyn Write) -> anyhow::Result<u8> {
    let mut set = match super::loaded(&args.policies, notes)? {
        Ok(set) => set,
        Err(code) => return Ok(code),
    };
    let files = if args.files.is_empty() {
        let mut files = found(&args.policies.join("tests"))?;
        for pack in set.policies.packs() {
            let folder = args.policies.join("packs").join(&**pack).join("tests");
            files.extend(found(&folder)?);
        }
        files
    } else {
        args.files.clone()
    };
    if files.is_empty() {
        writeln!(
            notes,
            "error: no tests/*_test.yaml in {}",
            args.policies.display()
        )?;
        return Ok(exit::CONFIG);
    }
    let now_s = jiff::Timestamp::now().as_second();
    let mut suites = Vec::new();
    let mut invalid = false;
    for file in &files {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("{} cannot be read", file.display()))?;
        match suite::read(&file.display().to_string(), &text, &set, now_s) {
            Ok(suite) => suites.push(suite),
            Err(mistakes) => {
                complain(notes, &mistakes)?;
                invalid = true;
            }
        }
    }
    if invalid {
        return Ok(exit::CONFIG);
    }
    let report = run(&suites, &mut set);
    print(&report, &set.policies, out)?;
    if let Some(file) = &args.junit {
        std::fs::write(file, junit(&report))
            .with_context(|| format!("{} cannot be written", file.display()))?;
    }
    let (_, failed) = report.counts();
    // A pack's rules are held by its own invariants.
    let own = || set.policies.rules().iter().filter(|r| r.pack.is_none());
    let rules = own().count();
    let exercised = own().filter(|r| report.exercised.contains(&r.id)).count();
    let below = args.threshold.is_some_and(|percent| {
        let short = exercised * 100 < rules * usize::from(percent);
        if short {
            let _ = writeln!(out, "fewer than {percent} % of the rules are exercised");
        }
        short
    });
    Ok(if failed > 0 || below {
        exit::FAILURE
    } else {
        exit::OK
    })
}

fn run(suites: &[suite::Suite], set: &mut Loaded) -> Report {
    let keys = KeyRing::generate(&TEST_KEY);
    let mut report = suite::run_tests(suites, set, &keys, &|refusal| {
        let (status, code) = refuse::row(refusal.reason);
        (status.as_u16(), refusal.code.unwrap_or(code))
    });
    let set: &Loaded = set;
    let invariants = super::on_all_processors(suite::invariants(suites), |index| {
        suite::run_invariant(suites, set, index)
    });
    report.cases.extend(invariants.into_iter().flatten());
    report
}

/// `*_test.yaml` of a folder, sorted; a folder that is not there holds none.
fn found(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e).with_context(|| format!("{} cannot be read", folder.display())),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.to_string_lossy().ends_with("_test.yaml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn print(report: &Report, policies: &Policies, out: &mut dyn Write) -> std::io::Result<()> {
    for case in &report.cases {
        for failure in &case.failures {
            writeln!(
                out,
                "{}:{}: {}: {}",
                case.file, failure.line, case.name, failure.text
            )?;
        }
    }
    let never: Vec<&str> = policies
        .rules()
        .iter()
        .map(|r| &*r.id)
        .filter(|id| !report.exercised.contains(*id))
        .collect();
    if !never.is_empty() {
        writeln!(out, "never exercised: {}", never.join(", "))?;
    }
    let (passed, failed) = report.counts();
    writeln!(
        out,
        "{passed} passed, {failed} failed; {} of {} rules exercised",
        report.exercised.len(),
        policies.rules().len()
    )
}

/// The report as JUnit XML, one test case for each test and invariant.
fn junit(report: &Report) -> String {
    let (passed, failed) = report.counts();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let failing = report
        .cases
        .iter()
        .filter(|c| !c.failures.is_empty())
        .count();
    let _ = writeln!(
        xml,
        "<testsuites tests=\"{}\" failures=\"{failing}\">",
        report.cases.len()
    );
    let _ = writeln!(
        xml,
        "  <testsuite name=\"privet policy test\" tests=\"{}\" failures=\"{failing}\" assertions=\"{}\">",
        report.cases.len(),
        passed + failed
    );
    for case in &report.cases {
        let _ = write!(
            xml,
            "    <testcase classname=\"{}\" name=\"{}\" file=\"{}\" line=\"{}\"",
            escape(&case.file),
            escape(&case.name),
            escape(&case.file),
            case.line
        );
        if case.failures.is_empty() {
            xml.push_str("/>\n");
            continue;
        }
        xml.push_str(">\n");
        let text: Vec<String> = case
            .failures
            .iter()
            .map(|f| format!("{}:{}: {}", case.file, f.line, f.text))
            .collect();
        let first = case.failures.first().map_or("", |f| f.text.as_str());
        let _ = writeln!(
            xml,
            "      <failure message=\"{}\">{}</failure>\n    </testcase>",
            escape(first),
            escape(&text.join("\n"))
        );
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() && c != '\n' => out.push('?'),
            c => out.push(c),
        }
    }
    out
}
