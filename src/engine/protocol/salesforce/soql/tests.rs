use super::parse;

const GOOD: &[&str] = &[
    "SELECT Id, Account.Owner.Name FROM Contact",
    "select c.Email from contact c where c.Email = 'a\\'b' and (Name like 'x\\%y%' or not Age__c > -5.5)",
    "SELECT Id, (SELECT LastName FROM Contacts ORDER BY LastName NULLS LAST LIMIT 5) FROM Account",
    "SELECT COUNT() FROM Contact WHERE CreatedDate = LAST_N_DAYS:30 AND Amount > USD500.25",
    "SELECT Industry, COUNT(Id) n, MAX(CreatedDate) FROM Account GROUP BY ROLLUP(Industry) HAVING COUNT(Id) > 1",
    "SELECT FORMAT(convertCurrency(Amount)) a FROM Opportunity WHERE Id IN (SELECT OpportunityId FROM Quote)",
    "SELECT TYPEOF What WHEN Account THEN Phone, Name ELSE Name END FROM Event",
    "SELECT FIELDS(ALL) FROM Contact LIMIT 200",
    "SELECT Id FROM X WHERE DISTANCE(Loc__c, GEOLOCATION(37.7, -122.4), 'mi') < 20 ORDER BY DISTANCE(Loc__c, GEOLOCATION(1,2), 'km') DESC",
    "SELECT Id FROM X WHERE D = 2026-01-31T10:00:00.000+01:00 AND E INCLUDES ('a;b', 'c') AND F NOT IN (null, true)",
    "SELECT Id FROM Account a, a.Owner o USING SCOPE mine WITH SECURITY_ENFORCED FOR VIEW UPDATE TRACKING ALL ROWS",
    "SELECT Id FROM Order WITH DATA CATEGORY G__c ABOVE_OR_BELOW (a__c, b__c) AND H__c AT c__c LIMIT 1 OFFSET 2",
    "SELECT Id FROM X WHERE Name = '\\u0041\\n\\\\' OR Name = 'Zoë 😀'",
];

const BAD: &[&str] = &[
    "",
    "SELECT",
    "SELECT * FROM X",
    "SELECT Id FROM X WHERE a = 1 AND b = 2 OR c = 3",
    "SELECT Id FROM X WHERE a = 'x",
    "SELECT Id FROM X WHERE a = 'x\\q'",
    "SELECT Id FROM X WHERE a = 'x\\%'",
    "SELECT Id FROM X WHERE a = :b",
    "SELECT Id FROM X LIMIT -1",
    "SELECT Id FROM X;",
    "SELECT Id FROM X -- c",
    "SELECT Id FROM X WHERE a = Smith",
    "SELECT FOO(Id) FROM X",
    "SELECT Id FROM X SET OPTIONS(a=1)",
    "SELECT Ｅmail FROM Contact",
    "FIND {x} IN ALL FIELDS",
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
fn refuses_what_is_not_soql() {
    for text in BAD {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn errors_hold_no_literal() {
    let error = parse("SELECT Id FROM X WHERE a = Smith").unwrap_err();
    assert!(!error.to_string().contains("Smith"));
}

#[test]
fn nesting_is_bounded() {
    let deep = format!("SELECT Id FROM X WHERE {}a = 1", "(".repeat(50_000));
    assert!(parse(&deep).is_err());
    let nots = format!("SELECT Id FROM X WHERE {}a = 1", "NOT ".repeat(20_000));
    assert!(parse(&nots).is_err());
}
