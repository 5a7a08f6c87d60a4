//! The same records on every start: a small deterministic generator over the lists in [`super::names`].

use crate::demo::metadata;
use crate::demo::names::{HEALTH, LOCALES, Locale, PROBLEMS, STAFF, TITLES};
use crate::demo::store::{Store, Value};

/// Number of users.
pub const USERS: usize = 20;
/// Number of accounts.
pub const ACCOUNTS: usize = 300;
/// Number of contacts.
pub const CONTACTS: usize = 2_000;
/// Number of leads.
pub const LEADS: usize = 60;
/// Number of cases.
pub const CASES: usize = 1_500;
/// Number of tasks.
pub const TASKS: usize = 400;

/// The day on which the demo organisation stands still: dates are relative to it, and it is SOQL's TODAY.
pub const TODAY: jiff::civil::Date = jiff::civil::Date::constant(2026, 11, 23);

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same everywhere.
struct Dice(u64, Vec<&'static Locale>);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[(self.next() % list.len() as u64) as usize]
    }

    fn locale(&mut self) -> &'static Locale {
        let total: u64 = self.1.iter().map(|l| l.weight).sum();
        let mut n = self.below(total);
        for l in &self.1 {
            if n < l.weight {
                return l;
            }
            n -= l.weight;
        }
        &LOCALES[0]
    }

    fn digits(&mut self, pattern: &str) -> String {
        pattern
            .chars()
            .map(|c| match c {
                '9' => char::from(b'0' + (self.next() % 10) as u8),
                c => c,
            })
            .collect()
    }

    fn phone(&mut self, locale: &Locale) -> String {
        let tail = self.digits("9999");
        format!("{}{tail}", locale.dial)
    }

    fn day(&mut self, back_from: i64, days: u64) -> jiff::civil::Date {
        let back = back_from + i64::try_from(self.below(days)).unwrap_or(0);
        TODAY.saturating_sub(jiff::Span::new().days(back))
    }

    fn moment(&mut self, back_from: i64, days: u64) -> String {
        let day = self.day(back_from, days);
        let (h, m, s) = (self.below(24), self.below(60), self.below(60));
        format!("{day}T{h:02}:{m:02}:{s:02}.000+0000")
    }
}

fn text(s: impl AsRef<str>) -> Value {
    Value::text(s.as_ref())
}

fn index(name: &str) -> usize {
    metadata::object(name).unwrap_or_default()
}

/// The organisation of the demo.
pub fn store() -> Store {
    store_of(0x5EED_0F91, &[])
}

/// An organisation from another seed, whose people live in these countries (ISO 3166-1); none = in all.
pub fn store_of(seed: u64, countries: &[&str]) -> Store {
    let mut store = Store::default();
    let locales = LOCALES
        .iter()
        .filter(|l| countries.is_empty() || countries.contains(&l.code));
    let mut dice = Dice(seed, locales.collect());
    let users = users(&mut store, &mut dice);
    let accounts = accounts(&mut store, &mut dice, &users);
    let contacts = contacts(&mut store, &mut dice, &users, &accounts);
    let leads = leads(&mut store, &mut dice, &users);
    let cases = cases(&mut store, &mut dice, &users, &contacts);
    tasks(
        &mut store, &mut dice, &users, &contacts, &leads, &accounts, &cases,
    );
    attachments(&mut store, &users, &contacts);
    store
}

fn users(store: &mut Store, dice: &mut Dice) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for (i, (first, last, given, family)) in STAFF.iter().take(USERS).enumerate() {
        let mail = format!("{given}.{family}@acme.example");
        let created = dice.moment(900, 1_000);
        let manager = if i == 0 {
            Value::Null
        } else {
            text(&ids[i / 5])
        };
        ids.push(store.insert(
            index("User"),
            &[
                ("Username", text(&mail)),
                ("FirstName", text(first)),
                ("LastName", text(last)),
                ("Email", text(&mail)),
                (
                    "Title",
                    text(if i < 4 {
                        "Team Lead"
                    } else {
                        "Account Executive"
                    }),
                ),
                (
                    "Department",
                    text(if i % 2 == 0 { "Sales" } else { "Service" }),
                ),
                ("Alias", text(given.chars().take(8).collect::<String>())),
                ("IsActive", Value::Bool(i != 17)),
                ("ManagerId", manager),
                ("CreatedDate", text(&created)),
                ("LastModifiedDate", text(&created)),
                ("SystemModstamp", text(&created)),
            ],
        ));
    }
    ids
}

