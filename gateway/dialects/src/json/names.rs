//! The keys of the objects being read, to find one that comes twice.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::scan;

/// Keys compared one by one; past that a set is kept, so that 100,000 keys are not quadratic.
const COMPARED_MAX: usize = 16;

/// Keys of all open objects, the innermost last.
#[derive(Debug, Default)]
pub(crate) struct Names<'a> {
    open: Vec<Name<'a>>,
}

/// The keys of one open object.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    base: usize,
    // A tree and not a hash table: no seed, hence the same work for the same bytes.
    set: Option<BTreeSet<Cow<'a, str>>>,
}

#[derive(Clone, Copy, Debug)]
struct Name<'a> {
    raw: &'a str,
    escaped: bool,
}

impl<'a> Names<'a> {
    pub(crate) fn enter(&self) -> Scope<'a> {
        Scope { base: self.open.len(), set: None }
    }

    pub(crate) fn leave(&mut self, scope: &Scope<'a>) {
        self.open.truncate(scope.base);
    }

    /// Notes a key; false if the object has it already.
    pub(crate) fn note(&mut self, scope: &mut Scope<'a>, raw: &'a str, escaped: bool) -> bool {
        let name = Name { raw, escaped };
        if let Some(set) = &mut scope.set {
            return set.insert(name.text());
        }
        let known = self.open.get(scope.base..).unwrap_or_default();
        if known.iter().any(|other| other.same(name)) {
            return false;
        }
        if known.len() == COMPARED_MAX {
            let mut set: BTreeSet<_> = known.iter().map(|other| other.text()).collect();
            set.insert(name.text());
            scope.set = Some(set);
        } else {
            self.open.push(name);
        }
        true
    }
}

impl<'a> Name<'a> {
    fn text(self) -> Cow<'a, str> {
        if self.escaped { Cow::Owned(scan::unescape(self.raw)) } else { Cow::Borrowed(self.raw) }
    }

    fn same(self, other: Self) -> bool {
        if self.escaped || other.escaped {
            return self.text() == other.text();
        }
        self.raw == other.raw
    }
}
