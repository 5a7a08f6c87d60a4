//! `privet check`: is this policy folder valid, and what does it say?

use std::io::Write;
use std::path::{Path, PathBuf};

use super::exit;
use crate::config::{self, Machine, Settings, bundle, folder, trust};
use crate::diagnostic::{Diagnostic, Severity};
use crate::engine::catalog::Object;
use crate::engine::policy::{Loaded, Policies, load};
use crate::engine::protocol::Dialect;
use crate::engine::workbench::lint::lint;
use crate::observe::monitors;
use crate::proxy::listener;
use crate::proxy::refuse::ErrorShape;
use crate::proxy::upstream::Upstream;

/// How findings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
}

/// Checks a policy folder.
#[derive(Debug, Clone, clap::Args)]
pub struct CheckArgs {
    /// Look at the files only (the default)
    #[arg(long, conflicts_with = "online")]
    pub offline: bool,
    /// Ask each upstream for one describe as well, and compare it with the schema
    #[arg(long)]
    pub online: bool,
    /// The policy folder [default: policies]
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pub policies: Option<PathBuf>,
    /// Check this configuration, and the policies that it names
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print every rule as a sentence
    #[arg(short, long)]
    pub verbose: bool,
    /// How findings are printed
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Runs the verb. Findings and the result go to `out`; gives the exit code: 0 valid (warnings allowed), 2 usage,
/// 69 an upstream does not answer, 78 invalid.
///
/// # Errors
/// `out` cannot be written.
pub fn run(args: &CheckArgs, out: &mut dyn Write) -> std::io::Result<u8> {
    if args.online && args.config.is_none() {
        writeln!(
            out,
            "error: --online needs the upstreams that a configuration names: --config FILE"
        )?;
        return Ok(exit::USAGE);
    }
    let mut served = None;
    let mut bundled = None;
    let (policies, mut found) = match &args.config {
        None => (
            args.policies
                .clone()
                .unwrap_or_else(|| PathBuf::from("policies")),
            Vec::new(),
        ),
        Some(file) => match config::load_with_warnings(file, &Machine) {
            Ok(loaded) => {
                let policies = loaded.settings.policies.clone();
                if loaded.settings.bundle.is_some() {
                    bundled = Some(bundle::read(&loaded.settings).map(|(sources, _)| sources));
                }
                let mut warnings = loaded.warnings;
                warnings.extend(material(&loaded.settings));
                served = args.online.then_some(loaded.settings);
                (policies, warnings)
            }
            Err(found) => {
                print(args, &found, None, out)?;
                return Ok(exit::CONFIG);
            }
        },
    };
    let sources = match bundled.map_or_else(|| Ok(folder::read(&policies)), |b| b.map(Ok)) {
        Ok(Ok(sources)) => sources,
        Err(refused) => {
            found.extend(refused);
            print(args, &found, None, out)?;
            return Ok(exit::CONFIG);
        }
        Ok(Err(e)) => {
            let finding = Diagnostic::error(
                "unreadable",
                None,
                format!("the policy folder cannot be read: {e}"),
            )
            .help("name it with --policies DIR, or a configuration with --config FILE");
            found.push(finding);
            print(args, &found, None, out)?;
            return Ok(exit::CONFIG);
        }
    };
    let watched = monitors_file(&policies);
    match load(&sources) {
        Ok(loaded) if watched.is_empty() => {
            let warnings = loaded.warnings.iter().cloned();
            let all = warnings.chain(lint(&sources, &loaded));
            found.extend(all.map(|d| placed(args.format, &policies, d)));
            if found.iter().any(|d| d.severity == Severity::Error) {
                print(args, &found, None, out)?;
                return Ok(exit::CONFIG);
            }
            let answered = match &served {
                Some(settings) => online(settings, &loaded, &mut found)?,
                None => true,
            };
            print(args, &found, Some(&loaded), out)?;
            Ok(if answered {
                exit::OK
            } else {
                exit::UNAVAILABLE
            })
        }
        loaded => {
            let all = loaded.err().into_iter().flatten().chain(watched);
            found.extend(all.map(|d| placed(args.format, &policies, d)));
            print(args, &found, None, out)?;
            Ok(exit::CONFIG)
        }
    }
}

/// Every mistake in the monitors' file of the folder `policies`; without the file there is none.
fn monitors_file(policies: &Path) -> Vec<Diagnostic> {
    let name = monitors::FILE;
    match std::fs::read_to_string(policies.join(name)) {
        Ok(text) => monitors::rules::read(name, &text).err().unwrap_or_default(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(e) => {
            let message = format!("`{name}` cannot be read: {}", e.kind());
            vec![Diagnostic::error("unreadable", None, message)]
        }
    }
}

/// What `privet run` would find wrong with the files that the configuration names: key ring, API keys, JWKS, certificate
/// and key, trust stores.
fn material(settings: &Settings) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut settings = settings.clone();
    let issued = &mut settings.identity.api_keys;
    if let Some(path) = issued.take_if(|path| !path.exists()) {
        let message = format!("{} is not there: no API key was issued yet", path.display());
        found.push(
            Diagnostic::warning("no-api-keys", None, message)
                .help("`privet keys issue CLIENT` writes the first key; without the file privet does not start"),
        );
    }
    match trust::key_ring(&settings, &Machine) {
        Ok(ring) => found.extend(
            trust::verifiers(&settings, &ring, &Machine)
                .err()
                .unwrap_or_default(),
        ),
        Err(problems) => found.extend(problems),
    }
    if let Some(Err(e)) = settings.listen.tls.as_ref().map(listener::tls) {
        let message = format!("`listen.tls` cannot be used: {e}");
        found.push(Diagnostic::error("tls", None, message).help(
            "certificate (with its chain, leaf first) and key must be PEM and belong together",
        ));
    }
    for (name, api) in &settings.apis {
        if let Err(e) = Upstream::new(api, &settings.limits, ErrorShape::Salesforce) {
            found.push(Diagnostic::error(
                "trust",
                None,
                format!("the upstream of `{name}`: {e}"),
            ));
        }
    }
    found
}

/// Asks each Salesforce upstream for one describe, under privet's own credential, and compares it with the schema.
/// Whether all of them answered. Mapped APIs have nothing that could be asked without knowing what it does.
fn online(
    settings: &Settings,
    loaded: &Loaded,
    found: &mut Vec<Diagnostic>,
) -> std::io::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut answered = true;
    for (name, api) in &settings.apis {
        let of_api = |o: &&Object| o.api == *name;
        let Some(object) = loaded.catalog.objects.iter().find(of_api) else {
            continue;
        };
        if api.dialect != Dialect::Salesforce {
            continue;
        }
        let path = format!(
            "/services/data/v{}.0/sobjects/{}/describe",
            api.versions.1, object.name
        );
        let body = runtime.block_on(async {
            Upstream::new(api, &settings.limits, ErrorShape::Salesforce)
                .map_err(|e| e.to_string())?
                .pull_schema(&path)
                .await
        });
        let describe = body.and_then(|body| {
            serde_json::from_slice::<serde_json::Value>(&body)
                .map_err(|_| "the answer is not JSON".to_owned())
        });
        match describe {
            Err(cause) => {
                answered = false;
                found.push(
                    Diagnostic::error(
                        "upstream",
                        None,
                        format!("the API `{name}` did not answer a describe: {cause}"),
                    )
                    .help("look at `upstream:` and `credential:` of this API"),
                );
            }
            Ok(describe) => {
                let fields = describe["fields"].as_array();
                let theirs: Vec<&str> = fields
                    .into_iter()
                    .flatten()
                    .filter_map(|f| f["name"].as_str())
                    .collect();
                let new = theirs.iter().filter(|f| object.field(f).is_none()).count();
                let ours = object.fields.iter();
                let gone = ours.filter(|f| !theirs.contains(&&*f.name)).count();
                if new + gone > 0 {
                    found.push(
                        Diagnostic::warning(
                            "schema-drift",
                            None,
                            format!(
                                "`{}` of the API `{name}` has {new} fields that the schema does not know, and {gone} \
                                 of the schema are gone",
                                object.name
                            ),
                        )
                        .help("`privet schema pull` shows them; fields that the schema does not know are dropped"),
                    );
                }
            }
        }
    }
    Ok(answered)
}

