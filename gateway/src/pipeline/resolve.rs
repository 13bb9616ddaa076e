//! Stage 2: under whose rules, pinned at one revision to the end of the request.

mod act_for;
mod meet;
#[cfg(test)]
mod tests;

pub(crate) use self::meet::Meets;

use super::{
    authenticate::{Caller, Holder, ORG, ORGANIZATION},
    identity::{Bearer, Project, Shown},
};
use crate::snapshot::{Live, World};
use admin::identity::credential::Via;
use http::{HeaderMap, HeaderName};
use policies::{
    ids::{KeyId, ProjectId, UserId},
    permission::Permission,
    refusal::Refusal,
    tenant::Grant,
    time::Timestamp,
    usage::Principal,
};
use std::sync::Arc;

/// OpenAI's header for naming a project. A key belongs to one, so it can only agree with it.
const PROJECT: HeaderName = HeaderName::from_static("openai-project");
/// Names of projects that a refusal lists.
const NAMES_TOLD_MAX: usize = 20;

/// What a request is for.
#[derive(Clone, Copy, Debug)]
pub struct Purpose {
    pub permission: Permission,
    /// The pattern of the route's path.
    pub path: &'static str,
}

/// The rules that bind this request.
#[derive(Clone)]
pub struct Scope {
    live: Arc<Live>,
    grant: Arc<Grant>,
    standing: Standing,
}

impl Scope {
    pub fn live(&self) -> &Live {
        &self.live
    }

    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// The person for whom a service acts.
    pub fn acted_for(&self) -> Option<UserId> {
        self.standing.acts_for
    }

    /// What to look up again while the answer goes on.
    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }
}

/// By what somebody has a grant: looked up anew in later settings, it gives theirs, or nothing.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    holder: Holder,
    /// Of a bearer: the one that was chosen.
    project: Option<ProjectId>,
    acts_for: Option<UserId>,
    at: Timestamp,
}

/// A credential that is inactive or expired is refused like an unknown one.
pub fn resolve(
    caller: &Caller,
    headers: &HeaderMap,
    purpose: Purpose,
    now: Timestamp,
) -> Result<Scope, Refusal> {
    let world = caller.world();
    let live = world.tenant(&caller.holder().org()).ok_or(Refusal::Unauthenticated)?;
    let mut standing =
        Standing { holder: caller.holder().clone(), project: None, acts_for: None, at: now };
    if let Holder::Bearer(bearer) = caller.holder() {
        standing.project = Some(choose(live, bearer, headers)?);
    }
    let (_, mut grant) = standing.look_up(world)?;
    let denied = |what: &str| Err(Refusal::PermissionDenied { what: what.to_owned() });
    if !grant.may_come_from(caller.address()) {
        return denied("this credential may not be used from your network");
    }
    for name in [&ORGANIZATION, &ORG] {
        agrees(headers, name, [&live.tenant.org, &live.tenant.name])?;
    }
    agrees(headers, &PROJECT, [&grant.project, &live.name(grant.project.as_bytes())])?;
    if let Some(person) = act_for::person(live, &grant, headers, caller.address(), now)? {
        standing.acts_for = Some(person);
        (_, grant) = standing.look_up(world)?;
    }
    if !grant.scopes.has(purpose.permission) {
        return denied("this credential may not be used for that");
    }
    if !grant.may_call(purpose.path) {
        return denied("this credential may not be used on this path");
    }
    Ok(Scope { live: Arc::clone(live), grant, standing })
}

impl Standing {
    /// The grant in `world`.
    pub(super) fn look_up<'a>(
        &self,
        world: &'a World,
    ) -> Result<(&'a Arc<Live>, Arc<Grant>), Refusal> {
        let live = world.tenant(&self.holder.org()).ok_or(Refusal::Unauthenticated)?;
        let key = self.key(live).filter(|_| live.tenant.active);
        let grant = key.and_then(|key| live.tenant.grants.get(&key));
        let grant = grant.ok_or(Refusal::Unauthenticated)?;
        grant.check(self.at).map_err(|_unusable| Refusal::Unauthenticated)?;
        match self.acts_for {
            None => Ok((live, Arc::clone(grant))),
            Some(person) => Ok((live, act_for::grant(live, grant, person)?)),
        }
    }

    /// Whether its secret still opens the key: it may have been replaced.
    pub(super) fn is_known(&self, world: &World) -> bool {
        match &self.holder {
            Holder::Key(known) => {
                let now = world.key(&known.sha256);
                now.is_some_and(|now| now.key == known.key && self.at < now.until)
            }
            Holder::Bearer(_) => true,
        }
    }

    fn key(&self, live: &Live) -> Option<KeyId> {
        match &self.holder {
            Holder::Key(known) => (self.at < known.until).then_some(known.key),
            Holder::Bearer(bearer) => {
                let good = is_vouched_for(live, bearer) && is_recent(live, bearer);
                let key = live.tenant.access.get(&(bearer.principal, self.project?))?;
                good.then_some(*key)
            }
        }
    }
}

