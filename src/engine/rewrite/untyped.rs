//! Values of formats that have text alone: CSV cells and XML elements.

use crate::engine::catalog::ConditionValue;
use crate::engine::treatment::{Prepared, Scalar, Treatment};

/// `text` as the treatment wants it: a number where the treatment is one of numbers and the text is one.
pub(super) fn scalar<'a>(treatment: &Prepared, text: &'a str) -> Scalar<'a> {
    match treatment {
        Prepared::Keyless(Treatment::GeneraliseRange10) if is_number(text) => Scalar::Number(text),
        _ => Scalar::Text(text),
    }
}

/// A number as RFC 8259 writes it, with leading zeros and a plus sign of the exponent allowed.
fn is_number(text: &str) -> bool {
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)))
}

/// Whether `text` is the case's value.
pub(super) fn is_case(case: &ConditionValue, text: &str) -> bool {
    match case {
        ConditionValue::Text(case) | ConditionValue::Number(case) => **case == *text,
        ConditionValue::Bool(case) => text == if *case { "true" } else { "false" },
    }
}