struct Firm {
    id: String,
    name: String,
    domain: String,
    locale: &'static Locale,
}

fn accounts(store: &mut Store, dice: &mut Dice, users: &[String]) -> Vec<Firm> {
    let mut firms = Vec::new();
    for i in 0..ACCOUNTS {
        let locale = dice.locale();
        let (word, label) = dice.pick(locale.firms);
        let legal = dice.pick(locale.legal);
        let (city, postal, _, _) = dice.pick(locale.cities);
        // Firms of one stem in several towns: like a real CRM, names repeat and domains do not.
        let name = if locale.family_first {
            format!("{word}{city}{legal}")
        } else {
            format!("{word} {city} {legal}")
        };
        let domain = format!("{label}{i}.example");
        let (created, modified) = (dice.moment(400, 1_500), dice.moment(0, 400));
        let owner = dice.pick(users).clone();
        let id = store.insert(
            index("Account"),
            &[
                ("Name", text(&name)),
                ("Industry", text(dice.pick(metadata::INDUSTRY))),
                ("BillingStreet", text(street(dice, locale))),
                ("BillingCity", text(city)),
                ("BillingPostalCode", text(postal)),
                ("BillingCountry", text(locale.country)),
                ("BillingCountryCode", text(locale.code)),
                ("Phone", text(dice.phone(locale))),
                ("Website", text(format!("https://www.{domain}"))),
                (
                    "AnnualRevenue",
                    Value::Number((10 + dice.below(9_000)) as f64 * 10_000.0),
                ),
                (
                    "NumberOfEmployees",
                    Value::Int(5 + i64::try_from(dice.below(4_000)).unwrap_or(0)),
                ),
                (
                    "Description",
                    if dice.chance(30) {
                        text(format!(
                            "Framework contract, renewed by {}",
                            dice.pick(locale.last).0
                        ))
                    } else {
                        Value::Null
                    },
                ),
                ("OwnerId", text(&owner)),
                ("CreatedById", text(&owner)),
                ("CreatedDate", text(&created)),
                ("LastModifiedDate", text(&modified)),
                ("SystemModstamp", text(&modified)),
            ],
        );
        firms.push(Firm {
            id,
            name,
            domain,
            locale,
        });
    }
    firms
}

fn street(dice: &mut Dice, locale: &Locale) -> String {
    let number = (1 + dice.below(120)).to_string();
    dice.pick(locale.streets).replace("{}", &number)
}

struct Human {
    id: String,
    account: Option<String>,
    name: String,
    phone: String,
}

