//! What people do who are nobody here: it costs little, is written down nowhere, and soon waits.

use super::*;
use crate::service::apply::secret_of;
use policies::key::admin_key_text;

/// Tries of one address before it waits.
const FREE: usize = 20;

#[tokio::test]
async fn a_callback_for_no_sign_in_fills_no_audit_log_and_soon_waits() {
    let desk = Desk::set_up().await;
    let before = desk.log(INSTALLATION).await;
    let provider = format!("idp_{}", "1".repeat(32));

    for number in 0..FREE {
        let path = format!("/login/callback/{provider}?state={number}&code=x");
        assert_eq!(desk.send("GET", &path, &[], "").await.status, 401, "{number}");
    }
    let path = format!("/login/callback/{provider}?state=x&code=x");
    let waits = desk.send("GET", &path, &[], "").await;

    assert_eq!(waits.status, 429, "{}", waits.body);
    assert!(waits.headers.contains_key("retry-after"));
    assert_eq!(desk.log(INSTALLATION).await, before);
}

#[tokio::test]
async fn sign_ins_at_providers_that_are_not_there_soon_wait() {
    let desk = Desk::set_up().await;

    let mut statuses = Vec::new();
    for number in 0..=FREE {
        let path = format!("/login/oidc/acme/{number}");
        statuses.push(desk.send("GET", &path, &[], "").await.status);
    }

    assert_eq!(statuses.pop(), Some(429));
    assert!(statuses.iter().all(|status| *status == 401), "{statuses:?}");
}

#[tokio::test]
async fn keys_that_are_none_are_soon_not_looked_up() {
    let desk = Desk::set_up().await;
    let (key, _) = secret_of(admin_key_text).unwrap();
    let bearer = format!("Bearer {key}");

    let mut statuses = Vec::new();
    for _ in 0..200 {
        let headers = [("authorization", bearer.as_str())];
        statuses.push(desk.send("GET", "/admin/v1/me", &headers, "").await.status);
    }

    assert_eq!(statuses.first(), Some(&401));
    assert_eq!(statuses.last(), Some(&429));
    assert_eq!(desk.send("GET", "/admin/v1/me", &[], "").await.status, 401, "nothing was shown");
}

#[tokio::test]
async fn sessions_of_passwords_end_when_passwords_open_none() {
    let desk = Desk::set_up().await;
    let (owner, other) = (desk.enter(Some("acme")).await, desk.enter(Some("acme")).await);
    let operator = desk.enter(None).await;

    let off = json!({ "local_login": false });
    let off = desk.with(&owner, "PATCH", "/admin/v1/org", off).await;

    assert_eq!(off.status, 200, "{}", off.body);
    for session in [&owner, &other] {
        assert_eq!(desk.with(session, "GET", "/admin/v1/me", Value::Null).await.status, 401);
    }
    let me = desk.with(&operator, "GET", "/admin/v1/me", Value::Null).await;
    assert_eq!(me.status, 200, "another org's are its own: {}", me.body);
}

#[tokio::test]
async fn a_session_that_says_a_provider_opened_it_and_not_which_is_none() {
    let desk = Desk::set_up().await;
    let (org, now) = (desk.org("acme").await, clock::now());
    let session = Session {
        org,
        user: desk.ada(org).await,
        created: now,
        seen: now,
        expires: now.plus_millis(60_000),
        address: None,
        how: "oidc:company".to_owned(),
        vouched: None,
        id_token_hint: None,
    };
    desk.store.open_session(&fingerprint("old"), &session).await.unwrap();

    let told = desk.with("penstock=old", "GET", "/admin/v1/me", Value::Null).await;

    assert_eq!(told.status, 401);
    assert!(desk.store.sessions_of(&org, &session.user).await.unwrap().is_empty());
}
