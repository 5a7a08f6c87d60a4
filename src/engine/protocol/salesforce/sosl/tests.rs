use super::parse;

const GOOD: &[&str] = &[
    "FIND {Smith}",
    "find {jo* AND (\"Acme Ltd\" OR B?b) and not x\\-y} in name fields returning contact",
    "FIND {jane@x.y} IN EMAIL FIELDS RETURNING Contact(Id), Lead(Id, Name LIMIT 5)",
    "FIND {a\\{b\\}c\\\\} IN ALL FIELDS RETURNING Account(Name, Owner.Name WHERE Name LIKE 'a%' ORDER BY Name DESC NULLS LAST LIMIT 2 OFFSET 1) LIMIT 10",
    "FIND {O'Neil-Smith} IN SIDEBAR FIELDS RETURNING Contact(toLabel(Status__c), FORMAT(convertCurrency(A__c)) a USING ListView=Recent)",
    "FIND {+49 123} IN PHONE FIELDS RETURNING Contact(Id WHERE Id IN (SELECT ContactId FROM Case)) WITH DIVISION = 'Global'",
    "FIND {x y} RETURNING KnowledgeArticleVersion(Id) WITH DATA CATEGORY G__c AT (a__c, b__c) AND H__c BELOW c__c WITH SNIPPET(target_length=120)",
    "FIND {x y} RETURNING Contact(Id) WITH NETWORK IN ('a', 'b') WITH PRICEBOOKID = 'x' WITH METADATA = 'LABELS' WITH HIGHLIGHT WITH SPELL_CORRECTION = false",
    "FIND {\u{4e2d}\u{6587} 😀} RETURNING Contact(Id) UPDATE TRACKING, VIEWSTAT",
    "FIND {\"a \\\"b\\\" (c)\"} RETURNING Contact WITH USER_MODE WITH SNIPPET",
];

const BAD: &[&str] = &[
    "",
    "FIND",
    "FIND 'x' RETURNING Contact",
    "FIND {} RETURNING Contact",
    "FIND {x RETURNING Contact(Id)",
    "FIND {x\\} RETURNING Contact(Id)",
    "FIND {a & b}",
    "FIND {a {b} c}",
    "FIND {a\\q}",
    "FIND {AND b}",
    "FIND {a OR}",
    "FIND {(a}",
    "FIND {a)}",
    "FIND {()}",
    "FIND {\"a}",
    "FIND {\"\"}",
    "FIND {x} IN SOME FIELDS",
    "FIND {x} IN NAME",
    "FIND {x} RETURNING",
    "FIND {x} RETURNING Contact()",
    "FIND {x} RETURNING Contact(Id,)",
    "FIND {x} RETURNING Contact(COUNT(Id))",
    "FIND {x} RETURNING Contact(FIELDS(ALL))",
    "FIND {x} RETURNING Contact((SELECT Id FROM Cases))",
    "FIND {x} RETURNING Contact(TYPEOF What WHEN Account THEN Name END)",
    "FIND {x} RETURNING Contact(Id LIMIT 1 WHERE Name = 'x')",
    "FIND {x} RETURNING Contact(Id) WITH SOMETHING = 1",
    "FIND {x} RETURNING Contact(Id) WITH METADATA = 'ALL'",
    "FIND {x} RETURNING Contact(Id) LIMIT a",
    "FIND {x} RETURNING Contact(Id) LIMIT 1 LIMIT 2",
    "FIND {x} RETURNING Contact(Id); x",
    "SELECT Id FROM Contact",
];

#[test]
fn prints_what_it_parsed() {
    for text in GOOD {
        let tree = parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let printed = tree.to_string();
        assert_eq!(parse(&printed).as_ref(), Ok(&tree), "{text} → {printed}");
    }
}

#[test]
fn refuses_what_is_not_sosl() {
    for text in BAD {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn errors_and_debug_hold_no_term() {
    let error = parse("FIND {Secret & Name} RETURNING Contact(Id)").unwrap_err();
    assert!(!error.to_string().contains("Secret"));
    let tree = parse("FIND {Secret \"Other\"} RETURNING Contact(Id WHERE Name = 'Third')").unwrap();
    let shown = format!("{tree:?}");
    for word in ["Secret", "Other", "Third"] {
        assert!(!shown.contains(word), "{shown}");
    }
}

#[test]
fn a_term_names_its_words() {
    let tree = parse("FIND {a\\-b* AND NOT \"c d\"}").unwrap();
    let texts: Vec<String> = tree.term.texts().collect();
    assert_eq!(texts, ["a-b*", "c d"]);
}

proptest::proptest! {
    #[test]
    fn any_text_is_a_tree_that_prints_itself_or_nothing(term in "[ -~é]{0,24}", rest in "[A-Za-z(), =*'{}\\\\]{0,24}") {
        let text = format!("FIND {{{term}}} {rest}");
        if let Ok(tree) = parse(&text) {
            let printed = tree.to_string();
            proptest::prop_assert_eq!(parse(&printed), Ok(tree));
        }
    }
}
