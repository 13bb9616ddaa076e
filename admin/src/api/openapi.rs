//! `GET /admin/v1/openapi.json`: the OpenAPI 3.1 document, made of the table and of the schemas
//! that bodies are read by.

mod schemas;

use crate::{
    context::Context,
    failure::Failure,
    manual,
    table::{self, Build, Row, open},
};
use axum::{
    http::{HeaderValue, header},
    response::Response,
};
use policies::{permission::Permission, route::Method};
use serde_json::{Map, Value, json};

pub use self::schemas::EXAMPLES;
pub(crate) use self::schemas::{NOTHING, bodies};

pub const ROWS: &[Row] =
    &[Build(open("/admin/v1/openapi.json", |context| Box::pin(async move { served(&context) })))
        .says("This API as an OpenAPI 3.1 document")
        .0];

/// As it is in the manual, which a test holds against the table.
fn served(_: &Context) -> Result<Response, Failure> {
    let text = manual::page("openapi.json").ok_or(Failure::NotFound)?;
    let mut answer = Response::new(text.into());
    let kind = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(answer)
}

/// The document. Paths of stock clients (OpenAI's, SCIM) follow their own documents and are listed
/// here without schemas.
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for row in table::rows().filter(|row| is_listed(row)) {
        let path = paths.entry(row.path.to_owned()).or_insert_with(|| json!({}));
        if let Value::Object(methods) = path {
            methods.insert(row.method.word().to_lowercase(), operation(row));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Penstock administration API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Everything that administers a Penstock installation. Errors are \
                problem documents (RFC 9457) with a stable `code`. An operator of the installation \
                names the org that is meant in the header `x-penstock-org`. Amounts of money are \
                decimals as text, or whole numbers where the field's name ends with `_nano_usd`; \
                all other numbers are numbers.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "security": [{ "adminKey": [] }, { "session": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas::schemas(),
            "responses": responses(),
            "securitySchemes": {
                "adminKey": { "type": "http", "scheme": "bearer" },
                "session": { "type": "apiKey", "in": "cookie", "name": "__Host-penstock" },
            },
        },
    })
}

fn is_listed(row: &Row) -> bool {
    row.path.starts_with("/admin/v1/") || row.path == "/healthz" || row.path == "/readyz"
}

fn operation(row: &Row) -> Value {
    let endpoint = &row.handler;
    let mut operation = json!({
        "operationId": operation_id(row),
        "summary": endpoint.summary,
        "tags": [tag(row.path)],
        "parameters": parameters(row),
        "responses": answers(row),
    });
    let Value::Object(fields) = &mut operation else { return operation };
    if row.permission == Permission::Public {
        fields.insert("security".to_owned(), json!([]));
    } else {
        fields.insert("x-permission".to_owned(), json!(row.permission.word()));
    }
    if let Some(name) = endpoint.takes {
        let whole = row.method != Method::Patch;
        let kind = if whole { "application/json" } else { "application/merge-patch+json" };
        let schema = if whole { name.to_owned() } else { format!("{name}Patch") };
        let mut content = json!({
            "schema": { "$ref": format!("#/components/schemas/{schema}") },
        });
        let example = schemas::EXAMPLES.iter().find(|(known, _)| *known == name);
        if let (Some((_, text)), Value::Object(content), true) = (example, &mut content, whole) {
            let example: Value = serde_json::from_str(text).unwrap_or_default();
            content.insert("example".to_owned(), example);
        }
        // A patch is read as JSON too: many clients know no other media type.
        let mut media = Map::new();
        media.insert(kind.to_owned(), content.clone());
        media.insert("application/json".to_owned(), content);
        fields.insert("requestBody".to_owned(), json!({ "required": whole, "content": media }));
    }
    operation
}

/// Unique, and stable as long as method and path are.
fn operation_id(row: &Row) -> String {
    let words = row.path.trim_start_matches("/admin/v1/").trim_start_matches('/');
    let words = words.replace(['{', '}'], "").replace(['/', '.', '-'], "_");
    format!("{}_{words}", row.method.word().to_lowercase())
}

fn tag(path: &str) -> &str {
    let rest = path.strip_prefix("/admin/v1/").unwrap_or("listener");
    rest.split('/').next().unwrap_or(rest)
}

