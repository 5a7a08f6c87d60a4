//! Which fields the rules can tell apart. Fields of one cell get one answer in every context, so Casbin is asked once
//! for all of them, with only the rules that reach them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::rules::{Rule, What, is_inside};
use crate::engine::catalog::{Catalog, FieldRef, ObjectId};

/// Fields with one class that the same rules reach; or one object as a whole, for `delete`.
pub(super) type CellId = u32;

/// Fields of one class, as every layer sees it.
pub(super) type Likeness = u32;

/// One cell.
pub(super) struct Cell {
    /// `None` = an object as a whole.
    pub(super) likeness: Option<Likeness>,
    /// What Casbin is asked about: the first field of the cell.
    pub(super) field: Option<FieldRef>,
    pub(super) object: ObjectId,
    /// Indices of the rules that reach it, ascending.
    pub(super) rules: Arc<[u32]>,
}

/// The cells of one policy version.
#[derive(Default)]
pub(super) struct Partition {
    cells: Vec<Cell>,
    /// Per object, per field.
    of_fields: Vec<Vec<CellId>>,
    /// Per object.
    of_objects: Vec<CellId>,
    /// Per object: those whose records vary alike have one number.
    shapes: Vec<u32>,
}

/// Class, and the classes that packs give.
type Classes = (Arc<str>, Vec<Arc<str>>);

/// A record condition: its name, whether it is the data region, its values.
type Varying = (Arc<str>, bool, Vec<Arc<str>>);

impl Partition {
    pub(super) fn new(catalog: &Catalog, rules: &[Rule]) -> Self {
        let mut by_class: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        let mut by_object: HashMap<ObjectId, Vec<u32>> = HashMap::new();
        let mut by_field: HashMap<FieldRef, Vec<u32>> = HashMap::new();
        let mut everywhere: Vec<u32> = Vec::new();
        for (i, rule) in rules.iter().enumerate() {
            let i = i as u32;
            match &rule.what {
                What::All => everywhere.push(i),
                What::Object(o) => by_object.entry(*o).or_default().push(i),
                What::Field(f) => by_field.entry(*f).or_default().push(i),
                What::Class(c) => by_class.entry(c).or_default().push(i),
            }
        }
        let mut packs: Vec<&Arc<HashMap<FieldRef, Arc<str>>>> = Vec::new();
        for rule in rules {
            if !rule.classes.is_empty() && !packs.iter().any(|p| Arc::ptr_eq(p, &rule.classes)) {
                packs.push(&rule.classes);
            }
        }
        let none = Vec::new();
        let mut this = Self::default();
        let mut likenesses: HashMap<Classes, Likeness> = HashMap::new();
        let mut known: HashMap<(Likeness, Vec<u32>), CellId> = HashMap::new();
        let mut shapes: Vec<Vec<Varying>> = Vec::new();
        for (o, object) in catalog.objects.iter().enumerate() {
            let id = ObjectId(o as u32);
            let mut cells = Vec::with_capacity(object.fields.len());
            for (f, field) in object.fields.iter().enumerate() {
                let at = FieldRef {
                    object: id,
                    field: f as u32,
                };
                let given: Vec<Arc<str>> =
                    packs.iter().filter_map(|p| p.get(&at).cloned()).collect();
                let named = by_class
                    .iter()
                    .filter(|(c, _)| {
                        is_inside(&field.class, c) || given.iter().any(|g| is_inside(g, c))
                    })
                    .flat_map(|(_, rules)| rules);
                let mut reach: Vec<u32> = everywhere
                    .iter()
                    .chain(by_object.get(&id).unwrap_or(&none))
                    .chain(by_field.get(&at).unwrap_or(&none))
                    .chain(named)
                    .copied()
                    .filter(|i| rules[*i as usize].reaches(catalog, at))
                    .collect();
                reach.sort_unstable();
                let next = this.cells.len() as CellId;
                let new = likenesses.len() as Likeness;
                let likeness = *likenesses
                    .entry((field.class.clone(), given))
                    .or_insert(new);
                let cell = *known.entry((likeness, reach.clone())).or_insert(next);
                if cell == next {
                    this.cells.push(Cell {
                        likeness: Some(likeness),
                        field: Some(at),
                        object: id,
                        rules: reach.into(),
                    });
                }
                cells.push(cell);
            }
            this.of_fields.push(cells);
            let mut reach: Vec<u32> = everywhere
                .iter()
                .chain(by_object.get(&id).unwrap_or(&none))
                .copied()
                .collect();
            reach.sort_unstable();
            this.of_objects.push(this.cells.len() as CellId);
            this.cells.push(Cell {
                likeness: None,
                field: None,
                object: id,
                rules: reach.into(),
            });
            let shape: Vec<Varying> = object
                .conditions
                .iter()
                .map(|c| {
                    let values = c.values.iter().map(|(v, _)| v.clone()).collect();
                    (c.name.clone(), c.is_region, values)
                })
                .collect();
            let index = shapes.iter().position(|s| *s == shape).unwrap_or_else(|| {
                shapes.push(shape);
                shapes.len() - 1
            });
            this.shapes.push(index as u32);
        }
        this
    }

    pub(super) fn field(&self, field: FieldRef) -> CellId {
        self.of_fields[field.object.0 as usize][field.field as usize]
    }

    pub(super) fn object(&self, object: ObjectId) -> CellId {
        self.of_objects[object.0 as usize]
    }

    pub(super) fn cell(&self, cell: CellId) -> &Cell {
        &self.cells[cell as usize]
    }

    pub(super) fn shape(&self, object: ObjectId) -> u32 {
        self.shapes[object.0 as usize]
    }
}
