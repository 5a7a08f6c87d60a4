//! WHERE, GROUP BY, HAVING, ORDER BY: every field that a query evaluates.

use crate::engine::protocol::{Action, Comparison, Literal, Use};
use crate::engine::refusal::Refusal;

use super::super::soql::ast::{
    Call, Condition, Expr, Function, Item, ItemKind, Operand, Operator, Query, Value,
};
use super::{Level, Resolver, malformed, refuse_clauses};

impl Resolver<'_> {
    /// `COUNT()` is an aggregate of Id.
    pub(super) fn count_rows(&mut self, level: &Level) -> Result<(), Refusal> {
        let fields = self.fields(&[level.object], "Id", "Id")?;
        let template = Use {
            field: fields[0],
            action: Action::Aggregate,
            written: "Id".into(),
            comparison: Comparison::Identity,
            values: Vec::new(),
            named: true,
        };
        self.push_uses(&fields, template);
        Ok(())
    }

    /// WHERE, GROUP BY, HAVING, ORDER BY.
    pub(super) fn clauses(
        &mut self,
        query: &mut Query,
        level: &Level,
        negated: bool,
        aggregate: bool,
    ) -> Result<(), Refusal> {
        self.using_scope(query, level)?;
        if let Some(filter) = &mut query.filter {
            self.condition(level, filter, negated, false)?;
        }
        if let Some(group) = &mut query.group {
            for key in &mut group.keys {
                match key {
                    Expr::Path(path) => {
                        self.evaluate(
                            level,
                            path,
                            &[(Action::Group, Comparison::Identity)],
                            Vec::new(),
                        )?;
                    }
                    Expr::Call(call) if call.aggregate().is_none() => {
                        for path in call.paths_mut() {
                            self.evaluate(
                                level,
                                path,
                                &[(Action::Group, Comparison::Other)],
                                Vec::new(),
                            )?;
                        }
                    }
                    Expr::Call(_) => return Err(malformed("GROUP BY takes no aggregate")),
                }
            }
        }
        if let Some(having) = &mut query.having {
            self.condition(level, having, negated, true)?;
        }
        for order in &mut query.order {
            match &mut order.by {
                Expr::Path(path) => {
                    self.evaluate(
                        level,
                        path,
                        &[(Action::Sort, Comparison::Other)],
                        Vec::new(),
                    )?;
                }
                Expr::Call(call) => self.evaluate_call(level, call, Action::Sort, aggregate)?,
            }
        }
        Ok(())
    }

    /// A function in a predicate or in ORDER BY.
    fn evaluate_call(
        &mut self,
        level: &Level,
        call: &mut Call,
        action: Action,
        aggregates: bool,
    ) -> Result<(), Refusal> {
        let own = (action, Comparison::Other);
        let actions = match call.aggregate() {
            None => vec![own],
            Some(_) if !aggregates => {
                return Err(malformed(format!(
                    "{} can not stand here",
                    call.function.text()
                )));
            }
            // Counting shows no value; comparing or sorting a sum or an extreme evaluates the field itself.
            Some((Function::Count, true)) if call.paths_mut().is_empty() => {
                return self.count_rows(level);
            }
            Some((Function::Count | Function::CountDistinct, true)) => {
                vec![(Action::Aggregate, Comparison::Identity)]
            }
            Some((Function::Grouping, _)) => vec![(Action::Group, Comparison::Identity)],
            Some(_) => vec![(Action::Aggregate, Comparison::Other), own],
        };
        for path in call.paths_mut() {
            self.evaluate(level, path, &actions, Vec::new())?;
        }
        Ok(())
    }

    fn condition(
        &mut self,
        level: &Level,
        condition: &mut Condition,
        negated: bool,
        having: bool,
    ) -> Result<(), Refusal> {
        let compare = match condition {
            Condition::And(parts) | Condition::Or(parts) => {
                return parts
                    .iter_mut()
                    .try_for_each(|part| self.condition(level, part, negated, having));
            }
            Condition::Not(part) => return self.condition(level, part, true, having),
            Condition::Compare(compare) => compare,
        };
        let equality = !negated && matches!(compare.operator, Operator::Equal | Operator::In);
        let (values, comparison) = match &compare.right {
            Operand::Value(v) => (vec![literal(v)], equality),
            Operand::List(list) => (list.iter().map(literal).collect(), equality),
            Operand::Query(_) => (Vec::new(), false),
        };
        let comparison = if comparison {
            Comparison::Equality
        } else {
            Comparison::Other
        };
        match &mut compare.left {
            Expr::Path(path) => {
                self.evaluate(level, path, &[(Action::Filter, comparison)], values)?;
            }
            Expr::Call(call) => self.evaluate_call(level, call, Action::Filter, having)?,
        }
        if let Operand::Query(query) = &mut compare.right {
            let negated = negated || compare.operator == Operator::NotIn;
            self.semi_join(query, negated)?;
        }
        Ok(())
    }

    /// `IN (SELECT …)`: what it selects is evaluated, not put out.
    fn semi_join(&mut self, query: &mut Query, negated: bool) -> Result<(), Refusal> {
        refuse_clauses(query)?;
        if query.group.is_some()
            || query.having.is_some()
            || !query.order.is_empty()
            || query.limit.is_some()
            || query.offset.is_some()
        {
            return Err(malformed("a semi-join takes SELECT, FROM and WHERE only"));
        }
        let [name] = &*query.from.path.segments else {
            return Err(malformed("FROM takes one object"));
        };
        let name = name.clone();
        let object = self
            .catalog
            .object(self.api, &name)
            .ok_or_else(|| Refusal::unknown_object(&name))?;
        self.name_object(object, &name);
        let level = self.level(object, vec![name], query)?;
        self.new_list(query);
        let [
            Item {
                kind: ItemKind::Expr(Expr::Path(path)),
                alias: None,
                ..
            },
        ] = &mut *query.select
        else {
            return Err(malformed("a semi-join selects one field"));
        };
        self.evaluate(
            &level,
            path,
            &[(Action::Filter, Comparison::Other)],
            Vec::new(),
        )?;
        self.clauses(query, &level, negated, false)
    }
}

/// The literal as plan and policy see it.
pub(in super::super) fn literal(value: &Value) -> Literal {
    match value {
        Value::Null => Literal::Null,
        Value::Text(t) | Value::Pattern(t) => Literal::Text(t.clone()),
        Value::Bool(b) => Literal::Other(b.to_string()),
        Value::Word(w) => Literal::Other(w.to_string()),
    }
}
