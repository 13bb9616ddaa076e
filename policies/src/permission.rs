//! What somebody may do, one word for each act, and sets of such words.

use std::fmt;

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident $word:literal,)*) => {
        /// One thing that a route needs and a role gives.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Permission { $($(#[$doc])* $name,)* }

        impl Permission {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word in settings and in the API.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

permissions! {
    /// Anyone, without a credential: nothing of any tenant.
    Public "public",
    /// Anyone with a credential: who they are and what they may do.
    Myself "myself",
    /// Send prompts to models that the credential may use.
    Infer "infer",
    /// See the models that the credential may use.
    ListModels "models.list",
    /// See the requests of the credential's own project.
    ReadOwnRequests "requests.read_own",
    ReadOrg "org.read",
    WriteOrg "org.write",
    /// Give the org away: make owners.
    OwnOrg "org.own",
    ReadUnits "units.read",
    WriteUnits "units.write",
    ReadProjects "projects.read",
    WriteProjects "projects.write",
    CreateProjects "projects.create",
    WriteMembers "members.write",
    ReadPeople "people.read",
    WritePeople "people.write",
    ReadRoles "roles.read",
    WriteRoles "roles.write",
    ReadServiceAccounts "service_accounts.read",
    WriteServiceAccounts "service_accounts.write",
    ReadKeys "keys.read",
    WriteKeys "keys.write",
    ReadAdminKeys "admin_keys.read",
    WriteAdminKeys "admin_keys.write",
    ReadIdentity "identity.read",
    WriteIdentity "identity.write",
    /// Provision people and groups from a directory (SCIM).
    Provision "scim.provision",
    /// Providers, deployments, tiers, models.
    ReadCatalogue "catalogue.read",
    WriteCatalogue "catalogue.write",
    /// Replace and test the credentials of providers.
    WriteCredentials "credentials.write",
    ReadPrices "prices.read",
    WritePrices "prices.write",
    ReadLimits "limits.read",
    WriteLimits "limits.write",
    ReadBudgets "budgets.read",
    WriteBudgets "budgets.write",
    ReadPolicies "policies.read",
    WritePolicies "policies.write",
    ReadUsage "usage.read",
    ExportUsage "usage.export",
    ReadAudit "audit.read",
    /// Ask for a higher limit.
    AskForMore "limit_requests.create",
    DecideRequests "limit_requests.decide",
    /// End somebody's sessions and credentials.
    RevokeSessions "sessions.revoke",
    /// The installation itself: make orgs, turn master keys.
    Operate "installation.operate",
}

/// A set of permissions.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Permissions(u64);

impl Permission {
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|it| it.word() == word)
    }

    /// It changes something, or hands something out.
    pub const fn changes(self) -> bool {
        match self {
            Self::WriteOrg
            | Self::OwnOrg
            | Self::WriteUnits
            | Self::WriteProjects
            | Self::CreateProjects
            | Self::WriteMembers
            | Self::WritePeople
            | Self::WriteRoles
            | Self::WriteServiceAccounts
            | Self::WriteKeys
            | Self::WriteAdminKeys
            | Self::WriteIdentity
            | Self::Provision
            | Self::WriteCatalogue
            | Self::WriteCredentials
            | Self::WritePrices
            | Self::WriteLimits
            | Self::WriteBudgets
            | Self::WritePolicies
            | Self::AskForMore
            | Self::DecideRequests
            | Self::RevokeSessions
            | Self::Infer
            | Self::Operate => true,
            Self::Public
            | Self::Myself
            | Self::ListModels
            | Self::ReadOwnRequests
            | Self::ReadOrg
            | Self::ReadUnits
            | Self::ReadProjects
            | Self::ReadPeople
            | Self::ReadRoles
            | Self::ReadServiceAccounts
            | Self::ReadKeys
            | Self::ReadAdminKeys
            | Self::ReadIdentity
            | Self::ReadCatalogue
            | Self::ReadPrices
            | Self::ReadLimits
            | Self::ReadBudgets
            | Self::ReadPolicies
            | Self::ReadUsage
            | Self::ExportUsage
            | Self::ReadAudit => false,
        }
    }

    const fn bit(self) -> u64 {
        1 << self as u8
    }
}

impl Permissions {
    pub const NONE: Self = Self(0);

    pub const fn of(list: &[Permission]) -> Self {
        let mut bits = 0;
        let mut rest = list;
        while let [first, others @ ..] = rest {
            bits |= first.bit();
            rest = others;
        }
        Self(bits)
    }

    pub const fn has(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    #[must_use]
    pub const fn join(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[must_use]
    pub const fn meet(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub const fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.iter().copied().filter(move |it| self.has(*it))
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.iter().map(Permission::word)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permission_has_its_own_bit_and_word() {
        let all = Permissions::of(Permission::ALL);

        assert_eq!(all.iter().count(), Permission::ALL.len());
        assert!(Permission::ALL.len() <= 64);
        for permission in Permission::ALL {
            assert_eq!(Permission::from_word(permission.word()), Some(*permission));
        }
    }
}
