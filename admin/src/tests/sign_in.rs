//! Setting up, and signing in with a password.

mod pages;
mod sessions;
mod setup_link;
mod strangers;

use super::town::Ready;
use crate::{
    api::setup,
    gate,
    service::{
        admin_key::{self, For},
        apply::fingerprint,
        sign_in::public_url::PublicUrl,
    },
    services::Services,
};
use axum::{
    body::Body,
    http::{HeaderMap, Request},
};
use policies::{
    authority::INSTALLATION,
    document::Document,
    ids::{OrgId, UserId},
};
use serde_json::{Value, json};
use std::{net::IpAddr, sync::Arc};
use store::{
    Change, Directory, Registry,
    audit::{ActFilter, AuditLog, Order},
    clock,
    model::Model,
    session::{Session, Sessions},
};

const PASSWORD: &str = "correct horse battery";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

struct Told {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Told {
    /// The session's cookie, as a browser would send it back.
    fn session(&self) -> String {
        let lines = self.headers.get_all("set-cookie").iter();
        let found = lines.filter_map(|line| line.to_str().ok()?.split(';').next());
        found.filter(|pair| pair.starts_with("penstock=")).collect()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

struct Desk {
    store: Arc<Model>,
    services: Arc<Services>,
}

impl Desk {
    fn new() -> Self {
        let store = Arc::new(Model::default());
        let services = Services::new(Arc::clone(&store) as Arc<_>, Arc::new(Ready));
        Self { store, services: Arc::new(services) }
    }

    /// An installation with the operator and owner of `acme`, `ada@x.example`.
    async fn set_up() -> Self {
        let desk = Self::new();
        let told = desk.post("/setup", setup_body(&desk.token().await)).await;
        assert_eq!(told.status, 200, "{}", told.body);
        desk
    }

    /// Locks a user, as a file does.
    async fn lock(&self, org: OrgId, user: UserId) {
        let settings = self.store.settings(&org).await.unwrap().unwrap();
        let objects = settings.objects.into_iter();
        let mut found = objects.filter(|it| it.id == *user.as_bytes()).collect::<Vec<_>>();
        for object in &mut found {
            if let Document::User(user) = &mut object.document {
                user.locked = true;
            }
        }
        let from = settings.revision;
        let change = Change { org, from, put: found, remove: Vec::new(), acts: Vec::new() };
        self.store.commit(vec![change]).await.unwrap();
    }

    async fn token(&self) -> String {
        let url = PublicUrl::parse("http://127.0.0.1:8081").unwrap();
        let link = setup::link(self.store.as_ref(), &url).await.unwrap().unwrap();
        link.strip_prefix("http://127.0.0.1:8081/setup?token=").unwrap().to_owned()
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Told {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).unwrap();
        let answer = gate::serve(&self.services, IpAddr::from([127, 0, 0, 1]), request).await;
        let (head, body) = answer.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Told { status: head.status.as_u16(), headers: head.headers, body }
    }

    async fn post(&self, path: &str, body: Value) -> Told {
        self.send("POST", path, &[], body.to_string()).await
    }

    async fn log_in(&self, org: Option<&str>, email: &str, password: &str) -> Told {
        let body = json!({ "org": org, "email": email, "password": password });
        self.post("/login/local", body).await
    }

    /// The same with a good password.
    async fn enter(&self, org: Option<&str>) -> String {
        let told = self.log_in(org, "ada@x.example", PASSWORD).await;
        assert_eq!(told.status, 200, "{}", told.body);
        told.session()
    }

    /// With a session's cookie, as a page of ours sends it.
    async fn with(&self, session: &str, method: &str, path: &str, body: Value) -> Told {
        let headers = [("cookie", session), ("sec-fetch-site", "same-origin")];
        self.send(method, path, &headers, body.to_string()).await
    }

    async fn org(&self, name: &str) -> OrgId {
        for (org, _) in self.store.revisions().await.unwrap() {
            let settings = self.store.settings(&org).await.unwrap().unwrap();
            if crate::service::orgs::name(&settings) == name {
                return org;
            }
        }
        panic!("no org `{name}`")
    }

    async fn ada(&self, org: OrgId) -> UserId {
        let settings = self.store.settings(&org).await.unwrap().unwrap();
        let user = settings.objects.iter().find(|it| matches!(&it.document, Document::User(_)));
        UserId::from_bytes(user.unwrap().id)
    }

    /// Action and reason of each row of the org's audit log.
    async fn log(&self, org: OrgId) -> Vec<(String, String)> {
        let all = ActFilter::default();
        let rows = self.store.acts(&org, &all, Order::Oldest, None, 100).await.unwrap();
        let acts = rows.iter().map(|row| row.act().unwrap());
        acts.map(|act| (act.action, act.reason.unwrap_or_default())).collect()
    }
}

fn setup_body(token: &str) -> Value {
    json!({ "token": token, "email": "ada@x.example", "password": PASSWORD, "org": "acme" })
}

#[tokio::test]
async fn the_setup_link_makes_one_operator_once() {
    let desk = Desk::new();
    let (token, spare) = (desk.token().await, desk.token().await);
    let mut weak = setup_body(&token);
    weak["password"] = json!("short");

    let weak = desk.post("/setup", weak).await;
    let wrong = desk.post("/setup", setup_body("wrong")).await;
    let good = desk.post("/setup", setup_body(&token)).await;
    let again = desk.post("/setup", setup_body(&token)).await;
    let spare = desk.post("/setup", setup_body(&spare)).await;

    let statuses = [&weak, &wrong, &good, &again, &spare].map(|told| told.status);
    assert_eq!(statuses, [422, 401, 200, 401, 401]);
    let url = PublicUrl::parse("http://127.0.0.1:8081").unwrap();
    assert_eq!(setup::link(desk.store.as_ref(), &url).await, Ok(None));
    let me = desk.with(&good.session(), "GET", "/admin/v1/me", Value::Null).await.json();
    assert_eq!(
        (me["org"]["name"].clone(), me["name"].clone()),
        (json!("penstock"), json!("ada@x.example"))
    );
    let permissions = me["permissions"]["org"].to_string();
    assert!(permissions.contains("installation.operate"), "{permissions}");
    let owner = desk.enter(Some("acme")).await;
    let me = desk.with(&owner, "GET", "/admin/v1/me", Value::Null).await.json();
    assert!(me["permissions"]["org"].to_string().contains("org.own"), "{me}");
}

#[tokio::test]
async fn whoever_has_a_key_of_the_installation_needs_no_link() {
    let desk = Desk::new();
    admin_key::make(desk.store.as_ref(), For::Operator, "first").await.unwrap();

    let url = PublicUrl::parse("http://127.0.0.1:8081").unwrap();

    assert_eq!(setup::link(desk.store.as_ref(), &url).await, Ok(None));
}

#[tokio::test]
async fn all_who_cannot_sign_in_are_told_the_same_and_the_log_says_why() {
    let desk = Desk::set_up().await;
    let acme = desk.org("acme").await;

    let wrong = desk.log_in(Some("acme"), "ada@x.example", "wrong").await;
    let nobody = desk.log_in(Some("acme"), "eve@x.example", PASSWORD).await;
    let nowhere = desk.log_in(Some("globex"), "ada@x.example", PASSWORD).await;
    let owner = desk.enter(Some("acme")).await;
    let off = json!({ "local_login": false });
    let off = desk.with(&owner, "PATCH", "/admin/v1/org", off).await;
    let closed = desk.log_in(Some("acme"), "ada@x.example", PASSWORD).await;

    assert_eq!(off.status, 200, "{}", off.body);
    for told in [&wrong, &nobody, &nowhere, &closed] {
        assert_eq!((told.status, told.body.as_str()), (401, wrong.body.as_str()));
        assert!(told.session().is_empty());
    }
    let log = desk.log(acme).await;
    let reasons: Vec<&str> =
        log.iter().filter(|row| row.0 == "login.failed").map(|row| row.1.as_str()).collect();
    let expected =
        ["the password is wrong", "there is no such user with a password", "local sign-in is off"];
    assert_eq!(reasons, expected);
    let elsewhere = desk.log(INSTALLATION).await;
    let nowhere = ("login.failed".to_owned(), "there is no such org".to_owned());
    assert!(elsewhere.contains(&nowhere), "{elsewhere:?}");
}

#[tokio::test]
async fn whoever_fails_again_and_again_has_to_wait() {
    let desk = Desk::set_up().await;
    for _ in 0..5 {
        assert_eq!(desk.log_in(Some("acme"), "ada@x.example", "wrong").await.status, 401);
    }

    let good = desk.log_in(Some("acme"), "ADA@x.example", PASSWORD).await;
    let other = desk.log_in(None, "ada@x.example", PASSWORD).await;

    assert_eq!((good.status, good.json()["code"].clone()), (429, json!("rate_limited")));
    assert!(good.headers.contains_key("retry-after"));
    assert_eq!(other.status, 200, "another account is not slowed down: {}", other.body);
}

#[tokio::test]
async fn a_page_of_another_site_can_do_nothing() {
    let desk = Desk::set_up().await;
    let session = desk.enter(Some("acme")).await;
    let body = json!({ "name": "evil", "email": "ada@x.example", "password": PASSWORD });
    for path in ["/logout", "/login/local", "/setup", "/admin/v1/users", "/admin/v1/me/password"] {
        for sign in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("origin", "https://evil.example"),
            ("origin", "null"),
        ] {
            let headers = [("cookie", session.as_str()), ("host", "127.0.0.1:8081"), sign];
            let told = desk.send("POST", path, &headers, body.to_string()).await;

            assert_eq!(told.status, 403, "{path} {sign:?}: {}", told.body);
            assert_eq!(told.json()["code"], "cross_site", "{path} {sign:?}");
        }
    }
    let bare = [("cookie", session.as_str())];
    let told = desk.send("POST", "/admin/v1/users", &bare, body.to_string()).await;
    assert_eq!(told.status, 403, "a cookie without a word of where it comes from");
    assert!(told.body.contains("`Origin`"), "{}", told.body);
    let me = desk.with(&session, "GET", "/admin/v1/me", Value::Null).await;
    assert_eq!(me.status, 200, "nobody was signed out");
}

#[tokio::test]
async fn a_new_password_ends_every_other_session() {
    let desk = Desk::set_up().await;
    let (one, other) = (desk.enter(Some("acme")).await, desk.enter(Some("acme")).await);
    let new = "another horse battery";
    let change = |old: &str, new: &str| json!({ "old": old, "new": new });
    let path = "/admin/v1/me/password";

    let wrong = desk.with(&one, "POST", path, change("nonsense", new)).await;
    let weak = desk.with(&one, "POST", path, change(PASSWORD, "short")).await;
    let good = desk.with(&one, "POST", path, change(PASSWORD, new)).await;

    assert_eq!((wrong.status, weak.status, good.status), (422, 422, 204), "{}", good.body);
    assert_eq!(desk.with(&other, "GET", "/admin/v1/me", Value::Null).await.status, 401);
    assert_eq!(desk.with(&one, "GET", "/admin/v1/me", Value::Null).await.status, 401);
    assert_eq!(desk.with(&good.session(), "GET", "/admin/v1/me", Value::Null).await.status, 200);
    assert_eq!(desk.log_in(Some("acme"), "ada@x.example", PASSWORD).await.status, 401);
    assert_eq!(desk.log_in(Some("acme"), "ada@x.example", new).await.status, 200);
    let log = format!("{:?}", desk.log(desk.org("acme").await).await);
    assert!(log.contains("user.password_changed") && !log.contains("argon2"), "{log}");
}
