//! What an earlier start left in the journal, before a new one writes to it.

use crate::{
    journal::{File, Legacy, Recovered},
    shipper::Quarantine,
};
use std::time::Duration;
use store::{Claimed, JOURNAL_QUIET_MILLIS, Ledger, clock};

/// How long to wait for a gateway to fall silent that had the same journal, and between two looks.
const COPY_PATIENCE: Duration = Duration::from_millis(JOURNAL_QUIET_MILLIS.unsigned_abs() + 5_000);
const COPY_PAUSE: Duration = Duration::from_secs(1);

/// Takes the journal over, and brings what is left in it to the store.
pub(super) async fn recover(
    file: &File,
    ledger: &dyn Ledger,
    quarantine: &Quarantine,
) -> anyhow::Result<()> {
    take_over(file, ledger).await?;
    let mut legacy = Legacy::read(file, quarantine, clock::now())?;
    let recovered = legacy.bring(ledger, &file.id(), quarantine).await?;
    file.mark_closed(&legacy.boots())?;
    if recovered != Recovered::default() {
        tracing::info!(?recovered, "what an earlier start left is in the store");
    }
    Ok(())
}

/// Makes sure that no other gateway writes this journal or a copy of it.
async fn take_over(file: &File, ledger: &dyn Ledger) -> anyhow::Result<()> {
    let (path, claim) = (file.path().display(), file.claim()?);
    let deadline = tokio::time::Instant::now() + COPY_PATIENCE;
    loop {
        match ledger.claim_journal(&file.id(), &claim).await? {
            Claimed::Yours => return Ok(()),
            Claimed::Old { known } => anyhow::bail!(
                "journal `{path}`: it is an old copy (opened {} times, the store knows of {known}): \
                 move it away; budgets count what it may hold",
                claim.generation
            ),
            Claimed::InUse if deadline <= tokio::time::Instant::now() => anyhow::bail!(
                "journal `{path}`: a gateway that is alive writes a copy of it: give each gateway \
                 its own, or stop the other one"
            ),
            // A disk that was moved from a machine that has just gone.
            Claimed::InUse => {
                tracing::warn!(%path, "another gateway had this journal a moment ago: waiting");
                tokio::time::sleep(COPY_PAUSE).await;
            }
        }
    }
}
