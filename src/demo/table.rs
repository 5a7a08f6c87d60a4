//! The table "same request, three callers": what stands in each answer, and what was done to it. The latter is told
//! by the CRM's own answer: a rule may treat the same field differently from record to record.

use serde_json::Value;

/// One caller's answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Head of its column.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// The JSON body.
    pub body: Value,
}

/// Widest cell, in terminal columns.
const CELL_MAX: usize = 34;

/// One block per record that the requests asked for: a line per field, a column per caller, each cell the value
/// with its treatment. `records` names them (by position in the answers), `fields` are paths such as `Account.Name`,
/// `own` is the CRM's own answer to the same request.
pub fn render(records: &[String], fields: &[&str], answers: &[Answer], own: &Value) -> String {
    let mut out = String::new();
    for (n, record) in records.iter().enumerate() {
        let mut rows = vec![vec![record.clone()]];
        rows[0].extend(answers.iter().map(|a| a.title.clone()));
        for field in fields {
            let mut row = vec![(*field).to_owned()];
            row.extend(answers.iter().map(|a| cell(a, own, n, field)));
            rows.push(row);
        }
        out.push_str(&lines(&rows));
        out.push('\n');
    }
    out
}

fn cell(answer: &Answer, own: &Value, record: usize, field: &str) -> String {
    if !(200..300).contains(&answer.status) {
        let code = answer.body.pointer("/0/errorCode").and_then(Value::as_str);
        return format!("{} {}", answer.status, code.unwrap_or("refused"));
    }
    let value = at(&answer.body, record, field);
    let shown = match value {
        None => "(absent)".to_owned(),
        Some(Value::Null) => "null".to_owned(),
        Some(Value::String(s)) => cut(s),
        Some(v) => cut(&v.to_string()),
    };
    match treatment(value, at(own, record, field)) {
        Some(word) => format!("{shown}  [{word}]"),
        None => shown,
    }
}

fn at<'v>(body: &'v Value, record: usize, field: &str) -> Option<&'v Value> {
    let record = body.get("records")?.get(record)?;
    field.split('.').try_fold(record, |at, part| at.get(part))
}

/// What was done to this very value; `None` where there was nothing.
fn treatment(value: Option<&Value>, own: Option<&Value>) -> Option<&'static str> {
    match (value, own) {
        (None, None) => None,
        (None, Some(_)) => Some("drop"),
        (Some(value), Some(own)) if value == own => Some("clear"),
        (Some(Value::Null), _) => Some("redact"),
        (Some(Value::String(s)), _) if s.starts_with("tk1.") => Some("tokenize"),
        (Some(Value::String(s)), _) if s.contains("****") => Some("mask"),
        (Some(_), _) => Some("generalise"),
    }
}

fn cut(text: &str) -> String {
    let clean: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if width(&clean) <= CELL_MAX {
        return clean;
    }
    let mut out = String::new();
    for c in clean.chars() {
        if width(&out) + columns(c) >= CELL_MAX {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

/// Terminal columns of one character: two for East Asian wide ones.
fn columns(c: char) -> usize {
    match u32::from(c) {
        0x0300..=0x036F | 0x200B..=0x200F => 0,
        0x1100..=0x115F
        | 0x2E80..=0xA4CF
        | 0xAC00..=0xD7A3
        | 0xF900..=0xFAFF
        | 0xFE30..=0xFE6F
        | 0xFF00..=0xFF60 => 2,
        0x1F300..=0x1FAFF | 0x20000..=0x3FFFD => 2,
        _ => 1,
    }
}

fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

fn lines(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count)
        .map(|i| {
            rows.iter()
                .filter_map(|r| r.get(i))
                .map(|c| width(c))
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut out = String::new();
    for (n, row) in rows.iter().enumerate() {
        let mut line = String::from(" ");
        for (cell, wide) in row.iter().zip(&widths) {
            line.push(' ');
            line.push_str(cell);
            line.push_str(&" ".repeat(wide - width(cell)));
            line.push_str("  ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
        if n == 0 {
            let rule: Vec<String> = widths.iter().map(|w| "─".repeat(*w)).collect();
            out.push_str(&format!("  {}\n", rule.join("   ")));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_table_shows_values_beside_their_treatments() {
        let answer = |title: &str, status, body| Answer {
            title: title.into(),
            status,
            body,
        };
        let own = json!({"records": [{
            "Email": "jo@example.org", "Birthdate": "1987-05-04", "SSN__c": "1", "Account": {"Name": "美しい"}, "Fax": null,
        }]});
        let treated = json!({"records": [{
            "Email": "j****@example.org", "Birthdate": "1987-01-01", "SSN__c": "tk1.k1.AbC", "Account": {"Name": null},
        }]});
        let refused = json!([{"errorCode": "INSUFFICIENT_ACCESS", "message": "no"}]);
        let text = render(
            &["003".into()],
            &[
                "Email",
                "Birthdate",
                "SSN__c",
                "Account.Name",
                "Fax",
                "Parent.Name",
            ],
            &[
                answer("a", 200, own.clone()),
                answer("b", 200, treated),
                answer("c", 403, refused),
            ],
            &own,
        );
        let expected = "  003            a                         b                           c
  ────────────   ───────────────────────   ─────────────────────────   ───────────────────────
  Email          jo@example.org  [clear]   j****@example.org  [mask]   403 INSUFFICIENT_ACCESS
  Birthdate      1987-05-04  [clear]       1987-01-01  [generalise]    403 INSUFFICIENT_ACCESS
  SSN__c         1  [clear]                tk1.k1.AbC  [tokenize]      403 INSUFFICIENT_ACCESS
  Account.Name   美しい  [clear]           null  [redact]              403 INSUFFICIENT_ACCESS
  Fax            null  [clear]             (absent)  [drop]            403 INSUFFICIENT_ACCESS
  Parent.Name    (absent)                  (absent)                    403 INSUFFICIENT_ACCESS

";
        assert_eq!(text, expected, "\n{text}");
    }
}
