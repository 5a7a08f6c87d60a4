//! SOSL × schema → uses and shapes: the fields that a search looks into, and what it puts out of each object.

use std::sync::Arc;

use crate::engine::catalog::{Catalog, Field, FieldRef, FieldType, Object, ObjectId};
use crate::engine::protocol::{Action, Comparison, RecordShape, Use};
use crate::engine::refusal::{Reason, Refusal};
use crate::engine::token;

use super::super::sosl::ast::{Returning, Scope as Fields, Search, Term, With};
use super::{Binding, Followed, Resolver, Scope, Stopped, malformed};

/// A search, understood.
#[derive(Debug)]
pub(in super::super) struct Searched {
    /// With the slots of its paths and field lists filled in.
    pub(in super::super) search: Search,
    pub(in super::super) uses: Vec<Use>,
    pub(in super::super) objects: Vec<ObjectId>,
    pub(in super::super) written: Vec<(ObjectId, Arc<str>)>,
    pub(in super::super) bindings: Vec<Binding>,
    pub(in super::super) scopes: Vec<Scope>,
    pub(in super::super) followed: Followed,
    /// One per object of RETURNING.
    pub(in super::super) records: Vec<RecordShape>,
    /// What snippets and highlights show, where they are asked for: every field that is searched, as an output.
    pub(in super::super) marked: Option<Vec<usize>>,
}

/// Traces `search`.
///
/// # Errors
/// Unknown objects, relationships and fields, and clauses that are refused by name.
pub(in super::super) fn resolve_search(
    catalog: &Catalog,
    api: &str,
    mut search: Search,
) -> Result<Searched, Box<Stopped>> {
    let mut resolver = Resolver::new(catalog, api);
    let marks = search
        .with
        .iter()
        .any(|w| matches!(w, With::Snippet(_) | With::Highlight));
    let mut marked = marks.then(Vec::new);
    let records = match resolver.search(&mut search, marked.as_mut()) {
        Ok(records) => records,
        Err(refusal) => return Err(Box::new(resolver.stopped(refusal))),
    };
    Ok(Searched {
        search,
        uses: resolver.uses,
        objects: resolver.objects,
        written: resolver.written,
        bindings: resolver.bindings,
        scopes: resolver.scopes,
        followed: resolver.followed,
        records,
        marked,
    })
}

/// A search finds parts of values; a token or a mask is none.
pub(in super::super) fn check_term(term: &Term) -> Result<(), Refusal> {
    let treated = term.texts().any(|text| {
        text.split(char::is_whitespace).any(|word| {
            token::looks_treated(word) || token::looks_treated(word.trim_end_matches(['*', '?']))
        })
    });
    if treated {
        return Err(Refusal::new(
            Reason::TreatedFieldEvaluated,
            "a token or a mask can not be searched in a search call",
        ));
    }
    Ok(())
}

fn refuse_clauses(search: &Search) -> Result<(), Refusal> {
    for with in &search.with {
        let clause = match with {
            With::Division(_) => "WITH DIVISION",
            With::DataCategory(_) => "WITH DATA CATEGORY",
            With::Network(_) => "WITH NETWORK",
            With::Pricebook(_) => "WITH PRICEBOOKID",
            With::SystemMode => "WITH SYSTEM_MODE",
            With::MetadataLabels
            | With::Snippet(_)
            | With::Highlight
            | With::SpellCorrection(_)
            | With::UserMode => continue,
        };
        return Err(malformed(format!("{clause} is not supported")));
    }
    if !search.updates.is_empty() {
        return Err(malformed(
            "UPDATE TRACKING and UPDATE VIEWSTAT are not supported",
        ));
    }
    if search.returning.is_empty() {
        return Err(malformed(
            "RETURNING is needed: a search names the objects that it looks into",
        ));
    }
    Ok(())
}

/// Whether `field` holds text that the CRM may have indexed for searching, whatever the scope: files by their content,
/// numbers as external ids.
fn is_searchable(field: &Field) -> bool {
    matches!(
        field.kind,
        FieldType::Text | FieldType::Number | FieldType::Blob | FieldType::Other
    )
}

/// The fields of `object` that a search in `scope` may look into. A scope that names none of them is judged as all.
fn searched(object: &Object, scope: Fields) -> Vec<u32> {
    let all = || (0u32..).zip(&object.fields);
    let name = all().find(|(_, f)| f.name_field).map(|(i, _)| i);
    let wanted = |field: &Field| match scope {
        Fields::All | Fields::Sidebar => is_searchable(field),
        Fields::Name => field.name_field || name.is_some() && field.compound == name,
        Fields::Email => &*field.type_word == "email",
        Fields::Phone => &*field.type_word == "phone",
    };
    let found: Vec<u32> = all().filter(|(_, f)| wanted(f)).map(|(i, _)| i).collect();
    if found.is_empty() {
        return all()
            .filter(|(_, f)| is_searchable(f))
            .map(|(i, _)| i)
            .collect();
    }
    found
}

impl Resolver<'_> {
    fn search(
        &mut self,
        search: &mut Search,
        mut marked: Option<&mut Vec<usize>>,
    ) -> Result<Vec<RecordShape>, Refusal> {
        refuse_clauses(search)?;
        check_term(&search.term)?;
        let mut records = Vec::with_capacity(search.returning.len());
        let mut seen: Vec<ObjectId> = Vec::new();
        for Returning {
            query, list_view, ..
        } in &mut search.returning
        {
            let [name] = &*query.from.path.segments else {
                return Err(malformed("RETURNING takes objects"));
            };
            let name = name.clone();
            let object = self
                .catalog
                .object(self.api, &name)
                .ok_or_else(|| Refusal::unknown_object(&name))?;
            self.name_object(object, &name);
            if seen.contains(&object) {
                return Err(malformed(format!("RETURNING names {name} twice")));
            }
            seen.push(object);
            if list_view.is_some() {
                return Err(malformed("USING ListView is not supported"));
            }
            let level = self.level(object, vec![name], query)?;
            let scope: Arc<str> = format!("{} FIELDS", search.scope.text()).into();
            for field in searched(self.catalog.get(object), search.scope) {
                let field = FieldRef { object, field };
                self.uses.push(Use {
                    field,
                    action: Action::Search,
                    written: scope.clone(),
                    comparison: Comparison::Other,
                    values: Vec::new(),
                    named: false,
                });
                if let Some(marked) = &mut marked {
                    let name = self.catalog.field(field).name.clone();
                    marked.extend(self.push_outputs(&[field], name, false));
                }
            }
            self.new_list(query);
            records.push(self.plain_row(query, &level)?);
            self.clauses(query, &level, false, false)?;
        }
        Ok(records)
    }
}
