//! Bounded decoding of compressed request bodies.

#[cfg(test)]
mod tests;

use flate2::read::MultiGzDecoder;
use http::{HeaderMap, header};
use std::io::{self, Read};
use zstd::stream::read::Decoder as ZstdDecoder;

/// The largest zstd window that is accepted, as a power of two: 8 MiB, which RFC 9659 has every
/// client of the web stay within.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Decoded bytes come in blocks of this size, so memory stays within the limit and one block.
const BLOCK_BYTES: usize = 16 << 10;

/// A content coding of RFC 9110 section 8.4.1 that request bodies may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

/// The body has a coding that is not offered, or more than one: 415.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`content-encoding` is none of `identity`, `gzip` and `zstd`")]
pub struct Unsupported;

/// Why a body could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Inflate {
    /// The decoded body is larger than its limit: 413.
    #[error("the decoded body is larger than its limit")]
    TooLarge,
    /// The body is not whole or not in its coding: 400.
    #[error("the body is not valid in its `content-encoding`")]
    Corrupt,
}

// === impl Encoding ===

impl Encoding {
    /// Reads `Content-Encoding`; a request without one is `identity`.
    ///
    /// # Errors
    /// [`Unsupported`] for any other coding, and for more than one: whoever stacks codings wants
    /// to multiply what they expand to.
    pub fn of(headers: &HeaderMap) -> Result<Self, Unsupported> {
        let mut lines = headers.get_all(header::CONTENT_ENCODING).iter();
        let Some(line) = lines.next() else { return Ok(Self::Identity) };
        if lines.next().is_some() {
            return Err(Unsupported);
        }
        let coding = line.as_bytes().trim_ascii();
        let is = |name: &str| coding.eq_ignore_ascii_case(name.as_bytes());
        if is("identity") {
            Ok(Self::Identity)
        } else if is("gzip") || is("x-gzip") {
            Ok(Self::Gzip)
        } else if is("zstd") {
            Ok(Self::Zstd)
        } else {
            Err(Unsupported)
        }
    }
}

/// Decodes a whole body to at most `limit` bytes.
///
/// Work and memory end at the limit, whatever the ratio. A gzip body may have several members and
/// a zstd body several frames; bytes behind the last that are neither are an error.
///
/// # Errors
/// [`Inflate::TooLarge`] past the limit, [`Inflate::Corrupt`] if the body ends early, fails its
/// checksum, is no such coding, or needs a zstd window above [`ZSTD_WINDOW_LOG_MAX`].
pub fn decode(encoding: Encoding, body: &[u8], limit: usize) -> Result<Vec<u8>, Inflate> {
    match encoding {
        Encoding::Identity if limit < body.len() => Err(Inflate::TooLarge),
        Encoding::Identity => Ok(body.to_vec()),
        Encoding::Gzip => read_all(MultiGzDecoder::new(body), limit),
        Encoding::Zstd => {
            let mut decoder = ZstdDecoder::with_buffer(body).map_err(corrupt)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(corrupt)?;
            read_all(decoder, limit)
        }
    }
}

fn read_all(mut decoder: impl Read, limit: usize) -> Result<Vec<u8>, Inflate> {
    let mut decoded = Vec::new();
    let mut block = [0_u8; BLOCK_BYTES];
    loop {
        let read = match decoder.read(&mut block) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(corrupt(error)),
        };
        let bytes = block.get(..read).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(decoded);
        }
        let length = decoded.len() + bytes.len();
        if limit < length {
            return Err(Inflate::TooLarge);
        }
        if decoded.capacity() < length {
            // Grows as a vector does, but never past the limit.
            let capacity = length.max(decoded.capacity().saturating_mul(2)).min(limit);
            decoded.reserve_exact(capacity - decoded.len());
        }
        decoded.extend_from_slice(bytes);
    }
}

/// The decoders read from memory: whatever fails is the fault of the bytes.
fn corrupt(_: io::Error) -> Inflate {
    Inflate::Corrupt
}
