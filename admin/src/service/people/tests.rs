//! People of all kinds come to an office with the word of its provider.

use super::*;
use crate::{api::objects::shape::document, tests::town::Ready};
use policies::ids::Revision;
use serde_json::json;
use std::sync::Arc;
use store::{
    Change, Directory, Registry,
    audit::{ActFilter, Actor, ActorKind, AuditLog, Order, Outcome},
    model::Model,
};

const ORG: OrgId = OrgId::from_bytes([1; 16]);

/// An org with the usual people, and a provider with these further settings.
struct Office {
    store: Arc<Model>,
    services: Services,
    provider: IdentityProvider,
}

impl Office {
    async fn new(settings: Value) -> Self {
        let mut provider =
            json!({ "name": "idp", "issuer": "https://idp.example", "client_id": "c" });
        crate::api::objects::shape::merge(&mut provider, &settings);
        let invite = json!({
            "name": "i", "email": "Guest@x.example", "expires": "2999-01-01",
            "roles": ["auditor"], "projects": [{ "project": "p", "role": "developer" }],
        });
        let late = json!({ "name": "late", "email": "late@x.example", "expires": "2020-01-01" });
        let gone = json!({ "name": "gone", "email": "gone@x.example", "active": false });
        let bodies = [
            (Kind::Org, json!({ "name": "acme" })),
            (Kind::IdentityProvider, provider.clone()),
            (Kind::Project, json!({ "name": "p" })),
            (Kind::User, json!({ "name": "boss", "roles": ["owner"] })),
            (Kind::User, json!({ "name": "ada", "email": "Ada@X.example" })),
            (Kind::User, gone),
            (Kind::User, json!({ "name": "twin1", "email": "twin@x.example" })),
            (Kind::User, json!({ "name": "twin2", "email": "twin@x.example" })),
            (Kind::Group, json!({ "name": "auditors", "claim": "g-aud", "roles": ["auditor"] })),
            (Kind::Group, json!({ "name": "admins", "claim": "g-adm", "roles": ["admin"] })),
            (Kind::Group, json!({ "name": "by hand", "members": ["ada"] })),
            (Kind::Invite, invite),
            (Kind::Invite, late),
        ];
        let mut put: Vec<Object> = bodies
            .into_iter()
            .map(|(kind, body)| Object {
                id: store::entropy::id().unwrap(),
                document: document(kind, "acme", body).unwrap(),
            })
            .collect();
        put[0].id = *ORG.as_bytes();
        let Document::IdentityProvider(provider) = put[1].document.clone() else { unreachable!() };
        let store = Arc::new(Model::default());
        let (from, remove, acts) = (Revision(0), Vec::new(), Vec::new());
        store.commit(vec![Change { org: ORG, from, put, remove, acts }]).await.unwrap();
        let services = Services::new(Arc::clone(&store) as Arc<_>, Arc::new(Ready));
        Self { store, services, provider }
    }

    async fn come(&self, claims: Value) -> Result<UserId, Refused> {
        let act = Act {
            at: clock::now(),
            actor: Actor { kind: ActorKind::System, id: String::new(), name: "idp".to_owned() },
            address: None,
            action: "ignored".to_owned(),
            outcome: Outcome::Done,
            target: None,
            before: None,
            after: None,
            reason: None,
            request: None,
            via: "api".to_owned(),
            revision: None,
        };
        let claims = claims.as_object().unwrap();
        recognised(&self.services, &ORG, &self.provider, claims, act).await.unwrap()
    }

    async fn objects(&self) -> Vec<Object> {
        self.store.settings(&ORG).await.unwrap().unwrap().objects
    }

    async fn user(&self, id: UserId) -> User {
        let found = self.objects().await.into_iter().find(|it| it.id == *id.as_bytes());
        let Some(Document::User(user)) = found.map(|it| it.document) else { panic!("no user") };
        user
    }

    async fn members(&self, name: &str) -> Vec<String> {
        let groups = self.objects().await.into_iter().filter_map(|it| {
            let Document::Group(group) = it.document else { return None };
            (group.name == name).then_some(group.members)
        });
        groups.flatten().collect()
    }

    async fn revision(&self) -> Revision {
        self.store.settings(&ORG).await.unwrap().unwrap().revision
    }
}

