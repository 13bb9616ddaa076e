//! What replacing a credential changes, tells and refuses.

use super::*;
use policies::time::Timestamp;
use std::sync::Arc;
use store::{
    Directory,
    audit::{ActFilter, Actor, ActorKind, AuditLog, Order, Outcome},
    model::Model,
    seal::MasterKey,
    vault::Vault,
};

const ACME: OrgId = OrgId::from_bytes([1; 16]);
const OTHER: OrgId = OrgId::from_bytes([2; 16]);
const CANARY: &str = "sk-canary-4711";

struct Desk {
    store: Arc<Model>,
    keeper: Keeper,
}

impl Desk {
    /// Two orgs with the same objects, of which `locked` may be changed by its file only.
    async fn new() -> Self {
        let store = Arc::new(Model::default());
        let (master, _) = MasterKey::generate().unwrap();
        let keeper =
            Keeper::new(Arc::clone(&store) as Arc<dyn Vault>, Arc::new(master), Vec::new());
        for (org, name) in [(ACME, "acme"), (OTHER, "other")] {
            let head = format!(r#"{{"kind":"Org","name":"{name}"}}"#);
            let base = r#""dialect":"openai","base_url":"https://api.example.com/v1""#;
            let provider = |it: &str, more: &str| {
                format!(r#"{{"kind":"Provider","org":"{name}","name":"{it}",{base}{more}}}"#)
            };
            let issuer = format!(
                r#"{{"kind":"IdentityProvider","org":"{name}","name":"okta",
                    "issuer":"https://login.example.com","client_id":"penstock"}}"#
            );
            let lines = [
                head,
                provider("openai", r#","credential":{"env":"OPENAI_KEY"}"#),
                provider("locked", r#","locked":true"#),
                issuer,
            ];
            let first = org.as_bytes()[0];
            let object = |(place, line): (u8, &String)| Object {
                id: if place == 0 { *org.as_bytes() } else { [first * 16 + place; 16] },
                document: serde_json::from_str(line).unwrap(),
            };
            let put = (0..).zip(&lines).map(object).collect();
            let (from, remove, acts) = (Revision(0), Vec::new(), Vec::new());
            let done = store.commit(vec![Change { org, from, put, remove, acts }]).await.unwrap();
            assert!(matches!(done, Committed::Done(_)), "{done:?}");
        }
        Self { store, keeper }
    }

    async fn set(&self, holder: Holder, named: &str, value: &str) -> Result<Revision, Kept> {
        let act = Act {
            at: Timestamp(7),
            actor: Actor { kind: ActorKind::Operator, id: String::new(), name: String::new() },
            address: None,
            action: String::new(),
            outcome: Outcome::Done,
            target: None,
            before: None,
            after: None,
            reason: Some("it leaked".to_owned()),
            request: None,
            via: "system".to_owned(),
            revision: None,
        };
        let value = &Secret::new(value.as_bytes().to_vec());
        let replacement = Replacement { org: ACME, holder, named, value, act };
        set_credential(self.store.as_ref(), &self.keeper, replacement).await
    }

    async fn document(&self, org: OrgId, name: &str) -> Document {
        let settings = self.store.settings(&org).await.unwrap().unwrap();
        settings.objects.into_iter().find(|it| it.document.name() == name).unwrap().document
    }

    /// The value that the object's credential opens to.
    async fn opened(&self, holder: Holder, name: &str) -> String {
        let mut document = self.document(ACME, name).await;
        let Some(Some(SecretRef::Sealed(text))) = holder.slot(&mut document) else {
            panic!("nothing is sealed: {document:?}")
        };
        let opened = self.keeper.open(&ACME, holder.column(), text).await.unwrap();
        String::from_utf8(opened.expose().clone()).unwrap()
    }

    async fn acts(&self, org: OrgId) -> Vec<Act> {
        let rows = self.store.acts(&org, &ActFilter::default(), Order::Oldest, None, 10).await;
        rows.unwrap().iter().map(|row| row.act().unwrap()).collect()
    }
}

#[tokio::test]
async fn a_credential_is_sealed_where_it_belongs_and_leaves_a_row_without_it() {
    let desk = Desk::new().await;
    let before = desk.document(OTHER, "openai").await;

    let revision = desk.set(Holder::Provider, "openai", &format!(" {CANARY}\n")).await.unwrap();

    assert_eq!(revision, Revision(2));
    assert_eq!(desk.opened(Holder::Provider, "openai").await, CANARY);
    assert_eq!(desk.document(OTHER, "openai").await, before);
    assert_eq!(desk.acts(OTHER).await, []);
    let acts = desk.acts(ACME).await;
    let [act] = acts.as_slice() else { panic!("one row: {acts:?}") };
    assert_eq!(act.action, "provider.credential_replaced");
    assert_eq!((act.revision, act.reason.as_deref()), (Some(2), Some("it leaked")));
    assert_eq!(act.target.as_ref().map(|it| it.name.as_str()), Some("openai"));
    let told = serde_json::to_string(act).unwrap();
    let document = desk.document(ACME, "openai").await;
    let Document::Provider(provider) = &document else { panic!("a provider") };
    let Some(SecretRef::Sealed(sealed)) = &provider.credential else { panic!("sealed") };
    assert!(!told.contains(CANARY) && !told.contains(sealed.as_str()), "{told}");
    assert!(!serde_json::to_string(&document).unwrap().contains(CANARY));
}

#[tokio::test]
async fn a_client_secret_is_sealed_by_its_providers_id() {
    let desk = Desk::new().await;
    let id = Kind::IdentityProvider.id_text([0x13; 16]);

    desk.set(Holder::IdentityProvider, &id, CANARY).await.unwrap();
    desk.set(Holder::IdentityProvider, "okta", "another one").await.unwrap();

    assert_eq!(desk.opened(Holder::IdentityProvider, "okta").await, "another one");
    let actions: Vec<String> = desk.acts(ACME).await.into_iter().map(|act| act.action).collect();
    assert_eq!(actions, ["identity_provider.secret_replaced"; 2]);
}

#[tokio::test]
async fn what_cannot_be_replaced_is_left_as_it_is() {
    let desk = Desk::new().await;
    let long = "x".repeat(CREDENTIAL_BYTES_MAX + 1);
    for value in ["", " \n", "two\nlines", "sk-\u{e9}", long.as_str()] {
        let refused = desk.set(Holder::Provider, "openai", value).await;
        assert!(matches!(refused, Err(Kept::Unfit(_))), "{value}");
    }
    for (holder, named) in [(Holder::Provider, "okta"), (Holder::IdentityProvider, "openai")] {
        let refused = desk.set(holder, named, CANARY).await;
        assert!(matches!(refused, Err(Kept::NotFound { .. })), "{named}");
    }
    let refused = desk.set(Holder::Provider, "locked", CANARY).await;
    assert!(matches!(refused, Err(Kept::Locked { .. })));

    assert_eq!(desk.store.settings(&ACME).await.unwrap().unwrap().revision, Revision(1));
    assert_eq!(desk.acts(ACME).await, []);
}
