//! The texts of a policy folder → [`Loaded`], or every mistake in them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::casbin::{Engine, MODEL};
use super::condition::Fact;
use super::csv::{self, Row};
use super::partition::Partition;
use super::reader::Reader;
use super::roles::{self, Roles};
use super::rules::{self, OWN, Rule};
use super::{Policies, lint, resources, schema, table, vocabulary};
use crate::diagnostic::{Diagnostic, Position, Severity};
use crate::engine::catalog::{Catalog, FieldRef};
use crate::engine::protocol::{Action, map};
use crate::yaml;

/// Header comment of `classes/*.csv`.
const CLASSES_HEADER: &str = "# g2, field, class";

/// The files of a policy folder: path relative to it (with `/`), and content. Order does not matter.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// (relative path, bytes).
    pub files: Vec<(String, Vec<u8>)>,
}

impl Sources {
    fn get(&self, path: &str) -> Option<&[u8]> {
        self.files
            .iter()
            .find(|(p, _)| p == path)
            .map(|(_, b)| &**b)
    }

    /// The files directly in `folder` whose name ends in `.extension`, sorted.
    fn under<'s>(&'s self, folder: &str, extension: &str) -> Vec<(&'s str, &'s [u8])> {
        let mut list: Vec<_> = self
            .files
            .iter()
            .filter(|(path, _)| {
                path.strip_prefix(folder)
                    .and_then(|p| p.strip_prefix('/'))
                    .is_some_and(|name| {
                        !name.contains('/') && !name.starts_with('.') && name.ends_with(extension)
                    })
            })
            .map(|(p, b)| (p.as_str(), &**b))
            .collect();
        list.sort_unstable();
        list
    }
}

/// A set that can be used.
#[derive(Debug)]
pub struct Loaded {
    /// Schemas, vocabulary, API maps.
    pub catalog: Catalog,
    /// What the rules say.
    pub policies: Policies,
    /// What somebody should look at.
    pub warnings: Vec<Diagnostic>,
}

