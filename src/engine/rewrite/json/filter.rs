//! Evaluates an RFC 9535 filter on one held value, by jsonpath-rust on a tree.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use jsonpath_rust::parser::model::JpQuery;
use jsonpath_rust::query::js_path_process;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::lex::Fault;
use crate::engine::key;

/// Whether `query`, which is `$[?…]`, selects `value`, which is validated JSON. `None` = cannot be told.
///
/// # Errors
/// [`Fault::Duplicate`] if an object in the value has two members that some consumer takes for one: which of them
/// the filter should see is anyone's guess.
pub(super) fn holds(query: &JpQuery, value: &[u8]) -> Result<Option<bool>, Fault> {
    let duplicate = Cell::new(false);
    let mut deserializer = serde_json::Deserializer::from_slice(value);
    let Ok(tree) = (Tree {
        duplicate: &duplicate,
    })
    .deserialize(&mut deserializer) else {
        return if duplicate.get() {
            Err(Fault::Duplicate)
        } else {
            Ok(None)
        };
    };
    let list = Value::Array(vec![tree]);
    Ok(js_path_process(query, &list)
        .ok()
        .map(|hits| !hits.is_empty()))
}

/// A [`Value`] of distinct keys.
#[derive(Clone, Copy)]
struct Tree<'a> {
    duplicate: &'a Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = seq.next_element_seed(self)? {
            list.push(value);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = serde_json::Map::new();
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if !seen.insert(key::canonical(&name).into_owned()) {
                self.duplicate.set(true);
                return Err(A::Error::custom("duplicate key"));
            }
            members.insert(name, map.next_value_seed(self)?);
        }
        Ok(members.into())
    }
}
