//! People sign in with a certified OpenID provider, and by the setup link; nobody else does.

mod browser;
mod grounds;

use self::browser::Browser;
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use std::{fs, path::Path, process::Stdio};
use tests::{
    client,
    house::{House, Plan},
    json::At,
    settings::Settings,
    wait::{self, SOON},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout},
};
use url::Url;

const SECRET: &str = "s3cret of +the/ client=";

/// The ids of the provider in both orgs: each has its own address to come back to.
const ACME_PROVIDER: &str = "idp_a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1";
const GLOBEX_PROVIDER: &str = "idp_b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2";

/// A house beside the company's identity provider.
struct Company {
    house: House,
    issuer: String,
    _provider: Provider,
}

/// The process, with the ends of its pipes: it would end when it cannot speak any more.
type Provider = (Child, ChildStdin, Lines<BufReader<ChildStdout>>);

impl Company {
    /// `provider`: further settings of the identity provider in the org `acme`.
    async fn open(provider: Value) -> Self {
        let mut house = Plan::new(acme()).with("identity", "private_networks", "true").open().await;
        let (provider_process, issuer) = identity_provider(house.admin_url()).await;
        let secret = house.path("client.secret");
        fs::write(&secret, format!("{SECRET}\n")).expect("a file");
        let settings = json!({
            "id": ACME_PROVIDER, "issuer": issuer, "client_id": "penstock", "client_secret": { "file": secret },
            "scopes": ["email", "profile", "groups"],
        });
        let settings = tests::house::merged(settings, provider);
        let globex = Settings::bare("globex")
            .and("User", "ada", json!({ "email": "ada@example.com" }))
            .and("IdentityProvider", "company", with_id(&settings, GLOBEX_PROVIDER));
        let all = acme().and("IdentityProvider", "company", settings).with(globex);
        house.apply(&all).await;
        let company = Self { house, issuer, _provider: provider_process };
        let ada = json!({ "email": "ada@example.com", "email_verified": true, "name": "Ada L" });
        company.account("sub-ada", ada).await;
        company
    }

    /// Makes or changes an account at the provider.
    async fn account(&self, sub: &str, claims: Value) {
        let url = format!("{}/accounts/{sub}", self.issuer);
        let body = claims.to_string().into();
        let told = self.house.client.send(client::build(Method::PUT, &url, &[], body)).await;
        assert_eq!(told.status, 204);
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.house.admin_url())
    }

    /// Signs somebody in to `acme`.
    async fn browser(&self, account: &str) -> Browser {
        let mut browser = Browser::of(account);
        let url = browser.walk(&self.at("/login/oidc/acme/company?return_to=/readyz"), None).await;
        assert_eq!((url.status, url.url), (200, self.at("/readyz")), "{}", url.body);
        browser
    }

    /// The address of the callback at which a sign-in of `browser` arrives, before it goes there.
    async fn callback(&self, browser: &mut Browser, begin: &str) -> Url {
        let stop = self.at("/login/callback/");
        let walked = browser.walk(begin, Some(&stop)).await;
        assert!(walked.url.starts_with(&stop), "{} {}", walked.url, walked.body);
        Url::parse(&walked.url).expect("an address")
    }

    /// Asks as an owner of `acme`, by key.
    async fn owner(&self, method: Method, path: &str, body: &Value) -> Value {
        let bearer = format!("Bearer {}", self.house.key("boss-key"));
        let headers = [("authorization", bearer.as_str())];
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let request = client::build(method, &self.at(path), &headers, body);
        let told = self.house.client.send(request).await.text().await;
        serde_json::from_str(&told).unwrap_or_default()
    }
}

/// An org with an owner, and groups of the company.
fn acme() -> Settings {
    Settings::of("acme")
        .and("User", "boss", json!({ "email": "boss@example.com", "roles": ["owner"] }))
        .and("AdminKey", "boss-key", json!({ "owner": { "user": "boss" } }))
        .and("Group", "admins", json!({ "claim": "company-admins", "roles": ["admin"] }))
        .and("Group", "auditors", json!({ "claim": "company-auditors", "roles": ["auditor"] }))
}

