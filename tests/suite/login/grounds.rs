//! On what a sign-in stands: one provider, at its own address, as long as it is one.

use super::*;

#[tokio::test]
async fn an_answer_at_another_providers_address_is_refused_before_its_code_goes_anywhere() {
    let company = Company::open(json!({ "trust_email": true })).await;
    let begin = company.at("/login/oidc/acme/company");
    let mut ada = Browser::of("sub-ada");

    let own = company.callback(&mut ada, &begin).await;
    assert!(own.path().ends_with(ACME_PROVIDER), "{own}");
    let mixed_up = own.as_str().replace(ACME_PROVIDER, GLOBEX_PROVIDER);
    let mixed_up = ada.walk(&mixed_up, None).await;
    let after = ada.walk(own.as_str(), None).await;
    let bare = own.as_str().replace(&format!("/{ACME_PROVIDER}"), "");
    let bare = ada.walk(&bare, None).await;

    assert_eq!((mixed_up.status, after.status, bare.status), (401, 401, 404));
    assert!(ada.me(&company.at("")).await.is_none());
    let log = company.owner(Method::GET, "/admin/v1/audit", &Value::Null).await.to_string();
    assert_eq!(log.matches("the address of another provider").count(), 1, "{log}");
    assert!(!log.contains(&query(&own, "code")), "{log}");
}

#[tokio::test]
async fn a_session_ends_with_what_it_stands_on() {
    let company = Company::open(json!({ "trust_email": true })).await;
    let provider = format!("/admin/v1/identity_providers/{ACME_PROVIDER}");
    for (off, on) in [
        (json!({ "sign_in": false }), json!({ "sign_in": true })),
        (json!({ "active": false }), json!({ "active": true })),
    ] {
        let mut ada = company.browser("sub-ada").await;
        assert!(ada.me(&company.at("")).await.is_some());
        company.owner(Method::PATCH, &provider, &off).await;
        assert!(ada.me(&company.at("")).await.is_none(), "{off}");
        company.owner(Method::PATCH, &provider, &on).await;
        assert!(ada.me(&company.at("")).await.is_none(), "over is over: {off}");
    }

    let mut ada = company.browser("sub-ada").await;
    let id = ada.me(&company.at("")).await.unwrap()["user_id"].as_str().unwrap().to_owned();
    let user = format!("/admin/v1/users/{id}");
    company.owner(Method::PATCH, &user, &json!({ "identities": [] })).await;
    assert!(ada.me(&company.at("")).await.is_none(), "the identity was taken away");
    let mut ada = company.browser("sub-ada").await;
    // A client secret stays with its issuer.
    let elsewhere = json!({ "issuer": "https://elsewhere.example", "client_secret": null });
    company.owner(Method::PATCH, &provider, &elsewhere).await;
    assert!(ada.me(&company.at("")).await.is_none(), "another issuer");
}
