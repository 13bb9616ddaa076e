//! Asking the shared windows when the leased cells do not cover a request, and keeping in touch.

use super::super::{OrgBook, Purse, Want};
use futures_util::{StreamExt as _, stream};
use policies::ids::OrgId;
use std::{sync::Arc, time::Duration};
use store::cells::Reply;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How often what nobody uses is given back, and what changed is told.
const TELL: Duration = Duration::from_millis(250);
/// Every so many of them this replica says that it is alive, or looks whether the shared windows
/// answer again.
const TELLS_FOR_ONE_ATTENDANCE: u32 = 4;
/// Orgs that tell at once.
const ORGS_AT_ONCE: usize = 8;

impl Purse {
    /// Asks for what `want` lacks. False: it lacks nothing. Requests that come while a message is
    /// under way wait for it, and are all in the next one.
    pub(in crate::purse) async fn fetch(
        &self,
        org: &OrgId,
        own: &Arc<OrgBook>,
        want: &Want<'_>,
    ) -> bool {
        let ticket = own.lock().shared().and_then(|shared| shared.wait_for(want));
        let Some(ticket) = ticket else { return false };
        let _turn = own.cells.lock().await;
        let served = own.lock().shared().is_none_or(|it| {
            // Nobody waits for windows that do not answer.
            ticket <= it.served || it.moment().apart
        });
        if !served {
            self.exchange(org, own).await;
        }
        true
    }

    /// One message. False: it was not answered. The caller has the org's turn.
    async fn exchange(&self, org: &OrgId, own: &Arc<OrgBook>) -> bool {
        let Some(commons) = &self.commons else { return false };
        let sent = own.lock().shared().map(|shared| shared.compose());
        let Some(sent) = sent else { return false };
        let Some(reply) = commons.exchange(org, sent.message.clone()).await else { return false };
        if reply == Reply::Forgotten {
            tracing::warn!(%org, "the shared limits have forgotten an org: they are told again");
        }
        if let Some(shared) = own.lock().shared() {
            shared.learn(&sent, reply);
        }
        true
    }

    /// Keeps the shared windows true, until `stop`. Nothing here ends because they are away.
    pub async fn share_limits(&self, stop: CancellationToken) {
        if self.commons.is_some() {
            let _ = stop.run_until_cancelled(self.tell_for_ever()).await;
        }
    }

    async fn tell_for_ever(&self) {
        let mut tells = 0u32;
        loop {
            sleep(TELL).await;
            tells = tells.wrapping_add(1);
            let due = tells.is_multiple_of(TELLS_FOR_ONE_ATTENDANCE);
            let apart = self.commons.as_ref().is_some_and(|commons| commons.is_apart());
            // Apart from the others, it only looks whether they are there again.
            if apart && !due {
                continue;
            }
            let told = self.tell_all().await;
            if told && due {
                self.attend().await;
            }
        }
    }

    /// Every org that has something to tell. False: the windows do not answer.
    pub(super) async fn tell_all(&self) -> bool {
        let books = stream::iter(self.books());
        let told = books.map(|(org, own)| async move {
            let something = own.lock().shared().is_some_and(|shared| shared.tidy());
            if !something {
                return true;
            }
            let _turn = own.cells.lock().await;
            self.exchange(&org, &own).await
        });
        told.buffer_unordered(ORGS_AT_ONCE).all(|told| async move { told }).await
    }

    /// After all orgs have told what they took, so that whoever sees this replica alive may rely
    /// on it.
    pub(super) async fn attend(&self) {
        let Some(commons) = &self.commons else { return };
        if commons.attend().await == Some(false) {
            tracing::warn!("the shared limits have forgotten everything: they are told again");
            for (_, own) in self.books() {
                if let Some(shared) = own.lock().shared() {
                    shared.forgotten();
                }
            }
        }
    }
}
