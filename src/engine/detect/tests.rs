use super::*;

fn kinds(text: &str) -> Vec<(&str, &'static str)> {
    let mut all = Vec::new();
    find(text, |f| all.push((&text[f.start..f.end], f.kind.word())));
    all
}

fn fits(text: &str) -> Vec<&'static str> {
    let mut all = Vec::new();
    whole(text, |kind| all.push(kind.word()));
    all
}

/// Published sample numbers: of the networks, the IBAN registry and the authorities' own documentation.
#[test]
fn finds_what_is_personal_inside_a_text() {
    for (text, expected) in [
        (
            "write to Jane.Doe+x@mail.example.org.",
            ("Jane.Doe+x@mail.example.org", "email"),
        ),
        (
            "<jürgen@bücher.example>",
            ("jürgen@bücher.example", "email"),
        ),
        ("1234@example.org", ("1234@example.org", "email")),
        ("call +49 30 901820 today", ("+49 30 901820", "phone")),
        ("call (212) 555-0123 now", ("(212) 555-0123", "phone")),
        ("tel 212-555-0123.", ("212-555-0123", "phone")),
        ("01 23 45 67 89", ("01 23 45 67 89", "phone")),
        ("+4930901820", ("+4930901820", "phone")),
        (
            "pay to DE89 3704 0044 0532 0130 00, please",
            ("DE89 3704 0044 0532 0130 00", "iban"),
        ),
        ("gb82WEST12345698765432", ("gb82WEST12345698765432", "iban")),
        (
            "card 4111 1111 1111 1111 exp",
            ("4111 1111 1111 1111", "payment_card"),
        ),
        ("378282246310005", ("378282246310005", "payment_card")),
        ("ssn 078-05-1120", ("078-05-1120", "national_id.us")),
        ("cpf 529.982.247-25", ("529.982.247-25", "national_id.br")),
        (
            "ahv 756.9217.0769.85",
            ("756.9217.0769.85", "national_id.ch"),
        ),
        ("HETU 131052-308T", ("131052-308T", "national_id.fi")),
        ("nif 12345678Z", ("12345678Z", "national_id.es")),
        ("nric S1234567D", ("S1234567D", "national_id.sg")),
        (
            "cf RSSMRA85T10A562S",
            ("RSSMRA85T10A562S", "national_id.it"),
        ),
        ("nino AB 12 34 56 C", ("AB 12 34 56 C", "national_id.gb")),
        ("pnr 811228-9874", ("811228-9874", "national_id.se")),
    ] {
        assert_eq!(kinds(text), [expected], "{text}");
    }
    assert_eq!(
        kinds("a@b.example, c@d.example or 078-05-1120"),
        [
            ("a@b.example", "email"),
            ("c@d.example", "email"),
            ("078-05-1120", "national_id.us")
        ]
    );
}

#[test]
fn ordinary_numbers_and_words_are_nobody() {
    for text in [
        "",
        "order 1234567890 of 2024-01-02 at 10:30:00",
        "2024-01-02T10:30:00.000+0000",
        "01.02.2024 10:30",
        "001A000001xyzABIAY",
        "v1.2.3 build 20240102",
        "10.0.0.1 and 192.168.100.200",
        "4111 1111 1111 1112",
        "DE89 3704 0044 0532 0130 01",
        "tk1.k1.mfrggzdfmztwq2lk@token.invalid",
        "@handle and a@b and a@.example and x@1.2",
        "EUR 1.234.567,89",
        "123-45-678",
        "000-12-3456",
        "529.982.247-26",
        "550e8400-e29b-41d4-a716-446655440000",
    ] {
        assert_eq!(kinds(text), [], "{text}");
    }
}

#[test]
fn whole_values_fit_also_as_bare_digits() {
    for (text, expected) in [
        ("52998224725", "national_id.br"),
        ("  130692544 ", "national_id.ca"),
        ("86095742719", "national_id.de"),
        ("255081416802538", "national_id.fr"),
        ("111222333", "national_id.nl"),
        ("44051401359", "national_id.pl"),
        ("8112289874", "national_id.se"),
        ("1101700230678", "national_id.th"),
        ("234123412346", "national_id.in"),
        ("85073003328", "national_id.be"),
        ("X1234567L", "national_id.es"),
        ("030901820", "phone"),
        ("+1 212 555 0123 x42", "phone"),
        ("5555555555554444", "payment_card"),
        ("jane@example.org", "email"),
    ] {
        assert!(fits(text).contains(&expected), "{text}: {:?}", fits(text));
    }
    assert_eq!(fits("Jane Doe"), Vec::<&str>::new());
    assert_eq!(fits("jane@example.org and more"), Vec::<&str>::new());
}

mod property {
    use proptest::prelude::*;

    use super::super::{find, whole};

    proptest! {
        /// Places are ordered, apart, and on character boundaries, whatever the text.
        #[test]
        fn findings_are_ordered_slices(text in "[ -~é日\u{1F600}@0-9.+()-]{0,80}") {
            let mut behind = 0;
            find(&text, |f| {
                assert!(f.start >= behind && f.start < f.end);
                assert!(text.get(f.start..f.end).is_some());
                behind = f.end;
            });
            whole(&text, |_| {});
        }

        /// A mailbox is found wherever words end.
        #[test]
        fn an_address_is_found_in_any_sentence(
            before in "[a-z ,;:<(\"']{0,20}[ ,;:<(\"]",
            local in "[a-z0-9]{1,12}(\\.[a-z0-9]{1,8})?",
            domain in "[a-z0-9]{1,10}\\.(example|org|co\\.uk)",
            after in "([ ,;>)\"!?][a-z ]{0,10})?",
        ) {
            let text = format!("{before}{local}@{domain}{after}");
            let mut hits = Vec::new();
            find(&text, |f| hits.push(&text[f.start..f.end]));
            prop_assert_eq!(hits, vec![format!("{local}@{domain}")]);
        }
    }
}