fn parameters(row: &Row) -> Vec<Value> {
    let in_path = row.path.split('/').filter_map(|segment| {
        let name = segment.strip_prefix('{')?.strip_suffix('}')?;
        Some(json!({
            "name": name,
            "in": "path",
            "required": true,
            "schema": { "type": "string", "minLength": 1 },
        }))
    });
    let in_query = row.handler.query.iter().map(|name| {
        let schema = match *name {
            "limit" => json!({ "type": "integer", "minimum": 1, "maximum": 1000 }),
            _ => json!({ "type": "string" }),
        };
        json!({ "name": name, "in": "query", "required": false, "schema": schema })
    });
    let mut found: Vec<Value> = in_path.chain(in_query).collect();
    if row.method != Method::Get && row.permission != Permission::Public {
        found.push(json!({
            "name": "Idempotency-Key",
            "in": "header",
            "required": false,
            "schema": { "type": "string", "minLength": 1, "maxLength": 255 },
        }));
        if row.path.ends_with("{id}") {
            found.push(json!({
                "name": "If-Match",
                "in": "header",
                "required": false,
                "schema": { "type": "string" },
            }));
        }
    }
    found
}

/// The answer of success, and every failure that the row can give.
fn answers(row: &Row) -> Value {
    let (status, schema) = row.handler.gives;
    let mut answers = Map::new();
    let mut good = json!({ "description": "Done" });
    if let (Some(name), Value::Object(fields)) = (schema, &mut good) {
        let schema = json!({ "$ref": format!("#/components/schemas/{name}") });
        let content = json!({ "application/json": { "schema": schema } });
        fields.insert("content".to_owned(), content);
    }
    answers.insert(status.to_string(), good);
    let mut failures: Vec<u16> = vec![400, 503];
    if row.permission != Permission::Public {
        failures.extend([401, 403, 404, 429]);
    }
    if row.path.contains('{') {
        failures.push(404);
    }
    if row.path == "/readyz" {
        answers.insert("503".to_owned(), json!({ "description": "Not ready" }));
    }
    let reads = row.method == Method::Get;
    if !reads {
        failures.extend([409, 412, 413]);
    }
    if !reads || !row.handler.query.is_empty() {
        failures.push(422);
    }
    for status in failures {
        let reference = json!({ "$ref": format!("#/components/responses/E{status}") });
        answers.entry(status.to_string()).or_insert(reference);
    }
    Value::Object(answers)
}

fn responses() -> Value {
    let problem = json!({ "$ref": "#/components/schemas/Problem" });
    let content = json!({ "application/problem+json": { "schema": problem } });
    let said = [
        (400, "It cannot be read, has an unknown query parameter, or an operator names no org"),
        (401, "No good credential"),
        (
            403,
            "A permission is missing, it would give more than the asker has, or a cookie comes \
            from another site's page",
        ),
        (404, "There is no such thing, or it is somebody else's"),
        (409, "A name is taken, others still need it, it is locked, or others change it too"),
        (412, "It is not as `If-Match` says any more"),
        (413, "The body is too large"),
        (422, "The request does not hold; `errors` lists every mistake"),
        (429, "Too many requests; `Retry-After` says when to come again"),
        (503, "The store or another server is away; nothing is known to be changed"),
    ];
    let all = said.iter().map(|(status, description)| {
        (format!("E{status}"), json!({ "description": description, "content": content }))
    });
    Value::Object(all.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::HashSet, fs, path::Path};

    #[test]
    #[expect(clippy::disallowed_methods, reason = "tests may be asked to write their goldens")]
    fn the_manual_holds_the_document_that_the_table_makes() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("manual/openapi.json");
        let now = serde_json::to_string_pretty(&document()).unwrap() + "\n";
        if std::env::var("UPDATE_GOLDEN").is_ok() {
            fs::write(&path, &now).unwrap();
        }
        let manual = fs::read_to_string(&path).unwrap_or_default();

        assert!(manual == now, "run the tests with UPDATE_GOLDEN=1, and read the difference");
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_operation_has_its_own_name() {
        let document = document();
        let text = document.to_string();
        let mut names = HashSet::new();

        for piece in text.split("\"$ref\":\"#/").skip(1) {
            let path = piece.split('"').next().unwrap();
            assert!(document.pointer(&format!("/{path}")).is_some(), "{path}");
        }
        for methods in document["paths"].as_object().unwrap().values() {
            for operation in methods.as_object().unwrap().values() {
                let name = operation["operationId"].as_str().unwrap();
                assert!(names.insert(name.to_owned()), "{name}");
            }
        }
        assert!(100 < names.len());
        assert!(!text.contains("sha256"));
    }
}
