//! From statistics to a proposal: each column by itself, then in the light of the others of its object.

use jiff::civil::Date;

use super::{About, Described, Holds, Profile, Proposal, names};

/// Fewer values than this say nothing.
const VALUES_MIN: u32 = 8;
/// A proposal that is less sure is not made.
const CONFIDENCE_MIN: f64 = 0.5;

/// One opinion: what, how sure, why.
#[derive(Debug, Clone)]
struct Opinion {
    holds: Holds,
    confidence: f64,
    why: String,
}

fn opinion(holds: Holds, confidence: f64, why: String) -> Opinion {
    Opinion {
        holds,
        confidence,
        why,
    }
}

/// What the fields of one object seem to hold; a field of which nothing can be said has no proposal. `today` is when
/// the sample was taken.
pub fn propose(object: &str, fields: &[(Described, Profile)], today: Date) -> Vec<Proposal> {
    let first: Vec<Option<Opinion>> = fields.iter().map(|(d, p)| by_values(d, p, today)).collect();
    let about = about(fields, &first);
    let placed = first
        .iter()
        .flatten()
        .any(|o| matches!(o.holds, Holds::Street | Holds::Place) && o.confidence >= 0.6);
    let mut proposals = Vec::new();
    for ((described, profile), told) in fields.iter().zip(first) {
        let told = told.and_then(|o| in_context(o, described, profile, about, placed));
        let Some(mut best) = joined(told, described) else {
            continue;
        };
        if best.confidence < CONFIDENCE_MIN {
            continue;
        }
        if let Some(security) = &described.security {
            let why = format!("securityClassification is {security}");
            best.evidence.push(why);
        }
        proposals.push(Proposal {
            object: object.to_owned(),
            field: described.name.clone(),
            holds: best.holds,
            class: best.holds.class(about),
            confidence: best.confidence.min(0.99),
            evidence: best.evidence,
        });
    }
    proposals
}

fn percent(share: f64) -> u32 {
    (share * 100.0).round() as u32
}

/// What the values alone say.
fn by_values(described: &Described, p: &Profile, today: Date) -> Option<Opinion> {
    if p.seen < VALUES_MIN {
        return None;
    }
    let n = p.seen;
    let of = |holds, share: f64, sure: f64, what: &str| {
        let why = format!("{} % of {n} values {what}", percent(share));
        Some(opinion(holds, sure, why))
    };
    if p.booleans * 2 > n || p.share(p.moments) >= 0.8 {
        return of(Holds::Operational, 1.0, 0.6, "are flags or points in time");
    }
    if p.numbers * 2 > n {
        return by_numbers(described, p);
    }
    if p.share(p.dates) >= 0.8 {
        // From 14 to 105 years back, over decades: lives, not contracts.
        let year = today.year();
        let (lived, span) = p.years(year - 105..=year - 14);
        if lived >= 0.9 && span >= 12 {
            return of(
                Holds::BirthDate,
                lived,
                0.85,
                "are dates as long ago as people live, over decades",
            );
        }
        return of(
            Holds::Operational,
            p.share(p.dates),
            0.6,
            "are dates of the last years or the next",
        );
    }
    let share = |count| p.share(count);
    if share(p.email) >= 0.8 {
        return of(
            Holds::Email,
            share(p.email),
            0.7 + 0.29 * share(p.email),
            "are e-mail addresses",
        );
    }
    if share(p.iban) >= 0.8 {
        return of(
            Holds::BankAccount,
            share(p.iban),
            0.97,
            "are IBANs with right check digits",
        );
    }
    if share(p.card) >= 0.85 && p.characters() >= 13.0 {
        return of(
            Holds::PaymentCard,
            share(p.card),
            0.95,
            "are card numbers with a right check digit",
        );
    }
    if share(p.icd10) >= 0.8 && p.distinctness() < 0.9 {
        return of(
            Holds::Health,
            share(p.icd10),
            0.75,
            "are written like codes of ICD-10",
        );
    }
    if let Some((country, hits)) = p.national.iter().max_by_key(|(_, n)| **n)
        && share(*hits) >= 0.85
        && share(p.plus) < 0.1
    {
        return of(
            Holds::NationalId,
            share(*hits),
            0.93,
            &format!("pass the check of {}", country.word()),
        );
    }
    if share(p.individual_number) >= 0.85 {
        return of(
            Holds::NationalId,
            share(p.individual_number),
            0.93,
            "pass the check of national_id.jp",
        );
    }
    if share(p.national_form) >= 0.6 && share(p.plus) < 0.1 && p.distinctness() > 0.8 {
        return of(
            Holds::NationalId,
            share(p.national_form),
            0.75,
            "are spelt like national numbers",
        );
    }
    if share(p.phone.max(p.dialled)) >= 0.75 && share(p.dialled) >= 0.6 && share(p.postal) < 0.5 {
        let fitting = share(p.phone.max(p.dialled));
        return of(
            Holds::Phone,
            fitting,
            0.6 + 0.35 * fitting,
            "are telephone numbers as one dials them",
        );
    }
    if share(p.url) >= 0.8 {
        return of(Holds::Company, share(p.url), 0.6, "are web addresses");
    }
    if share(p.file) >= 0.5 {
        return of(Holds::FreeText, share(p.file), 0.7, "are names of files");
    }
    if share(p.postal + p.postal_digits) >= 0.85 {
        let sure = if share(p.postal) >= 0.85 { 0.8 } else { 0.7 };
        return of(
            Holds::PostalCode,
            share(p.postal + p.postal_digits),
            sure,
            "have the form of postal codes",
        );
    }
    by_words(described, p)
}

