use super::compare::{Direction, compare};
use super::fixture::{RULES, sources, with};
use super::{explain, layout, lint, matrix};
use crate::engine::catalog::{FieldRef, ObjectId};
use crate::engine::policy::{Point, load};
use crate::engine::protocol::Action;

fn explained(action: Action, facts: &[&str], region: &str) -> String {
    let set = with(RULES);
    let point = Point {
        who: Some("role:lead".into()),
        purpose: "support".into(),
        region: Some(region.into()),
        facts: set
            .policies
            .facts()
            .iter()
            .filter(|f| facts.contains(&&*f.to_string()))
            .map(|f| (f.clone(), true))
            .collect(),
    };
    let standpoint = set.policies.standing(&set.catalog, &point);
    let email = FieldRef {
        object: ObjectId(0),
        field: 0,
    };
    explain::field(&set, &standpoint, "lead for support", email, action)
}

#[test]
fn the_answer_comes_first_then_the_rule_the_losers_and_near_misses() {
    assert_eq!(
        explained(Action::Read, &["mfa"], "eu"),
        "lead for support reads Contact.Email as mask:email.
  decided by email-masked (rules/all.csv:4): allow role:desk to read class:pii.email as mask:email for support from anywhere
  lost: email-clear (rules/all.csv:3): when: it needs session<900s
  lost: mail-granted (rules/all.csv:8): who: it is for role:mail
near misses:
  would be clear with a session younger than 15m (email-clear)
"
    );
    // The class of this field asks for no group.
    assert!(!explained(Action::Aggregate, &[], "eu").contains("groups"));
    let abroad = explained(Action::Read, &["mfa", "session<900s"], "us");
    assert!(
        abroad.contains("would be clear from eu (email-clear)"),
        "{abroad}"
    );
    let filter = explained(Action::Filter, &[], "eu");
    assert!(
        filter.starts_with("lead for support may not filter Contact.Email.\n"),
        "{filter}"
    );
}

#[test]
fn order_and_comments_change_nothing() {
    let mut lines: Vec<&str> = RULES.lines().collect();
    lines.reverse();
    let moved = format!("# another order\n{}\n", lines.join("\n"));
    assert!(compare(&with(RULES), &with(&moved)).changes.is_empty());
}

#[test]
fn what_becomes_looser_comes_first_and_uses_follow_what_is_read() {
    let new = RULES
        .replace("mask:email, support", "clear, support")
        .replace("class:health, redact", "class:health, drop");
    let comparison = compare(&with(RULES), &with(&new));
    let told: Vec<String> = comparison
        .changes
        .iter()
        .map(|c| {
            let actions: Vec<&str> = c.actions.iter().map(|a| a.word()).collect();
            format!(
                "{} {} {:?} {}->{} {:?} {}",
                c.direction.word(),
                actions.join("|"),
                c.fields,
                c.from,
                c.to,
                c.who,
                c.circumstances.join(", ")
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "looser read|export {\"Contact.Email\"} mask:email->clear {\"role:desk\", \"role:lead\"} for support",
            "looser filter|sort|group|aggregate|search|key {\"Contact.Email\"} refused->allowed {\"role:desk\", \"role:lead\"} for support",
            "stricter read|export {\"Contact.Health\"} redact->drop {\"role:desk\", \"role:lead\"} for support, from eu",
        ]
    );
    assert!(comparison.shows_more());
    let back = compare(&with(&new), &with(RULES));
    let stricter = |c: &&super::compare::Change| c.direction == Direction::Stricter;
    assert_eq!(back.changes.iter().filter(stricter).count(), 2);
}

#[test]
fn the_matrix_says_all_that_could_be() {
    let set = with(RULES);
    assert_eq!(
        matrix::matrix(&set, None, Some("support")).text(),
        "field           class         desk                lead                mail
Contact.Email   pii.email     clear / mask:email  clear / mask:email  drop
Contact.Health  health        redact / deny       redact / deny       drop / deny
Contact.Id      id.Contact    clear               clear               drop
Contact.New     unclassified  drop                drop                drop
Contact.OptOut  plain         clear               clear               drop
"
    );
}

#[test]
fn columns_are_aligned_and_comments_stay() {
    let text = "# p, effect, who, action, what, treatment, purpose, region, when, priority, id\n\n#  why \np,allow,*,read, A.b ,clear,*,*,-,-,x\n";
    let laid = layout::csv(text).unwrap();
    assert_eq!(
        laid,
        "# p, effect, who, action, what, treatment, purpose, region, when, priority, id\n\n#  why\np,   allow,  *,   read,   A.b,  clear,     *,       *,      -,    -,        x\n"
    );
    assert_eq!(layout::csv(&laid).as_deref(), Some(&*laid));
    assert_eq!(layout::csv("p, \"a\n"), None);
}

#[test]
fn lints_name_what_nobody_meant() {
    let rules = format!(
        "{RULES}p, allow, role:desk, read, class:pii.email, mask:all, support, *, -, 90, never-wins\n\
         p, allow, *, read, class:health, clear, support, same, -, 90, everybody\n\
         p, allow, role:lead, filter, class:plain, -, *, *, -, -, already-so\n"
    );
    let sources = sources(&rules);
    let set = load(&sources).unwrap();
    let told: Vec<String> = lint::lint(&sources, &set)
        .iter()
        .map(|d| {
            let line = d.position.as_ref().map_or(0, |p| p.line);
            format!("{}:{line}: {}", d.code, d.message)
        })
        .collect();
    assert_eq!(
        told,
        [
            "clear-for-everyone:10: `everybody` shows personal data (`Contact.Health`) in clear to everyone",
            "field-without-class:3: `Contact` has a field without class: New",
            "rule-without-effect:11: without `already-so` nothing would change",
            "unreachable-rule:9: `never-wins` never decides: another rule always comes before",
        ]
    );
}

/// The whole text of each lint, as its author reads it.
#[test]
fn the_text_of_each_lint() {
    let rules = format!(
        "{RULES}p, allow, role:desk, read, class:pii.email, mask:all, support, *, -, 90, never-wins\n\
         p, allow, *, read, class:health, clear, support, same, -, 90, everybody\n\
         p, allow, role:lead, filter, class:plain, -, *, *, -, -, already-so\n\
         p, allow, role:desk, read, class:empty, clear, *, *, -, -, reaches-nothing\n"
    );
    let mut sources = sources(&rules);
    for (path, bytes) in &mut sources.files {
        if path == "vocabulary.yaml" {
            let text = String::from_utf8_lossy(bytes)
                .replace("  plain: {}\n", "  plain: {}\n  empty: {}\n")
                + "packs: [house]\n";
            *bytes = text.into_bytes();
        }
    }
    let pack = "# p, effect, who, action, what, treatment, purpose, region, when, priority, id\n\
        p, allow, *, read, class:plain, redact, *, *, -, -, pack-plain\n";
    sources
        .files
        .push(("packs/house/rules/all.csv".to_owned(), pack.into()));
    let set = load(&sources).unwrap();
    let told: Vec<String> = lint::lint(&sources, &set)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(told.join("\n\n"), include_str!("lints.txt").trim_end());
}
