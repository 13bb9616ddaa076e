//! From settings files to changed orgs: read, compare, show, commit. All of it or nothing.

mod body;
mod diff;
mod issue;
mod json;
mod judge;
mod merge;
mod mistake;
mod read;
mod sealed;
mod shape;
mod source;
#[cfg(test)]
mod tests;
mod tree;
mod yaml;

pub use self::{
    diff::Counts,
    issue::{Issued, fingerprint, fingerprint_of, secret_of},
    mistake::{Located, Place},
    read::{Documents, read},
    sealed::{Credentials, Unset},
    source::{DOCUMENTS_MAX, FILE_BYTES_MAX, File},
};

pub(crate) use self::{
    body::{Misfit, fitted},
    merge::{rename, set_org},
    sealed::quoted,
};

use self::{diff::Difference, merge::Merged};
use crate::service::{edit, orgs};
use policies::{document::Document, ids::OrgId};
use std::fmt;
use store::{
    Change, Committed, Directory, Fault, Registry,
    audit::{Act, Actor, ActorKind, Outcome},
    clock,
};

/// What becomes of objects that the files do not mention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    Kept,
    /// Removed, if the files name their org. An org itself is never removed.
    Pruned,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{}", lines(.0))]
    Mistakes(Vec<Located>),
    #[error(
        "org `{0}` was changed by somebody else in the meantime; nothing was changed: try again"
    )]
    Conflict(String),
    #[error("the name `{0}` was taken by somebody else in the meantime; nothing was changed")]
    NameTaken(String),
    #[error(transparent)]
    Store(#[from] Fault),
    #[error(transparent)]
    Dry(#[from] store::entropy::Dry),
}

fn lines(mistakes: &[Located]) -> String {
    mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A change that holds: what will be created, changed, renamed and removed. Shown by `Display`.
#[derive(Debug)]
pub struct Plan {
    orgs: Vec<Planned>,
}

#[derive(Debug)]
struct Planned {
    merged: Merged,
    difference: Difference,
}

/// Compares documents with what is stored. Every mistake of every document is told at once.
pub async fn plan(
    directory: &(impl Directory + ?Sized),
    documents: Documents,
    absent: Absent,
    credentials: Credentials,
) -> Result<Plan, Failure> {
    let stored = orgs::all(directory).await?;
    let Documents { placed, broken, mut mistakes } = documents;
    let merged = merge::merge(&stored, &placed, absent, &mut mistakes)?;
    for org in &merged {
        mistakes.extend(judge::judge(org, &placed, &broken));
        match credentials {
            Credentials::Kept => mistakes.extend(sealed::guard(org, &placed)),
            Credentials::Replaced => {}
        }
    }
    if !mistakes.is_empty() {
        mistakes.sort();
        mistakes.dedup();
        return Err(Failure::Mistakes(mistakes));
    }
    let planned = |merged: Merged| {
        let difference = diff::difference(&merged.before, &merged.after);
        Planned { merged, difference }
    };
    Ok(Plan { orgs: merged.into_iter().map(planned).collect() })
}

// === impl Plan ===

impl Plan {
    /// Nothing would change.
    pub fn is_empty(&self) -> bool {
        self.orgs.iter().all(|org| org.difference.is_empty())
    }

    pub fn counts(&self) -> Counts {
        self.orgs.iter().map(|org| org.difference.counts()).sum()
    }

    /// Credentials that are still to be stored when the change is made.
    pub fn unset(&self) -> Vec<Unset> {
        self.orgs.iter().flat_map(|org| sealed::unset(&org.merged)).collect()
    }

    /// Keys whose secret the commit will make.
    pub fn keys_to_issue(&self) -> usize {
        let objects = self.orgs.iter().flat_map(|org| &org.merged.after);
        let bare = |document: &Document| {
            matches!(document, Document::Key(key) if key.sha256.is_none())
                || matches!(document, Document::AdminKey(key) if key.sha256.is_none())
        };
        objects.filter(|object| bare(&object.document)).count()
    }

    /// Makes the change in one transaction. A plan that changes nothing moves no revision.
    ///
    /// Secrets of new keys are made here, so that a plan that is only shown has none; they are
    /// returned once and can never be read again.
    pub async fn commit(self, registry: &(impl Registry + ?Sized)) -> Result<Vec<Issued>, Failure> {
        let (mut changes, mut issued, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for Planned { merged, difference } in self.orgs {
            if difference.is_empty() {
                continue;
            }
            names.push((merged.org, merged.name.clone()));
            let change = change(merged, &mut issued)?;
            changes.push(change);
        }
        if changes.is_empty() {
            return Ok(issued);
        }
        match registry.commit(changes).await? {
            Committed::Done(_revisions) => Ok(issued),
            Committed::Conflict(org) => Err(Failure::Conflict(name_of(&names, org))),
            Committed::NameTaken(name) => Err(Failure::NameTaken(name)),
        }
    }
}

/// What the audit rows of an applied file have in common. Whoever may run the command may change
/// everything.
fn by_file() -> Act {
    let name = "penstock apply".to_owned();
    Act {
        at: clock::now(),
        actor: Actor { kind: ActorKind::File, id: String::new(), name },
        address: None,
        action: String::new(),
        outcome: Outcome::Done,
        target: None,
        before: None,
        after: None,
        reason: None,
        request: None,
        via: "apply".to_owned(),
        revision: None,
    }
}

fn name_of(names: &[(OrgId, String)], org: OrgId) -> String {
    let found = names.iter().find(|(id, _)| *id == org);
    found.map_or_else(|| org.to_string(), |(_, name)| name.clone())
}

fn change(merged: Merged, issued: &mut Vec<Issued>) -> Result<Change, Failure> {
    let Merged { org, name, from, before, mut after } = merged;
    for object in &mut after {
        issued.extend(issue::issue(&name, object.id, &mut object.document)?);
    }
    let remove = before.iter().map(|object| object.id);
    let remove = remove.filter(|id| after.iter().all(|object| object.id != *id)).collect();
    let acts = edit::between(&by_file(), &before, &after);
    let put = after.into_iter().filter(|object| !before.contains(object)).collect();
    Ok(Change { org, from, put, remove, acts })
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Planned { merged, difference } in &self.orgs {
            if !difference.is_empty() {
                let new = if merged.before.is_empty() { " (new)" } else { "" };
                writeln!(formatter, "org {}{new}", merged.name)?;
                write!(formatter, "{difference}")?;
            }
        }
        match self.is_empty() {
            true => write!(formatter, "no changes ({} unchanged)", self.counts().unchanged),
            false => write!(formatter, "{}", self.counts()),
        }
    }
}
