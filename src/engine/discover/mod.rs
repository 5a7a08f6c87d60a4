//! What the fields of an API seem to hold, told from names, metadata and the statistics of a sample: proposals for
//! `classes/*.csv`, to be read by a person.
//!
//! Values go into a [`Profile`] and do not come out of it. A proposal names a class, how sure it is, and why, in shares
//! and counts. Nothing here classifies anything: until a person takes a proposal over, the field has no class.

pub mod dictionary;
mod forms;
mod judge;
pub mod merge;
mod names;
mod profile;

use std::fmt;

pub use judge::propose;
pub use profile::Profile;

/// What a field may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Holds {
    /// A person's name, or a part of it.
    PersonName,
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// A street, or a whole address.
    Street,
    /// A postal code.
    PostalCode,
    /// A latitude or longitude.
    Coordinate,
    /// A town, region or country.
    Place,
    /// A date of birth.
    BirthDate,
    /// A national identity, tax or insurance number.
    NationalId,
    /// A bank account.
    BankAccount,
    /// A payment card.
    PaymentCard,
    /// What somebody earns.
    Pay,
    /// A number that stands for one person.
    PersonNumber,
    /// Health.
    Health,
    /// Personal data by the CRM's own marking, of no kind that could be told.
    Personal,
    /// Text in which anything may stand.
    FreeText,
    /// A firm's name, site or address.
    Company,
    /// Money.
    Money,
    /// What the business runs on: stages, products, dates, numbers.
    Operational,
}

/// Whose data an object holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// Persons who are customers or the like.
    Persons,
    /// Persons with addresses at one domain: colleagues.
    Staff,
    /// Firms.
    Firms,
    /// Neither: orders, tickets.
    Things,
}

impl Holds {
    /// The class that is proposed, without `class:`.
    pub fn class(self, about: About) -> &'static str {
        match (self, about) {
            (Self::PersonName, About::Staff) => "staff.name",
            (Self::Email, About::Staff) => "staff.email",
            (Self::Phone, About::Staff) => "staff.phone",
            (Self::Phone, About::Firms) => "company.phone",
            (Self::Street | Self::PostalCode | Self::Coordinate | Self::Place, About::Firms) => {
                "company"
            }
            (Self::PersonName, _) => "pii.name",
            (Self::Email, _) => "pii.email",
            (Self::Phone, _) => "pii.phone",
            (Self::Street | Self::PostalCode | Self::Coordinate, _) => "pii.address",
            (Self::Place, _) => "pii.address.city",
            (Self::BirthDate, _) => "pii.birthdate",
            (Self::NationalId, _) => "pii.national_id",
            (Self::BankAccount, _) => "pii.bank_account",
            (Self::PaymentCard, _) => "pii.payment_card",
            (Self::Pay, _) => "pii.salary",
            (Self::PersonNumber, _) => "pii.customer_number",
            (Self::Health, _) => "sensitive.health",
            (Self::Personal, _) => "pii",
            (Self::FreeText, _) => "freetext",
            (Self::Company, _) => "company",
            (Self::Money, _) => "financial",
            (Self::Operational, _) => "operational",
        }
    }
}

/// A field as its API describes it.
#[derive(Debug, Clone, Default)]
pub struct Described {
    /// API name.
    pub name: String,
    /// What people see.
    pub label: String,
    /// The API's own type word, such as `email`.
    pub type_word: String,
    /// Whether it has a closed list of values.
    pub picklist: bool,
    /// Salesforce's `complianceGroup`: `PII`, `HIPAA`…
    pub compliance: Vec<String>,
    /// Salesforce's `securityClassification`: `Public`, `Internal`, `Confidential`, `Restricted`, `MissionCritical`.
    pub security: Option<String>,
}

/// What a field seems to hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// The object's API name.
    pub object: String,
    /// The field's API name.
    pub field: String,
    /// What it seems to hold.
    pub holds: Holds,
    /// The class for it.
    pub class: &'static str,
    /// How sure that is, from 0 to 1. An order, not a probability.
    pub confidence: f64,
    /// Why, in words and shares; no value.
    pub evidence: Vec<String>,
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{} {} {:.2} ({})",
            self.object,
            self.field,
            self.class,
            self.confidence,
            self.evidence.join("; ")
        )
    }
}

#[cfg(test)]
mod tests;