/// A finding of the policy folder as `format` names places: SARIF by paths that the repository knows, if the folder
/// was named relative to its root.
fn placed(format: Format, policies: &Path, mut finding: Diagnostic) -> Diagnostic {
    if let (Format::Sarif, Some(position)) = (format, &mut finding.position) {
        position.file = policies.join(&*position.file).to_string_lossy().into();
    }
    finding
}

fn print(
    args: &CheckArgs,
    found: &[Diagnostic],
    loaded: Option<&Loaded>,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    match args.format {
        Format::Sarif => sarif(found, out),
        Format::Json => json(found, loaded, out),
        Format::Text => text(args.verbose, found, loaded, out),
    }
}

fn text(
    verbose: bool,
    found: &[Diagnostic],
    loaded: Option<&Loaded>,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    for finding in found {
        writeln!(out, "{finding}\n")?;
    }
    let Some(loaded) = loaded else {
        let errors = found
            .iter()
            .filter(|d| d.severity == Severity::Error)
            .count();
        let s = if errors == 1 { "" } else { "s" };
        return writeln!(out, "{errors} error{s}: invalid");
    };
    if verbose {
        for rule in loaded.policies.rules() {
            writeln!(out, "{rule}")?;
        }
        writeln!(out)?;
    }
    let count = counts(loaded);
    writeln!(
        out,
        "{} rules, {} fields, {} roles: valid (policy {})",
        count.rules,
        count.fields,
        count.roles,
        loaded.policies.version()
    )
}

