//! Our own members in the usage object of an answer, the one place where clients let them be.

use bytes::Bytes;

use crate::json::reader::{Reader, Rules};
use crate::json::{Edit, Invalid, Kind, quote_into, splice};
use crate::sse::Frame;

/// A value to add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    Text(&'a str),
    Integer(i64),
}

/// The JSON of an answer or a chunk with `members` in its `usage`: one of the same name is
/// replaced, the others are put at the end. None if it holds no usage object.
pub fn answer(json: &[u8], members: &[(&str, Value<'_>)]) -> Option<Vec<u8>> {
    let edits = edits(json, members).ok()??;
    splice(json, edits).ok()
}

/// The same for a frame of a chat stream, which becomes `data: {..}` and an empty line; its
/// comments, name and id are left out.
pub fn frame(frame: &Frame, members: &[(&str, Value<'_>)]) -> Option<Bytes> {
    let json = answer(&frame.data()?, members)?;
    let mut out = Vec::with_capacity(json.len() + 8);
    out.extend_from_slice(b"data: ");
    // A line end can only stand between tokens here, since none is allowed within a string.
    out.extend(json.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    out.extend_from_slice(b"\n\n");
    Some(out.into())
}

fn edits(json: &[u8], members: &[(&str, Value<'_>)]) -> Result<Option<Vec<Edit>>, Invalid> {
    let mut reader = Reader::new(json, Rules::Lenient)?;
    let mut edits = None;
    let mut open = reader.open_object()?;
    while let Some(key) = reader.key(&mut open)? {
        if key.text() == "usage" && reader.kind()? == Kind::Object {
            edits = Some(within(&mut reader, members)?);
        } else {
            reader.skip()?;
        }
    }
    reader.finish()?;
    Ok(edits)
}

fn within(reader: &mut Reader<'_>, members: &[(&str, Value<'_>)]) -> Result<Vec<Edit>, Invalid> {
    let mut edits = Vec::with_capacity(members.len());
    let mut left = members.to_vec();
    let mut open = reader.open_object()?;
    while let Some(key) = reader.key(&mut open)? {
        let start = reader.offset();
        reader.skip()?;
        let span = start..reader.offset();
        let key = key.text();
        if let Some(place) = left.iter().position(|(name, _)| *name == key) {
            let mut replacement = Vec::new();
            left.remove(place).1.write(&mut replacement);
            edits.push(Edit { span, replacement });
        }
    }
    let mut first = open.is_empty();
    for (name, value) in left {
        let mut replacement = if first { Vec::new() } else { b",".to_vec() };
        first = false;
        quote_into(name, &mut replacement);
        replacement.push(b':');
        value.write(&mut replacement);
        edits.push(Edit { span: open.last..open.last, replacement });
    }
    Ok(edits)
}

// === impl Value ===

impl Value<'_> {
    fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => quote_into(text, out),
            Self::Integer(number) => out.extend_from_slice(number.to_string().as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sse::Splitter;

    const OURS: [(&str, Value<'_>); 2] =
        [("penstock_tier", Value::Text("gold")), ("penstock_cost_nanos", Value::Integer(7))];

    #[test]
    fn members_are_added_or_replaced_in_usage_and_nowhere_else() {
        let json = br#"{"id":"x", "usage": {"prompt_tokens":1,"penstock_tier":null } ,"z":1}"#;

        let out = answer(json, &OURS).unwrap();

        let head = r#"{"id":"x", "usage": {"prompt_tokens":1,"penstock_tier":"gold""#;
        let tail = r#","penstock_cost_nanos":7 } ,"z":1}"#;
        assert_eq!(String::from_utf8(out).unwrap(), format!("{head}{tail}"));
    }

    #[test]
    fn an_empty_usage_object_stays_valid() {
        let out = answer(br#"{"usage":{}}"#, &OURS).unwrap();

        assert_eq!(out, br#"{"usage":{"penstock_tier":"gold","penstock_cost_nanos":7}}"#);
    }

    #[test]
    fn an_answer_without_usage_is_left_alone() {
        assert_eq!(answer(br#"{"usage":null}"#, &OURS), None);
        assert_eq!(answer(b"[DONE]", &OURS), None);
    }

    #[test]
    fn a_frame_of_several_lines_becomes_one_of_one_line() {
        let mut splitter = Splitter::new();
        splitter.push(Bytes::from_static(b"data: {\"usage\":\r\ndata: {\"a\":1}}\r\n\r\n"));
        let source = splitter.next_frame().unwrap().unwrap();

        let out = frame(&source, &OURS[1..]).unwrap();

        assert_eq!(&out[..], b"data: {\"usage\": {\"a\":1,\"penstock_cost_nanos\":7}}\n\n");
    }
}
