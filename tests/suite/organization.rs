//! `/v1/organization/..`: what the admin clients of OpenAI's SDKs need, for the right people only.

mod ids;

use self::ids::Ids;
use crate::drop_in::sdk;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tests::{
    client::{self, Client},
    house::{House, Plan},
    json::At,
    process::Running,
    settings::Settings,
};

const MODEL: &str = "sim-economy-out12-delay0-gap0";

/// An org with an owner and somebody in each role that must not change anything.
fn org(name: &str, prefix: &str) -> Settings {
    let key = |user: &str| json!({ "owner": { "user": user } });
    let member = json!({ "who": { "user": "vic" }, "role": "viewer" });
    let of_project = json!({ "project": "main", "owner": { "service_account": "robot" } });
    Settings::of(name)
        .model("chat", &[MODEL])
        .model("other", &[MODEL])
        .model("embed", &["sim-embed"])
        .and("Project", "main", json!({ "members": [member] }))
        .and("User", "boss", json!({ "roles": ["owner"], "email": format!("boss@{name}.example") }))
        .and("User", "vic", json!({}))
        .and("User", "aud", json!({ "roles": ["auditor"] }))
        .and("Group", "team", json!({ "members": ["vic"] }))
        .and("ServiceAccount", "robot", json!({ "project": "main" }))
        .and("Key", &format!("{prefix}robot"), of_project)
        .and("AdminKey", &format!("{prefix}boss"), key("boss"))
        .and("AdminKey", &format!("{prefix}viewer"), key("vic"))
        .and("AdminKey", &format!("{prefix}auditor"), key("aud"))
}

async fn open(settings: Settings) -> House {
    Plan::new(settings).with("admin", "also_on_client_listener", "true").open().await
}

/// What came back.
#[derive(Debug, PartialEq)]
struct Told {
    status: StatusCode,
    body: Value,
}

async fn ask_at(
    base: &str,
    house: &House,
    key: &str,
    method: &str,
    path: &str,
    body: &str,
) -> Told {
    let bearer = format!("Bearer {}", house.key(key));
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let method: Method = method.parse().expect("a method");
    let url = format!("{base}/v1/{path}");
    let request = client::build(method, &url, &headers, body.to_owned().into());
    let answer = house.client.send(request).await;
    Told { status: answer.status, body: answer.json().await }
}

async fn ask(house: &House, key: &str, method: &str, path: &str, body: &Value) -> Told {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let path = format!("organization/{path}");
    ask_at(house.admin_url(), house, key, method, &path, &body).await
}

/// Everything that the owner of an org sees of it, but for what changes by itself.
async fn all(house: &House, boss: &str, project: &str) -> Vec<Value> {
    let lists = [
        "projects",
        "users",
        "groups",
        "invites",
        "admin_api_keys",
        "roles",
        "audit_logs?limit=100",
    ];
    let below = ["users", "groups", "service_accounts", "api_keys", "rate_limits"];
    let below = below.map(|it| format!("projects/{project}/{it}"));
    let mut found = Vec::new();
    for path in lists.map(str::to_owned).iter().chain(&below) {
        let told = ask(house, boss, "GET", path, &Value::Null).await;
        assert_eq!(told.status, 200, "{path}: {told:?}");
        let mut body = told.body;
        forget_uses(&mut body);
        found.push(body);
    }
    found
}

/// A key that is tried in vain was used all the same.
fn forget_uses(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.remove("last_used_at");
        fields.values_mut().for_each(forget_uses);
    } else if let Value::Array(items) = value {
        items.iter_mut().for_each(forget_uses);
    }
}

#[tokio::test]
async fn the_official_python_sdk_runs_a_project_from_its_making_to_its_end() {
    let house = open(org("acme", "")).await;

    let said = sdk(&house, &["tests/.venv/bin/python", "tests/clients/python/admin_life.py"]).await;

    println!("{said}");
}

#[tokio::test]
async fn the_official_javascript_sdk_runs_a_project_from_its_making_to_its_end() {
    let house = open(org("acme", "")).await;

    let said = sdk(&house, &["tests/.venv/bin/node", "tests/clients/node/admin_life.mjs"]).await;

    println!("{said}");
}

