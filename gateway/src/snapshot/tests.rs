//! How settings are taken over, with the model of a store.

use super::*;
use async_trait::async_trait;
use policies::document::{Document, Object, SecretRef};
use std::sync::atomic::AtomicU32;
use store::{
    Change, Registry,
    model::Model,
    seal::{KeyWrapper, MasterKey, Secret, column},
    vault::Vault,
};

const HASH: [u8; 32] = [0xab; 32];

fn org(number: u8) -> OrgId {
    OrgId::from_bytes([number; 16])
}

/// An org, one key of it, and whatever its time zone is said to be.
fn objects(number: u8, zone: &str) -> Vec<Object> {
    let hash = hex::encode(HASH.map(|byte| byte.wrapping_add(number)));
    let name = format!("org{number}");
    let lines = [
        format!(r#"{{"kind":"Org","name":"{name}","time_zone":"{zone}"}}"#),
        format!(
            r#"{{"kind":"Project","org":"{name}","name":"p",
                "members":[{{"who":{{"user":"u"}},"role":"developer"}}]}}"#
        ),
        format!(r#"{{"kind":"User","org":"{name}","name":"u"}}"#),
        format!(
            r#"{{"kind":"Key","org":"{name}","name":"k","project":"p","owner":{{"user":"u"}},
                "sha256":"{hash}"}}"#
        ),
    ];
    let object = |(place, line): (u8, &String)| {
        let id = if place == 0 { [number; 16] } else { [number * 16 + place; 16] };
        Object { id, document: serde_json::from_str(line).unwrap() }
    };
    (0..).zip(&lines).map(object).collect()
}

/// Whose keeper has nothing to open.
fn snapshot() -> Snapshot {
    Snapshot::new(keeper(&Arc::new(Model::default())))
}

fn keeper(store: &Arc<Model>) -> Arc<Keeper> {
    let (master, _) = MasterKey::generate().unwrap();
    Arc::new(Keeper::new(Arc::clone(store) as Arc<dyn Vault>, Arc::new(master), Vec::new()))
}

async fn commit(store: &Model, number: u8, from: u64, put: Vec<Object>, remove: Vec<[u8; 16]>) {
    let change = Change { org: org(number), from: Revision(from), put, remove, acts: Vec::new() };
    let done = store.commit(vec![change]).await.unwrap();
    assert!(matches!(done, store::Committed::Done(_)), "{done:?}");
}

fn revision(snapshot: &Snapshot, number: u8) -> Option<u64> {
    snapshot.current().tenant(&org(number)).map(|live| live.tenant.revision.0)
}

#[tokio::test]
async fn a_broken_org_keeps_its_last_good_settings_and_is_read_once() {
    let (store, snapshot) = (Model::default(), snapshot());
    commit(&store, 1, 0, objects(1, "UTC"), Vec::new()).await;
    snapshot.refresh(&store).await.unwrap();

    commit(&store, 1, 1, objects(1, "Nowhere"), Vec::new()).await;
    commit(&store, 2, 0, objects(2, "Nowhere"), Vec::new()).await;
    commit(&store, 3, 0, objects(3, "UTC"), Vec::new()).await;
    let changed = snapshot.refresh(&store).await.unwrap();

    assert_eq!(changed, [org(3)]);
    let of = |number| revision(&snapshot, number);
    assert_eq!((of(1), of(2), of(3)), (Some(1), None, Some(1)));
    let before = snapshot.current();
    assert_eq!(snapshot.refresh(&store).await.unwrap(), []);
    assert!(Arc::ptr_eq(&before, &snapshot.current()), "nothing new is nothing to do");

    commit(&store, 1, 2, objects(1, "Europe/Berlin"), Vec::new()).await;
    assert_eq!(snapshot.refresh(&store).await.unwrap(), [org(1)]);
    assert_eq!(revision(&snapshot, 1), Some(3));
}

#[tokio::test]
async fn a_removed_org_is_gone_with_its_keys() {
    let (store, snapshot) = (Model::default(), snapshot());
    let all = objects(1, "UTC");
    let ids = all.iter().map(|object| object.id).collect();
    commit(&store, 1, 0, all, Vec::new()).await;
    commit(&store, 2, 0, objects(2, "UTC"), Vec::new()).await;
    snapshot.refresh(&store).await.unwrap();
    let key = HASH.map(|byte| byte.wrapping_add(1));
    assert_eq!(snapshot.current().key(&key).map(|it| it.org), Some(org(1)));

    commit(&store, 1, 1, Vec::new(), ids).await;

    assert_eq!(snapshot.refresh(&store).await.unwrap(), [org(1)]);
    assert_eq!((revision(&snapshot, 1), revision(&snapshot, 2)), (None, Some(1)));
    assert!(snapshot.current().key(&key).is_none());
    assert_eq!(snapshot.refresh(&Model::default()).await.unwrap(), [org(2)]);
    assert_eq!(snapshot.current().tenants().count(), 0);
}

