//! The list of models, as `GET /v1/models` gives it.

use crate::json::quote_into;

/// One model that the caller may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model<'a> {
    pub id: &'a str,
    /// Unix time in seconds.
    pub created: i64,
    pub owned_by: &'a str,
}

/// The body of the list. Clients walk it by `has_more`, so it says that there is no more.
pub fn list(models: &[Model<'_>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + models.len() * 96);
    out.extend_from_slice(b"{\"object\":\"list\",\"data\":[");
    for (place, model) in models.iter().enumerate() {
        if place != 0 {
            out.push(b',');
        }
        out.extend_from_slice(&one(*model));
    }
    out.extend_from_slice(b"],\"has_more\":false}");
    out
}

/// The body of `GET /v1/models/{id}`.
pub fn one(model: Model<'_>) -> Vec<u8> {
    let mut out = b"{\"id\":".to_vec();
    quote_into(model.id, &mut out);
    out.extend_from_slice(b",\"object\":\"model\",\"created\":");
    out.extend_from_slice(model.created.to_string().as_bytes());
    out.extend_from_slice(b",\"owned_by\":");
    quote_into(model.owned_by, &mut out);
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_what_clients_expect() {
        let models = [
            Model { id: "fast", created: 1, owned_by: "acme" },
            Model { id: "a\"b", created: -1, owned_by: "acme" },
        ];

        let value: serde_json::Value = serde_json::from_slice(&list(&models)).unwrap();

        assert_eq!(value["object"], "list");
        assert_eq!(value["data"][1]["id"], "a\"b");
        assert_eq!(value["data"][0]["object"], "model");
        assert_eq!(value["has_more"], false);
    }

    #[test]
    fn no_models_are_an_empty_list() {
        assert_eq!(list(&[]), br#"{"object":"list","data":[],"has_more":false}"#);
    }
}
