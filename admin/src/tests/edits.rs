//! What changes are allowed, and what becomes of them.

use super::town::Town;
use crate::api::{objects, openapi::EXAMPLES};
use policies::document::Kind;
use serde_json::{Value, json};
use store::audit::{ActFilter, AuditLog, Order};

fn plural(name: &str) -> String {
    let kind = Kind::ALL.iter().find(|kind| format!("{kind:?}") == name).unwrap();
    format!("/admin/v1/{}", objects::path(*kind).unwrap())
}

/// Whether everything of `part` is in `whole`, which may say more: defaults.
fn holds(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(name, value)| whole.get(name).is_some_and(|it| holds(it, value)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(it, part)| holds(it, part))
        }
        _ => whole == part,
    }
}

#[tokio::test]
async fn every_example_of_the_manual_does_what_it_says() {
    let town = Town::new().await;
    let made = json!({ "name": "fresh", "owner": { "name": "o", "email": "o@x.example" } });
    let org = town.ask(&town.operator, "POST", "/admin/v1/orgs", Some(made)).await;
    assert_eq!(org.status, 201, "{org:?}");
    let fresh = [("x-penstock-org", "fresh")];
    for (name, example) in EXAMPLES {
        let body: Value = serde_json::from_str(example).unwrap();
        if *name == "Price" {
            let deployment = json!({
                "name": "metered", "provider": "cloud", "model": "m", "active": false,
            });
            let path = plural("Deployment");
            let told = town.ask_with(&town.operator, "POST", &path, Some(deployment), &fresh).await;
            assert_eq!(told.status, 201, "{told:?}");
        }
        let path = plural(name);

        let told = town.ask_with(&town.operator, "POST", &path, Some(body.clone()), &fresh).await;

        assert_eq!(told.status, 201, "{name}: {told:?}");
        let made = told.json();
        for (field, value) in body.as_object().unwrap() {
            assert!(holds(&made[field], value), "{name}: {field}: {told:?}");
        }
        let one = format!("{path}/{}", made["id"].as_str().unwrap());
        let read = town.ask_with(&town.operator, "GET", &one, None, &fresh).await;
        assert_eq!((read.status, read.etag.clone()), (200, told.etag.clone()), "{name}");
        assert!(!read.body.contains("sha256") && !read.body.contains("secret\":\"psa"), "{read:?}");
    }
}

#[tokio::test]
async fn nobody_gives_what_they_have_not() {
    let town = Town::new().await;
    let keys = &town.acme.keys;
    let owner = json!({ "name": "evil", "roles": ["owner"] });
    let group = json!({ "name": "evils", "members": ["acme-admin"], "roles": ["owner"] });
    let key = json!({ "name": "evil", "owner": { "user": "acme-owner" } });
    let identity = json!({ "name": "evil", "issuer": "https://evil.example", "client_id": "x" });
    for (role, path, body) in [
        ("admin", "/admin/v1/users", owner.clone()),
        ("admin", "/admin/v1/groups", group),
        ("admin", "/admin/v1/admin_keys", key),
        ("admin", "/admin/v1/identity_providers", identity),
        ("admin", "/admin/v1/roles", json!({ "name": "r", "permissions": ["org.own"] })),
        ("security", "/admin/v1/users", json!({ "name": "x" })),
        ("billing", "/admin/v1/policies", json!({ "name": "x", "rules": [] })),
        ("auditor", "/admin/v1/projects", json!({ "name": "x" })),
        (
            "developer",
            "/admin/v1/keys",
            json!({
                "name": "k", "project": "search", "owner": { "user": "acme-developer" },
            }),
        ),
        (
            "project_admin",
            "/admin/v1/keys",
            json!({
                "name": "k", "project": "search", "owner": { "user": "acme-owner" },
            }),
        ),
        ("project_admin", "/admin/v1/projects", json!({ "name": "x" })),
    ] {
        let before = town.revisions().await;

        let told = town.ask(&keys[role], "POST", path, Some(body)).await;

        assert!([403, 422].contains(&told.status), "{role} {path}: {told:?}");
        assert_eq!(town.revisions().await, before);
    }
    let told = town.ask(&keys["owner"], "POST", "/admin/v1/users", Some(owner)).await;
    assert_eq!(told.status, 201, "{told:?}");
}

