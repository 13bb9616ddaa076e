//! Every route, by every role, with ids of the own org, of another one, and of nobody.

use super::town::Town;
use crate::table::{self, Place, Row};
use policies::{
    document::Kind,
    permission::{Permission, Permissions},
    role::{Level, Role},
    route::Method,
};
use serde_json::json;
use std::collections::HashMap;

/// Where the sample of a kind stands.
fn home(kind: Kind) -> Level {
    match kind {
        Kind::Project
        | Kind::Key
        | Kind::ServiceAccount
        | Kind::Limit
        | Kind::Budget
        | Kind::Policy => Level::Project,
        Kind::Unit => Level::Unit,
        Kind::Org
        | Kind::Role
        | Kind::IdentityProvider
        | Kind::User
        | Kind::Group
        | Kind::WorkloadIdentity
        | Kind::AdminKey
        | Kind::Invite
        | Kind::LimitRequest
        | Kind::Provider
        | Kind::Deployment
        | Kind::Tier
        | Kind::Model
        | Kind::Price => Level::Org,
    }
}

/// What somebody with this role has where something stands: every user is a member; the one unit
/// holds the one project.
fn held(role: Role, home: Level) -> Permissions {
    let member = Role::Member.permissions();
    let reaches = match (role.level(), home) {
        (Level::Installation | Level::Org, _) => true,
        (Level::Unit, Level::Unit | Level::Project) => true,
        (Level::Project, Level::Project) => true,
        (Level::Unit | Level::Project, _) => false,
    };
    if reaches { role.permissions().join(member) } else { member }
}

fn is_allowed(row: &Row, role: Role) -> bool {
    let somewhere =
        |permission| role.permissions().join(Role::Member.permissions()).has(permission);
    match row.handler.place {
        Place::Org => held(role, Level::Org).has(row.permission),
        Place::Somewhere => somewhere(row.permission),
        Place::Object(kind, _) => held(role, home(kind)).has(row.permission),
    }
}

/// The row's path with the id of its object; other braces get something that is nowhere.
fn path(row: &Row, ids: &HashMap<Kind, String>) -> String {
    let mut at = 0;
    let segments = row.path.split('/').map(|segment| {
        if !segment.starts_with('{') {
            return segment.to_owned();
        }
        at += 1;
        if let Place::Object(kind, place) = row.handler.place
            && place + 1 == at
        {
            return ids[&kind].clone();
        }
        "nowhere".to_owned()
    });
    segments.collect::<Vec<_>>().join("/")
}

fn nowhere() -> HashMap<Kind, String> {
    Kind::ALL.iter().map(|kind| (*kind, kind.id_text([7; 16]))).collect()
}

#[tokio::test]
async fn every_route_heeds_its_permission_in_every_role() {
    let mut cells = 0;
    for row in table::rows().filter(|row| row.permission != Permission::Public) {
        let mut town = Town::new().await;
        for role in Role::ALL.into_iter().filter(|role| role.level() != Level::Installation) {
            if row.method != Method::Get {
                town = Town::new().await;
            }
            let before = town.revisions().await;
            let key = &town.acme.keys[role.word()];
            let path = path(row, &town.acme.ids);

            let told = town.ask(key, row.method.word(), &path, None).await;

            let cell = format!("{} {path} as {}: {told:?}", row.method.word(), role.word());
            if is_allowed(row, role) {
                assert_ne!(told.status, 401, "{cell}");
                let own = matches!(row.handler.place, Place::Object(..));
                let whole = !row.path.replace("{id}", "").contains('{');
                assert!(!(own && whole) || told.status != 404, "{cell}");
            } else {
                assert!([403, 404].contains(&told.status), "{cell}");
                assert_eq!(town.revisions().await, before, "{cell}");
                assert!(!told.body.contains("\"data\""), "{cell}");
            }
            cells += 1;
        }
    }
    println!("{cells} cells of route x role");
    assert!(1_000 < cells, "{cells}");
}

