use super::*;
use proptest::prelude::*;

fn rebuild(value: Value<'_>) -> serde_json::Value {
    match value.kind() {
        ValueKind::Object => value
            .entries()
            .map(|(key, value)| (key.text().unwrap().into_owned(), rebuild(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        ValueKind::Array => value.items().map(rebuild).collect::<Vec<_>>().into(),
        ValueKind::Text => value.text().unwrap().into_owned().into(),
        _ => serde_json::from_str(value.raw()).unwrap(),
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

/// Text that is nearly JSON.
fn nearly_json() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[\\[\\]{}:,\" \\\\ntf0-9eE+.-]{0,3}",
        Just("true".to_owned()),
        Just("null".to_owned()),
        Just("\"a\"".to_owned()),
        Just("\\ud83d\\ude00".to_owned()),
        Just("\"\\ud800\"".to_owned()),
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_serde_json_writes_reads_the_same(value in json()) {
        for text in [serde_json::to_string(&value).unwrap(), serde_json::to_string_pretty(&value).unwrap()] {
            let mut tape = Tape::default();
            let parsed = rebuild(tape.parse(&text).unwrap());
            let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(parsed, expected);
        }
    }

    #[test]
    fn accepts_what_serde_json_accepts(text in nearly_json()) {
        let mut tape = Tape::default();
        let ours = tape.parse(&text).map(rebuild);
        // A number too large for a float is JSON, but not to serde_json's `Value`.
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs),
            (Err(_), Err(_)) => {}
            (Err(SyntaxError { problem: SyntaxProblem::DuplicateKey(_), .. }), Ok(_)) => {}
            (ours, theirs) => prop_assert!(false, "{:?} {:?}", ours, theirs),
        }
    }
}

#[test]
fn errors_name_the_byte() {
    let mut tape = Tape::default();
    let mut fails = |text: &str| tape.parse(text).map(|_| ()).unwrap_err();
    assert_eq!(fails("{\"a\": }"), SyntaxError { at: 6, problem: SyntaxProblem::Expected("a value") });
    assert_eq!(fails("{\"a\": 1"), SyntaxError { at: 7, problem: SyntaxProblem::Ends });
    assert_eq!(fails("\"a\0b\""), SyntaxError { at: 2, problem: SyntaxProblem::Control(0) });
    assert_eq!(fails("\"12345678\\x\""), SyntaxError { at: 9, problem: SyntaxProblem::Escape });
    assert_eq!(fails("{} {}"), SyntaxError { at: 3, problem: SyntaxProblem::Trailing });
    let twice = "{\"a\":1,\"\\u0061\":2}";
    assert_eq!(fails(twice), SyntaxError { at: 7, problem: SyntaxProblem::DuplicateKey("a".into()) });
    let many = (0..40).map(|n| format!("\"k{}\":0", n % 39)).collect::<Vec<_>>().join(",");
    assert!(matches!(fails(&format!("{{{many}}}")).problem, SyntaxProblem::DuplicateKey(key) if key == "k0"));
}

#[test]
fn nesting_is_bounded() {
    let mut tape = Tape::default();
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(tape.parse(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(tape.parse(&nested(MAX_DEPTH + 1)).unwrap_err().problem, SyntaxProblem::Depth);
    assert_eq!(tape.parse(&"[".repeat(1 << 20)).unwrap_err().problem, SyntaxProblem::Depth);
    assert!(serde_json::from_str::<serde_json::Value>(&nested(MAX_DEPTH)).is_ok());
    assert!(serde_json::from_str::<serde_json::Value>(&nested(MAX_DEPTH + 1)).is_err());
}
