use super::*;
use crate::engine::treatment::Treatment;

fn treat(word: &str) -> XmlNode {
    XmlNode::Treat {
        treatment: Prepared::Keyless(Treatment::parse(word).expect("a word")),
        counter: 0,
    }
}

fn child(name: &str, node: u32) -> Child {
    Child {
        name: name.into(),
        namespace: None,
        node: NodeId(node),
        unique: false,
    }
}

fn counters() -> Vec<Counter> {
    vec![Counter {
        object: "Contact".into(),
        field: "Email".into(),
        treatment: Treatment::MaskAll,
    }]
}

const SF: &str = "urn:sobject.partner.soap.sforce.com";

/// 0 clear, 1 mask:email, 2 redact, 3 record, 4 root, 5 generalise:range10, 6 constant.
fn simple() -> XmlProgram {
    let record = Children {
        named: vec![
            child("Id", 0),
            child("Email", 1),
            child("Phone", 2),
            child("Age", 5),
            Child {
                namespace: Some(SF.into()),
                ..child("Name", 0)
            },
            child("fault", 6),
        ],
        row: true,
        ..Children::default()
    };
    let root = Children {
        named: vec![child("records", 3), child("done", 0)],
        attributes: vec![child("Email", 1), child("version", 0), child("Phone", 2)],
        ..Children::default()
    };
    XmlProgram::new(
        &[
            XmlNode::Clear,
            treat("mask:email"),
            treat("redact"),
            XmlNode::Element(record),
            XmlNode::Element(root),
            treat("generalise:range10"),
            XmlNode::Constant("a < b".into()),
        ],
        NodeId(4),
        counters(),
    )
}

fn run(
    program: &Arc<XmlProgram>,
    bounds: Bounds,
    body: &[u8],
    cuts: &[usize],
) -> Result<(String, Counts), Abort> {
    let mut rewriter = XmlRewriter::new(program.clone(), bounds);
    let mut out = Out::default();
    let mut from = 0;
    for cut in cuts.iter().copied().chain([body.len()]) {
        rewriter.push(Bytes::copy_from_slice(&body[from..cut]), &mut out)?;
        from = cut;
    }
    let counts = rewriter.finish(&mut out)?;
    let text = String::from_utf8(out.concat()).expect("UTF-8");
    assert_eq!(counts.bytes_out, text.len() as u64);
    Ok((text, counts))
}

/// The output, the same for every two-way cut and byte by byte.
fn all(program: XmlProgram, bounds: Bounds, body: &str) -> Result<(String, Counts), Abort> {
    let program = Arc::new(program);
    let body = body.as_bytes();
    let whole = run(&program, bounds, body, &[]);
    let comparable = |r: &Result<(String, Counts), Abort>| {
        r.clone().map_err(|abort| std::mem::discriminant(&abort))
    };
    let mut cuts: Vec<Vec<usize>> = (0..=body.len()).map(|cut| vec![cut]).collect();
    cuts.push((1..body.len()).collect());
    for cuts in cuts {
        let cut = run(&program, bounds, body, &cuts);
        assert_eq!(comparable(&cut), comparable(&whole), "{cuts:?}");
    }
    whole
}

fn text(program: XmlProgram, body: &str) -> String {
    all(program, Bounds::default(), body).expect(body).0
}

#[test]
fn treats_drops_and_keeps_the_rest() {
    let body = format!(
        "\u{feff}<?xml version=\"1.0\" encoding='UTF-8'?>\n<!-- CANARY --><r xmlns:sf='{SF}' version='1' secret=\"CANARY\" Email=\"jo@example.org\" Phone='1'>\n\
         stray <records>\n <sf:Id>a&amp;<![CDATA[<b]]]></sf:Id><Email>jo&#64;exa<!-- x -->mple<![CDATA[.or]]>g</Email>\
         <Phone>1</Phone><Other><Id>CANARY</Id></Other><Age>57</Age><sf:Name a='1'>n</sf:Name><?p CANARY?></records>\
         <records/><done>true</done></r>\n"
    );
    let (out, counts) = all(simple(), Bounds::default(), &body).expect("plain");
    assert_eq!(
        out,
        format!(
            "<?xml version=\"1.0\" encoding='UTF-8'?>\n<r xmlns:sf='{SF}' version='1' Email=\"j****@example.org\" Phone=\"\">\n\
             <records>\n <sf:Id>a&amp;<![CDATA[<b]]]></sf:Id><Email>j****@example.org</Email>\
             <Phone xmlns:xsi=\"{XSI}\" xsi:nil=\"true\"/><Age>50</Age><sf:Name a='1'>n</sf:Name></records>\
             <records/><done>true</done></r>\n"
        )
    );
    assert_eq!((counts.rows, counts.unplanned_members), (2, 1));
    assert_eq!(counts.treated, [5]);
}