#[tokio::test]
async fn what_is_of_another_org_is_as_if_it_were_nowhere() {
    let house = House::open(org("acme", "").with(org("globex", "globex-"))).await;
    let (own, foreign) = (Ids::of(&house, "boss").await, Ids::of(&house, "globex-boss").await);
    let nowhere = Ids::nowhere();
    let before = all(&house, "globex-boss", &foreign.project).await;

    let reads = |ids: &Ids| {
        let reads = ids.reads(&own.project).into_iter();
        reads.map(|path| ("GET", path, Value::Null)).collect::<Vec<_>>()
    };
    let requests = |ids: &Ids| [ids.changes(&own.project), reads(ids)].concat();
    for (foreign, nowhere) in requests(&foreign).into_iter().zip(requests(&nowhere)) {
        let (method, path, body) = &foreign;
        let told = ask(&house, "boss", method, path, body).await;
        let nothing = ask(&house, "boss", method, &nowhere.1, body).await;

        assert_eq!(told, nothing, "{method} {path}");
        assert_eq!(told.status, 404, "{method} {path}: {told:?}");
        assert_eq!(told.body.text("error.code"), "not_found");
    }
    let added = json!({ "user_id": foreign.user, "role": "owner" });
    let path = format!("projects/{}/users", own.project);
    let told = ask(&house, "boss", "POST", &path, &added).await;
    assert_eq!((told.status, told.body.text("error.param")), (400.try_into().unwrap(), "user_id"));
    for query in [
        format!("audit_logs?resource_ids[]={}", foreign.project),
        format!("audit_logs?actor_ids[]={}", foreign.user),
        format!("users?emails[]=boss@globex.example&after={}", nowhere.user),
    ] {
        let told = ask(&house, "boss", "GET", &query, &Value::Null).await;
        assert_eq!(told.body.at("data"), &json!([]), "{query}");
    }

    assert_eq!(all(&house, "globex-boss", &foreign.project).await, before);
}

#[tokio::test]
async fn neither_a_viewer_nor_an_auditor_changes_anything() {
    let house = House::open(org("acme", "")).await;
    let ids = Ids::of(&house, "boss").await;
    let before = all(&house, "boss", &ids.project).await;

    let mut changes = ids.changes(&ids.project);
    for (path, body) in [
        ("admin_api_keys", json!({ "name": "mine" })),
        ("invites", json!({ "email": "eve@example.com", "role": "owner" })),
        ("groups", json!({ "name": "crew" })),
        ("roles", json!({ "role_name": "king", "permissions": ["org.write"] })),
        ("projects", json!({ "name": "mine" })),
    ] {
        changes.push(("POST", path.to_owned(), body));
    }
    for (method, path, body) in &changes {
        for key in ["viewer", "auditor"] {
            let told = ask(&house, key, method, path, body).await;

            let refused = [StatusCode::FORBIDDEN, StatusCode::NOT_FOUND].contains(&told.status);
            assert!(refused, "{key}: {method} {path}: {told:?}");
        }
    }
    let sees = async |key: &str, path: &str| ask(&house, key, "GET", path, &Value::Null).await;
    let members = format!("projects/{}/users", ids.project);
    let told = sees("viewer", &members).await;
    assert_eq!((told.status, told.body.at("data.0.email")), (StatusCode::OK, &Value::Null));
    assert_eq!(sees("viewer", "projects").await.body.list("data").len(), 1);
    for path in ["users", "audit_logs", "admin_api_keys"] {
        assert_eq!(sees("viewer", path).await.status, 403, "{path}");
        assert_eq!(sees("auditor", path).await.status, 200, "{path}");
    }

    assert_eq!(all(&house, "boss", &ids.project).await, before);
}

