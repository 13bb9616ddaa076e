//! Sessions and their ends.

use super::*;

#[tokio::test]
async fn a_session_ends_by_itself_by_its_owner_and_by_others() {
    let desk = Desk::set_up().await;
    let (org, now) = (desk.org("acme").await, clock::now());
    let user = desk.ada(org).await;
    let session = |seen, expires| Session {
        org,
        user,
        created: now,
        seen,
        expires,
        address: None,
        how: "local".to_owned(),
        vouched: None,
        id_token_hint: None,
    };
    let hour = 60 * 60 * 1000;
    for (token, session, status) in [
        ("good", session(now, now.plus_millis(hour)), 200),
        ("over", session(now, now), 401),
        ("idle", session(now.plus_millis(-hour / 2), now.plus_millis(hour)), 401),
        ("busy", session(now.plus_millis(-hour / 2 + 5_000), now.plus_millis(hour)), 200),
    ] {
        desk.store.open_session(&fingerprint(token), &session).await.unwrap();
        let cookie = format!("penstock={token}");
        let told = desk.with(&cookie, "GET", "/admin/v1/me", Value::Null).await;
        assert_eq!(told.status, status, "{token}");
    }

    let mine = desk.enter(Some("acme")).await;
    let list = desk.with(&mine, "GET", "/admin/v1/sessions", Value::Null).await.json();
    assert_eq!(list["data"].as_array().unwrap().len(), 3, "{list}");
    let gone = desk.with(&mine, "DELETE", "/admin/v1/sessions", Value::Null).await;
    assert_eq!(gone.status, 204);
    assert_eq!(desk.with(&mine, "GET", "/admin/v1/me", Value::Null).await.status, 401);
    assert!(desk.store.sessions_of(&org, &user).await.unwrap().is_empty());
}

#[tokio::test]
async fn one_session_ends_alone_by_its_owner_or_by_whoever_may() {
    let desk = Desk::set_up().await;
    let (mine, phone) = (desk.enter(Some("acme")).await, desk.enter(Some("acme")).await);
    let other = |session: String, current: bool| {
        let desk = &desk;
        async move {
            let list = desk.with(&session, "GET", "/admin/v1/sessions", Value::Null).await.json();
            let all = list["data"].as_array().unwrap().clone();
            let found = all.iter().find(|it| it["current"] == current);
            found.map(|it| it["id"].as_str().unwrap().to_owned())
        }
    };
    let of_phone = other(mine.clone(), false).await.unwrap();
    let one = format!("/admin/v1/sessions/{of_phone}");

    let gone = desk.with(&mine, "DELETE", &one, Value::Null).await;
    let again = desk.with(&mine, "DELETE", &one, Value::Null).await;

    assert_eq!((gone.status, again.status), (204, 404));
    assert_eq!(desk.with(&phone, "GET", "/admin/v1/me", Value::Null).await.status, 401);
    assert_eq!(desk.with(&mine, "GET", "/admin/v1/me", Value::Null).await.status, 200);
    let acme = desk.org("acme").await;
    let of_mine = other(mine.clone(), true).await.unwrap();
    let operator = desk.enter(None).await;
    let elsewhere = format!("/admin/v1/sessions/{of_mine}");
    let elsewhere = desk.with(&operator, "DELETE", &elsewhere, Value::Null).await;
    let path = format!("/admin/v1/users/{}/sessions/{of_mine}", desk.ada(acme).await);
    let headers = [
        ("cookie", operator.as_str()),
        ("sec-fetch-site", "same-origin"),
        ("x-penstock-org", "acme"),
    ];
    let ended = desk.send("DELETE", &path, &headers, "").await;
    assert_eq!((elsewhere.status, ended.status), (404, 204), "{}", ended.body);
    assert_eq!(desk.with(&mine, "GET", "/admin/v1/me", Value::Null).await.status, 401);
    let log = format!("{:?}", desk.log(acme).await);
    assert_eq!(log.matches("session.ended").count(), 2, "{log}");
}

#[tokio::test]
async fn whoever_a_file_has_locked_is_revoked_all_the_same() {
    let desk = Desk::set_up().await;
    let acme = desk.org("acme").await;
    let (owner, user) = (desk.enter(Some("acme")).await, desk.ada(acme).await);
    desk.lock(acme, user).await;

    let path = format!("/admin/v1/users/{user}/revoke");
    let told = desk.with(&owner, "POST", &path, Value::Null).await;

    assert_eq!(told.status, 204, "{}", told.body);
    assert_eq!(desk.with(&owner, "GET", "/admin/v1/me", Value::Null).await.status, 401);
    let settings = desk.store.settings(&acme).await.unwrap().unwrap();
    let kept = settings.objects.iter().find(|it| it.id == *user.as_bytes()).unwrap();
    let Document::User(kept) = &kept.document else { panic!("a user") };
    assert!(kept.locked && kept.credentials_from.is_some());
}

#[tokio::test]
async fn a_sign_in_ends_the_session_that_the_browser_had() {
    let desk = Desk::set_up().await;
    let first = desk.enter(Some("acme")).await;
    let body = json!({ "org": "acme", "email": "ada@x.example", "password": PASSWORD });

    let second = desk.with(&first, "POST", "/login/local", body).await.session();

    assert_ne!(first, second);
    assert_eq!(desk.with(&first, "GET", "/admin/v1/me", Value::Null).await.status, 401);
    assert_eq!(desk.with(&second, "GET", "/admin/v1/me", Value::Null).await.status, 200);
    let out = desk.with(&second, "POST", "/logout", Value::Null).await;
    assert_eq!(out.status, 200);
    let line = out.headers["set-cookie"].to_str().unwrap();
    assert!(line.starts_with("penstock=;") && line.ends_with("Max-Age=0"), "{line}");
    assert_eq!(desk.with(&second, "GET", "/admin/v1/me", Value::Null).await.status, 401);
}

#[tokio::test]
async fn whoever_is_revoked_is_out_at_once() {
    let desk = Desk::set_up().await;
    let acme = desk.org("acme").await;
    let (owner, user) = (desk.enter(Some("acme")).await, desk.ada(acme).await);
    let operator = desk.enter(None).await;
    let path = format!("/admin/v1/users/{user}/revoke");
    let headers = [
        ("cookie", operator.as_str()),
        ("sec-fetch-site", "same-origin"),
        ("x-penstock-org", "acme"),
    ];

    let told = desk.send("POST", &path, &headers, "").await;

    assert_eq!(told.status, 204, "{}", told.body);
    assert_eq!(desk.with(&owner, "GET", "/admin/v1/me", Value::Null).await.status, 401);
    let settings = desk.store.settings(&acme).await.unwrap().unwrap();
    let since = settings.objects.iter().find_map(|it| {
        let Document::User(user) = &it.document else { return None };
        user.credentials_from.clone()
    });
    assert!(since.is_some());
    let actions: Vec<String> = desk.log(acme).await.into_iter().map(|row| row.0).collect();
    assert!(actions.ends_with(&["user.credentials_revoked".into(), "sessions.ended".into()]));
}