#[tokio::test]
async fn nobody_takes_over_who_has_more() {
    let town = Town::new().await;
    let users = town.ask(&town.acme.keys["admin"], "GET", "/admin/v1/users", None).await.json();
    let users = users["data"].as_array().unwrap();
    let id = |name: &str| {
        let user = users.iter().find(|user| user["name"] == name).unwrap();
        format!("/admin/v1/users/{}", user["id"].as_str().unwrap())
    };
    let mail = json!({ "email": "evil@x.example" });
    let identity = json!({ "identities": [{ "issuer": "https://x.example", "subject": "me" }] });

    for patch in [mail.clone(), identity, json!({ "active": false })] {
        let path = id("acme-owner");
        let told = town.ask(&town.acme.keys["admin"], "PATCH", &path, Some(patch)).await;
        assert_eq!(told.status, 403, "{told:?}");
    }
    let told = town.ask(&town.acme.keys["admin"], "PATCH", &id("acme-viewer"), Some(mail)).await;
    assert_eq!(told.status, 200, "{told:?}");
    let last = json!({ "roles": [] });
    let told = town.ask(&town.acme.keys["owner"], "PATCH", &id("acme-owner"), Some(last)).await;
    assert_eq!(told.status, 422, "an org keeps an owner: {told:?}");
}

#[tokio::test]
async fn an_org_reaches_neither_the_machine_nor_its_networks_and_sends_no_secret_elsewhere() {
    let town = Town::new().await;
    let (owner, operator) = (&town.acme.keys["owner"], &town.operator);
    let acme = [("x-penstock-org", "acme")];
    let path = "/admin/v1/providers";
    let body = |more: Value| {
        let mut body = json!({ "name": "p", "dialect": "openai", "base_url": "https://a.example" });
        crate::api::objects::shape::merge(&mut body, &more);
        Some(body)
    };
    for (more, field) in [
        (json!({ "credential": { "env": "PENSTOCK_MASTER_KEY" } }), "credential"),
        (json!({ "credential": { "file": "/etc/shadow" } }), "credential"),
        (json!({ "credential": { "sealed": "AAAA" } }), "credential"),
        (json!({ "credential": { "stored": false } }), "credential"),
        (json!({ "base_url": "http://127.0.0.1:8081" }), "base_url"),
        (json!({ "base_url": "http://10.1.2.3/v1", "public_only": false }), "base_url"),
    ] {
        let told = town.ask(owner, "POST", path, body(more.clone())).await;
        assert_eq!(told.status, 422, "{more}: {told:?}");
        assert_eq!(told.json()["errors"][0]["field"], format!("/{field}"), "{told:?}");
    }
    let made = town.ask(owner, "POST", path, body(json!({}))).await;
    assert_eq!(made.json()["public_only"], true, "{made:?}");
    let one = format!("{path}/{}", made.json()["id"].as_str().unwrap());
    let value = Some(json!({ "value": "sk-canary-1234567890" }));

    let sealed = town.ask(owner, "PUT", &format!("{one}/credential"), value).await;
    let read = town.ask(owner, "GET", &one, None).await;
    let moved = json!({ "base_url": "https://evil.example" });
    let stolen = town.ask(owner, "PATCH", &one, Some(moved.clone())).await;
    let bare = json!({ "base_url": "https://b.example", "credential": null });
    let honest = town.ask(owner, "PATCH", &one, Some(bare)).await;
    let inward = json!({ "base_url": "http://10.0.0.1", "public_only": false });
    let by_operator = town.ask_with(operator, "PATCH", &one, Some(inward), &acme).await;

    assert_eq!(sealed.status, 200, "{sealed:?}");
    let in_files = sealed.json()["in_files"].as_str().unwrap().to_owned();
    assert!(in_files.contains("`credential: { stored: true }`"), "{in_files}");
    assert_eq!(read.json()["credential"], json!({ "stored": true }));
    assert!(!read.body.contains("canary"));
    assert_eq!((stolen.status, honest.status, by_operator.status), (422, 200, 200), "{stolen:?}");
    let every = ActFilter::default();
    let rows = town.store.acts(&town.acme.org, &every, Order::Oldest, None, 100).await.unwrap();
    assert!(rows.iter().any(|row| row.body.contains("provider.credential_replaced")));
    assert!(rows.iter().all(|row| !row.body.contains("canary")));
}

