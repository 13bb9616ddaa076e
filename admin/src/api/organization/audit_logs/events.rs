//! Names of events: OpenAI's, where it has one for the act, else Penstock's own.

/// Acts of Penstock with OpenAI's name for them.
const NAMES: &[(&str, &str)] = &[
    ("key.created", "api_key.created"),
    ("key.updated", "api_key.updated"),
    ("key.rotated", "api_key.updated"),
    ("key.deleted", "api_key.deleted"),
    ("admin_key.created", "tenant.admin_api_key.created"),
    ("admin_key.updated", "tenant.admin_api_key.updated"),
    ("admin_key.rotated", "tenant.admin_api_key.updated"),
    ("admin_key.deleted", "tenant.admin_api_key.deleted"),
    ("org.updated", "organization.updated"),
    ("user.created", "user.added"),
    ("invite.created", "invite.sent"),
    ("invite.updated", "invite.accepted"),
    ("limit.created", "rate_limit.updated"),
    ("limit.updated", "rate_limit.updated"),
    ("limit.deleted", "rate_limit.deleted"),
    ("identity_provider.created", "tenant.sso_connection.created"),
    ("identity_provider.updated", "tenant.sso_connection.updated"),
    ("identity_provider.deleted", "tenant.sso_connection.deleted"),
    ("workload_identity.created", "workload_identity_provider_mapping.created"),
    ("workload_identity.updated", "workload_identity_provider_mapping.updated"),
    ("workload_identity.deleted", "workload_identity_provider_mapping.deleted"),
    ("policy.created", "tenant.policy.created"),
    ("policy.updated", "tenant.policy.updated"),
    ("policy.deleted", "tenant.policy.deleted"),
];

/// The name that a client sees.
pub(super) fn theirs(action: &str) -> &str {
    NAMES.iter().find(|(ours, _)| *ours == action).map_or(action, |(_, theirs)| theirs)
}

/// The acts that a client means by a name; a name that is nothing finds nothing.
pub(super) fn ours(word: &str) -> Vec<String> {
    let named = NAMES.iter().filter(|(_, theirs)| *theirs == word).map(|(ours, _)| *ours);
    named.chain([word]).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_asked_for() {
        for (action, name) in NAMES {
            assert_eq!(theirs(action), *name);
            assert!(ours(name).contains(&(*action).to_owned()), "{name}");
        }
        for action in ["project.created", "service_account.deleted", "login.failed"] {
            assert_eq!(theirs(action), action);
            assert_eq!(ours(action), [action]);
        }
    }
}
