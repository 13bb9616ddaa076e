//! Frames: how a row lies in a file, so that what was cut off is told from what was damaged.
//!
//! A frame is its length (four bytes, little end first), a CRC-32 (IEEE 802.3) of the length and
//! what follows, and so many bytes.

use crc32fast::Hasher;

/// Length and checksum.
pub(super) const HEAD_BYTES: usize = 8;
/// Bytes within one frame, at most.
pub(super) const FRAME_BYTES_MAX: usize = 64 << 20;
/// Bytes that a search for a frame takes checksums of, at most: well below a second.
const SEARCHED_BYTES_MAX: usize = 1 << 30;

/// What lies at the front of a file, or of the rest of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    Frame {
        content: &'a [u8],
        /// What lies behind it.
        rest: &'a [u8],
    },
    /// The end. `torn`: a write was cut off here; nobody was told that it was done.
    End { torn: bool },
    /// No write leaves this behind.
    Damaged,
}

/// Begins a frame in `into`, which is emptied; the content is to be appended.
pub(super) fn begin(into: &mut Vec<u8>) {
    into.clear();
    into.extend_from_slice(&[0; HEAD_BYTES]);
}

/// Ends the frame that fills `frame`. False: it is too long.
#[must_use]
pub(super) fn end(frame: &mut [u8]) -> bool {
    let Some((head, content)) = frame.split_first_chunk_mut::<HEAD_BYTES>() else { return false };
    if FRAME_BYTES_MAX < content.len() {
        return false;
    }
    let Ok(length) = u32::try_from(content.len()) else { return false };
    let sum = checksum(length, content);
    *head = (u64::from(length) | u64::from(sum) << u32::BITS).to_le_bytes();
    true
}

/// Reads the frame at the front of `bytes`, which are the rest of a file.
pub(super) fn read(bytes: &[u8]) -> Found<'_> {
    if bytes.is_empty() {
        return Found::End { torn: false };
    }
    let Some((head, behind)) = bytes.split_first_chunk::<HEAD_BYTES>() else {
        return Found::End { torn: true };
    };
    let [a, b, c, d, sum @ ..] = *head;
    let (length, sum) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes(sum));
    let Some(bytes_due) = usize::try_from(length).ok().filter(|due| *due <= FRAME_BYTES_MAX) else {
        return Found::Damaged;
    };
    match behind.split_at_checked(bytes_due) {
        None => Found::End { torn: true },
        Some((content, rest)) if 0 < length && checksum(length, content) == sum => {
            Found::Frame { content, rest }
        }
        // Space that was made for a write which never came is all zeros.
        Some((_, rest)) if rest.is_empty() || bytes.iter().all(|byte| *byte == 0) => {
            Found::End { torn: true }
        }
        Some(_) => Found::Damaged,
    }
}

/// Whether a whole frame lies behind the front of `bytes`, where a write seems to have been cut
/// off: then it was not, and a length has changed. Any content begins with one of `kinds`. A
/// search that becomes too long finds one: what cannot be told apart is damage.
pub(super) fn lies_behind(bytes: &[u8], kinds: &[u8]) -> bool {
    let mut searched = 0_usize;
    (1..bytes.len()).filter_map(|from| bytes.get(from..)).any(|rest| {
        let Some((head, behind)) = rest.split_first_chunk::<HEAD_BYTES>() else { return false };
        let [a, b, c, d, ..] = *head;
        let due = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if behind.len() < due || !behind.first().is_some_and(|kind| kinds.contains(kind)) {
            return false;
        }
        searched = searched.saturating_add(due);
        SEARCHED_BYTES_MAX < searched || matches!(read(rest), Found::Frame { .. })
    })
}

fn checksum(length: u32, content: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(content);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(contents: &[&[u8]]) -> Vec<u8> {
        let mut all = Vec::new();
        for content in contents {
            let mut frame = Vec::new();
            begin(&mut frame);
            frame.extend_from_slice(content);
            assert!(end(&mut frame));
            all.extend(frame);
        }
        all
    }

    fn contents(mut bytes: &[u8]) -> (Vec<Vec<u8>>, Found<'_>) {
        let mut contents = Vec::new();
        loop {
            match read(bytes) {
                Found::Frame { content, rest } => {
                    contents.push(content.to_vec());
                    bytes = rest;
                }
                end @ (Found::End { .. } | Found::Damaged) => return (contents, end),
            }
        }
    }

    #[test]
    fn a_file_that_is_cut_off_anywhere_has_every_whole_frame_and_no_other() {
        let file = framed(&[b"first", b"second", b"third"]);
        let ends = [13, 27, 40];
        for cut in 0..=file.len() {
            let (found, end) = contents(&file[..cut]);
            assert_eq!(found.len(), ends.iter().filter(|end| **end <= cut).count(), "{cut}");
            let whole = cut == 0 || ends.contains(&cut);
            assert_eq!(end, Found::End { torn: !whole }, "{cut}");
        }
    }

    #[test]
    fn a_byte_that_changed_is_damage_unless_it_is_of_the_last_frame() {
        let file = framed(&[b"first", b"second"]);
        // A length that grew is taken for a write that was cut off, or for damage.
        for place in (4..13).chain(17..file.len()) {
            let mut changed = file.clone();
            changed[place] ^= 0x20;
            let (found, end) = contents(&changed);
            let of_last = 13 <= place;
            assert_eq!(found.len(), usize::from(of_last), "{place}");
            assert_eq!(end == Found::Damaged, !of_last, "{place}");
        }
    }

    #[test]
    fn a_length_that_grew_is_told_from_a_write_that_was_cut_off_by_what_lies_behind() {
        let file = framed(&[b"a row", b"a second", b"another"]);
        for place in 0..4 {
            let mut changed = file.clone();
            changed[place] ^= 0x41;
            assert!(lies_behind(&changed, b"a"), "{place}");
        }
        assert!(!lies_behind(&file, b"b"), "nothing begins like this");
        let last = framed(&[b"another"]);
        for cut in 0..=last.len() {
            assert!(!lies_behind(&last[..cut], b"a"), "{cut}");
        }
        assert!(!lies_behind(&[0; 64], &[0]));
        assert!(!lies_behind(&[1; 64], &[1]));
    }

    #[test]
    fn zeros_behind_the_last_frame_are_a_write_that_never_came() {
        let mut file = framed(&[b"first"]);
        file.extend([0; 64]);
        assert_eq!(contents(&file), (vec![b"first".to_vec()], Found::End { torn: true }));
    }
}
