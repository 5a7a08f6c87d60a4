//! `p` rows → [`Rule`]s, checked against closed vocabularies and the schema.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::condition::{Term, terms};
use super::csv::Row;
use super::table::spelt_out;
use crate::diagnostic::{Diagnostic, Position, suggest};
use crate::engine::catalog::{Catalog, FieldRef, FieldType, ObjectId};
use crate::engine::protocol::Action;
use crate::engine::treatment::Treatment;

/// Header comment of `rules/*.csv`.
pub(super) const HEADER: &str =
    "# p, effect, who, action, what, treatment, purpose, region, when, priority, id";

pub(super) const EFFECT: usize = 1;
pub(super) const WHO: usize = 2;
pub(super) const ACTION: usize = 3;
pub(super) const WHAT: usize = 4;
pub(super) const TREATMENT: usize = 5;
pub(super) const PURPOSE: usize = 6;
pub(super) const REGION: usize = 7;
pub(super) const WHEN: usize = 8;
pub(super) const PRIORITY: usize = 9;
pub(super) const ID: usize = 10;

/// The class of a field that no row classifies.
const UNCLASSIFIED: &str = "unclassified";

/// Allow or deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Sorts first: Casbin reports the first deny row that matches.
    Deny,
    /// Allows, with the row's treatment.
    Allow,
}

/// What a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// `*`
    All,
    /// `Contact.*`
    Object(ObjectId),
    /// `Contact.Email`
    Field(FieldRef),
    /// `class:pii.email`, without the prefix.
    Class(Arc<str>),
}

/// One checked `p` row.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Unique kebab-case name.
    pub id: Arc<str>,
    /// Allow or deny.
    pub effect: Effect,
    /// `*`, `role:x`, `user:x` or `client:x`.
    pub who: Arc<str>,
    /// Empty = every action (deny rows only).
    pub actions: Vec<Action>,
    /// Its subject matter.
    pub what: What,
    /// In the schema's spelling, as Casbin is given it.
    pub(super) object: Arc<str>,
    /// On allow rows for read and export.
    pub treatment: Option<Treatment>,
    /// Empty = any.
    pub purposes: Vec<Arc<str>>,
    /// Empty = any; `same`, `cross` or caller regions.
    pub regions: Vec<Arc<str>>,
    /// All must hold.
    pub when: Vec<Term>,
    /// 1 to 99, 50 where the row says `-`.
    pub priority: u8,
    /// Where it stands.
    pub position: Position,
    /// The pack that it belongs to; `None` = the company's own.
    pub pack: Option<Arc<str>>,
    /// [`OWN`], or the pack's place among those switched on, from 1.
    pub(super) layer: u16,
    /// The classes that its pack gives to fields, for its rows alone.
    pub(super) classes: Arc<HashMap<FieldRef, Arc<str>>>,
    pub(super) row: Arc<Row>,
}

/// The company's own rules: the one layer whose silence is `drop`.
pub(super) const OWN: u16 = 0;

impl Rule {
    /// Whether the row speaks of `action`.
    pub fn speaks_of(&self, action: Action) -> bool {
        self.actions.is_empty() || self.actions.contains(&action)
    }

    /// Whether the row's `what` reaches `field` (the closure of classes included).
    pub fn reaches(&self, catalog: &Catalog, field: FieldRef) -> bool {
        let classified = || {
            self.effect == Effect::Deny
                || self.classes_of(catalog, field).all(|c| c != UNCLASSIFIED)
        };
        match &self.what {
            What::Field(f) => *f == field,
            What::Class(c) => self
                .classes_of(catalog, field)
                .any(|class| is_inside(class, c)),
            What::Object(o) => *o == field.object && classified(),
            What::All => classified(),
        }
    }

