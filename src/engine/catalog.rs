//! What the live set knows of the APIs: objects and fields, vocabulary, API maps. Plain data, built by
//! `policy::load` from the policy folder; every index is valid inside one live set only.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::engine::protocol::map::ApiMap;

/// Index of an object in [`Catalog::objects`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub u32);

/// A field of an object: index into [`Catalog::objects`] and into [`Object::fields`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldRef {
    /// The object.
    pub object: ObjectId,
    /// Index into [`Object::fields`].
    pub field: u32,
}

/// Everything that understanding a request needs.
#[derive(Debug, Default)]
pub struct Catalog {
    /// All objects of all APIs.
    pub objects: Vec<Object>,
    /// ASCII-lowercase name → object. A name stands in one API only.
    pub object_by_name: HashMap<Box<str>, ObjectId>,
    /// `policies/vocabulary.yaml`.
    pub vocabulary: Vocabulary,
    /// `policies/apis/*.yaml`, by API name.
    pub maps: BTreeMap<Arc<str>, Arc<ApiMap>>,
    /// By API name: dialect and version of its schema file.
    pub apis: BTreeMap<Arc<str>, ApiSchema>,
}

/// The head of one `policies/schema/<api>.json`.
#[derive(Debug, Clone)]
pub struct ApiSchema {
    /// `salesforce` or `map`.
    pub dialect: Arc<str>,
    /// The API version that the schema was pulled at, if it has one.
    pub version: Option<Arc<str>>,
}

/// One object.
#[derive(Debug)]
pub struct Object {
    /// As the schema spells it.
    pub name: Arc<str>,
    /// The API it belongs to.
    pub api: Arc<str>,
    /// Salesforce's three-character record id prefix.
    pub key_prefix: Option<Arc<str>>,
    /// In the schema file's order (sorted by name).
    pub fields: Vec<Field>,
    /// ASCII-lowercase name → index into `fields`.
    pub field_by_name: HashMap<Box<str>, u32>,
    /// Child relationships: ASCII-lowercase relationship name → child.
    pub children: HashMap<Box<str>, Child>,
    /// The record flags and the data region that vary treatments of this object's records.
    pub conditions: Vec<RecordCondition>,
    /// The data region of its API, where the region does not stand in a field. `None` = unknown = cross.
    pub data_region: Option<Arc<str>>,
}

/// One child relationship.
#[derive(Debug, Clone)]
pub struct Child {
    /// As the schema spells it.
    pub name: Arc<str>,
    /// The child object; `None` when the schema file does not hold it.
    pub object: Option<ObjectId>,
    /// The child's reference field, as spelt.
    pub field: Arc<str>,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldType {
    /// Any text (string, email, phone, url, picklist, textarea, combobox, encryptedstring…).
    Text,
    /// int, double, currency, percent, number.
    Number,
    /// true, false.
    Boolean,
    /// `2026-01-31`.
    Date,
    /// `2026-01-31T10:00:00.000+0000`.
    DateTime,
    /// `13:05:30.000Z`.
    Time,
    /// A record id.
    Id,
    /// A record id of another object.
    Reference,
    /// A compound (address, location): an object of parts.
    Compound,
    /// base64 blob.
    Blob,
    /// anyType, complexvalue and whatever else: only clear, redact, drop.
    Other,
}

/// One field.
#[derive(Debug)]
pub struct Field {
    /// As the schema spells it.
    pub name: Arc<str>,
    /// What it holds.
    pub kind: FieldType,
    /// The schema's own type word, such as `email`.
    pub type_word: Arc<str>,
    /// In characters.
    pub length: Option<u32>,
    /// Possible targets, by name; those in the catalog have an id.
    pub reference_to: Vec<(Arc<str>, Option<ObjectId>)>,
    /// `Account` of `AccountId`.
    pub relationship_name: Option<Arc<str>>,
    /// The compound that this field is a part of (index into `fields`).
    pub compound: Option<u32>,
    /// Whether it is the object's name field.
    pub name_field: bool,
    /// The fields that it is computed from: a formula's sources (resolved through relationships), a
    /// compound's parts, a compound name's parts. Its treatment is the most protective of its own and theirs.
    pub derived_from: Vec<FieldRef>,
    /// A formula source could not be read: judged like the most protected field of its object.
    pub derived_from_unknown: bool,
    /// Its data class, without the `class:` prefix; `unclassified` without a g2 row.
    pub class: Arc<str>,
}

/// A flag or the data region of a record, read from a field of the record.
#[derive(Debug, Clone)]
pub struct RecordCondition {
    /// The flag's name, or `region` for the data region.
    pub name: Arc<str>,
    /// Whether it is the data region rather than a flag.
    pub is_region: bool,
    /// The field that holds it (index into the object's `fields`).
    pub field: u32,
    /// Declared values: (flag value or region name, the field's values that mean it, as scalar text).
    /// Anything else, absent or null = unknown.
    pub values: Vec<(Arc<str>, Vec<ConditionValue>)>,
}

/// A scalar as vocabulary.yaml spells it and a record holds it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ConditionValue {
    /// A string, compared exactly.
    Text(Box<str>),
    /// true or false.
    Bool(bool),
    /// A number, compared by its text.
    Number(Box<str>),
}