#[tokio::test]
async fn a_change_and_its_row_of_the_audit_log_are_one() {
    let town = Town::new().await;
    let (org, admin) = (town.acme.org, &town.acme.keys["admin"]);
    let body = json!({ "name": "p2", "cost_centre": "CC-1" });
    let why = [("x-penstock-reason", "new team")];

    let made = town.ask_with(admin, "POST", "/admin/v1/projects", Some(body), &why).await;
    let path = format!("/admin/v1/projects/{}", made.json()["id"].as_str().unwrap());
    let patch = json!({ "name": "p3", "cost_centre": null });
    let changed = town.ask(admin, "PATCH", &path, Some(patch)).await;
    let gone = town.ask(admin, "DELETE", &path, None).await;

    assert_eq!((made.status, changed.status, gone.status), (201, 200, 204), "{changed:?}");
    let rows =
        town.store.acts(&org, &ActFilter::default(), Order::Oldest, None, 100).await.unwrap();
    let acts: Vec<_> = rows.iter().map(|row| row.act().unwrap()).collect();
    let actions: Vec<&str> = acts.iter().map(|act| act.action.as_str()).collect();
    assert_eq!(actions, ["project.created", "project.updated", "project.deleted"]);
    assert_eq!(acts[0].reason.as_deref(), Some("new team"));
    assert_eq!(acts[1].before.as_ref().unwrap()["cost_centre"], "CC-1");
    assert_eq!(acts[1].after.as_ref().unwrap()["name"], "p3");
    assert!(acts.iter().all(|act| act.actor.name == "acme-admin-key" && act.revision.is_some()));
    assert!(acts.iter().all(|act| act.address.as_deref() == Some("127.0.0.1")));
}

#[tokio::test]
async fn if_match_and_idempotency_key_do_what_they_promise() {
    let town = Town::new().await;
    let admin = &town.acme.keys["admin"];
    let once = [("idempotency-key", "k-1")];

    let first = town.ask_with(admin, "POST", "/admin/v1/users", Some(json!({"name": "u1"})), &once);
    let first = first.await;
    let again = town.ask_with(admin, "POST", "/admin/v1/users", Some(json!({"name": "u1"})), &once);
    let again = again.await;
    let other = town.ask_with(admin, "POST", "/admin/v1/users", Some(json!({"name": "u2"})), &once);
    let other = other.await;
    let globex = &town.globex.keys["admin"];
    let elsewhere =
        town.ask_with(globex, "POST", "/admin/v1/users", Some(json!({"name": "u1"})), &once).await;

    assert_eq!((first.status, again.status, elsewhere.status), (201, 201, 201));
    assert_eq!(first.json()["id"], again.json()["id"]);
    assert_ne!(first.json()["id"], elsewhere.json()["id"]);
    assert_eq!(
        (other.status, other.json()["code"].clone()),
        (422, json!("idempotency_key_reused"))
    );
    let path = format!("/admin/v1/users/{}", first.json()["id"].as_str().unwrap());
    let tag = first.etag.unwrap();
    let patch = || Some(json!({ "email": "u@x.example" }));
    let good = town.ask_with(admin, "PATCH", &path, patch(), &[("if-match", &tag)]).await;
    let stale = town.ask_with(admin, "PATCH", &path, patch(), &[("if-match", &tag)]).await;
    assert_eq!((good.status, stale.status), (200, 412));
}

#[tokio::test]
async fn bad_input_changes_nothing_and_is_told_by_field() {
    let town = Town::new().await;
    let admin = &town.acme.keys["owner"];
    let before = town.revisions().await;
    for (path, body, status, field) in [
        ("/admin/v1/projects", json!({}), 422, "name"),
        ("/admin/v1/projects", json!({ "name": "x", "colour": "red" }), 422, "colour"),
        ("/admin/v1/projects", json!({ "name": "x", "org": "globex" }), 422, "org"),
        ("/admin/v1/projects", json!({ "name": "x", "unit": "nope" }), 422, "unit"),
        ("/admin/v1/projects", json!({ "name": "x", "locked": true }), 422, "locked"),
        ("/admin/v1/keys", json!({ "name": "x", "sha256": "00" }), 422, "sha256"),
        ("/admin/v1/users", json!({ "name": "x", "roles": ["operator"] }), 403, ""),
        ("/admin/v1/users", json!({ "name": "x", "roles": ["viewer"] }), 422, "roles"),
        ("/admin/v1/users", json!({ "name": "acme-owner" }), 409, ""),
        ("/admin/v1/users", json!([]), 400, ""),
        (
            "/admin/v1/limits",
            json!({ "name": "l", "on": "org", "requests_per_day": 0 }),
            422,
            "requests_per_day",
        ),
        (
            "/admin/v1/identity_providers",
            json!({
                "name": "i", "issuer": "http://169.254.169.254", "client_id": "x",
            }),
            422,
            "issuer",
        ),
        (
            "/admin/v1/identity_providers",
            json!({
                "name": "i", "issuer": "https://x.example", "client_id": "x", "algorithms": ["HS256"],
            }),
            422,
            "algorithms",
        ),
    ] {
        let told = town.ask(admin, "POST", path, Some(body.clone())).await;

        assert_eq!(told.status, status, "{path} {body}: {told:?}");
        let json = told.json();
        let mut fields = json["errors"].as_array().into_iter().flatten().map(|it| &it["field"]);
        let field = format!("/{field}");
        assert!(field == "/" || fields.any(|it| *it == field), "{path}: {told:?}");
    }
    assert_eq!(town.revisions().await, before);
    let used = town.ask(admin, "GET", "/admin/v1/units", None).await.json();
    let unit = format!("/admin/v1/units/{}", used["data"][0]["id"].as_str().unwrap());
    let told = town.ask(admin, "DELETE", &unit, None).await;
    assert_eq!((told.status, told.json()["code"].clone()), (409, json!("in_use")), "{told:?}");
}

