//! `vocabulary.yaml` → [`Vocabulary`], checked against itself and the schema.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::reader::Reader;
use super::resources;
use crate::engine::catalog::{
    Catalog, Class, Client, ConditionValue, Hours, RecordCondition, ReportType, SecondNet,
    Vocabulary,
};
use crate::yaml::{self, At, Node, Value};

/// Sections of the file.
pub(crate) const KEYS: [&str; 14] = [
    "schema",
    "purposes",
    "regions",
    "data_regions",
    "flags",
    "classes",
    "scopes",
    "clients",
    "hours",
    "networks",
    "second_net",
    "packs",
    "reports",
    "resources",
];

/// What the rest of the loader needs beyond the catalog.
#[derive(Default)]
pub(super) struct Read {
    pub(super) vocabulary: Vocabulary,
    /// `hours:` with their zones resolved.
    pub(super) zones: BTreeMap<Arc<str>, TimeZone>,
    /// The file as a canonical text, for the policy version.
    pub(super) canonical: String,
    /// Where each pack is named, for the loader.
    pub(super) packs: Vec<At<String>>,
}

/// A word that may stand in a rule's cell.
fn is_word(word: &str) -> bool {
    !word.is_empty()
        && word
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

/// Reads the file. Record conditions and data regions go into `catalog`'s objects.
pub(super) fn read(reader: &mut Reader<'_>, catalog: &mut Catalog) -> Read {
    let mut read = Read::default();
    let Some(root) = reader.parse() else {
        return read;
    };
    read.canonical = yaml::canonical(&root);
    let mut sections: BTreeMap<&str, &Node> = BTreeMap::new();
    for (key, node) in reader.map(&root, "the file") {
        if !KEYS.contains(&key.value.as_str()) {
            reader.unknown("unknown-key", "key", key, KEYS);
        } else {
            sections.insert(KEYS.iter().find(|k| **k == key.value).unwrap_or(&""), node);
        }
    }
    match sections.get("schema") {
        Some(node) => {
            if reader
                .number::<u32>(node, "`schema`")
                .is_some_and(|n| n != 1)
            {
                reader.error(
                    "schema-version",
                    node.place,
                    1,
                    "this version of privet reads `schema: 1`".to_owned(),
                    None,
                );
            }
        }
        None => reader.error(
            "schema-version",
            root.place,
            1,
            "`schema: 1` is missing".to_owned(),
            Some("write `schema: 1` as the first line".to_owned()),
        ),
    }
    let v = &mut read.vocabulary;
    // First: they are objects, which have a data region as others do.
    if let Some(node) = sections.get("resources") {
        resources::read(reader, node, v, catalog);
    }
    if let Some(node) = sections.get("purposes") {
        v.purposes = words(reader, node, "purpose", &["none", "*"]);
    }
    if let Some(node) = sections.get("regions") {
        v.regions = words(reader, node, "region", &["same", "cross", "*"]);
    }
    if let Some(node) = sections.get("data_regions") {
        data_regions(reader, node, v, catalog);
    }
    if let Some(node) = sections.get("flags") {
        flags(reader, node, v, catalog);
    }
    if let Some(node) = sections.get("classes") {
        classes(reader, node, v);
    }
    if let Some(node) = sections.get("scopes") {
        for (name, text) in reader.map(node, "`scopes`") {
            word(reader, name, "scope");
            if let Some(text) = reader.text(text, "a scope's description") {
                v.scopes
                    .insert(name.value.as_str().into(), text.value.as_str().into());
            }
        }
    }
    if let Some(node) = sections.get("clients") {
        clients(reader, node, v);
    }
    if let Some(node) = sections.get("hours") {
        hours(reader, node, v, &mut read.zones);
    }
    let v = &mut read.vocabulary;
    if let Some(node) = sections.get("networks") {
        for (name, list) in reader.map(node, "`networks`") {
            word(reader, name, "network");
            let mut nets = Vec::new();
            for text in reader.texts(list, "a network") {
                match text.value.parse() {
                    Ok(net) => nets.push(net),
                    Err(_) => reader.error(
                        "bad-network",
                        text.place,
                        text.value.chars().count(),
                        format!("`{}` is not a network", text.value),
                        Some("write it like 203.0.113.0/24 or 2001:db8::/32".to_owned()),
                    ),
                }
            }
            v.networks.insert(name.value.as_str().into(), nets);
        }
    }
    if let Some(node) = sections.get("second_net")
        && let Some(text) = reader.text(node, "`second_net`")
    {
        match text.value.as_str() {
            "off" => v.second_net = SecondNet::Off,
            "report" => v.second_net = SecondNet::Report,
            "mask" => v.second_net = SecondNet::Mask,
            _ => reader.unknown("unknown-word", "word", &text, ["off", "report", "mask"]),
        }
    }
    if let Some(node) = sections.get("packs") {
        for pack in reader.texts(node, "a pack") {
            if is_word(&pack.value) && !pack.value.starts_with('.') {
                v.packs.push(pack.value.as_str().into());
                read.packs.push(pack);
            } else {
                reader.error(
                    "bad-name",
                    pack.place,
                    pack.value.chars().count(),
                    format!("`{}` cannot be a pack's name", pack.value),
                    None,
                );
            }
        }
    }
    if let Some(node) = sections.get("reports") {
        reports(reader, node, &mut read.vocabulary, catalog);
    }
    read
}

/// `{ api: { ReportType: { object: X, columns: { COLUMN: X.Field } } } }`.
fn reports(reader: &mut Reader<'_>, node: &Node, v: &mut Vocabulary, catalog: &Catalog) {
    for (api, types) in reader.map(node, "`reports`") {
        let Some((name, _)) = catalog.apis.get_key_value(api.value.as_str()) else {
            reader.unknown("unknown-api", "API", api, catalog.apis.keys().map(|a| &**a));
            continue;
        };
        for (word, spec) in reader.map(types, "the report types of an API") {
            let (mut object, mut columns) = (None, BTreeMap::new());
            for (key, value) in reader.map(spec, "a report type") {
                match key.value.as_str() {
                    "object" => {
                        let Some(text) = reader.text(value, "`object`") else {
                            continue;
                        };
                        object = catalog.object(name, &text.value);
                        if object.is_none() {
                            let known = catalog.objects.iter().map(|o| &*o.name);
                            reader.unknown("unknown-object", "object", &text, known);
                        }
                    }
                    "columns" => {
                        for (column, field) in reader.map(value, "`columns`") {
                            let Some(text) = reader.text(field, "a column's field") else {
                                continue;
                            };
                            let Some(path) = catalog.field_path(name, &text.value) else {
                                reader.error(
                                    "unknown-field",
                                    text.place,
                                    text.value.chars().count(),
                                    format!("`{}` leads to no field", text.value),
                                    Some(
                                        "write the object, relationships to one object each, and the field: \
                                         Contact.Account.Name"
                                            .to_owned(),
                                    ),
                                );
                                continue;
                            };
                            columns.insert(column.value.to_ascii_lowercase().into(), path);
                        }
                    }
                    _ => reader.unknown("unknown-key", "key", key, ["object", "columns"]),
                }
            }
            match object {
                Some(object) => {
                    v.reports.entry(name.clone()).or_default().insert(
                        word.value.to_ascii_lowercase().into(),
                        ReportType { object, columns },
                    );
                }
                None => reader.error(
                    "missing-key",
                    word.place,
                    word.value.chars().count(),
                    format!("the report type `{}` needs an `object`", word.value),
                    Some("whose records its rows are".to_owned()),
                ),
            }
        }
    }
}

fn word(reader: &mut Reader<'_>, name: &At<String>, what: &str) -> bool {
    let fine = is_word(&name.value);
    if !fine {
        reader.error(
            "bad-name",
            name.place,
            name.value.chars().count(),
            format!("`{}` cannot be the name of a {what}", name.value),
            Some("use ASCII letters, digits, `_`, `-` and `.`".to_owned()),
        );
    }
    fine
}

fn words(reader: &mut Reader<'_>, node: &Node, what: &str, taken: &[&str]) -> Vec<Arc<str>> {
    let mut list: Vec<Arc<str>> = Vec::new();
    for text in reader.texts(node, what) {
        let wrong = if taken.contains(&text.value.as_str()) {
            Some("is taken")
        } else if list.iter().any(|w| **w == *text.value) {
            Some("stands here twice")
        } else {
            None
        };
        if let Some(wrong) = wrong {
            reader.error(
                "bad-name",
                text.place,
                text.value.chars().count(),
                format!("the {what} `{}` {wrong}", text.value),
                None,
            );
        } else if word(reader, &text, what) {
            list.push(text.value.as_str().into());
        }
    }
    list
}

fn data_regions(reader: &mut Reader<'_>, node: &Node, v: &Vocabulary, catalog: &mut Catalog) {
    for (key, value) in reader.map(node, "`data_regions`") {
        match key.value.as_str() {
            "apis" => {
                for (api, region) in reader.map(value, "`data_regions.apis`") {
                    let Some(region) = reader.text(region, "a region") else {
                        continue;
                    };
                    if !known_region(reader, v, &region) {
                        continue;
                    }
                    let apis: Vec<String> = catalog.apis.keys().map(|a| a.to_string()).collect();
                    if !apis.contains(&api.value) {
                        reader.unknown("unknown-api", "API", api, apis.iter().map(String::as_str));
                        continue;
                    }
                    for object in &mut catalog.objects {
                        if *object.api == *api.value {
                            object.data_region = Some(region.value.as_str().into());
                        }
                    }
                }
            }
            "records" => {
                for (object, spec) in reader.map(value, "`data_regions.records`") {
                    condition(reader, catalog, "region", object, spec, Some(v));
                }
            }
            _ => reader.unknown("unknown-key", "key", key, ["apis", "records"]),
        }
    }
}

fn known_region(reader: &mut Reader<'_>, v: &Vocabulary, region: &At<String>) -> bool {
    let known = v.regions.iter().any(|r| **r == *region.value);
    if !known {
        reader.unknown(
            "unknown-region",
            "region",
            region,
            v.regions.iter().map(|r| &**r),
        );
    }
    known
}

fn flags(reader: &mut Reader<'_>, node: &Node, v: &mut Vocabulary, catalog: &mut Catalog) {
    for (flag, objects) in reader.map(node, "`flags`") {
        word(reader, flag, "flag");
        let mut values: Vec<Arc<str>> = Vec::new();
        for (object, spec) in reader.map(objects, "a flag") {
            for value in condition(reader, catalog, &flag.value, object, spec, None) {
                if !values.contains(&value) {
                    values.push(value);
                }
            }
        }
        v.flags.insert(flag.value.as_str().into(), values);
    }
}

/// `{ field: X, value: [scalars]… }` of one object; gives the declared values.
fn condition(
    reader: &mut Reader<'_>,
    catalog: &mut Catalog,
    name: &str,
    object: &At<String>,
    spec: &Node,
    regions: Option<&Vocabulary>,
) -> Vec<Arc<str>> {
    let Some(id) = catalog
        .object_by_name
        .get(object.value.to_ascii_lowercase().as_str())
        .copied()
    else {
        let names: Vec<Arc<str>> = catalog.objects.iter().map(|o| o.name.clone()).collect();
        reader.unknown(
            "unknown-object",
            "object",
            object,
            names.iter().map(|n| &**n),
        );
        return Vec::new();
    };
    let mut field = None;
    let mut named = false;
    let mut values: Vec<(Arc<str>, Vec<ConditionValue>)> = Vec::new();
    let mut seen: Vec<ConditionValue> = Vec::new();
    for (key, value) in reader.map(spec, "a record condition") {
        if key.value == "field" {
            named = true;
            let Some(text) = reader.text(value, "`field`") else {
                continue;
            };
            field = catalog.get(id).field(&text.value);
            if field.is_none() {
                let names: Vec<Arc<str>> = catalog
                    .get(id)
                    .fields
                    .iter()
                    .map(|f| f.name.clone())
                    .collect();
                reader.unknown("unknown-field", "field", &text, names.iter().map(|n| &**n));
            }
            continue;
        }
        let fine = match regions {
            Some(v) => known_region(reader, v, key),
            None if key.value == "unknown" => {
                reader.error(
                    "bad-name",
                    key.place,
                    7,
                    "the value `unknown` exists by itself".to_owned(),
                    None,
                );
                false
            }
            None => word(reader, key, "flag value"),
        };
        let Value::List(items) = &value.value else {
            reader.wrong(value, "the values of a flag", "a list");
            continue;
        };
        let mut scalars = Vec::new();
        for item in items {
            let scalar = match &item.value {
                Value::Text(t) => ConditionValue::Text(t.as_str().into()),
                Value::Bool(b) => ConditionValue::Bool(*b),
                Value::Number(n) => ConditionValue::Number(n.as_str().into()),
                _ => {
                    reader.wrong(item, "a flag's value", "a text, a number, true or false");
                    continue;
                }
            };
            if seen.contains(&scalar) {
                reader.error(
                    "duplicate-value",
                    item.place,
                    1,
                    "this value already means something else".to_owned(),
                    None,
                );
            } else {
                seen.push(scalar.clone());
                scalars.push(scalar);
            }
        }
        if fine {
            values.push((key.value.as_str().into(), scalars));
        }
    }
    if !named {
        reader.error(
            "missing-key",
            object.place,
            object.value.chars().count(),
            "`field:` is missing".to_owned(),
            Some("name the field of the record that holds it".to_owned()),
        );
    }
    let declared = values.iter().map(|(v, _)| v.clone()).collect();
    if let Some(field) = field {
        catalog.objects[id.0 as usize]
            .conditions
            .push(RecordCondition {
                name: name.into(),
                is_region: regions.is_some(),
                field,
                values,
            });
    }
    declared
}

/// The classes that a pack declares, and its file in canonical form. A class that the company declares too keeps the
/// company's attributes.
pub(super) fn read_pack(reader: &mut Reader<'_>, company: &mut Vocabulary) -> String {
    let Some(root) = reader.parse() else {
        return String::new();
    };
    let mut theirs = Vocabulary::default();
    let mut versioned = false;
    for (key, node) in reader.map(&root, "the file") {
        match key.value.as_str() {
            "schema" => versioned = reader.number::<u32>(node, "`schema`") == Some(1),
            "classes" => classes(reader, node, &mut theirs),
            _ => reader.unknown("unknown-key", "key", key, ["schema", "classes"]),
        }
    }
    if !versioned {
        reader.error(
            "schema-version",
            root.place,
            1,
            "this version of privet reads `schema: 1`".to_owned(),
            Some("write `schema: 1` as the first line".to_owned()),
        );
    }
    for (name, class) in theirs.classes {
        company.classes.entry(name).or_insert(class);
    }
    yaml::canonical(&root)
}

fn classes(reader: &mut Reader<'_>, node: &Node, v: &mut Vocabulary) {
    const KEYS: [&str; 4] = ["personal", "entropy", "fold_local_part", "group_size_min"];
    #[derive(Default, Clone)]
    struct Said {
        personal: Option<bool>,
        low: Option<bool>,
        fold: Option<bool>,
        group: Option<u32>,
    }
    let mut said: BTreeMap<String, Said> = BTreeMap::new();
    for (name, attributes) in reader.map(node, "`classes`") {
        let root = name.value.split('.').next().unwrap_or("");
        if matches!(root, "unclassified" | "id") {
            reader.error(
                "bad-name",
                name.place,
                name.value.chars().count(),
                format!("the class `{}` exists by itself", name.value),
                None,
            );
            continue;
        }
        word(reader, name, "class");
        let mut s = Said::default();
        for (key, value) in reader.map(attributes, "a class") {
            match key.value.as_str() {
                "personal" => s.personal = reader.bool(value, "`personal`"),
                "fold_local_part" => s.fold = reader.bool(value, "`fold_local_part`"),
                "group_size_min" => s.group = reader.number(value, "`group_size_min`"),
                "entropy" => {
                    if let Some(text) = reader.text(value, "`entropy`") {
                        match text.value.as_str() {
                            "low" => s.low = Some(true),
                            "high" => s.low = Some(false),
                            _ => reader.unknown("unknown-word", "word", &text, ["low", "high"]),
                        }
                    }
                }
                _ => reader.unknown("unknown-key", "key", key, KEYS),
            }
        }
        said.insert(name.value.clone(), s);
    }
    for name in said.keys() {
        let mut class = Class::default();
        // From the outermost class inwards; the nearest word wins.
        for (at, _) in name.match_indices('.').chain([(name.len(), "")]) {
            if let Some(s) = said.get(&name[..at]) {
                class.personal = s.personal.unwrap_or(class.personal);
                class.low_entropy = s.low.unwrap_or(class.low_entropy);
                class.fold_local_part = s.fold.unwrap_or(class.fold_local_part);
                class.group_size_min = s.group.or(class.group_size_min);
            }
        }
        v.classes.insert(name.as_str().into(), class);
    }
}

fn clients(reader: &mut Reader<'_>, node: &Node, v: &mut Vocabulary) {
    for (name, spec) in reader.map(node, "`clients`") {
        if !crate::engine::identity::is_well_formed_name(&name.value) {
            word(reader, name, "client");
        }
        let mut client = Client {
            purposes: Vec::new(),
            scope: None,
            explain: false,
        };
        for (key, value) in reader.map(spec, "a client") {
            match key.value.as_str() {
                "purposes" => {
                    for purpose in reader.texts(value, "a purpose") {
                        if v.purposes.iter().any(|p| **p == *purpose.value) {
                            client.purposes.push(purpose.value.as_str().into());
                        } else {
                            reader.unknown(
                                "unknown-purpose",
                                "purpose",
                                &purpose,
                                v.purposes.iter().map(|p| &**p),
                            );
                        }
                    }
                }
                "scope" => {
                    if let Some(scope) = reader.text(value, "`scope`") {
                        if v.scopes.contains_key(scope.value.as_str()) {
                            client.scope = Some(scope.value.as_str().into());
                        } else {
                            reader.unknown(
                                "unknown-scope",
                                "scope",
                                &scope,
                                v.scopes.keys().map(|s| &**s),
                            );
                        }
                    }
                }
                "explain" => client.explain = reader.bool(value, "`explain`").unwrap_or(false),
                _ => reader.unknown("unknown-key", "key", key, ["purposes", "scope", "explain"]),
            }
        }
        v.clients.insert(name.value.as_str().into(), client);
    }
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

fn hours(
    reader: &mut Reader<'_>,
    node: &Node,
    v: &mut Vocabulary,
    zones: &mut BTreeMap<Arc<str>, TimeZone>,
) {
    for (name, spec) in reader.map(node, "`hours`") {
        word(reader, name, "window of time");
        let (mut zone, mut days, mut from, mut to) = (None, None, None, None);
        for (key, value) in reader.map(spec, "a window of time") {
            match key.value.as_str() {
                "zone" => zone = reader.text(value, "`zone`"),
                "days" => {
                    let mut list = Vec::new();
                    for day in reader.texts(value, "a day") {
                        match DAYS.iter().position(|d| *d == day.value) {
                            Some(i) => list.push(i as i8 + 1),
                            None => reader.unknown("unknown-day", "day", &day, DAYS),
                        }
                    }
                    days = Some(list);
                }
                "from" => from = clock(reader, value),
                "to" => to = clock(reader, value),
                _ => reader.unknown("unknown-key", "key", key, ["zone", "days", "from", "to"]),
            }
        }
        let (Some(zone), Some(days), Some(from_s), Some(to_s)) = (zone, days, from, to) else {
            reader.error(
                "missing-key",
                name.place,
                name.value.chars().count(),
                format!("`{}` needs zone, days, from and to", name.value),
                None,
            );
            continue;
        };
        if from_s >= to_s {
            reader.error(
                "bad-hours",
                name.place,
                name.value.chars().count(),
                format!("`{}` ends before it begins", name.value),
                Some("write a night as two windows".to_owned()),
            );
        }
        // The bundled database: the answer does not depend on the machine.
        match TimeZoneDatabase::bundled().get(&zone.value) {
            Ok(tz) => {
                zones.insert(name.value.as_str().into(), tz);
            }
            Err(_) => reader.error(
                "unknown-zone",
                zone.place,
                zone.value.chars().count(),
                format!("unknown time zone `{}`", zone.value),
                Some("use an IANA name such as `Europe/Berlin`".to_owned()),
            ),
        }
        v.hours.insert(
            name.value.as_str().into(),
            Hours {
                zone: zone.value.as_str().into(),
                days,
                from_s,
                to_s,
            },
        );
    }
}

/// `"08:00"` in seconds of the day.
fn clock(reader: &mut Reader<'_>, node: &Node) -> Option<u32> {
    let text = reader.text(node, "a time of day")?;
    let parsed = text.value.split_once(':').and_then(|(h, m)| {
        let (h, m) = (h.parse::<u32>().ok()?, m.parse::<u32>().ok()?);
        ((h < 24 && m < 60) || (h == 24 && m == 0)).then_some(h * 3600 + m * 60)
    });
    if parsed.is_none() {
        reader.error(
            "bad-hours",
            text.place,
            text.value.chars().count(),
            format!("`{}` is not a time of day", text.value),
            Some("write it like \"08:00\"".to_owned()),
        );
    }
    parsed
}
