//! The rules for the lines of a request head and of trailers.

use super::Violation;

/// The largest body that a `Content-Length` may announce: what fits in 63 bits.
const CONTENT_LENGTH_MAX: u64 = u64::MAX >> 1;
/// No method of a registry is longer; more is not HTTP.
const METHOD_BYTES_MAX: usize = 32;

/// How the body of a request ends (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Fixed(u64),
    Chunked,
}

/// What the lines of a head have said so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head {
    version: Version,
    host: bool,
    content_length: Option<u64>,
    chunked: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Version {
    #[default]
    Http11,
    Http10,
}

// === impl Head ===

impl Head {
    /// Reads the request line, given without its CRLF.
    pub(super) fn request_line(&mut self, line: &[u8]) -> Result<(), Violation> {
        plausible(line)?;
        let mut words = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(Violation::RequestLine);
        };
        if method.is_empty() {
            return Err(Violation::RequestLine);
        }
        self.version = match version {
            b"HTTP/1.1" => Version::Http11,
            b"HTTP/1.0" => Version::Http10,
            _ => return Err(Violation::RequestLine),
        };
        if method == b"CONNECT" {
            return Err(Violation::Tunnel);
        }
        check_target(method, target)
    }

    /// Reads one field line, given without its CRLF.
    pub(super) fn field_line(&mut self, line: &[u8]) -> Result<(), Violation> {
        let (name, value) = field(line)?;
        if name.eq_ignore_ascii_case(b"host") {
            return self.host(value);
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            return self.content_length(value);
        }
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return self.transfer_encoding(value);
        }
        Ok(())
    }

    /// Judges the head as a whole once its blank line has come.
    pub(super) fn end(&self) -> Result<Length, Violation> {
        if !self.host && self.version == Version::Http11 {
            return Err(Violation::HostMissing);
        }
        match (self.chunked, self.content_length) {
            (true, Some(_)) => Err(Violation::BothLengths),
            (true, None) if self.version == Version::Http10 => Err(Violation::TransferEncoding),
            (true, None) => Ok(Length::Chunked),
            (false, length) => Ok(Length::Fixed(length.unwrap_or(0))),
        }
    }

    fn host(&mut self, value: &[u8]) -> Result<(), Violation> {
        if self.host {
            return Err(Violation::HostRepeated);
        }
        self.host = true;
        if is_authority(value) { Ok(()) } else { Err(Violation::HostInvalid) }
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Violation> {
        // Two are refused even if equal: whoever sends two has two opinions on the way.
        if self.content_length.is_some() || value.is_empty() {
            return Err(Violation::ContentLength);
        }
        let mut length = 0_u64;
        for byte in value {
            if !byte.is_ascii_digit() {
                return Err(Violation::ContentLength);
            }
            length = length
                .checked_mul(10)
                .and_then(|tens| tens.checked_add(u64::from(byte - b'0')))
                .filter(|length| *length <= CONTENT_LENGTH_MAX)
                .ok_or(Violation::ContentLength)?;
        }
        self.content_length = Some(length);
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Violation> {
        if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Violation::TransferEncoding);
        }
        self.chunked = true;
        Ok(())
    }
}

/// Whether bytes may be the beginning of a request line: a method, then perhaps a space.
pub(super) fn plausible(line: &[u8]) -> Result<(), Violation> {
    let method = line.split(|byte| *byte == b' ').next().unwrap_or_default();
    let token = method.iter().take(METHOD_BYTES_MAX + 1).all(|byte| is_token(*byte));
    if token && method.len() <= METHOD_BYTES_MAX { Ok(()) } else { Err(Violation::NotHttp) }
}

/// Checks one trailer line, given without its CRLF.
///
/// A trailer that frames, routes or authenticates is refused (RFC 9110 section 6.5.1).
pub(super) fn check_trailer(line: &[u8]) -> Result<(), Violation> {
    const FORBIDDEN: [&str; 6] =
        ["host", "content-length", "transfer-encoding", "authorization", "connection", "te"];
    let (name, _) = field(line)?;
    let forbidden = FORBIDDEN.iter().any(|word| name.eq_ignore_ascii_case(word.as_bytes()));
    if forbidden { Err(Violation::Trailer) } else { Ok(()) }
}

/// Whether a value is the host and perhaps port of a URI, without user information.
pub(super) fn is_authority(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(|byte| is_authority_byte(*byte))
}

/// A field line as name and trimmed value.
fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Violation> {
    if line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
        return Err(Violation::Folded);
    }
    let (name, value) = memchr::memchr(b':', line)
        .and_then(|colon| line.split_at_checked(colon))
        .ok_or(Violation::FieldName)?;
    if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
        return Err(Violation::FieldName);
    }
    let value = value.get(1..).unwrap_or_default();
    if value.iter().any(|byte| is_control(*byte)) {
        return Err(Violation::FieldValue);
    }
    Ok((name, value.trim_ascii()))
}

/// The four forms of RFC 9112 section 3.2, less the one of `CONNECT`.
fn check_target(method: &[u8], target: &[u8]) -> Result<(), Violation> {
    if !target.iter().all(|byte| is_target_byte(*byte)) {
        return Err(Violation::RequestLine);
    }
    if target == b"*" {
        return if method == b"OPTIONS" { Ok(()) } else { Err(Violation::RequestLine) };
    }
    if target.first() == Some(&b'/') {
        return Ok(());
    }
    // Absolute-form: its authority wins over `Host`, which may differ (section 3.2.2). The
    // service above hyper puts it in the place of `Host`, so that all later code sees one.
    let rest = strip_scheme(target).ok_or(Violation::RequestLine)?;
    let authority = rest.split(|byte| matches!(byte, b'/' | b'?')).next().unwrap_or_default();
    if is_authority(authority) { Ok(()) } else { Err(Violation::HostInvalid) }
}

fn strip_scheme(target: &[u8]) -> Option<&[u8]> {
    [&b"http://"[..], b"https://"].iter().find_map(|scheme| {
        let (head, rest) = target.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

/// `tchar` of RFC 9110 section 5.6.2.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Everything below a space but the tab, and DEL. Bytes above are `obs-text` and pass.
pub(super) const fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

/// Visible ASCII, less what no URI contains and hyper refuses too.
const fn is_target_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'#' | b'<' | b'>' | b'`')
}

/// Host and port of RFC 3986 section 3.2, less the comma, with which proxies join two values.
const fn is_authority_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b':'
                | b'['
                | b']'
                | b'%'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b';'
                | b'='
        )
}
