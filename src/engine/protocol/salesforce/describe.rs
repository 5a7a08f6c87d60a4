//! Shapes of the answers that show the schema, cut down to what the caller may read.
//!
//! A hidden field is not there: not in the list, and not in what other fields say of it. A treated field keeps name,
//! label and the truth about what may be done with it; texts that carry values or names of other fields are emptied.

use std::sync::Arc;

use crate::engine::catalog::{Catalog, Field, FieldRef, FieldType, ObjectId};
use crate::engine::protocol::{Link, Shape};
use crate::engine::treatment::Treatment;

/// How the caller reads a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldView {
    /// Not at all.
    Hidden,
    /// As it is.
    Clear,
    /// Treated. Where its record variants differ: the most protective one that shows something.
    Treated(Treatment),
}

/// Which ways of evaluating a field pass for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Abilities {
    /// In a predicate, by tokens of the caller's own at least.
    pub filter: bool,
    /// In ORDER BY.
    pub sort: bool,
    /// In GROUP BY.
    pub group: bool,
    /// Inside sums and extremes.
    pub aggregate: bool,
    /// To find a record by.
    pub key: bool,
}

/// Members of a describe that pass as they are.
const OBJECT_KEEP: &[&str] = &[
    "activateable",
    "associateEntityType",
    "associateParentEntity",
    "compactLayoutable",
    "createable",
    "custom",
    "customSetting",
    "dataTranslationEnabled",
    "deepCloneable",
    "defaultImplementation",
    "deletable",
    "deprecatedAndHidden",
    "extendedBy",
    "extendsInterfaces",
    "feedEnabled",
    "hasSubtypes",
    "implementedBy",
    "implementsInterfaces",
    "isInterface",
    "isSubtype",
    "keyPrefix",
    "label",
    "labelPlural",
    "layoutable",
    "listviewable",
    "lookupLayoutable",
    "mergeable",
    "mruEnabled",
    "name",
    "queryable",
    "replicateable",
    "retrieveable",
    "searchLayoutable",
    "searchable",
    "sobjectDescribeOption",
    "triggerable",
    "undeletable",
    "updateable",
];

/// Members of `urls`.
const URLS: &[&str] = &[
    "approvalLayouts",
    "compactLayouts",
    "defaultValues",
    "describe",
    "eventSchema",
    "layouts",
    "listviews",
    "namedLayouts",
    "quickActions",
    "rowTemplate",
    "sobject",
    "uiDetailTemplate",
    "uiEditTemplate",
    "uiNewRecord",
];

/// Members of a field that pass as they are, whatever its treatment.
const FIELD_KEEP: &[&str] = &[
    "aiPredictionField",
    "autoNumber",
    "calculated",
    "cascadeDelete",
    "caseSensitive",
    "createable",
    "custom",
    "defaultedOnCreate",
    "deprecatedAndHidden",
    "digits",
    "displayLocationInDecimal",
    "encrypted",
    "externalId",
    "extraTypeInfo",
    "formulaTreatNullNumberAsZero",
    "highScaleNumber",
    "htmlFormatted",
    "label",
    "mask",
    "maskType",
    "name",
    "nameField",
    "namePointing",
    "nillable",
    "permissionable",
    "polymorphicForeignKey",
    "precision",
    "relationshipOrder",
    "restrictedDelete",
    "scale",
    "unique",
    "updateable",
    "writeRequiresMasterRead",
];

/// Members of a field that name other fields: empty for every caller.
const FIELD_EMPTY: &[&str] = &[
    "controllerName",
    "defaultValueFormula",
    "filteredLookupInfo",
    "referenceTargetField",
];

/// Members that are whole numbers, and those that are texts; all others that pass are true or false.
const NUMBERS: &[&str] = &[
    "byteLength",
    "digits",
    "length",
    "precision",
    "relationshipOrder",
    "scale",
];
const TEXTS: &[&str] = &[
    "associateEntityType",
    "associateParentEntity",
    "calculatedFormula",
    "compoundFieldName",
    "defaultImplementation",
    "defaultValue",
    "extendedBy",
    "extendsInterfaces",
    "extraTypeInfo",
    "implementedBy",
    "implementsInterfaces",
    "inlineHelpText",
    "keyPrefix",
    "label",
    "labelPlural",
    "mask",
    "maskType",
    "name",
    "relationshipName",
    "sobjectDescribeOption",
    "soapType",
    "type",
    "childSObject",
    "field",
    "developerName",
    "recordTypeId",
];