#[tokio::test]
async fn somebody_unknown_becomes_a_user_only_where_the_org_says_so() {
    let closed = Office::new(json!({})).await;
    let open = Office::new(json!({ "create_users": true })).await;
    let claims = json!({ "sub": "s1", "email": "new@x.example", "email_verified": true });

    let refused = closed.come(claims.clone()).await;
    let made = open.come(claims.clone()).await.unwrap();
    let again = open.come(claims).await.unwrap();

    assert_eq!(refused, Err(Refused::Unknown));
    assert_eq!(closed.revision().await, Revision(1));
    assert_eq!(made, again);
    let user = open.user(made).await;
    assert_eq!(
        (user.name.as_str(), user.email.as_deref()),
        ("new@x.example", user.email.as_deref())
    );
    assert_eq!(user.identities.len(), 1);
    assert!(user.roles.is_empty());
    assert_eq!(open.revision().await, Revision(2), "the second sign-in wrote nothing");
}

#[tokio::test]
async fn an_address_joins_only_where_it_is_verified_and_trusted() {
    let trusting = json!({ "trust_email": true, "create_users": true });
    for (settings, verified, joined) in [
        (trusting.clone(), json!(true), Ok(true)),
        (trusting.clone(), json!(false), Ok(false)),
        (trusting.clone(), json!("true"), Ok(false)),
        (trusting, Value::Null, Ok(false)),
        (json!({ "create_users": true }), json!(true), Err(Refused::AddressTaken)),
        (
            json!({ "trust_email": true, "claims": { "email": "upn" } }),
            json!(true),
            Err(Refused::Unknown),
        ),
    ] {
        let office = Office::new(settings).await;
        let claims = json!({
            "sub": "s", "email": "ada@x.EXAMPLE", "upn": "ada@x.example",
            "email_verified": verified,
        });

        let came = office.come(claims).await;

        let name = match came {
            Ok(id) => Ok(office.user(id).await.name == "ada"),
            Err(refused) => Err(refused),
        };
        assert_eq!(name, joined, "{verified}");
        if let Ok(id) = came {
            let email = office.user(id).await.email;
            assert_eq!(email.is_some(), joined == Ok(true), "an address not proven is not kept");
        }
    }
}

#[tokio::test]
async fn one_user_is_not_two_people_of_one_provider() {
    let office = Office::new(json!({ "trust_email": true, "create_users": true })).await;
    let claims =
        |sub: &str| json!({ "sub": sub, "email": "ada@x.example", "email_verified": true });

    let first = office.come(claims("s1")).await;
    let second = office.come(claims("s2")).await;
    let twin = json!({ "sub": "t", "email": "twin@x.example", "email_verified": true });
    let twin = office.come(twin).await;

    assert!(first.is_ok());
    assert_eq!(second, Err(Refused::AddressTaken));
    assert_eq!(twin, Err(Refused::Ambiguous));
}

#[tokio::test]
async fn whoever_is_inactive_stays_outside_by_every_way() {
    let office = Office::new(json!({ "trust_email": true, "create_users": true })).await;
    let claims = json!({ "sub": "s", "email": "gone@x.example", "email_verified": true });

    assert_eq!(office.come(claims).await, Err(Refused::Inactive));
    assert_eq!(office.come(json!({ "email": "x@x.example" })).await, Err(Refused::NoSubject));
    assert_eq!(office.come(json!({ "sub": "" })).await, Err(Refused::NoSubject));
    assert_eq!(office.revision().await, Revision(1));
}

#[tokio::test]
async fn an_invite_is_accepted_once_with_all_that_it_promises() {
    let office = Office::new(json!({ "trust_email": true })).await;
    let claims = |sub: &str, email: &str, verified| json!({ "sub": sub, "email": email, "email_verified": verified });

    let unproven = office.come(claims("s0", "guest@x.example", false)).await;
    let late = office.come(claims("s1", "late@x.example", true)).await;
    let guest = office.come(claims("s2", "guest@x.example", true)).await.unwrap();
    let second = office.come(claims("s3", "guest@x.example", true)).await;

    assert_eq!(unproven, Err(Refused::Unknown));
    assert_eq!(late, Err(Refused::Unknown));
    assert_eq!(second, Err(Refused::AddressTaken));
    let user = office.user(guest).await;
    assert_eq!(user.roles, ["auditor"]);
    for object in office.objects().await {
        if let Document::Project(project) = &object.document {
            assert_eq!(project.members.len(), 1);
        }
        if let Document::Invite(invite) = &object.document {
            assert_eq!(invite.accepted.is_some(), invite.name == "i");
        }
    }
}