    /// The field's class, and the one that the rule's pack gives it. A pack classifies what nobody has classified for
    /// its own rows only: to switch it on shows nothing.
    fn classes_of<'a>(
        &'a self,
        catalog: &'a Catalog,
        field: FieldRef,
    ) -> impl Iterator<Item = &'a str> {
        let given = self.classes.get(&field).map(|c| &**c);
        let class = &*catalog.field(field).class;
        let own = (given.is_none() || class != UNCLASSIFIED).then_some(class);
        own.into_iter().chain(given)
    }

    /// The `g2` rows of a field, as the rule's layer sees it.
    pub(super) fn links<'a>(
        &'a self,
        catalog: &'a Catalog,
        field: FieldRef,
    ) -> impl Iterator<Item = (String, String)> + 'a {
        let name = catalog.field_name(field);
        self.classes_of(catalog, field)
            .flat_map(spelt_out)
            .map(move |class| (name.clone(), class))
    }

    /// A warning under the rule's id.
    pub fn warning(&self, code: &'static str, message: impl Into<String>) -> Diagnostic {
        self.row.warning(ID, code, message)
    }

    /// Whether the row names the field itself or its own class.
    pub(super) fn names(&self, catalog: &Catalog, field: FieldRef) -> bool {
        match &self.what {
            What::Field(f) => *f == field,
            What::Class(c) => *catalog.field(field).class == **c,
            _ => false,
        }
    }

    /// The columns as Casbin gets them: `eft, sub, act, obj, treatment, purpose, region, when, priority, id`.
    pub(super) fn casbin_row(&self) -> Vec<String> {
        let join = |words: Vec<&str>, none: &str| {
            if words.is_empty() {
                none.to_owned()
            } else {
                words.join("|")
            }
        };
        vec![
            match self.effect {
                Effect::Allow => "allow",
                Effect::Deny => "deny",
            }
            .to_owned(),
            self.who.to_string(),
            join(self.actions.iter().map(|a| a.word()).collect(), "*"),
            self.object.to_string(),
            self.treatment.map_or("-", Treatment::word).to_owned(),
            join(self.purposes.iter().map(|p| &**p).collect(), "*"),
            join(self.regions.iter().map(|r| &**r).collect(), "*"),
            if self.when.is_empty() {
                "-".to_owned()
            } else {
                self.when
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join("&")
            },
            self.priority.to_string(),
            self.id.to_string(),
        ]
    }
}

/// The rule as a sentence.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |words: Vec<&str>| words.join(" or ");
        let who = if &*self.who == "*" {
            "everyone"
        } else {
            &self.who
        };
        let what = match &self.what {
            What::All => "anything",
            _ => &self.object,
        };
        write!(
            f,
            "{}: {} {who} to {} {what}",
            self.id,
            match self.effect {
                Effect::Allow => "allow",
                Effect::Deny => "forbid",
            },
            if self.actions.is_empty() {
                "do anything with".to_owned()
            } else {
                list(self.actions.iter().map(|a| a.word()).collect())
            },
        )?;
        if let Some(treatment) = self.treatment {
            write!(f, " as {}", treatment.word())?;
        }
        match self.purposes.len() {
            0 => f.write_str(" for any purpose")?,
            _ => write!(
                f,
                " for {}",
                list(self.purposes.iter().map(|p| &**p).collect())
            )?,
        }
        match self.regions.len() {
            0 => f.write_str(" from anywhere")?,
            _ => {
                let regions = self.regions.iter().map(|r| match &**r {
                    "same" => "the data's own region",
                    "cross" => "another region",
                    r => r,
                });
                write!(f, " from {}", list(regions.collect()))?;
            }
        }
        for (i, term) in self.when.iter().enumerate() {
            f.write_str(if i == 0 { " when " } else { " and " })?;
            f.write_str(&term.sentence())?;
        }
        if self.effect == Effect::Allow && self.priority != 50 {
            write!(f, " (priority {})", self.priority)?;
        }
        Ok(())
    }
}

/// Whether class `inner` is `outer` or nested in it.
pub(crate) fn is_inside(inner: &str, outer: &str) -> bool {
    inner
        .strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Whether values of `kind` can be treated this way.
pub(super) fn fits(treatment: Treatment, kind: FieldType) -> bool {
    use FieldType as F;
    match treatment {
        Treatment::Clear | Treatment::Redact | Treatment::Drop | Treatment::Deny => true,
        Treatment::MaskLast4 | Treatment::MaskFirst4 | Treatment::MaskAll | Treatment::Tokenize => {
            matches!(kind, F::Text | F::Id | F::Reference)
        }
        Treatment::MaskEmail | Treatment::TokenizeEmail => kind == F::Text,
        Treatment::GeneraliseYear | Treatment::GeneraliseMonth => {
            matches!(kind, F::Date | F::DateTime)
        }
        Treatment::GeneraliseRange10 => kind == F::Number,
    }
}

/// Why a name of a class cannot be used, or the class in its canonical spelling.
pub(super) fn class_of<'c>(catalog: &'c Catalog, name: &'c str) -> Option<Arc<str>> {
    if name == "unclassified" || name == "id" {
        return Some(name.into());
    }
    if let Some(object) = name.strip_prefix("id.") {
        let id = *catalog
            .object_by_name
            .get(object.to_ascii_lowercase().as_str())?;
        return Some(format!("id.{}", catalog.get(id).name).into());
    }
    catalog
        .vocabulary
        .classes
        .keys()
        .any(|c| is_inside(c, name))
        .then(|| name.into())
}