/// Reads a policy folder. Pure: the caller has read the files.
///
/// # Errors
/// Every mistake of every file (and the warnings), sorted by place; nothing is usable then.
pub fn load(sources: &Sources) -> Result<Loaded, Vec<Diagnostic>> {
    let mut found = Vec::new();
    let mut catalog = Catalog::default();
    let mut version = Vec::new();

    check_model(sources, &mut found);

    let mut pending = schema::Pending::default();
    for (path, bytes) in sources.under("schema", ".json") {
        let file: Arc<str> = path.into();
        if let Some(text) = utf8(&file, bytes, &mut found) {
            schema::read(&file, text, &mut catalog, &mut pending, &mut found);
            version.push(format!("schema {}", schema::canonical(text)));
        }
    }
    schema::resolve(&mut catalog, &pending, &mut found);

    let mut zones = BTreeMap::new();
    let mut packs = Vec::new();
    match sources.get("vocabulary.yaml") {
        None => found.push(
            Diagnostic::error("missing-file", None, "vocabulary.yaml is missing")
                .help("`schema: 1` is the shortest one"),
        ),
        Some(bytes) => {
            let file: Arc<str> = "vocabulary.yaml".into();
            if let Some(text) = utf8(&file, bytes, &mut found) {
                let mut reader = Reader::new(&file, text);
                let read = vocabulary::read(&mut reader, &mut catalog);
                for pack in &read.packs {
                    let folder = format!("packs/{}", pack.value);
                    if sources.under(&format!("{folder}/rules"), ".csv").is_empty() {
                        reader.error(
                            "unknown-pack",
                            pack.place,
                            pack.value.chars().count(),
                            format!("there is no pack `{}`", pack.value),
                            Some(format!("its rules would stand in {folder}/rules/*.csv")),
                        );
                    }
                    packs.push((Arc::from(pack.value.as_str()), folder));
                }
                found.append(&mut reader.found);
                catalog.vocabulary = read.vocabulary;
                zones = read.zones;
                version.push(format!("vocabulary {}", read.canonical));
            }
        }
    }

    for (_, folder) in &packs {
        let file: Arc<str> = format!("{folder}/vocabulary.yaml").into();
        if let Some(bytes) = sources.get(&file)
            && let Some(text) = utf8(&file, bytes, &mut found)
        {
            let mut reader = Reader::new(&file, text);
            let canonical = vocabulary::read_pack(&mut reader, &mut catalog.vocabulary);
            version.push(format!("{file} {canonical}"));
            found.append(&mut reader.found);
        }
    }

    let mut rows = Vec::new();
    for (path, bytes) in sources.under("classes", ".csv") {
        rows.extend(csv::read(
            &path.into(),
            bytes,
            "g2",
            CLASSES_HEADER,
            &mut found,
        ));
    }
    classes(&rows, &mut catalog, &mut found);
    version.extend(sorted(&rows));

    let mut rows = Vec::new();
    if let Some(bytes) = sources.get("roles.csv") {
        rows = csv::read(&"roles.csv".into(), bytes, "g", roles::HEADER, &mut found);
    }
    let roles = Roles::read(&rows, &mut found);
    version.extend(sorted(&rows));

    let mut rules: Vec<Rule> = Vec::new();
    let mut ids: HashMap<String, Position> = HashMap::new();
    let mut rule_files: Vec<(&str, &[u8], Option<&Layer>)> = Vec::new();
    let own = sources.under("rules", ".csv").into_iter();
    rule_files.extend(own.map(|(path, bytes)| (path, bytes, None)));
    let layers: Vec<Layer> = packs
        .iter()
        .zip(OWN + 1..)
        .map(|((pack, folder), number)| {
            Layer::read(
                sources,
                pack,
                folder,
                number,
                &catalog,
                &mut version,
                &mut found,
            )
        })
        .collect();
    for (layer, (_, folder)) in layers.iter().zip(&packs) {
        let theirs = sources
            .under(&format!("{folder}/rules"), ".csv")
            .into_iter();
        rule_files.extend(theirs.map(|(path, bytes)| (path, bytes, Some(layer))));
    }
    for (path, bytes, layer) in rule_files {
        for row in csv::read(&path.into(), bytes, "p", rules::HEADER, &mut found) {
            let id = row.cells[rules::ID].text.clone();
            if let Some(first) = ids.get(&id) {
                found.push(
                    row.error(
                        rules::ID,
                        "duplicate-id",
                        format!("the id `{id}` stands here twice"),
                    )
                    .help(format!(
                        "it was first used at {}:{}:{}",
                        first.file, first.line, first.column
                    )),
                );
            } else {
                ids.insert(id, row.position(rules::ID));
            }
            rules.extend(rules::parse(&row, &catalog, &mut found).map(|mut rule| {
                if let Some(layer) = layer {
                    rule.pack = Some(layer.pack.clone());
                    rule.layer = layer.number;
                    rule.classes = layer.classes.clone();
                }
                rule
            }));
        }
    }
    rules.sort_by(|a, b| (a.effect, &a.id).cmp(&(b.effect, &b.id)));
    rules.dedup_by(|a, b| a.id == b.id);
    version.extend(
        rules
            .iter()
            .map(|r| format!("p{} {}", r.layer, r.casbin_row().join(","))),
    );

    for (path, bytes) in sources.under("apis", ".yaml") {
        let file: Arc<str> = path.into();
        if let Some(text) = utf8(&file, bytes, &mut found) {
            api_map(&file, text, &mut catalog, &mut version, &mut found);
        }
    }

    lint::treatments(&catalog, &rules, &mut found);
    lint::ties(&catalog, &rules, &roles, &mut found);
    lint::unheld(&rules, &roles, &mut found);
    lint::broad_denies(&rules, &mut found);

    let facts = facts(&rules, &mut found);
    let mut principals: BTreeSet<Arc<str>> = rules
        .iter()
        .filter(|r| &*r.who != "*")
        .map(|r| r.who.clone())
        .collect();
    for (who, held) in &roles.links {
        principals.insert(who.clone());
        principals.extend(held.iter().cloned());
    }
    let principals: Vec<Arc<str>> = principals.into_iter().collect();
    if principals.len() > usize::from(u16::MAX) {
        found.push(Diagnostic::error(
            "too-many-principals",
            None,
            "more than 65535 roles, users and clients are named",
        ));
    }
    let closures = principals
        .iter()
        .map(|p| {
            let mut closure: Vec<u16> = roles
                .closure(p)
                .iter()
                .filter_map(|held| principals.binary_search(held).ok())
                .map(|i| i as u16)
                .collect();
            closure.sort_unstable();
            closure.into()
        })
        .collect();

    if found.iter().all(|d| d.severity != Severity::Error) {
        // Proves that Casbin takes every row, and that its model still means what it meant.
        let links =
            catalog.objects.iter().enumerate().flat_map(|(o, _)| {
                table::links(&catalog, crate::engine::catalog::ObjectId(o as u32))
            });
        if let Err(why) = Engine::build(&rules, principals.iter().map(ToString::to_string), links) {
            found.push(Diagnostic::error(
                "casbin",
                None,
                format!("the policy engine does not take the rules: {why}"),
            ));
        }
    }
    causes_alone(&mut found, &catalog);
    found.sort_by(|a, b| (&a.position, a.code).cmp(&(&b.position, b.code)));
    if found.iter().any(|d| d.severity == Severity::Error) {
        return Err(found);
    }
    let rule_by_id = super::by_id(&rules);
    let lineage = super::lineage(&catalog);
    let facts_by_action = Action::WORDS.map(|(_, action)| {
        let asked = |fact: &Fact| {
            rules
                .iter()
                .any(|r| r.speaks_of(action) && r.when.iter().any(|t| t.fact == *fact))
        };
        facts
            .iter()
            .enumerate()
            .map(|(bit, fact)| u64::from(asked(fact)) << bit)
            .sum()
    });
    Ok(Loaded {
        policies: Policies {
            version: digest(&version),
            rule_by_id,
            principals,
            closures,
            facts,
            facts_by_action,
            zones,
            lineage,
            packs: layers.into_iter().map(|l| (l.pack, l.classes)).collect(),
            partition: Partition::new(&catalog, &rules),
            rules,
            cache: table::Cache::default(),
        },
        catalog,
        warnings: found,
    })
}

