//! `/v1/organization/...`: the part of OpenAI's Administration API that scripts use, so that the
//! admin clients of OpenAI's SDKs work unchanged. The manual, page `organization-api`, says what
//! maps to what.

mod admin_keys;
mod audit_logs;
mod depart;
mod find;
mod groups;
mod invites;
mod keys;
mod members;
mod model_permissions;
mod page;
mod projects;
mod rate_limits;
mod role;
mod roles;
mod service_accounts;
mod unsupported;
mod usage;
mod users;

pub use self::unsupported::ROWS as UNSUPPORTED_ROWS;

use crate::{
    failure::Face,
    table::{Build, Place, Row, row},
};
use policies::{document::Kind, permission::Permission, route::Method};

/// Rows by method and path, permission and place, what serves them, and what they say. What only
/// reads what is known already `tells`; what asks the store, or changes something, `does`.
macro_rules! rows {
    ($name:ident: $($method:ident $path:literal $permission:ident $place:expr,
        $how:ident $call:path, $says:literal $(, [$($query:literal),*])?;)*) => {
        pub const $name: &[Row] = &[$(
            Build(row(
                Method::$method,
                concat!("/v1/organization/", $path),
                Permission::$permission,
                |context| Box::pin(rows!(@$how context, $call)),
            ))
            .at($place)
            .face(Face::Openai)
            .says($says)
            .query(&[$($($query),*)?])
            .0,
        )*];
    };
    (@tells $context:ident, $call:path) => { async move { $call(&$context) } };
    (@does $context:ident, $call:path) => { $call($context) };
}

const ORG: Place = Place::Org;
const ANYWHERE: Place = Place::Somewhere;
const PROJECT: Place = Place::Object(Kind::Project, 0);
const USER: Place = Place::Object(Kind::User, 0);
const GROUP: Place = Place::Object(Kind::Group, 0);