/// Names with their XML Schema types, in the order of their names.
fn typed(
    names: impl Iterator<Item = &'static str>,
    more: &[(&'static str, &'static str)],
) -> Vec<(&'static str, &'static str)> {
    let mut all: Vec<_> = names
        .map(|name| {
            let kind = if NUMBERS.contains(&name) {
                "xsd:int"
            } else if TEXTS.contains(&name) {
                "xsd:string"
            } else {
                "xsd:boolean"
            };
            (name, kind)
        })
        .chain(more.iter().copied())
        .collect();
    all.sort_unstable();
    all
}

/// The members of a described object, for a WSDL.
pub(super) fn object_members() -> Vec<(&'static str, &'static str)> {
    let more = [
        ("childRelationships", "tns:ChildRelationship[]"),
        ("fields", "tns:Field[]"),
        ("recordTypeInfos", "tns:RecordTypeInfo[]"),
        ("supportedScopes", "tns:ScopeInfo[]"),
    ];
    typed(OBJECT_KEEP.iter().copied(), &more)
}

/// The members of an object of a global describe.
pub(super) fn summary_members() -> Vec<(&'static str, &'static str)> {
    typed(OBJECT_KEEP.iter().copied(), &[])
}

/// The members of a described field.
pub(super) fn field_members() -> Vec<(&'static str, &'static str)> {
    let more = [
        ("picklistValues", "tns:PicklistEntry[]"),
        ("referenceTo", "xsd:string[]"),
    ];
    let names = [
        "aggregatable",
        "byteLength",
        "calculatedFormula",
        "compoundFieldName",
        "defaultValue",
        "dependentPicklist",
        "filterable",
        "groupable",
        "idLookup",
        "inlineHelpText",
        "length",
        "queryByDistance",
        "relationshipName",
        "restrictedPicklist",
        "searchPrefilterable",
        "soapType",
        "sortable",
        "type",
    ];
    typed(FIELD_KEEP.iter().copied().chain(names), &more)
}

/// The members of a child relationship.
pub(super) fn child_members() -> Vec<(&'static str, &'static str)> {
    let names = [
        "cascadeDelete",
        "childSObject",
        "deprecatedAndHidden",
        "field",
        "relationshipName",
        "restrictedDelete",
    ];
    typed(names.into_iter(), &[])
}

/// The members of a record type.
pub(super) fn record_type_members() -> Vec<(&'static str, &'static str)> {
    let names = [
        "active",
        "available",
        "defaultRecordTypeMapping",
        "developerName",
        "master",
        "name",
        "recordTypeId",
    ];
    typed(names.into_iter(), &[])
}

pub(super) fn keep<'a>(names: &'a [&'a str]) -> impl Iterator<Item = (Arc<str>, Shape)> + 'a {
    names.iter().map(|name| (Arc::from(*name), Shape::Keep))
}

pub(super) fn constant(json: impl Into<Arc<str>>) -> Shape {
    Shape::Constant(json.into())
}

pub(super) fn objects(members: &[&str]) -> Shape {
    Shape::Object(keep(members).collect())
}

pub(super) fn list(element: Shape) -> Shape {
    Shape::Array {
        element: Box::new(element),
        rows: false,
    }
}

pub(super) fn urls() -> Shape {
    Shape::Object(
        URLS.iter()
            .map(|name| (Arc::from(*name), Shape::Link(Link::Origin)))
            .collect(),
    )
}

/// `["a", "b"]` as JSON. Names of objects need no escape, and get one all the same.
fn json_list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    serde_json::to_string(&names).unwrap_or_else(|_| "[]".to_owned())
}

