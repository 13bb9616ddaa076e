//! The row type of the endpoint tables: what each route needs, in one place.
//!
//! The client edge and the administration API each own a table of such rows; their routers and
//! the tests of authority are built from them. A row without a permission, a meter or a body
//! limit does not compile.

use crate::permission::Permission;

/// How use of a route becomes money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meter {
    /// It reaches no provider and costs nothing.
    Free,
    /// Tokens, held before and settled after.
    Tokens,
}

/// What is written down of each use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audit {
    /// Nothing: no tenant's data is touched.
    None,
    /// A decision row for each request that reached `route`.
    Decision,
    /// Reads of the caller's own data.
    OwnRead,
    /// Reads of an org's data that leave no row.
    Read,
    /// Reads of sensitive data: each leaves a row in the org's chain.
    Sensitive,
    /// Changes: the row is written in the same transaction, or nothing is changed.
    Change,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// As it stands in a request line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Route<Handler> {
    pub method: Method,
    /// Segments; one in braces matches any single one: `/v1/models/{id}`.
    pub path: &'static str,
    pub permission: Permission,
    pub meter: Meter,
    pub audit: Audit,
    /// Bytes of request body, before and after decompression.
    pub body_bytes_max: usize,
    pub handler: Handler,
}

/// The value of each braced segment of `pattern`, if `path` matches it.
pub fn matches<'a>(pattern: &str, path: &'a str) -> Option<Vec<&'a str>> {
    let mut given = path.split('/');
    let mut values = Vec::new();
    for expected in pattern.split('/') {
        let segment = given.next()?;
        if expected.starts_with('{') && !segment.is_empty() {
            values.push(segment);
        } else if expected != segment {
            return None;
        }
    }
    given.next().is_none().then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_matches_as_a_whole_or_not_at_all() {
        assert_eq!(matches("/v1/models/{id}", "/v1/models/a"), Some(vec!["a"]));
        for path in ["/v1/models", "/v1/models/", "/v1/models/a/b", "//v1/models/a", "/V1/models/a"]
        {
            assert_eq!(matches("/v1/models/{id}", path), None, "{path}");
        }
    }
}