async fn identity_provider(admin_url: &str) -> (Provider, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let node = root.join("tests/.venv/bin/node");
    assert!(node.exists(), "{} is not there: run `tests/run install`", node.display());
    let mut child = tokio::process::Command::new(node)
        .current_dir(root)
        .arg("tests/clients/oidc/provider.mjs")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the provider starts");
    let redirects = [ACME_PROVIDER, GLOBEX_PROVIDER];
    let redirects = redirects.map(|id| format!("{admin_url}/login/callback/{id}"));
    let told = json!({
        "redirects": redirects,
        "logouts": [format!("{admin_url}/login")],
    });
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(format!("{told}\n").as_bytes()).await.expect("it reads");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let line = wait::within(3 * SOON, "the provider's address", lines.next_line()).await;
    let line = line.expect("it can be read").expect("it says where it is");
    let issuer = line.strip_prefix("identity provider on ").expect("its address").to_owned();
    ((child, stdin, lines), issuer)
}

fn with_id(settings: &Value, id: &str) -> Value {
    tests::house::merged(settings.clone(), json!({ "id": id }))
}

/// The address with another value of a parameter; without a value it is left out.
fn with(url: &Url, name: &str, value: Option<&str>) -> String {
    let pairs = url.query_pairs().into_owned();
    let mut pairs: Vec<(String, String)> = pairs.filter(|(known, _)| known != name).collect();
    pairs.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    let mut changed = url.clone();
    changed.query_pairs_mut().clear().extend_pairs(pairs);
    changed.into()
}

fn query(url: &Url, name: &str) -> String {
    let found = url.query_pairs().find(|(known, _)| known == name);
    found.expect("the parameter").1.into_owned()
}

#[tokio::test]
async fn a_person_signs_in_by_the_company_and_out_again() {
    let company = Company::open(json!({ "trust_email": true })).await;
    let groups = |groups: Value| json!({ "email": "Ada@example.com", "email_verified": true, "groups": groups });

    company.account("sub-ada", groups(json!(["company-admins", "else"]))).await;
    let mut ada = company.browser("sub-ada").await;
    let me = ada.me(&company.at("")).await.unwrap();
    let (admin, owner) = (
        ada.may(&company.at(""), "projects.write").await,
        ada.may(&company.at(""), "org.own").await,
    );
    company.account("sub-ada", groups(json!(["company-auditors"]))).await;
    let mut later = company.browser("sub-ada").await;
    let (still, auditor) = (
        later.may(&company.at(""), "projects.write").await,
        later.may(&company.at(""), "audit.read").await,
    );
    let out = ada.ask(Method::POST, &company.at("/logout"), &Value::Null).await;

    assert_eq!((me["org"]["name"].clone(), me["name"].clone()), (json!("acme"), json!("ada")));
    assert!(admin && !owner);
    assert!(!still && auditor, "roles follow the groups of the last sign-in");
    let to = out.header("location").unwrap().to_owned();
    assert!(to.starts_with(&format!("{}/session/end?client_id=penstock", company.issuer)), "{to}");
    assert!(ada.me(&company.at("")).await.is_none());
    assert!(later.me(&company.at("")).await.is_some());
    let back = ada.walk(&to, None).await;
    assert_eq!(back.status, 200, "{}", back.body);
}

#[tokio::test]
async fn a_client_secret_that_is_stored_is_used_and_seen_by_nobody() {
    let company = Company::open(json!({ "trust_email": true })).await;
    let path = "/admin/v1/identity_providers";
    let before = company.owner(Method::GET, path, &Value::Null).await;
    let one = format!("{path}/{}", before.text("data.0.id"));

    let secret = json!({ "value": SECRET });
    company.owner(Method::PUT, &format!("{one}/client_secret"), &secret).await;
    fs::remove_file(company.house.path("client.secret")).unwrap();
    let mut ada = company.browser("sub-ada").await;
    let after = company.owner(Method::GET, &one, &Value::Null).await;

    assert!(ada.me(&company.at("")).await.is_some());
    assert_eq!(after["client_secret"], json!({ "stored": true }));
}

