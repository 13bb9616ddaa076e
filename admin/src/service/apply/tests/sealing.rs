//! Sealed values are dropped only by who says so, and are missing only where it is told.

use super::*;
use policies::document::SecretRef;
use store::Change;

const SHOP: &str = "\
apiVersion: penstock/v1
kind: Org
name: acme
---
apiVersion: penstock/v1
kind: Provider
org: acme
name: openai
dialect: openai
base_url: https://a.example/v1
CREDENTIAL
---
apiVersion: penstock/v1
kind: IdentityProvider
org: acme
name: okta
issuer: https://login.example
client_id: penstock
SECRET
";

fn shop(credential: &str, secret: &str) -> String {
    SHOP.replace("CREDENTIAL", credential).replace("SECRET", secret)
}

const STORED: [&str; 2] = ["credential: { stored: true }", "client_secret: { stored: true }"];

/// A store in which both have a sealed value.
async fn sealed() -> Model {
    let store = Model::default();
    applied(&store, &shop(STORED[0], STORED[1])).await;
    let settings = org(&store, "acme").await;
    let mut put = settings.objects.clone();
    for object in &mut put {
        let value = Some(SecretRef::Sealed("v1".to_owned()));
        if let Document::Provider(it) = &mut object.document {
            it.credential = value;
        } else if let Document::IdentityProvider(it) = &mut object.document {
            it.client_secret = value;
        }
    }
    let (org, from) = (settings.org, settings.revision);
    store.commit(vec![Change { org, from, put, remove: vec![], acts: vec![] }]).await.unwrap();
    store
}

#[tokio::test]
async fn a_file_that_would_drop_sealed_values_is_refused_with_each_of_them() {
    let store = sealed().await;

    let mistakes = refused(&store, &shop("credential: { env: X }", "")).await;
    let kept = planned(&store, &shop(STORED[0], STORED[1]), Absent::Pruned).await.unwrap();
    let head = "apiVersion: penstock/v1\nkind: Org\nname: acme\n";
    let pruned = planned(&store, head, Absent::Pruned).await.unwrap_err().to_string();

    let [provider, issuer] = mistakes.as_slice() else { panic!("{mistakes:?}") };
    assert!(provider.starts_with("x.yaml:11: provider openai: credential: "), "{provider}");
    assert!(provider.contains("write `credential: { stored: true }`"), "{provider}");
    assert!(issuer.contains("identity provider okta: client_secret: "), "{issuer}");
    assert!(issuer.contains("write `client_secret: { stored: true }`"), "{issuer}");
    assert!(kept.is_empty() && kept.unset().is_empty(), "{kept}");
    assert_eq!(pruned.lines().count(), 2, "{pruned}");
    assert!(pruned.contains("would go with it"), "{pruned}");
}

#[tokio::test]
async fn whoever_says_so_drops_a_sealed_value_and_sees_it() {
    let store = sealed().await;
    let documents = read(&file(&shop("credential: { env: X }", STORED[1])));

    let plan = plan(&store, documents, Absent::Kept, Credentials::Replaced).await.unwrap();

    let shown = plan.to_string();
    assert!(shown.contains("      credential: THE SEALED VALUE IS DROPPED\n"), "{shown}");
    assert!(!shown.contains("client_secret"), "{shown}");
    plan.commit(&store).await.unwrap();
    let text = serde_json::to_string(&org(&store, "acme").await.objects).unwrap();
    assert_eq!(text.matches("sealed").count(), 1, "{text}");
}

#[tokio::test]
async fn what_was_sealed_elsewhere_is_to_be_stored_here() {
    let exported = export_config(&org(&sealed().await, "acme").await, Ids::Left);
    let fresh = Model::default();

    let plan = planned(&fresh, &exported, Absent::Kept).await.unwrap();

    let unset: Vec<String> = plan.unset().iter().map(ToString::to_string).collect();
    let [issuer, provider] = unset.as_slice() else { panic!("{unset:?}") };
    assert!(provider.contains("503"), "{provider}");
    let how = "penstock secrets set-credential --org acme --provider openai";
    assert!(provider.ends_with(how), "{provider}");
    assert!(issuer.ends_with("--org acme --identity-provider okta"), "{issuer}");
    plan.commit(&fresh).await.unwrap();
    assert!(planned(&fresh, &exported, Absent::Pruned).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_installation_moves_to_another_store_as_any_org() {
    let from = Model::default();
    let text = "\
apiVersion: penstock/v1
kind: Org
name: penstock
---
{ apiVersion: penstock/v1, kind: User, org: penstock, name: op, roles: [operator] }
";
    applied(&from, text).await;

    for ids in [Ids::Left, Ids::Pinned] {
        let exported = export_config(&org(&from, "penstock").await, ids);
        let to = Model::default();
        applied(&to, &exported).await;

        let settings = org(&to, "penstock").await;
        assert_eq!(settings.org, policies::authority::INSTALLATION);
        assert!(find(&settings, Kind::User, "op").is_some());
    }
}

#[tokio::test]
async fn an_export_says_which_invites_it_leaves_out_and_who_had_a_password() {
    let store = Model::default();
    applied(&store, SMALL).await;
    let mut settings = org(&store, "acme").await;
    let invite = serde_json::json!({
        "kind": "Invite", "org": "acme", "name": "i", "email": "new@acme.example",
        "expires": "2030-01-01T00:00:00Z",
    });
    let invite = serde_json::from_value(invite).unwrap();
    settings.objects.push(Object { id: [9; 16], document: invite });
    for object in &mut settings.objects {
        if let Document::User(user) = &mut object.document {
            user.password = Some("$argon2id$x".to_owned());
        }
    }

    let exported = export_config(&settings, Ids::Left);

    assert!(exported.contains("# in another store, invite again: \"new@acme.example\"\n"));
    assert!(exported.contains("# penstock setup-link --org acme --user ada\n"), "{exported}");
    assert!(!exported.contains("argon2id"), "{exported}");
    assert!(planned(&store, &exported, Absent::Kept).await.unwrap().is_empty());
}
