//! National identity, tax and social insurance numbers. Each rule is the issuing authority's published check.

use super::Country;
use super::digits::{Digits, ends_word, luhn};

/// The national number at the start of `text` and its length in bytes. Only what its form or its check digits make
/// nearly certain; numbers with a weak check count in their customary grouping alone.
pub(super) fn prefix(text: &str) -> Option<(Country, usize)> {
    if let Some((country, len)) = lettered(text) {
        return ends_word(text, len).then_some((country, len));
    }
    let digits = Digits::prefix(text, b" .-/+")?;
    let number = text.get(..digits.bytes)?;
    if !ends_word(text, digits.bytes) {
        return None;
    }
    let d = digits.as_slice();
    let country = if has_form(number, "ddd-dd-dddd") && is_us(d) {
        Country::UnitedStates
    } else if (has_form(number, "ddd.ddd.ddd-dd")) && is_br(d) {
        Country::Brazil
    } else if (has_form(number, "ddd.dddd.dddd.dd") || !digits.grouped) && is_ch(d) {
        Country::Switzerland
    } else if has_form(number, "dd.dd.dd-ddd.dd") && is_be(d) {
        Country::Belgium
    } else if has_form(number, "d-dddd-ddddd-dd-d") && is_th(d) {
        Country::Thailand
    } else if (has_form(number, "dddddd-dddd")
        || has_form(number, "dddddd+dddd")
        || has_form(number, "dddddddd-dddd"))
        && is_se(d)
    {
        Country::Sweden
    } else if (has_form(number, "dddd dddd dddd") || has_form(number, "dddd-dddd-dddd")) && is_in(d)
    {
        Country::India
    } else if (has_form(number, "ddd ddd ddd") || has_form(number, "ddd-ddd-ddd")) && is_ca(d) {
        Country::Canada
    } else if (has_form(number, "d dd dd dd ddd ddd dd") || !digits.grouped) && is_fr(d) {
        Country::France
    } else if has_form(number, "dd ddd ddd ddd") && is_de(d) {
        Country::Germany
    } else {
        return None;
    };
    Some((country, digits.bytes))
}

/// Every country whose number all of `text` may be, also as bare digits.
pub(super) fn whole(text: &str, mut fits: impl FnMut(Country)) {
    if let Some((country, len)) = lettered(text) {
        if len == text.len() {
            fits(country);
        }
        return;
    }
    let Some(digits) = Digits::prefix(text, b" .-/+") else {
        return;
    };
    if digits.bytes != text.len() {
        return;
    }
    let d = digits.as_slice();
    for (country, is) in NUMERIC {
        if is(d) {
            fits(*country);
        }
    }
}

/// Whether digits are a number of one country.
type Check = fn(&[u8]) -> bool;

/// The checks of numbers that are all digits. The United States have none, so their hyphens are part of [`prefix`]
/// alone and nine bare digits need other evidence.
const NUMERIC: &[(Country, Check)] = &[
    (Country::Belgium, is_be),
    (Country::Brazil, is_br),
    (Country::Canada, is_ca),
    (Country::France, is_fr),
    (Country::Germany, is_de),
    (Country::India, is_in),
    (Country::Netherlands, is_nl),
    (Country::Poland, is_pl),
    (Country::Sweden, is_se),
    (Country::Switzerland, is_ch),
    (Country::Thailand, is_th),
    (Country::UnitedStates, is_us),
];

/// Numbers with letters in them.
fn lettered(text: &str) -> Option<(Country, usize)> {
    let upper = |b: &u8| b.to_ascii_uppercase();
    let bytes = text.as_bytes();
    if let Some(b) = bytes.get(..16)
        && has_form(text.get(..16)?, "LLLLLLAALAALAAAL")
        && is_it(b)
    {
        return Some((Country::Italy, 16));
    }
    if let Some(b) = bytes.get(..11)
        && matches!(b[6], b'-' | b'+' | b'A'..=b'F' | b'U'..=b'Y')
        && is_fi(b)
    {
        return Some((Country::Finland, 11));
    }
    let head = bytes.get(..9)?;
    if head.iter().all(u8::is_ascii_alphanumeric) {
        if is_es(head) {
            return Some((Country::Spain, 9));
        }
        if is_sg(head) {
            return Some((Country::Singapore, 9));
        }
        if is_gb(head) {
            return Some((Country::UnitedKingdom, 9));
        }
    }
    // National Insurance numbers are printed in pairs: QQ 12 34 56 C.
    if let Some(spaced) = text.get(..13)
        && has_form(spaced, "LL dd dd dd L")
    {
        let mut packed = [0; 9];
        for (to, from) in packed.iter_mut().zip(spaced.bytes().filter(|b| *b != b' ')) {
            *to = upper(&from);
        }
        return is_gb(&packed).then_some((Country::UnitedKingdom, 13));
    }
    None
}

