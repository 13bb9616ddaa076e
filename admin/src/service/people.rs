//! People who come with the word of an identity provider: who they are here, and their groups.

#[cfg(test)]
mod tests;

use crate::{
    failure::Failure,
    service::edit::{Draft, Editor, edit},
    services::Services,
};
use policies::{
    document::{
        Document, Group, Identity, IdentityProvider, Invite, Kind, NAME_CHARS_MAX, Object, User,
        is_id,
    },
    ids::{OrgId, UserId},
    time::Timestamp,
};
use serde_json::{Map, Value};
use std::{collections::BTreeSet, fmt};
use store::{audit::Act, clock};

/// Characters of a `sub`, at most (OpenID Connect Core 1.0, section 2).
const SUBJECT_CHARS_MAX: usize = 255;
/// Characters of how somebody is called, at most.
const DISPLAY_NAME_CHARS_MAX: usize = 128;
/// Users that would have the same name, at most.
const NAMESAKES_MAX: usize = 1_000;

/// Why somebody whom a provider vouches for is no user here. For the audit log; the person is told
/// nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The token has no usable `sub`.
    NoSubject,
    /// The user may not sign in any more.
    Inactive,
    /// No user, no invite, and the provider makes no users.
    Unknown,
    /// There is an invite for the address, and the provider's word is not enough to take it up.
    InviteUntrusted,
    /// A user has the address, and the provider's word is not enough to be that user.
    AddressTaken,
    /// Several users have the address.
    Ambiguous,
    /// The user belongs to a file, which does not name this identity.
    Locked,
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoSubject => "the token names nobody",
            Self::Inactive => "the user is inactive",
            Self::Unknown => "there is no such user, and the provider makes none",
            Self::InviteUntrusted => {
                "the address is invited, and the provider's word for it is not trusted"
            }
            Self::AddressTaken => "a user has this address, and the provider may not join them",
            Self::Ambiguous => "several users have this address",
            Self::Locked => "the user belongs to a file that does not name this identity",
        })
    }
}

/// The user whom a verified token of `provider` stands for: found, joined, invited or made, with
/// the groups that the token says. Nothing is written when nothing changes.
///
/// # Errors
/// [`Failure::Unauthenticated`] if it stands for nobody here; see [`recognised`].
pub async fn signed_in(
    services: &Services,
    org: &OrgId,
    provider: &IdentityProvider,
    claims: &Map<String, Value>,
    act: Act,
) -> Result<UserId, Failure> {
    recognised(services, org, provider, claims, act).await?.map_err(|refused| {
        tracing::info!(%org, provider = provider.name, reason = %refused, "a sign-in is refused");
        Failure::Unauthenticated
    })
}

/// As [`signed_in`], with the reason of a refusal.
///
/// # Errors
/// The store is away, or the change that the sign-in makes does not hold, as when it would leave
/// the org without an owner.
pub async fn recognised(
    services: &Services,
    org: &OrgId,
    provider: &IdentityProvider,
    claims: &Map<String, Value>,
    act: Act,
) -> Result<Result<UserId, Refused>, Failure> {
    let Some(told) = Told::read(provider, claims) else { return Ok(Err(Refused::NoSubject)) };
    let act = Act { action: String::new(), via: "login".to_owned(), ..act };
    let editor = Editor::system(*org, act);
    let now = clock::now();
    let edited = edit(services, &editor, |draft| {
        let way = match way(draft.objects(), provider, &told, now) {
            Ok(way) => way,
            Err(refused) => return Ok(Err(refused)),
        };
        let id = go(draft, way, provider, &told, now)?;
        if provider.sync_groups {
            sync_groups(draft, &id, provider, &told)?;
        }
        Ok(Ok(UserId::from_bytes(id)))
    });
    Ok(edited.await?.value)
}

/// The value at `path`: a claim of that name, else one inside of objects, with dots between.
pub fn claim<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let (outer, inner) = path.split_once('.')?;
    claim(claims.get(outer)?.as_object()?, inner)
}

/// Whether two addresses are one. Only ASCII letters are alike in both cases: other scripts have
/// letters that fold to the same one, and an address is somebody.
pub fn same_address(one: &str, other: &str) -> bool {
    one.trim().eq_ignore_ascii_case(other.trim())
}

/// What a token says of somebody.
struct Told<'a> {
    subject: &'a str,
    /// The address, if the provider has verified it.
    email: Option<&'a str>,
    name: Option<String>,
    groups: BTreeSet<&'a str>,
}

