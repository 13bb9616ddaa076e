//! Two orgs with one of everything and somebody in every role, for tests of authority.

use crate::{
    api::{objects::shape::document, openapi::EXAMPLES},
    gate,
    probe::{Probe, Readiness, Sharing, Trial, Tried},
    service::{apply::secret_of, sign_in::SignIn},
    services::Services,
};
use axum::{body::Body, http::Request};
use policies::{
    authority::INSTALLATION,
    document::{Document, Kind, Object},
    ids::{OrgId, ProviderId, Revision},
    key::admin_key_text,
    role::{Level, Role},
};
use serde_json::{Value, json};
use std::{collections::HashMap, net::IpAddr, sync::Arc};
use store::{
    Change, Directory, Registry, entropy,
    model::Model,
    seal::{Keeper, MasterKey},
};

pub(crate) struct Ready;

#[async_trait::async_trait]
impl Probe for Ready {
    fn readiness(&self) -> Readiness {
        Readiness {
            store: true,
            journal: true,
            snapshot: true,
            draining: false,
            limits: Sharing::Process,
        }
    }

    async fn try_provider(&self, _: &OrgId, _: &ProviderId) -> Trial {
        Trial { tried: Tried::Reachable, status: Some(200), latency_millis: 7 }
    }
}

/// One org of the town.
pub(crate) struct House {
    pub(crate) org: OrgId,
    /// The secret of the admin key of whoever holds a role.
    pub(crate) keys: HashMap<&'static str, String>,
    /// The id of the sample of each kind, as text.
    pub(crate) ids: HashMap<Kind, String>,
}

pub(crate) struct Town {
    pub(crate) services: Arc<Services>,
    pub(crate) store: Arc<Model>,
    pub(crate) acme: House,
    pub(crate) globex: House,
    pub(crate) operator: String,
}

/// An answer as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) etag: Option<String>,
}

impl Told {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

fn object(kind: Kind, org: &str, body: Value) -> Object {
    let document = document(kind, org, body).unwrap();
    Object { id: entropy::id().unwrap(), document }
}

/// A key for administration that is this user's, and its secret.
fn key(org: &str, user: &str) -> (Object, String) {
    let (secret, hash) = secret_of(admin_key_text).unwrap();
    let body = json!({ "name": format!("{user}-key"), "owner": { "user": user } });
    let mut key = object(Kind::AdminKey, org, body);
    if let Document::AdminKey(key) = &mut key.document {
        key.sha256 = Some(hash);
    }
    (key, secret)
}

async fn build(store: &Model, name: &'static str) -> House {
    let org = OrgId::from_bytes(entropy::id().unwrap());
    let mut objects =
        vec![Object { id: *org.as_bytes(), ..object(Kind::Org, name, json!({"name": name})) }];
    for (kind, text) in EXAMPLES {
        let kind = *Kind::ALL.iter().find(|it| format!("{it:?}") == *kind).unwrap();
        let mut body: Value = serde_json::from_str(text).unwrap();
        if kind == Kind::Price {
            body["deployment"] = json!("metered");
            let metered = json!({ "name": "metered", "provider": "cloud", "model": "m" });
            objects.push(object(Kind::Deployment, name, metered));
        }
        objects.push(object(kind, name, body));
    }
    let wish = json!({
        "name": "wish", "budget": "search-month", "wanted": { "limit": "300" },
        "reason": "growth", "by": "lin", "state": "pending",
    });
    objects.push(object(Kind::LimitRequest, name, wish));
    let ids = objects.iter().map(|it| {
        let kind = it.document.kind();
        (kind, kind.id_text(it.id))
    });
    let ids = ids.collect();
    let mut keys = HashMap::new();
    for role in Role::ALL.into_iter().filter(|role| role.level() != Level::Installation) {
        let user = format!("{name}-{}", role.word());
        let roles = if role.level() == Level::Org && role != Role::Member {
            vec![role.word()]
        } else {
            vec![]
        };
        objects.push(object(Kind::User, name, json!({ "name": user, "roles": roles })));
        for object in &mut objects {
            let mut value = serde_json::to_value(&object.document).unwrap();
            match (&object.document, role.level()) {
                (Document::Unit(_), Level::Unit) => {
                    value["admins"] = json!([{ "user": user }]);
                }
                (Document::Project(_), Level::Project) => {
                    let member = json!({ "who": { "user": user }, "role": role.word() });
                    value["members"].as_array_mut().unwrap().push(member);
                }
                _ => continue,
            }
            object.document = serde_json::from_value(value).unwrap();
        }
        let (key, secret) = key(name, &user);
        objects.push(key);
        keys.insert(role.word(), secret);
    }
    policies::tenant::compile(&objects, Revision(1)).unwrap();
    put(store, org, objects).await;
    House { org, keys, ids }
}

async fn put(store: &Model, org: OrgId, put: Vec<Object>) {
    let change = Change { org, from: Revision(0), put, remove: Vec::new(), acts: Vec::new() };
    store.commit(vec![change]).await.unwrap();
}

impl Town {
    pub(crate) async fn new() -> Self {
        let store = Arc::new(Model::default());
        let acme = build(&store, "acme").await;
        let globex = build(&store, "globex").await;
        let head = object(Kind::Org, "penstock", json!({ "name": "penstock" }));
        let head = Object { id: *INSTALLATION.as_bytes(), ..head };
        let user = json!({ "name": "op", "roles": ["operator"] });
        let (key, operator) = key("penstock", "op");
        let objects = vec![head, object(Kind::User, "penstock", user), key];
        put(&store, INSTALLATION, objects).await;
        let (master, _) = MasterKey::generate().unwrap();
        let keeper = Keeper::new(Arc::clone(&store) as Arc<_>, Arc::new(master), Vec::new());
        let sign_in = SignIn { keeper: Some(Arc::new(keeper)), ..SignIn::default() };
        let services = Services::new(Arc::clone(&store) as Arc<_>, Arc::new(Ready));
        let services = Arc::new(services.signing_in(sign_in));
        Self { services, store, acme, globex, operator }
    }

    pub(crate) async fn ask(
        &self,
        key: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Told {
        self.ask_with(key, method, path, body, &[]).await
    }

    pub(crate) async fn ask_with(
        &self,
        key: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Told {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("authorization", format!("Bearer {key}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = request.body(body).unwrap();
        let answer = gate::serve(&self.services, IpAddr::from([127, 0, 0, 1]), request).await;
        let status = answer.status().as_u16();
        let etag = answer.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned());
        let body = axum::body::to_bytes(answer.into_body(), 1 << 22).await.unwrap();
        Told { status, body: String::from_utf8(body.to_vec()).unwrap(), etag }
    }

    /// As if a file owned this user of acme.
    pub(crate) async fn lock(&self, user: &str) {
        let settings = self.store.settings(&self.acme.org).await.unwrap().unwrap();
        let named = |it: &&Object| it.document.kind() == Kind::User && it.document.name() == user;
        let mut object = settings.objects.iter().find(named).unwrap().clone();
        if let Document::User(user) = &mut object.document {
            user.locked = true;
        }
        let (org, from, put) = (self.acme.org, settings.revision, vec![object]);
        let change = Change { org, from, put, remove: Vec::new(), acts: Vec::new() };
        self.store.commit(vec![change]).await.unwrap();
    }

    pub(crate) async fn revisions(&self) -> Vec<(OrgId, Revision)> {
        self.store.revisions().await.unwrap()
    }
}
