//! Tokens of the request → values, and masks refused.

use std::sync::Arc;

use crate::engine::catalog::Catalog;
use crate::engine::policy::{Decision, Verdict};
use crate::engine::protocol::{Action, Comparison, Literal, Use};
use crate::engine::refusal::{Reason, Refusal};
use crate::engine::token::{self, KeyRing, Tokenizer};
use crate::engine::treatment::{Resolver, Scalar, Treated};

/// The literals that go upstream in place of `used.values`; `None` = as written.
pub(super) fn resolve(
    used: &Use,
    verdict: &Verdict,
    decision: &Decision,
    catalog: &Catalog,
    keys: &KeyRing,
    tenant: &str,
) -> Result<Option<Vec<Literal>>, Refusal> {
    if let Verdict::Refuse(refusal) = verdict {
        return Err(refusal.clone());
    }
    if used.values.is_empty() {
        // Only equality carries values and, where the field reads as a token, only tokens answer it.
        return match verdict {
            Verdict::PermitTokens(_) if used.comparison != Comparison::Identity => {
                Err(evaluated(used))
            }
            _ => Ok(None),
        };
    }
    let values = Values::new(used, verdict, decision, catalog, keys, tenant, None);
    if values.how == How::AsWritten {
        return Ok(None);
    }
    used.values
        .iter()
        .map(|value| values.one(value).ok_or_else(|| values.refused(value)))
        .collect::<Result<Vec<_>, _>>()
        .map(Some)
}

/// How the values of a use go upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// As they are.
    AsWritten,
    /// Tokens turned back; all else is refused.
    Tokens,
    /// Tokens turned back, null as it is; all else is refused.
    NullOrTokens,
    /// Tokens turned back, masks and foreign tokens refused, all else as it is.
    Written,
    /// As [`How::Written`]; the caller reads the field in clear, so that its values may look like masks.
    WrittenClear,
    /// Tokens turned back, all else as it is.
    Compared,
    /// All are refused.
    Nothing,
}

/// The values of one use, judged one by one.
#[derive(Debug)]
pub(super) struct Values {
    how: How,
    tokenizer: Option<Arc<Tokenizer>>,
    /// What stands for null.
    null: Option<Arc<str>>,
    action: Action,
    written: Arc<str>,
    rules: Arc<[Arc<str>]>,
    /// A lookup: what is not found says no more.
    lookup: bool,
    /// The object's name, where the caller does not see the field: it is answered as if it were not there.
    hidden_on: Option<Arc<str>>,
}

impl Values {
    /// The values of `used` under its verdict. `null`: a text that stands for null.
    pub(super) fn new(
        used: &Use,
        verdict: &Verdict,
        decision: &Decision,
        catalog: &Catalog,
        keys: &KeyRing,
        tenant: &str,
        null: Option<Arc<str>>,
    ) -> Self {
        let reads_clear = decision.read(used.field).is_some_and(|r| r.is_clear());
        let how = match verdict {
            Verdict::PermitTokens(_) => How::Tokens,
            Verdict::PermitNullOrTokens(_) => How::NullOrTokens,
            Verdict::Permit(_) if used.action == Action::Write && reads_clear => How::WrittenClear,
            Verdict::Permit(_) if used.action == Action::Write => How::Written,
            // A clear field may hold anything, tokens of ours included: compared as written.
            Verdict::Permit(_) if reads_clear => How::AsWritten,
            // A row allows the comparison; the caller may still know the values by their tokens alone.
            Verdict::Permit(_) => How::Compared,
            // Lookup by record id: a read of Id that carries the id.
            Verdict::Output(ruling) if ruling.is_clear() => How::AsWritten,
            Verdict::Output(ruling)
                if ruling.is_uniform() && ruling.under(0).treatment.is_token() =>
            {
                How::Tokens
            }
            Verdict::Output(_) | Verdict::Refuse(_) => How::Nothing,
        };
        let class = &catalog.field(used.field).class;
        let fold = catalog
            .vocabulary
            .classes
            .get(class)
            .is_some_and(|c| c.fold_local_part);
        Self {
            how,
            tokenizer: decision
                .scope
                .as_ref()
                .map(|scope| keys.tokenizer(tenant, scope, class, fold)),
            null,
            action: used.action,
            written: used.written.clone(),
            rules: match verdict {
                Verdict::PermitNullOrTokens(rules) => rules.iter().cloned().collect(),
                _ => Arc::default(),
            },
            lookup: matches!(verdict, Verdict::Output(_)),
            hidden_on: decision
                .read(used.field)
                .is_none_or(|r| r.is_hidden())
                .then(|| catalog.get(used.field.object).name.clone()),
        }
    }

