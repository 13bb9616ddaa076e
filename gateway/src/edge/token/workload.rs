//! Whether a machine's token says what a rule asks for.

use admin::{identity::Expected, service::people::claim};
use policies::{
    document::{SKEW_SECS_DEFAULT, WorkloadIdentity},
    ids::OrgId,
};
use serde_json::{Map, Value};

/// What the tokens of a rule must be.
pub(super) fn expected<'a>(
    org: OrgId,
    rule: &'a WorkloadIdentity,
    audience: &'a [&'a str],
) -> Expected<'a> {
    Expected {
        org,
        issuer: &rule.issuer,
        jwks_uri: rule.jwks_uri.as_deref(),
        algorithms: &rule.algorithms,
        audiences: audience,
        skew_secs: SKEW_SECS_DEFAULT,
        nonce: None,
    }
}

/// Whether all claims that the rule names are there and have its values.
pub(super) fn fits(rule: &WorkloadIdentity, claims: &Map<String, Value>) -> bool {
    !rule.claims.is_empty()
        && rule
            .claims
            .iter()
            .all(|(path, wanted)| claim(claims, path).is_some_and(|value| is_like(value, wanted)))
}

/// A `*` at the end stands for anything; anywhere else it is a star.
fn is_like(value: &Value, wanted: &str) -> bool {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return false,
    };
    match wanted.strip_suffix('*') {
        Some(start) => !start.is_empty() && text.starts_with(start),
        None => text == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_star_at_the_end_stands_for_anything_and_nowhere_else() {
        for (value, wanted, fits) in [
            (json!("repo:acme/app:ref:refs/heads/main"), "repo:acme/app:*", true),
            (json!("repo:acme/app-evil:x"), "repo:acme/app:*", false),
            (json!("anything"), "*", false),
            (json!("a*c"), "a*c", true),
            (json!("abc"), "a*c", false),
            (json!(7), "7", true),
            (json!(true), "true", true),
            (json!(["main"]), "main", false),
            (json!(null), "null", false),
        ] {
            assert_eq!(is_like(&value, wanted), fits, "{value} {wanted}");
        }
    }
}
