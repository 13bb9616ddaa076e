//! What holds for somebody in the end: rights, models, limits and budgets, each with its source.

use super::objects::shape::body;
use crate::{
    context::{Context, json},
    failure::Failure,
    table::{Build, Place, Row, row},
};
use axum::{http::StatusCode, response::Response};
use policies::{
    budget::Balance,
    document::{Document, Kind, Object, Subject},
    ids::{KeyId, ProjectId, ServiceAccountId, UserId},
    money::NanoUsd,
    permission::{Permission, Permissions},
    rights::{Reach, Rights},
    route::Method,
    tenant::{self, Grant, Tenant},
    time::Timestamp,
    usage::Principal,
};
use serde_json::{Value, json};
use store::PotState;

pub const ROWS: &[Row] = &[
    Build(row(Method::Get, "/admin/v1/users/{id}/effective", Permission::ReadPeople, |context| {
        Box::pin(effective(context, Kind::User))
    }))
    .at(Place::Object(Kind::User, 0))
    .says("Rights, models, limits and budgets of a user, each with its source")
    .gives(200, Some("Effective"))
    .query(&["project"])
    .0,
    Build(row(
        Method::Get,
        "/admin/v1/service_accounts/{id}/effective",
        Permission::ReadServiceAccounts,
        |context| Box::pin(effective(context, Kind::ServiceAccount)),
    ))
    .at(Place::Object(Kind::ServiceAccount, 0))
    .says("Rights, models, limits and budgets of a service account, each with its source")
    .gives(200, Some("Effective"))
    .query(&["project"])
    .0,
    Build(row(Method::Get, "/admin/v1/keys/{id}/effective", Permission::ReadKeys, |context| {
        Box::pin(effective(context, Kind::Key))
    }))
    .at(Place::Object(Kind::Key, 0))
    .says("Models, limits and budgets of a key, each with its source")
    .gives(200, Some("Effective"))
    .0,
    Build(row(Method::Get, "/admin/v1/me/effective", Permission::Myself, |context| {
        Box::pin(mine(context))
    }))
    .at(Place::Somewhere)
    .says("Your own rights, models, limits and budgets, each with its source")
    .gives(200, Some("Effective"))
    .query(&["project"])
    .0,
];

async fn mine(context: Context) -> Result<Response, Failure> {
    let user = context.who()?.user().ok_or(Failure::NotFound)?;
    answer(&context, Kind::User, *user.as_bytes()).await
}

async fn effective(context: Context, kind: Kind) -> Result<Response, Failure> {
    let id = kind.parse_id(context.param(0)).map_err(|_| Failure::NotFound)?;
    answer(&context, kind, id).await
}

async fn answer(context: &Context, kind: Kind, id: [u8; 16]) -> Result<Response, Failure> {
    let known = context.known()?;
    let objects = &known.settings.objects;
    let subject = objects.iter().find(|it| it.id == id && it.document.kind() == kind);
    let subject = subject.ok_or(Failure::NotFound)?;
    let tenant = tenant::compile(objects, known.settings.revision).map_err(|mistakes| {
        tracing::error!(org = %known.settings.org, count = mistakes.len(), "stored settings do not hold");
        Failure::Unavailable
    })?;
    let pots = context.services.store.pots(&context.org()?, Timestamp(0)).await?;
    let wanted = context.query("project");
    let grants = grants(&tenant, kind, id).into_iter().filter(|grant| {
        let name = tenant.names.get(grant.project.as_bytes());
        wanted
            .is_none_or(|it| grant.project.to_string() == it || name.is_some_and(|name| name == it))
    });
    let access: Vec<Value> = grants.map(|grant| shown(grant, &tenant, objects, &pots)).collect();
    let body = json!({
        "object": "effective",
        "id": kind.id_text(id),
        "name": subject.document.name(),
        "rights": rights(known, kind, id, &subject.document),
        "access": access,
        "revision": known.settings.revision.0,
    });
    Ok(json(StatusCode::OK, &body))
}

/// What a key, or somebody without one in each project, may use.
fn grants(tenant: &Tenant, kind: Kind, id: [u8; 16]) -> Vec<&Grant> {
    let principal = if kind == Kind::User {
        Principal::User(UserId::from_bytes(id))
    } else if kind == Kind::ServiceAccount {
        Principal::ServiceAccount(ServiceAccountId::from_bytes(id))
    } else {
        return tenant.grants.get(&KeyId::from_bytes(id)).map(AsRef::as_ref).into_iter().collect();
    };
    let of = tenant.access.iter().filter(|((who, _), _)| *who == principal);
    of.filter_map(|(_, key)| tenant.grants.get(key).map(AsRef::as_ref)).collect()
}

