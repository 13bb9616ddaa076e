//! Why a request body is refused before anything is decided about it.

use crate::json::{Invalid, reader::Reader};

/// A body that is not a request. `message` never holds a value of the body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Malformed {
    pub message: String,
    /// The parameter at fault as OpenAI writes it, such as `messages[0].role`.
    pub param: Option<String>,
    pub code: Code,
}

/// The two refusals that a body can earn; their words are public contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Malformed,
    /// A key that some servers would read as a parameter that we interpret.
    UnsupportedParameter,
}

impl Code {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed_request",
            Self::UnsupportedParameter => "unsupported_parameter",
        }
    }
}

impl Malformed {
    pub(crate) fn at(param: &str, message: String) -> Self {
        Self { message, param: Some(param.to_owned()), code: Code::Malformed }
    }

    pub(crate) fn missing(param: &str) -> Self {
        Self::at(param, format!("missing required parameter `{param}`"))
    }
}

impl From<Invalid> for Malformed {
    fn from(invalid: Invalid) -> Self {
        let Invalid { problem, param, offset, .. } = invalid;
        let param = Some(param).filter(|param| !param.is_empty());
        let message = match &param {
            Some(param) => format!("`{param}`: {problem} (byte {offset})"),
            None => format!("{problem} (byte {offset})"),
        };
        Self { message, param, code: Code::Malformed }
    }
}

/// Refuses a key that was not interpreted but is one of `known` but for its case.
///
/// Some servers match keys without regard to case (Go's `encoding/json` does, with the two letters
/// outside of ASCII that fold into it), so that `"Model"` could name another model to them.
pub(crate) fn refuse_folded(
    reader: &Reader<'_>,
    known: &[&str],
    key: &str,
) -> Result<(), Malformed> {
    let folded = if key.is_ascii() {
        known.iter().find(|name| name.eq_ignore_ascii_case(key))
    } else {
        let plain = key.replace('\u{17f}', "s").replace('\u{212a}', "k");
        known.iter().find(|name| name.eq_ignore_ascii_case(&plain))
    };
    let Some(name) = folded.filter(|name| **name != key) else { return Ok(()) };
    let at = reader.expected("a known key");
    Err(Malformed {
        message: format!("`{}` differs from `{name}` only by its case", at.param),
        param: Some(at.param),
        code: Code::UnsupportedParameter,
    })
}