    fn open(&self, literal: &Literal) -> Option<Literal> {
        let (Literal::Text(text), Some(tokenizer)) = (literal, &self.tokenizer) else {
            return None;
        };
        tokenizer.open(text).map(Literal::Text)
    }

    /// What goes upstream for one value; `None` = it is refused.
    fn one(&self, value: &Literal) -> Option<Literal> {
        let as_it_is = || Some(value.clone());
        match self.how {
            How::AsWritten => as_it_is(),
            How::Nothing => None,
            How::Tokens => self.open(value),
            How::NullOrTokens if *value == Literal::Null => as_it_is(),
            How::NullOrTokens => self.open(value),
            How::Compared => self.open(value).or_else(as_it_is),
            // A token of another scope or class never becomes data; a mask never overwrites what it hid.
            How::Written | How::WrittenClear => match self.open(value) {
                Some(value) => Some(value),
                None if is_token(value) || (self.how == How::Written && is_treated(value)) => None,
                None => as_it_is(),
            },
        }
    }

    /// Why `value` is refused.
    fn refused(&self, value: &Literal) -> Refusal {
        match self.how {
            How::Tokens | How::Nothing if self.lookup => not_found(),
            How::Tokens | How::Nothing => evaluated_by(self.action, &self.written),
            How::NullOrTokens if !is_treated(value) || self.hidden_on.is_some() => {
                self.unwritable()
            }
            _ => integrity(&self.written),
        }
    }

    fn unwritable(&self) -> Refusal {
        if let Some(object) = &self.hidden_on {
            return Refusal::unknown_field(&self.written, object);
        }
        let refusal = Refusal::new(
            Reason::Denied,
            format!("insufficient access to write field '{}'", self.written),
        );
        match self.rules.first() {
            Some(rule) => refusal.by_rule(rule.clone()),
            None => refusal,
        }
    }

    /// What a document is refused with in which a value of this use may not go upstream.
    pub(super) fn refusal(&self) -> Refusal {
        match self.how {
            How::NullOrTokens => self.unwritable(),
            _ => self.refused(&Literal::Null),
        }
    }
}

impl Resolver for Values {
    fn resolve<'b>(&self, value: Scalar<'_>, buf: &'b mut String) -> Treated<'b> {
        let literal = match value {
            Scalar::Null => Literal::Null,
            Scalar::Text(text) if self.null.as_deref() == Some(text) => Literal::Null,
            // Text that is neither token nor mask needs no copy.
            Scalar::Text(text)
                if matches!(self.how, How::Written | How::WrittenClear)
                    && !token::looks_treated(text) =>
            {
                return Treated::Same;
            }
            Scalar::Text(text) => Literal::Text(text.to_owned()),
            Scalar::Bool(true) => Literal::Other("true".to_owned()),
            Scalar::Bool(false) => Literal::Other("false".to_owned()),
            Scalar::Number(number) => Literal::Other(number.to_owned()),
            Scalar::Container => return Treated::Refused,
        };
        match self.one(&literal) {
            None => Treated::Refused,
            Some(same) if same == literal => Treated::Same,
            Some(Literal::Text(text)) => {
                buf.push_str(&text);
                Treated::Text(buf)
            }
            Some(Literal::Null | Literal::Other(_)) => Treated::Refused,
        }
    }
}

/// Refuses every value of a field that is not written, null too.
#[derive(Debug)]
pub(super) struct Refusing;

impl Resolver for Refusing {
    fn resolve<'b>(&self, _: Scalar<'_>, _: &'b mut String) -> Treated<'b> {
        Treated::Refused
    }
}

fn is_treated(literal: &Literal) -> bool {
    matches!(literal, Literal::Text(text) if token::looks_treated(text))
}

fn is_token(literal: &Literal) -> bool {
    matches!(literal, Literal::Text(text) if text.starts_with("tk1.") && token::looks_treated(text))
}

fn not_found() -> Refusal {
    Refusal::new(Reason::UnknownPath, "The requested resource does not exist")
}

fn integrity(written: &str) -> Refusal {
    Refusal::new(
        Reason::IntegrityException,
        format!(
            "the value for field '{written}' is a mask or a foreign token and can not be written back"
        ),
    )
}

fn evaluated(used: &Use) -> Refusal {
    evaluated_by(used.action, &used.written)
}

fn evaluated_by(action: Action, written: &str) -> Refusal {
    let what = match action {
        Action::Sort => "sorted",
        Action::Group => "grouped",
        Action::Aggregate => "aggregated",
        Action::Search => "searched",
        Action::Key => "used as a key",
        _ => "filtered",
    };
    Refusal::new(
        Reason::TreatedFieldEvaluated,
        format!("field '{written}' can not be {what} in a query call"),
    )
}