/// `find` of the ASCII lower case of `name`: without an allocation, as names are looked up for every path of a query.
fn lowercase<T>(name: &str, find: impl FnOnce(&str) -> T) -> T {
    let mut buffer = [0; 64];
    let Some(lower) = buffer.get_mut(..name.len()) else {
        return find(&name.to_ascii_lowercase());
    };
    lower.copy_from_slice(name.as_bytes());
    lower.make_ascii_lowercase();
    // Folding ASCII letters keeps UTF-8 what it is.
    find(std::str::from_utf8(lower).unwrap_or_default())
}

impl Catalog {
    /// The object named `name` (ASCII case-insensitive) of `api`.
    pub fn object(&self, api: &str, name: &str) -> Option<ObjectId> {
        let id = lowercase(name, |name| self.object_by_name.get(name).copied())?;
        (&*self.objects[id.0 as usize].api == api).then_some(id)
    }

    /// The field that `path` leads to: an object of `api`, relationships, a field (`Contact.Account.Name`). `None`
    /// where a name is unknown, or a relationship may lead to several objects.
    pub fn field_path(&self, api: &str, path: &str) -> Option<FieldPath> {
        let (object, rest) = path.split_once('.')?;
        let mut object = self.object(api, object)?;
        let (parents, leaf) = match rest.rsplit_once('.') {
            Some((parents, leaf)) => (Some(parents), leaf),
            None => (None, rest),
        };
        let mut references = Vec::new();
        for step in parents.into_iter().flat_map(|p| p.split('.')) {
            let field = self.get(object).relationship(step)?;
            let reference = FieldRef { object, field };
            let [(_, Some(target))] = self.field(reference).reference_to.as_slice() else {
                return None;
            };
            references.push(reference);
            object = *target;
        }
        let field = self.get(object).field(leaf)?;
        Some(FieldPath {
            field: FieldRef { object, field },
            references,
        })
    }

    /// The object behind `id`.
    pub fn get(&self, id: ObjectId) -> &Object {
        &self.objects[id.0 as usize]
    }

    /// The field behind `field`.
    pub fn field(&self, field: FieldRef) -> &Field {
        &self.get(field.object).fields[field.field as usize]
    }

    /// `Contact.Email`.
    pub fn field_name(&self, field: FieldRef) -> String {
        format!("{}.{}", self.get(field.object).name, self.field(field).name)
    }
}

impl Object {
    /// The field named `name` (ASCII case-insensitive).
    pub fn field(&self, name: &str) -> Option<u32> {
        lowercase(name, |name| self.field_by_name.get(name).copied())
    }

    /// The reference field whose relationship is called `name` (ASCII case-insensitive).
    pub fn relationship(&self, name: &str) -> Option<u32> {
        self.fields
            .iter()
            .position(|f| {
                f.relationship_name
                    .as_deref()
                    .is_some_and(|r| r.eq_ignore_ascii_case(name))
            })
            .and_then(|i| u32::try_from(i).ok())
    }
}

