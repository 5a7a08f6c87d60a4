//! SOQL, SOSL and GraphQL.

use crate::engine::protocol::salesforce::{graphql, soql, sosl};

/// SOQL: never panics, an error points into the text, and what is printed means what was parsed.
///
/// # Panics
/// If one of these does not hold.
pub fn soql(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match soql::parse(text) {
        Err(error) => assert!(error.at <= text.len()),
        Ok(tree) => {
            let printed = tree.to_string();
            match soql::parse(&printed) {
                Ok(again) => assert!(again == tree, "printed differently"),
                // Escapes may bring it over the bound of length.
                Err(_) => assert!(printed.len() > text.len(), "printed is no SOQL"),
            }
        }
    }
}

/// SOSL: as [`soql()`].
///
/// # Panics
/// If one of these does not hold.
pub fn sosl(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match sosl::parse(text) {
        Err(error) => assert!(error.at <= text.len()),
        Ok(tree) => {
            let printed = tree.to_string();
            match sosl::parse(&printed) {
                Ok(again) => assert!(again == tree, "printed differently"),
                // Escapes may bring it over the bound of length.
                Err(_) => assert!(printed.len() > text.len(), "printed is no SOSL"),
            }
        }
    }
}

/// GraphQL: never panics, an error points into the text, and what was read is within its bounds.
///
/// # Panics
/// If one of these does not hold.
pub fn graphql(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match graphql::parse::parse(text) {
        Err(error) => assert!(error.at <= text.len()),
        Ok(document) => {
            assert!(
                !document.operations.is_empty() && text.len() <= graphql::parse::DOCUMENT_BYTES_MAX
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::protocol::salesforce::sosl;

    /// Numbers below what is asked for, from a fixed seed.
    fn seeded(mut seed: u64) -> impl FnMut(usize) -> usize {
        move |n| {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (seed >> 33) as usize % n
        }
    }

    /// Clauses in any order.
    #[test]
    fn seeded_queries() {
        const PARTS: [&str; 24] = [
            "SELECT ",
            "Id",
            ", ",
            "Owner.Name",
            " FROM ",
            "Contact",
            " WHERE ",
            "Name = 'O\\'Hara'",
            " AND ",
            " OR ",
            "(",
            ")",
            "NOT ",
            "Age__c > 1.5",
            "LIMIT 5",
            " ORDER BY ",
            " GROUP BY ",
            "COUNT(Id)",
            " c",
            " LIKE '%a_'",
            " IN ('a', 'b')",
            "2024-01-01",
            " ",
            "é'",
        ];
        let mut next = seeded(3);
        for _ in 0..20_000 {
            let mut data = Vec::new();
            if next(2) == 0 {
                data.extend_from_slice(b"SELECT Id FROM Contact WHERE Name = 'x'");
            }
            for _ in 0..next(12) {
                data.extend_from_slice(PARTS[next(PARTS.len())].as_bytes());
            }
            super::soql(&data);
        }
    }

    /// Pieces of GraphQL in any order.
    #[test]
    fn seeded_documents() {
        const PARTS: [&str; 26] = [
            "{",
            "}",
            "(",
            ")",
            "[",
            "]",
            ":",
            "$v",
            "!",
            "...",
            " on ",
            "@skip(if:true)",
            "query Q($v:[S!]!=1)",
            "a",
            "b:c",
            "fragment F on T{a}",
            "...F",
            "\"x\\u00e9\"",
            "\"",
            "-1.5e3",
            "null",
            "é",
            "#x\n",
            "{a(b:{c:[1 $v]})}",
            ",",
            "mutation",
        ];
        let mut next = seeded(5);
        let mut read = 0;
        for _ in 0..20_000 {
            let mut text = String::from(["", "{a", "query{a{b "][next(3)]);
            for _ in 0..next(10) {
                text.push_str(PARTS[next(PARTS.len())]);
            }
            text.push_str(["", "}", "}}"][next(3)]);
            super::graphql(text.as_bytes());
            read += usize::from(
                crate::engine::protocol::salesforce::graphql::parse::parse(&text).is_ok(),
            );
        }
        assert!(read > 500, "{read}");
        for deep in ["{a", "{a(b:[", "{a(b:{c:", "query($v:["] {
            super::graphql(deep.repeat(10_000).as_bytes());
        }
    }

    /// Pieces of SOSL, most of them behind the beginning of a good search.
    #[test]
    fn seeded_searches() {
        const STARTS: [&str; 5] = [
            "",
            "FIND {",
            "FIND {word} ",
            "FIND {word*} IN ALL FIELDS RETURNING Contact(Id",
            "FIND {\"two words\" AND NOT x?} RETURNING Contact(Id), Account",
        ];
        const PARTS: [&str; 43] = [
            "word",
            "\"word\"",
            "'word'",
            "*",
            "?",
            "{",
            "}",
            "\\",
            "\"",
            "'",
            "(",
            ")",
            ",",
            ".",
            "-",
            "&",
            " AND ",
            " OR ",
            " AND NOT ",
            " IN ",
            "NAME FIELDS",
            " RETURNING ",
            "Contact",
            "(Id)",
            "Account(Name",
            " WHERE ",
            "Name LIKE 'a%'",
            "Id IN (SELECT Id FROM Case)",
            " ORDER BY Name DESC NULLS LAST",
            " LIMIT 5",
            " OFFSET 1",
            " WITH ",
            "HIGHLIGHT",
            "SNIPPET(target_length=9)",
            "DATA CATEGORY A__c AT b__c",
            "NETWORK = 'word'",
            " UPDATE TRACKING",
            " USING ListView=Recent",
            "toLabel(Status)",
            " ",
            "é",
            "\u{1f600}",
            "\0",
        ];
        let mut next = seeded(7);
        let mut read = 0;
        for _ in 0..30_000 {
            let mut text = STARTS[next(STARTS.len())].to_owned();
            for _ in 0..next(10) {
                text.push_str(PARTS[next(PARTS.len())]);
            }
            if next(2) == 0 {
                text.push(')');
            }
            super::sosl(text.as_bytes());
            read += usize::from(sosl::parse(&text).is_ok());
        }
        assert!(read > 1_000, "{read}");
    }
}
