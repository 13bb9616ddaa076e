//! What opens and what does not, with the model of a store.

use super::*;
use crate::{INSTALLATION, model::Model, vault::Vault};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::{sync::Arc, time::Duration};

const ACME: OrgId = OrgId::from_bytes([1; 16]);
const OTHER: OrgId = OrgId::from_bytes([2; 16]);
const COLUMN: &str = column::PROVIDER_CREDENTIAL;
const VALUE: &[u8] = b"sk-a-credential";

fn master() -> Arc<MasterKey> {
    Arc::new(MasterKey::generate().unwrap().0)
}

fn keeper(store: &Arc<Model>, current: &Arc<MasterKey>, older: &[&Arc<MasterKey>]) -> Keeper {
    let older = older.iter().map(|key| Arc::clone(key) as Arc<dyn KeyWrapper>).collect();
    Keeper::new(Arc::clone(store) as Arc<dyn Vault>, Arc::clone(current) as _, older)
}

fn world() -> (Arc<Model>, Arc<MasterKey>, Keeper) {
    let (store, master) = (Arc::new(Model::default()), master());
    let keeper = keeper(&store, &master, &[]);
    (store, master, keeper)
}

/// The value, or why there is none.
async fn opened(keeper: &Keeper, org: OrgId, column: &str, text: &str) -> Result<Vec<u8>, String> {
    let secret = keeper.open(&org, column, text).await;
    secret.map(|secret| secret.expose().clone()).map_err(|fault| fault.to_string())
}

#[tokio::test]
async fn a_sealed_value_opens_where_it_was_sealed() {
    let (store, master, keeper) = world();
    let sealed = keeper.seal(&ACME, COLUMN, VALUE).await.unwrap();
    let empty = keeper.seal(&ACME, COLUMN, b"").await.unwrap();

    assert_eq!(opened(&keeper, ACME, COLUMN, &sealed).await.unwrap(), VALUE);
    assert_eq!(opened(&keeper, ACME, COLUMN, &empty).await.unwrap(), b"");
    let restarted = self::keeper(&store, &master, &[]);
    assert_eq!(opened(&restarted, ACME, COLUMN, &sealed).await.unwrap(), VALUE);
    let again = keeper.seal(&ACME, COLUMN, VALUE).await.unwrap();
    assert_ne!(sealed, again, "each has a nonce of its own");
}

#[tokio::test]
async fn a_value_that_was_moved_does_not_open() {
    let (store, _, keeper) = world();
    let sealed = keeper.seal(&ACME, COLUMN, VALUE).await.unwrap();
    keeper.seal(&OTHER, COLUMN, VALUE).await.unwrap();

    for (org, column) in [(OTHER, COLUMN), (ACME, column::CLIENT_SECRET)] {
        let refused = keeper.open(&org, column, &sealed).await;
        assert!(matches!(refused, Err(SealFault::Refused)), "{org} {column}");
    }
    let refused = keeper.open(&INSTALLATION, COLUMN, &sealed).await;
    assert!(matches!(refused, Err(SealFault::NoDataKey { version: 1, .. })));
    assert_eq!(store.data_keys(&INSTALLATION).await.unwrap(), [], "to open makes no key");
}

#[tokio::test]
async fn a_data_key_that_was_moved_to_another_org_opens_nothing() {
    let (store, master, keeper) = world();
    let sealed = keeper.seal(&ACME, COLUMN, VALUE).await.unwrap();
    let stolen = store.data_keys(&ACME).await.unwrap();
    assert!(store.add_data_key(&OTHER, &stolen[0]).await.unwrap());

    let refused = self::keeper(&store, &master, &[]).open(&OTHER, COLUMN, &sealed).await;

    assert!(matches!(refused, Err(SealFault::Refused)));
}

#[tokio::test]
async fn a_value_of_which_any_byte_was_changed_does_not_open() {
    let (_, _, keeper) = world();
    let sealed = STANDARD.decode(keeper.seal(&ACME, COLUMN, VALUE).await.unwrap()).unwrap();

    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        let text = STANDARD.encode(&changed);
        assert!(opened(&keeper, ACME, COLUMN, &text).await.is_err(), "byte {at}");
        let cut = STANDARD.encode(&sealed[..at]);
        assert!(opened(&keeper, ACME, COLUMN, &cut).await.is_err(), "cut at {at}");
    }
    for text in ["", "?", "sk-plain-text", "AAAA"] {
        let refused = keeper.open(&ACME, COLUMN, text).await;
        assert!(matches!(refused, Err(SealFault::Malformed)), "{text}");
    }
}

