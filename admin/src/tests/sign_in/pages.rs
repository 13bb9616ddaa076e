//! The pages before the console.

use super::*;

#[tokio::test]
async fn a_setup_link_is_looked_at_before_anything_is_typed_and_not_used_up_by_it() {
    let desk = Desk::new();
    let token = desk.token().await;
    let at = |token: &str| format!("/setup?token={token}");

    let wrong = desk.send("GET", &at("wrong"), &[], "").await;
    let first = desk.send("GET", &at(&token), &[], "").await;
    let second = desk.send("GET", &at(&token), &[], "").await;
    let slip = format!("token={token}&email=ada%40x.example&password=short&org=acme");
    let slip = desk.send("POST", "/setup", &[FORM], slip).await;
    let done = desk.post("/setup", setup_body(&token)).await;
    let used = desk.send("GET", &at(&token), &[], "").await;

    let statuses = [&wrong, &first, &second, &slip, &done, &used].map(|told| told.status);
    assert_eq!(statuses, [404, 200, 200, 422, 200, 404]);
    assert!(used.body.contains("or was used") && !used.body.contains("<form"), "{}", used.body);
    assert!(slip.body.contains("value=\"ada@x.example\""), "{}", slip.body);
    assert!(slip.body.contains("value=\"acme\""), "{}", slip.body);
}

#[tokio::test]
async fn nothing_but_the_password_is_typed_again() {
    let desk = Desk::set_up().await;
    let page = [("accept", "text/html")];
    let body = "org=acme&email=ada%40x.example&password=wrong";

    let first = desk.send("GET", "/login", &page, "").await.body;
    let again = desk.send("POST", "/login/local", &[FORM], body).await.body;

    assert!(first.contains("name=\"org\" autofocus"), "{first}");
    assert!(again.contains("value=\"ada@x.example\""), "{again}");
    assert!(again.contains("type=\"password\" required autofocus"), "{again}");
    assert!(!again.contains("wrong\""), "{again}");
    assert_eq!(again.matches("autofocus").count(), 1, "{again}");
}

#[tokio::test]
async fn the_listener_begins_with_a_page_that_leads_on() {
    let desk = Desk::set_up().await;
    let page = ("accept", "text/html");

    let out = desk.send("GET", "/", &[page], "").await.body;
    let session = desk.enter(None).await;
    let signed_in = desk.send("GET", "/", &[page, ("cookie", session.as_str())], "").await.body;
    let contents = desk.send("GET", "/docs/", &[], "").await.body;

    assert!(out.contains("href=\"/login\"") && out.contains("href=\"/docs/\""), "{out}");
    assert!(signed_in.contains("action=\"/logout\""), "{signed_in}");
    for (name, _) in crate::manual::PAGES {
        assert!(contents.contains(&format!("/docs/{name} ")), "{name}: {contents}");
    }
    assert!(contents.contains("Who may call models"), "{contents}");
}

#[tokio::test]
async fn pages_bring_nothing_from_elsewhere_and_lead_nowhere_else() {
    let desk = Desk::set_up().await;
    let page = [("accept", "text/html")];

    let login = desk.send("GET", "/login?org=%22%3E%3Cscript%3E&return_to=//evil", &page, "").await;
    let setup = desk.send("GET", "/setup?token=%22%3E%3Cscript%3E", &page, "").await;
    let home_page = desk.send("GET", "/", &page, "").await;
    let contents = desk.send("GET", "/docs/", &page, "").await;
    let form = |back: &str| {
        let fields = [
            ("org", "acme"),
            ("email", "ada@x.example"),
            ("password", PASSWORD),
            ("return_to", back),
        ];
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
    };
    let away = desk.send("POST", "/login/local", &[FORM], form("https://evil.example")).await;
    let home = desk.send("POST", "/login/local", &[FORM], form("/docs/usage?a=1")).await;
    let wrong = desk.send("POST", "/login/local", &[FORM], "email=a%40b&password=x").await;

    for (told, status) in [(&login, 200), (&setup, 404), (&home_page, 200), (&contents, 200)] {
        assert_eq!(told.status, status);
        assert!(!told.body.contains("<script") && !told.body.contains("//evil"), "{}", told.body);
        assert!(!told.body.contains("http"), "{}", told.body);
        let policy = told.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
    }
    assert_eq!((away.status, away.headers["location"].to_str().unwrap()), (303, "/"));
    assert_eq!(home.headers["location"], "/docs/usage?a=1");
    assert!(wrong.status == 401 && wrong.body.contains("That did not work"), "{}", wrong.body);
}
