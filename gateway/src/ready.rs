//! What the administration side asks the data plane.

use crate::{app::App, snapshot};
use admin::probe::{Probe, Readiness, Tried};
use async_trait::async_trait;
use http::StatusCode;
use policies::{
    document::Document,
    ids::{OrgId, ProviderId},
};
use std::sync::Arc;
use store::{Store, seal::Keeper};
use tokio_util::sync::CancellationToken;

pub struct Ready {
    pub app: Arc<App>,
    pub store: Arc<dyn Store>,
    pub keeper: Arc<Keeper>,
    pub drain: CancellationToken,
}

#[async_trait]
impl Probe for Ready {
    fn readiness(&self) -> Readiness {
        Readiness {
            store: self.app.snapshot.store_answers(),
            journal: self.app.journal.healthy(),
            snapshot: self.app.snapshot.current().tenants().next().is_some(),
            draining: self.drain.is_cancelled(),
        }
    }

    async fn try_provider(&self, org: &OrgId, provider: &ProviderId) -> Tried {
        let settings = self.store.settings(org).await.ok().flatten();
        let objects = settings.map(|settings| settings.objects).unwrap_or_default();
        let found = objects.iter().find_map(|object| {
            let Document::Provider(it) = &object.document else { return None };
            (object.id == *provider.as_bytes()).then_some(it)
        });
        let Some(provider) = found else { return Tried::NotSetUp };
        let Some((uri, authorization)) = snapshot::trial(org, provider, &self.keeper).await else {
            return Tried::NotSetUp;
        };
        let public_only = provider.public_only;
        match self.app.upstream.try_out(&uri, authorization.as_ref(), public_only).await {
            Ok(status) if status.is_success() => Tried::Works,
            Ok(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Tried::Refused,
            Ok(_) => Tried::Odd,
            Err(_) => Tried::Silent,
        }
    }
}
