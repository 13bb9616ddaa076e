//! Finds what does not hold in an org's settings as they would be after the change.

use super::{
    merge::Merged,
    mistake::Located,
    read::{Broken, Placed},
};
use policies::{
    document::{Kind, Mistake, Object},
    tenant,
};
use std::collections::{BTreeSet, HashSet};

/// Rounds of compiling what is left after what has mistakes was taken out. The compiler looks at
/// references first and stops there, so one round would hide what is wrong elsewhere.
const ROUNDS_MAX: usize = 8;

type Name = (Kind, String);

/// Every mistake that is not merely the echo of another one.
pub(super) fn judge(org: &Merged, placed: &[Placed], broken: &[Broken]) -> Vec<Located> {
    let here = |it: &&Broken| it.org.as_deref() == Some(org.name.as_str());
    let broken: Vec<&Broken> = broken.iter().filter(here).collect();
    let of_org: Vec<&Placed> = placed.iter().filter(|it| it.document.org() == org.name).collect();
    let mut muted = muted(org, &of_org, &broken);
    let mut left = org.after.clone();
    let mut found = Vec::new();
    for _round in 0..ROUNDS_MAX {
        let Err(mistakes) = tenant::compile(&left, org.from) else { break };
        let bad: BTreeSet<Name> =
            mistakes.iter().map(|mistake| (mistake.kind, mistake.name.clone())).collect();
        let fresh = |it: &Mistake| !muted.contains(&(it.kind, it.name.clone()));
        found.extend(mistakes.into_iter().filter(fresh));
        let before = left.len();
        muted.extend(left.iter().filter(|it| is_near(it, &bad)).map(name));
        let sound = |it: &Object| it.document.kind() == Kind::Org || !bad.contains(&name(it));
        left.retain(sound);
        muted.extend(left.iter().filter(|it| is_near(it, &bad)).map(name));
        if left.len() == before {
            break;
        }
    }
    let removed = removed(org);
    let told = found.into_iter().map(|mistake| explain(mistake, &removed));
    told.map(|mistake| locate(mistake, &of_org)).collect()
}

fn name(object: &Object) -> Name {
    (object.document.kind(), object.document.name().to_owned())
}

/// Whether the object refers to one of `names`.
fn is_near(object: &Object, names: &BTreeSet<Name>) -> bool {
    let mut document = object.document.clone();
    document.references().iter().any(|(_, kind, to)| names.contains(&(*kind, (*to).clone())))
}

/// What is known to be half read, or to stand beside it: its mistakes would be echoes.
fn muted(org: &Merged, placed: &[&Placed], broken: &[&Broken]) -> HashSet<Name> {
    let of_placed = |it: &&&Placed| it.partial;
    let mut muted: HashSet<Name> = placed
        .iter()
        .filter(of_placed)
        .map(|it| (it.document.kind(), it.document.name().to_owned()))
        .collect();
    let names: BTreeSet<Name> =
        broken.iter().filter_map(|it| Some((it.kind, it.name.clone()?))).collect();
    let texts: HashSet<&str> = broken.iter().flat_map(|it| &it.texts).map(String::as_str).collect();
    for object in &org.after {
        if is_near(object, &names) || texts.contains(object.document.name()) {
            muted.insert(name(object));
        }
    }
    muted
}

/// What the change takes away.
fn removed(org: &Merged) -> Vec<Name> {
    let kept: HashSet<[u8; 16]> = org.after.iter().map(|object| object.id).collect();
    org.before.iter().filter(|object| !kept.contains(&object.id)).map(name).collect()
}

/// To whoever sees the object in the store, that it is not there says nothing.
fn explain(mistake: Mistake, removed: &[Name]) -> Mistake {
    let is_missed =
        |(kind, name): &&Name| mistake.message == format!("there is no {kind} `{name}`");
    match removed.iter().find(is_missed) {
        Some((kind, name)) => {
            let message = format!("needs {kind} `{name}`, which the change would remove");
            Mistake { message, ..mistake }
        }
        None => mistake,
    }
}

fn locate(mistake: Mistake, placed: &[&Placed]) -> Located {
    let Mistake { kind, name, field, message } = mistake;
    let at = placed
        .iter()
        .filter(|it| it.document.kind() == kind && it.document.name() == name)
        .map(|it| it.place(&field))
        .next();
    Located { place: at, kind: Some(kind.word().to_owned()), name: Some(name), field, message }
}
