//! JSON Schemas of the YAML files, for editors. The readers stay the authority: a schema knows no names of the set.

/// (file name, text).
pub const SCHEMAS: [(&str, &str); 5] = [
    ("api.schema.json", include_str!("schemas/api.schema.json")),
    (
        "monitors.schema.json",
        include_str!("schemas/monitors.schema.json"),
    ),
    (
        "policy-test.schema.json",
        include_str!("schemas/policy-test.schema.json"),
    ),
    (
        "privet.schema.json",
        include_str!("schemas/privet.schema.json"),
    ),
    (
        "vocabulary.schema.json",
        include_str!("schemas/vocabulary.schema.json"),
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::SCHEMAS;
    use crate::engine::policy::vocabulary;
    use crate::engine::workbench::suite::keys;

    fn properties(name: &str, pointer: &str) -> BTreeSet<String> {
        let (_, text) = SCHEMAS.iter().find(|(n, _)| *n == name).unwrap();
        let schema: serde_json::Value = serde_json::from_str(text).unwrap();
        let at = schema.pointer(&format!("{pointer}/properties")).unwrap();
        at.as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn every_key_that_a_reader_knows_is_in_the_schema() {
        let tests = "/properties/tests/items";
        for (file, pointer, known) in [
            ("vocabulary.schema.json", "", &vocabulary::KEYS[..]),
            ("policy-test.schema.json", "", &keys::FILE[..]),
            (
                "policy-test.schema.json",
                "/properties/callers/additionalProperties",
                &keys::CALLER[..],
            ),
            ("policy-test.schema.json", tests, &keys::TEST[..]),
            (
                "policy-test.schema.json",
                &format!("{tests}/properties/request"),
                &keys::REQUEST[..],
            ),
            (
                "policy-test.schema.json",
                &format!("{tests}/properties/expect_refusal"),
                &keys::REFUSAL[..],
            ),
            (
                "policy-test.schema.json",
                "/properties/never/items",
                &keys::NEVER[..],
            ),
        ] {
            let known: BTreeSet<String> = known.iter().map(ToString::to_string).collect();
            assert_eq!(properties(file, pointer), known, "{file} {pointer}");
        }
    }
}