/// An org with two providers of one deployment each: one has the credential `sealed`, one none.
fn with_providers(sealed: &str) -> Vec<Object> {
    let lines = [
        r#"{"kind":"Provider","org":"org1","name":"a","dialect":"openai",
            "base_url":"http://127.0.0.1:9/v1"}"#,
        r#"{"kind":"Provider","org":"org1","name":"b","dialect":"openai",
            "base_url":"http://127.0.0.1:9/v1"}"#,
        r#"{"kind":"Deployment","org":"org1","name":"da","provider":"a","model":"m","free":true}"#,
        r#"{"kind":"Deployment","org":"org1","name":"db","provider":"b","model":"m","free":true}"#,
    ];
    let mut all = objects(1, "UTC");
    for (place, line) in (0xa0..).zip(lines) {
        all.push(Object { id: [place; 16], document: serde_json::from_str(line).unwrap() });
    }
    let document = &mut all.iter_mut().find(|it| it.document.name() == "a").unwrap().document;
    let Document::Provider(provider) = document else { panic!("a provider") };
    provider.credential = Some(SecretRef::Sealed(sealed.to_owned()));
    all
}

/// The header of the deployments of both providers.
fn headers(snapshot: &Snapshot) -> [Option<Option<http::HeaderValue>>; 2] {
    let world = snapshot.current();
    let live = world.tenant(&org(1)).unwrap();
    [0xa2, 0xa3].map(|place| {
        let target = live.target(&policies::ids::DeploymentId::from_bytes([place; 16]));
        target.map(|target| target.authorization.clone())
    })
}

#[tokio::test]
async fn a_sealed_credential_is_opened_and_never_shown() {
    let store = Arc::new(Model::default());
    let keeper = keeper(&store);
    let sealed = keeper.seal(&org(1), column::PROVIDER_CREDENTIAL, b"sk-a\n").await.unwrap();
    commit(&store, 1, 0, with_providers(&sealed), Vec::new()).await;
    let snapshot = Snapshot::new(keeper);

    snapshot.refresh(store.as_ref()).await.unwrap();

    let [Some(Some(header)), Some(None)] = headers(&snapshot) else { panic!("both are used") };
    assert_eq!(header.as_bytes(), b"Bearer sk-a");
    assert!(header.is_sensitive() && !format!("{header:?}").contains("sk-a"));
}

#[tokio::test]
async fn a_credential_that_does_not_open_takes_only_its_own_deployments_away() {
    let store = Arc::new(Model::default());
    let keeper = keeper(&store);
    let of_another = keeper.seal(&org(2), column::PROVIDER_CREDENTIAL, b"sk-a").await.unwrap();
    let of_another_column = keeper.seal(&org(1), column::CLIENT_SECRET, b"sk-a").await.unwrap();
    let no_header = keeper.seal(&org(1), column::PROVIDER_CREDENTIAL, b"sk-\na").await.unwrap();
    let snapshot = Snapshot::new(keeper);

    for (from, sealed) in (0..).zip([&of_another, &of_another_column, &no_header, "sk-plain"]) {
        commit(&store, 1, from, with_providers(sealed), Vec::new()).await;
        assert_eq!(snapshot.refresh(store.as_ref()).await.unwrap(), [org(1)]);
        assert_eq!(headers(&snapshot), [None, Some(None)]);
    }
}

/// A key service that is away at first.
struct Slow {
    away: AtomicU32,
    master: MasterKey,
}

#[async_trait]
impl KeyWrapper for Slow {
    fn id(&self) -> &str {
        self.master.id()
    }

    async fn wrap(&self, bound_to: &str, key: &[u8]) -> Result<Vec<u8>, SealFault> {
        self.master.wrap(bound_to, key).await
    }

    async fn unwrap(&self, bound_to: &str, wrapped: &[u8]) -> Result<Secret<Vec<u8>>, SealFault> {
        let left = self.away.load(Ordering::Relaxed);
        if 0 < left {
            self.away.store(left - 1, Ordering::Relaxed);
            return Err(SealFault::Away("a time-out".to_owned()));
        }
        self.master.unwrap(bound_to, wrapped).await
    }
}

#[tokio::test]
async fn settings_whose_secrets_cannot_be_opened_now_are_taken_over_later() {
    let store = Arc::new(Model::default());
    let (master, _) = MasterKey::generate().unwrap();
    let slow = Arc::new(Slow { away: AtomicU32::new(0), master });
    let keeper = || Keeper::new(Arc::clone(&store) as Arc<dyn Vault>, slow.clone(), Vec::new());
    let sealed = keeper().seal(&org(1), column::PROVIDER_CREDENTIAL, b"sk-a").await.unwrap();
    commit(&store, 1, 0, with_providers(&sealed), Vec::new()).await;
    commit(&store, 2, 0, objects(2, "UTC"), Vec::new()).await;
    slow.away.store(1, Ordering::Relaxed);
    let snapshot = Snapshot::new(Arc::new(keeper()));

    assert_eq!(snapshot.refresh(store.as_ref()).await.unwrap(), [org(2)]);
    assert_eq!(snapshot.refresh(store.as_ref()).await.unwrap(), [org(1)]);

    assert!(matches!(headers(&snapshot), [Some(Some(_)), Some(None)]));
}
