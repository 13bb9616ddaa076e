//! Entra, as its provisioning service asks.

use super::{ENTERPRISE, GROUP, USER, ask, changes, encoded, found, org, scim};
use http::StatusCode;
use serde_json::{Value, json};
use tests::{house::House, json::At};

#[tokio::test]
async fn entra_provisions_as_it_always_does() {
    let house = House::open(org("acme")).await;
    let id = a_person_is_made_and_changed(&house).await;
    let path = format!("/Users/{id}");

    let group = json!({
        "schemas": [GROUP], "externalId": "8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159",
        "displayName": "displayName", "meta": { "resourceType": "Group" },
    });
    let group = scim(&house, "POST", "/Groups", group).await.body.text("id").to_owned();
    let at = format!("/Groups/{group}");
    let bare = format!("{at}?excludedAttributes=members");
    let all = format!("{at}?attributes=members.value,displayName");
    let has = |count: usize| {
        let (house, all) = (&house, &all);
        async move {
            let told = scim(house, "GET", all, Value::Null).await.body;
            assert_eq!(told.list("members").len(), count, "{told}");
            assert!(told.at("meta").is_null() && !told.text("id").is_empty());
        }
    };
    let member = json!([{ "$ref": null, "value": id }]);
    for (operation, count) in [
        (json!({ "op": "Add", "path": "members", "value": member }), 1),
        (json!({ "op": "Add", "path": "members", "value": member }), 1),
        (json!({ "op": "Remove", "path": "members", "value": member }), 0),
        (json!({ "op": "Add", "path": "members", "value": member }), 1),
        (json!({ "op": "Remove", "path": format!("members[value eq \"{id}\"]") }), 0),
        (json!({ "op": "Remove", "path": format!("members[value eq \"{id}\"]") }), 0),
        (json!({ "op": "Replace", "path": "displayName", "value": "1879db59" }), 0),
        (json!({ "op": "Add", "path": "members", "value": member }), 1),
    ] {
        let told = scim(&house, "PATCH", &at, changes(json!([operation]))).await;
        assert_eq!(told.status, StatusCode::NO_CONTENT);
        has(count).await;
    }
    let told = scim(&house, "GET", &bare, Value::Null).await.body;
    assert_eq!(told.text("displayName"), "1879db59");
    assert!(told.at("members").is_null());
    let filter = encoded("displayName eq \"1879DB59\"");
    let listed = format!("/Groups?excludedAttributes=members&filter={filter}");
    let listed = scim(&house, "GET", &listed, Value::Null).await.body;
    assert!(listed.int("totalResults") == 1 && !listed.to_string().contains("members"));
    let of_member = format!("id eq \"{group}\" and members eq \"{id}\"");
    assert_eq!(found(&house, "Groups", &of_member).await.int("totalResults"), 1);

    // First a soft deletion, and thirty days later the real one.
    let off = changes(json!([{ "op": "Replace", "path": "active", "value": "False" }]));
    assert_eq!(scim(&house, "PATCH", &path, off).await.body["active"], false);
    assert_eq!(scim(&house, "DELETE", &path, Value::Null).await.status, StatusCode::NO_CONTENT);
    for method in ["GET", "DELETE"] {
        let gone = ask(&house, "acme-scim", method, &format!("/scim/v2{path}"), Value::Null).await;
        assert_eq!(gone.status, StatusCode::NOT_FOUND);
    }
    has(0).await;
}

/// The person's id.
async fn a_person_is_made_and_changed(house: &House) -> String {
    let by_external = "externalId eq \"0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef\"";
    assert_eq!(found(house, "Users", by_external).await.int("totalResults"), 0);
    let user = json!({
        "schemas": [USER, ENTERPRISE], "externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef",
        "userName": "Test_User_ab6490ee", "active": true, "displayName": "lennay",
        "emails": [{ "primary": true, "type": "work", "value": "lennay@acme.example" }],
        "meta": { "resourceType": "User" },
        "name": { "formatted": "givenName familyName", "familyName": "familyName" },
        "roles": [], "title": "Engineer", ENTERPRISE: { "department": "R&D" },
    });
    let id = scim(house, "POST", "/Users", user).await.body.text("id").to_owned();
    assert_eq!(found(house, "Users", by_external).await.text("Resources.0.id"), id);
    let by_mail = "emails[type eq \"work\"].value eq \"LENNAY@acme.example\"";
    assert_eq!(found(house, "Users", by_mail).await.int("totalResults"), 1);
    let path = format!("/Users/{id}");
    let update = changes(json!([
        { "op": "Replace", "path": "emails[type eq \"work\"].value", "value": "new@acme.example" },
        { "op": "Replace", "path": "name.familyName", "value": "updatedFamilyName" },
        { "op": "Add", "path": "phoneNumbers[type eq \"work\"].value", "value": "+1 555 0100" },
        { "op": "Replace", "path": format!("{ENTERPRISE}:department"), "value": "Sales" },
        { "op": "Add", "value": { "displayName": "Lennay", "name.givenName": "L" } },
    ]));
    let updated = scim(house, "PATCH", &path, update).await.body;
    assert_eq!(updated.text("emails.0.value"), "new@acme.example");
    assert_eq!(updated.text("displayName"), "Lennay");
    id
}
