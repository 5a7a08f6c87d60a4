//! `privet discover`: reads describes and a sample of records, and proposes rows of `classes/*.csv`. Never a value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

use crate::cli::{complain, exit};
use crate::config::{ApiSettings, Machine, Settings, bundle, folder};
use crate::engine::catalog::{Catalog, FieldType};
use crate::engine::discover::dictionary::Dictionary;
use crate::engine::discover::{Described, Profile, Proposal, merge, propose};
use crate::engine::policy::load;
use crate::engine::protocol::Dialect;
use crate::proxy::refuse::ErrorShape;
use crate::proxy::upstream::Upstream;

/// Flags of `privet discover`.
#[derive(Debug, Clone, clap::Args)]
pub struct DiscoverArgs {
    /// The configuration, for upstream, credential and policies
    #[arg(long, value_name = "FILE", default_value = "privet.yaml")]
    pub config: PathBuf,
    /// The policy folder, instead of the configuration's; with --sample no configuration is needed then
    #[arg(long, value_name = "DIR")]
    pub policies: Option<PathBuf>,
    /// The API under `apis:`; may be left out where only one is Salesforce
    #[arg(long, value_name = "NAME")]
    pub api: Option<String>,
    /// Objects to look at; without it, those of the schema
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub objects: Vec<String>,
    /// How many records of each object are read
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    pub records: u32,
    /// Records from this file (JSON or NDJSON; - = standard input), instead of the upstream's
    #[arg(long, value_name = "FILE")]
    pub sample: Option<PathBuf>,
    /// Add the proposals to classes/API.csv, pending: a field stays dropped until a person accepts its row
    #[arg(long)]
    pub write: bool,
    /// How proposals are printed
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// How proposals are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// As they would stand in classes/*.csv.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// What is known of one object.
#[derive(Debug, Default)]
struct Columns {
    fields: Vec<(Described, Profile)>,
}

impl Columns {
    /// Adds the fields of one record.
    fn add(&mut self, dictionary: &Dictionary, record: &Value) {
        for (name, value) in record.as_object().into_iter().flatten() {
            if name == "attributes" {
                continue;
            }
            let known = |(d, _): &&mut (Described, Profile)| d.name.eq_ignore_ascii_case(name);
            if let Some((_, profile)) = self.fields.iter_mut().find(known) {
                profile.add(dictionary, value);
            }
        }
    }
}

/// Why there are no proposals.
#[derive(Debug)]
enum Stopped {
    Usage(String),
    Upstream(String),
}

/// Runs the verb: 0 proposed (also nothing), 2 usage, 69 the upstream does not answer, 78 configuration or policies are
/// invalid.
///
/// # Errors
/// A file or stream cannot be read or written.
pub fn execute(
    args: &DiscoverArgs,
    out: &mut dyn Write,
    notes: &mut dyn Write,
) -> anyhow::Result<u8> {
    let settings = if args.policies.is_some() && args.sample.is_some() {
        None
    } else {
        match crate::config::load(&args.config, &Machine) {
            Ok(settings) => Some(settings),
            Err(problems) => {
                complain(notes, &problems)?;
                return Ok(exit::CONFIG);
            }
        }
    };
    let policies = args.policies.clone();
    let policies = policies
        .or_else(|| settings.as_ref().map(|s| s.policies.clone()))
        .unwrap_or_else(|| PathBuf::from("policies"));
    let read = match &settings {
        Some(settings) if args.policies.is_none() => {
            bundle::read(settings).map(|(sources, _)| sources)
        }
        _ => Ok(folder::read(&policies)
            .with_context(|| format!("{} cannot be read", policies.display()))?),
    };
    let loaded = match read.and_then(|sources| load(&sources)) {
        Ok(loaded) => loaded,
        Err(problems) => {
            complain(notes, &problems)?;
            return Ok(exit::CONFIG);
        }
    };
    let catalog = &loaded.catalog;
    let dictionary = Dictionary::default();
    let gathered = match (&args.sample, &settings) {
        (Some(file), _) => from_sample(args, catalog, &dictionary, file)?,
        (None, Some(settings)) => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(from_upstream(args, settings, catalog, &dictionary, notes))
        }
        (None, None) => Err(Stopped::Usage("nothing to read from".to_owned())),
    };
    let (api, objects) = match gathered {
        Ok(gathered) => gathered,
        Err(Stopped::Usage(why)) => {
            writeln!(notes, "error: {why}")?;
            return Ok(exit::USAGE);
        }
        Err(Stopped::Upstream(why)) => {
            writeln!(notes, "error: {why}")?;
            return Ok(exit::UNAVAILABLE);
        }
    };
    let today = jiff::Timestamp::now()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date();
    let mut proposals = Vec::new();
    for (object, columns) in &objects {
        // Columns with a class take part: they tell whom the others are about.
        let found = propose(object, &columns.fields, today);
        proposals.extend(
            found
                .into_iter()
                .filter(|p| !has_class(catalog, &p.object, &p.field)),
        );
    }
    report(
        args, &policies, &api, catalog, &objects, &proposals, out, notes,
    )
}

