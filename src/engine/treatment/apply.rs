//! Carries out a treatment on one value (design section 5, "Exact results").

use crate::engine::token::long_record_id;

use super::{Prepared, Scalar, Treated, Treatment};

/// Shortest text of which a mask shows a part, in characters.
const SHOWN_CHARS_MIN: usize = 9;

/// Most digits that a generalised number may have; a longer one becomes null.
const DIGITS_MAX: usize = 1024;

const STARS: &str = "****";

impl Prepared {
    /// What stands in place of `value`. `buf` is scratch space that the result may borrow from; what it held is lost.
    ///
    /// Null and "" stay as they are under all but `redact`; a value of a type that the treatment cannot hold
    /// becomes null.
    pub fn apply<'b>(&self, value: Scalar<'_>, buf: &'b mut String) -> Treated<'b> {
        buf.clear();
        let treatment = match self {
            Self::Keyless(treatment) => *treatment,
            Self::Token { email: true, .. } => Treatment::TokenizeEmail,
            Self::Token { email: false, .. } => Treatment::Tokenize,
            Self::Resolve(resolver) => return resolver.resolve(value, buf),
        };
        match (treatment, value) {
            (Treatment::Redact | Treatment::Drop | Treatment::Deny, _) | (_, Scalar::Container) => {
                Treated::Null
            }
            (_, Scalar::Null | Scalar::Text("")) | (Treatment::Clear, _) => Treated::Same,
            (Treatment::MaskAll, Scalar::Text(_)) => Treated::Text(STARS),
            (
                Treatment::MaskLast4 | Treatment::MaskFirst4 | Treatment::MaskEmail,
                Scalar::Text(t),
            ) => {
                mask(treatment, t, buf);
                Treated::Text(buf)
            }
            (Treatment::GeneraliseYear, Scalar::Text(t)) => date(t, false, buf),
            (Treatment::GeneraliseMonth, Scalar::Text(t)) => date(t, true, buf),
            (Treatment::GeneraliseRange10, Scalar::Number(n)) => range_of_ten(n, buf),
            (Treatment::Tokenize | Treatment::TokenizeEmail, Scalar::Text(t)) => match self {
                Self::Token {
                    tokenizer,
                    email,
                    record_id,
                } => {
                    if *record_id {
                        tokenizer.token(&long_record_id(t), buf);
                    } else if *email {
                        tokenizer.email_token(t, buf);
                    } else {
                        tokenizer.token(t, buf);
                    }
                    Treated::Text(buf)
                }
                // A token word without its key: nothing may pass.
                Self::Keyless(_) | Self::Resolve(_) => Treated::Null,
            },
            (_, Scalar::Bool(_) | Scalar::Number(_) | Scalar::Text(_)) => Treated::Null,
        }
    }

    /// Whether a value that cannot be treated (too long, no scalar) ends the document, rather than become null: what
    /// a client sends is not replaced by nothing.
    pub fn refuses(&self) -> bool {
        matches!(self, Self::Resolve(_))
    }

    /// Whether the value's own bytes may pass under it whatever they are.
    pub fn is_clear(&self) -> bool {
        matches!(self, Self::Keyless(Treatment::Clear))
    }
}

fn mask(treatment: Treatment, text: &str, buf: &mut String) {
    let long = text.len() >= SHOWN_CHARS_MIN
        && (text.is_ascii() || text.chars().nth(SHOWN_CHARS_MIN - 1).is_some());
    match treatment {
        Treatment::MaskFirst4 if long => {
            buf.extend(text.chars().take(4));
            buf.push_str(STARS);
        }
        Treatment::MaskLast4 if long => {
            let from = text.char_indices().rev().nth(3).map_or(0, |(at, _)| at);
            buf.push_str(STARS);
            buf.push_str(&text[from..]);
        }
        Treatment::MaskEmail if long => match email_parts(text) {
            Some((local, domain)) => {
                let first = local.chars().next().map_or(0, char::len_utf8);
                buf.push_str(&local[..first]);
                buf.push_str(STARS);
                buf.push('@');
                buf.push_str(domain);
            }
            None => buf.push_str(STARS),
        },
        _ => buf.push_str(STARS),
    }
}

