//! The form of a token request (RFC 6749, section 3.2): bounded, each parameter at most once.

use super::Declined;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use std::time::Duration;

/// Bytes of the form, at most: a token and a few words.
const FORM_BYTES_MAX: usize = 64 * 1024;
/// How long the form may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Form(Vec<(String, String)>);

pub(super) async fn read(body: Incoming) -> Result<Form, Declined> {
    let whole = Limited::new(body, FORM_BYTES_MAX).collect();
    let bytes = match tokio::time::timeout(PATIENCE, whole).await {
        Ok(Ok(whole)) => whole.to_bytes(),
        Ok(Err(_)) | Err(_) => {
            return Err(Declined::Request("the form is too large, or broke off".to_owned()));
        }
    };
    Ok(Form(url::form_urlencoded::parse(&bytes).into_owned().collect()))
}

impl Form {
    /// A parameter; one without a value is as good as none.
    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, Declined> {
        let mut given = self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value);
        let first = given.next().map(String::as_str).filter(|value| !value.is_empty());
        match given.next() {
            None => Ok(first),
            Some(_) => Err(Declined::Request(format!("`{name}` stands there twice"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_stands_there_once() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let form = Form(vec![pair("a", "1"), pair("b", "2"), pair("b", "2"), pair("c", "")]);

        assert_eq!(form.one("a").unwrap(), Some("1"));
        assert!(form.one("b").is_err());
        assert_eq!(form.one("c").unwrap(), None);
        assert_eq!(form.one("d").unwrap(), None);
    }
}