/// Whether the policies say already what the field holds.
fn has_class(catalog: &Catalog, object: &str, field: &str) -> bool {
    let name = object.to_ascii_lowercase();
    catalog.object_by_name.get(name.as_str()).is_some_and(|id| {
        let object = catalog.get(*id);
        let field = object.field(field).map(|f| &object.fields[f as usize]);
        field.is_some_and(|f| &*f.class != "unclassified")
    })
}

/// Prints or writes what was found.
#[expect(
    clippy::too_many_arguments,
    reason = "everything that a report tells of"
)]
fn report(
    args: &DiscoverArgs,
    policies: &Path,
    api: &str,
    catalog: &Catalog,
    objects: &BTreeMap<String, Columns>,
    proposals: &[Proposal],
    out: &mut dyn Write,
    notes: &mut dyn Write,
) -> anyhow::Result<u8> {
    let file = policies.join("classes").join(format!("{api}.csv"));
    let stands = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(e).with_context(|| format!("{} cannot be read", file.display())),
    };
    let merged = merge::merge(&stands, proposals);
    match args.format {
        Format::Json => {
            let rows: Vec<Value> = proposals
                .iter()
                .map(|p| {
                    serde_json::json!({
                        "object": p.object, "field": p.field, "class": p.class,
                        "confidence": (p.confidence * 100.0).round() / 100.0, "evidence": p.evidence,
                    })
                })
                .collect();
            serde_json::to_writer_pretty(
                &mut *out,
                &serde_json::json!({ "api": api, "proposals": rows }),
            )?;
            writeln!(out)?;
        }
        Format::Text if !args.write => {
            let known = stands.lines().count();
            for line in merged.text.lines().skip(known) {
                writeln!(out, "{line}")?;
            }
        }
        Format::Text => {}
    }
    if args.write && merged.added > 0 {
        replace(&file, &merged.text)
            .with_context(|| format!("{} cannot be written", file.display()))?;
        writeln!(
            notes,
            "{}: {} fields are pending now",
            file.display(),
            merged.added
        )?;
    }
    let classes: BTreeSet<&str> = proposals.iter().map(|p| p.class).collect();
    let missing = classes
        .into_iter()
        .filter(|class| !catalog.vocabulary.classes.contains_key(*class));
    for class in missing {
        let personal = ["pii", "staff", "sensitive", "freetext"]
            .contains(&class.split('.').next().unwrap_or(class));
        let about = if personal { "{ personal: true }" } else { "{}" };
        writeln!(
            notes,
            "before a row with it is accepted, vocabulary.yaml needs under `classes:`  {class}: {about}"
        )?;
    }
    let fields: usize = objects.values().map(|c| c.fields.len()).sum();
    writeln!(
        notes,
        "{} objects, {fields} fields; {} proposed ({} new, {} pending or declined before); a field without a class stays \
         dropped",
        objects.len(),
        proposals.len(),
        merged.added,
        merged.kept
    )?;
    Ok(exit::OK)
}

/// Replaces `file` as a whole.
fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let new = file.with_extension("csv.new");
    let mut handle = std::fs::File::create(&new)?;
    handle.write_all(text.as_bytes())?;
    handle.sync_all()?;
    std::fs::rename(new, file)
}

type Gathered = Result<(String, BTreeMap<String, Columns>), Stopped>;

/// The fields of an object as the schema file describes them.
fn schema_columns(catalog: &Catalog, object: &str) -> Option<Columns> {
    let id = catalog
        .object_by_name
        .get(object.to_ascii_lowercase().as_str())?;
    let fields = catalog.get(*id).fields.iter();
    let asked = fields.filter(|f| !matches!(f.kind, FieldType::Id | FieldType::Reference));
    let described = |f: &crate::engine::catalog::Field| Described {
        name: f.name.to_string(),
        type_word: f.type_word.to_string(),
        picklist: &*f.type_word == "picklist",
        ..Described::default()
    };
    Some(Columns {
        fields: asked.map(|f| (described(f), Profile::default())).collect(),
    })
}

