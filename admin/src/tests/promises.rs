//! What is given today and used tomorrow: nobody gains by it later what its maker has not.

use super::town::Town;
use serde_json::{Value, json};

fn id(listed: &Value, name: &str) -> String {
    let objects = listed["data"].as_array().unwrap();
    let found = objects.iter().find(|it| it["name"] == name).unwrap();
    found["id"].as_str().unwrap().to_owned()
}

impl Town {
    async fn id_of(&self, kind: &str, name: &str) -> String {
        let path = format!("{kind}?limit=100");
        let listed = self.ask(&self.acme.keys["owner"], "GET", &path, None);
        format!("{kind}/{}", id(&listed.await.json(), name))
    }

    async fn post(&self, role: &str, path: &str, body: Value) -> u16 {
        self.ask(&self.acme.keys[role], "POST", path, Some(body)).await.status
    }

    async fn patch(&self, role: &str, path: &str, body: Value) -> u16 {
        self.ask(&self.acme.keys[role], "PATCH", path, Some(body)).await.status
    }
}

#[tokio::test]
async fn a_group_that_a_directory_will_fill_gives_no_more_than_its_maker_has() {
    let town = Town::new().await;
    let groups = "/admin/v1/groups";
    let owners = json!({ "name": "board", "roles": ["owner"], "claim": "board" });

    let empty = json!({ "name": "evil", "roles": ["owner"], "claim": "employees" });
    assert_eq!(town.post("admin", groups, empty).await, 403);
    assert_eq!(town.post("owner", groups, owners).await, 201);
    let board = town.id_of(groups, "board").await;
    for patch in [
        json!({ "claim": "employees" }),
        json!({ "external_id": "mine" }),
        json!({ "members": ["acme-admin"] }),
        json!({ "name": "employees" }),
        json!({ "roles": [] }),
    ] {
        assert_eq!(town.patch("admin", &board, patch.clone()).await, 403, "{patch}");
    }
    let harmless = json!({ "name": "readers", "roles": ["auditor"], "claim": "readers" });
    assert_eq!(town.post("admin", groups, harmless.clone()).await, 201);
    let readers = town.id_of(groups, "readers").await;
    let patch = json!({ "roles": ["auditor", "owner"] });
    assert_eq!(town.patch("admin", &readers, patch).await, 403);
    assert_eq!(town.patch("admin", &readers, json!({ "claim": "all" })).await, 200);
}

#[tokio::test]
async fn a_key_that_is_made_for_somebody_does_not_grow_with_them() {
    let town = Town::new().await;
    let keys = "/admin/v1/admin_keys";
    let member = json!({ "user": "acme-member" });

    let open = json!({ "name": "k1", "owner": member });
    let high = json!({ "name": "k2", "owner": member, "roles": ["owner"] });
    let named = json!({ "name": "k3", "owner": member, "roles": ["auditor"] });
    assert_eq!(town.post("admin", keys, open.clone()).await, 403);
    assert_eq!(town.post("admin", keys, high).await, 403);
    assert_eq!(town.post("admin", keys, named).await, 201);
    let own = json!({ "name": "k4", "owner": { "user": "acme-admin" } });
    assert_eq!(town.post("admin", keys, own).await, 201);
    assert_eq!(town.post("owner", keys, open).await, 201);
    let k1 = town.id_of(keys, "k1").await;
    let k3 = town.id_of(keys, "k3").await;
    assert_eq!(town.patch("admin", &k3, json!({ "roles": [] })).await, 403);
    assert_eq!(town.post("admin", &format!("{k1}/rotate"), json!({})).await, 403);
    assert_eq!(town.patch("admin", &k1, json!({ "active": false })).await, 200);
}

