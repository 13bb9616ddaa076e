//! Changes that happen whole or not at all.

mod mistakes;
mod round_trip;
mod sealing;

use super::*;
use crate::service::export_config::{Ids, export_config};
use policies::{
    document::{Kind, Object},
    ids::Revision,
    key::check_key_text,
};
use store::{Settings, model::Model};

const EXAMPLE: &str = include_str!("../../../../gateway/example.yaml");

const SMALL: &str = "\
apiVersion: penstock/v1
kind: Org
name: acme
---
apiVersion: penstock/v1
kind: Project
org: acme
name: assistant
---
apiVersion: penstock/v1
kind: User
org: acme
name: ada
---
apiVersion: penstock/v1
kind: Key
org: acme
name: laptop
project: assistant
owner: { user: ada }
";

fn example() -> String {
    EXAMPLE.replace("${SIMULATED_URL}", "http://127.0.0.1:9/v1")
}

fn file(text: &str) -> Vec<File> {
    vec![File { name: "x.yaml".to_owned(), text: text.to_owned() }]
}

async fn planned(store: &Model, text: &str, absent: Absent) -> Result<Plan, Failure> {
    plan(store, read(&file(text)), absent, Credentials::Kept).await
}

async fn applied(store: &Model, text: &str) -> Vec<Issued> {
    planned(store, text, Absent::Kept).await.unwrap().commit(store).await.unwrap()
}

async fn refused(store: &Model, text: &str) -> Vec<String> {
    match planned(store, text, Absent::Kept).await {
        Err(Failure::Mistakes(mistakes)) => mistakes.iter().map(ToString::to_string).collect(),
        other => panic!("no mistakes: {other:?}"),
    }
}

async fn org(store: &Model, name: &str) -> Settings {
    orgs::pick(orgs::all(store).await.unwrap(), Some(name)).unwrap()
}

fn find<'a>(settings: &'a Settings, kind: Kind, name: &str) -> Option<&'a Object> {
    let same = |it: &&Object| it.document.kind() == kind && it.document.name() == name;
    settings.objects.iter().find(same)
}

#[tokio::test]
async fn the_example_applies_and_applying_it_again_changes_nothing() {
    let store = Model::default();

    let issued = applied(&store, &example()).await;
    let again = planned(&store, &example(), Absent::Pruned).await.unwrap();

    assert_eq!(issued.len(), 6);
    assert!(again.is_empty(), "{again}");
    assert!(again.to_string().starts_with("no changes"), "{again}");
    assert_eq!(again.counts().unchanged, 59);
    assert!(again.commit(&store).await.unwrap().is_empty());
    assert_eq!(org(&store, "acme").await.revision, Revision(1));
    assert_eq!(org(&store, "globex").await.revision, Revision(1));
}

#[tokio::test]
async fn a_key_gets_a_secret_once_and_the_store_never_has_it() {
    let store = Model::default();

    let issued = applied(&store, SMALL).await;
    let again =
        applied(&store, &SMALL.replace("{ user: ada }", "{user: ada}\nactive: false")).await;

    let [key] = issued.as_slice() else { panic!("one key") };
    assert!(check_key_text(key.reveal()));
    assert!(!format!("{issued:?}").contains(key.reveal()));
    assert!(again.is_empty(), "a key that is there keeps its secret");
    let settings = org(&store, "acme").await;
    let hash = hex::encode(fingerprint(key.reveal()));
    let stored = serde_json::to_string(&settings.objects).unwrap();
    assert!(stored.contains(&hash) && !stored.contains(key.reveal()));
    assert!(!export_config(&settings, Ids::Pinned).contains(&hash));
    let keys = store.keys().await.unwrap();
    assert_eq!(keys, [(fingerprint(key.reveal()), settings.org, key.id)]);
}