/// May stand in a local part.
const LOCAL: u8 = 1;

/// May stand in a domain.
const DOMAIN: u8 = 2;

/// What each ASCII character may stand in.
const ASCII_EMAIL: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut b = 0x21u8;
    while b < 0x7f {
        let local = !matches!(
            b,
            b'"' | b'<' | b'>' | b',' | b';' | b':' | b'(' | b')' | b'\\'
        );
        let domain = b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
        kinds[b as usize] = ((local as u8) * LOCAL) | ((domain as u8) * DOMAIN);
        b += 1;
    }
    kinds
};

/// Local part and domain, if `text` is one e-mail address and nothing else. Strict: what a free text hides
/// behind an `@` must not pass for a domain.
fn email_parts(text: &str) -> Option<(&str, &str)> {
    let at = memchr::memchr(b'@', text.as_bytes())?;
    let (local, domain) = (&text[..at], &text[at + 1..]);
    if text.is_ascii() {
        // The same for ASCII, where a byte is a character.
        let kind = |b: u8| ASCII_EMAIL[usize::from(b)];
        let local_good = !local.is_empty() && local.bytes().all(|b| kind(b) & LOCAL != 0);
        let mut last = b'.';
        let mut dots = 0;
        let domain_good = domain.bytes().all(|b| {
            let dot = b == b'.';
            let good = kind(b) & DOMAIN != 0 && !(dot && last == b'.');
            dots += usize::from(dot);
            last = b;
            good
        });
        return (local_good && domain_good && dots > 0 && last != b'.').then_some((local, domain));
    }
    email_parts_beyond_ascii(local, domain).then_some((local, domain))
}

fn email_parts_beyond_ascii(local: &str, domain: &str) -> bool {
    let local_good = !local.is_empty()
        && !local.chars().any(|c| {
            c.is_whitespace()
                || c.is_control()
                || matches!(c, '"' | '<' | '>' | ',' | ';' | ':' | '(' | ')' | '\\')
        });
    let domain_good = domain.contains('.')
        && domain.split('.').all(|label| {
            !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-')
        });
    local_good && domain_good
}

fn two(bytes: &[u8]) -> Option<u8> {
    match bytes {
        [a @ b'0'..=b'9', b @ b'0'..=b'9'] => Some((a - b'0') * 10 + (b - b'0')),
        _ => None,
    }
}

/// The length of the time part `THH:MM:SS[.fraction]` if `rest` (what follows the date) is one with a good offset.
fn time_len(rest: &[u8]) -> Option<usize> {
    if !matches!(rest, [b'T', _, _, b':', _, _, b':', _, _, ..])
        || two(&rest[1..3])? > 23
        || two(&rest[4..6])? > 59
        || two(&rest[7..9])? > 60
    {
        return None;
    }
    let mut end = 9;
    if rest.get(end) == Some(&b'.') {
        let digits = rest[end + 1..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
        if digits == 0 {
            return None;
        }
        end += 1 + digits;
    }
    match &rest[end..] {
        [] | [b'Z'] => Some(end),
        [b'+' | b'-', offset @ ..] => {
            let (hours, minutes) = match offset {
                [a, b, b':', c, d] | [a, b, c, d] => ([*a, *b], [*c, *d]),
                _ => return None,
            };
            (two(&hours)? <= 23 && two(&minutes)? <= 59).then_some(end)
        }
        _ => None,
    }
}

fn date<'b>(text: &str, keep_month: bool, buf: &'b mut String) -> Treated<'b> {
    let bytes = text.as_bytes();
    let parse = || {
        let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, rest @ ..] = bytes else {
            return None;
        };
        let year = u32::from(two(&[*y1, *y2])?) * 100 + u32::from(two(&[*y3, *y4])?);
        let (month, day) = (two(&[*m1, *m2])?, two(&[*d1, *d2])?);
        let leap =
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => return None,
        };
        let time = if rest.is_empty() { 0 } else { time_len(rest)? };
        (day >= 1 && day <= days).then_some(time)
    };
    let Some(time) = parse() else {
        return Treated::Null;
    };
    buf.push_str(&text[..if keep_month { 7 } else { 4 }]);
    buf.push_str(if keep_month { "-01" } else { "-01-01" });
    // The value's own format stays: only its digits go.
    buf.extend(
        text[10..10 + time]
            .chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c }),
    );
    buf.push_str(&text[10 + time..]);
    Treated::Text(buf)
}