/// `policies/vocabulary.yaml`, checked.
#[derive(Debug, Default)]
pub struct Vocabulary {
    /// Declared purposes.
    pub purposes: Vec<Arc<str>>,
    /// Declared regions.
    pub regions: Vec<Arc<str>>,
    /// Flag → its declared values over all objects (`unknown` exists by itself).
    pub flags: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    /// Declared classes.
    pub classes: BTreeMap<Arc<str>, Class>,
    /// Scope → description.
    pub scopes: BTreeMap<Arc<str>, Arc<str>>,
    /// Client → what it may.
    pub clients: BTreeMap<Arc<str>, Client>,
    /// Named windows of time.
    pub hours: BTreeMap<Arc<str>, Hours>,
    /// Named networks.
    pub networks: BTreeMap<Arc<str>, Vec<ipnet::IpNet>>,
    /// Detectors over values that leave in clear.
    pub second_net: SecondNet,
    /// Layers switched on.
    pub packs: Vec<Arc<str>>,
    /// By API name: what its report types call their columns, by ASCII-lowercase report type.
    pub reports: BTreeMap<Arc<str>, BTreeMap<Box<str>, ReportType>>,
    /// By API name: the resources of Chatter and Connect that are open.
    pub resources: BTreeMap<Arc<str>, Vec<Resource>>,
}

/// One report type of `reports:`.
#[derive(Debug, Clone)]
pub struct ReportType {
    /// Whose records its rows are.
    pub object: ObjectId,
    /// ASCII-lowercase column → the field that it shows.
    pub columns: BTreeMap<Box<str>, FieldPath>,
}

/// A field, and the relationships that lead to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath {
    /// The field.
    pub field: FieldRef,
    /// The reference fields on the way to it.
    pub references: Vec<FieldRef>,
}

/// A resource whose answers no schema describes.
#[derive(Debug, Clone)]
pub struct Resource {
    /// Its path; `None` = a place for one name or id.
    pub segments: Vec<Option<Arc<str>>>,
    /// The object that stands for it: its fields are JSONPaths.
    pub object: ObjectId,
}

impl Vocabulary {
    /// The smallest group that an aggregate of `class` may stand for, by the nearest declared class around it.
    pub fn group_size_min(&self, class: &str) -> u32 {
        std::iter::successors(Some(class), |c| c.rfind('.').map(|i| &c[..i]))
            .find_map(|c| self.classes.get(c))
            .and_then(|c| c.group_size_min)
            .unwrap_or(1)
    }

    /// Whether `class`, or the nearest declared class around it, is personal data.
    pub fn is_personal(&self, class: &str) -> bool {
        let mut name = class;
        loop {
            if let Some(c) = self.classes.get(name) {
                return c.personal;
            }
            match name.rfind('.') {
                Some(i) => name = &name[..i],
                None => return false,
            }
        }
    }
}

/// One data class.
#[derive(Debug, Clone, Default)]
pub struct Class {
    /// Personal data, for lints and reports. Inherited by the classes inside it.
    pub personal: bool,
    /// No deterministic token. Inherited.
    pub low_entropy: bool,
    /// `tokenize:email` folds the local part as well. Inherited.
    pub fold_local_part: bool,
    /// Smallest group that an aggregate may stand for: more than 1 refuses sums and extremes of what is not read in
    /// clear. Inherited.
    pub group_size_min: Option<u32>,
}

/// One client of `clients:`.
#[derive(Debug, Clone)]
pub struct Client {
    /// Granted purposes; the first one is the default.
    pub purposes: Vec<Arc<str>>,
    /// Its token scope.
    pub scope: Option<Arc<str>>,
    /// May ask `Privet-Explain`.
    pub explain: bool,
}

/// A named window of time.
#[derive(Debug, Clone)]
pub struct Hours {
    /// IANA zone name, checked at load.
    pub zone: Arc<str>,
    /// Days, 1 = Monday … 7 = Sunday.
    pub days: Vec<i8>,
    /// Seconds of the day, from (inclusive).
    pub from_s: u32,
    /// Seconds of the day, to (exclusive).
    pub to_s: u32,
}

/// `second_net:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SecondNet {
    /// Not looked for.
    #[default]
    Off,
    /// Counted.
    Report,
    /// Masked.
    Mask,
}