#[tokio::test]
async fn somebody_new_becomes_a_user_and_nobody_once_deactivated() {
    let company = Company::open(json!({ "create_users": true })).await;
    let groups = json!(["company-auditors"]);
    let new = json!({ "email": "new@example.com", "email_verified": true, "groups": groups });
    company.account("sub-new", new).await;

    let mut new = company.browser("sub-new").await;
    let auditor = new.may(&company.at(""), "audit.read").await;
    let id = new.me(&company.at("")).await.unwrap()["user_id"].as_str().unwrap().to_owned();
    let path = format!("/admin/v1/users/{id}");
    let user = company.owner(Method::PATCH, &path, &json!({ "active": false })).await;
    let gone = new.me(&company.at("")).await;
    let mut again = Browser::of("sub-new");
    let again = again.walk(&company.at("/login/oidc/acme/company"), None).await;
    let mut taken = Browser::of("sub-ada");
    let taken = taken.walk(&company.at("/login/oidc/acme/company"), None).await;

    assert!(auditor);
    assert_eq!((user.text("name"), user.text("email")), ("new@example.com", "new@example.com"));
    assert!(gone.is_none(), "{gone:?}");
    assert_eq!(again.status, 401, "{}", again.body);
    assert_eq!(taken.status, 401, "an address that a user has joins nobody unless it is trusted");
}

#[tokio::test]
async fn a_sign_in_ends_in_the_browser_that_began_it_and_once() {
    let company = Company::open(json!({ "trust_email": true })).await;
    let begin = company.at("/login/oidc/acme/company");
    let (mut ada, mut eve) = (Browser::of("sub-ada"), Browser::of("sub-ada"));

    let stolen = company.callback(&mut ada, &begin).await;
    let elsewhere = eve.walk(stolen.as_str(), None).await;
    let afterwards = ada.walk(stolen.as_str(), None).await;
    let own = company.callback(&mut ada, &begin).await;
    let good = ada.walk(own.as_str(), None).await;
    let mut copy = Browser::of("sub-ada");
    copy.jars.clone_from(&ada.jars);
    let replayed = copy.walk(own.as_str(), None).await;

    assert_eq!(elsewhere.status, 401, "{}", elsewhere.body);
    assert!(eve.me(&company.at("")).await.is_none());
    assert_eq!(afterwards.status, 401, "a state is good for one callback");
    assert_eq!(good.status, 200, "{}", good.body);
    assert_eq!(replayed.status, 401, "{}", replayed.body);
    let log = company.owner(Method::GET, "/admin/v1/audit", &Value::Null).await.to_string();
    assert!(log.contains("begun in another browser"), "{log}");
}

#[tokio::test]
async fn what_the_provider_did_not_answer_to_us_is_refused() {
    let company = Company::open(json!({ "trust_email": true })).await;
    company
        .account("sub-boss", json!({ "email": "boss@example.com", "email_verified": true }))
        .await;
    let begin = company.at("/login/oidc/acme/company");
    let mut ada = Browser::of("sub-ada");

    // The ID token is for another nonce.
    let asked = ada.walk(&begin, Some(&company.issuer)).await;
    let asked = Url::parse(&asked.url).unwrap();
    let other = with(&asked, "nonce", Some("another"));
    let nonce = ada.walk(&other, None).await;
    // Another issuer answers, or one that does not say.
    let own = company.callback(&mut ada, &begin).await;
    let foreign = ada.walk(&with(&own, "iss", Some("https://evil.example")), None).await;
    let own = company.callback(&mut ada, &begin).await;
    let silent = ada.walk(&with(&own, "iss", None), None).await;
    // Somebody else's code is put into one's own sign-in.
    let mut boss = Browser::of("sub-boss");
    let injected = query(&company.callback(&mut boss, &begin).await, "code");
    let own = company.callback(&mut ada, &begin).await;
    let injected = ada.walk(&with(&own, "code", Some(&injected)), None).await;
    let own = company.callback(&mut ada, &begin).await;
    let denied = with(&own, "code", None) + "&error=access_denied";
    let denied = ada.walk(&denied, None).await;
    let unknown = format!("/login/callback/{ACME_PROVIDER}?state=x&code=y");
    let unknown = ada.walk(&company.at(&unknown), None).await;

    assert_eq!(query(&asked, "code_challenge_method"), "S256");
    for (what, told) in [
        ("nonce", nonce),
        ("issuer", foreign),
        ("no issuer", silent),
        ("code", injected),
        ("error", denied),
        ("state", unknown),
    ] {
        assert!(told.url.starts_with(&company.at("/login/callback")), "{what}: {}", told.url);
        assert_eq!(told.status, 401, "{what}: {}", told.body);
        assert!(told.body.contains("That did not work"), "{what}: {}", told.body);
        assert!(ada.me(&company.at("")).await.is_none(), "{what}");
    }
}