/// What the words say of a column that has no form.
fn by_words(described: &Described, p: &Profile) -> Option<Opinion> {
    let n = p.seen;
    let of = |holds, share: f64, sure: f64, what: &str| {
        let why = format!("{} % of {n} values {what}", percent(share));
        Some(opinion(holds, sure, why))
    };
    let share = |count| p.share(count);
    let closed = described.picklist || described.type_word == "picklist";
    if share(p.street) >= 0.45 {
        return of(
            Holds::Street,
            share(p.street),
            0.6 + 0.35 * share(p.street),
            "are streets with numbers",
        );
    }
    if share(p.health) >= 0.4 {
        return of(
            Holds::Health,
            share(p.health),
            0.65 + 0.3 * share(p.health),
            "name diagnoses or treatments",
        );
    }
    if share(p.country) >= 0.7 {
        return of(Holds::Place, share(p.country), 0.75, "are countries");
    }
    if !closed && (p.words() >= 4.5 || p.characters() >= 45.0) && share(p.firm) < 0.5 {
        let sure = 0.7 + 0.25 * share(p.inside.max(p.person));
        return of(Holds::FreeText, 1.0, sure, "are sentences");
    }
    if share(p.firm) >= 0.25 && share(p.firm) > share(p.person) {
        return of(
            Holds::Company,
            share(p.firm),
            0.6 + 0.35 * share(p.firm),
            "have the legal form or the trade of a firm",
        );
    }
    if share(p.city) >= 0.25 && share(p.city) >= share(p.person) {
        return of(
            Holds::Place,
            share(p.city),
            0.6 + 0.35 * share(p.city),
            "are well-known towns",
        );
    }
    if !closed && share(p.person) >= 0.25 && share(p.title) < 0.25 && share(p.digit) < 0.1 {
        return of(
            Holds::PersonName,
            share(p.person),
            0.6 + 0.38 * share(p.person),
            "hold common names of people",
        );
    }
    if !closed && p.words() >= 3.3 && share(p.title) < 0.5 && share(p.digit) < 0.5 {
        return of(Holds::FreeText, 1.0, 0.6, "are phrases");
    }
    if share(p.digit) >= 0.95 && p.uniform() >= 0.7 && p.distinctness() >= 0.97 {
        return of(
            Holds::PersonNumber,
            p.uniform(),
            0.65,
            "have one form and no value comes twice",
        );
    }
    if closed || p.distinct() <= 40 && p.distinctness() < 0.5 {
        let why = format!("{} different values among {n}", p.distinct());
        return Some(opinion(
            Holds::Operational,
            if closed { 0.65 } else { 0.55 },
            why,
        ));
    }
    None
}

fn by_numbers(described: &Described, p: &Profile) -> Option<Opinion> {
    let n = p.seen;
    let money = described.type_word == "currency";
    let say = |holds, sure, why: String| Some(opinion(holds, sure, why));
    if p.share(p.precise) >= 0.3 && p.share(p.on_earth) >= 0.99 {
        return say(
            Holds::Coordinate,
            0.7,
            format!("{n} numbers with the decimals of places on earth"),
        );
    }
    if money && p.share(p.like_pay) >= 0.9 && p.log_deviation() < 0.7 {
        return say(
            Holds::Pay,
            0.65,
            format!("{n} amounts as close together as yearly pay"),
        );
    }
    if money {
        return say(Holds::Money, 0.6, "type `currency`".to_owned());
    }
    say(Holds::Operational, 0.5, format!("{n} numbers"))
}

/// Whose data the object holds, by its other columns.
fn about(fields: &[(Described, Profile)], first: &[Option<Opinion>]) -> About {
    let holds = |wanted: Holds| {
        first
            .iter()
            .flatten()
            .any(|o| o.holds == wanted && o.confidence >= 0.65)
    };
    let named = |d: &Described| {
        [&d.name, &d.label]
            .into_iter()
            .any(|n| names::speaks_of(n) == Some(Holds::PersonName))
    };
    if holds(Holds::PersonName) || fields.iter().any(|(d, _)| named(d)) {
        let house = fields
            .iter()
            .any(|(_, p)| p.email >= 10 && p.share(p.email) >= 0.8 && p.one_domain() >= 0.95);
        return if house { About::Staff } else { About::Persons };
    }
    if holds(Holds::Company) {
        About::Firms
    } else {
        About::Things
    }
}