#[tokio::test]
async fn a_narrowed_key_makes_no_wider_one() {
    let town = Town::new().await;
    let keys = "/admin/v1/admin_keys";
    let narrow = json!({
        "name": "narrow", "owner": { "user": "acme-owner" },
        "expires": "2099-01-01T00:00:00Z", "sources": ["127.0.0.0/8"],
    });
    let made = town.ask(&town.acme.keys["owner"], "POST", keys, Some(narrow)).await.json();
    let secret = made["secret"].as_str().unwrap();
    let own = format!("{keys}/{}", made["id"].as_str().unwrap());

    for patch in [
        json!({ "expires": null }),
        json!({ "expires": "2099-01-02T00:00:00Z" }),
        json!({ "sources": [] }),
        json!({ "sources": ["0.0.0.0/0"] }),
    ] {
        let told = town.ask(secret, "PATCH", &own, Some(patch.clone())).await;
        assert_eq!(told.status, 422, "{patch}: {told:?}");
    }
    let open = json!({ "name": "wide", "owner": { "user": "acme-owner" } });
    assert_eq!(town.ask(secret, "POST", keys, Some(open)).await.status, 422);
    let within = json!({
        "name": "within", "owner": { "user": "acme-owner" },
        "expires": "2098-01-01T00:00:00Z", "sources": ["127.0.0.1"],
    });
    assert_eq!(town.ask(secret, "POST", keys, Some(within)).await.status, 201);
}

#[tokio::test]
async fn nobody_says_who_somebody_is_but_who_may_say_whom_to_believe() {
    let town = Town::new().await;
    let mine = json!([{ "issuer": "https://x.example", "subject": "me" }]);
    let users = "/admin/v1/users";
    let member = town.id_of(users, "acme-member").await;

    assert_eq!(town.patch("admin", &member, json!({ "identities": mine })).await, 403);
    let new = json!({ "name": "new", "identities": mine });
    assert_eq!(town.post("admin", users, new.clone()).await, 403);
    assert_eq!(town.post("owner", users, new).await, 201);
}

#[tokio::test]
async fn whoever_may_not_send_prompts_makes_no_key_that_does() {
    let town = Town::new().await;
    let key = |owner: Value| json!({ "name": "k", "project": "search", "owner": owner });
    let developer = json!({ "user": "acme-developer" });

    for role in ["security", "auditor", "billing"] {
        let told = town.post(role, "/admin/v1/keys", key(developer.clone())).await;
        assert_eq!(told, 403, "{role}");
    }
    let outsider = json!({ "user": "acme-owner" });
    assert_eq!(town.post("owner", "/admin/v1/keys", key(outsider)).await, 403);
    assert_eq!(town.post("admin", "/admin/v1/keys", key(developer)).await, 201);
}

#[tokio::test]
async fn a_locked_person_is_shut_out_all_the_same_and_stays_so() {
    let town = Town::new().await;
    let (users, member) = ("/admin/v1/users", "acme-member");
    let path = town.id_of(users, member).await;
    town.lock(member).await;

    assert_eq!(town.patch("owner", &path, json!({ "display_name": "X" })).await, 409);
    assert_eq!(town.post("owner", &format!("{path}/revoke"), json!({})).await, 204);
    let back = json!({ "credentials_from": "2001-01-01T00:00:00Z" });
    let other = town.id_of(users, "acme-viewer").await;
    assert_eq!(town.patch("admin", &other, back).await, 422);
    assert_eq!(town.patch("owner", &path, json!({ "active": false })).await, 200);
    assert_eq!(town.patch("owner", &path, json!({ "active": true })).await, 409);
}

#[tokio::test]
async fn settings_are_bounded_whoever_writes_them() {
    let town = Town::new().await;
    let long = "9".repeat(100_000);
    let wish = |limit: &str| json!({ "budget": "search-month", "wanted": { "limit": limit }, "reason": "growth" });

    let told = town.post("developer", "/admin/v1/limit_requests", wish(&long)).await;
    assert_eq!(told, 422);
    let mut refused = 0;
    for number in 0..25 {
        let body = wish(&(1_000 + number).to_string());
        let told = town.post("developer", "/admin/v1/limit_requests", body).await;
        assert!([201, 422].contains(&told), "{told}");

        refused += u32::from(told == 422);
    }
    assert_eq!(refused, 5);
    let name = json!({ "name": "x", "display_name": "y".repeat(100_000) });
    assert_eq!(town.post("admin", "/admin/v1/users", name).await, 422);
}