#[tokio::test]
async fn whom_one_org_believes_is_nobody_in_another() {
    let company = Company::open(json!({ "trust_email": true })).await;
    let mut ada = company.browser("sub-ada").await;
    let site = company.at("");
    let cookies: Vec<String> =
        ada.jars[&site].iter().map(|(name, value)| format!("{name}={value}")).collect();
    let foreign = [("cookie", cookies[0].as_str()), ("x-penstock-org", "globex")];
    let request = client::build(Method::GET, &company.at("/admin/v1/me"), &foreign, Bytes::new());

    let foreign = company.house.client.send(request).await;
    let mut same = Browser::of("sub-ada");
    let other = same.walk(&company.at("/login/oidc/globex/company?return_to=/readyz"), None).await;
    let them = same.me(&company.at("")).await.unwrap();
    let nowhere = same.walk(&company.at("/login/oidc/nowhere/company"), None).await;
    let away =
        ada.walk(&company.at("/login/oidc/acme/company?return_to=//evil.example"), None).await;

    assert_eq!(foreign.status, 404);
    assert_eq!((other.status, them["org"]["name"].clone()), (200, json!("globex")));
    assert_ne!(ada.me(&company.at("")).await.unwrap()["user_id"], them["user_id"]);
    assert_eq!(nowhere.status, 401, "{}", nowhere.body);
    assert_eq!(away.url, company.at("/"));
}

#[tokio::test]
async fn the_first_start_prints_a_link_that_sets_up_once() {
    let mut house = House::open(Settings::bare("acme")).await;
    let link = house.gateway().said("set up within 24 hours, once: ").await;
    let token = link.split_once("?token=").unwrap().1.trim().to_owned();
    let body = json!({
        "token": token, "email": "op@example.com", "password": "correct horse battery",
    });
    let url = format!("{}/setup", house.admin_url());

    let page = house.client.get(link.trim()).await;
    let made = house.client.post(&url, &body).await;
    let again = house.client.post(&url, &body).await;
    let key = house.run(&["admin-key", "--config", "penstock.toml", "--operator", "--name", "ci"]);
    let key = key.await.ok();

    assert_eq!(
        (page.status.as_u16(), made.status.as_u16(), again.status.as_u16()),
        (200, 200, 401)
    );
    let bearer = format!("Bearer {}", key.trim());
    let headers = [("authorization", bearer.as_str()), ("x-penstock-org", "acme")];
    let me = format!("{}/admin/v1/me", house.admin_url());
    let me = house.client.send(client::build(Method::GET, &me, &headers, Bytes::new())).await;
    assert_eq!(me.json().await["org"]["name"], "acme");
    assert!(!house.gateway().stderr().contains(&token), "the link is printed, and never logged");
    house.terminate().await;
    house.start().await;
    let said = fs::read_to_string(house.path("gateway.out")).unwrap();
    assert_eq!(said.matches("set up within").count(), 1, "{said}");
}