/// Records of a file or of standard input; what they are stands in their `attributes`, or in `--objects`.
fn from_sample(
    args: &DiscoverArgs,
    catalog: &Catalog,
    dictionary: &Dictionary,
    file: &Path,
) -> anyhow::Result<Gathered> {
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)?;
    } else {
        text = std::fs::read_to_string(file)
            .with_context(|| format!("{} cannot be read", file.display()))?;
    }
    let only = match args.objects.as_slice() {
        [one] => Some(one.clone()),
        _ => None,
    };
    let mut objects: BTreeMap<String, Columns> = BTreeMap::new();
    let mut api = args.api.clone();
    for (n, value) in serde_json::Deserializer::from_str(&text)
        .into_iter::<Value>()
        .enumerate()
    {
        // The parser's own words could quote the input.
        let Ok(value) = value else {
            return Ok(Err(Stopped::Usage(format!(
                "value {} of the sample is not JSON",
                n + 1
            ))));
        };
        let records = match &value {
            Value::Array(all) => all.as_slice(),
            Value::Object(answer) => match answer.get("records") {
                Some(Value::Array(all)) => all.as_slice(),
                _ => std::slice::from_ref(&value),
            },
            _ => &[],
        };
        for record in records {
            let named = record["attributes"]["type"].as_str().map(str::to_owned);
            let Some(object) = named.or_else(|| only.clone()) else {
                let why = "the records do not say what they are: name it with --objects";
                return Ok(Err(Stopped::Usage(why.to_owned())));
            };
            if !args.objects.is_empty() && !args.objects.contains(&object) {
                continue;
            }
            let columns = objects
                .entry(object.clone())
                .or_insert_with(|| schema_columns(catalog, &object).unwrap_or_default());
            // A field that the schema does not know yet is a new field.
            for name in record.as_object().into_iter().flat_map(|r| r.keys()) {
                let known = columns
                    .fields
                    .iter()
                    .any(|(d, _)| d.name.eq_ignore_ascii_case(name));
                let id = catalog
                    .object_by_name
                    .get(object.to_ascii_lowercase().as_str());
                let in_schema = id.is_some_and(|id| catalog.get(*id).field(name).is_some());
                if !known && !in_schema && name != "attributes" && name != "Id" {
                    columns.fields.push((
                        Described {
                            name: name.clone(),
                            ..Described::default()
                        },
                        Profile::default(),
                    ));
                }
            }
            columns.add(dictionary, record);
            api = api.or_else(|| {
                let id = catalog
                    .object_by_name
                    .get(object.to_ascii_lowercase().as_str())?;
                Some(catalog.get(*id).api.to_string())
            });
        }
    }
    match api.filter(|a| is_name(a)) {
        Some(api) => Ok(Ok((api, objects))),
        None => Ok(Err(Stopped::Usage(
            "which API the records are of is not known: name it with --api".to_owned(),
        ))),
    }
}

fn is_name(text: &str) -> bool {
    (1..=80).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
}

/// The API that the flags mean.
fn api<'s>(
    args: &DiscoverArgs,
    settings: &'s Settings,
) -> Result<(&'s str, &'s ApiSettings), String> {
    let salesforce = |a: &ApiSettings| a.dialect == Dialect::Salesforce;
    if let Some(name) = &args.api {
        return match settings.apis.get_key_value(name.as_str()) {
            Some((name, api)) if salesforce(api) => Ok((name, api)),
            Some(_) => Err(format!(
                "`{name}` is a mapped API: give its records with --sample"
            )),
            None => Err(format!("no API `{name}` under `apis:`")),
        };
    }
    let mut all = settings.apis.iter().filter(|(_, a)| salesforce(a));
    match (all.next(), all.next()) {
        (Some((name, api)), None) => Ok((name, api)),
        (None, _) => Err("no API under `apis:` has the dialect salesforce".to_owned()),
        _ => Err("several APIs could be meant: name one with --api".to_owned()),
    }
}

/// Longest list of fields in one query, bytes: a path that every server takes.
const FIELDS_BYTES_MAX: usize = 6_000;

