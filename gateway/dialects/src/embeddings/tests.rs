//! The four forms of input, and what is refused.

use bytes::Bytes;

use super::*;

fn with_input(input: &str) -> Result<Request, Malformed> {
    read(&Bytes::from(format!(r#"{{"model":"e","input":{input},"encoding_format":"base64"}}"#)))
}

#[test]
fn all_four_forms_of_input_are_counted() {
    let cases = [
        (r#""hello""#, 1, 0, 1),
        (r#"["a","b","c"]"#, 3, 0, 3),
        ("[1,2,3]", 1, 3, 0),
        ("[[1,2],[3]]", 2, 3, 0),
    ];
    for (input, inputs, token_ids, texts) in cases {
        let request = with_input(input).unwrap();
        assert_eq!((request.inputs, request.token_ids), (inputs, token_ids), "{input}");
        assert_eq!(request.prompt.len(), texts, "{input}");
        assert_eq!(request.encoding_format.as_deref(), Some("base64"));
    }
}

#[test]
fn other_inputs_are_refused_with_their_parameter() {
    let many = format!("[{}\"x\"]", "\"x\",".repeat(INPUTS_MAX));
    let cases = [
        ("[]", "input"),
        ("[[]]", "input"),
        ("{}", "input"),
        ("null", "input"),
        (r#"["a",1]"#, "input[1]"),
        ("[1.5]", "input[0]"),
        ("[-1]", "input[0]"),
        ("[[1,\"a\"]]", "input[0][1]"),
        ("[null]", "input[0]"),
        (many.as_str(), "input"),
    ];
    for (input, param) in cases {
        let refused = with_input(input).unwrap_err();
        assert_eq!(refused.param.as_deref(), Some(param), "{refused}");
    }
    for (body, param) in [(r#"{"input":"x"}"#, "model"), (r#"{"model":"e"}"#, "input")] {
        let refused = read(&Bytes::from(body)).unwrap_err();
        assert_eq!(refused.param.as_deref(), Some(param));
    }
    let folded = read(&Bytes::from(r#"{"model":"e","input":"x","INPUT":"y"}"#)).unwrap_err();
    assert_eq!(folded.code.word(), "unsupported_parameter");
}

#[test]
fn the_model_is_replaced_and_nothing_else() {
    let request = with_input("[ 1 ]").unwrap();

    let out = json::splice(request.body(), vec![request.set_model("other")]).unwrap();

    assert_eq!(out, br#"{"model":"other","input":[ 1 ],"encoding_format":"base64"}"#);
}

#[test]
fn token_ids_are_no_segments_and_long_numbers_elsewhere_are() {
    let text = r#"{"model":"e","input":[[4294967295,1]],"x":{"const":4111111111111111}}"#;
    let request = read(&Bytes::from(text)).unwrap();

    let numbers: Vec<_> = request.segments().iter().filter(|one| one.is_number).collect();
    assert_eq!(numbers.len(), 1);
    let masked = json::splice(request.body(), vec![request.mask(numbers[0], "[masked]")]).unwrap();

    let expected = text.replace("4111111111111111", "\"[masked]\"");
    assert_eq!(String::from_utf8(masked).unwrap(), expected);
}