fn contacts(store: &mut Store, dice: &mut Dice, users: &[String], firms: &[Firm]) -> Vec<Human> {
    let mut people = Vec::new();
    for i in 0..CONTACTS {
        // Some people have no firm, and then an address at a public provider.
        let firm = if dice.chance(94) {
            Some(dice.pick(firms))
        } else {
            None
        };
        let locale = firm.map_or_else(|| dice.locale(), |f| f.locale);
        let (first, given) = dice.pick(locale.first);
        let (last, family) = dice.pick(locale.last);
        let domain = firm.map_or("mail.example", |f| f.domain.as_str());
        let email = format!("{given}.{family}{i}@{domain}");
        let (city, postal, lat, lon) = dice.pick(locale.cities);
        let (title, department) = dice.pick(TITLES);
        let phone = dice.phone(locale);
        let (created, modified) = (dice.moment(200, 1_500), dice.moment(0, 200));
        let owner = dice.pick(users).clone();
        let name = format!("{first} {last}");
        let maybe = |dice: &mut Dice, percent, value: String| {
            if dice.chance(percent) {
                text(value)
            } else {
                Value::Null
            }
        };
        let note = format!(
            "Spoke with {name} about {}; call back on {phone} after five.",
            firm.map_or("the offer", |f| f.name.as_str())
        );
        let mobile = dice.phone(locale);
        let ssn = dice.digits(locale.national_id);
        let health = (*dice.pick(HEALTH)).to_owned();
        let birthdate = dice.day(18 * 365, 60 * 365).to_string();
        let salary = Value::Number((24_000 + dice.below(140_000)) as f64);
        let values = [
            ("AccountId", firm.map_or(Value::Null, |f| text(&f.id))),
            ("FirstName", text(first)),
            ("LastName", text(last)),
            ("MailingStreet", text(street(dice, locale))),
            ("MailingCity", text(city)),
            ("MailingPostalCode", text(postal)),
            ("MailingCountry", text(locale.country)),
            ("MailingCountryCode", text(locale.code)),
            ("MailingLatitude", Value::Number(*lat)),
            ("MailingLongitude", Value::Number(*lon)),
            ("Phone", maybe(dice, 96, phone.clone())),
            ("MobilePhone", maybe(dice, 60, mobile)),
            ("Email", maybe(dice, 98, email)),
            ("Title", text(title)),
            ("Department", text(department)),
            ("LeadSource", text(dice.pick(metadata::LEAD_SOURCE))),
            ("Birthdate", maybe(dice, 85, birthdate)),
            ("Description", maybe(dice, 35, note)),
            ("OwnerId", text(&owner)),
            ("HasOptedOutOfEmail", Value::Bool(dice.chance(25))),
            ("CreatedDate", text(&created)),
            ("CreatedById", text(&owner)),
            ("LastModifiedDate", text(&modified)),
            ("LastModifiedById", text(dice.pick(users))),
            ("SystemModstamp", text(&modified)),
            ("Health__c", maybe(dice, 12, health)),
            (
                "Loyalty_Number__c",
                text(format!("L-{:06}", 100_000 + i * 7)),
            ),
            (
                "Salary__c",
                if dice.chance(70) { salary } else { Value::Null },
            ),
            ("SSN__c", maybe(dice, 80, ssn)),
        ];
        let id = store.insert(index("Contact"), &values);
        people.push(Human {
            id,
            account: firm.map(|f| f.id.clone()),
            name,
            phone,
        });
    }
    people
}

fn leads(store: &mut Store, dice: &mut Dice, users: &[String]) -> Vec<String> {
    let mut ids = Vec::new();
    for i in 0..LEADS {
        let locale = dice.locale();
        let (first, given) = dice.pick(locale.first);
        let (last, family) = dice.pick(locale.last);
        let (word, label) = dice.pick(locale.firms);
        let created = dice.moment(0, 120);
        ids.push(store.insert(
            index("Lead"),
            &[
                ("FirstName", text(first)),
                ("LastName", text(last)),
                ("Company", text(word)),
                (
                    "Email",
                    text(format!("{given}.{family}{i}@{label}.example")),
                ),
                ("Phone", text(dice.phone(locale))),
                ("Status", text(dice.pick(metadata::LEAD_STATUS))),
                ("HasOptedOutOfEmail", Value::Bool(dice.chance(40))),
                ("OwnerId", text(dice.pick(users))),
                ("CreatedDate", text(&created)),
                ("LastModifiedDate", text(&created)),
                ("SystemModstamp", text(&created)),
            ],
        ));
    }
    ids
}