/// Describes and records under privet's own credential.
async fn from_upstream(
    args: &DiscoverArgs,
    settings: &Settings,
    catalog: &Catalog,
    dictionary: &Dictionary,
    notes: &mut dyn Write,
) -> Gathered {
    let (name, served) = api(args, settings).map_err(Stopped::Usage)?;
    let names: BTreeSet<String> = if args.objects.is_empty() {
        let of_api = catalog.objects.iter().filter(|o| &*o.api == name);
        of_api.map(|o| o.name.to_string()).collect()
    } else {
        args.objects.iter().map(|o| o.trim().to_owned()).collect()
    };
    if names.is_empty() {
        return Err(Stopped::Usage(
            "the schema names no object yet: name some with --objects".to_owned(),
        ));
    }
    if let Some(wrong) = names.iter().find(|n| !is_name(n)) {
        return Err(Stopped::Usage(format!("`{wrong}` is no object name")));
    }
    let upstream = Upstream::new(served, &settings.limits, ErrorShape::Salesforce)
        .map_err(|e| Stopped::Usage(e.to_string()))?;
    let base = format!("/services/data/v{}.0", served.versions.1);
    let ask = async |what: String, path: String| -> Result<Value, Stopped> {
        let failed = |why: &str| Stopped::Upstream(format!("{what}: {why}"));
        let body = upstream.pull_schema(&path).await.map_err(|e| failed(&e))?;
        serde_json::from_slice(&body).map_err(|_| failed("the answer is not JSON"))
    };
    let mut objects = BTreeMap::new();
    for object in names {
        let describe = ask(
            format!("describe of {object}"),
            format!("{base}/sobjects/{object}/describe"),
        )
        .await?;
        let mut columns = Columns::default();
        for field in describe["fields"].as_array().into_iter().flatten() {
            columns
                .fields
                .extend(described(field).map(|d| (d, Profile::default())));
        }
        // Who may not read FieldDefinition, or has none, still gets the rest.
        let soql = format!(
            "SELECT QualifiedApiName, SecurityClassification, ComplianceGroup FROM FieldDefinition \
             WHERE EntityDefinition.QualifiedApiName = '{object}'"
        );
        match ask(String::new(), format!("{base}/query?q={}", escaped(&soql))).await {
            Ok(answer) => mark(&mut columns, &answer),
            Err(_) => {
                // What is printed to a closed stream is lost, and nothing else.
                let _ = writeln!(
                    notes,
                    "note: {object}: the org's own classification cannot be read"
                );
            }
        }
        for fields in queries(&columns) {
            let soql = format!("SELECT {fields} FROM {object} LIMIT {}", args.records);
            let path = format!("{base}/query?q={}", escaped(&soql));
            let answer = ask(format!("records of {object}"), path).await?;
            for record in answer["records"].as_array().into_iter().flatten() {
                columns.add(dictionary, record);
            }
        }
        objects.insert(object, columns);
    }
    Ok((name.to_owned(), objects))
}

/// One field of a describe; ids and references have their classes by themselves.
fn described(field: &Value) -> Option<Described> {
    let name = field["name"].as_str().filter(|n| is_name(n))?;
    let type_word = field["type"].as_str().unwrap_or_default();
    if matches!(type_word, "id" | "reference") {
        return None;
    }
    let mut described = Described {
        name: name.to_owned(),
        label: field["label"].as_str().unwrap_or_default().to_owned(),
        type_word: type_word.to_owned(),
        picklist: matches!(type_word, "picklist" | "multipicklist"),
        ..Described::default()
    };
    classified(
        &mut described,
        &field["complianceGroup"],
        &field["securityClassification"],
    );
    Some(described)
}

/// Salesforce's own marking. Words of its lists alone: whatever else stands there is not repeated.
fn classified(described: &mut Described, compliance: &Value, security: &Value) {
    const GROUPS: [&str; 7] = [
        "CCPA",
        "COPPA",
        "GDPR",
        "HIPAA",
        "PCI",
        "PII",
        "PersonalInfo",
    ];
    const LEVELS: [&str; 5] = [
        "Public",
        "Internal",
        "Confidential",
        "Restricted",
        "MissionCritical",
    ];
    let groups = compliance
        .as_str()
        .unwrap_or_default()
        .split(';')
        .map(str::trim);
    let groups = groups.filter(|g| GROUPS.contains(g)).map(str::to_owned);
    described.compliance.extend(groups);
    if let Some(level) = security.as_str().filter(|l| LEVELS.contains(l)) {
        described.security = Some(level.to_owned());
    }
}

fn mark(columns: &mut Columns, answer: &Value) {
    for row in answer["records"].as_array().into_iter().flatten() {
        let name = row["QualifiedApiName"].as_str().unwrap_or_default();
        if let Some((described, _)) = columns.fields.iter_mut().find(|(d, _)| d.name == name) {
            classified(
                described,
                &row["ComplianceGroup"],
                &row["SecurityClassification"],
            );
        }
    }
}

/// Lists of fields that together name them all. Files and compounds are told by their types.
fn queries(columns: &Columns) -> Vec<String> {
    let mut lists: Vec<String> = Vec::new();
    let asked = |d: &Described| !matches!(d.type_word.as_str(), "base64" | "address" | "location");
    for (described, _) in columns.fields.iter().filter(|(d, _)| asked(d)) {
        match lists.last_mut() {
            Some(list) if list.len() + described.name.len() + 2 < FIELDS_BYTES_MAX => {
                let _ = write!(list, ", {}", described.name);
            }
            _ => lists.push(described.name.clone()),
        }
    }
    lists
}

/// Percent-encoded as a query value.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() * 2);
    for b in text.bytes() {
        match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                escaped.push(char::from(b));
            }
            b' ' => escaped.push('+'),
            b => {
                let _ = write!(escaped, "%{b:02X}");
            }
        }
    }
    escaped
}