fn shown(grant: &Grant, tenant: &Tenant, objects: &[Object], pots: &[PotState]) -> Value {
    let document = |kind: Kind, id: [u8; 16]| {
        let found = objects.iter().find(|it| it.id == id && it.document.kind() == kind);
        found.map_or(Value::Null, |it| {
            let mut value = body(&it.document);
            if let Value::Object(fields) = &mut value {
                fields.insert("id".to_owned(), Value::String(kind.id_text(id)));
            }
            value
        })
    };
    let limits = grant.limits.iter().map(
        |it| json!({ "source": it.place.level, "limit": document(Kind::Limit, *it.id.as_bytes()) }),
    );
    let budgets = grant.budgets.iter().map(|it| {
        let now = store::clock::now();
        let span = it.period.around(now, &tenant.zone);
        let pot = pots.iter().find(|state| state.pot.budget == it.id && state.pot.span == span);
        // A pot is made by the first request of its period.
        let unused = Balance { limit: it.limit, ..Balance::default() };
        let balance = balance(pot.map_or(&unused, |pot| &pot.balance));
        json!({
            "source": it.place.level,
            "budget": document(Kind::Budget, *it.id.as_bytes()),
            "limit_nano_usd": it.limit.0,
            "period_starts": span.starts.rfc3339(),
            "period_ends": span.ends.rfc3339(),
            "balance": balance,
        })
    });
    let project = tenant.names.get(grant.project.as_bytes());
    json!({
        "project": { "id": grant.project.to_string(), "name": project },
        "active": grant.active,
        "models": grant.models.as_ref().map_or_else(
            || tenant.models.keys().collect::<Vec<_>>(),
            |models| models.iter().filter(|name| tenant.models.contains_key(*name)).collect(),
        ),
        "may": words(grant.scopes),
        "routes": grant.routes,
        "sources": grant.sources.iter().flatten().map(ToString::to_string).collect::<Vec<_>>(),
        "limits": limits.collect::<Vec<_>>(),
        "budgets": budgets.collect::<Vec<_>>(),
    })
}

/// What became of a budget's money. A lease is money that a gateway may spend, and has not spent:
/// it remains. The manual of the API has a sentence on each.
fn balance(it: &Balance) -> Value {
    let remaining = it.room().minus(it.held).minus(it.unattributed);
    json!({
        "limit_nano_usd": it.limit,
        "settled_nano_usd": it.settled,
        "held_nano_usd": it.held,
        "leased_nano_usd": it.leased,
        "unattributed_nano_usd": it.unattributed,
        "overrun_nano_usd": it.overrun,
        "remaining_nano_usd": remaining.max(NanoUsd::ZERO),
    })
}

fn words(held: Permissions) -> Vec<&'static str> {
    held.iter().map(Permission::word).collect()
}

/// Rights with where they come from: a role, a group's role, a unit, a membership.
fn rights(known: &crate::services::Known, kind: Kind, id: [u8; 16], document: &Document) -> Value {
    let authority = &known.authority;
    let held: Option<&Rights> = if kind == Kind::User {
        authority.users.get(&UserId::from_bytes(id)).map(|it| &it.rights)
    } else {
        let id = ServiceAccountId::from_bytes(id);
        authority.service_accounts.get(&id).map(|it| &it.rights)
    };
    let Some(held) = held else { return Value::Null };
    let projects = held.projects.keys().map(|id| {
        let at = held.at(Reach::Project(*id));
        (id.to_string(), json!(words(at)))
    });
    let units =
        held.units.keys().map(|id| (id.to_string(), json!(words(held.at(Reach::Unit(*id))))));
    json!({
        "org": words(held.org),
        "units": units.collect::<serde_json::Map<_, _>>(),
        "projects": projects.collect::<serde_json::Map<_, _>>(),
        "sources": sources(&known.settings.objects, document),
    })
}

fn sources(objects: &[Object], document: &Document) -> Vec<Value> {
    let mut found = Vec::new();
    let mut subjects = Vec::new();
    if let Document::User(user) = document {
        subjects.push(Subject::User(user.name.clone()));
        found.push(json!({ "role": "member", "from": "every user" }));
        found.extend(user.roles.iter().map(|role| json!({ "role": role, "from": "the user" })));
        for object in objects {
            let Document::Group(group) = &object.document else { continue };
            if group.members.contains(&user.name) {
                subjects.push(Subject::Group(group.name.clone()));
                let from = format!("the group `{}`", group.name);
                found.extend(group.roles.iter().map(|role| json!({ "role": role, "from": from })));
            }
        }
    } else if let Document::ServiceAccount(account) = document {
        subjects.push(Subject::ServiceAccount(account.name.clone()));
        found.extend(account.roles.iter().map(|role| json!({ "role": role, "from": "itself" })));
        if let Some(project) = &account.project {
            let from = "the project that it works in";
            found.push(json!({ "role": "developer", "project": project, "from": from }));
        }
    }
    for object in objects {
        if let Document::Unit(unit) = &object.document {
            let admins = unit.admins.iter().filter(|who| subjects.contains(who));
            found.extend(
                admins.map(
                    |who| json!({ "role": "unit_admin", "unit": unit.name, "from": named(who) }),
                ),
            );
        } else if let Document::Project(project) = &object.document {
            let members = project.members.iter().filter(|it| subjects.contains(&it.who));
            found.extend(members.map(|it| {
                let id = ProjectId::from_bytes(object.id).to_string();
                json!({
                    "role": it.role,
                    "project": project.name,
                    "project_id": id,
                    "from": named(&it.who),
                })
            }));
        }
    }
    found
}

fn named(who: &Subject) -> String {
    match who {
        Subject::User(name) => format!("the user `{name}`"),
        Subject::Group(name) => format!("the group `{name}`"),
        Subject::ServiceAccount(name) => format!("the service account `{name}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_that_is_lent_and_not_spent_remains() {
        let lent = Balance {
            limit: NanoUsd(1_000),
            settled: NanoUsd(100),
            held: NanoUsd(20),
            leased: NanoUsd(300),
            unattributed: NanoUsd(5),
            overrun: NanoUsd(1),
        };

        let shown = balance(&lent);

        assert_eq!(shown["remaining_nano_usd"], 874);
        assert_eq!(shown["leased_nano_usd"], 300);
        let spent = Balance { settled: NanoUsd(2_000), ..lent };
        assert_eq!(balance(&spent)["remaining_nano_usd"], 0);
    }
}