fn cases(store: &mut Store, dice: &mut Dice, users: &[String], people: &[Human]) -> Vec<String> {
    let mut ids = Vec::new();
    for i in 0..CASES {
        let person = dice.pick(people);
        let (subject, begin) = dice.pick(PROBLEMS);
        let status = dice.pick(metadata::CASE_STATUS);
        let closed = *status == "Closed";
        let (created, modified) = (dice.moment(30, 700), dice.moment(0, 30));
        let owner = dice.pick(users).clone();
        ids.push(store.insert(
            index("Case"),
            &[
                ("CaseNumber", text(format!("{:08}", 1_000 + i))),
                ("ContactId", text(&person.id)),
                (
                    "AccountId",
                    person.account.as_ref().map_or(Value::Null, text),
                ),
                ("Subject", text(subject)),
                (
                    "Description",
                    text(format!(
                        "{begin} Regards, {} ({})",
                        person.name, person.phone
                    )),
                ),
                ("Status", text(status)),
                ("Priority", text(dice.pick(metadata::CASE_PRIORITY))),
                ("Origin", text(dice.pick(metadata::CASE_ORIGIN))),
                ("IsClosed", Value::Bool(closed)),
                (
                    "ClosedDate",
                    if closed { text(&modified) } else { Value::Null },
                ),
                ("OwnerId", text(&owner)),
                ("CreatedById", text(&owner)),
                ("CreatedDate", text(&created)),
                ("LastModifiedDate", text(&modified)),
                ("SystemModstamp", text(&modified)),
            ],
        ));
    }
    ids
}

fn tasks(
    store: &mut Store,
    dice: &mut Dice,
    users: &[String],
    people: &[Human],
    leads: &[String],
    firms: &[Firm],
    cases: &[String],
) {
    for _ in 0..TASKS {
        let person = dice.pick(people);
        let who = match dice.below(10) {
            0 => Value::Null,
            1 | 2 => text(dice.pick(leads)),
            _ => text(&person.id),
        };
        let what = match dice.below(10) {
            0 | 1 => Value::Null,
            2..=5 => text(&dice.pick(firms).id),
            _ => text(dice.pick(cases)),
        };
        let created = dice.moment(0, 200);
        let day = dice.day(0, 60).to_string();
        store.insert(
            index("Task"),
            &[
                ("WhoId", who),
                ("WhatId", what),
                (
                    "Subject",
                    text(["Call", "Email", "Send offer", "Visit"][dice.below(4) as usize]),
                ),
                ("ActivityDate", text(&day)),
                ("Status", text(dice.pick(metadata::TASK_STATUS))),
                ("Priority", text(dice.pick(metadata::CASE_PRIORITY))),
                (
                    "Description",
                    text(format!("Call {} on {}", person.name, person.phone)),
                ),
                ("OwnerId", text(dice.pick(users))),
                ("CreatedDate", text(&created)),
                ("LastModifiedDate", text(&created)),
                ("SystemModstamp", text(&created)),
            ],
        );
    }
}

/// Some files; what stands in them is of nobody.
fn attachments(store: &mut Store, users: &[String], people: &[Human]) {
    let created = "2026-10-01T08:00:00.000+0000";
    for (i, person) in people.iter().take(5).enumerate() {
        let body = format!("<p>Invented file {i}</p>");
        store.insert(
            index("Attachment"),
            &[
                ("Name", text(format!("file-{i}.html"))),
                ("ParentId", text(&person.id)),
                ("ContentType", text("text/html")),
                ("BodyLength", Value::Int(body.len() as i64)),
                ("Body", text(body)),
                ("OwnerId", text(&users[0])),
                ("CreatedDate", text(created)),
                ("LastModifiedDate", text(created)),
                ("SystemModstamp", text(created)),
            ],
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_start_gives_the_same_records() {
        let (a, b) = (store(), store());
        let contact = index("Contact");
        assert_eq!(a.table(contact).rows.len(), CONTACTS);
        assert_eq!(a.table(index("Account")).rows.len(), ACCOUNTS);
        assert_eq!(a.table(index("Case")).rows.len(), CASES);
        assert_eq!(a.table(contact).rows, b.table(contact).rows);
    }
}
