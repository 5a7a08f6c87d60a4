//! Entry functions for the fuzz targets, one per parser. Not part of the library's face.

mod documents;
mod json;
#[allow(
    clippy::expect_used,
    reason = "a fuzz target says what does not hold by a panic"
)]
pub mod markup;
mod path;
mod query;

pub use documents::{embedded, framed};
pub use json::{json, scanners};
pub use path::path;
pub use query::{graphql, soql, sosl};

#[cfg(test)]
mod tests {
    /// A seeded walk through JSON-like bytes, so that the fuzz targets' bodies run on every test run.
    #[test]
    fn seeded_inputs() {
        const PARTS: [&str; 28] = [
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"a\"",
            "\"b\"",
            "\"A\"",
            "\"x\"",
            "\"\\u0061\"",
            "1",
            "-0.5e3",
            "true",
            "null",
            " ",
            "\n",
            "\"é\"",
            "\"\\ud83d\\ude00\"",
            "\"\\n\"",
            "\"a\":1",
            "\"b\":[{\"a\":2}]",
            "\u{feff}",
            "01",
            "\"ａ\":3",
            "{\"x\":",
            "[[",
            "$.a[0]..*",
        ];
        let mut seed = 1u64;
        let mut next = |n: usize| {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (seed >> 33) as usize % n
        };
        for _ in 0..20_000 {
            let mut data = vec![next(256) as u8];
            for _ in 0..next(12) {
                data.extend_from_slice(PARTS[next(PARTS.len())].as_bytes());
            }
            super::json(&data);
            super::scanners(&data);
            super::path(&data[1..]);
        }
    }

    /// The same for documents in documents.
    #[test]
    fn seeded_documents() {
        const PARTS: [&str; 30] = [
            "{",
            "}",
            "[1,",
            "]",
            "\"x\"",
            "1",
            "\n",
            "\r",
            "\r\n",
            "\n\n",
            " ",
            "data:",
            "data: ",
            "data",
            "event: ",
            "event:a",
            "id: 1",
            "retry: 7",
            ":",
            "\r\n--x",
            "--x\r\n",
            "--x--",
            "Content-Type: application/json\r\n\r\n",
            "Content-Type: text/plain\r\n",
            "\r\n\r\n",
            "{\"a\":1}",
            "\u{feff}",
            "-",
            "\t",
            "null",
        ];
        const STRINGS: [&str; 16] = [
            "{",
            "}",
            "\\\"a\\\":",
            "\\u007b",
            "\\u007d",
            "1",
            ",",
            "[",
            "]",
            "\\n",
            "\\\\",
            "\\\"",
            "\\ud83d\\ude00",
            "true",
            " ",
            "é",
        ];
        let mut seed = 7u64;
        let mut next = |n: usize| {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (seed >> 33) as usize % n
        };
        for _ in 0..20_000 {
            let mut data = vec![next(256) as u8, next(256) as u8];
            for _ in 0..next(14) {
                data.extend_from_slice(PARTS[next(PARTS.len())].as_bytes());
            }
            super::framed(&data);
            let mut data = vec![next(256) as u8];
            data.extend_from_slice(b"{\"a\":\"");
            for _ in 0..next(10) {
                data.extend_from_slice(STRINGS[next(STRINGS.len())].as_bytes());
            }
            data.extend_from_slice(b"\",\"b\":0}");
            super::embedded(&data);
        }
    }
}