/// A pack that is switched on.
struct Layer {
    pack: Arc<str>,
    number: u16,
    classes: Arc<HashMap<FieldRef, Arc<str>>>,
}

impl Layer {
    /// The classes that the pack gives to fields; what it says of fields that this schema does not have is for others.
    fn read(
        sources: &Sources,
        pack: &Arc<str>,
        folder: &str,
        number: u16,
        catalog: &Catalog,
        version: &mut Vec<String>,
        found: &mut Vec<Diagnostic>,
    ) -> Self {
        let mut rows = Vec::new();
        for (path, bytes) in sources.under(&format!("{folder}/classes"), ".csv") {
            rows.extend(csv::read(&path.into(), bytes, "g2", CLASSES_HEADER, found));
        }
        version.extend(sorted(&rows).into_iter().map(|row| format!("{pack} {row}")));
        let mut classes = HashMap::new();
        for row in &rows {
            let class = class_cell(row, catalog, found);
            let field = rules::field_of(catalog, row, 1);
            if let (Some(class), Ok(field)) = (class, field)
                && classes.insert(field, class).is_some()
            {
                found.push(row.error(
                    1,
                    "field-in-two-classes",
                    format!(
                        "`{}` already has a class in this pack",
                        catalog.field_name(field)
                    ),
                ));
            }
        }
        Self {
            pack: pack.clone(),
            number,
            classes: Arc::new(classes),
        }
    }
}