#[tokio::test]
async fn whoever_is_bound_asks_for_more_and_whoever_may_decides() {
    let town = Town::new().await;
    let keys = &town.acme.keys;
    let path = "/admin/v1/limit_requests";
    let wish = |budget: &str, wanted: Value| {
        Some(json!({ "budget": budget, "wanted": wanted, "reason": "a launch" }))
    };

    let asked =
        town.ask(&keys["developer"], "POST", path, wish("search-month", json!({"limit": "250"})));
    let asked = asked.await;
    let odd =
        town.ask(&keys["developer"], "POST", path, wish("search-month", json!({"on": "org"})));
    let odd = odd.await;
    let nowhere = town.ask(&keys["developer"], "POST", path, wish("nope", json!({"limit": "1"})));
    let nowhere = nowhere.await;
    let one = format!("{path}/{}", asked.json()["id"].as_str().unwrap());
    let by_asker = town.ask(&keys["developer"], "POST", &format!("{one}/approve"), None).await;
    let others = town.ask(&keys["viewer"], "GET", path, None).await;
    let all = town.ask(&keys["billing"], "GET", path, None).await;
    let because = Some(json!({ "reason": "agreed with finance" }));
    let approved = town.ask(&keys["billing"], "POST", &format!("{one}/approve"), because).await;
    let again = town.ask(&keys["billing"], "POST", &format!("{one}/deny"), None).await;
    let budgets =
        town.ask(&keys["billing"], "GET", "/admin/v1/budgets?name=search-month", None).await;

    assert_eq!((asked.status, odd.status, nowhere.status), (201, 422, 422), "{asked:?}");
    assert!([403, 404].contains(&by_asker.status), "{by_asker:?}");
    assert_eq!(others.json()["data"], json!([]), "others' requests are not theirs to see");
    assert_eq!(all.json()["data"].as_array().unwrap().len(), 2);
    assert_eq!((approved.status, again.status), (200, 422), "{approved:?}");
    assert_eq!(approved.json()["state"], "approved");
    let decider = &approved.json()["decided_by"];
    assert!(decider["id"].as_str().unwrap().starts_with("user_"), "{decider}");
    assert_eq!(decider["name"], "acme-billing");
    assert_eq!(approved.json()["decided_reason"], "agreed with finance");
    assert_eq!(budgets.json()["data"][0]["limit"], "250");
}

#[tokio::test]
async fn what_holds_in_the_end_is_told_with_its_source() {
    let town = Town::new().await;
    let developer = &town.acme.keys["developer"];

    let mine = town.ask(developer, "GET", "/admin/v1/me/effective", None).await;

    let told = mine.json();
    assert_eq!(mine.status, 200, "{mine:?}");
    let sources = told["rights"]["sources"].as_array().unwrap();
    let role = |it: &Value| it["role"] == "developer" && it["project"] == "search";
    assert!(sources.iter().any(role), "{told}");
    let access = &told["access"][0];
    assert_eq!(access["project"]["name"], "search");
    assert_eq!(access["limits"][0]["limit"]["requests_per_minute"], 60);
    assert_eq!(access["budgets"][0]["budget"]["limit"], "200");
    assert_eq!(access["budgets"][0]["source"], "your project");
    assert_eq!(access["models"], json!(["large"]));
}
