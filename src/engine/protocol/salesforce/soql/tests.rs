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
    "SELECT Id FROM Account FOR VIEW, FOR REFERENCE UPDATE TRACKING, VIEWSTAT FOR UPDATE",
    "SELECT Id FROM Account AS a WHERE a.From = .5 AND NOT (NOT b = +5)",
    "SELECT Id, Group, Order, End FROM Group USING SCOPE My_Team_Territory",
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

/// Damage that still has the outline of a query, class by class.
#[test]
fn refuses_damage() {
    for (class, texts) in [
        (
            "a reserved word for an object",
            &[
                "SELECT Id FROM FROM Contact",
                "SELECT Id FROM WHERE",
                "SELECT Id FROM Select",
                "SELECT Id, (SELECT Id FROM LIMIT) FROM Account",
                "SELECT Id FROM Account a, From.Owner b",
            ][..],
        ),
        (
            "a reserved word for a field",
            &[
                "select select Email FROM Account",
                "SELECT Null FROM Account",
                "SELECT where.Id FROM Account",
                "SELECT Id FROM Account WHERE IN IN ('a')",
                "SELECT Id FROM Account WHERE NOT IN IN ('a')",
                "SELECT Id FROM Account WHERE LIKE LIKE 'a'",
                "SELECT Id FROM Account WHERE true = true",
                "SELECT Id FROM Account ORDER BY DESC NULLS FIRST",
                "SELECT Id FROM Account ORDER BY NULLS FIRST",
                "SELECT COUNT(Id) FROM Account GROUP BY HAVING",
                "SELECT MAX(Last) FROM Account",
                "SELECT TYPEOF What WHEN Account THEN From END FROM Task",
            ],
        ),
        (
            "a reserved word for an alias",
            &[
                "SELECT COUNT(Id) first FROM Account",
                "SELECT COUNT(Id) AS n FROM Account",
                "SELECT COUNT(Id) with FROM Account",
                "SELECT Id FROM Account AS",
                "SELECT Id FROM Account AS AS",
                "SELECT Id FROM Account AS WHERE",
                "SELECT Id FROM Account last",
            ],
        ),
        (
            "COUNT() under a name",
            &[
                "SELECT COUNT()Amount__c FROM Account",
                "SELECT COUNT() n FROM Account",
            ],
        ),
        (
            "NOT before NOT",
            &[
                "SELECT Id FROM Account WHERE NOT NOT a = 1",
                "SELECT Id FROM Account WHERE a = 1 AND (NOT not a = 1)",
            ],
        ),
        (
            "a name or a number that is none",
            &[
                "SELECT _a FROM Account",
                "SELECT Id FROM _a",
                "SELECT Id FROM Account WHERE a = 5.",
                "SELECT Id FROM Account WHERE a = 1e5",
                "SELECT Id FROM Account WHERE a = USD",
                "SELECT Id FROM Account WHERE a = .",
            ],
        ),
        (
            "a clause twice, or without what it belongs to",
            &[
                "SELECT Id FROM Account HAVING COUNT(Id) > 1",
                "SELECT Id FROM Account LIMIT 1 LIMIT 2",
                "SELECT Id FROM Account FOR VIEW FOR VIEW",
                "SELECT Id FROM Account FOR VIEW FOR REFERENCE",
                "SELECT Id FROM Account FOR VIEW, VIEW",
                "SELECT Id FROM Account FOR UPDATE FOR UPDATE",
                "SELECT Id FROM Account UPDATE TRACKING UPDATE VIEWSTAT",
                "SELECT Id FROM Account UPDATE TRACKING FOR VIEW",
                "SELECT Id FROM Account ALL ROWS FOR VIEW",
                "SELECT Id FROM Account ALL ROWS ALL ROWS",
                "SELECT Id FROM Account USING SCOPE nearby",
                "SELECT Id FROM Account USING SCOPE WHERE a = 1",
            ],
        ),
    ] {
        for text in texts {
            assert!(parse(text).is_err(), "{class}: {text}");
        }
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

mod properties {
    use std::sync::Arc;

    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::super::ast::*;
    use super::parse;

    fn name() -> impl Strategy<Value = Arc<str>> {
        prop::sample::select(vec![
            "Id", "email", "Account", "Foo__c", "Foo__r", "x_1", "Group", "Date",
        ])
        .prop_map(Arc::from)
    }

    fn alias() -> impl Strategy<Value = Option<Arc<str>>> {
        option::of(prop::sample::select(vec!["n", "total", "x1"]).prop_map(Arc::from))
    }

    fn path() -> impl Strategy<Value = Path> {
        vec(name(), 1..4).prop_map(|segments| Path {
            segments,
            span: Span::default(),
            slot: Slot::default(),
        })
    }

    fn word() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<i32>().prop_map(|n| n.to_string()),
            any::<u16>().prop_map(|n| format!("{n}.25")),
            any::<u16>().prop_map(|n| format!("eur{n}.5")),
            Just("2026-01-31".to_owned()),
            Just("2026-01-31T10:00:00.123+01:00".to_owned()),
            Just("13:05:30.000Z".to_owned()),
            Just("THIS_FISCAL_YEAR".to_owned()),
            any::<u8>().prop_map(|n| format!("N_DAYS_AGO:{n}")),
        ]
        .prop_map(|w| Value::Word(w.into()))
    }

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<String>().prop_map(Value::Text),
            "[\\\\'\"%_ \n\u{7f}\u{0}a😀]*".prop_map(Value::Text),
            word(),
        ]
    }

    /// Backslashes of a pattern escape what follows.
    fn pattern() -> impl Strategy<Value = Value> {
        vec(
            prop_oneof![
                Just("\\\\".to_owned()),
                Just("\\%".to_owned()),
                Just("\\_".to_owned()),
                "[^\\\\]".prop_map(|c| c),
            ],
            0..6,
        )
        .prop_map(|parts| Value::Pattern(parts.concat()))
    }

    fn call(function: Function, arguments: Vec<Argument>) -> Expr {
        Expr::Call(Call {
            function,
            arguments,
            span: Span::default(),
        })
    }

    fn expr() -> impl Strategy<Value = Expr> {
        let one = |e| vec![Argument::Expr(e)];
        prop_oneof![
            4 => path().prop_map(Expr::Path),
            1 => path().prop_map(move |p| call(Function::CountDistinct, one(Expr::Path(p)))),
            1 => path().prop_map(move |p| {
                call(Function::Format, one(call(Function::ConvertCurrency, one(Expr::Path(p)))))
            }),
            1 => path().prop_map(move |p| {
                call(Function::DayOnly, one(call(Function::ConvertTimezone, one(Expr::Path(p)))))
            }),
            1 => (path(), any::<i16>()).prop_map(|(p, n)| {
                let number = Value::Word(n.to_string().into());
                call(Function::Distance, vec![
                    Argument::Expr(Expr::Path(p)),
                    Argument::Geolocation(number.clone(), number),
                    Argument::Value(Value::Text("km".into())),
                ])
            }),
        ]
    }

    fn compare() -> impl Strategy<Value = Condition> {
        let operator = prop::sample::select(vec![
            Operator::Equal,
            Operator::NotEqual,
            Operator::Less,
            Operator::GreaterOrEqual,
        ]);
        let listing = prop::sample::select(vec![
            Operator::In,
            Operator::NotIn,
            Operator::Includes,
            Operator::Excludes,
        ]);
        let right = prop_oneof![
            (operator, value()).prop_map(|(o, v)| (o, Operand::Value(v))),
            pattern().prop_map(|v| (Operator::Like, Operand::Value(v))),
            (listing, vec(value(), 1..4)).prop_map(|(o, v)| (o, Operand::List(v))),
        ];
        (expr(), right).prop_map(|(left, (operator, right))| {
            Condition::Compare(Compare {
                left,
                operator,
                right,
                span: Span::default(),
            })
        })
    }

    fn condition() -> impl Strategy<Value = Condition> {
        compare().prop_recursive(4, 16, 3, |inner| {
            prop_oneof![
                vec(inner.clone(), 2..4).prop_map(Condition::And),
                vec(inner.clone(), 2..4).prop_map(Condition::Or),
                inner.prop_map(|c| Condition::Not(Box::new(c))),
            ]
        })
    }

    fn item(kind: ItemKind, alias: Option<Arc<str>>) -> Item {
        Item {
            kind,
            alias,
            span: Span::default(),
        }
    }

    fn query() -> impl Strategy<Value = Query> {
        let flat = flat_query(
            prop_oneof![
                6 => (expr(), alias()).prop_map(|(e, a)| item(ItemKind::Expr(e), a)),
                1 => Just(item(ItemKind::Fields(FieldsOf::Custom), None)),
                1 => (path(), name(), vec(path(), 1..3), vec(path(), 0..2)).prop_map(
                    |(relationship, object, fields, otherwise)| {
                        let cases = vec![(object, fields)];
                        item(ItemKind::TypeOf(TypeOf { relationship, cases, otherwise }), None)
                    }
                ),
            ]
            .boxed(),
        );
        flat.prop_recursive(2, 8, 2, |inner| {
            flat_query(
                prop_oneof![
                    (expr(), alias()).prop_map(|(e, a)| item(ItemKind::Expr(e), a)),
                    inner.prop_map(|q| item(ItemKind::Children(Box::new(q)), None)),
                ]
                .boxed(),
            )
        })
    }

    fn flat_query(items: BoxedStrategy<Item>) -> BoxedStrategy<Query> {
        let source = (path(), alias())
            .prop_map(|(path, alias)| Source { path, alias })
            .boxed();
        let order = (expr(), option::of(any::<bool>()), option::of(any::<bool>())).prop_map(
            |(by, ascending, nulls_first)| Order {
                by,
                ascending,
                nulls_first,
            },
        );
        let kind = prop::sample::select(vec![GroupKind::Plain, GroupKind::Rollup, GroupKind::Cube]);
        let group = (kind, vec(expr(), 1..3)).prop_map(|(kind, keys)| Group { kind, keys });
        (
            (vec(items, 1..4), source.clone(), vec(source, 0..2)),
            option::of(condition()),
            option::of(group),
            option::of(condition()),
            vec(order, 0..3),
            option::of(any::<u64>()),
            option::of(any::<u64>()),
            (
                option::of(Just(Arc::from("mine"))),
                any::<bool>(),
                any::<bool>(),
            ),
        )
            .prop_map(
                |(
                    (select, from, joins),
                    filter,
                    group,
                    having,
                    order,
                    limit,
                    offset,
                    (scope, rows, view),
                )| {
                    Query {
                        select,
                        from,
                        joins,
                        using_scope: scope,
                        filter,
                        with: rows.then_some(With::UserMode),
                        having: having.filter(|_| group.is_some()),
                        group,
                        order,
                        limit,
                        offset,
                        locks: if view {
                            vec![ForClause::View]
                        } else {
                            Vec::new()
                        },
                        updates: if view {
                            vec![UpdateClause::Tracking]
                        } else {
                            Vec::new()
                        },
                        all_rows: rows,
                        span: Span::default(),
                        slot: Slot::default(),
                    }
                },
            )
            .boxed()
    }

    proptest! {
        #[test]
        fn parse_undoes_print(tree in query()) {
            let text = tree.to_string();
            prop_assert_eq!(parse(&text), Ok(tree), "{}", text);
        }

        #[test]
        fn no_input_panics(text in any::<String>()) {
            let _ = parse(&text);
        }

        #[test]
        fn no_mutation_panics_and_all_print_again(
            tree in query(),
            at in any::<prop::sample::Index>(),
            with in "[ -~\u{e9}]{0,3}",
        ) {
            let mut text: Vec<char> = tree.to_string().chars().collect();
            let at = at.index(text.len());
            text.splice(at..=at, with.chars());
            let text: String = text.into_iter().collect();
            if let Ok(tree) = parse(&text) {
                prop_assert_eq!(parse(&tree.to_string()), Ok(tree));
            }
        }
    }
}
