//! Forms of values that need no word list: identifiers, postal codes, dates, files.

/// The form of a value: digits as `9`, Latin letters as `A`, all else as it is; at most 40 characters.
pub(super) fn shape(text: &str) -> String {
    text.chars()
        .take(40)
        .map(|c| match c {
            c if c.is_ascii_digit() => '9',
            c if c.is_alphabetic() => 'A',
            c => c,
        })
        .collect()
}

/// Customary spellings of national numbers, whose check digits may be wrong or unknown.
pub(super) fn is_national_form(shape: &str) -> bool {
    matches!(
        shape,
        "999-99-9999"
            | "9 99 99 99 999 999"
            | "9 99 99 99 999 999 99"
            | "99 999999 A 999"
            | "99 999 999 999"
            | "9999-9999-9999"
            | "9999 9999 9999"
            | "99999999A"
            | "99999999-A"
            | "A9999999A"
            | "AA999999A"
            | "AA 99 99 99 A"
            | "999.999.999-99"
            | "99999999999999999A"
            | "AAAAAA99A99A999A"
            | "999.9999.9999.99"
    )
}

/// Japan's individual number: 12 digits, the last one a check over the others (order of the Ministry of Internal
/// Affairs and Communications no. 85 of 2014).
pub(super) fn is_individual_number(text: &str) -> bool {
    let digits: Vec<u32> = text
        .chars()
        .filter(|c| !matches!(c, ' ' | '-'))
        .map_while(|c| c.to_digit(10))
        .collect();
    let signs = text.chars().filter(|c| !c.is_ascii_digit()).count();
    if digits.len() != 12 || text.len() != 12 + signs || signs > 2 {
        return false;
    }
    let sum: u32 = digits[..11]
        .iter()
        .rev()
        .zip([2, 3, 4, 5, 6, 7, 2, 3, 4, 5, 6])
        .map(|(d, weight)| d * weight)
        .sum();
    let due = match sum % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    };
    digits[11] == due
}

/// Postal codes that hardly are anything else.
pub(super) fn is_postal(shape: &str) -> bool {
    matches!(
        shape,
        "999-9999"
            | "9999 AA"
            | "99-999"
            | "99999-999"
            | "99999-9999"
            | "A9A 9A9"
            | "A9 9AA"
            | "A99 9AA"
            | "AA9 9AA"
            | "AA99 9AA"
            | "A9A 9AA"
            | "AA9A 9AA"
            | "9999-999"
    )
}

/// Postal codes that may as well be numbers of something.
pub(super) fn is_digits_like_postal(shape: &str) -> bool {
    matches!(shape, "99999" | "9999" | "999999" | "9999999")
}

/// A code of ICD-10: letter, two digits, perhaps a point and more.
pub(super) fn is_icd10(text: &str) -> bool {
    let b = text.as_bytes();
    b.len() >= 3
        && b.len() <= 7
        && b[0].is_ascii_uppercase()
        && b[1].is_ascii_digit()
        && b[2].is_ascii_digit()
        && (b.len() == 3
            || b[3] == b'.' && b.len() > 4 && b[4..].iter().all(u8::is_ascii_alphanumeric))
}

/// A name with a customary file ending.
pub(super) fn is_file_name(text: &str) -> bool {
    let ends = [
        ".pdf", ".docx", ".doc", ".xlsx", ".xls", ".jpg", ".jpeg", ".png", ".txt", ".eml", ".csv",
        ".zip",
    ];
    let lower = text.to_ascii_lowercase();
    ends.iter().any(|end| lower.ends_with(end))
}

/// The date of `2026-01-31`, `31.01.2026`, `31/01/2026` or `2026/01/31`: year and day of the month.
pub(super) fn date(text: &str) -> Option<(i16, u8)> {
    let parts: Vec<&str> = text.split(['-', '.', '/']).collect();
    let [a, b, c] = parts.as_slice() else {
        return None;
    };
    let number = |t: &str| {
        (t.len() <= 4 && t.bytes().all(|b| b.is_ascii_digit())).then(|| t.parse::<i16>().ok())?
    };
    let (year, month, day) = match (a.len(), c.len()) {
        (4, 2) => (number(a)?, number(b)?, number(c)?),
        (2, 4) => (number(c)?, number(b)?, number(a)?),
        _ => return None,
    };
    // Day and month may stand either way round.
    let (month, day) = if month > 12 {
        (day, month)
    } else {
        (month, day)
    };
    let fits = (1..=12).contains(&month) && (1..=31).contains(&day) && (1800..2200).contains(&year);
    fits.then_some((year, day as u8))
}

/// Whether a telephone number is spelt as one dials: with a country code, an area code in brackets, a leading zero, or
/// in the groups of North America or Spain.
pub(super) fn is_dialled(text: &str, shape: &str) -> bool {
    let b = text.as_bytes();
    let area =
        |b: &[u8]| b.first() == Some(&b'0') && b.get(1).is_some_and(|d| (b'1'..=b'9').contains(d));
    let digits = b.iter().filter(|b| b.is_ascii_digit()).count();
    if !(8..=15).contains(&digits)
        || !text
            .chars()
            .all(|c| c.is_ascii_digit() || "+()-./ ".contains(c))
    {
        return false;
    }
    match b.first() {
        Some(b'+' | b'(') => true,
        Some(b'0') => area(b) && (9..=12).contains(&digits),
        Some(b'6'..=b'9') if matches!(shape, "999 999 999" | "999 99 99 99") => true,
        _ => matches!(
            shape,
            "999-999-9999" | "999.999.9999" | "999 999 9999" | "9-999-999-9999"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_tell_values_apart() {
        // The example of the ministry's order.
        assert!(is_individual_number("123456789018"));
        assert!(is_individual_number("1234-5678-9018"));
        assert!(!is_individual_number("123456789012"));
        assert_eq!(date("2026-01-31"), Some((2026, 31)));
        assert_eq!(date("31.01.1980"), Some((1980, 31)));
        assert_eq!(date("01/31/1980"), Some((1980, 31)));
        assert_eq!(date("2026-13-32"), None);
        assert_eq!(date("1-2-3"), None);
        assert!(is_icd10("E11.9") && is_icd10("J45") && !is_icd10("A-12") && !is_icd10("AB1"));
        assert!(
            is_dialled("+49 30 1234567", "+99 99 9999999")
                && is_dialled("030 1234567", "999 9999999")
        );
        assert!(!is_dialled("0000123456", "9999999999") && !is_dialled("4500123456", "9999999999"));
        assert!(
            is_postal(&shape("SW1A 1AA"))
                && is_postal(&shape("100-0001"))
                && !is_postal(&shape("10115"))
        );
    }
}