/// The class of a `g2` row.
fn class_cell(row: &Row, catalog: &Catalog, found: &mut Vec<Diagnostic>) -> Option<Arc<str>> {
    let name = &row.cells[2].text;
    let Some(class) = name.strip_prefix("class:") else {
        let e = row.error(2, "unknown-class", format!("`{name}` is not a class"));
        let bare = name.split_once(':').map_or(name.as_str(), |(_, bare)| bare);
        found.push(e.help(format!("write `class:{bare}`")));
        return None;
    };
    let known = rules::class_of(catalog, class);
    if known.is_none() {
        let mut e = row.error(2, "unknown-class", format!("unknown class `{class}`"));
        e.help = rules::suggest_class(catalog, class);
        found.push(e);
    }
    known
}

/// Takes out what only follows from a schema or a vocabulary that could not be read, so that one typo there does
/// not bury itself under a finding for each rule.
fn causes_alone(found: &mut Vec<Diagnostic>, catalog: &Catalog) {
    let stands_in = |d: &Diagnostic, place: &str| {
        let file = d.position.as_ref().map_or("", |p| &*p.file);
        file.starts_with(place)
    };
    // What may itself be taken out causes nothing: something to repair always stays.
    let wrong = |place: &str| {
        found.iter().any(|d| {
            let follows = matches!(
                d.code,
                "unknown-flag-value"
                    | "unknown-class"
                    | "unknown-purpose"
                    | "unknown-region"
                    | "unknown-flag"
            ) || (place != "schema/"
                && matches!(d.code, "unknown-object" | "unknown-field" | "unknown-api"));
            d.severity == Severity::Error && stands_in(d, place) && !follows
        })
    };
    let (schema, vocabulary) = (wrong("schema/"), wrong("vocabulary.yaml"));
    let words = &catalog.vocabulary;
    found.retain(|d| {
        let follows = match d.code {
            "unknown-object" | "unknown-field" | "unknown-api" => {
                schema && !stands_in(d, "schema/")
            }
            "unknown-flag-value" => schema || vocabulary,
            "unknown-class" => vocabulary && words.classes.is_empty(),
            "unknown-purpose" => vocabulary && words.purposes.is_empty(),
            "unknown-region" => vocabulary && words.regions.is_empty(),
            "unknown-flag" => vocabulary && words.flags.is_empty(),
            _ => false,
        };
        !follows
    });
}

fn utf8<'b>(file: &Arc<str>, bytes: &'b [u8], found: &mut Vec<Diagnostic>) -> Option<&'b str> {
    let place = |line| {
        Some(Position {
            file: file.clone(),
            line,
            column: u32::from(line == 1),
        })
    };
    if bytes.starts_with(b"\xef\xbb\xbf") {
        found.push(
            Diagnostic::error(
                "byte-order-mark",
                place(1),
                "the file begins with a byte order mark",
            )
            .help("save it as UTF-8 without BOM"),
        );
        return None;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(_) => {
            found.push(
                Diagnostic::error("not-utf8", place(0), "the file is not UTF-8")
                    .help("save it as UTF-8"),
            );
            None
        }
    }
}

