//! The links that the command line makes for somebody who has no password, or has lost it.

use super::*;
use crate::service::setup_link::{NoLink, make};
use store::audit::{Act, Actor, ActorKind, Outcome};

const NEW: &str = "a new and longer password";

fn act() -> Act {
    let actor = Actor { kind: ActorKind::Operator, id: String::new(), name: "test".to_owned() };
    Act {
        at: store::clock::now(),
        actor,
        address: None,
        action: String::new(),
        outcome: Outcome::Done,
        target: None,
        before: None,
        after: None,
        reason: None,
        request: None,
        via: "system".to_owned(),
        revision: None,
    }
}

async fn link(desk: &Desk, org: OrgId, user: &str) -> Result<String, NoLink> {
    let settings = desk.store.settings(&org).await.unwrap().unwrap();
    let url = PublicUrl::parse("http://127.0.0.1:8081").unwrap();
    let link = make(desk.store.as_ref(), &url, &settings, user, act()).await?;
    Ok(link.strip_prefix("http://127.0.0.1:8081/setup?token=").unwrap().to_owned())
}

#[tokio::test]
async fn a_link_sets_a_password_once_and_ends_what_was_open_before() {
    let desk = Desk::set_up().await;
    let acme = desk.org("acme").await;
    desk.lock(acme, desk.ada(acme).await).await;
    let old = desk.enter(Some("acme")).await;
    let token = link(&desk, acme, "ada@x.example").await.unwrap();
    let spare = link(&desk, acme, "ada@x.example").await.unwrap();
    let at = format!("/setup?token={token}");
    let body = |token: &str, password: &str| json!({ "token": token, "password": password });

    let page = desk.send("GET", &at, &[], "").await;
    let short = format!("token={token}&password=short");
    let weak = desk.send("POST", "/setup", &[FORM], short).await;
    let good = desk.post("/setup", body(&token, NEW)).await;
    let again = desk.post("/setup", body(&token, NEW)).await;
    let other = desk.post("/setup", body(&spare, "yet another password")).await;
    let gone = desk.send("GET", &at, &[], "").await;

    let statuses = [&page, &weak, &good, &again, &other, &gone].map(|told| told.status);
    assert_eq!(statuses, [200, 422, 200, 401, 401, 404]);
    assert!(page.body.contains("ada@x.example") && !page.body.contains("name=\"email\""));
    assert_eq!(desk.with(&old, "GET", "/admin/v1/me", Value::Null).await.status, 401);
    let session = good.session();
    assert_eq!(desk.with(&session, "GET", "/admin/v1/me", Value::Null).await.status, 200);
    assert_eq!(desk.log_in(Some("acme"), "ada@x.example", NEW).await.status, 200);
    assert_eq!(desk.log_in(Some("acme"), "ada@x.example", PASSWORD).await.status, 401);
    // The operator of the same address is another account.
    assert_eq!(desk.log_in(None, "ada@x.example", PASSWORD).await.status, 200);
    let log = desk.log(acme).await;
    let count = |word: &str| log.iter().filter(|(action, _)| action == word).count();
    assert_eq!((count("user.setup_link_made"), count("user.password_changed")), (2, 1), "{log:?}");
}

#[tokio::test]
async fn nobody_gets_a_link_whom_a_password_would_not_let_in() {
    let desk = Desk::set_up().await;
    let acme = desk.org("acme").await;
    let user = |name: &str, more: Value| {
        let mut user = json!({ "kind": "User", "org": "acme", "name": name });
        user.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let id = [name.as_bytes()[0]; 16];
        policies::document::Object { id, document: serde_json::from_value(user).unwrap() }
    };
    let put = vec![
        user("bare", json!({})),
        user("sleeper", json!({ "email": "s@x.example", "active": false })),
        user("twin", json!({ "email": "ADA@x.example" })),
    ];
    let from = desk.store.settings(&acme).await.unwrap().unwrap().revision;
    let change = Change { org: acme, from, put, remove: Vec::new(), acts: Vec::new() };
    desk.store.commit(vec![change]).await.unwrap();

    let told = [
        link(&desk, acme, "nobody").await,
        link(&desk, acme, "bare").await,
        link(&desk, acme, "sleeper").await,
        link(&desk, acme, "twin").await,
    ];

    let [
        Err(NoLink::NoUser { .. }),
        Err(NoLink::NoEmail(_)),
        Err(NoLink::Inactive(_)),
        Err(NoLink::SameEmail { .. }),
    ] = told
    else {
        panic!("{told:?}")
    };
    assert!(desk.log(acme).await.iter().all(|(action, _)| action != "user.setup_link_made"));
}
