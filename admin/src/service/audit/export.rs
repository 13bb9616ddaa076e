//! Writes a chain out, page by page, from a row on to the head that it had at the beginning.

use super::line;
use policies::ids::OrgId;
use std::io::{self, Write};
use store::{
    Fault,
    audit::{ActFilter, AuditLog, Entry, Head, Order},
};

/// Rows that are in memory at once, at most.
pub const PAGE_ROWS: u32 = 500;

/// What is left to be exported of a chain.
#[derive(Clone, Copy, Debug)]
pub struct Rest {
    pub org: OrgId,
    /// The row after which it goes on.
    pub after: u64,
    /// The last row.
    pub to: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum Broken {
    #[error(transparent)]
    Store(#[from] Fault),
    #[error("writing: {0}")]
    Output(#[from] io::Error),
}

impl Rest {
    /// The chain as it is now, after row `after`; 0 for the whole.
    pub async fn of<L>(log: &L, org: OrgId, after: u64) -> Result<Self, Fault>
    where
        L: AuditLog + ?Sized,
    {
        let Head { size, .. } = log.head(&org).await?;
        Ok(Self { org, after, to: size })
    }

    /// The next lines, each with its end; none after the last.
    pub async fn next<L>(&mut self, log: &L) -> Result<Option<String>, Fault>
    where
        L: AuditLog + ?Sized,
    {
        if self.to <= self.after {
            return Ok(None);
        }
        let left = u32::try_from(self.to - self.after).unwrap_or(u32::MAX).min(PAGE_ROWS);
        let all = ActFilter::default();
        let page = log.acts(&self.org, &all, Order::Oldest, Some(self.after), left).await?;
        // Rows may be gone that the head counts: what is there is shown, and the verifier finds it.
        let Some(last) = page.last() else { return Ok(None) };
        self.after = last.seq;
        let text = |entry: &Entry| line::write(entry) + "\n";
        Ok(Some(page.iter().filter(|entry| entry.seq <= self.to).map(text).collect()))
    }
}

/// Writes the whole chain; how many rows that were.
pub async fn export<L>(log: &L, org: OrgId, output: &mut (dyn Write + Send)) -> Result<u64, Broken>
where
    L: AuditLog + ?Sized,
{
    let mut rest = Rest::of(log, org, 0).await?;
    let mut rows = 0;
    while let Some(text) = rest.next(log).await? {
        output.write_all(text.as_bytes())?;
        rows += u64::try_from(text.lines().count()).unwrap_or(u64::MAX);
    }
    output.flush()?;
    Ok(rows)
}