rows! { ROWS:
    Get "admin_api_keys" ReadAdminKeys ORG, does admin_keys::list,
        "List keys for administration", ["limit", "after", "order"];
    Post "admin_api_keys" WriteAdminKeys ORG, does admin_keys::create,
        "Make a key for administration, of the asker's own";
    Get "admin_api_keys/{id}" ReadAdminKeys Place::Object(Kind::AdminKey, 0), does admin_keys::get,
        "Read a key for administration";
    Delete "admin_api_keys/{id}" WriteAdminKeys Place::Object(Kind::AdminKey, 0),
        does admin_keys::remove, "Remove a key for administration";

    Get "users" ReadPeople ORG, tells users::list,
        "List users", ["limit", "after", "emails"];
    Get "users/{id}" ReadPeople USER, tells users::get, "Read a user";
    Post "users/{id}" WritePeople USER, does users::update, "Change a user's role in the org";
    Delete "users/{id}" WritePeople USER, does users::remove, "Remove a user";
    Get "users/{id}/roles" ReadPeople USER, tells roles::of_user,
        "List a user's own roles in the org", ["limit", "after", "order"];
    Post "users/{id}/roles" WritePeople USER, does roles::give_user,
        "Give a user a role in the org";
    Get "users/{id}/roles/{role}" ReadPeople USER, tells roles::one_of_user,
        "Read a role that a user has in the org";
    Delete "users/{id}/roles/{role}" WritePeople USER, does roles::take_from_user,
        "Take a role in the org from a user";

    Get "invites" ReadPeople ORG, tells invites::list, "List invites", ["limit", "after"];
    Post "invites" WritePeople ORG, does invites::create, "Ask somebody to join";
    Get "invites/{id}" ReadPeople Place::Object(Kind::Invite, 0), tells invites::get,
        "Read an invite";
    Delete "invites/{id}" WritePeople Place::Object(Kind::Invite, 0), does invites::remove,
        "Take an invite back";

    Get "groups" ReadPeople ORG, tells groups::list, "List groups", ["limit", "after", "order"];
    Post "groups" WritePeople ORG, does groups::create, "Make a group";
    Get "groups/{id}" ReadPeople GROUP, tells groups::get, "Read a group";
    Post "groups/{id}" WritePeople GROUP, does groups::update, "Rename a group";
    Delete "groups/{id}" WritePeople GROUP, does groups::remove, "Remove a group";
    Get "groups/{id}/users" ReadPeople GROUP, tells groups::users,
        "List a group's users", ["limit", "after", "order"];
    Post "groups/{id}/users" WritePeople GROUP, does groups::add_user, "Add a user to a group";
    Get "groups/{id}/users/{user}" ReadPeople GROUP, tells groups::user,
        "Read a user of a group";
    Delete "groups/{id}/users/{user}" WritePeople GROUP, does groups::remove_user,
        "Take a user out of a group";
    Get "groups/{id}/roles" ReadPeople GROUP, tells roles::of_group,
        "List a group's roles in the org", ["limit", "after", "order"];
    Post "groups/{id}/roles" WritePeople GROUP, does roles::give_group,
        "Give a group a role in the org";
    Get "groups/{id}/roles/{role}" ReadPeople GROUP, tells roles::one_of_group,
        "Read a role that a group has in the org";
    Delete "groups/{id}/roles/{role}" WritePeople GROUP, does roles::take_from_group,
        "Take a role in the org from a group";

    Get "roles" ReadRoles ORG, tells roles::list,
        "List roles, built in and of the org's own", ["limit", "after", "order"];
    Post "roles" WriteRoles ORG, does roles::create, "Make a role";
    Get "roles/{role}" ReadRoles ORG, tells roles::get, "Read a role";
    Post "roles/{role}" WriteRoles ORG, does roles::update, "Change a role of the org's own";
    Delete "roles/{role}" WriteRoles ORG, does roles::remove, "Remove a role of the org's own";

    Get "projects" ReadProjects ANYWHERE, does projects::list,
        "List projects", ["limit", "after", "include_archived"];
    Post "projects" CreateProjects ORG, does projects::create, "Make a project";
    Get "projects/{id}" ReadProjects PROJECT, does projects::get, "Read a project";
    Post "projects/{id}" WriteProjects PROJECT, does projects::update, "Rename a project";
    Post "projects/{id}/archive" WriteProjects PROJECT, does projects::archive,
        "Archive a project: its keys are refused from then on";

    Get "projects/{id}/users" ReadProjects PROJECT, tells members::users,
        "List a project's users", ["limit", "after"];
    Post "projects/{id}/users" WriteMembers PROJECT, does members::add_user,
        "Make a user a member of a project";
    Get "projects/{id}/users/{user}" ReadProjects PROJECT, tells members::user,
        "Read a project's user";
    Post "projects/{id}/users/{user}" WriteMembers PROJECT, does members::update_user,
        "Change a user's role in a project";
    Delete "projects/{id}/users/{user}" WriteMembers PROJECT, does members::remove_user,
        "End a user's membership of a project";
    Get "projects/{id}/groups" ReadProjects PROJECT, tells members::groups,
        "List a project's groups", ["limit", "after", "order"];
    Post "projects/{id}/groups" WriteMembers PROJECT, does members::add_group,
        "Make a group a member of a project";
    Get "projects/{id}/groups/{group}" ReadProjects PROJECT, tells members::group,
        "Read a project's group", ["group_type"];
    Delete "projects/{id}/groups/{group}" WriteMembers PROJECT, does members::remove_group,
        "End a group's membership of a project";

    Get "projects/{id}/service_accounts" ReadServiceAccounts PROJECT,
        tells service_accounts::list, "List a project's service accounts", ["limit", "after"];
    Post "projects/{id}/service_accounts" WriteServiceAccounts PROJECT,
        does service_accounts::create, "Make a service account, with a key that is shown once";
    Get "projects/{id}/service_accounts/{account}" ReadServiceAccounts PROJECT,
        tells service_accounts::get, "Read a service account";
    Post "projects/{id}/service_accounts/{account}" WriteServiceAccounts PROJECT,
        does service_accounts::update, "Change a service account's name or role";
    Delete "projects/{id}/service_accounts/{account}" WriteServiceAccounts PROJECT,
        does service_accounts::remove, "Remove a service account with its keys";
    Post "projects/{id}/service_accounts/{account}/api_keys" WriteKeys PROJECT,
        does keys::create, "Make a further key of a service account, which is shown once";

    Get "projects/{id}/api_keys" ReadKeys PROJECT, does keys::list,
        "List a project's keys", ["limit", "after", "owner_project_access"];
    Get "projects/{id}/api_keys/{key}" ReadKeys PROJECT, does keys::get, "Read a key";
    Post "projects/{id}/api_keys/{key}" WriteKeys PROJECT, does keys::update,
        "Change what a key may be used for, or its expiry";
    Delete "projects/{id}/api_keys/{key}" WriteKeys PROJECT, does keys::remove, "Remove a key";

    Get "projects/{id}/rate_limits" ReadLimits PROJECT, tells rate_limits::list,
        "List a project's rate limits by model", ["limit", "after", "before"];
    Post "projects/{id}/rate_limits/{limit}" WriteLimits PROJECT, does rate_limits::update,
        "Set a rate limit of a project";
    Get "projects/{id}/model_permissions" ReadProjects PROJECT, tells model_permissions::get,
        "Read which models a project may use";
    Post "projects/{id}/model_permissions" WriteProjects PROJECT, does model_permissions::update,
        "Set which models a project may use";
    Delete "projects/{id}/model_permissions" WriteProjects PROJECT, does model_permissions::remove,
        "Let a project use every model of the org";

    Get "audit_logs" ReadAudit ORG, does audit_logs::list,
        "List events of the audit log, newest first",
        ["limit", "after", "before", "actor_ids", "actor_emails", "event_types", "project_ids",
            "resource_ids", "effective_at[gt]", "effective_at[gte]", "effective_at[lt]",
            "effective_at[lte]"];
    Get "usage/completions" ReadUsage ANYWHERE, does usage::completions,
        "Usage of chat models in buckets of time",
        ["start_time", "end_time", "bucket_width", "group_by", "limit", "page", "project_ids",
            "user_ids", "api_key_ids", "models", "batch"];
    Get "usage/embeddings" ReadUsage ANYWHERE, does usage::embeddings,
        "Usage of embedding models in buckets of time",
        ["start_time", "end_time", "bucket_width", "group_by", "limit", "page", "project_ids",
            "user_ids", "api_key_ids", "models"];
    Get "costs" ReadUsage ANYWHERE, does usage::costs,
        "Costs by day",
        ["start_time", "end_time", "bucket_width", "group_by", "limit", "page", "project_ids",
            "api_key_ids", "line_items"];
}