impl<'a> Told<'a> {
    fn read(provider: &IdentityProvider, claims: &'a Map<String, Value>) -> Option<Self> {
        let subject = claims.get("sub")?.as_str()?;
        let fits = (1..=SUBJECT_CHARS_MAX).contains(&subject.chars().count());
        if !fits || subject.chars().any(char::is_control) {
            return None;
        }
        let text = |path: &str| claim(claims, path).and_then(Value::as_str);
        // `email_verified` speaks of `email` alone (OpenID Connect Core 1.0, section 5.1).
        let verified = claims.get("email_verified") == Some(&Value::Bool(true))
            && provider.claims.email == "email";
        let email = text(&provider.claims.email).map(str::trim).filter(|it| it.contains('@'));
        let name = text(&provider.claims.name)
            .map(|name| printable(name, DISPLAY_NAME_CHARS_MAX))
            .filter(|name| !name.is_empty());
        let groups = match claim(claims, &provider.claims.groups) {
            Some(Value::Array(groups)) => groups.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(group)) => BTreeSet::from([group.as_str()]),
            // Providers leave the claim out for somebody who has no groups.
            Some(_) | None => BTreeSet::new(),
        };
        Some(Self { subject, email: email.filter(|_| verified), name, groups })
    }
}

/// How the token's person comes to be a user.
enum Way {
    Known([u8; 16]),
    Joined([u8; 16]),
    Invited(Vec<[u8; 16]>),
    New,
}

fn way(
    objects: &[Object],
    provider: &IdentityProvider,
    told: &Told<'_>,
    now: Timestamp,
) -> Result<Way, Refused> {
    let users = || {
        objects.iter().filter_map(|object| {
            let Document::User(user) = &object.document else { return None };
            Some((object.id, user))
        })
    };
    let identity = Identity { issuer: provider.issuer.clone(), subject: told.subject.to_owned() };
    if let Some((id, user)) = users().find(|(_, user)| user.identities.contains(&identity)) {
        return if user.active { Ok(Way::Known(id)) } else { Err(Refused::Inactive) };
    }
    if let Some(email) = told.email {
        let has = |user: &User| user.email.as_deref().is_some_and(|it| same_address(it, email));
        let same: Vec<_> = users().filter(|(_, user)| has(user)).collect();
        if let Some(joined) = joined(&same, provider)? {
            return Ok(Way::Joined(joined));
        }
        let invites: Vec<_> = objects
            .iter()
            .filter(|it| is_valid_invite(&it.document, email, now))
            .map(|it| it.id)
            .collect();
        // Whoever is taken at an address that is another's would be them.
        match (invites.is_empty(), provider.trust_email) {
            (false, true) => return Ok(Way::Invited(invites)),
            (false, false) if !provider.create_users => return Err(Refused::InviteUntrusted),
            (false, false) | (true, _) => {}
        }
    }
    if provider.create_users { Ok(Way::New) } else { Err(Refused::Unknown) }
}

/// Which of the users with the token's verified address the person is; none if there is no such
/// user. Whoever has the address of a user is never made a second one.
fn joined(
    same: &[([u8; 16], &User)],
    provider: &IdentityProvider,
) -> Result<Option<[u8; 16]>, Refused> {
    let active: Vec<_> = same.iter().filter(|(_, user)| user.active).collect();
    let (id, user) = match active.as_slice() {
        [] if same.is_empty() => return Ok(None),
        [] => return Err(Refused::Inactive),
        [only] => only,
        [_, _, ..] => return Err(Refused::Ambiguous),
    };
    let is_other = user.identities.iter().any(|it| it.issuer == provider.issuer);
    if !provider.trust_email || is_other {
        return Err(Refused::AddressTaken);
    }
    if user.locked { Err(Refused::Locked) } else { Ok(Some(*id)) }
}

fn is_valid_invite(document: &Document, email: &str, now: Timestamp) -> bool {
    let Document::Invite(invite) = document else { return false };
    let expires = Timestamp::parse(&invite.expires);
    invite.accepted.is_none()
        && same_address(&invite.email, email)
        && expires.is_some_and(|expires| now < expires)
}

