//! Salesforce's endpoints as a caller meets them, engine and demo CRM together.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

mod attacker;
mod attacker_events;
mod bulk2;
mod collections;
mod composite;
mod conversation;
mod events;
mod graph;
mod graphql;
#[allow(dead_code, reason = "the attacker needs a part of it")]
#[path = "../product/house.rs"]
mod house;
mod list_views;
mod reads;
mod records;
mod reports;
mod resources;
mod search;
mod soap;
mod surfaces;
mod tree;

/// `desk` reads names and ids in clear, e-mail and loyalty number as tokens, phone masked, no salary, and may write
/// contacts. `pseudonym` sees contact ids as tokens. `reader` writes nothing.
const RULES: &str = "\
# p, effect, who, action, what, treatment, purpose, region, when, priority, id
p, allow, *,              read,   *,                         clear,          *, *, -, 90, t-all
p, allow, *,              read,   class:pii.email,           tokenize:email, *, *, -, -,  t-email
p, allow, *,              read,   class:pii.customer_number, tokenize,       *, *, -, -,  t-number
p, allow, *,              read,   class:pii.phone,           mask:last4,     *, *, -, -,  t-phone
p, allow, *,              read,   class:pii.salary,          drop,           *, *, -, -,  t-salary
p, deny,  *,              read,   class:pii.national_id,     -,              *, *, -, -,  t-national
p, allow, role:pseudonym, read,   class:id.contact,          tokenize,       *, *, -, 20, t-pseudonym
p, allow, role:desk,      write,  Contact.*,                 -,              *, *, -, -,  t-write
p, allow, role:desk,      delete, Contact.*,                 -,              *, *, -, -,  t-delete
p, allow, role:pseudonym, write,  Contact.*,                 -,              *, *, -, -,  t-pwrite
p, allow, role:pseudonym, delete, Contact.*,                 -,              *, *, -, -,  t-pdelete
";