/// The shape of `sobjects/X/describe`.
///
/// `view` says how the caller reads each field of `object`; `readable` whether it reads anything of a field of any
/// object (children and targets of references are only named where it does); `able` what may be done with a field.
pub fn describe_shape(
    catalog: &Catalog,
    object: ObjectId,
    view: &dyn Fn(u32) -> FieldView,
    readable: &dyn Fn(FieldRef) -> bool,
    able: &dyn Fn(FieldRef) -> Abilities,
) -> Shape {
    let describer = Describer {
        catalog,
        object,
        view,
        readable,
        able,
    };
    let fields = describer.fields();
    let mut members: Vec<(Arc<str>, Shape)> = keep(OBJECT_KEEP).collect();
    members.extend([
        ("actionOverrides".into(), constant("[]")),
        ("childRelationships".into(), describer.children()),
        (
            "fields".into(),
            list(Shape::ByName {
                member: "name".into(),
                cases: fields,
            }),
        ),
        ("namedLayoutInfos".into(), constant("[]")),
        ("networkScopeFieldName".into(), constant("null")),
        (
            "recordTypeInfos".into(),
            list(objects(&[
                "active",
                "available",
                "defaultRecordTypeMapping",
                "developerName",
                "master",
                "name",
                "recordTypeId",
            ])),
        ),
        ("supportedScopes".into(), list(objects(&["label", "name"]))),
        ("urls".into(), urls()),
    ]);
    Shape::Object(members)
}

/// An object without its fields, as describeGlobal and `sobjects/X` show it.
pub(super) fn summary() -> Shape {
    let mut entry: Vec<(Arc<str>, Shape)> = keep(OBJECT_KEEP).collect();
    entry.push(("urls".into(), urls()));
    Shape::Object(entry)
}

/// Every object that a describe of `object` may name: itself, its children, the targets of its references.
pub fn described_objects(catalog: &Catalog, object: ObjectId) -> Vec<ObjectId> {
    let known = catalog.get(object);
    let children = known.children.values().filter_map(|c| c.object);
    let targets = known
        .fields
        .iter()
        .flat_map(|f| f.reference_to.iter().filter_map(|(_, id)| *id));
    let mut all: Vec<ObjectId> = children.chain(targets).filter(|o| *o != object).collect();
    all.sort_unstable();
    all.dedup();
    all.insert(0, object);
    all
}

/// The shape of `sobjects`: the objects of `api` that the caller reads anything of.
pub fn describe_global_shape(
    catalog: &Catalog,
    api: &str,
    readable: &dyn Fn(ObjectId) -> bool,
) -> Shape {
    let entry = summary();
    let cases = (0u32..)
        .map(ObjectId)
        .zip(&catalog.objects)
        .filter(|(id, object)| &*object.api == api && readable(*id))
        .map(|(_, object)| (object.name.clone(), entry.clone()))
        .collect();
    Shape::Object(vec![
        ("encoding".into(), Shape::Keep),
        ("maxBatchSize".into(), Shape::Keep),
        (
            "sobjects".into(),
            list(Shape::ByName {
                member: "name".into(),
                cases,
            }),
        ),
    ])
}

/// An object as one caller may see it described.
pub(super) struct Describer<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) object: ObjectId,
    pub(super) view: &'a dyn Fn(u32) -> FieldView,
    pub(super) readable: &'a dyn Fn(FieldRef) -> bool,
    pub(super) able: &'a dyn Fn(FieldRef) -> Abilities,
}

