//! The workbench's verbs as people and pipelines run them: the binary, folders, git.

use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Exit code, standard output, standard error.
fn ran(command: &mut Command, folder: &Path) -> (i32, String, String) {
    let binaries = Path::new(env!("CARGO_BIN_EXE_privet")).parent().unwrap();
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
    let done = command
        .current_dir(folder)
        .env("PATH", path)
        .env("PRIVET_HOME", ROOT)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_AUTHOR_NAME", "Mia")
        .env("GIT_AUTHOR_EMAIL", "mia@acme.example")
        .env("GIT_COMMITTER_NAME", "Mia")
        .env("GIT_COMMITTER_EMAIL", "mia@acme.example")
        .output()
        .unwrap();
    (
        done.status.code().unwrap(),
        String::from_utf8(done.stdout).unwrap(),
        String::from_utf8(done.stderr).unwrap(),
    )
}

fn privet(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_privet"));
    ran(command.args(arguments), folder)
}

fn shell(folder: &Path, line: &str) -> (i32, String, String) {
    ran(Command::new("sh").args(["-ec", line]), folder)
}

/// A folder with a copy of the shipped policies.
fn shipped() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, why) = shell(folder.path(), "cp -R \"$PRIVET_HOME/policies\" .");
    assert_eq!(code, 0, "{why}");
    folder
}

fn edit(folder: &Path, file: &str, from: &str, to: &str) {
    let file: PathBuf = folder.join(file);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{from}");
    std::fs::write(&file, text.replacen(from, to, 1)).unwrap();
}

/// The lines of the first block of this kind.
fn block(text: &str, kind: &str) -> Vec<String> {
    let (_, rest) = text.split_once(&format!("```{kind}\n")).unwrap();
    let (block, _) = rest.split_once("```").unwrap();
    block.lines().map(ToString::to_string).collect()
}

#[test]
fn the_guides_ten_commands_end_in_a_change_that_ci_lets_pass() {
    let guide = std::fs::read_to_string(format!("{ROOT}/docs/policy-guide.md")).unwrap();
    let commands = block(&guide, "sh");
    assert_eq!(commands.len(), 10, "the guide promises ten commands");
    let folder = tempfile::tempdir().unwrap();
    // The first command changes the folder. Between the new test and the new rule the test fails.
    let (code, out, why) = shell(folder.path(), &commands[..6].join("\n"));
    assert_eq!(code, 0, "{out}{why}");
    let repository = folder.path().join("crm-policies");
    let (code, out, _) = privet(&repository, &["policy", "test"]);
    assert_eq!(code, 1, "{out}");
    assert!(
        out.contains("wanted redact, got clear by marketing-city"),
        "{out}"
    );
    let (code, out, why) = shell(&repository, &commands[6..].join("\n"));
    assert_eq!(code, 0, "{out}{why}");
    assert!(out.contains("0 failed; 43 of 43 rules exercised"), "{out}");
    let told = block(&guide, "text");
    for line in told.iter().filter(|l| *l != "...") {
        assert!(out.contains(line.trim_end()), "{line}\n{out}");
    }

    // The workflow, step by step.
    let (code, _, why) = shell(&repository, "git update-ref refs/remotes/origin/main main");
    assert_eq!(code, 0, "{why}");
    let workflow =
        std::fs::read_to_string(repository.join(".github/workflows/policies.yml")).unwrap();
    let steps: Vec<&str> = workflow
        .lines()
        .filter_map(|l| l.trim().strip_prefix("- run: "))
        .collect();
    assert_eq!(steps.len(), 5);
    for step in &steps {
        let (code, out, why) = shell(&repository, step);
        assert_eq!(code, 0, "{step}\n{out}{why}");
    }
    let change = std::fs::read_to_string(repository.join("policy-change.md")).unwrap();
    assert!(change.contains("#### stricter"), "{change}");

    // The same pipeline stops what shows more.
    edit(
        &repository,
        "policies/rules/marketing.csv",
        "mask:all,           marketing",
        "clear,              marketing",
    );
    let (code, out, _) = shell(&repository, steps[4]);
    assert_eq!(code, 1, "{out}");
    assert!(out.starts_with("looser\n"), "{out}");
}