#[test]
fn null_stays_null_and_elements_in_a_field_become_null() {
    let body = format!(
        "<r xmlns:x='{XSI}'><records><Email x:nil='true'/><Email></Email><Email/><Email x:nil=\"1\">jo@example.org</Email>\
         <Email x:type='y'><b>jo@example.org</b></Email><fault>v</fault></records></r>"
    );
    assert_eq!(
        text(simple(), &body),
        format!(
            "<r xmlns:x='{XSI}'><records><Email x:nil=\"true\"/><Email></Email><Email/><Email x:nil=\"true\"/>\
             <Email x:type='y' x:nil=\"true\"/><fault>a &lt; b</fault></records></r>"
        )
    );
    assert_eq!(
        text(
            simple(),
            &format!("<r xmlns:x='{XSI}' x:type='jo@example.org' x:nil='jo'/>")
        ),
        format!("<r xmlns:x='{XSI}'/>")
    );
    // The prefix is taken by another namespace.
    assert_eq!(
        text(
            simple(),
            "<xsi:r xmlns:xsi='u'><records><Phone>1</Phone></records></xsi:r>"
        ),
        format!(
            "<xsi:r xmlns:xsi='u'><records><Phone xmlns:xsi0=\"{XSI}\" xsi0:nil=\"true\"/></records></xsi:r>"
        )
    );
}

#[test]
fn names_bind_narrowly_to_pass_and_widely_to_protect() {
    let body = "<r><records><ID>1</ID><\u{ff29}d>2</\u{ff29}d><\u{ff25}mail>jo@example.org</\u{ff25}mail><Name>3</Name></records></r>";
    assert_eq!(
        text(simple(), body),
        "<r><records><ID>1</ID><\u{ff25}mail>j****@example.org</\u{ff25}mail></records></r>"
    );
}

#[test]
fn what_is_not_strict_xml_aborts() {
    for body in [
        "",
        " ",
        "x<r/>",
        "<r/>x",
        "<r/><r/>",
        "<r>",
        "<r",
        "</r>",
        "<r></R>",
        "<r><a></r></a>",
        "<!DOCTYPE r><r/>",
        "<r><!ENTITY a 'b'></r>",
        "<r>&nbsp;</r>",
        "<r>&#0;</r>",
        "<r>&#xD800;</r>",
        "<r>&#x;</r>",
        "<r>& </r>",
        "<r>&amp</r>",
        "<r>]]></r>",
        "<r>\u{1}</r>",
        "<r>\u{fffe}</r>",
        "<r a='1' a='2'/>",
        "<r xmlns:a='u' xmlns:b='u' a:x='1' b:x='2'/>",
        "<r a='1'b='2'/>",
        "<r a=1/>",
        "<r a/>",
        "<r a='<'/>",
        "<r a='&x;'/>",
        "<p:r/>",
        "<r p:a='1'/>",
        "<r xmlns:p=''/>",
        "<r xmlns:xml='u'/>",
        "<a:b:c xmlns:a='u'/>",
        "<1/>",
        "< r/>",
        "<r/ >",
        "<r><!-- -- --></r>",
        "<r><!-x></r>",
        "<r><![CDATA[x</r>",
        "<r><?xml version='1.0'?></r>",
        " <?xml version='1.0'?><r/>",
        "<?xml version='1.1'?><r/>",
        "<?xml version='1.0' encoding='utf-16'?><r/>",
        "<?xml encoding='utf-8'?><r/>",
        "<r><a\u{200c}b/></r>",
    ] {
        assert!(all(simple(), Bounds::default(), body).is_err(), "{body:?}");
    }
    let many: String = (0..300).map(|i| format!(" a{i}='1'")).collect();
    assert!(
        run(
            &Arc::new(simple()),
            Bounds::default(),
            format!("<r{many}/>").as_bytes(),
            &[]
        )
        .is_err()
    );
    assert!(
        all(
            simple().with_comments(Comments::Refuse),
            Bounds::default(),
            "<r><!----></r>"
        )
        .is_err()
    );
}