/// Whether `text` has this form: `d` a digit, `L` a letter, `A` either, all else itself.
fn has_form(text: &str, form: &str) -> bool {
    text.len() == form.len()
        && text.bytes().zip(form.bytes()).all(|(b, f)| match f {
            b'd' => b.is_ascii_digit(),
            b'L' => b.is_ascii_alphabetic(),
            b'A' => b.is_ascii_alphanumeric(),
            f => b == f,
        })
}

fn value(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |sum, d| sum * 10 + u64::from(*d))
}

/// Whether these six digits are the end of a year, a month and a day, in this order.
fn is_day(digits: &[u8]) -> bool {
    (1..=12).contains(&value(&digits[2..4])) && (1..=31).contains(&value(&digits[4..6]))
}

fn weighted(digits: &[u8], weights: impl IntoIterator<Item = u32>) -> u32 {
    digits
        .iter()
        .zip(weights)
        .map(|(d, w)| u32::from(*d) * w)
        .sum()
}

/// Area, group and serial number are never zero; the areas 666 and 900 to 999 are not given out (SSA).
fn is_us(d: &[u8]) -> bool {
    d.len() == 9
        && !matches!(value(&d[..3]), 0 | 666 | 900..)
        && value(&d[3..5]) != 0
        && value(&d[5..]) != 0
}

fn is_br(d: &[u8]) -> bool {
    let check = |n: usize| {
        let rest = weighted(&d[..n], (2..=n as u32 + 1).rev()) * 10 % 11 % 10;
        rest == u32::from(d[n])
    };
    d.len() == 11 && d.iter().any(|x| *x != d[0]) && check(9) && check(10)
}

fn is_ca(d: &[u8]) -> bool {
    d.len() == 9 && !matches!(d[0], 0 | 8) && luhn(d)
}

fn is_ch(d: &[u8]) -> bool {
    d.len() == 13
        && d.starts_with(&[7, 5, 6])
        && (weighted(d, [1, 3].into_iter().cycle())) % 10 == 0
}

fn is_be(d: &[u8]) -> bool {
    d.len() == 11 && is_day(d) && {
        let key = value(&d[9..]);
        // Born from 2000 on: a 2 stands before the nine digits.
        97 - value(&d[..9]) % 97 == key || 97 - (2_000_000_000 + value(&d[..9])) % 97 == key
    }
}

fn is_th(d: &[u8]) -> bool {
    d.len() == 13
        && (1..=8).contains(&d[0])
        && (11 - weighted(&d[..12], (2..=13).rev()) % 11) % 10 == u32::from(d[12])
}

/// Ten digits, or twelve with the century; the day of a coordination number is 60 higher.
fn is_se(d: &[u8]) -> bool {
    let d = match d.len() {
        10 => d,
        12 if matches!(value(&d[..2]), 18..=20) => &d[2..],
        _ => return false,
    };
    (1..=12).contains(&value(&d[2..4])) && matches!(value(&d[4..6]), 1..=31 | 61..=91) && luhn(d)
}

fn is_pl(d: &[u8]) -> bool {
    d.len() == 11
        && matches!(value(&d[2..4]) % 20, 1..=12)
        && (1..=31).contains(&value(&d[4..6]))
        && (10 - weighted(&d[..10], [1, 3, 7, 9].into_iter().cycle()) % 10) % 10 == u32::from(d[10])
}

fn is_nl(d: &[u8]) -> bool {
    d.len() == 9
        && value(d) > 9_999_999
        && (weighted(&d[..8], (2..=9).rev()) + 10 * u32::from(d[8])).is_multiple_of(11)
}