#[test]
fn diff_reads_revisions_in_three_spellings_and_says_no_change() {
    let folder = shipped();
    let at = folder.path();
    let (code, _, why) = shell(at, "git init -q -b main && git add . && git commit -qm one");
    assert_eq!(code, 0, "{why}");
    for old in ["main", "HEAD:policies", "policies"] {
        let (code, out, why) = privet(at, &["policy", "diff", old, "policies"]);
        assert_eq!((code, out.as_str()), (0, "no change\n"), "{old} {why}");
    }
    let (code, out, _) = shell(&at.join("policies"), "privet policy diff main .");
    assert_eq!((code, out.as_str()), (0, "no change\n"));
}

#[test]
fn a_threshold_and_junit() {
    let folder = shipped();
    let at = folder.path();
    let arguments = ["policy", "test", "--threshold", "100", "--junit", "out.xml"];
    let (code, out, why) = privet(at, &arguments);
    assert_eq!(code, 0, "{out}{why}");
    let xml = std::fs::read_to_string(at.join("out.xml")).unwrap();
    assert!(xml.contains("failures=\"0\""), "{xml}");
    edit(
        at,
        "policies/rules/marketing.csv",
        "marketing-headcount",
        "marketing-headcount\np, allow, role:marketing, read, class:freetext, redact, marketing, *, -, -, not-tested",
    );
    let (code, out, _) = privet(at, &arguments);
    assert_eq!(code, 1);
    assert!(out.contains("never exercised: not-tested\n"), "{out}");
    assert!(
        out.contains("fewer than 100 % of the rules are exercised"),
        "{out}"
    );
    edit(
        at,
        "policies/tests/demo_test.yaml",
        "Birthdate: drop",
        "Birthdate: clear",
    );
    let (code, _, _) = privet(at, &arguments);
    let xml = std::fs::read_to_string(at.join("out.xml")).unwrap();
    assert_eq!(code, 1);
    assert!(xml.contains("wanted clear, got drop by no rule"), "{xml}");
    assert!(xml.contains("failures=\"1\""), "{xml}");
    // Well-formed, as another parser sees it.
    let mut reader = quick_xml::Reader::from_str(&xml);
    while reader.read_event().unwrap() != quick_xml::events::Event::Eof {}
}

#[test]
fn fmt_names_what_it_would_change_and_then_changes_it() {
    let folder = shipped();
    let at = folder.path();
    assert_eq!(privet(at, &["policy", "fmt", "--check"]).0, 0);
    edit(at, "policies/roles.csv", "g,   role:bi,  ", "g, role:bi,");
    let (code, out, _) = privet(at, &["policy", "fmt", "--check"]);
    assert_eq!((code, out.as_str()), (1, "roles.csv\n"));
    assert_eq!(privet(at, &["policy", "fmt"]).0, 0);
    assert_eq!(privet(at, &["policy", "fmt", "--check"]).0, 0);
    let (_, out, _) = privet(
        at,
        &["policy", "diff", &format!("{ROOT}/policies"), "policies"],
    );
    assert_eq!(out, "no change\n");
}

#[test]
fn the_matrix_in_four_formats() {
    let at = Path::new(ROOT);
    let of = |format: &str| {
        let (code, out, why) = privet(
            at,
            &["policy", "matrix", "--role", "bi", "--format", format],
        );
        assert_eq!(code, 0, "{why}");
        out
    };
    let head = [
        "field",
        "class",
        "read",
        "export",
        "filter",
        "sort",
        "group",
        "aggregate",
        "search",
        "key",
        "write",
    ];
    let text = of("text");
    let words: Vec<&str> = text.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(words, head);
    let csv = of("csv");
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    assert_eq!(reader.headers().unwrap(), &head[..]);
    let rows = reader.records().map(Result::unwrap).count();
    assert_eq!(rows, text.lines().count() - 1);
    let markdown = of("markdown");
    assert_eq!(markdown.lines().count(), rows + 2);
    assert!(
        markdown.starts_with("| field | class | read |"),
        "{markdown}"
    );
    let html = of("html");
    assert_eq!(html.matches("<tr>").count(), rows + 1);
    assert!(html.contains("<td>Contact.Email</td>"), "{html}");
}