/// The greatest multiple of ten that is not above the number, in exact decimal arithmetic on its text.
fn range_of_ten<'b>(number: &str, buf: &'b mut String) -> Treated<'b> {
    let (negative, number) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits_only = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits_only(whole) || !digits_only(fraction) {
        return Treated::Null;
    }
    if whole.bytes().chain(fraction.bytes()).all(|b| b == b'0') {
        buf.push('0');
        return Treated::Number(buf);
    }
    let exponent = match exponent.parse::<i64>() {
        Ok(e) => e,
        // Beyond i64: as far below the point as can be, or too large to write.
        Err(_) if exponent.starts_with('-') => i64::MIN / 2,
        Err(_) => return Treated::Null,
    };
    // Digits before the point once the exponent is applied.
    let point = (whole.len() as i64).saturating_add(exponent);
    if point > DIGITS_MAX as i64 {
        return Treated::Null;
    }
    let point = usize::try_from(point).unwrap_or(0);
    let all = whole.bytes().chain(fraction.bytes());
    let tens = point.saturating_sub(1);
    buf.extend(
        all.clone()
            .chain(std::iter::repeat(b'0'))
            .take(tens)
            .map(char::from),
    );
    let below = all.skip(tens).any(|b| b != b'0');
    if negative && below {
        // Towards minus infinity: one more ten.
        let kept = buf.trim_end_matches('9').len();
        let nines = buf.len() - kept;
        match buf[..kept].bytes().last() {
            Some(last) => {
                buf.truncate(kept - 1);
                buf.push(char::from(last + 1));
            }
            None => {
                buf.clear();
                buf.push('1');
            }
        }
        buf.extend(std::iter::repeat_n('0', nines));
    }
    let zeros = buf.len() - buf.trim_start_matches('0').len();
    buf.drain(..zeros);
    if buf.is_empty() {
        buf.push('0');
        return Treated::Number(buf);
    }
    buf.push('0');
    if negative {
        buf.insert(0, '-');
    }
    Treated::Number(buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(word: &str, value: Scalar<'_>) -> String {
        let mut buf = String::new();
        let prepared = Prepared::Keyless(Treatment::parse(word).expect("a word"));
        match prepared.apply(value, &mut buf) {
            Treated::Same => "same".to_owned(),
            Treated::Null => "null".to_owned(),
            Treated::Text(t) => format!("\"{t}\""),
            Treated::Number(n) => n.to_owned(),
            Treated::Refused => "refused".to_owned(),
        }
    }

    /// ASCII takes a way of its own, to the same end.
    #[test]
    fn an_address_is_one_either_way() {
        let mut seed = 1u64;
        let mut good = 0;
        for _ in 0..100_000 {
            let text: String = (0..7)
                .map(|_| {
                    seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
                    char::from(b"abcZ0.@.- ,\x7f"[(seed >> 33) as usize % 12])
                })
                .collect();
            let other = text
                .split_once('@')
                .filter(|(local, domain)| email_parts_beyond_ascii(local, domain));
            assert_eq!(email_parts(&text), other, "{text:?}");
            good += usize::from(other.is_some());
        }
        assert!(good > 100, "{good}");
    }

    #[test]
    fn masks() {
        for (word, value, result) in [
            ("mask:last4", "+3361345678", "****5678"),
            ("mask:first4", "+33612345678", "+336****"),
            ("mask:all", "x", "****"),
            ("mask:email", "jo@example.org", "j****@example.org"),
            ("mask:email", "élodie@exämple.org", "é****@exämple.org"),
            ("mask:email", "a@bcd.ef", "****"),
            ("mask:email", "no address at all", "****"),
            ("mask:email", "a@b@example.org", "****"),
            ("mask:email", "ring me@home.now please", "****"),
            ("mask:last4", "12345678", "****"),
            ("mask:last4", "123456789", "****6789"),
            ("mask:first4", "ééééééééé", "éééé****"),
        ] {
            assert_eq!(
                text(word, Scalar::Text(value)),
                format!("\"{result}\""),
                "{word} {value}"
            );
        }
    }

    #[test]
    fn generalised_dates_keep_their_type() {
        for (word, value, result) in [
            ("generalise:year", "1987-05-23", "\"1987-01-01\""),
            ("generalise:month", "1987-05-23", "\"1987-05-01\""),
            (
                "generalise:year",
                "1987-05-23T11:12:13.456+0000",
                "\"1987-01-01T00:00:00.000+0000\"",
            ),
            (
                "generalise:month",
                "1987-05-23T11:12:13Z",
                "\"1987-05-01T00:00:00Z\"",
            ),
            (
                "generalise:month",
                "1987-05-23T11:12:13.1+02:00",
                "\"1987-05-01T00:00:00.0+02:00\"",
            ),
            ("generalise:month", "2000-02-29", "\"2000-02-01\""),
            ("generalise:month", "1900-02-29", "null"),
            ("generalise:year", "1987-13-01", "null"),
            ("generalise:year", "1987-05-23 secret", "null"),
            ("generalise:year", "1987-05-23T25:00:00Z", "null"),
            ("generalise:year", "１９８７-05-23", "null"),
            ("generalise:year", "born 1987", "null"),
        ] {
            assert_eq!(text(word, Scalar::Text(value)), result, "{word} {value}");
        }
    }

    #[test]
    fn ranges_have_exact_lower_bounds() {
        for (value, result) in [
            ("57", "50"),
            ("7", "0"),
            ("0", "0"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("60", "60"),
            ("59.999", "50"),
            ("-1", "-10"),
            ("-10", "-10"),
            ("-10.5", "-20"),
            ("-95", "-100"),
            ("-99.5", "-100"),
            ("-0.5e-7", "-10"),
            ("1.57e2", "150"),
            ("1570e-1", "150"),
            ("1e3", "1000"),
            ("-1e-99999999999999999999", "-10"),
            ("9007199254740993", "9007199254740990"),
            ("1e99999", "null"),
            ("0e99999", "0"),
        ] {
            assert_eq!(
                text("generalise:range10", Scalar::Number(value)),
                result,
                "{value}"
            );
        }
    }

    #[test]
    fn presence_stays_visible_but_under_redact_and_wrong_types_become_null() {
        for (word, _) in Treatment::WORDS {
            let hidden = matches!(word, "redact" | "drop");
            for empty in [Scalar::Null, Scalar::Text("")] {
                assert_eq!(
                    text(word, empty),
                    if hidden { "null" } else { "same" },
                    "{word}"
                );
            }
            assert_eq!(text(word, Scalar::Container), "null");
            let number = text(word, Scalar::Number("42"));
            match word {
                "clear" => assert_eq!(number, "same"),
                "generalise:range10" => assert_eq!(number, "40"),
                _ => assert_eq!(number, "null", "{word}"),
            }
            assert_eq!(
                text(word, Scalar::Bool(true)),
                if word == "clear" { "same" } else { "null" }
            );
        }
        assert_eq!(text("generalise:range10", Scalar::Text("42")), "null");
        assert_eq!(text("tokenize", Scalar::Text("no key")), "null");
    }
}
