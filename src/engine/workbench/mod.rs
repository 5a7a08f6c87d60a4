//! For people who write policies: what the rules say everywhere, what a change would do, and whether it is what was
//! meant. Every answer comes from the same tables that requests are decided with.

pub mod compare;
pub mod explain;
#[cfg(test)]
mod fixture;
pub mod layout;
pub mod lint;
pub mod matrix;
pub mod request;
pub mod schemas;
pub mod space;
pub mod suite;
pub mod trial;

#[cfg(test)]
mod tests;

use crate::engine::catalog::{Catalog, FieldRef};

/// Every field of the schema.
fn all_fields(catalog: &Catalog) -> Vec<FieldRef> {
    space::objects(catalog)
        .flat_map(|object| {
            (0..catalog.get(object).fields.len() as u32)
                .map(move |field| FieldRef { object, field })
        })
        .collect()
}