impl Describer<'_> {
    /// The fields that are not hidden, and how each is described.
    pub(super) fn fields(&self) -> Vec<(Arc<str>, Shape)> {
        (0u32..)
            .zip(&self.catalog.get(self.object).fields)
            .filter_map(|(index, field)| {
                let treatment = match (self.view)(index) {
                    FieldView::Hidden => return None,
                    FieldView::Clear => None,
                    FieldView::Treated(treatment) => Some(treatment),
                };
                let able = (self.able)(FieldRef {
                    object: self.object,
                    field: index,
                });
                Some((field.name.clone(), self.field(field, treatment, able)))
            })
            .collect()
    }

    fn reads_any(&self, object: ObjectId) -> bool {
        (0u32..)
            .zip(&self.catalog.get(object).fields)
            .any(|(field, _)| (self.readable)(FieldRef { object, field }))
    }

    /// One entry of `fields`.
    fn field(&self, field: &Field, treatment: Option<Treatment>, able: Abilities) -> Shape {
        let mut members: Vec<(Arc<str>, Shape)> = keep(FIELD_KEEP).collect();
        let mut add = |name: &str, shape: Shape| members.push((name.into(), shape));
        for name in FIELD_EMPTY {
            add(name, constant("null"));
        }
        let compound_shown = field
            .compound
            .is_none_or(|c| (self.view)(c) != FieldView::Hidden);
        add(
            "compoundFieldName",
            if compound_shown {
                Shape::Keep
            } else {
                constant("null")
            },
        );
        // What the CRM can do and the caller may.
        for (name, may) in [
            ("filterable", able.filter),
            ("sortable", able.sort),
            ("groupable", able.group),
            ("aggregatable", able.aggregate),
            ("idLookup", able.key),
        ] {
            let shape = if may { Shape::Keep } else { constant("false") };
            add(name, shape);
        }
        let targets = || {
            let shown = field
                .reference_to
                .iter()
                .filter(|(_, id)| id.is_some_and(|id| self.reads_any(id)))
                .map(|(name, _)| &**name);
            constant(json_list(shown))
        };
        let Some(treatment) = treatment else {
            for name in [
                "byteLength",
                "defaultValue",
                "dependentPicklist",
                "inlineHelpText",
                "length",
                "picklistValues",
                "queryByDistance",
                "relationshipName",
                "restrictedPicklist",
                "searchPrefilterable",
                "soapType",
                "type",
            ] {
                add(name, Shape::Keep);
            }
            let formula_shown = !field.derived_from_unknown
                && field.derived_from.iter().all(|f| (self.readable)(*f));
            add(
                "calculatedFormula",
                if formula_shown {
                    Shape::Keep
                } else {
                    constant("null")
                },
            );
            add("referenceTo", targets());
            return Shape::Object(members);
        };

        for name in ["calculatedFormula", "defaultValue", "inlineHelpText"] {
            add(name, constant("null"));
        }
        add("picklistValues", constant("[]"));
        for name in [
            "dependentPicklist",
            "queryByDistance",
            "restrictedPicklist",
            "searchPrefilterable",
        ] {
            add(name, constant("false"));
        }
        if becomes_text(field, treatment) {
            add("type", constant("\"string\""));
            add("soapType", constant("\"xsd:string\""));
            add("referenceTo", constant("[]"));
            add("relationshipName", constant("null"));
        } else {
            for name in ["type", "soapType", "relationshipName"] {
                add(name, Shape::Keep);
            }
            add("referenceTo", targets());
        }
        match treated_length(field, treatment) {
            Some(length) => {
                add("length", constant(length.to_string()));
                add("byteLength", constant((3 * u64::from(length)).to_string()));
            }
            None => {
                add("length", Shape::Keep);
                add("byteLength", Shape::Keep);
            }
        }
        Shape::Object(members)
    }

    /// `childRelationships`: only those whose reference field the caller reads.
    fn children(&self) -> Shape {
        let mut by_child: Vec<(ObjectId, Vec<Arc<str>>)> = Vec::new();
        for child in self.catalog.get(self.object).children.values() {
            let Some(object) = child.object else { continue };
            let known = self.catalog.get(object);
            let shown = known
                .field(&child.field)
                .is_some_and(|field| (self.readable)(FieldRef { object, field }));
            if !shown {
                continue;
            }
            match by_child.iter_mut().find(|(o, _)| *o == object) {
                Some((_, fields)) if fields.contains(&child.field) => {}
                Some((_, fields)) => fields.push(child.field.clone()),
                None => by_child.push((object, vec![child.field.clone()])),
            }
        }
        by_child.sort_unstable();
        let entry = Shape::Object(
            keep(&[
                "cascadeDelete",
                "childSObject",
                "deprecatedAndHidden",
                "field",
                "relationshipName",
                "restrictedDelete",
            ])
            .chain([
                ("junctionIdListNames".into(), constant("[]")),
                ("junctionReferenceTo".into(), constant("[]")),
            ])
            .collect(),
        );
        let cases = by_child
            .into_iter()
            .map(|(object, fields)| {
                let by_field = Shape::ByName {
                    member: "field".into(),
                    cases: fields.into_iter().map(|f| (f, entry.clone())).collect(),
                };
                (self.catalog.get(object).name.clone(), by_field)
            })
            .collect();
        list(Shape::ByName {
            member: "childSObject".into(),
            cases,
        })
    }
}

/// Whether the treated values are texts that the field's own type does not admit.
fn becomes_text(field: &Field, treatment: Treatment) -> bool {
    let masked = matches!(
        treatment,
        Treatment::MaskLast4 | Treatment::MaskFirst4 | Treatment::MaskEmail | Treatment::MaskAll
    );
    match field.kind {
        FieldType::Text | FieldType::Id | FieldType::Reference => masked || treatment.is_token(),
        _ => treatment.is_token(),
    }
}

