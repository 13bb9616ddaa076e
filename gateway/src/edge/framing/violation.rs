//! The closed list of ways in which a request breaks HTTP framing, each with its answer.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

/// Why the bytes of a connection are not, or are no longer, read as requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Violation {
    /// The first bytes can't begin a request line (RFC 9112 section 3).
    NotHttp,
    /// Method, target or version of the request line are wrong (RFC 9112 section 3).
    RequestLine,
    /// The request line is longer than [`super::REQUEST_LINE_BYTES_MAX`].
    RequestLineTooLong,
    /// `CONNECT`: there is no tunnel here.
    Tunnel,
    /// The head is longer than [`super::HEAD_BYTES_MAX`] or has too many lines.
    HeadTooLarge,
    /// A line ends in LF without CR (RFC 9112 section 2.2 lets a server refuse it).
    BareLf,
    /// A CR that is not followed by LF (RFC 9112 section 2.2).
    BareCr,
    /// A field line without colon, or whose name is not a token (RFC 9112 section 5.1).
    FieldName,
    /// A control byte in a field value (RFC 9110 section 5.5).
    FieldValue,
    /// A folded field line (RFC 9112 section 5.2).
    Folded,
    /// No `Host` in HTTP/1.1 (RFC 9112 section 3.2).
    HostMissing,
    /// More than one `Host`, or two that differ over HTTP/2.
    HostRepeated,
    /// A `Host` that names no host.
    HostInvalid,
    /// `Content-Length` is not one plain decimal number (RFC 9112 section 6.3).
    ContentLength,
    /// `Transfer-Encoding` is not `chunked`, once, over HTTP/1.1 (RFC 9112 section 6.1).
    TransferEncoding,
    /// Both lengths at once: the classic smuggling request (RFC 9112 section 6.1).
    BothLengths,
    /// A chunk size that is not 1 to 16 hexadecimal digits (RFC 9112 section 7.1).
    ChunkSize,
    /// Chunk extensions with control bytes or over [`super::CHUNK_EXTENSION_BYTES_MAX`].
    ChunkExtension,
    /// Chunk data that is not followed by CRLF.
    ChunkEnd,
    /// A trailer that would change framing or routing, or too many (RFC 9110 section 6.5.1).
    Trailer,
    /// The head was not complete in time.
    HeadTimeout,
    /// The body came slower than the rate that is asked for.
    BodyTimeout,
}

impl Violation {
    /// The status that the client is told: 400, 408, 414 or 431.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::RequestLineTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::HeadTimeout | Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::NotHttp
            | Self::RequestLine
            | Self::Tunnel
            | Self::BareLf
            | Self::BareCr
            | Self::FieldName
            | Self::FieldValue
            | Self::Folded
            | Self::HostMissing
            | Self::HostRepeated
            | Self::HostInvalid
            | Self::ContentLength
            | Self::TransferEncoding
            | Self::BothLengths
            | Self::ChunkSize
            | Self::ChunkExtension
            | Self::ChunkEnd
            | Self::Trailer => StatusCode::BAD_REQUEST,
        }
    }

    /// What the client is told: static text, without a byte of the request and without a
    /// character that JSON would need to escape.
    pub const fn message(self) -> &'static str {
        match self {
            Self::NotHttp => "the connection does not begin with an http request",
            Self::RequestLine => "the request line is malformed",
            Self::RequestLineTooLong => "the request line is too long",
            Self::Tunnel => "the method `CONNECT` is not offered",
            Self::HeadTooLarge => "the request headers are too large or too many",
            Self::BareLf => "a line of the request ends in LF without CR",
            Self::BareCr => "a line of the request contains CR without LF",
            Self::FieldName => "a header line has no valid field name",
            Self::FieldValue => "a header value contains a control character",
            Self::Folded => "a header line is folded",
            Self::HostMissing => "the header `host` is missing",
            Self::HostRepeated => "the header `host` is given more than once",
            Self::HostInvalid => "the header `host` names no valid host",
            Self::ContentLength => "the header `content-length` is not one decimal number",
            Self::TransferEncoding => "the header `transfer-encoding` is not `chunked`",
            Self::BothLengths => "`content-length` and `transfer-encoding` exclude each other",
            Self::ChunkSize => "a chunk size is malformed",
            Self::ChunkExtension => "a chunk extension is malformed or too long",
            Self::ChunkEnd => "a chunk is longer than its size says",
            Self::Trailer => "a trailer is not permitted",
            Self::HeadTimeout => "the request headers did not arrive in time",
            Self::BodyTimeout => "the request body arrived too slowly",
        }
    }

    /// The whole answer, with `connection: close` unless it goes over HTTP/2.
    pub fn answer(self, version: http::Version) -> Response<Bytes> {
        let body = format!(
            "{{\"error\":{{\"message\":\"{}\",\"type\":\"invalid_request_error\",\
             \"param\":null,\"code\":\"malformed_request\"}}}}",
            self.message()
        );
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if version < http::Version::HTTP_2 {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