fn json(found: &[Diagnostic], loaded: Option<&Loaded>, out: &mut dyn Write) -> std::io::Result<()> {
    let findings: Vec<serde_json::Value> = found
        .iter()
        .map(|d| {
            serde_json::json!({
                "severity": match d.severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                },
                "code": d.code,
                "file": d.position.as_ref().map(|p| &*p.file),
                "line": d.position.as_ref().map(|p| p.line),
                "column": d.position.as_ref().map(|p| p.column),
                "message": d.message,
                "help": d.help,
            })
        })
        .collect();
    let mut document = serde_json::json!({ "valid": loaded.is_some(), "findings": findings });
    if let (Some(loaded), Some(members)) = (loaded, document.as_object_mut()) {
        let count = counts(loaded);
        members.insert("policy".into(), (&**loaded.policies.version()).into());
        members.insert("rules".into(), count.rules.into());
        members.insert("fields".into(), count.fields.into());
        members.insert("roles".into(), count.roles.into());
    }
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

/// SARIF 2.1.0.
fn sarif(found: &[Diagnostic], out: &mut dyn Write) -> std::io::Result<()> {
    let mut rules: Vec<&str> = found.iter().map(|d| d.code).collect();
    rules.sort_unstable();
    rules.dedup();
    let results: Vec<serde_json::Value> = found
        .iter()
        .map(|d| {
            let text = match &d.help {
                Some(help) => format!("{} ({help})", d.message),
                None => d.message.clone(),
            };
            let mut result = serde_json::json!({
                "ruleId": d.code,
                "level": match d.severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                },
                "message": { "text": text },
            });
            if let (Some(p), Some(members)) = (&d.position, result.as_object_mut()) {
                let mut place = serde_json::json!({
                    "artifactLocation": { "uri": &*p.file },
                });
                if let (true, Some(place)) = (p.line > 0, place.as_object_mut()) {
                    place.insert(
                        "region".into(),
                        serde_json::json!({
                            "startLine": p.line,
                            "startColumn": p.column.max(1),
                            "endColumn": p.column.max(1) + d.width,
                        }),
                    );
                }
                members.insert(
                    "locations".into(),
                    serde_json::json!([{ "physicalLocation": place }]),
                );
            }
            result
        })
        .collect();
    let rules: Vec<serde_json::Value> = rules
        .iter()
        .map(|r| serde_json::json!({ "id": r }))
        .collect();
    let document = serde_json::json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "privet",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

struct Counts {
    rules: usize,
    fields: usize,
    roles: usize,
}