/// Eleven digits that do not begin with zero; among the first ten one digit stands two or three times (BZSt).
fn is_de(d: &[u8]) -> bool {
    if d.len() != 11 || d[0] == 0 {
        return false;
    }
    let mut counts = [0_u8; 10];
    for x in &d[..10] {
        counts[usize::from(*x)] += 1;
    }
    let repeated = counts.iter().filter(|n| **n > 1).count();
    if repeated != 1 || counts.iter().any(|n| *n > 3) {
        return false;
    }
    // ISO 7064 MOD 11,10.
    let product = d[..10].iter().fold(10_u32, |product, x| {
        let sum = (u32::from(*x) + product) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (11 - product) % 10 == u32::from(d[10])
}

/// Sex, year, month, department, commune, order and the key: 97 minus the rest (INSEE). Corsica's letters are left
/// out.
fn is_fr(d: &[u8]) -> bool {
    d.len() == 15
        && matches!(d[0], 1..=4 | 7 | 8)
        && matches!(value(&d[3..5]), 1..=12 | 20..=42 | 50..=99)
        && 97 - value(&d[..13]) % 97 == value(&d[13..])
}

/// Verhoeff's check over the dihedral group D5 (UIDAI); never begins with 0 or 1.
fn is_in(d: &[u8]) -> bool {
    const PERMUTE: [usize; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let multiply = |a: usize, b: usize| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + b) % 5 + 5,
        (false, true) => (a - b) % 5 + 5,
        (false, false) => (a + 5 - b) % 5,
    };
    if d.len() != 12 || d[0] < 2 {
        return false;
    }
    let check = d.iter().rev().enumerate().fold(0, |check, (i, x)| {
        let permuted = (0..i % 8).fold(usize::from(*x), |x, _| PERMUTE[x]);
        multiply(check, permuted)
    });
    check == 0
}

/// Odd places count by a table of their own, even ones by themselves; modulo 26 gives the last letter (DM 23/12/1976).
fn is_it(b: &[u8]) -> bool {
    const ODD: [u32; 26] = [
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24,
        23,
    ];
    let index = |b: u8| {
        usize::from(if b.is_ascii_digit() {
            b - b'0'
        } else {
            b.to_ascii_uppercase() - b'A'
        })
    };
    let sum: u32 = b[..15]
        .iter()
        .enumerate()
        .map(|(i, b)| {
            if i % 2 == 0 {
                ODD[index(*b)]
            } else {
                index(*b) as u32
            }
        })
        .sum();
    index(b[15]) as u32 == sum % 26
}

/// Day, month, year, century sign, number and a character of 31 (DVV).
fn is_fi(b: &[u8]) -> bool {
    const CHECK: &[u8; 31] = b"0123456789ABCDEFHJKLMNPRSTUVWXY";
    let mut digits = [0; 9];
    for (to, from) in digits.iter_mut().zip(b[..6].iter().chain(&b[7..10])) {
        if !from.is_ascii_digit() {
            return false;
        }
        *to = from - b'0';
    }
    (1..=31).contains(&value(&digits[..2]))
        && (1..=12).contains(&value(&digits[2..4]))
        && CHECK[(value(&digits) % 31) as usize] == b[10].to_ascii_uppercase()
}

/// Eight digits, or X, Y, Z and seven, and the letter that their rest by 23 names (Ministerio del Interior).
fn is_es(b: &[u8]) -> bool {
    const CHECK: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";
    let first = match b[0].to_ascii_uppercase() {
        d @ b'0'..=b'9' => d - b'0',
        l @ b'X'..=b'Z' => l - b'X',
        _ => return false,
    };
    let mut number = u64::from(first);
    for d in &b[1..8] {
        if !d.is_ascii_digit() {
            return false;
        }
        number = number * 10 + u64::from(d - b'0');
    }
    CHECK[(number % 23) as usize] == b[8].to_ascii_uppercase()
}

/// S, T (citizens), F, G, M (foreigners), seven digits, and a letter by weight and series (ICA).
fn is_sg(b: &[u8]) -> bool {
    let (offset, check): (u32, &[u8; 11]) = match b[0].to_ascii_uppercase() {
        b'S' => (0, b"JZIHGFEDCBA"),
        b'T' => (4, b"JZIHGFEDCBA"),
        b'F' => (0, b"XWUTRQPNMLK"),
        b'G' => (4, b"XWUTRQPNMLK"),
        b'M' => (3, b"KLJNPQRTUWX"),
        _ => return false,
    };
    let mut digits = [0; 7];
    for (to, from) in digits.iter_mut().zip(&b[1..8]) {
        if !from.is_ascii_digit() {
            return false;
        }
        *to = from - b'0';
    }
    let rest = (weighted(&digits, [2, 7, 6, 5, 4, 3, 2]) + offset) % 11;
    let at = if b[0].eq_ignore_ascii_case(&b'M') {
        10 - rest
    } else {
        rest
    };
    check[at as usize] == b[8].to_ascii_uppercase()
}

/// Two letters (not D, F, I, Q, U, V first, nor O second, nor BG, GB, KN, NK, NT, TN, ZZ), six digits, A to D (HMRC).
fn is_gb(b: &[u8]) -> bool {
    let pair = [b[0].to_ascii_uppercase(), b[1].to_ascii_uppercase()];
    let letters = pair
        .iter()
        .all(|l| l.is_ascii_uppercase() && !b"DFIQUV".contains(l));
    letters
        && pair[1] != b'O'
        && !matches!(&pair, b"BG" | b"GB" | b"KN" | b"NK" | b"NT" | b"TN" | b"ZZ")
        && b[2..8].iter().all(u8::is_ascii_digit)
        && matches!(b[8].to_ascii_uppercase(), b'A'..=b'D')
}