/// The longest treated value, in characters, where it may be longer than the field's own.
fn treated_length(field: &Field, treatment: Treatment) -> Option<u32> {
    if treatment.is_token() {
        return Some(field.length.unwrap_or(0).max(255));
    }
    let own = field.length?;
    match treatment {
        Treatment::MaskLast4 | Treatment::MaskFirst4 => Some(own.max(8)),
        // Four stars in place of at least one character of the local part.
        Treatment::MaskEmail => Some(own.saturating_add(4)),
        Treatment::MaskAll => Some(own.max(4)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::protocol::salesforce::tests::catalog;

    fn member<'s>(shape: &'s Shape, name: &str) -> &'s Shape {
        match shape {
            Shape::Object(members) => {
                let found = members.iter().filter(|(k, _)| &**k == name);
                let found: Vec<_> = found.collect();
                assert_eq!(found.len(), 1, "{name}");
                &found[0].1
            }
            Shape::Array { element, .. } => member(element, name),
            Shape::ByName { cases, .. } => {
                &cases
                    .iter()
                    .find(|(k, _)| &**k == name)
                    .unwrap_or_else(|| panic!("{name}"))
                    .1
            }
            other => panic!("{other:?}"),
        }
    }

    fn text(shape: &Shape) -> &str {
        match shape {
            Shape::Constant(json) => json,
            Shape::Keep => "kept",
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn hidden_fields_vanish_and_treated_ones_tell_the_truth() {
        let catalog = catalog();
        let object = catalog.object("salesforce", "Contact").unwrap();
        let known = catalog.get(object);
        let view = |index: u32| match &*known.fields[index as usize].name {
            "Salary__c" => FieldView::Hidden,
            "Email" => FieldView::Treated(Treatment::MaskEmail),
            "Name" => FieldView::Treated(Treatment::Tokenize),
            _ => FieldView::Clear,
        };
        let account = catalog.object("salesforce", "Account").unwrap();
        let case = catalog.object("salesforce", "Case").unwrap();
        // Of what is treated, tokens may be filtered by.
        let able = |f: FieldRef| match &*known.fields[f.field as usize].name {
            "Name" => Abilities {
                filter: true,
                group: true,
                ..Abilities::default()
            },
            _ => Abilities::default(),
        };
        let shape = describe_shape(&catalog, object, &view, &|f| f.object != account, &able);
        let fields = member(&shape, "fields");
        let Shape::Array { element, .. } = fields else {
            panic!()
        };
        let Shape::ByName { cases, .. } = &**element else {
            panic!()
        };
        assert!(!cases.iter().any(|(name, _)| &**name == "Salary__c"));
        let email = member(fields, "Email");
        assert_eq!(text(member(email, "filterable")), "false");
        assert_eq!(text(member(email, "type")), "\"string\"");
        assert_eq!(text(member(email, "picklistValues")), "[]");
        let name = member(fields, "Name");
        assert_eq!(text(member(name, "filterable")), "kept");
        assert_eq!(text(member(name, "sortable")), "false");
        assert_eq!(text(member(name, "length")), "255");
        // An object that the caller reads nothing of is not named.
        assert_eq!(
            text(member(member(fields, "AccountId"), "referenceTo")),
            "[]"
        );
        let children = member(&shape, "childRelationships");
        assert_eq!(
            text(member(
                member(member(children, "Case"), "ContactId"),
                "field"
            )),
            "kept"
        );
        let shape = describe_shape(&catalog, object, &view, &|f| f.object != case, &able);
        let Shape::Array { element, .. } = member(&shape, "childRelationships") else {
            panic!()
        };
        assert!(matches!(&**element, Shape::ByName { cases, .. } if cases.is_empty()));
    }

    #[test]
    fn describe_global_lists_what_is_readable() {
        let catalog = catalog();
        let user = catalog.object("salesforce", "User").unwrap();
        let shape = describe_global_shape(&catalog, "salesforce", &|o| o == user);
        let Shape::Array { element, .. } = member(&shape, "sobjects") else {
            panic!()
        };
        let Shape::ByName { cases, .. } = &**element else {
            panic!()
        };
        assert_eq!(
            cases.iter().map(|(n, _)| &**n).collect::<Vec<_>>(),
            ["User"]
        );
    }
}
