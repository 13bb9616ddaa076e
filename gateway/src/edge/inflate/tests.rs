//! Whole, cut, damaged and far too large bodies.

use super::*;
use flate2::{Compression, write::GzEncoder};
use http::HeaderValue;
use std::io::Write;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

#[test]
fn a_body_comes_back_up_to_exactly_its_limit() {
    let plain = b"{\"model\":\"m\"}".repeat(5_000);
    let cases = [
        (Encoding::Identity, plain.clone()),
        (Encoding::Gzip, gzip(&plain)),
        (Encoding::Zstd, zstd(&plain)),
    ];
    for (encoding, body) in cases {
        assert_eq!(decode(encoding, &body, plain.len()).unwrap(), plain);
        assert_eq!(decode(encoding, &body, plain.len() - 1), Err(Inflate::TooLarge));
    }
}

#[test]
fn an_empty_body_decodes_to_nothing() {
    assert_eq!(decode(Encoding::Gzip, &gzip(b""), 0).unwrap(), b"");
    assert_eq!(decode(Encoding::Zstd, &zstd(b""), 0).unwrap(), b"");
}

#[test]
fn members_and_frames_are_joined() {
    let members = [gzip(b"one "), gzip(b"two")].concat();
    let frames = [zstd(b"one "), zstd(b"two")].concat();

    assert_eq!(decode(Encoding::Gzip, &members, 100).unwrap(), b"one two");
    assert_eq!(decode(Encoding::Zstd, &frames, 100).unwrap(), b"one two");
    assert_eq!(decode(Encoding::Gzip, &members, 6), Err(Inflate::TooLarge));
}

#[test]
fn a_bomb_stops_at_the_limit_and_takes_no_more_memory() {
    let plain = vec![0; 64 << 20];
    for (encoding, body) in [(Encoding::Gzip, gzip(&plain)), (Encoding::Zstd, zstd(&plain))] {
        assert!(body.len() < 100_000);
        assert_eq!(decode(encoding, &body, 1 << 20), Err(Inflate::TooLarge));
    }
    let fits = decode(Encoding::Gzip, &gzip(&plain[..1 << 20]), 1 << 20).unwrap();
    assert!(fits.capacity() <= 1 << 20);
}

#[test]
fn a_body_that_is_cut_damaged_or_foreign_is_corrupt() {
    let plain = b"the same words over and over, the same words".repeat(40);
    for (encoding, body) in [(Encoding::Gzip, gzip(&plain)), (Encoding::Zstd, zstd(&plain))] {
        for cut in 1..body.len() {
            let outcome = decode(encoding, &body[..cut], 1 << 20);
            assert_eq!(outcome, Err(Inflate::Corrupt), "{encoding:?} cut at {cut}");
        }
        let trailing = [body.as_slice(), b"{}"].concat();
        assert_eq!(decode(encoding, &trailing, 1 << 20), Err(Inflate::Corrupt));
        assert_eq!(decode(encoding, b"{\"model\":1}", 1 << 20), Err(Inflate::Corrupt));
    }
}

#[test]
fn a_zstd_window_above_the_cap_is_refused() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(ZSTD_WINDOW_LOG_MAX + 1).unwrap();
    encoder.write_all(&[7; 100]).unwrap();
    let body = encoder.finish().unwrap();

    assert_eq!(decode(Encoding::Zstd, &body, 1 << 20), Err(Inflate::Corrupt));
}

#[test]
fn one_known_coding_is_read_and_anything_else_is_unsupported() {
    let of = |lines: &[&'static str]| {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::CONTENT_ENCODING, HeaderValue::from_static(line));
        }
        Encoding::of(&headers)
    };

    assert_eq!(of(&[]), Ok(Encoding::Identity));
    assert_eq!(of(&["identity"]), Ok(Encoding::Identity));
    assert_eq!(of(&["GZip"]), Ok(Encoding::Gzip));
    assert_eq!(of(&[" x-gzip "]), Ok(Encoding::Gzip));
    assert_eq!(of(&["zstd"]), Ok(Encoding::Zstd));
    for lines in [&["br"][..], &["deflate"], &["gzip, gzip"], &["gzip", "zstd"], &[""], &["*"]] {
        assert_eq!(of(lines), Err(Unsupported), "{lines:?}");
    }
}