/// Bodies that do not hold: the path, the body, and the field that is told.
fn bad_bodies(ids: &Ids) -> Vec<(String, Value, &'static str)> {
    let project = format!("projects/{}", ids.project);
    let limit = format!("{project}/rate_limits/{}", ids.limit);
    let (models, key) = (format!("{project}/model_permissions"), format!("{project}/api_keys"));
    let (members, user) = (format!("{project}/users"), format!("users/{}", ids.user));
    let key = format!("{key}/{}", ids.key);
    let rows = [
        ("projects", json!({}), "name"),
        ("projects", json!({ "name": "" }), "name"),
        ("projects", json!({ "name": "x".repeat(129) }), "name"),
        ("projects", json!({ "name": 5 }), ""),
        ("projects", json!({ "name": "a", "owner": "me" }), ""),
        ("projects", json!({ "name": "a", "geography": "EU" }), "geography"),
        ("admin_api_keys", json!({ "name": "a", "expires_in_seconds": 0 }), "expires_in_seconds"),
        ("admin_api_keys", json!({ "name": "a", "role": "owner" }), ""),
        ("invites", json!({ "email": "nobody", "role": "reader" }), "email"),
        ("invites", json!({ "email": "a@b.example", "role": "king" }), "role"),
        ("roles", json!({ "role_name": "a", "permissions": ["fly"] }), "permissions"),
        (user.as_str(), json!({ "role": "operator" }), "role"),
        (user.as_str(), json!({ "technical_level": "low" }), "technical_level"),
        (members.as_str(), json!({ "role": "owner" }), "user_id"),
        (members.as_str(), json!({ "role": "owner", "user_id": "ada" }), "user_id"),
        (members.as_str(), json!({ "role": "admin", "email": "ada@example.com" }), "role"),
        (models.as_str(), json!({ "mode": "allow_list", "model_ids": [] }), "model_ids"),
        (models.as_str(), json!({ "mode": "deny_list", "model_ids": ["gone"] }), "model_ids"),
        (models.as_str(), json!({ "mode": "some", "model_ids": ["chat"] }), ""),
        (limit.as_str(), json!({ "max_requests_per_1_minute": 0 }), "max_requests_per_1_minute"),
        (limit.as_str(), json!({ "max_requests_per_1_minute": 1.5 }), ""),
        (
            limit.as_str(),
            json!({ "batch_1_day_max_input_tokens": 1 }),
            "batch_1_day_max_input_tokens",
        ),
        (key.as_str(), json!({}), "scopes"),
        (key.as_str(), json!({ "scopes": ["api.files.read"] }), "scopes"),
        (key.as_str(), json!({ "expires_in_seconds": -1 }), "expires_in_seconds"),
    ];
    rows.map(|(path, body, param)| (path.to_owned(), body, param)).to_vec()
}

/// Queries that do not hold, and the parameter that is told.
const BAD_QUERIES: [(&str, &str); 15] = [
    ("projects?limit=0", "limit"),
    ("projects?limit=101", "limit"),
    ("projects?include_archived=maybe", "include_archived"),
    ("groups?order=up", "order"),
    ("audit_logs?after=5", "after"),
    ("audit_logs?effective_at[gt]=today", "effective_at[gt]"),
    ("usage/completions", "start_time"),
    ("usage/completions?start_time=now", "start_time"),
    ("usage/completions?start_time=100&end_time=100", "end_time"),
    ("usage/completions?start_time=0&bucket_width=1w", "bucket_width"),
    ("usage/completions?start_time=0&limit=32", "limit"),
    ("usage/completions?start_time=0&page=page_1", "page"),
    ("usage/completions?start_time=0&group_by=line_item", "group_by"),
    ("usage/embeddings?start_time=0&group_by[]=batch", "group_by"),
    ("costs?start_time=0&bucket_width=1h", "bucket_width"),
];

#[tokio::test]
async fn bad_input_is_told_by_field_and_changes_nothing() {
    let house = House::open(org("acme", "")).await;
    let ids = Ids::of(&house, "boss").await;
    let before = all(&house, "boss", &ids.project).await;
    let user = format!("users/{}", ids.user);

    for (path, body, param) in bad_bodies(&ids) {
        let told = ask(&house, "boss", "POST", &path, &body).await;

        assert_eq!(told.status, 400, "{path} {body}: {told:?}");
        assert_eq!(told.body.text("error.type"), "invalid_request_error");
        assert_eq!(told.body.text("error.code"), "invalid", "{path} {body}: {told:?}");
        assert_eq!(told.body.text("error.param"), param, "{path} {body}: {told:?}");
    }
    for (query, param) in BAD_QUERIES {
        let told = ask(&house, "boss", "GET", query, &Value::Null).await;

        assert_eq!((told.status, told.body.text("error.param")), (400.try_into().unwrap(), param));
    }
    let url = house.admin_url();
    let told = ask_at(url, &house, "boss", "POST", "organization/projects", "{\"name\":").await;
    assert_eq!((told.status.as_u16(), told.body.text("error.code")), (400, "malformed_request"));
    let told = ask(&house, "boss", "PATCH", &user, &json!({})).await;
    assert_eq!((told.status.as_u16(), told.body.text("error.code")), (405, "wrong_method"));

    assert_eq!(all(&house, "boss", &ids.project).await, before);
}

