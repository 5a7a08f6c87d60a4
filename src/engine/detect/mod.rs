//! What a value looks like: personal data told by its form and its check digits.
//!
//! Two questions. [`find`] looks for personal data *inside* a text, and is strict: what it names is nearly always
//! that. [`whole`] asks what a value *as a whole* may be, and is lenient: it is meant for a column of values, where
//! the share that fits is the evidence. Neither ever gives the value back, only kinds and places.
//!
//! Pure and without allocation; time is linear in the text.

mod digits;
mod email;
mod iban;
mod national;
mod phone;

use memchr::memchr;

/// A kind of personal data that has a form of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// An e-mail address (RFC 5321 mailbox with a dotted domain).
    Email,
    /// A telephone number (ITU-T E.164, or national with its usual separators).
    Phone,
    /// An international bank account number (ISO 13616, ISO 7064 MOD 97-10).
    Iban,
    /// A payment card number (ISO/IEC 7812-1, Luhn).
    PaymentCard,
    /// A national identity, tax or social insurance number.
    NationalId(Country),
}

impl Kind {
    /// The word in reports, metrics and proposals: `email`, `national_id.br`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Iban => "iban",
            Self::PaymentCard => "payment_card",
            Self::NationalId(country) => country.word(),
        }
    }
}

/// Whose national number it is (ISO 3166-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Country {
    /// Rijksregisternummer: 11 digits, two of them MOD 97.
    Belgium,
    /// CPF: 11 digits, two of them MOD 11.
    Brazil,
    /// Social Insurance Number: 9 digits, Luhn.
    Canada,
    /// Henkilötunnus: birth date, sign, individual number and check character MOD 31.
    Finland,
    /// NIR: 13 characters and a key MOD 97.
    France,
    /// Steuer-Identifikationsnummer: 11 digits, ISO 7064 MOD 11,10.
    Germany,
    /// Aadhaar: 12 digits, Verhoeff.
    India,
    /// Codice fiscale: 16 characters with a check letter.
    Italy,
    /// Burgerservicenummer: 9 digits, the "elfproef".
    Netherlands,
    /// PESEL: birth date and check digit.
    Poland,
    /// NRIC and FIN: prefix, 7 digits, check letter.
    Singapore,
    /// DNI and NIE: 8 characters and a check letter MOD 23.
    Spain,
    /// Personnummer: birth date and Luhn.
    Sweden,
    /// AHV-Nummer: 756 and an EAN-13.
    Switzerland,
    /// National identification number: 13 digits, MOD 11.
    Thailand,
    /// National Insurance number: two letters, six digits, suffix A to D.
    UnitedKingdom,
    /// Social Security number: no check digit, so its hyphens are asked for.
    UnitedStates,
}

impl Country {
    /// `national_id.` and the ISO 3166-1 code in lower case.
    pub fn word(self) -> &'static str {
        match self {
            Self::Belgium => "national_id.be",
            Self::Brazil => "national_id.br",
            Self::Canada => "national_id.ca",
            Self::Finland => "national_id.fi",
            Self::France => "national_id.fr",
            Self::Germany => "national_id.de",
            Self::India => "national_id.in",
            Self::Italy => "national_id.it",
            Self::Netherlands => "national_id.nl",
            Self::Poland => "national_id.pl",
            Self::Singapore => "national_id.sg",
            Self::Spain => "national_id.es",
            Self::Sweden => "national_id.se",
            Self::Switzerland => "national_id.ch",
            Self::Thailand => "national_id.th",
            Self::UnitedKingdom => "national_id.gb",
            Self::UnitedStates => "national_id.us",
        }
    }
}

/// Something personal in a text: its kind, and where it stands in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// First byte.
    pub start: usize,
    /// Behind its last byte.
    pub end: usize,
}

/// Finds personal data inside `text`, first to last; findings do not overlap. A number without a strong check digit
/// counts only in its customary spelling (`123-45-6789`), never as bare digits: order numbers are not people.
pub fn find(text: &str, mut found: impl FnMut(Finding)) {
    let bytes = text.as_bytes();
    let sign_behind = |from: usize| {
        memchr(b'@', bytes.get(from..).unwrap_or_default()).map_or(bytes.len(), |n| from + n)
    };
    let mut from = 0;
    let mut sign = sign_behind(0);
    while from < bytes.len() {
        let digit = bytes[from..sign].iter().position(u8::is_ascii_digit);
        let finding = match digit.map(|n| from + n) {
            // Digits of an address's local part belong to the address.
            Some(digit) if !(sign < bytes.len() && email::is_local_part(&bytes[digit..sign])) => {
                let at = digits::word_start(bytes, digit, from);
                let finding = number(text, at, from);
                from = digits::run_end(bytes, at);
                finding
            }
            _ if sign < bytes.len() => {
                let finding = email::around(text, sign, from);
                from = sign + 1;
                finding
            }
            _ => return,
        };
        if let Some(finding) = finding {
            from = from.max(finding.end);
            found(finding);
        }
        if sign < from {
            sign = sign_behind(from);
        }
    }
}

/// The first thing that [`find`] finds.
pub fn first(text: &str) -> Option<Finding> {
    let mut first = None;
    // The text is short as a rule; a search that stops early is not worth a second code path.
    find(text, |finding| {
        first.get_or_insert(finding);
    });
    first
}

/// What `text` as a whole, without white space around it, may be. Every kind that fits, in the order of [`Kind`].
pub fn whole(text: &str, mut fits: impl FnMut(Kind)) {
    let text = text.trim();
    if text.is_empty() || text.len() > 320 {
        return;
    }
    if email::is(text) {
        fits(Kind::Email);
        return;
    }
    if !text.bytes().any(|b| b.is_ascii_digit()) {
        return;
    }
    if phone::is(text) {
        fits(Kind::Phone);
    }
    if iban::is(text) {
        fits(Kind::Iban);
    }
    if digits::is_card(text) {
        fits(Kind::PaymentCard);
    }
    national::whole(text, |country| fits(Kind::NationalId(country)));
}

/// The number that stands at `at`, a word start at or behind `from`.
fn number(text: &str, at: usize, from: usize) -> Option<Finding> {
    let found = |kind, start: usize, len: usize| {
        Some(Finding {
            kind,
            start,
            end: start + len,
        })
    };
    let rest = text.get(at..)?;
    if let Some(len) = iban::prefix(rest) {
        return found(Kind::Iban, at, len);
    }
    if let Some((country, len)) = national::prefix(rest) {
        return found(Kind::NationalId(country), at, len);
    }
    // National Insurance numbers are printed in groups, the letters first.
    if let Some(paired) = at.checked_sub(3).filter(|start| *start >= from)
        && let Some((country, len)) = text.get(paired..).and_then(national::prefix)
        && !text.as_bytes()[from..paired]
            .last()
            .is_some_and(u8::is_ascii_alphanumeric)
    {
        return found(Kind::NationalId(country), paired, len);
    }
    if let Some(len) = digits::card_prefix(rest) {
        return found(Kind::PaymentCard, at, len);
    }
    // A telephone number may begin with a sign before its first digit.
    let start = phone::start(text.as_bytes(), at, from);
    if phone::is_tail(text.as_bytes(), start) {
        return None;
    }
    let len = phone::prefix(text.get(start..)?)?;
    found(Kind::Phone, start, len)
}

#[cfg(test)]
mod tests;
