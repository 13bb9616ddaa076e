//! A service that names the person for whom it acts: believed by signature, or by where it calls
//! from, and never more than both may do.

use super::meet::meet;
use crate::snapshot::Live;
use admin::identity::token::{self, Unverified};
use http::{HeaderMap, HeaderName};
use policies::{
    authority,
    budget::CHAIN_POTS_MAX,
    ids::{KeyId, ServiceAccountId, UserId},
    permission::Permission,
    refusal::Refusal,
    tenant::{Grant, Machine},
    time::Timestamp,
    usage::Principal,
};
use std::{net::IpAddr, sync::Arc};

const ACT_FOR: HeaderName = HeaderName::from_static("x-penstock-act-for");
/// The `aud` of an assertion.
const AUDIENCE: &str = "penstock";
/// Seconds for which an assertion may be good, and by which clocks may differ.
const ASSERTION_SECS_MAX: i64 = 300;
const SKEW_SECS: u32 = 30;

/// The person that the request names, if it names one and is believed.
pub(super) fn person(
    live: &Live,
    grant: &Grant,
    headers: &HeaderMap,
    address: IpAddr,
    now: Timestamp,
) -> Result<Option<UserId>, Refusal> {
    let mut values = headers.get_all(ACT_FOR).into_iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(not_believed());
    }
    let Principal::ServiceAccount(account) = grant.principal else { return Err(may_not()) };
    let machine = live.tenant.machines.get(&account).ok_or_else(may_not)?;
    let rule = machine.act_for.as_ref().ok_or_else(may_not)?;
    let value = value.to_str().map_err(|_| not_believed())?.trim();
    let named = if token::is_token(value) {
        asserted(live, account, machine, value, now).ok_or_else(not_believed)?
    } else if rule.header && authority::comes_from(&rule.sources, address) {
        value.to_owned()
    } else {
        return Err(not_believed());
    };
    live.user_called(&named).map(Some).ok_or_else(nobody)
}

/// What the service and the person may both do, reckoned once for the two of them.
pub(super) fn grant(live: &Live, of_key: &Grant, person: UserId) -> Result<Arc<Grant>, Refusal> {
    let active = live.tenant.people.get(&person).is_some_and(|person| person.active);
    let of_person = live.tenant.access.get(&(Principal::User(person), of_key.project));
    let of_person = of_person.and_then(|key| live.tenant.grants.get(key));
    let of_person =
        of_person.filter(|grant| active && grant.active && grant.scopes.has(Permission::Infer));
    let of_person = of_person.ok_or_else(nobody)?;
    let pair: (KeyId, UserId) = (of_key.key, person);
    if let Some(known) = live.meets().get(&pair) {
        return Ok(known);
    }
    let both = meet(of_key, of_person);
    if CHAIN_POTS_MAX < both.budgets.len() {
        let what =
            format!("more than {CHAIN_POTS_MAX} budgets apply to the service and the person");
        return Err(Refusal::PermissionDenied { what });
    }
    let both = Arc::new(both);
    live.meets().keep(pair, Arc::clone(&both));
    Ok(both)
}

/// Whom an assertion of the service names: signed with one of its keys, made out to us, and good
/// for a few minutes only.
fn asserted(
    live: &Live,
    account: ServiceAccountId,
    machine: &Machine,
    assertion: &str,
    now: Timestamp,
) -> Option<String> {
    let allowed = ["EdDSA", "ES256", "RS256"].map(str::to_owned);
    let algorithm = Unverified::read(assertion).ok()?.algorithm_among(&allowed).ok()?;
    let fitting = live.assertion_keys(&account).iter().filter(|key| key.is_for(algorithm));
    let claims = fitting
        .into_iter()
        .find_map(|key| Unverified::read(assertion).ok()?.signed_by(key, algorithm).ok())?;
    token::check_times(&claims, SKEW_SECS, now).ok()?;
    let from_service = token::text(&claims, "iss")
        .is_some_and(|issuer| issuer == machine.name || issuer == account.to_string());
    let to_us = token::strings(claims.get("aud")).any(|audience| audience == AUDIENCE);
    let issued = token::moment(&claims, "iat").ok()??;
    let expires = token::moment(&claims, "exp").ok()??;
    let short = expires <= issued.plus_millis(ASSERTION_SECS_MAX * 1000);
    let subject = token::text(&claims, "sub")?;
    (from_service && to_us && short).then(|| subject.to_owned())
}

fn may_not() -> Refusal {
    Refusal::PermissionDenied { what: format!("this credential may act for nobody (`{ACT_FOR}`)") }
}

fn not_believed() -> Refusal {
    Refusal::PermissionDenied { what: format!("what `{ACT_FOR}` says is not believed") }
}

/// Unknown, inactive, not in the project, or several of one name: all the same to a caller.
fn nobody() -> Refusal {
    let what = format!("`{ACT_FOR}` names nobody who may send prompts in this project");
    Refusal::PermissionDenied { what }
}
