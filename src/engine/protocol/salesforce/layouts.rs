//! Shapes of page, compact and approval layouts: of the fields in them only those that the caller reads.

use std::sync::Arc;

use crate::engine::catalog::{Catalog, FieldRef, ObjectId};
use crate::engine::protocol::Shape;

use super::describe::{Abilities, Describer, FieldView, constant, keep, list, objects};

/// The shape of `sobjects/X/describe/layouts`, of its compact and approval kin, and (`by_object`) of
/// `compactLayouts?q=X,Y`.
///
/// An item stands for its field: its own label is emptied, since it would name a field that is not there, and what it
/// holds beside fields (pages, charts, buttons, related lists, quick actions) is left out. `view`, `readable` and `able`
/// as in [`describe_shape`](super::describe::describe_shape).
pub fn layouts_shape(
    catalog: &Catalog,
    of: &[ObjectId],
    by_object: bool,
    view: &dyn Fn(FieldRef) -> FieldView,
    readable: &dyn Fn(FieldRef) -> bool,
    able: &dyn Fn(FieldRef) -> Abilities,
) -> Shape {
    let one = |object: ObjectId| {
        let own = |field| view(FieldRef { object, field });
        let fields = Describer {
            catalog,
            object,
            view: &own,
            readable,
            able,
        }
        .fields();
        items(fields)
    };
    if by_object {
        let members = of
            .iter()
            .map(|object| (catalog.get(*object).name.clone(), compact(&one(*object))))
            .collect();
        return Shape::Object(members);
    }
    let Some(items) = of.first().map(|object| one(*object)) else {
        return Shape::Drop;
    };
    let sections = list(with(
        &[
            "collapsed",
            "columns",
            "heading",
            "layoutSectionId",
            "parentLayoutId",
            "rows",
            "tabOrder",
            "useCollapsibleSection",
            "useHeading",
        ],
        vec![(
            "layoutRows",
            list(with(&["numItems"], vec![("layoutItems", items.clone())])),
        )],
    ));
    let layout = with(
        &["id", "name"],
        vec![
            ("detailLayoutSections", sections.clone()),
            ("editLayoutSections", sections.clone()),
            ("relatedLists", constant("[]")),
            ("offlineLinks", constant("[]")),
        ],
    );
    let approval = with(
        &["id", "name", "label"],
        vec![("layoutItems", items.clone())],
    );
    with(
        &["defaultCompactLayoutId", "recordTypeSelectorRequired"],
        vec![
            ("layouts", list(layout)),
            // The layout of one record type comes alone.
            ("id", Shape::Keep),
            ("name", Shape::Keep),
            ("detailLayoutSections", sections.clone()),
            ("editLayoutSections", sections),
            ("relatedLists", constant("[]")),
            ("offlineLinks", constant("[]")),
            ("compactLayouts", list(compact(&items))),
            ("approvalLayouts", list(approval)),
            (
                "recordTypeMappings",
                list(objects(&[
                    "active",
                    "available",
                    "defaultRecordTypeMapping",
                    "developerName",
                    "layoutId",
                    "master",
                    "name",
                    "recordTypeId",
                ])),
            ),
            (
                "recordTypeCompactLayoutMappings",
                list(objects(&[
                    "available",
                    "compactLayoutId",
                    "compactLayoutName",
                    "recordTypeId",
                    "recordTypeName",
                ])),
            ),
        ],
    )
}

fn with(kept: &[&str], more: Vec<(&str, Shape)>) -> Shape {
    let more = more
        .into_iter()
        .map(|(name, shape)| (Arc::from(name), shape));
    Shape::Object(keep(kept).chain(more).collect())
}

fn compact(items: &Shape) -> Shape {
    with(
        &["id", "label", "name", "objectType"],
        vec![
            ("actions", constant("[]")),
            ("fieldItems", items.clone()),
            ("imageItems", constant("[]")),
        ],
    )
}

/// Items of a layout: each field by its name, in a component or as a part of one.
fn items(fields: Vec<(Arc<str>, Shape)>) -> Shape {
    let cases = fields
        .into_iter()
        .map(|(name, field)| {
            let component = with(
                &["displayLines", "tabOrder", "type", "value", "fieldType"],
                vec![("components", constant("[]")), ("details", field)],
            );
            (name, component)
        })
        .collect();
    list(with(
        &[
            "editableForNew",
            "editableForUpdate",
            "placeholder",
            "required",
        ],
        vec![
            ("label", constant("\"\"")),
            (
                "layoutComponents",
                list(Shape::ByName {
                    member: "value".into(),
                    cases,
                }),
            ),
        ],
    ))
}
