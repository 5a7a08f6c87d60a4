//! [`RawMap`] × schema → [`ApiMap`]: every object and field that a map names exists.

use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::engine::catalog::{Catalog, FieldRef, ObjectId};

use super::findings::Findings;
use super::parse::Name;
use super::{ApiMap, Body, Fields, ObjectRule, Output, Parameter, RawMap, Route, Writes};
use crate::diagnostic::suggest;

/// Ties the names of `raw` to the objects of `catalog` (whose `maps` are not looked at).
///
/// # Errors
/// Every unknown object and field, with line and column.
pub fn bind(raw: RawMap, catalog: &Catalog) -> Result<ApiMap, Vec<Diagnostic>> {
    let mut binder = Binder {
        api: &raw.api,
        catalog,
        findings: raw.findings,
    };
    let routes: Vec<_> = raw
        .routes
        .into_iter()
        .filter_map(|r| binder.route(r))
        .collect();
    if binder.findings.list.is_empty() {
        Ok(ApiMap {
            error: raw.error,
            routes,
        })
    } else {
        Err(binder.findings.list)
    }
}

struct Binder<'a> {
    api: &'a str,
    catalog: &'a Catalog,
    findings: Findings,
}

impl Binder<'_> {
    fn object(&mut self, name: &Name) -> Option<ObjectId> {
        let found = self.catalog.object(self.api, &name.value);
        if found.is_none() {
            let known: Vec<&str> = self
                .catalog
                .objects
                .iter()
                .filter(|o| &*o.api == self.api)
                .map(|o| &*o.name)
                .collect();
            self.findings.error(
                "unknown-object",
                name.place,
                name.value.chars().count(),
                format!("no object `{}` in schema/{}.json", name.value, self.api),
                suggest(&name.value, &known).unwrap_or_default(),
            );
        }
        if found.is_some_and(|o| self.catalog.get(o).fields.is_empty()) {
            self.findings.error(
                "empty-object",
                name.place,
                name.value.chars().count(),
                format!("the object `{}` has no field", name.value),
                "",
            );
            return None;
        }
        found
    }

    fn field(&mut self, objects: &[ObjectId], name: &Name) -> Option<Fields> {
        let mut out = Vec::new();
        for &object in objects {
            let held = self.catalog.get(object);
            match held.field(&name.value) {
                Some(field) => out.push(FieldRef { object, field }),
                None => {
                    let known: Vec<&str> = held.fields.iter().map(|f| &*f.name).collect();
                    self.findings.error(
                        "unknown-field",
                        name.place,
                        name.value.chars().count(),
                        format!(
                            "no field `{}` in `{}` of schema/{}.json",
                            name.value, held.name, self.api
                        ),
                        suggest(&name.value, &known).unwrap_or_default(),
                    );
                }
            }
        }
        (out.len() == objects.len()).then(|| out.into_boxed_slice())
    }

    fn route(&mut self, route: Route<Name, Name>) -> Option<Route<Fields, ObjectId>> {
        let object = match route.object {
            ObjectRule::Fixed(name) => ObjectRule::Fixed(self.object(&name)?),
            ObjectRule::At { at, is } => {
                let due = is.len();
                let is: Vec<_> = is
                    .into_iter()
                    .filter_map(|(value, name)| Some((value, self.object(&name)?)))
                    .collect();
                if is.len() != due {
                    return None;
                }
                ObjectRule::At { at, is }
            }
        };
        let objects: Vec<ObjectId> = match &object {
            ObjectRule::Fixed(o) => vec![*o],
            ObjectRule::At { is, .. } => is.iter().map(|(_, o)| *o).collect(),
        };
        let parameters = self.parameters(&objects, route.parameters);
        let path_parameters = self.parameters(&objects, route.path_parameters);
        let body = route.body.map(|b| self.body(&objects, b));
        let fields = match route.fields {
            Output::Asked => Output::Asked,
            Output::Declared(list) => Output::Declared(
                list.into_iter()
                    .filter_map(|(name, path)| Some((self.field(&objects, &name)?, path)))
                    .collect(),
            ),
        };
        Some(Route {
            id: route.id,
            method: route.method,
            path: route.path,
            action: route.action,
            object,
            parameters,
            path_parameters,
            body,
            framing: route.framing,
            document: route.document,
            records: route.records,
            fields,
            envelope: route.envelope,
            links: route.links,
        })
    }

    fn parameters(
        &mut self,
        objects: &[ObjectId],
        list: Vec<(Arc<str>, Parameter<Name>)>,
    ) -> Vec<(Arc<str>, Parameter<Fields>)> {
        list.into_iter()
            .map(|(name, parameter)| {
                let parameter = match parameter {
                    Parameter::None => Parameter::None,
                    Parameter::Evaluate {
                        action,
                        comparison,
                        fields,
                    } => Parameter::Evaluate {
                        action,
                        comparison,
                        fields: fields
                            .iter()
                            .filter_map(|f| self.field(objects, f))
                            .collect(),
                    },
                    Parameter::Choose {
                        action,
                        comparison,
                        words,
                    } => Parameter::Choose {
                        action,
                        comparison,
                        words: self.words(objects, words),
                    },
                    Parameter::Output { words } => Parameter::Output {
                        words: self.words(objects, words),
                    },
                };
                (name, parameter)
            })
            .collect()
    }

    fn words(
        &mut self,
        objects: &[ObjectId],
        words: Vec<(Arc<str>, Name)>,
    ) -> Vec<(Arc<str>, Fields)> {
        words
            .into_iter()
            .filter_map(|(value, name)| Some((value, self.field(objects, &name)?)))
            .collect()
    }

    fn body(&mut self, objects: &[ObjectId], body: Body<Name>) -> Body<Fields> {
        Body {
            outputs: body.outputs,
            filters: body.filters,
            writes: body.writes.map(|w| Writes {
                records: w.records,
                fields: w
                    .fields
                    .into_iter()
                    .filter_map(|(name, path)| Some((self.field(objects, &name)?, path)))
                    .collect(),
            }),
            require: body.require,
            ignore: body.ignore,
        }
    }
}