#[tokio::test]
async fn a_pinned_object_with_another_name_is_renamed_and_what_refers_to_it_follows() {
    let store = Model::default();
    applied(&store, SMALL).await;
    let id = find(&org(&store, "acme").await, Kind::Project, "assistant").unwrap().id;
    let text = format!(
        "apiVersion: penstock/v1\nkind: Project\nid: {}\norg: acme\nname: helper\n",
        Kind::Project.id_text(id)
    );

    let plan = planned(&store, &text, Absent::Kept).await.unwrap();
    let shown = plan.to_string();
    plan.commit(&store).await.unwrap();

    assert!(shown.contains("~ project assistant is renamed to helper"), "{shown}");
    assert!(shown.contains("~ key laptop\n      project: assistant -> helper"), "{shown}");
    assert!(shown.contains("0 created, 1 changed, 1 renamed, 0 removed, 2 unchanged"), "{shown}");
    let settings = org(&store, "acme").await;
    assert_eq!(find(&settings, Kind::Project, "helper").unwrap().id, id);
    let Document::Key(key) = &find(&settings, Kind::Key, "laptop").unwrap().document else {
        panic!("a key")
    };
    assert_eq!(key.project, "helper");
    assert!(key.sha256.is_some());
}

#[tokio::test]
async fn the_old_name_of_a_renamed_object_is_free_for_a_new_one() {
    let store = Model::default();
    applied(&store, SMALL).await;
    let id = find(&org(&store, "acme").await, Kind::User, "ada").unwrap().id;
    let user = "apiVersion: penstock/v1\nkind: User\norg: acme\n";
    let text =
        format!("{user}name: ada\n---\n{user}name: lovelace\nid: {}\n", Kind::User.id_text(id));

    applied(&store, &text).await;

    let settings = org(&store, "acme").await;
    assert_eq!(find(&settings, Kind::User, "lovelace").unwrap().id, id);
    assert_ne!(find(&settings, Kind::User, "ada").unwrap().id, id);
    let key = &find(&settings, Kind::Key, "laptop").unwrap().document;
    assert!(serde_json::to_string(key).unwrap().contains("lovelace"));
}

#[tokio::test]
async fn an_org_is_renamed_with_all_that_it_has() {
    let store = Model::default();
    applied(&store, SMALL).await;
    let before = org(&store, "acme").await;
    let text = format!("apiVersion: penstock/v1\nkind: Org\nid: {}\nname: emca\n", before.org);

    applied(&store, &text).await;

    let after = org(&store, "emca").await;
    assert_eq!(after.org, before.org);
    assert!(after.objects.iter().all(|object| object.document.org() == "emca"));
    assert_eq!(
        refused(&store, &SMALL.split_once("---\n").unwrap().1.replace("laptop", "l")).await.len(),
        3
    );
}

#[tokio::test]
async fn what_a_file_leaves_out_stays_unless_it_is_pruned() {
    let store = Model::default();
    applied(&store, &example()).await;
    let extra = "\
apiVersion: penstock/v1
kind: User
org: globex
name: extra
";
    applied(&store, extra).await;

    let kept = planned(&store, &example(), Absent::Kept).await.unwrap();
    let pruned = planned(&store, &example(), Absent::Pruned).await.unwrap();
    let shown = pruned.to_string();
    pruned.commit(&store).await.unwrap();

    assert!(kept.is_empty());
    assert!(shown.contains("  - user extra\n"), "{shown}");
    assert!(!shown.contains("org acme"), "{shown}");
    assert!(find(&org(&store, "globex").await, Kind::User, "extra").is_none());
    assert_eq!(org(&store, "acme").await.revision, Revision(1));
    assert_eq!(org(&store, "globex").await.revision, Revision(3));
}

#[tokio::test]
async fn pruning_what_is_still_needed_tells_who_needs_it() {
    let store = Model::default();
    applied(&store, SMALL).await;
    let text = SMALL.split("---\n").enumerate().filter(|(at, _)| *at != 2);
    let text: Vec<&str> = text.map(|(_, document)| document).collect();

    let mistakes = planned(&store, &text.join("---\n"), Absent::Pruned).await.unwrap_err();

    assert_eq!(
        mistakes.to_string(),
        "x.yaml:15: key laptop: owner: needs user `ada`, which the change would remove"
    );
}

#[tokio::test]
async fn a_change_in_between_is_a_conflict_and_changes_nothing() {
    let store = Model::default();
    applied(&store, SMALL).await;
    let user =
        |name: &str| format!("apiVersion: penstock/v1\nkind: User\norg: acme\nname: {name}\n");
    let late = planned(&store, &user("late"), Absent::Kept).await.unwrap();

    applied(&store, &user("quick")).await;
    let failure = late.commit(&store).await.unwrap_err();

    assert!(matches!(failure, Failure::Conflict(name) if name == "acme"));
    assert!(find(&org(&store, "acme").await, Kind::User, "late").is_none());
}
