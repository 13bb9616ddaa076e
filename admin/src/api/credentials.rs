//! The secrets that go out to providers: they are replaced and tried, and never read back.

use crate::{
    context::{Context, json},
    failure::Failure,
    probe::Trial,
    service::secrets::{CREDENTIAL_BYTES_MAX, Holder, Kept, Replacement, set_credential},
    table::{Build, Place, Row, row},
};
use axum::{http::StatusCode, response::Response};
use policies::{document::Kind, ids::ProviderId, permission::Permission, route::Method};
use serde::Deserialize;
use store::seal::Secret;

pub const ROWS: &[Row] = &[
    Build(row(
        Method::Put,
        "/admin/v1/providers/{id}/credential",
        Permission::WriteCredentials,
        |context| Box::pin(replace(context, Holder::Provider)),
    ))
    .at(Place::Object(Kind::Provider, 0))
    .says("Seal a new credential for a provider; it cannot be read back")
    .takes("SecretValue")
    .gives(200, Some("Sealed"))
    .0,
    Build(row(
        Method::Put,
        "/admin/v1/identity_providers/{id}/client_secret",
        Permission::WriteIdentity,
        |context| Box::pin(replace(context, Holder::IdentityProvider)),
    ))
    .at(Place::Object(Kind::IdentityProvider, 0))
    .says("Seal a new client secret for an identity provider; it cannot be read back")
    .takes("SecretValue")
    .gives(200, Some("Sealed"))
    .0,
    Build(row(
        Method::Post,
        "/admin/v1/providers/{id}/test",
        Permission::WriteCredentials,
        |context| Box::pin(test(context)),
    ))
    .at(Place::Object(Kind::Provider, 0))
    .says("Ask a provider for its models with the credential that is stored: does it work?")
    .gives(200, Some("Tried"))
    .0,
];

/// Without `Debug`, so that no log can have it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretValue {
    value: String,
}

async fn replace(context: Context, holder: Holder) -> Result<Response, Failure> {
    let SecretValue { value } = context.read()?;
    if value.trim().is_empty() || CREDENTIAL_BYTES_MAX < value.len() {
        let message = format!("must have 1 to {CREDENTIAL_BYTES_MAX} bytes");
        return Err(Failure::invalid("value", message));
    }
    let keeper = context.services.sign_in.keeper.clone().ok_or(Failure::Unavailable)?;
    let value = Secret::new(value.into_bytes());
    let (org, named, act) = (context.org()?, context.param(0), context.act(""));
    // The gate has judged the object of this id.
    holder.kind().parse_id(named).map_err(|_| Failure::NotFound)?;
    let replacement = Replacement { org, holder, named, value: &value, act };
    let store = context.services.store.as_ref();
    match set_credential(store, &keeper, replacement).await {
        Ok(revision) => {
            let body = serde_json::json!({
                "object": "sealed",
                "revision": revision.0,
                "in_files": holder.in_files(),
            });
            Ok(json(StatusCode::OK, &body))
        }
        Err(Kept::NotFound { .. }) => Err(Failure::NotFound),
        Err(Kept::Locked { .. }) => Err(Failure::Locked),
        Err(Kept::Unfit(why)) => Err(Failure::invalid("value", why)),
        Err(Kept::Conflict) => Err(Failure::Conflict),
        Err(Kept::Store(fault)) => Err(fault.into()),
        Err(Kept::Seal(fault)) => {
            tracing::error!(%fault, "a credential cannot be sealed");
            Err(Failure::Unavailable)
        }
    }
}

async fn test(context: Context) -> Result<Response, Failure> {
    let id: ProviderId = context.param(0).parse().map_err(|_| Failure::NotFound)?;
    let Trial { tried, status, latency_millis } =
        context.services.probe.try_provider(&context.org()?, &id).await;
    let mut act = context.act("provider.tested");
    act.reason = Some(tried.word().to_owned());
    act.target = Some(crate::context::target("provider", id.to_string(), ""));
    context.services.store.append(&context.org()?, vec![act]).await?;
    let body = serde_json::json!({
        "object": "tried",
        "works": tried.works(),
        "outcome": tried.word(),
        "status": status,
        "latency_ms": latency_millis,
    });
    Ok(json(StatusCode::OK, &body))
}