/// A help text with the nearest class.
pub(super) fn suggest_class(catalog: &Catalog, name: &str) -> Option<String> {
    let mut known: Vec<&str> = catalog.vocabulary.classes.keys().map(|c| &**c).collect();
    known.extend(["unclassified", "id"]);
    suggest(name, &known).map(|help| {
        if help.starts_with("did") {
            help.replacen('`', "`class:", 1)
        } else {
            format!("{help}; classes are declared in vocabulary.yaml")
        }
    })
}

/// `Contact.Email` in any ASCII case → the field. The error is ready to be shown.
pub(super) fn field_of(catalog: &Catalog, row: &Row, cell: usize) -> Result<FieldRef, Diagnostic> {
    let text = &row.cells[cell].text;
    let Some((object, field)) = text.split_once('.') else {
        return Err(row
            .error(cell, "bad-field", format!("`{text}` is not a field"))
            .help("write it like `Contact.Email`"));
    };
    let id = object_of(catalog, row, cell, object)?;
    match catalog.get(id).field(field) {
        Some(field) => Ok(FieldRef { object: id, field }),
        None => {
            let object = catalog.get(id);
            let names: Vec<&str> = object.fields.iter().map(|f| &*f.name).collect();
            let mut e = row.error_at_word(
                cell,
                field,
                "unknown-field",
                format!("the schema has no field `{field}` on `{}`", object.name),
            );
            e.help = suggest(field, &names)
                .or_else(|| Some("pull the schema again if the field is new".to_owned()));
            Err(e)
        }
    }
}

fn object_of(
    catalog: &Catalog,
    row: &Row,
    cell: usize,
    object: &str,
) -> Result<ObjectId, Diagnostic> {
    catalog
        .object_by_name
        .get(object.to_ascii_lowercase().as_str())
        .copied()
        .ok_or_else(|| {
            let names: Vec<&str> = catalog.objects.iter().map(|o| &*o.name).collect();
            let mut e = row.error_at_word(
                cell,
                object,
                "unknown-object",
                format!("the schema has no object `{object}`"),
            );
            e.help = suggest(object, &names)
                .or_else(|| Some("objects stand in schema/*.json".to_owned()));
            e
        })
}

/// `role:x`, `user:x` or `client:x`; errors name what is wrong.
pub(super) fn principal(row: &Row, cell: usize) -> Result<Arc<str>, Diagnostic> {
    let text = row.cells[cell].text.as_str();
    let Some((prefix, name)) = text.split_once(':') else {
        return Err(row
            .error(cell, "bad-principal", format!("`{text}` is no principal"))
            .help(format!(
                "write `role:{text}`, `user:{text}` or `client:{text}`"
            )));
    };
    if !matches!(prefix, "role" | "user" | "client") {
        let mut e = row.error_at_word(
            cell,
            prefix,
            "bad-principal",
            format!("unknown kind of principal `{prefix}`"),
        );
        e.help = suggest(prefix, &["role", "user", "client"]);
        return Err(e);
    }
    if !crate::engine::identity::is_well_formed_name(name) {
        return Err(row
            .error(
                cell,
                "bad-principal",
                format!("`{name}` cannot be a {prefix}'s name"),
            )
            .help("use ASCII letters, digits, `_`, `.`, `:`, `@` and `-`"));
    }
    Ok(text.into())
}

