//! What is accepted, refused, visited and changed.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn body(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn problem(text: &str) -> Option<Problem> {
    read(&body(text)).err().map(|invalid| invalid.problem)
}

const SMALL: [&str; 59] = [
    "",
    " ",
    "{}",
    "[]",
    "null",
    "nul",
    "truefalse",
    "true",
    "1",
    "-",
    "-0",
    "01",
    "1.",
    "1.0",
    ".5",
    "1e",
    "1e5",
    "1E+5",
    "1e-",
    "1e999",
    "0e999",
    "-1e999",
    "1e-999",
    "[1,]",
    "[,1]",
    "{\"a\":1,}",
    "{,}",
    "{\"a\"}",
    "{\"a\":}",
    "{a:1}",
    "{\"a\" : 1 , \"b\":[ ] }",
    "[1 2]",
    "[1}",
    "{\"a\":1]",
    "\"",
    "\"a",
    "\"\\",
    "\"\\x\"",
    "\"\\u12\"",
    "\"\\u12G4\"",
    "\"\\u00e9\\n\\/\\\"\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud83d\"",
    "\"\\ude00\"",
    "\"\\ud83d\\u0041\"",
    "\"\\ud83d\\ud83d\"",
    "\"\\ud83dxxxxxxxx\"",
    "\"tab\there\"",
    "\"0123456789012345678901\tx\"",
    "\"0123456789012345678901\\t\"",
    "\u{feff}{}",
    "{}x",
    "{} \n\t\r",
    "{}\u{a0}",
    "[\"日本語\",\"😀\"]",
    "\"\u{7f}\"",
    "\"\\u0000\"",
    "+1",
    "Infinity",
];

#[test]
fn what_serde_json_takes_or_refuses_so_do_we() {
    let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let long_number = "9".repeat(400);
    let mut cases: Vec<Vec<u8>> = SMALL.iter().map(|text| text.as_bytes().to_vec()).collect();
    cases.extend([deep(127), deep(128), deep(900_000), long_number].map(String::into_bytes));
    cases.extend([b"\"\xff\"".to_vec(), b"\"\xed\xa0\x80\"".to_vec(), b"[\"\xc3\"]".to_vec()]);

    for case in cases {
        let theirs = serde_json::from_slice::<Value>(&case).is_ok();
        let ours = read(&Bytes::from(case.clone()));
        let shown = String::from_utf8_lossy(&case).chars().take(60).collect::<String>();
        assert_eq!(ours.is_ok(), theirs, "{shown}: {ours:?}");
    }
}

