//! Every cut of every kind of stream gives the same frames and loses no byte.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

/// Raw bytes, data, event name and whether it is a comment.
type Seen = (Vec<u8>, Option<Vec<u8>>, Option<String>, bool);

fn split(pieces: &[&[u8]]) -> (Vec<Seen>, Vec<u8>) {
    let mut splitter = Splitter::new();
    let mut frames = Vec::new();
    let keep = |frame: Frame| {
        (
            frame.raw.to_vec(),
            frame.data().map(|data| data.into_owned()),
            frame.event().map(str::to_owned),
            frame.is_comment(),
        )
    };
    for piece in pieces {
        splitter.push(Bytes::copy_from_slice(piece));
        while let Some(frame) = splitter.next_frame().unwrap() {
            frames.push(keep(frame));
        }
    }
    frames.extend(splitter.finish().map(keep));
    (frames, splitter.rest().to_vec())
}

fn data(stream: &[u8]) -> Vec<Option<String>> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    split(&[stream]).0.into_iter().map(|frame| frame.1.map(text)).collect()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

const STREAMS: [&str; 16] = [
    "data: {\"a\":\"日本語\"}\n\ndata: {\"b\":\"😀👩‍👩‍👧\"}\n\ndata: [DONE]\n\n",
    "data: 한국어\r\n\r\ndata: two\r\n\r\n",
    "data: one\r\rdata: 二\r\r",
    "\u{feff}data: one\n\ndata: two\n\n",
    "\u{feff}\n\ndata: x\n\n",
    ": comment\n\n:\n\ndata: x\n: within\n\n",
    "event: error\ndata: a\ndata:b\ndata\ndata:  c\n\n",
    "data: a\r\ndata: b\rdata: c\n\r\ndata: d\n\n",
    "data: a\r\r\ndata: b\n\n",
    "data: a\n\rdata: b\n\n",
    "\r\r\n\n\r\ndata: a\n\n",
    "\r\n\r\n\r\n",
    "id: 1\nretry: 10\n\nevent: ping\n\n",
    "data: unfinished\n",
    "data: unfinished",
    "data:\n\ndata\n\nnonsense\n\n",
];

#[test]
fn no_cut_changes_a_frame_or_loses_a_byte() {
    for stream in STREAMS {
        let bytes = stream.as_bytes();
        let whole = split(&[bytes]);
        let mut joined: Vec<u8> = whole.0.iter().flat_map(|frame| frame.0.clone()).collect();
        joined.extend(&whole.1);
        assert_eq!(joined, bytes, "{stream:?}");

        for first in 0..=bytes.len() {
            assert_eq!(split(&[&bytes[..first], &bytes[first..]]), whole, "{stream:?} {first}");
            for second in first..=bytes.len() {
                let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(split(&pieces), whole, "{stream:?} {first} {second}");
            }
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(split(&single), whole, "{stream:?}");
    }
}

#[test]
fn lines_end_in_any_of_three_ways() {
    for end in ["\n", "\r", "\r\n"] {
        let stream = format!("event: a{end}data: x{end}data: y{end}{end}data: z{end}{end}");
        assert_eq!(data(stream.as_bytes()), [some("x\ny"), some("z")]);
    }
}

#[test]
fn fields_are_read_as_the_standard_says() {
    let frames = split(&[b"event: error\ndata: a\ndata:b\ndata\ndata:  c\n\n"]).0;

    assert_eq!(frames[0].1.as_deref(), Some(&b"a\nb\n\n c"[..]));
    assert_eq!(frames[0].2.as_deref(), Some("error"));
    assert_eq!(data(b"data:\n\ndata\n\nnonsense\n\n"), [some(""), some(""), None]);
    assert_eq!(data("\u{feff}data: one\n\n".as_bytes()), [some("one")]);
}

#[test]
fn comments_are_frames_of_their_own() {
    let frames = split(&[b": hello\n\n\ndata: x\n: within\n\nid: 1\n\n"]).0;

    let comments: Vec<bool> = frames.iter().map(|frame| frame.3).collect();
    assert_eq!(comments, [true, true, false, false]);
}

#[test]
fn a_frame_in_one_piece_is_not_copied() {
    let piece = Bytes::from_static(b"data: one\n\ndata: two\n\n");
    let mut splitter = Splitter::new();
    splitter.push(piece.clone());

    let first = splitter.next_frame().unwrap().unwrap();
    let second = splitter.next_frame().unwrap().unwrap();

    assert_eq!(first.raw.as_ptr(), piece.as_ptr());
    assert_eq!(second.raw.as_ptr(), piece[11..].as_ptr());
}

#[test]
fn frames_that_were_not_taken_before_the_next_push_are_kept() {
    let mut splitter = Splitter::new();
    splitter.push(Bytes::from_static(b"data: 1\n\ndata: 2\n\nda"));
    splitter.push(Bytes::from_static(b"ta: 3\n\n"));

    let mut raw = Vec::new();
    while let Some(frame) = splitter.next_frame().unwrap() {
        raw.extend_from_slice(&frame.raw);
    }

    assert_eq!(raw, b"data: 1\n\ndata: 2\n\ndata: 3\n\n");
}

#[test]
fn a_frame_larger_than_the_limit_is_an_error_for_ever() {
    let mut splitter = Splitter::with_limit(16);
    splitter.push(Bytes::from_static(b"data: 12345678\n\n"));
    assert!(splitter.next_frame().unwrap().is_some());

    splitter.push(Bytes::from_static(b"data: 123456789"));
    assert!(splitter.next_frame().unwrap().is_none());
    splitter.push(Bytes::from_static(b"\n\n"));

    assert_eq!(splitter.next_frame().unwrap_err(), TooLong { frame_bytes_max: 16 });
    assert!(splitter.next_frame().is_err());
}

#[test]
fn a_frame_that_never_ends_is_found_out_before_it_is_whole() {
    let mut splitter = Splitter::with_limit(1024);
    let mut pushed = 0;
    let failed = (0..100).any(|_| {
        splitter.push(Bytes::from_static(&[b'x'; 100]));
        pushed += 100;
        splitter.next_frame().is_err()
    });

    assert!(failed && pushed <= 1100);
}

#[test]
fn a_line_in_many_pieces_is_searched_once() {
    let mut splitter = Splitter::new();
    // Searching from the begin for each byte would be 10^11 steps.
    for _ in 0..500_000 {
        splitter.push(Bytes::from_static(b"x"));
        assert!(splitter.next_frame().unwrap().is_none());
    }

    assert_eq!(splitter.rest().len(), 500_000);
}

proptest! {
    #[test]
    fn any_bytes_at_any_cuts_give_the_same_frames(
        parts in prop::collection::vec(prop::sample::select(
            &["\r", "\n", "\r\n", "data: ", "data", ":", "event: e", "x", "é", "\u{feff}", " "][..]
        ), 0..24),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let stream = parts.concat();
        let bytes = stream.as_bytes();
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        places.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for place in places {
            pieces.push(&bytes[from..place]);
            from = place;
        }
        pieces.push(&bytes[from..]);

        let whole = split(&[bytes]);

        prop_assert_eq!(split(&pieces), whole.clone());
        let mut joined: Vec<u8> = whole.0.iter().flat_map(|frame| frame.0.clone()).collect();
        joined.extend(whole.1);
        prop_assert_eq!(joined, bytes);
    }
}
