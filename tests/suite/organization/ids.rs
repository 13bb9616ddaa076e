//! What there is in an org, and every request that reads or changes one thing of it.

use super::ask;
use serde_json::{Value, json};
use tests::{house::House, json::At, wait};

/// Something that has the form of an id, of any kind, and is nowhere.
const NOWHERE: &str = "00000000000000000000000000000007";

/// Ids of an org's objects, by what they are.
pub(super) struct Ids {
    pub(super) project: String,
    pub(super) user: String,
    pub(super) member: String,
    pub(super) group: String,
    pub(super) account: String,
    pub(super) key: String,
    pub(super) admin_key: String,
    pub(super) invite: String,
    pub(super) limit: String,
}

impl Ids {
    pub(super) async fn of(house: &House, boss: &str) -> Self {
        let first = async |path: &str, field: &str, value: &str| {
            let told = ask(house, boss, "GET", path, &Value::Null).await;
            let found = told.body.list("data").iter().find(|it| it.text(field) == value);
            found.unwrap_or_else(|| wait::fail(&format!("{path}: {told:?}"))).text("id").to_owned()
        };
        let project = first("projects", "name", "main").await;
        let invite = json!({ "email": "kim@example.com", "role": "reader" });
        let invite = ask(house, boss, "POST", "invites", &invite).await.body;
        Self {
            user: first("users", "name", "ada").await,
            member: first("users", "name", "vic").await,
            group: first("groups", "name", "team").await,
            account: first(&format!("projects/{project}/service_accounts"), "name", "robot").await,
            key: {
                let path = format!("projects/{project}/api_keys");
                first(&path, "object", "organization.project.api_key").await
            },
            admin_key: first("admin_api_keys", "name", boss).await,
            invite: invite.text("id").to_owned(),
            limit: first(&format!("projects/{project}/rate_limits"), "model", "chat").await,
            project,
        }
    }

    /// The same, of things that are nowhere.
    pub(super) fn nowhere() -> Self {
        let id = |prefix: &str| format!("{prefix}{NOWHERE}");
        Self {
            project: id("proj_"),
            user: id("user_"),
            member: id("user_"),
            group: id("group_"),
            account: id("sa_"),
            key: id("key_"),
            admin_key: id("akey_"),
            invite: id("invite_"),
            limit: id("rl-"),
        }
    }

    /// Every change of something that is there, below the project `home`: method, path and body.
    pub(super) fn changes(&self, home: &str) -> Vec<(&'static str, String, Value)> {
        let Self { project, user, member, group, account, key, admin_key, invite, limit } = self;
        let denied = json!({ "mode": "deny_list", "model_ids": ["chat"] });
        let none = || Value::Null;
        vec![
            ("DELETE", format!("admin_api_keys/{admin_key}"), none()),
            ("POST", format!("users/{user}"), json!({ "role": "owner" })),
            ("DELETE", format!("users/{user}"), none()),
            ("POST", format!("users/{user}/roles"), json!({ "role_id": "auditor" })),
            ("DELETE", format!("invites/{invite}"), none()),
            ("POST", format!("groups/{group}"), json!({ "name": "crew" })),
            ("DELETE", format!("groups/{group}"), none()),
            ("POST", format!("groups/{group}/roles"), json!({ "role_id": "auditor" })),
            ("POST", format!("projects/{project}"), json!({ "name": "haven" })),
            ("POST", format!("projects/{project}/archive"), none()),
            ("POST", format!("projects/{project}/model_permissions"), denied),
            ("DELETE", format!("projects/{project}/model_permissions"), none()),
            ("POST", format!("projects/{project}/service_accounts"), json!({ "name": "more" })),
            ("POST", format!("projects/{home}/users/{member}"), json!({ "role": "owner" })),
            ("DELETE", format!("projects/{home}/users/{member}"), none()),
            ("DELETE", format!("projects/{home}/groups/{group}"), none()),
            ("POST", format!("projects/{home}/service_accounts/{account}"), json!({ "name": "x" })),
            ("DELETE", format!("projects/{home}/service_accounts/{account}"), none()),
            ("POST", format!("projects/{home}/service_accounts/{account}/api_keys"), json!({})),
            ("POST", format!("projects/{home}/api_keys/{key}"), json!({ "scopes": ["infer"] })),
            ("DELETE", format!("projects/{home}/api_keys/{key}"), none()),
            (
                "POST",
                format!("projects/{home}/rate_limits/{limit}"),
                json!({ "max_requests_per_1_minute": 5 }),
            ),
        ]
    }

    pub(super) fn reads(&self, home: &str) -> Vec<String> {
        let Self { project, user, member, group, account, key, admin_key, invite, .. } = self;
        vec![
            format!("admin_api_keys/{admin_key}"),
            format!("users/{user}"),
            format!("users/{user}/roles"),
            format!("invites/{invite}"),
            format!("groups/{group}"),
            format!("groups/{group}/users"),
            format!("projects/{project}"),
            format!("projects/{project}/users"),
            format!("projects/{project}/api_keys"),
            format!("projects/{project}/rate_limits"),
            format!("projects/{home}/users/{member}"),
            format!("projects/{home}/service_accounts/{account}"),
            format!("projects/{home}/api_keys/{key}"),
        ]
    }
}