#[test]
fn a_key_that_comes_twice_is_refused_at_any_depth_and_after_unescaping() {
    let twice = [
        r#"{"a":1,"a":1}"#,
        r#"{"x":[{"b":{"a":1,"c":2,"a":3}}]}"#,
        r#"{"model":1,"mod\u0065l":2}"#,
        r#"{"":1,"":2}"#,
    ];

    for text in twice {
        assert_eq!(problem(text), Some(Problem::DuplicateKey), "{text}");
    }
    assert_eq!(problem(r#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}"#), None);
}

#[test]
fn keys_past_the_sixteenth_are_compared_too() {
    for last in 0..40 {
        let mut keys: Vec<String> = (0..40).map(|key| format!("\"k{key}\":{{}}")).collect();
        assert_eq!(problem(&format!("{{{}}}", keys.join(","))), None);
        keys.push(format!("\"\\u006b{last}\":1"));
        assert_eq!(problem(&format!("{{{}}}", keys.join(","))), Some(Problem::DuplicateKey));
    }
}

#[test]
fn many_keys_cost_no_quadratic_time() {
    let keys: Vec<String> = (0..200_000).map(|key| format!("\"{key}\":0")).collect();
    // 200,000 keys compared one by one would be 2 * 10^10 comparisons.
    assert_eq!(problem(&format!("{{{}}}", keys.join(","))), None);
}

#[test]
fn a_document_of_nothing_but_strings_is_bounded() {
    let text = format!("[{}\"\"]", "\"\",".repeat(STRINGS_MAX));
    assert_eq!(problem(&text), Some(Problem::TooMany));
    let text = format!("[{}[]]", "[],".repeat(CONTAINERS_MAX));
    assert_eq!(problem(&text), Some(Problem::TooMany));
}

#[test]
fn an_error_says_where() {
    let invalid = read(&body(r#"{"messages":[{"role":"user"},{"a/b":{"x":nope}}]}"#)).unwrap_err();

    assert_eq!(invalid.pointer, "/messages/1/a~1b/x");
    assert_eq!(invalid.param, "messages[1].a/b.x");
    assert_eq!(invalid.offset, 41);
}

#[test]
fn every_string_is_visited_with_its_pointer() {
    let document = read(&body(r#"{"a~b":["x",{"c\n":"\u00e9","d":[[],["z"]]}],"e":1}"#)).unwrap();

    let seen: Vec<_> = document
        .segments()
        .iter()
        .map(|segment| {
            (document.pointer(segment), document.text(segment).into_owned(), segment.is_key)
        })
        .collect();

    let expected = [
        ("/a~0b", "a~b", true),
        ("/a~0b/0", "x", false),
        ("/a~0b/1/c\n", "c\n", true),
        ("/a~0b/1/c\n", "é", false),
        ("/a~0b/1/d", "d", true),
        ("/a~0b/1/d/1/0", "z", false),
        ("/e", "e", true),
    ]
    .map(|(pointer, text, is_key)| (pointer.to_owned(), text.to_owned(), is_key));
    assert_eq!(seen, expected);
    assert_eq!((document.value_bytes(), document.key_bytes()), (4, 7));
}

#[test]
fn long_numbers_are_visited_and_short_ones_are_not() {
    let text = r#"{"a":[12345678901,4111111111111111,-411111111111.1,0.1234567890123e9],"b":1}"#;
    let document = read(&body(text)).unwrap();

    let numbers = document.segments().iter().filter(|segment| segment.is_number);
    let seen: Vec<_> =
        numbers.map(|one| (document.text(one).into_owned(), document.pointer(one))).collect();

    let expected =
        [("4111111111111111", "/a/1"), ("-411111111111.1", "/a/2"), ("0.1234567890123e9", "/a/3")];
    assert_eq!(seen, expected.map(|(text, pointer)| (text.to_owned(), pointer.to_owned())));
    assert_eq!(document.value_bytes(), 0);
}

#[test]
fn a_value_knows_the_key_of_its_member() {
    let document = read(&body(r#"{"a\u0062":"x","c":["y",{"d":123456789012}]}"#)).unwrap();

    let keys: Vec<_> = document.segments().iter().map(|one| document.key(one)).collect();

    let [none, ab, d] = [None, Some("ab"), Some("d")];
    let expected = [none, ab, none, none, none, d];
    assert_eq!(keys.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
}

#[test]
fn overlapping_or_foreign_edits_are_refused() {
    let edit = |span: Range<usize>| Edit { span, replacement: b"X".to_vec() };

    assert_eq!(splice(b"abcd", vec![edit(2..3), edit(0..1)]).unwrap(), b"XbXd");
    assert_eq!(splice(b"ab", vec![edit(1..2), edit(1..1), edit(1..1)]).unwrap(), b"aXXX");
    let overlap = splice(b"abcd", vec![edit(0..2), edit(1..3)]);
    assert_eq!(overlap, Err(SpliceError::Overlap { at: 1 }));
    assert!(splice(b"abcd", vec![edit(3..5)]).is_err());
    assert!(splice(b"abcd", vec![edit(9..9)]).is_err());
    #[expect(clippy::reversed_empty_ranges, reason = "a broken span must not panic")]
    let reversed = splice(b"abcd", vec![edit(3..1)]);
    assert!(reversed.is_err());
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,24}".prop_map(Value::from),
        "[ -~]{20,60}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 20, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..20).prop_map(Value::from),
            prop::collection::vec((".{0,6}", inner), 0..20)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn strings(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(text) => out.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| strings(item, out)),
        Value::Object(members) => members.iter().for_each(|(key, value)| {
            out.push(key.clone());
            strings(value, out);
        }),
    }
}

/// Each character of the text at random as it is or escaped, so that both ways are met.
fn escaped(text: &str, choose: &[bool]) -> String {
    let mut out = String::new();
    for (place, unit) in text.chars().enumerate() {
        let within = choose[place % choose.len()] && unit.is_alphabetic();
        let mut units = [0; 2];
        match within {
            true => unit
                .encode_utf16(&mut units)
                .iter()
                .for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
            false => out.push(unit),
        }
    }
    out
}

proptest! {
    #[test]
    fn all_strings_of_any_document_are_visited(value in json()) {
        let document = read(&body(&value.to_string())).unwrap();

        let seen: Vec<String> =
            document.segments().iter().filter(|one| !one.is_number)
                .map(|one| document.text(one).into_owned()).collect();

        let mut expected = Vec::new();
        strings(&value, &mut expected);
        prop_assert_eq!(&seen, &expected);
        let bytes: usize = expected.iter().map(String::len).sum();
        prop_assert_eq!(document.value_bytes() + document.key_bytes(), bytes);
        for segment in document.segments().iter().filter(|segment| !segment.is_key) {
            let found = value.pointer(&document.pointer(segment));
            let text = document.text(segment);
            let number = found.filter(|found| found.is_number()).map(Value::to_string);
            let found = found.and_then(Value::as_str).or(number.as_deref());
            prop_assert_eq!(found, Some(text.as_ref()));
        }
    }

    #[test]
    fn broken_documents_are_judged_as_by_serde_json(
        value in json(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in 0..4u8,
    ) {
        let mut bytes = value.to_string().into_bytes();
        let place = at.index(bytes.len());
        match cut {
            0 => bytes.truncate(place),
            1 => bytes[place] = byte,
            2 => bytes.insert(place, byte),
            _ => drop(bytes.remove(place)),
        }

        let theirs = serde_json::from_slice::<Value>(&bytes);
        let ours = read(&Bytes::from(bytes));

        let twice = ours.as_ref().is_err_and(|invalid| invalid.problem == Problem::DuplicateKey);
        prop_assert!(twice || ours.is_ok() == theirs.is_ok(), "{ours:?} {theirs:?}");
    }

    #[test]
    fn any_text_survives_quoting_and_escaping(
        text in ".{0,80}", choose in prop::collection::vec(any::<bool>(), 1..9),
    ) {
        let quoted = quote(&text);
        prop_assert_eq!(serde_json::from_slice::<String>(&quoted).unwrap(), text.clone());

        // Escapes of escapes are not meant here.
        let plain: String =
            text.chars().filter(|one| !"\"\\".contains(*one) && ' ' <= *one).collect();
        let document = read(&body(&escaped(&format!("\"{plain}\""), &choose))).unwrap();
        prop_assert_eq!(document.text(&document.segments()[0]).into_owned(), plain);
    }

    #[test]
    fn an_edit_leaves_every_other_byte_alone(
        value in json(), at in any::<prop::sample::Index>(), new in ".{0,20}",
    ) {
        let source = body(&value.to_string());
        let document = read(&source).unwrap();
        prop_assume!(!document.segments().is_empty());
        let segment = &document.segments()[at.index(document.segments().len())];
        let span = segment.span.clone();

        let edit = Edit { span: span.clone(), replacement: quote(&new) };
        let out = splice(&source, vec![edit]).unwrap();

        let after = out.len() - (source.len() - span.end);
        prop_assert_eq!(&out[..span.start], &source[..span.start]);
        prop_assert_eq!(&out[after..], &source[span.end..]);
        prop_assert_eq!(serde_json::from_slice::<String>(&out[span.start..after]).unwrap(), new);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&Bytes::from(bytes));
    }
}
