//! Stage 2: under whose rules, pinned at one revision to the end of the request.

use super::authenticate::Caller;
use crate::snapshot::Live;
use http::{HeaderMap, HeaderName};
use policies::{refusal::Refusal, tenant::Grant, time::Timestamp};
use std::sync::Arc;

/// The rules that bind this request.
#[derive(Clone)]
pub struct Scope {
    live: Arc<Live>,
    grant: Arc<Grant>,
}

impl Scope {
    pub fn live(&self) -> &Live {
        &self.live
    }

    pub fn grant(&self) -> &Grant {
        &self.grant
    }
}

/// OpenAI's headers for naming an org and a project. A key belongs to one of each, so they can only
/// agree with it.
const ORGANIZATION: HeaderName = HeaderName::from_static("openai-organization");
const PROJECT: HeaderName = HeaderName::from_static("openai-project");

/// A key that is inactive or expired is refused like an unknown one.
pub fn resolve(caller: &Caller, headers: &HeaderMap, now: Timestamp) -> Result<Scope, Refusal> {
    let live = caller.world().tenant(&caller.org()).ok_or(Refusal::Unauthenticated)?;
    let grant = live.tenant.grants.get(&caller.key()).ok_or(Refusal::Unauthenticated)?;
    grant.check(now).map_err(|_unusable| Refusal::Unauthenticated)?;
    let (org, project) = (live.tenant.org.to_string(), grant.project.to_string());
    agrees(headers, &ORGANIZATION, &[&org, &live.tenant.name])?;
    agrees(headers, &PROJECT, &[&project, live.name(grant.project.as_bytes())])?;
    Ok(Scope { live: Arc::clone(live), grant: Arc::clone(grant) })
}

fn agrees(headers: &HeaderMap, name: &HeaderName, known: &[&str]) -> Result<(), Refusal> {
    match headers.get(name) {
        Some(value) if known.iter().all(|known| value.as_bytes() != known.as_bytes()) => {
            Err(Refusal::PermissionDenied {
                what: format!("`{name}` names another than the key's"),
            })
        }
        Some(_) | None => Ok(()),
    }
}