#[tokio::test]
async fn what_is_of_another_org_is_not_there() {
    let mut cells = 0;
    for row in table::rows() {
        let Place::Object(..) = row.handler.place else { continue };
        let town = Town::new().await;
        for role in Role::ALL.into_iter().filter(|role| role.level() != Level::Installation) {
            let before = town.revisions().await;
            let key = &town.acme.keys[role.word()];
            let (foreign, absent) = (path(row, &town.globex.ids), path(row, &nowhere()));

            let told = town.ask(key, row.method.word(), &foreign, None).await;
            let nothing = town.ask(key, row.method.word(), &absent, None).await;

            assert_eq!(told, nothing, "{} {foreign} as {}", row.method.word(), role.word());
            assert_eq!(told.status, 404, "{} {foreign} as {}", row.method.word(), role.word());
            assert_eq!(town.revisions().await, before);
            cells += 1;
        }
    }
    println!("{cells} cells of route x role x other tenant");
    assert!(500 < cells, "{cells}");
}

#[tokio::test]
async fn no_list_tells_of_another_org() {
    let town = Town::new().await;
    for row in table::rows().filter(|row| row.method == Method::Get) {
        if row.permission == Permission::Public || row.permission == Permission::Operate {
            continue;
        }
        let path = path(row, &town.acme.ids);

        let told = town.ask(&town.acme.keys["owner"], "GET", &path, None).await;

        assert!(!told.body.contains("globex"), "{path}: {}", told.body);
        assert!(!told.body.contains(&town.globex.org.to_string()), "{path}");
    }
}

#[tokio::test]
async fn an_operator_who_names_no_org_changes_none_and_is_told_which_there_are() {
    let town = Town::new().await;
    let (before, user) = (town.revisions().await, json!({ "name": "lost" }));
    let body = || Some(user.clone());
    let own = [("x-penstock-org", "penstock")];

    let read = town.ask(&town.operator, "GET", "/admin/v1/users", None).await;
    let changed = town.ask(&town.operator, "POST", "/admin/v1/users", body()).await;
    let listed = town.ask(&town.operator, "GET", "/v1/organization/users", None).await;
    let me = town.ask(&town.operator, "GET", "/admin/v1/me", None).await;
    let orgs = town.ask(&town.operator, "GET", "/admin/v1/orgs", None).await;

    assert_eq!([read.status, changed.status, listed.status], [400; 3], "{changed:?}");
    assert_eq!((me.status, orgs.status), (200, 200));
    assert_eq!(changed.json()["code"], "org_required");
    for word in ["x-penstock-org", "acme", "globex", "penstock"] {
        assert!(changed.json()["detail"].as_str().unwrap().contains(word), "{changed:?}");
    }
    assert_eq!(town.revisions().await, before);
    let named = town.ask_with(&town.operator, "POST", "/admin/v1/users", body(), &own).await;
    assert_eq!(named.status, 201, "{named:?}");
}

#[tokio::test]
async fn a_filter_that_is_misspelt_is_a_mistake_and_not_passed_over() {
    let town = Town::new().await;
    let owner = &town.acme.keys["owner"];

    let told = town.ask(owner, "GET", "/admin/v1/keys?projekt=search", None).await;

    assert_eq!(told.status, 400, "{told:?}");
    assert_eq!(told.json()["errors"][0]["field"], "projekt");
    assert!(told.body.contains("project"), "{told:?}");
}

#[tokio::test]
async fn only_an_operator_chooses_the_org() {
    let town = Town::new().await;
    let org = [("x-penstock-org", "globex")];

    let operator = town.ask_with(&town.operator, "GET", "/admin/v1/users", None, &org).await;
    let owner = &town.acme.keys["owner"];
    let owner = town.ask_with(owner, "GET", "/admin/v1/users", None, &org).await;
    let nobody = [("x-penstock-org", "nobody")];
    let absent = town.ask_with(&town.acme.keys["owner"], "GET", "/admin/v1/users", None, &nobody);

    assert!(operator.status == 200 && operator.body.contains("globex-owner"), "{operator:?}");
    assert_eq!(owner.status, 404);
    assert_eq!(owner, absent.await);
}