/// What is left of an opinion once it is known what the object is about.
fn in_context(
    mut told: Opinion,
    described: &Described,
    p: &Profile,
    about: About,
    placed: bool,
) -> Option<Opinion> {
    let persons = matches!(about, About::Persons | About::Staff);
    match told.holds {
        // Five digits are a postal code beside a town, and a number of something elsewhere.
        Holds::PostalCode if !placed || p.ascending() > 0.9 && p.distinctness() > 0.97 => {
            if p.share(p.postal) >= 0.85 {
                return Some(told);
            }
            told.holds = if persons && p.distinctness() >= 0.97 {
                Holds::PersonNumber
            } else {
                Holds::Operational
            };
            told.confidence = 0.55;
            told.why = format!("{} numbers of one form", p.seen);
        }
        Holds::Coordinate if !placed => {
            told.holds = Holds::Operational;
            told.confidence = 0.5;
        }
        // A founding date is as old; people are born where people are.
        Holds::BirthDate | Holds::Pay if !persons => {
            let money = described.type_word == "currency";
            told.holds = if money {
                Holds::Money
            } else {
                Holds::Operational
            };
            told.confidence = 0.55;
            told.why.push_str(", and its object names no person");
        }
        Holds::PersonNumber if !persons => {
            told.holds = Holds::Operational;
            told.confidence = 0.6;
        }
        Holds::PersonNumber => told.why.push_str(", in an object about persons"),
        _ => {}
    }
    Some(told)
}

/// An opinion with all its reasons.
struct Joined {
    holds: Holds,
    confidence: f64,
    evidence: Vec<String>,
}

/// Whether `holds` is what is said of a column of which nothing special can be told.
fn is_general(holds: Holds) -> bool {
    matches!(
        holds,
        Holds::Operational | Holds::Money | Holds::PersonNumber | Holds::Coordinate
    )
}

/// Values, type, name and the CRM's own marking together.
fn joined(told: Option<Opinion>, described: &Described) -> Option<Joined> {
    let by_type = match described.type_word.as_str() {
        "email" => Some(Holds::Email),
        "phone" => Some(Holds::Phone),
        "address" => Some(Holds::Street),
        "location" => Some(Holds::Coordinate),
        "base64" => Some(Holds::FreeText),
        _ => None,
    };
    let typed = by_type.map(|h| opinion(h, 0.9, format!("type `{}`", described.type_word)));
    let spoken = [&described.name, &described.label]
        .into_iter()
        .find_map(|name| names::speaks_of(name))
        .map(|h| opinion(h, 0.6, "its name says so".to_owned()));
    let long = described.type_word == "textarea" && told.is_none();
    let area = long.then(|| opinion(Holds::FreeText, 0.6, "type `textarea`".to_owned()));
    let mut best: Option<Joined> = None;
    for said in [typed, told, spoken, area].into_iter().flatten() {
        match &mut best {
            None => {
                best = Some(Joined {
                    holds: said.holds,
                    confidence: said.confidence,
                    evidence: vec![said.why],
                });
            }
            Some(known) if known.holds == said.holds => {
                known.confidence = 1.0 - (1.0 - known.confidence) * (1.0 - said.confidence);
                known.evidence.push(said.why);
            }
            // What is special counts where values say no more than "a number".
            Some(known) if is_general(known.holds) && !is_general(said.holds) => {
                known.evidence.insert(0, said.why);
                (known.holds, known.confidence) = (said.holds, said.confidence);
            }
            Some(_) => {}
        }
    }
    marked(best, described)
}

/// With Salesforce's `complianceGroup`, which people filled in.
fn marked(best: Option<Joined>, described: &Described) -> Option<Joined> {
    let group = |word: &str| {
        described
            .compliance
            .iter()
            .any(|g| g.eq_ignore_ascii_case(word))
    };
    let holds = if group("HIPAA") {
        Holds::Health
    } else if ["PII", "PersonalInfo", "GDPR", "CCPA", "COPPA"]
        .into_iter()
        .any(group)
    {
        Holds::Personal
    } else if group("PCI") {
        Holds::PaymentCard
    } else {
        return best;
    };
    let why = format!("complianceGroup is {}", described.compliance.join(";"));
    match best {
        Some(mut known)
            if !matches!(
                known.holds,
                Holds::Operational | Holds::Money | Holds::Company
            ) =>
        {
            known.confidence = 1.0 - (1.0 - known.confidence) * 0.4;
            known.evidence.push(why);
            Some(known)
        }
        _ => Some(Joined {
            holds,
            confidence: 0.75,
            evidence: vec![why],
        }),
    }
}
