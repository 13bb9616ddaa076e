//! What the administration side asks the data plane.

use crate::{app::App, snapshot, upstream::NoAnswer};
use admin::probe::{Probe, Readiness, Sharing, Trial, Tried};
use async_trait::async_trait;
use http::StatusCode;
use policies::{
    document::Document,
    ids::{OrgId, ProviderId},
};
use std::sync::Arc;
use store::{Store, clock, seal::Keeper};
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
            limits: match self.app.purse.is_apart() {
                None => Sharing::Process,
                Some(false) => Sharing::Shared,
                Some(true) => Sharing::Apart,
            },
        }
    }

    async fn try_provider(&self, org: &OrgId, provider: &ProviderId) -> Trial {
        let settings = self.store.settings(org).await.ok().flatten();
        let objects = settings.map(|settings| settings.objects).unwrap_or_default();
        let found = objects.iter().find_map(|object| {
            let Document::Provider(it) = &object.document else { return None };
            (object.id == *provider.as_bytes()).then_some(it)
        });
        let Some(provider) = found else { return Trial::NOT_SET_UP };
        let Some((uri, authorization)) = snapshot::trial(org, provider, &self.keeper).await else {
            return Trial::NOT_SET_UP;
        };
        let public_only = provider.public_only;
        let begun = clock::monotonic();
        let answer = self.app.upstream.try_out(&uri, authorization.as_ref(), public_only).await;
        let latency_millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let tried = match answer {
            Ok(status) if status.is_success() => Tried::Reachable,
            Ok(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Tried::Unauthorised,
            Ok(_) => Tried::UnexpectedAnswer,
            Err(NoAnswer::Late) => Tried::TimedOut,
            Err(NoAnswer::Unreachable | NoAnswer::BrokenOff) => Tried::Unreachable,
        };
        let status = answer.ok().map(|status| status.as_u16());
        Trial { tried, status, latency_millis }
    }
}