#[tokio::test]
async fn what_is_too_long_is_not_sealed() {
    let (_, _, keeper) = world();

    let most = vec![7; SECRET_BYTES_MAX];
    let sealed = keeper.seal(&ACME, COLUMN, &most).await.unwrap();
    let refused = keeper.seal(&ACME, COLUMN, &vec![7; SECRET_BYTES_MAX + 1]).await;

    assert_eq!(opened(&keeper, ACME, COLUMN, &sealed).await.unwrap(), most);
    assert!(matches!(refused, Err(SealFault::TooLong)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn gateways_that_need_the_first_data_key_at_once_come_to_the_same() {
    let (store, master, _) = world();
    let seal = || {
        let keeper = keeper(&store, &master, &[]);
        async move { keeper.seal(&ACME, COLUMN, VALUE).await.unwrap() }
    };
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        tasks.spawn(seal());
    }
    let limit = Duration::from_secs(20);
    let sealed = tokio::time::timeout(limit, tasks.join_all()).await.unwrap();

    assert_eq!(store.data_keys(&ACME).await.unwrap().len(), 1);
    let reader = keeper(&store, &master, &[]);
    for text in sealed {
        assert_eq!(opened(&reader, ACME, COLUMN, &text).await.unwrap(), VALUE);
    }
}

#[tokio::test]
async fn after_a_rewrap_the_old_master_key_is_not_needed() {
    let (store, old, before) = world();
    before.check().await.unwrap();
    let sealed = before.seal(&ACME, COLUMN, VALUE).await.unwrap();
    before.seal(&OTHER, COLUMN, VALUE).await.unwrap();
    let new = master();

    let refused = keeper(&store, &new, &[]).check().await.unwrap_err();
    assert!(matches!(refused, SealFault::UnknownMaster { keys: 3, .. }), "{refused}");
    let both = keeper(&store, &new, &[&old]);
    both.check().await.unwrap();
    assert_eq!(opened(&both, ACME, COLUMN, &sealed).await.unwrap(), VALUE);
    let signer = both.public_key("audit").await.unwrap();
    assert_eq!(both.rewrap().await.unwrap(), Rewrapped { changed: 3, unchanged: 0 });
    assert_eq!(both.rewrap().await.unwrap(), Rewrapped { changed: 0, unchanged: 3 });

    let after = keeper(&store, &new, &[]);
    after.check().await.unwrap();
    assert_eq!(opened(&after, ACME, COLUMN, &sealed).await.unwrap(), VALUE);
    assert_eq!(after.public_key("audit").await.unwrap(), signer);
    assert!(keeper(&store, &old, &[]).check().await.is_err());
}

#[tokio::test]
async fn an_installation_key_that_somebody_changed_stops_the_start() {
    let (store, master, keeper) = world();
    keeper.check().await.unwrap();
    let from = store.data_keys(&INSTALLATION).await.unwrap().remove(0);
    let mut to = from.clone();
    to.blob[20] ^= 1;
    assert!(store.rewrap(&[(INSTALLATION, from, to)]).await.unwrap());

    let refused = self::keeper(&store, &master, &[]).check().await;

    assert!(matches!(refused, Err(SealFault::Spoiled)));
}

#[tokio::test]
async fn each_purpose_has_its_own_signing_key_and_every_start_has_the_same() {
    let (store, master, keeper) = world();
    let pair = keeper.signing_key("audit").await.unwrap();
    let signature = pair.sign(b"a checkpoint");

    let restarted = self::keeper(&store, &master, &[]);
    let public = restarted.public_key("audit").await.unwrap();
    let verified =
        UnparsedPublicKey::new(&ED25519, public).verify(b"a checkpoint", signature.as_ref());
    assert!(verified.is_ok());
    assert_ne!(restarted.public_key("credentials").await.unwrap(), public);
}

#[test]
fn a_master_key_is_read_from_base64_and_hexadecimal() {
    let (key, text) = MasterKey::generate().unwrap();
    let bytes = STANDARD.decode(text.expose()).unwrap();
    let unpadded = text.expose().trim_end_matches('=').to_owned();
    let spellings =
        [format!(" {}\n", text.expose()), unpadded, hex::encode(&bytes), hex::encode_upper(&bytes)];

    for text in spellings {
        assert_eq!(MasterKey::parse(&text).ok().unwrap().id(), key.id());
    }
    assert_eq!(key.id().len(), 16);
}

#[test]
fn weak_master_keys_are_refused_and_never_repeated_in_the_message() {
    let base64 = |bytes: &[u8]| STANDARD.encode(bytes);
    let counting: Vec<u8> = (0..32).collect();
    let (half, bytes) = (counting[..16].repeat(2), |byte: u8| base64(&[byte; 32]));
    let rows = [
        (String::new(), BadMasterKey::Empty),
        ("correct horse battery staple".to_owned(), BadMasterKey::Word),
        ("changeme".to_owned(), BadMasterKey::Length(6)),
        ("hunter2!".to_owned(), BadMasterKey::Word),
        (base64(&counting[..31]), BadMasterKey::Length(31)),
        (hex::encode([3; 33]), BadMasterKey::Length(33)),
        (bytes(0), BadMasterKey::Uniform),
        ("f".repeat(64), BadMasterKey::Uniform),
        (base64(&counting), BadMasterKey::Sequence),
        (base64(&half), BadMasterKey::Repetitive(16)),
        (base64(b"changeme-changeme-changeme-chang"), BadMasterKey::Text),
        (base64(b"The quick brown fox jumps over i"), BadMasterKey::Text),
    ];
    for (text, expected) in rows {
        let refused = MasterKey::parse(&text).err();
        assert_eq!(refused, Some(expected), "{text}");
        let said = expected.to_string();
        assert!(text.is_empty() || !said.contains(&text), "{said}");
        assert!(said.contains("generate-master-key"), "{said}");
    }
}

#[test]
fn the_sample_of_the_manual_is_no_master_key() {
    let manual = include_str!("../../../../admin/manual/secrets.md");
    let sample = manual.lines().map(str::trim).find(|line| line.ends_with('=') && line.len() == 44);

    assert_eq!(MasterKey::parse(sample.unwrap()).err(), Some(BadMasterKey::Sample));
}
