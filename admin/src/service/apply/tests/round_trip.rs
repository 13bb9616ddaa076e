//! What is exported is what was applied.

use super::*;
use proptest::prelude::*;

#[tokio::test]
async fn what_is_exported_applies_without_a_change() {
    let store = Model::default();
    applied(&store, &example()).await;

    for name in ["acme", "globex"] {
        for ids in [Ids::Left, Ids::Pinned] {
            let exported = export_config(&org(&store, name).await, ids);
            let plan = planned(&store, &exported, Absent::Pruned).await.unwrap();
            assert!(plan.is_empty(), "{plan}\n{exported}");
        }
    }
}

#[tokio::test]
async fn ids_and_names_survive_a_move_to_another_store() {
    let (from, to) = (Model::default(), Model::default());
    applied(&from, &example()).await;
    let exported = export_config(&org(&from, "acme").await, Ids::Pinned);

    let issued = applied(&to, &exported).await;

    assert_eq!(issued.len(), 5, "keys get new secrets");
    let (from, to) = (org(&from, "acme").await, org(&to, "acme").await);
    assert_eq!(from.org, to.org);
    assert_eq!(export_config(&from, Ids::Pinned), export_config(&to, Ids::Pinned));
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z][a-z0-9-]{0,8}",
        "[ -~\u{e9}\u{1f600}\u{2028}]{1,12}",
        prop::sample::select(vec!["null", "yes", "1.10", "0x1", "~", "- a", "#", "a: b", "true"])
            .prop_map(str::to_owned),
    ]
    .prop_map(|name| name.trim().to_owned())
    .prop_filter("a name", |name| !name.is_empty())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn generated_settings_survive_export(
        org_name in word(), support in prop::option::of(word()),
        users in prop::collection::btree_set(word(), 1..4),
        tags in prop::collection::vec("[a-z][a-z0-9_.-]{0,12}", 0..3),
        centre in prop::option::of(word()), active: bool, weight in 1..1000u32,
    ) {
        let head = |kind: &str, name: &str| serde_json::json!({
            "apiVersion": "penstock/v1", "kind": kind, "org": org_name, "name": name,
        });
        let with = |mut document: serde_json::Value, fields: serde_json::Value| {
            for (name, value) in fields.as_object().unwrap() {
                document[name] = value.clone();
            }
            document
        };
        let mut documents = vec![
            serde_json::json!({
                "apiVersion": "penstock/v1", "kind": "Org", "name": org_name, "support": support,
            }),
            with(head("Project", "p"), serde_json::json!({ "tags": tags, "cost_centre": centre })),
            with(head("Group", "g"), serde_json::json!({ "members": users })),
            with(head("Provider", "v"), serde_json::json!({
                "dialect": "openai", "base_url": "https://a.example/v1",
                "credential": { "env": org_name }, "terms": { "trains": false },
            })),
            with(head("Deployment", "d"), serde_json::json!({
                "provider": "v", "model": org_name, "free": true, "active": true,
                "clearance": { "level": "internal", "labels": tags },
            })),
            with(head("Model", "m"), serde_json::json!({
                "deployments": [{ "deployment": "d", "weight": weight, "priority": weight }],
            })),
            with(head("Policy", "y"), serde_json::json!({
                "rules": [{ "label": org_name, "action": "deny" }],
            })),
        ];
        documents.extend(users.iter().map(|user| {
            with(head("User", user), serde_json::json!({ "active": active }))
        }));
        let text = serde_json::Value::Array(documents).to_string();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let store = Model::default();
            applied(&store, &text).await;
            let exported = export_config(&org(&store, &org_name).await, Ids::Left);
            let plan = planned(&store, &exported, Absent::Pruned).await.unwrap();
            assert!(plan.is_empty(), "{plan}\n{exported}");
            let fresh = Model::default();
            applied(&fresh, &exported).await;
            let again = export_config(&org(&fresh, &org_name).await, Ids::Left);
            assert_eq!(again, exported);
        });
    }

    #[test]
    fn no_text_makes_reading_fail_in_another_way_than_by_mistakes(text in "[ -~\n\t]{0,200}") {
        let _ = read(&file(&text));
        let _ = read(&file(&format!("{{{text}")));
    }
}