fn counts(loaded: &Loaded) -> Counts {
    let policies: &Policies = &loaded.policies;
    Counts {
        rules: policies.rules().len(),
        fields: loaded.catalog.objects.iter().map(|o| o.fields.len()).sum(),
        roles: policies.roles().count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rules: &str, verbose: bool, format: Format) -> (u8, String) {
        check_with("schema: 1\n", rules, verbose, format)
    }

    fn check_with(monitors: &str, rules: &str, verbose: bool, format: Format) -> (u8, String) {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("vocabulary.yaml", "schema: 1\n");
        write(
            "schema/crm.json",
            r#"{"schema":1,"api":"crm","dialect":"map","objects":{"Person":{"fields":{"mail":{"type":"string"}}}}}"#,
        );
        // Not part of the set: must not be read.
        write("tests/broken_test.yaml", "{");
        write(".schema/broken.json", "{");
        write("monitors.yaml", monitors);
        let header =
            "# p, effect, who, action, what, treatment, purpose, region, when, priority, id";
        write("rules/all.csv", &format!("{header}\n{rules}\n"));
        let args = CheckArgs {
            offline: true,
            online: false,
            policies: Some(folder.path().to_owned()),
            config: None,
            verbose,
            format,
        };
        let mut out = Vec::new();
        let code = run(&args, &mut out).unwrap();
        (code, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_valid_folder_ends_with_its_version() {
        let row = "p, allow, *, read, Person.mail, mask:all, *, *, -, -, mail";
        let (code, text) = check(row, true, Format::Text);
        assert_eq!(code, 0);
        assert!(text.starts_with("warning[field-without-class]: "), "{text}");
        let (rest, last) = text.rsplit_once("\n\n").unwrap();
        let sentence =
            "\nmail: allow everyone to read Person.mail as mask:all for any purpose from anywhere";
        assert!(rest.ends_with(sentence), "{text}");
        assert!(
            last.starts_with("1 rules, 1 fields, 0 roles: valid (policy "),
            "{last}"
        );
    }

    /// The same two findings for people, for programs and for code scanning.
    #[test]
    fn findings_in_each_format() {
        let row = "p, allow, *, raed, Person.mail, mask:all, *, *, -, -, mail";
        let (code, text) = check(row, false, Format::Text);
        let wanted = "error[unknown-action]: unknown action `raed`\n --> rules/all.csv:2:14\n  |\n\
            2 | p, allow, *, raed, Person.mail, mask:all, *, *, -, -, mail\n  |              ^^^^\n  \
            = help: did you mean `read`?\n\n1 error: invalid\n";
        assert_eq!((code, text.as_str()), (78, wanted));
        let (_, text) = check(row, false, Format::Json);
        let wanted = serde_json::json!({
            "valid": false,
            "findings": [{
                "severity": "error",
                "code": "unknown-action",
                "file": "rules/all.csv",
                "line": 2,
                "column": 14,
                "message": "unknown action `raed`",
                "help": "did you mean `read`?",
            }],
        });
        let got: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(got, wanted);
        let (_, text) = check(row, false, Format::Sarif);
        let got: serde_json::Value = serde_json::from_str(&text).unwrap();
        let uri =
            &got["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"];
        assert!(uri["uri"].as_str().unwrap().ends_with("rules/all.csv"));
        assert_eq!(got["version"], "2.1.0");
        assert_eq!(
            got["runs"][0]["tool"]["driver"]["rules"],
            serde_json::json!([{ "id": "unknown-action" }])
        );
        let result = &got["runs"][0]["results"][0];
        assert_eq!(
            result["message"]["text"],
            "unknown action `raed` (did you mean `read`?)"
        );
        assert_eq!(
            result["locations"][0]["physicalLocation"]["region"],
            serde_json::json!({ "startLine": 2, "startColumn": 14, "endColumn": 18 })
        );
    }

    /// The monitors are no part of the policy set, but their mistakes are told beside the others.
    #[test]
    fn a_mistake_in_the_monitors_has_its_place() {
        let row = "p, allow, *, read, Person.mail, mask:all, *, *, -, -, mail";
        let monitors = "schema: 1\nmonitors:\n  a: { kind: refusals, at_least: 3, then: stop }\n";
        let (code, text) = check_with(monitors, row, false, Format::Text);
        assert_eq!(code, 78, "{text}");
        assert!(text.contains("--> monitors.yaml:3:43\n"), "{text}");
        assert!(text.ends_with("1 error: invalid\n"), "{text}");
        let (_, text) = check_with("{", &row.replace("read", "raed"), false, Format::Text);
        assert!(text.ends_with("2 errors: invalid\n"), "{text}");
        let good = monitors.replace("stop }", "stop-caller, then_for: 2h }");
        assert_eq!(check_with(&good, row, false, Format::Text).0, 0);
    }

    #[test]
    fn an_invalid_folder_is_78_with_every_place() {
        let rows = "p, alow, *, read, Person.mail, clear, *, *, -, -, a\np, allow, *, read, Person.mial, clear, *, *, -, -, b";
        let (code, text) = check(rows, false, Format::Text);
        assert_eq!(code, 78);
        assert!(text.contains("--> rules/all.csv:2:4\n"), "{text}");
        assert!(text.contains("--> rules/all.csv:3:27\n"), "{text}");
        assert!(text.ends_with("2 errors: invalid\n"), "{text}");
        let (code, text) = check(rows, false, Format::Json);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((code, json["findings"][0]["line"].as_u64()), (78, Some(2)));
        let (code, text) = check(rows, false, Format::Sarif);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let first = &json["runs"][0]["results"][0];
        assert_eq!((code, first["level"].as_str()), (78, Some("error")));
        let region = &first["locations"][0]["physicalLocation"]["region"];
        assert_eq!(
            (region["startLine"].as_u64(), region["startColumn"].as_u64()),
            (Some(2), Some(4))
        );
    }
}