/// 0 clear, 1 redact, 2 contact, 3 otherwise, 4 choice by child, 5 root, 6 choice by flag, 7 dropped, 8 by xsi:type.
fn by_type() -> XmlProgram {
    let record = |email| {
        XmlNode::Element(Children {
            named: vec![child("type", 0), child("Email", email), child("OptOut", 0)],
            row: true,
            ..Children::default()
        })
    };
    let choose = |by, case: ConditionValue, node| {
        XmlNode::Choose(XmlChoose {
            by,
            cases: vec![(case, NodeId(node))],
            otherwise: NodeId(3),
            absent: NodeId(3),
            overflow: NodeId(7),
        })
    };
    XmlProgram::new(
        &[
            XmlNode::Clear,
            treat("redact"),
            record(0),
            record(1),
            choose(
                XmlBy::Child("type".into()),
                ConditionValue::Text("Contact".into()),
                6,
            ),
            XmlNode::Element(Children {
                named: vec![child("records", 4), child("typed", 8)],
                ..Children::default()
            }),
            choose(
                XmlBy::Child("OptOut".into()),
                ConditionValue::Bool(false),
                2,
            ),
            XmlNode::Drop,
            choose(XmlBy::Type, ConditionValue::Text("Contact".into()), 2),
        ],
        NodeId(5),
        counters(),
    )
}

#[test]
fn the_record_waits_for_what_decides() {
    let nil = " xsi:nil=\"true\"/>";
    for (record, wanted) in [
        (
            "<records><Email>a</Email><x/><OptOut>false</OptOut><type>Contact</type></records>",
            None,
        ),
        (
            "<records><type>Contact</type><Email>a</Email><OptOut>false</OptOut></records>",
            None,
        ),
        (
            "<records><type>Lead</type><Email>a</Email></records>",
            Some(""),
        ),
        (
            "<records><type>Contact</type><Email>a</Email></records>",
            Some(""),
        ),
        (
            "<records><Email>a</Email><\u{ff54}ype>Contact</\u{ff54}ype></records>",
            Some(""),
        ),
        (
            "<records><Email>a</Email><type>Con<b/>tact</type></records>",
            Some(""),
        ),
        (
            "<typed xsi:type='sf:Contact'><Email>a</Email></typed>",
            None,
        ),
        ("<typed><Email>a</Email></typed>", Some("")),
    ] {
        let out = text(by_type(), &format!("<r xmlns:xsi='{XSI}'>{record}</r>"));
        assert_eq!(
            out.contains("<Email>a</Email>"),
            wanted.is_none(),
            "{record}"
        );
        assert_eq!(out.contains(nil), wanted.is_some(), "{record}");
    }
    for twice in [
        "<r><records><type>Contact</type><type>Lead</type></records></r>",
        "<r><records><type>Contact</type><OptOut>false</OptOut><OPTOUT/></records></r>",
    ] {
        assert!(matches!(
            all(by_type(), Bounds::default(), twice),
            Err(Abort::DuplicateDecider { .. })
        ));
    }
    let bounds = Bounds {
        held_bytes_max: 40,
        ..Bounds::default()
    };
    let body = "<r><records><Email>0123456789012345678901234567</Email><type>Lead</type></records><records><type>Lead</type></records></r>";
    let (out, counts) = all(by_type(), bounds, body).expect("plain");
    assert_eq!(out, "<r><records><type>Lead</type></records></r>");
    assert_eq!((counts.held_over, counts.rows), (1, 1));
}

#[test]
fn a_field_over_its_bound_is_null_and_depth_is_bounded() {
    let bounds = Bounds {
        treated_bytes_max: 8,
        ..Bounds::default()
    };
    let body = format!("<r xmlns:xsi='{XSI}'><records><Email>jo@example.org</Email></records></r>");
    let (out, _) = all(simple(), bounds, &body).expect("plain");
    assert!(out.contains("<Email xsi:nil=\"true\"/>"), "{out}");
    let deep = |n: usize| format!("{}{}", "<a>".repeat(n), "</a>".repeat(n));
    assert!(all(simple(), Bounds::default(), &deep(128)).is_ok());
    assert!(matches!(
        all(simple(), Bounds::default(), &deep(129)),
        Err(Abort::TooLarge { .. })
    ));
}
