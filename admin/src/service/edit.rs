//! The one way in which settings are changed, whoever asks: checked, judged, written with its audit
//! rows in one transaction.

mod authorise;
mod draft;
mod record;

pub use self::{
    draft::Draft,
    record::{between, shown},
};

use self::authorise::outward;
use crate::{
    context::Context,
    failure::{Failure, Invalid},
    services::{Known, Services},
};
use policies::{
    document::{Kind, Mistake},
    ids::{AdminKeyId, OrgId, Revision, ServiceAccountId, UserId},
    rights::Rights,
    tenant,
};
use std::collections::BTreeSet;
use store::{Change, Committed, audit::Act};

/// Times that a change is made anew because somebody else was quicker.
const TRIES_MAX: usize = 5;
/// Bytes of one object as JSON, and of one that has long lists.
const DOCUMENT_BYTES_MAX: usize = 64 << 10;
const LISTS_BYTES_MAX: usize = 2 << 20;

/// Who changes an org's settings.
#[derive(Clone, Debug)]
pub struct Editor {
    pub org: OrgId,
    /// What the editor may do; none: the installation itself acts, on rules that were set before.
    pub rights: Option<Rights>,
    /// The editor as a user, if it is one.
    pub user: Option<UserId>,
    /// The editor as a service account, if it is one.
    pub machine: Option<ServiceAccountId>,
    /// The admin key that the editor came with.
    pub key: Option<AdminKeyId>,
    /// What every audit row of the change has in common.
    pub act: Act,
}

/// What became of a change.
#[derive(Debug)]
pub struct Edited<T> {
    pub value: T,
    pub revision: Revision,
}

impl Editor {
    /// The installation itself, on rules that were set before.
    pub fn system(org: OrgId, act: Act) -> Self {
        Self { org, rights: None, user: None, machine: None, key: None, act }
    }
}

impl Context {
    /// The asker as an editor of the org that is asked about.
    pub fn editor(&self) -> Result<Editor, Failure> {
        let who = self.who()?;
        Ok(Editor {
            org: who.org,
            rights: Some(who.rights.clone()),
            user: who.user(),
            machine: who.machine(),
            key: who.key(),
            act: self.act(""),
        })
    }
}

/// Changes an org's settings by `change`, which may run again on newer settings.
///
/// # Errors
/// Whatever `change` refuses; a permission that is missing for one of the objects that differ
/// afterwards; more rights for somebody than the editor has; mistakes in the settings as a whole.
pub async fn edit<T>(
    services: &Services,
    editor: &Editor,
    change: impl Fn(&mut Draft) -> Result<T, Failure>,
) -> Result<Edited<T>, Failure> {
    for _ in 0..TRIES_MAX {
        let known = services.org(&editor.org).await?.ok_or(Failure::NotFound)?;
        let mut draft = Draft::new(&known.settings);
        let value = change(&mut draft)?;
        let Some(change) = judged(editor, &known, draft)? else {
            return Ok(Edited { value, revision: known.settings.revision });
        };
        match services.store.commit(vec![change]).await? {
            Committed::Done(revisions) => {
                let revision = revisions.first().copied().unwrap_or_default();
                return Ok(Edited { value, revision });
            }
            Committed::Conflict(_) => {}
            Committed::NameTaken(name) => {
                return Err(Failure::Taken { what: format!("`{name}`") });
            }
        }
    }
    Err(Failure::Conflict)
}

/// The change, if it is allowed and holds; none if nothing differs.
fn judged(editor: &Editor, known: &Known, draft: Draft) -> Result<Option<Change>, Failure> {
    let before = &known.settings.objects;
    let mut after = draft.finish();
    outward::confine(editor.rights.as_ref(), before, &mut after);
    let differences = record::differences(before, &after);
    if differences.is_empty() {
        return Ok(None);
    }
    authorise::unlocked(&differences)?;
    differences.iter().try_for_each(fits)?;
    if let Some(rights) = &editor.rights {
        authorise::each(editor, rights, before, &after, &differences)?;
        authorise::no_more_than(rights, known, &after)?;
        outward::check(rights, &differences)?;
    }
    authorise::somebody_owns(known, &after)?;
    if let Err(mistakes) = tenant::compile(&after, known.settings.revision) {
        return Err(mistaken(&mistakes, &differences));
    }
    let acts = differences.iter().map(|it| record::act(&editor.act, it, &after)).collect();
    let remove = differences.iter().filter(|it| it.after.is_none()).map(|it| it.id).collect();
    let changed: BTreeSet<[u8; 16]> =
        differences.iter().filter(|it| it.after.is_some()).map(|it| it.id).collect();
    let put = after.into_iter().filter(|object| changed.contains(&object.id)).collect();
    Ok(Some(Change { org: editor.org, from: known.settings.revision, put, remove, acts }))
}

/// Settings are read whole by every gateway, and a change is kept in the audit log for ever.
fn fits(difference: &record::Difference<'_>) -> Result<(), Failure> {
    let Some(document) = difference.after else { return Ok(()) };
    let long = [Kind::Group, Kind::Policy, Kind::Project].contains(&document.kind());
    let most = if long { LISTS_BYTES_MAX } else { DOCUMENT_BYTES_MAX };
    let size = serde_json::to_vec(document).map_or(usize::MAX, |text| text.len());
    if size <= most {
        return Ok(());
    }
    let message = format!("the whole object may have {most} bytes as JSON; it has {size}");
    Err(Failure::invalid("", &message))
}

/// Mistakes of what was changed are the asker's; those of others say who still needs what was taken
/// away.
fn mistaken(mistakes: &[Mistake], differences: &[record::Difference<'_>]) -> Failure {
    let own = |mistake: &&Mistake| {
        differences
            .iter()
            .filter_map(|it| it.after)
            .any(|document| document.kind() == mistake.kind && document.name() == mistake.name)
    };
    let invalid: Vec<Invalid> = mistakes
        .iter()
        .filter(own)
        .map(|it| Invalid { field: it.field.clone(), message: it.message.clone() })
        .collect();
    if !invalid.is_empty() {
        return Failure::Invalid(invalid);
    }
    Failure::InUse { by: mistakes.iter().take(10).map(needs).collect() }
}

/// Who refers to what was taken away, and where: that it is gone is no news to whoever took it.
fn needs(mistake: &Mistake) -> String {
    let Mistake { kind, name, field, message } = mistake;
    match message.starts_with("there is no ") {
        true => format!("{kind} `{name}` in `{field}`"),
        false => format!("{kind} `{name}`: {field}: {message}"),
    }
}
