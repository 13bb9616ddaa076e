//! A caller as the audit log names them, as far as the gateway knows them.

use crate::pipeline::{
    authenticate::{Caller, Holder},
    resolve::Scope,
};
use policies::{
    ids::{KeyId, OrgId, ProjectId},
    usage::Principal,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub org: OrgId,
    /// By which their requests are counted.
    pub key: KeyId,
    /// With the name; none while it is not known whose rules bind a key.
    pub principal: Option<(Principal, String)>,
    /// With the name; none while it is not known which one is meant.
    pub project: Option<(ProjectId, String)>,
}

impl Known {
    /// Somebody with a good credential, who may not use it so.
    pub fn caller(caller: &Caller) -> Self {
        let org = caller.holder().org();
        match caller.holder() {
            Holder::Key(known) => Self { org, key: known.key, principal: None, project: None },
            Holder::Bearer(bearer) => {
                let live = caller.world().tenant(&org);
                let name = live.map_or("", |live| live.name(bytes(&bearer.principal))).to_owned();
                let principal = Some((bearer.principal, name));
                Self { org, key: bearer.flood_key(), principal, project: None }
            }
        }
    }

    /// Somebody whose rules are known.
    pub fn scope(scope: &Scope) -> Self {
        let (live, grant) = (scope.live(), scope.grant());
        let name = |id: &[u8; 16]| live.name(id).to_owned();
        Self {
            org: live.tenant.org,
            key: grant.key,
            principal: Some((grant.principal, name(bytes(&grant.principal)))),
            project: Some((grant.project, name(grant.project.as_bytes()))),
        }
    }
}

fn bytes(principal: &Principal) -> &[u8; 16] {
    match principal {
        Principal::User(id) => id.as_bytes(),
        Principal::ServiceAccount(id) => id.as_bytes(),
    }
}
