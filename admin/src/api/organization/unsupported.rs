//! Paths of OpenAI's Administration API that Penstock does not serve. They say so, in the shape
//! that the SDKs read: a script learns that nothing was done, and where else to look.

use crate::{
    failure::{Face, Failure},
    table::{Build, NO_BODY, Row, row},
};
use policies::{permission::Permission, route::Method};

macro_rules! unsupported {
    ($($path:literal $($method:ident)+;)*) => {
        pub const ROWS: &[Row] = unsupported!(@ [] $($path [$($method)+])*);
    };
    (@ [$($done:expr,)*] $path:literal [] $($rest:tt)*) => {
        unsupported!(@ [$($done,)*] $($rest)*)
    };
    (@ [$($done:expr,)*] $path:literal [$method:ident $($more:ident)*] $($rest:tt)*) => {
        unsupported!(@ [$($done,)* absent(Method::$method, $path),] $path [$($more)*] $($rest)*)
    };
    (@ [$($done:expr,)*]) => { &[$($done,)*] };
}

/// Open to anyone: that something is not there is nobody's secret.
const fn absent(method: Method, path: &'static str) -> Row {
    Build(row(method, path, Permission::Public, |_| {
        Box::pin(async {
            let detail = "Penstock does not have this part of OpenAI's Administration API; \
                nothing was done, and the manual's page `organization-api` says what there is";
            Err(Failure::Unsupported { detail: detail.to_owned() })
        })
    }))
    .face(Face::Openai)
    .body(NO_BODY)
    .says("Not part of Penstock")
    .0
}

unsupported! {
    "/v1/organization/certificates" Get Post;
    "/v1/organization/certificates/{id}" Get Post Delete;
    "/v1/organization/data_retention" Get Post;
    "/v1/organization/external_keys" Get Post;
    "/v1/organization/external_keys/{id}" Get Delete;
    "/v1/organization/external_keys/{id}/validate" Post;
    "/v1/organization/external_storage" Get Post;
    "/v1/organization/external_storage/{id}" Get Delete;
    "/v1/organization/external_storage/{id}/validate" Post;
    "/v1/organization/spend_alerts" Get Post;
    "/v1/organization/spend_alerts/{id}" Get Post Delete;
    "/v1/organization/spend_limit" Get Post Delete;
    "/v1/organization/usage/audio_speeches" Get;
    "/v1/organization/usage/audio_transcriptions" Get;
    "/v1/organization/usage/code_interpreter_sessions" Get;
    "/v1/organization/usage/decisions" Get;
    "/v1/organization/usage/file_search_calls" Get;
    "/v1/organization/usage/images" Get;
    "/v1/organization/usage/moderations" Get;
    "/v1/organization/usage/vector_stores" Get;
    "/v1/organization/usage/web_search_calls" Get;
    "/v1/organization/workload_identity_providers" Get Post;
    "/v1/organization/workload_identity_providers/{id}" Get Post Delete;
    "/v1/organization/workload_identity_providers/{id}/federation_rules" Get Post;
    "/v1/organization/workload_identity_providers/{id}/federation_rules/{rule}" Get Post Delete;
    "/v1/organization/projects/{id}/certificates" Get;
    "/v1/organization/projects/{id}/certificates/{certificate}" Post;
    "/v1/organization/projects/{id}/data_retention" Get Post;
    "/v1/organization/projects/{id}/hosted_tool_permissions" Get Post;
    "/v1/organization/projects/{id}/service_tier_settings" Get Post;
    "/v1/organization/projects/{id}/spend_alerts" Get Post;
    "/v1/organization/projects/{id}/spend_alerts/{alert}" Get Post Delete;
    "/v1/organization/projects/{id}/spend_limit" Get Post Delete;
    "/v1/projects/{id}/roles" Get Post;
    "/v1/projects/{id}/roles/{role}" Get Post Delete;
    "/v1/projects/{id}/users/{user}/roles" Get Post;
    "/v1/projects/{id}/users/{user}/roles/{role}" Get Delete;
    "/v1/projects/{id}/groups/{group}/roles" Get Post;
    "/v1/projects/{id}/groups/{group}/roles/{role}" Get Delete;
}
