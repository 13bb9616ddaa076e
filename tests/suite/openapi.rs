//! The published OpenAPI document, tried by Schemathesis against a started gateway.

use serde_json::json;
use std::{path::Path, process::Stdio};
use tests::{
    house::House,
    settings::Settings,
    wait::{self, LONG},
};

/// Cases that are made for each operation beside examples and boundary values, at most.
const EXAMPLES_MAX: &str = "4";
/// No answer that the document does not know, no fault of ours, nothing without a credential.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_schema_conformance,ignored_auth";

#[tokio::test]
async fn the_administration_api_does_what_its_document_says() {
    let settings = Settings::of("acme").and("User", "boss", json!({ "roles": ["owner"] })).and(
        "AdminKey",
        "boss",
        json!({ "owner": { "user": "boss" } }),
    );
    let house = House::open(settings).await;
    let document = format!("{}/admin/v1/openapi.json", house.admin_url());
    let key = format!("Authorization: Bearer {}", house.key("boss"));
    // The key that is used must not be tried out on itself.
    let own = ["/admin/v1/admin_keys/{id}", "/admin/v1/admin_keys/{id}/rotate"];
    let mut command = tokio::process::Command::new(root().join("tests/.venv/bin/schemathesis"));
    command
        .current_dir(house.folder())
        .args(["run", &document, "--header", &key, "--checks", CHECKS])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES_MAX])
        .args(own.iter().flat_map(|path| ["--exclude-path", path]))
        .args(["--continue-on-failure", "--no-color", "--generation-database", "none"])
        .args(["--seed", "1"])
        .stdin(Stdio::null())
        .kill_on_drop(true);

    let ran = wait::within(10 * LONG, "Schemathesis", command.output()).await.expect("it runs");

    let said = String::from_utf8_lossy(&ran.stdout);
    let counted = said.lines().find(|line| line.contains("generated,")).unwrap_or_default();
    assert!(ran.status.success(), "{said}\n{}", String::from_utf8_lossy(&ran.stderr));
    assert!(counted.contains("passed"), "{said}");
    println!("{}", counted.trim());
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