#[tokio::test]
async fn the_client_listener_serves_it_only_where_that_is_set() {
    let (open, closed) = (open(org("acme", "")).await, House::open(org("acme", "")).await);
    let path = "organization/projects";

    let at_client = ask_at(open.url(), &open, "boss", "GET", path, "").await;
    let at_admin = ask_at(open.admin_url(), &open, "boss", "GET", path, "").await;
    let not_served = ask_at(closed.url(), &closed, "boss", "GET", path, "").await;
    let by_caller = ask_at(open.url(), &open, "robot", "GET", path, "").await;
    let unsupported = ask_at(open.url(), &open, "boss", "GET", "projects/x/roles", "").await;

    assert_eq!(at_client.status, 200, "{at_client:?}");
    assert_eq!(at_client, at_admin);
    assert_eq!(not_served.status, 404, "{not_served:?}");
    assert_eq!(by_caller.body.text("error.code"), "unauthenticated");
    assert_eq!(unsupported.body.text("error.code"), "unsupported");
    let others = ask_at(open.url(), &open, "boss", "GET", "../admin/v1/projects", "").await;
    assert_eq!(others.status, 404, "only the Administration API is on the client listener");
}

#[tokio::test]
async fn nobody_gives_more_than_they_have_by_these_routes_either() {
    let admin = json!({ "roles": ["admin"] });
    let narrow = json!({ "owner": { "user": "boss" }, "roles": ["admin"] });
    let settings = org("acme", "")
        .and("User", "adm", admin)
        .and("AdminKey", "admin", json!({ "owner": { "user": "adm" } }))
        .and("AdminKey", "narrow", narrow);
    let house = House::open(settings).await;
    let ids = Ids::of(&house, "boss").await;
    let users = ask(&house, "boss", "GET", "users", &Value::Null).await.body;
    let boss = users.list("data").iter().find(|it| it.text("name") == "boss").unwrap().text("id");

    for key in ["admin", "narrow"] {
        for (method, path, body) in [
            ("POST", format!("users/{}", ids.user), json!({ "role": "owner" })),
            ("POST", format!("groups/{}/roles", ids.group), json!({ "role_id": "owner" })),
            ("POST", "invites".to_owned(), json!({ "email": "a@b.example", "role": "owner" })),
            ("DELETE", format!("users/{boss}"), Value::Null),
            ("DELETE", format!("admin_api_keys/{}", ids.admin_key), Value::Null),
        ] {
            let told = ask(&house, key, method, &path, &body).await;
            assert_eq!(told.body.text("error.code"), "escalation", "{key} {path}: {told:?}");
            assert_eq!(told.status, 403);
        }
    }
    let child = ask(&house, "narrow", "POST", "admin_api_keys", &json!({ "name": "child" })).await;
    assert_eq!(child.status, 200, "{child:?}");
    assert_eq!(child.body.text("owner.name"), "boss");
    let bearer = format!("Bearer {}", child.body.text("value"));
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let url = format!("{}/v1/organization/users/{}", house.admin_url(), ids.user);
    let body = json!({ "role": "owner" }).to_string().into();
    let request = client::build(Method::POST, &url, &headers, body);
    assert_eq!(house.client.send(request).await.status, 403, "a child is no more than its maker");
    let last = ask(&house, "boss", "DELETE", &format!("users/{boss}"), &Value::Null).await;
    assert_eq!(last.status, 400, "the last owner stays: {last:?}");
}

#[tokio::test]
async fn the_demo_has_calls_and_administration_at_one_address() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["demo", "--dir", "data", "--listen", "127.0.0.1:0"];
    let mut demo = Running::start(folder.path(), "demo", &args);
    let url = demo.said("  curl ").await.replace("chat/completions \\", "organization/projects");

    let answer = Client::default().get(&url).await;

    assert_eq!(answer.status, 401);
    assert_eq!(answer.json().await.text("error.code"), "unauthenticated");
}
