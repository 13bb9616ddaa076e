//! All that somebody may do in one org, and how such rights are compared and narrowed.

use crate::{
    ids::{ProjectId, UnitId},
    permission::{Permission, Permissions},
};
use std::collections::BTreeMap;

/// Permissions by place. What is held in the org holds in all of its units and projects; what is
/// held in a unit was spread over everything below it when the rights were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    pub org: Permissions,
    pub units: BTreeMap<UnitId, Permissions>,
    pub projects: BTreeMap<ProjectId, Permissions>,
}

/// Where something is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Org,
    Unit(UnitId),
    Project(ProjectId),
}

impl Rights {
    /// What may be done at `reach`.
    pub fn at(&self, reach: Reach) -> Permissions {
        let there = match reach {
            Reach::Org => None,
            Reach::Unit(unit) => self.units.get(&unit),
            Reach::Project(project) => self.projects.get(&project),
        };
        self.org.join(there.copied().unwrap_or_default())
    }

    pub fn allow(&self, permission: Permission, reach: Reach) -> bool {
        self.at(reach).has(permission)
    }

    /// Whether the permission is held anywhere.
    pub fn allow_somewhere(&self, permission: Permission) -> bool {
        let held = |permissions: &Permissions| permissions.has(permission);
        held(&self.org) || self.units.values().any(held) || self.projects.values().any(held)
    }

    pub fn add_unit(&mut self, unit: UnitId, permissions: Permissions) {
        let held = self.units.entry(unit).or_default();
        *held = held.join(permissions);
    }

    pub fn add_project(&mut self, project: ProjectId, permissions: Permissions) {
        let held = self.projects.entry(project).or_default();
        *held = held.join(permissions);
    }

    /// What both allow: a grant is the meet of what its maker has and what was asked for.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        let org = self.org.meet(other.org);
        let units = self.units.keys().chain(other.units.keys());
        let units = units.map(|id| {
            let reach = Reach::Unit(*id);
            (*id, self.at(reach).meet(other.at(reach)))
        });
        let projects = self.projects.keys().chain(other.projects.keys());
        let projects = projects.map(|id| {
            let reach = Reach::Project(*id);
            (*id, self.at(reach).meet(other.at(reach)))
        });
        let more = |held: &Permissions| !held.is_within(org);
        Self {
            org,
            units: units.filter(|(_, held)| more(held)).collect(),
            projects: projects.filter(|(_, held)| more(held)).collect(),
        }
    }

    /// Whether `other` allows everything that this allows.
    pub fn is_within(&self, other: &Self) -> bool {
        let units = self.units.keys().map(|id| Reach::Unit(*id));
        let projects = self.projects.keys().map(|id| Reach::Project(*id));
        self.org.is_within(other.org)
            && units.chain(projects).all(|reach| self.at(reach).is_within(other.at(reach)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn permissions() -> impl Strategy<Value = Permissions> {
        proptest::collection::vec(0..Permission::ALL.len(), 0..12).prop_map(|picks| {
            picks.into_iter().fold(Permissions::NONE, |held, at| {
                held.join(Permissions::of(&[Permission::ALL[at]]))
            })
        })
    }

    fn rights() -> impl Strategy<Value = Rights> {
        let places = || proptest::collection::btree_map(0..4u8, permissions(), 0..4);
        (permissions(), places(), places()).prop_map(|(org, units, projects)| Rights {
            org,
            units: units.into_iter().map(|(at, it)| (UnitId::from_bytes([at; 16]), it)).collect(),
            projects: projects
                .into_iter()
                .map(|(at, it)| (ProjectId::from_bytes([at; 16]), it))
                .collect(),
        })
    }

    fn everywhere() -> impl Iterator<Item = Reach> {
        let units = (0..4).map(|at| Reach::Unit(UnitId::from_bytes([at; 16])));
        let projects = (0..4).map(|at| Reach::Project(ProjectId::from_bytes([at; 16])));
        [Reach::Org].into_iter().chain(units).chain(projects)
    }

    proptest! {
        #[test]
        fn a_child_never_has_what_its_parent_has_not(parent in rights(), asked in rights()) {
            let child = parent.meet(&asked);

            prop_assert!(child.is_within(&parent) && child.is_within(&asked));
            for reach in everywhere() {
                for permission in Permission::ALL {
                    let both =
                        parent.allow(*permission, reach) && asked.allow(*permission, reach);
                    prop_assert_eq!(child.allow(*permission, reach), both);
                }
            }
        }

        #[test]
        fn within_says_what_allow_says(one in rights(), other in rights()) {
            let within = everywhere().all(|reach| {
                Permission::ALL.iter().all(|it| !one.allow(*it, reach) || other.allow(*it, reach))
            });

            prop_assert_eq!(one.is_within(&other), within);
        }
    }
}