fn go(
    draft: &mut Draft,
    way: Way,
    provider: &IdentityProvider,
    told: &Told<'_>,
    now: Timestamp,
) -> Result<[u8; 16], Failure> {
    let identity = Identity { issuer: provider.issuer.clone(), subject: told.subject.to_owned() };
    match way {
        Way::Known(id) => Ok(id),
        Way::Joined(id) => {
            draft.update(Kind::User, &id, |document| {
                if let Document::User(user) = document {
                    user.identities.push(identity);
                    user.display_name = user.display_name.take().or_else(|| told.name.clone());
                }
                Ok(())
            })?;
            Ok(id)
        }
        Way::New => add(draft, told, identity, &[]),
        Way::Invited(invites) => {
            let mut accepted = Vec::new();
            for id in invites {
                draft.update(Kind::Invite, &id, |document| {
                    if let Document::Invite(invite) = document {
                        invite.accepted = Some(now.rfc3339());
                        accepted.push(invite.clone());
                    }
                    Ok(())
                })?;
            }
            add(draft, told, identity, &accepted)
        }
    }
}

/// Makes a user with all that the invites promise.
fn add(
    draft: &mut Draft,
    told: &Told<'_>,
    identity: Identity,
    invites: &[Invite],
) -> Result<[u8; 16], Failure> {
    let name = free_name(draft, told.email.unwrap_or(told.subject))?;
    let roles: BTreeSet<String> = invites.iter().flat_map(|it| it.roles.clone()).collect();
    let user = User {
        id: None,
        org: String::new(),
        name: name.clone(),
        locked: false,
        email: told.email.map(str::to_owned),
        display_name: told.name.clone(),
        roles: roles.into_iter().collect(),
        external_id: None,
        identities: vec![identity],
        active: true,
        credentials_from: None,
        password: None,
    };
    let id = draft.insert(Document::User(user))?;
    for to in invites.iter().flat_map(|invite| &invite.projects) {
        let project = draft.by_name(Kind::Project, &to.project).map(|it| it.id);
        let project = project.ok_or(Failure::NotFound)?;
        draft.update(Kind::Project, &project, |document| {
            if let Document::Project(project) = document {
                project.members.push(to.membership(&name));
            }
            Ok(())
        })?;
    }
    Ok(id)
}

/// `wanted`, or with a number behind it if somebody has that name.
fn free_name(draft: &Draft, wanted: &str) -> Result<String, Failure> {
    let is_free = |name: &String| draft.by_name(Kind::User, name).is_none() && !is_id(name);
    let plain = printable(wanted, NAME_CHARS_MAX);
    let short = printable(wanted, NAME_CHARS_MAX - 5);
    let numbered = (2..=NAMESAKES_MAX).map(|number| format!("{short} {number}"));
    let mut names = [plain].into_iter().filter(|name| !name.is_empty()).chain(numbered);
    names.find(is_free).ok_or_else(|| Failure::Taken { what: "every such name".to_owned() })
}

/// Brings the groups that stand for a value of the provider's claim to what the token says; no
/// others, and none that a file owns.
fn sync_groups(
    draft: &mut Draft,
    id: &[u8; 16],
    provider: &IdentityProvider,
    told: &Told<'_>,
) -> Result<(), Failure> {
    let user = draft.name(Kind::User, id)?;
    let fillers = draft
        .objects()
        .iter()
        .filter(|it| matches!(&it.document, Document::IdentityProvider(it) if it.fills_groups()));
    let alone = fillers.count() <= 1;
    let differs = |group: &Group| {
        let claim = group.claim.as_deref()?;
        let is_theirs = group.claim_provider.as_ref().map_or(alone, |it| *it == provider.name);
        if !is_theirs {
            return None;
        }
        let wanted = told.groups.contains(claim);
        (!group.locked && wanted != group.members.contains(&user)).then_some(wanted)
    };
    let changes: Vec<([u8; 16], bool)> = draft
        .objects()
        .iter()
        .filter_map(|object| {
            let Document::Group(group) = &object.document else { return None };
            differs(group).map(|wanted| (object.id, wanted))
        })
        .collect();
    for (group, wanted) in changes {
        draft.update(Kind::Group, &group, |document| {
            if let Document::Group(group) = document {
                match wanted {
                    true => group.members.push(user.clone()),
                    false => group.members.retain(|member| *member != user),
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// The text without what a name may not have, cut to its greatest length.
fn printable(text: &str, chars_max: usize) -> String {
    let kept = text.chars().filter(|it| !it.is_control()).take(chars_max);
    kept.collect::<String>().trim().to_owned()
}
