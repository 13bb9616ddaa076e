//! A body that is read whole: most come in one piece, which is not copied.

use bytes::{Bytes, BytesMut};

/// The pieces are more than was allowed.
pub(super) struct TooLong;

pub(super) struct Gathered {
    bytes_max: usize,
    first: Bytes,
    /// Everything, once there is a second piece.
    rest: BytesMut,
}

impl Gathered {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, first: Bytes::new(), rest: BytesMut::new() }
    }

    pub(super) fn push(&mut self, piece: Bytes) -> Result<(), TooLong> {
        let so_far = self.first.len().max(self.rest.len());
        if self.bytes_max < so_far.saturating_add(piece.len()) {
            return Err(TooLong);
        }
        if so_far == 0 {
            self.first = piece;
            return Ok(());
        }
        if self.rest.is_empty() {
            self.rest.extend_from_slice(&self.first);
        }
        self.rest.extend_from_slice(&piece);
        Ok(())
    }

    pub(super) fn whole(self) -> Bytes {
        if self.rest.is_empty() { self.first } else { self.rest.freeze() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_one_body_within_the_bound() {
        let mut body = Gathered::new(5);
        for piece in ["", "ab", "", "cde"] {
            assert!(body.push(Bytes::from_static(piece.as_bytes())).is_ok());
        }
        assert!(body.push(Bytes::from_static(b"f")).is_err());
        assert_eq!(body.whole(), "abcde");
    }

    #[test]
    fn a_first_piece_beyond_the_bound_is_refused() {
        assert!(Gathered::new(1).push(Bytes::from_static(b"ab")).is_err());
    }
}