/// Reads one row. Reports every mistake of it; gives a rule only if there is none.
pub(super) fn parse(row: &Row, catalog: &Catalog, found: &mut Vec<Diagnostic>) -> Option<Rule> {
    let before = found.len();
    let cell = |i: usize| row.cells[i].text.as_str();

    let effect = match cell(EFFECT) {
        "allow" => Some(Effect::Allow),
        "deny" => Some(Effect::Deny),
        word => {
            let mut e = row.error(EFFECT, "unknown-effect", format!("unknown effect `{word}`"));
            e.help = suggest(word, &["allow", "deny"]);
            found.push(e);
            None
        }
    };
    let who = if cell(WHO) == "*" {
        Some("*".into())
    } else {
        principal(row, WHO).map_err(|e| found.push(e)).ok()
    };
    let actions = actions(row, effect, found);
    let what = what(row, catalog).map_err(|e| found.push(e)).ok();
    let treatment = treatment(row, effect, actions.as_deref(), found);
    let purposes = names(
        row,
        PURPOSE,
        "purpose",
        "unknown-purpose",
        &catalog.vocabulary.purposes,
        &[],
        found,
    );
    let regions = names(
        row,
        REGION,
        "region",
        "unknown-region",
        &catalog.vocabulary.regions,
        &["same", "cross"],
        found,
    );
    let when = terms(row, WHEN, &catalog.vocabulary, found);
    let priority = priority(row, effect, found);
    let id = cell(ID);
    let kebab = !id.starts_with('-')
        && !id.ends_with('-')
        && !id.contains("--")
        && id
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !kebab {
        found.push(
            row.error(ID, "bad-id", format!("`{id}` cannot be a rule's id"))
                .help("write it in kebab-case, such as `support-email-clear`"),
        );
    }
    if found.len() > before {
        return None;
    }
    let (what, object) = what?;
    Some(Rule {
        id: id.into(),
        effect: effect?,
        who: who?,
        actions: actions?,
        what,
        object,
        treatment,
        purposes,
        regions,
        when,
        priority,
        position: row.position(0),
        pack: None,
        layer: OWN,
        classes: Arc::default(),
        row: Arc::new(row.clone()),
    })
}

fn actions(row: &Row, effect: Option<Effect>, found: &mut Vec<Diagnostic>) -> Option<Vec<Action>> {
    let text = row.cells[ACTION].text.as_str();
    if text == "*" {
        if effect == Some(Effect::Allow) {
            found.push(
                row.error(
                    ACTION,
                    "any-action-allowed",
                    "`*` as action stands on deny rows only",
                )
                .help("list what is allowed, such as `read` or `filter|sort`"),
            );
            return None;
        }
        return Some(Vec::new());
    }
    let known: Vec<&str> = Action::WORDS.iter().map(|(w, _)| *w).collect();
    let mut list = Vec::new();
    for word in text.split('|').map(str::trim) {
        match Action::parse(word) {
            Some(action) if !list.contains(&action) => list.push(action),
            Some(_) => found.push(row.error_at_word(
                ACTION,
                word,
                "duplicate-action",
                format!("the action `{word}` stands here twice"),
            )),
            None => {
                let mut e = row.error_at_word(
                    ACTION,
                    word,
                    "unknown-action",
                    format!("unknown action `{word}`"),
                );
                e.help = suggest(word, &known);
                found.push(e);
            }
        }
    }
    let outputs = list.iter().filter(|a| is_output(**a)).count();
    if outputs > 0 && outputs < list.len() {
        found.push(
            row.error(
                ACTION,
                "mixed-actions",
                "read and export never share a row with other actions",
            )
            .help("write two rows: a treatment belongs to what is read, `-` to what is evaluated"),
        );
        return None;
    }
    list.sort();
    (!list.is_empty()).then_some(list)
}

fn is_output(action: Action) -> bool {
    matches!(action, Action::Read | Action::Export)
}

fn what(row: &Row, catalog: &Catalog) -> Result<(What, Arc<str>), Diagnostic> {
    let text = row.cells[WHAT].text.as_str();
    if text == "*" {
        return Ok((What::All, "*".into()));
    }
    if let Some(class) = text.strip_prefix("class:") {
        return match class_of(catalog, class) {
            Some(class) => {
                let object = format!("class:{class}").into();
                Ok((What::Class(class), object))
            }
            None => {
                let mut e = row.error(WHAT, "unknown-class", format!("unknown class `{class}`"));
                e.help = suggest_class(catalog, class);
                Err(e)
            }
        };
    }
    if let Some(object) = text.strip_suffix(".*") {
        let id = object_of(catalog, row, WHAT, object)?;
        let name = format!("{}.*", catalog.get(id).name).into();
        return Ok((What::Object(id), name));
    }
    if !text.contains('.') {
        let e = row.error(
            WHAT,
            "bad-what",
            format!("`{text}` is neither field nor class"),
        );
        return Err(if class_of(catalog, text).is_some() {
            e.help(format!("did you mean `class:{text}`?"))
        } else {
            e.help("write `Contact.Email`, `Contact.*`, `class:pii.email` or `*`")
        });
    }
    // A class without its prefix looks like a field.
    let object = text.split('.').next().unwrap_or("").to_ascii_lowercase();
    if !catalog.object_by_name.contains_key(object.as_str()) && class_of(catalog, text).is_some() {
        return Err(row
            .error(WHAT, "bad-what", format!("`{text}` is a class"))
            .help(format!("did you mean `class:{text}`?")));
    }
    let field = field_of(catalog, row, WHAT)?;
    Ok((What::Field(field), catalog.field_name(field).into()))
}

