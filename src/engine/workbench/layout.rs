//! The one layout of the CSV files: aligned columns, comments and empty lines as they are.

use crate::engine::policy::csv::cells;

/// The text in its layout; `None` where a row cannot be read, which the loader says better.
pub fn csv(text: &str) -> Option<String> {
    let text = text.replace("\r\n", "\n");
    let mut rows: Vec<Line> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let header = index == 0 && line.starts_with('#') && line.contains(',');
        rows.push(if header {
            let words = line.trim_start_matches('#').split(',');
            let mut cells: Vec<String> = words.map(|w| w.trim().to_owned()).collect();
            if let Some(first) = cells.first_mut() {
                *first = format!("# {first}");
            }
            Line::Cells(cells)
        } else if line.trim().is_empty() || line.starts_with('#') {
            Line::Text(line.trim_end().to_owned())
        } else {
            Line::Cells(
                cells(line)
                    .ok()?
                    .into_iter()
                    .map(|cell| quoted(cell.text))
                    .collect(),
            )
        });
    }
    let mut widths: Vec<usize> = Vec::new();
    for line in &rows {
        if let Line::Cells(cells) = line {
            for (i, cell) in cells.iter().enumerate() {
                let width = cell.chars().count();
                match widths.get_mut(i) {
                    Some(known) => *known = width.max(*known),
                    None => widths.push(width),
                }
            }
        }
    }
    let mut out = String::with_capacity(text.len());
    for line in rows {
        match line {
            Line::Text(text) => out.push_str(&text),
            Line::Cells(cells) => {
                let last = cells.len().saturating_sub(1);
                for (i, cell) in cells.iter().enumerate() {
                    if i == last {
                        out.push_str(cell);
                    } else {
                        let width = widths.get(i).copied().unwrap_or(0) + 2;
                        out.push_str(&format!("{:<width$}", format!("{cell},")));
                    }
                }
            }
        }
        out.push('\n');
    }
    Some(out)
}

enum Line {
    Text(String),
    Cells(Vec<String>),
}

fn quoted(cell: String) -> String {
    if cell.contains([',', '"']) || cell.starts_with('#') {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell
    }
}