/// `model.conf` is for people and for stock Casbin tools; the built-in text decides. A file that says something
/// else would deceive its reader.
fn check_model(sources: &Sources, found: &mut Vec<Diagnostic>) {
    let Some(bytes) = sources.get("model.conf") else {
        return;
    };
    let essence = |text: &str| -> String {
        text.lines()
            .filter(|l| !l.trim_start().starts_with('#'))
            .flat_map(str::chars)
            .filter(|c| !c.is_whitespace())
            .collect()
    };
    let text = String::from_utf8_lossy(bytes);
    if essence(&text) == essence(MODEL) {
        return;
    }
    let lines = |text: &str| -> Vec<(u32, String, String)> {
        text.lines()
            .enumerate()
            .map(|(i, l)| (i as u32 + 1, essence(l), l.to_owned()))
            .filter(|(_, e, _)| !e.is_empty())
            .collect()
    };
    let (theirs, ours) = (lines(&text), lines(MODEL));
    let differs = theirs
        .iter()
        .enumerate()
        .find(|(i, l)| ours.get(*i).is_none_or(|o| o.1 != l.1))
        .map(|(_, l)| l.clone());
    let (line, source) = differs.map_or((0, String::new()), |(n, _, l)| (n, l));
    found.push(
        Diagnostic::warning(
            "model-edited",
            Some(Position {
                file: "model.conf".into(),
                line,
                column: u32::from(line > 0),
            }),
            "model.conf was edited, and the edit has no effect: the built-in model decides",
        )
        .underline(source.clone(), source.chars().count() as u32)
        .help("restore the shipped file"),
    );
}

/// `g2` rows: the class of each field.
fn classes(rows: &[Row], catalog: &mut Catalog, found: &mut Vec<Diagnostic>) {
    let mut first: HashMap<FieldRef, &Row> = HashMap::new();
    for row in rows {
        if let Err(e) = resources::declare(row, 1, catalog) {
            found.push(e);
            continue;
        }
        let field = rules::field_of(catalog, row, 1).map_err(|e| found.push(e));
        let class = class_cell(row, catalog, found);
        let Ok(field) = field else { continue };
        if let Some(other) = first.get(&field) {
            found.push(
                row.error(
                    1,
                    "field-in-two-classes",
                    format!("`{}` already has a class", catalog.field_name(field)),
                )
                .help(format!("at {}:{}", other.file, other.line)),
            );
            continue;
        }
        first.insert(field, row);
        if let Some(class) = class {
            catalog.objects[field.object.0 as usize].fields[field.field as usize].class = class;
        }
    }
}

/// One `apis/*.yaml`, read by its dialect; its content counts for the version.
fn api_map(
    file: &Arc<str>,
    text: &str,
    catalog: &mut Catalog,
    version: &mut Vec<String>,
    found: &mut Vec<Diagnostic>,
) {
    let mut reader = Reader::new(file, text);
    if let Some(root) = reader.parse() {
        version.push(format!("api {file} {}", yaml::canonical(&root)));
        let api: Arc<str> = file
            .trim_start_matches("apis/")
            .trim_end_matches(".yaml")
            .into();
        let bound = map::parse(&api, file, text).and_then(|raw| map::bind(raw, catalog));
        match bound {
            Ok(bound) => {
                catalog.maps.insert(api, Arc::new(bound));
            }
            Err(problems) => found.extend(problems),
        }
    }
    found.append(&mut reader.found);
}

/// The session facts that rules ask for, in bit order.
fn facts(rules: &[Rule], found: &mut Vec<Diagnostic>) -> Vec<Fact> {
    let mut facts: BTreeSet<Fact> = BTreeSet::new();
    for rule in rules {
        for term in &rule.when {
            if !matches!(term.fact, Fact::Record(..)) {
                facts.insert(term.fact.clone());
                if facts.len() == 65 {
                    found.push(rule.row.error(
                        rules::WHEN,
                        "too-many-conditions",
                        "the rules name more than 64 different session conditions",
                    ));
                }
            }
        }
    }
    facts.into_iter().take(64).collect()
}

fn sorted(rows: &[Row]) -> Vec<String> {
    let mut lines: Vec<String> = rows
        .iter()
        .map(|r| {
            r.cells
                .iter()
                .map(|c| c.text.as_str())
                .collect::<Vec<_>>()
                .join(",")
        })
        .collect();
    lines.sort_unstable();
    lines
}

/// The first 12 hex digits of SHA-256.
fn digest(parts: &[String]) -> Arc<str> {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut hex = data_encoding::HEXLOWER.encode(context.finish().as_ref());
    hex.truncate(12);
    hex.into()
}