/// Whether the provider or rule by which the bearer came is still in force, and says what it said.
fn is_vouched_for(live: &Live, bearer: &Bearer) -> bool {
    match bearer.via {
        Via::Provider(id) => live.tenant.issuers.iter().any(|it| {
            let may = match bearer.shown {
                Shown::Credential => it.settings.sign_in,
                Shown::Token => it.settings.call_models,
            };
            it.id == id && may && live.vouches(bearer.principal, it, bearer.basis)
        }),
        Via::Workload(id) => live.tenant.workloads.iter().any(|it| {
            let same = Principal::ServiceAccount(it.account) == bearer.principal;
            let says_so = live.rests_on(&it.id, bearer.basis);
            it.id == id && same && says_so && bearer.project == Project::Fixed(it.project)
        }),
    }
}

/// Whether the bearer is active, and did not get the token before a moment from which on only
/// later ones are good. A token that does not say when it was issued is not later.
fn is_recent(live: &Live, bearer: &Bearer) -> bool {
    match bearer.principal {
        Principal::User(id) => live.tenant.people.get(&id).is_some_and(|person| {
            let recent = person.credentials_from.is_none_or(|from| bearer.issued >= Some(from));
            person.active && recent
        }),
        Principal::ServiceAccount(id) => {
            live.tenant.machines.get(&id).is_some_and(|machine| machine.active)
        }
    }
}

/// The project that a bearer's request is for: as the token fixes it, as the header names it, as
/// the token proposes it, or the only one there is.
fn choose(live: &Live, bearer: &Bearer, headers: &HeaderMap) -> Result<ProjectId, Refusal> {
    let least = (bearer.principal, ProjectId::from_bytes([0; 16]));
    let most = (bearer.principal, ProjectId::from_bytes([u8::MAX; 16]));
    let theirs = || live.tenant.access.range(least..=most).map(|((_, project), _)| *project);
    let named = |wanted: &str| {
        let by_id = wanted.parse::<ProjectId>();
        let is_it = |id: &ProjectId| match &by_id {
            Ok(wanted) => wanted == id,
            Err(_) => live.name(id.as_bytes()) == wanted,
        };
        theirs().find(is_it).ok_or_else(|| Refusal::PermissionDenied {
            what: "you may not send prompts in the project that is named".to_owned(),
        })
    };
    let header = headers.get(&PROJECT).map(|value| value.to_str().unwrap_or_default());
    match (&bearer.project, header) {
        // That the header agrees is checked where a key's is.
        (Project::Fixed(project), _) => Ok(*project),
        (Project::Open | Project::Proposed(_), Some(wanted)) => named(wanted),
        (Project::Proposed(wanted), None) => named(wanted),
        (Project::Open, None) => {
            let mut some = theirs();
            match (some.next(), some.next()) {
                (Some(only), None) => Ok(only),
                (None, _) => Err(Refusal::PermissionDenied {
                    what: "you may not send prompts in any project".to_owned(),
                }),
                (Some(_), Some(_)) => {
                    let names: Vec<_> =
                        theirs().take(NAMES_TOLD_MAX).map(|id| live.name(id.as_bytes())).collect();
                    let names = names.join(", ");
                    let message = format!("name a project in the header `{PROJECT}`: {names}");
                    Err(Refusal::Malformed { message, param: None })
                }
            }
        }
    }
}

fn agrees(
    headers: &HeaderMap,
    name: &HeaderName,
    [id, known]: [&dyn std::fmt::Display; 2],
) -> Result<(), Refusal> {
    let Some(value) = headers.get(name) else { return Ok(()) };
    let value = value.to_str().unwrap_or_default();
    if value == id.to_string() || value == known.to_string() {
        return Ok(());
    }
    Err(Refusal::PermissionDenied { what: format!("`{name}` names another than the credential's") })
}
