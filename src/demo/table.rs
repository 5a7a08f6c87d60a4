//! The table "same request, three callers": what stands in each answer, and what was done to it.

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
    /// The `Privet-Treated` header: `Email=mask, Phone=redact`.
    pub treated: String,
}

/// Widest cell, in terminal columns.
const CELL_MAX: usize = 34;

/// One block per record that the requests asked for: a line per field, a column per caller, each cell the value
/// with its treatment. `records` names them (by position in the answers), `fields` are paths such as `Account.Name`.
pub fn render(records: &[String], fields: &[&str], answers: &[Answer]) -> String {
    let mut out = String::new();
    for (n, record) in records.iter().enumerate() {
        let mut rows = vec![vec![record.clone()]];
        rows[0].extend(answers.iter().map(|a| a.title.clone()));
        for field in fields {
            let mut row = vec![(*field).to_owned()];
            row.extend(answers.iter().map(|a| cell(a, n, field)));
            rows.push(row);
        }
        out.push_str(&lines(&rows));
        out.push('\n');
    }
    out
}

fn cell(answer: &Answer, record: usize, field: &str) -> String {
    if !(200..300).contains(&answer.status) {
        let code = answer.body.pointer("/0/errorCode").and_then(Value::as_str);
        return format!("{} {}", answer.status, code.unwrap_or("refused"));
    }
    let value = answer
        .body
        .get("records")
        .and_then(|r| r.get(record))
        .and_then(|r| field.split('.').try_fold(r, |at, part| at.get(part)));
    let treated = treatment(&answer.treated, field);
    match value {
        None => format!("(absent)  [{}]", treated.unwrap_or("drop")),
        Some(Value::Null) => format!("null  [{}]", treated.unwrap_or("clear")),
        Some(Value::String(s)) => format!("{}  [{}]", cut(s), treated.unwrap_or("clear")),
        Some(v) => format!("{}  [{}]", cut(&v.to_string()), treated.unwrap_or("clear")),
    }
}

/// What `Privet-Treated` says about a field, by its whole path or its last part.
fn treatment<'h>(header: &'h str, field: &str) -> Option<&'h str> {
    let said = |name: &str| {
        header
            .split(',')
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, t)| t)
    };
    said(field).or_else(|| said(field.rsplit('.').next().unwrap_or(field)))
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
        let answer = |title: &str, status, body, treated: &str| Answer {
            title: title.into(),
            status,
            body,
            treated: treated.into(),
        };
        let clear =
            json!({"records": [{"Email": "jo@example.org", "Account": {"Name": "美しい"}}]});
        let masked =
            json!({"records": [{"Email": "j****@example.org", "Account": {"Name": null}}]});
        let refused = json!([{"errorCode": "INSUFFICIENT_ACCESS", "message": "no"}]);
        let text = render(
            &["003".into()],
            &["Email", "Account.Name", "SSN__c"],
            &[
                answer("a", 200, clear, ""),
                answer("b", 200, masked, "Email=mask, Name=redact, SSN__c=drop"),
                answer("c", 403, refused, ""),
            ],
        );
        let expected = "  003            a                         b                           c
  ────────────   ───────────────────────   ─────────────────────────   ───────────────────────
  Email          jo@example.org  [clear]   j****@example.org  [mask]   403 INSUFFICIENT_ACCESS
  Account.Name   美しい  [clear]           null  [redact]              403 INSUFFICIENT_ACCESS
  SSN__c         (absent)  [drop]          (absent)  [drop]            403 INSUFFICIENT_ACCESS

";
        assert_eq!(text, expected, "\n{text}");
    }
}