fn treatment(
    row: &Row,
    effect: Option<Effect>,
    actions: Option<&[Action]>,
    found: &mut Vec<Diagnostic>,
) -> Option<Treatment> {
    let word = row.cells[TREATMENT].text.as_str();
    let reads = actions.is_some_and(|a| a.iter().any(|a| is_output(*a)));
    if word == "-" {
        if reads && effect == Some(Effect::Allow) {
            found.push(
                row.error(
                    TREATMENT,
                    "missing-treatment",
                    "an allow row for read or export needs a treatment",
                )
                .help("write `clear` if the value may pass as it is"),
            );
        }
        return None;
    }
    if Treatment::PLANNED.contains(&word) {
        found.push(
            row.error(
                TREATMENT,
                "treatment-not-built",
                format!("the treatment `{word}` is not built yet"),
            )
            .help("use `tokenize`, `redact` or `drop` until it is"),
        );
        return None;
    }
    let Some(treatment) = Treatment::parse(word) else {
        let known: Vec<&str> = Treatment::WORDS.iter().map(|(w, _)| *w).collect();
        let mut e = row.error(
            TREATMENT,
            "unknown-treatment",
            format!("unknown treatment `{word}`"),
        );
        e.help = if word == "deny" {
            Some("`deny` is an effect: write it in the first column after `p`".to_owned())
        } else {
            suggest(word, &known)
        };
        found.push(e);
        return None;
    };
    if effect == Some(Effect::Deny) {
        found.push(
            row.error(
                TREATMENT,
                "treatment-on-deny",
                "a deny row has no treatment",
            )
            .help("write `-`"),
        );
        return None;
    }
    if actions.is_some() && !reads {
        found.push(
            row.error(
                TREATMENT,
                "treatment-without-read",
                "a treatment is only legal on read and export rows",
            )
            .help("write `-`"),
        );
        return None;
    }
    Some(treatment)
}

fn names(
    row: &Row,
    cell: usize,
    what: &str,
    code: &'static str,
    declared: &[Arc<str>],
    fixed: &[&str],
    found: &mut Vec<Diagnostic>,
) -> Vec<Arc<str>> {
    let text = row.cells[cell].text.as_str();
    if text == "*" {
        return Vec::new();
    }
    let mut known: Vec<&str> = fixed.to_vec();
    known.extend(declared.iter().map(|d| &**d));
    let mut list: Vec<Arc<str>> = Vec::new();
    for word in text.split('|').map(str::trim) {
        if known.contains(&word) {
            if !list.iter().any(|w| **w == *word) {
                list.push(word.into());
            }
            continue;
        }
        let mut e = row.error_at_word(cell, word, code, format!("unknown {what} `{word}`"));
        e.help = suggest(word, &known)
            .map(|h| {
                if h.starts_with("did") {
                    h
                } else {
                    format!("{h}; {what}s are declared in vocabulary.yaml")
                }
            })
            .or_else(|| Some(format!("declare it in vocabulary.yaml under `{what}s`")));
        found.push(e);
    }
    list.sort();
    list
}

fn priority(row: &Row, effect: Option<Effect>, found: &mut Vec<Diagnostic>) -> u8 {
    let text = row.cells[PRIORITY].text.as_str();
    if text == "-" {
        return 50;
    }
    let number = text
        .parse::<u8>()
        .ok()
        .filter(|n| (1..=99).contains(n) && text.bytes().all(|b| b.is_ascii_digit()));
    match number {
        None => found.push(
            row.error(
                PRIORITY,
                "bad-priority",
                format!("`{text}` is not a priority"),
            )
            .help("write `-` (= 50) or a number from 1 to 99; the lowest wins"),
        ),
        Some(_) if effect == Some(Effect::Deny) => found.push(
            row.error(PRIORITY, "priority-on-deny", "a deny row has no priority")
                .help("write `-`: a deny beats every allow"),
        ),
        Some(_) => {}
    }
    number.unwrap_or(50)
}