#[tokio::test]
async fn an_address_that_is_not_trusted_takes_up_no_invite() {
    let claims = json!({ "sub": "thief", "email": "guest@x.example", "email_verified": true });
    let closed = Office::new(json!({})).await;
    let open = Office::new(json!({ "create_users": true })).await;

    let refused = closed.come(claims.clone()).await;
    let made = open.come(claims).await.unwrap();

    assert_eq!(refused, Err(Refused::InviteUntrusted));
    assert_eq!(open.user(made).await.roles, Vec::<String>::new());
    for object in open.objects().await {
        if let Document::Invite(invite) = &object.document {
            assert_eq!(invite.accepted, None);
        }
    }
}

#[tokio::test]
async fn a_subject_that_looks_like_an_id_gives_nobody_an_ids_name() {
    let office = Office::new(json!({ "create_users": true })).await;
    let thief = format!("user_{}", "0".repeat(32));

    let made = office.come(json!({ "sub": thief })).await.unwrap();

    assert_eq!(office.user(made).await.name, format!("{thief} 2"));
}

#[tokio::test]
async fn one_providers_word_fills_no_group_of_anothers() {
    let office = Office::new(json!({ "create_users": true })).await;
    let other = json!({ "name": "other", "issuer": "https://other.example", "client_id": "c" });
    let settings = office.store.settings(&ORG).await.unwrap().unwrap();
    let id = store::entropy::id().unwrap();
    let mut put =
        vec![Object { id, document: document(Kind::IdentityProvider, "acme", other).unwrap() }];
    for mut object in settings.objects {
        if let Document::Group(group) = &mut object.document
            && let Some(claim) = &group.claim
        {
            let whose = if claim == "g-aud" { "idp" } else { "other" };
            group.claim_provider = Some(whose.to_owned());
            put.push(object);
        }
    }
    let (from, remove, acts) = (settings.revision, Vec::new(), Vec::new());
    office.store.commit(vec![Change { org: ORG, from, put, remove, acts }]).await.unwrap();

    office.come(json!({ "sub": "s", "groups": ["g-aud", "g-adm"] })).await.unwrap();

    assert_eq!(office.members("auditors").await.len(), 1);
    assert_eq!(office.members("admins").await, Vec::<String>::new());
}

#[tokio::test]
async fn groups_with_a_claim_follow_it_and_no_others() {
    let office =
        Office::new(json!({ "trust_email": true, "claims": { "groups": "realm.groups" } }));
    let office = office.await;
    let claims = |groups: Value| {
        json!({
            "sub": "s", "email": "ada@x.example", "email_verified": true,
            "realm": { "groups": groups },
        })
    };

    office.come(claims(json!(["g-aud", "by hand", "g-else"]))).await.unwrap();
    let first = (office.members("auditors").await, office.members("admins").await);
    office.come(claims(json!("g-adm"))).await.unwrap();
    let second = (office.members("auditors").await, office.members("admins").await);
    let before = office.revision().await;
    office.come(claims(json!("g-adm"))).await.unwrap();
    let same = office.revision().await;
    office.come(claims(Value::Null)).await.unwrap();
    let last = (office.members("auditors").await, office.members("admins").await);

    let ada = || vec!["ada".to_owned()];
    assert_eq!(first, (ada(), vec![]));
    assert_eq!(second, (vec![], ada()));
    assert_eq!(last, (vec![], vec![]));
    assert_eq!(office.members("by hand").await, ada());
    assert_eq!(before, same);
}

#[tokio::test]
async fn what_a_sign_in_changes_is_in_the_audit_log() {
    let office = Office::new(json!({ "create_users": true })).await;

    office.come(json!({ "sub": "s", "groups": ["g-aud"] })).await.unwrap();

    let all = ActFilter::default();
    let rows = office.store.acts(&ORG, &all, Order::Oldest, None, 10);
    let acts: Vec<Act> = rows.await.unwrap().iter().map(|row| row.act().unwrap()).collect();
    let mut actions: Vec<&str> = acts.iter().map(|act| act.action.as_str()).collect();
    actions.sort_unstable();
    assert_eq!(actions, ["group.updated", "user.created"]);
    assert!(acts.iter().all(|act| act.via == "login"));
}

#[test]
fn addresses_are_alike_in_ascii_alone() {
    assert!(same_address("Ada@X.example", " ada@x.example"));
    // The Kelvin sign folds to `k`.
    assert!(!same_address("\u{212a}im@x.example", "kim@x.example"));
}

#[test]
fn names_are_free_of_what_names_may_not_have() {
    assert_eq!(printable(" a\u{0}b \n", 10), "ab");
    assert_eq!(printable("abcdef", 3), "abc");
}