#[test]
fn scaffolds_write_what_loads_and_nothing_else() {
    let folder = shipped();
    let at = folder.path();
    let rule = |id: &str, what: &str| {
        privet(
            at,
            &[
                "policy",
                "new",
                "rule",
                id,
                "--file",
                "rules/audit.csv",
                "--who",
                "role:bi",
                "--what",
                what,
                "--treatment",
                "redact",
            ],
        )
    };
    let (code, out, why) = rule("bi-titles", "Contact.Titel");
    assert_eq!((code, out.as_str()), (78, ""));
    assert!(why.contains("did you mean `Title`?"), "{why}");
    assert!(!at.join("policies/rules/audit.csv").exists());
    let (code, _, why) = rule("bi-titles", "Contact.Title");
    assert_eq!(code, 0, "{why}");
    let written = std::fs::read_to_string(at.join("policies/rules/audit.csv")).unwrap();
    assert!(written.ends_with("bi-titles\n"), "{written}");
    let (code, _, why) = privet(at, &["policy", "new", "role", "user:eva", "bi"]);
    assert_eq!(code, 0, "{why}");
    let roles = std::fs::read_to_string(at.join("policies/roles.csv")).unwrap();
    assert!(
        roles
            .lines()
            .any(|l| l.split_whitespace().collect::<Vec<_>>() == ["g,", "user:eva,", "role:bi"]),
        "{roles}"
    );
    let (code, out, _) = privet(
        at,
        &[
            "policy",
            "new",
            "class",
            "pii.passport",
            "--field",
            "Contact.Passport__c",
        ],
    );
    assert_eq!(code, 0);
    assert!(
        out.contains("  pii.passport: { personal: true }\n"),
        "{out}"
    );
    assert!(
        out.contains("g2, Contact.Passport__c, class:pii.passport\n"),
        "{out}"
    );
    assert_eq!(privet(at, &["check"]).0, 0);
}

/// Each pack on the shipped policies: it loads, its invariants hold because of it, nothing becomes looser, and the tools
/// name it.
#[test]
fn packs_only_ever_protect_more() {
    for pack in ["gdpr", "ccpa", "lgpd", "pdpa"] {
        let folder = shipped();
        let at = folder.path();
        let invariants = format!("policies/packs/{pack}/tests/{pack}_test.yaml");
        edit(
            at,
            "policies/vocabulary.yaml",
            "packs: []",
            &format!("packs: [{pack}]"),
        );
        let (code, out, why) = privet(at, &["policy", "test", &invariants]);
        assert_eq!(code, 0, "{out}{why}");
        let before = format!("{ROOT}/policies");
        let (code, out, _) = privet(
            at,
            &["policy", "diff", &before, "policies", "--fail-on", "looser"],
        );
        assert_eq!(code, 0, "{out}");
        assert!(out.starts_with("stricter\n"), "{out}");
        assert!(out.contains(&format!(", pack {pack})")), "{out}");
        let (code, out, _) = privet(at, &["check"]);
        assert_eq!(code, 0, "{out}");
        assert!(out.contains("warning[layers-disagree]: "), "{out}");
        let explained = [
            "policy",
            "explain",
            "--as",
            "ana",
            "--roles",
            "support_agent",
            "--client",
            "service-desk",
            "--region",
            "us",
            "--field",
            "Contact.Birthdate",
        ];
        let (code, out, _) = privet(at, &explained);
        assert_eq!(code, 0);
        let names_layer = out.contains(&format!("pack {pack}")) || pack == "ccpa";
        assert!(names_layer, "{out}");
        // Not because the company's own rules say so already.
        edit(
            at,
            "policies/vocabulary.yaml",
            &format!("packs: [{pack}]"),
            "packs: []",
        );
        assert_ne!(privet(at, &["policy", "test", &invariants]).0, 0);
    }
}

#[test]
fn explain_says_that_a_class_asks_for_groups() {
    let folder = shipped();
    let explained = |action: &str| {
        let flags = [
            "policy",
            "explain",
            "--as",
            "ana",
            "--roles",
            "support_agent",
            "--client",
            "service-desk",
            "--purpose",
            "support",
            "--field",
            "Contact.Salary__c",
            "--action",
            action,
        ];
        let (code, out, why) = privet(folder.path(), &flags);
        assert_eq!(code, 0, "{out}{why}");
        out
    };
    let wanted = "class:pii.salary asks for groups of at least 10: ";
    assert!(
        explained("aggregate").contains(wanted),
        "{}",
        explained("aggregate")
    );
    assert!(!explained("filter").contains(wanted));
}
