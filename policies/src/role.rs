//! The roles that are built in, and what each may do.

use crate::permission::{Permission as P, Permissions};

/// A role that every org has. An org adds its own as lists of permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Runs the installation: every org. Held in the installation itself only.
    Operator,
    Owner,
    Admin,
    /// Data rules, keys and sessions.
    Security,
    /// Prices, budgets, limits, exports.
    Billing,
    /// Reads everything and changes nothing.
    Auditor,
    /// Provisions people and groups from a directory (SCIM).
    Provisioner,
    /// Everybody who is a user of the org.
    Member,
    /// Runs a unit with all that is below it.
    UnitAdmin,
    ProjectAdmin,
    Developer,
    Viewer,
}

/// Where a role is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Installation,
    Org,
    Unit,
    Project,
}

const READS: Permissions = Permissions::of(&[
    P::Myself,
    P::ReadOrg,
    P::ReadUnits,
    P::ReadProjects,
    P::ReadPeople,
    P::ReadRoles,
    P::ReadServiceAccounts,
    P::ReadKeys,
    P::ReadAdminKeys,
    P::ReadIdentity,
    P::ReadCatalogue,
    P::ReadPrices,
    P::ReadLimits,
    P::ReadBudgets,
    P::ReadPolicies,
    P::ReadUsage,
]);

const ADMIN: Permissions = READS.join(Permissions::of(&[
    P::WriteOrg,
    P::WriteUnits,
    P::WriteProjects,
    P::CreateProjects,
    P::WriteMembers,
    P::WritePeople,
    P::WriteRoles,
    P::WriteServiceAccounts,
    P::WriteKeys,
    P::WriteAdminKeys,
    P::WriteCatalogue,
    P::WriteCredentials,
    P::WritePrices,
    P::WriteLimits,
    P::WriteBudgets,
    P::WritePolicies,
    P::ExportUsage,
    P::ReadAudit,
    P::AskForMore,
    P::DecideRequests,
    P::RevokeSessions,
]));

/// Whoever says which identity provider is believed, or provisions groups, can become anyone.
const OWNER: Permissions =
    ADMIN.join(Permissions::of(&[P::OwnOrg, P::WriteIdentity, P::Provision]));

const VIEWER: Permissions = Permissions::of(&[
    P::Myself,
    P::ListModels,
    P::ReadProjects,
    P::ReadCatalogue,
    P::ReadLimits,
    P::ReadBudgets,
    P::ReadUsage,
]);

const DEVELOPER: Permissions =
    VIEWER.join(Permissions::of(&[P::Infer, P::ReadOwnRequests, P::ReadKeys, P::AskForMore]));

const PROJECT_ADMIN: Permissions = DEVELOPER.join(Permissions::of(&[
    P::WriteProjects,
    P::WriteMembers,
    P::ReadServiceAccounts,
    P::WriteServiceAccounts,
    P::WriteKeys,
    P::ReadPolicies,
]));

const UNIT_ADMIN: Permissions = PROJECT_ADMIN
    .join(Permissions::of(&[P::ReadUnits, P::WriteUnits, P::CreateProjects]))
    .without(Permissions::of(&[P::Infer, P::ReadOwnRequests]));

impl Role {
    pub const ALL: [Self; 12] = [
        Self::Operator,
        Self::Owner,
        Self::Admin,
        Self::Security,
        Self::Billing,
        Self::Auditor,
        Self::Provisioner,
        Self::Member,
        Self::UnitAdmin,
        Self::ProjectAdmin,
        Self::Developer,
        Self::Viewer,
    ];

    pub const fn word(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Security => "security",
            Self::Billing => "billing",
            Self::Auditor => "auditor",
            Self::Provisioner => "provisioner",
            Self::Member => "member",
            Self::UnitAdmin => "unit_admin",
            Self::ProjectAdmin => "project_admin",
            Self::Developer => "developer",
            Self::Viewer => "viewer",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }

    pub const fn level(self) -> Level {
        match self {
            Self::Operator => Level::Installation,
            Self::Owner
            | Self::Admin
            | Self::Security
            | Self::Billing
            | Self::Auditor
            | Self::Provisioner
            | Self::Member => Level::Org,
            Self::UnitAdmin => Level::Unit,
            Self::ProjectAdmin | Self::Developer | Self::Viewer => Level::Project,
        }
    }

    pub const fn permissions(self) -> Permissions {
        match self {
            Self::Operator => OWNER.join(Permissions::of(&[P::Operate])),
            Self::Owner => OWNER,
            Self::Admin => ADMIN,
            Self::Security => READS.join(Permissions::of(&[
                P::ReadAudit,
                P::WritePolicies,
                P::WriteKeys,
                P::RevokeSessions,
            ])),
            Self::Billing => READS.join(Permissions::of(&[
                P::WritePrices,
                P::WriteBudgets,
                P::WriteLimits,
                P::ExportUsage,
                P::DecideRequests,
            ])),
            Self::Auditor => READS.join(Permissions::of(&[P::ReadAudit, P::ExportUsage])),
            Self::Provisioner => Permissions::of(&[P::Myself, P::Provision]),
            Self::Member => Permissions::of(&[P::Myself, P::ReadOrg, P::AskForMore]),
            Self::UnitAdmin => UNIT_ADMIN,
            Self::ProjectAdmin => PROJECT_ADMIN,
            Self::Developer => DEVELOPER,
            Self::Viewer => VIEWER,
        }
    }
}

/// What a role of an org's own may hold, at most: never what is the owner's or the operator's.
pub const CUSTOM_MAX: Permissions =
    ADMIN.join(DEVELOPER).join(UNIT_ADMIN).join(Permissions::of(&[P::ReadAudit]));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_auditor_changes_nothing() {
        let changes = Role::Auditor.permissions().iter().filter(|it| it.changes()).count();

        assert_eq!(changes, 0);
    }

    #[test]
    fn roles_of_the_org_send_no_prompts() {
        for role in Role::ALL.into_iter().filter(|role| role.level() != Level::Project) {
            assert!(!role.permissions().has(P::Infer), "{}", role.word());
        }
    }

    #[test]
    fn each_step_down_holds_less() {
        for (less, more) in [
            (Role::Viewer, Role::Developer),
            (Role::Developer, Role::ProjectAdmin),
            (Role::Admin, Role::Owner),
            (Role::Owner, Role::Operator),
            (Role::Auditor, Role::Admin),
            (Role::Security, Role::Admin),
            (Role::Billing, Role::Admin),
        ] {
            assert!(less.permissions().is_within(more.permissions()), "{}", less.word());
            assert!(!more.permissions().is_within(less.permissions()), "{}", more.word());
        }
    }
}
