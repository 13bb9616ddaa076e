//! `sync`: takes slices, gives them back, renews.

use super::{
    fold,
    pots::{Stored, find_or_make},
};
use crate::{
    Answer, Fault, LeaseState, Need, RECALL_GAP_MILLIS, SELF_FENCE_MILLIS, SyncAsk, SyncReply,
    clock,
};
use policies::{
    budget::{self, Pot},
    ids::{BootId, OrgId},
    money::NanoUsd,
    time::Timestamp,
};
use sqlx::{Row, SqliteConnection};
use std::collections::{BTreeMap, BTreeSet};

/// One org's pots and one boot's leases on them, while a message is worked on.
struct Books {
    now: Timestamp,
    boots: i64,
    pots: BTreeMap<Pot, Stored>,
    /// What this boot was granted so far.
    granted: BTreeMap<Pot, NanoUsd>,
    taken: BTreeSet<Pot>,
}

/// What a need came to, before it is known whether anybody is silent.
enum Verdict {
    Final(Answer),
    Lack(Vec<Pot>),
}

pub(super) async fn sync(
    connection: &mut SqliteConnection,
    org: &OrgId,
    boot: &BootId,
    ask: SyncAsk,
) -> Result<SyncReply, Fault> {
    let now = clock::now();
    if !is_open(connection, org, boot).await? {
        return Ok(SyncReply::Closed);
    }
    sqlx::query("UPDATE boot SET last_seen = max(last_seen, ?2) WHERE id = ?1")
        .bind(boot.as_bytes().as_slice())
        .bind(now.0)
        .execute(&mut *connection)
        .await?;
    for (pot, told) in &ask.returned {
        give_back(connection, org, boot, (pot, *told)).await?;
    }

    let mut books = read(connection, org, boot, &ask, now).await?;
    let verdicts: Vec<_> = ask.needs.iter().map(|need| books.decide(need)).collect();
    for pot in &books.taken {
        books.write(connection, org, boot, pot).await?;
    }
    let mut answers = Vec::with_capacity(verdicts.len());
    for verdict in verdicts {
        answers.push(match verdict {
            Verdict::Final(answer) => answer,
            Verdict::Lack(pots) => books.lack(connection, org, boot, &pots).await?,
        });
    }
    books.recall(connection, org, &answers, &ask).await?;

    let returned = ask.returned.iter().map(|(pot, _)| pot);
    for pot in books.taken.iter().chain(returned).collect::<BTreeSet<_>>() {
        if books.pots.contains_key(pot) {
            fold::check(connection, org, pot).await?;
        }
    }
    Ok(SyncReply::Open { answers, leases: books.leases(&ask), now })
}

/// The pots that a message names, each once.
fn named(ask: &SyncAsk) -> BTreeSet<Pot> {
    let chains = ask.needs.iter().flat_map(|need| need.chain.iter());
    chains.chain(ask.returned.iter().map(|(pot, _)| pot)).copied().collect()
}

async fn is_open(
    connection: &mut SqliteConnection,
    org: &OrgId,
    boot: &BootId,
) -> Result<bool, Fault> {
    let open = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM boot WHERE id = ?1 AND state = 'open')
            AND NOT EXISTS (SELECT 1 FROM lease WHERE boot = ?1 AND org = ?2 AND state <> 'open')",
    )
    .bind(boot.as_bytes().as_slice())
    .bind(org.as_bytes().as_slice())
    .fetch_one(connection)
    .await?;
    Ok(open)
}

/// `told` is the total given back so far: an old message, with a smaller total, changes nothing.
async fn give_back(
    connection: &mut SqliteConnection,
    org: &OrgId,
    boot: &BootId,
    (pot, told): (&Pot, NanoUsd),
) -> Result<(), Fault> {
    let row = sqlx::query(
        "SELECT returned FROM lease
         WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4 AND boot = ?5",
    )
    .bind(org.as_bytes().as_slice())
    .bind(pot.budget.as_bytes().as_slice())
    .bind(pot.span.starts.0)
    .bind(pot.span.ends.0)
    .bind(boot.as_bytes().as_slice())
    .fetch_optional(&mut *connection)
    .await?;
    let known = row.map_or(Ok(0), |row| row.try_get::<i64, _>("returned"))?;
    if told.0 <= known {
        return Ok(());
    }
    for sql in [
        "UPDATE lease SET returned = returned + ?6
         WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4 AND boot = ?5",
        "UPDATE budget SET leased = leased - ?6
         WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4 AND ?5 IS NOT NULL",
    ] {
        let updated = sqlx::query(sql)
            .bind(org.as_bytes().as_slice())
            .bind(pot.budget.as_bytes().as_slice())
            .bind(pot.span.starts.0)
            .bind(pot.span.ends.0)
            .bind(boot.as_bytes().as_slice())
            .bind(told.0.saturating_sub(known))
            .execute(&mut *connection)
            .await
            .map_err(fold::broken)?;
        if updated.rows_affected() == 0 {
            let message = format!("{}: something came back that was never given", pot.budget);
            return Err(Fault::Broken(message));
        }
    }
    Ok(())
}

async fn read(
    connection: &mut SqliteConnection,
    org: &OrgId,
    boot: &BootId,
    ask: &SyncAsk,
    now: Timestamp,
) -> Result<Books, Fault> {
    let boots =
        sqlx::query_scalar("SELECT COUNT(*) FROM boot WHERE state = 'open' AND ?1 < last_seen")
            .bind(now.plus_millis(-SELF_FENCE_MILLIS).0)
            .fetch_one(&mut *connection)
            .await?;
    let (mut pots, mut granted) = (BTreeMap::new(), BTreeMap::new());
    for pot in named(ask) {
        if let Some(stored) = find_or_make(connection, org, &pot).await? {
            pots.insert(pot, stored);
        }
        let lease = sqlx::query_scalar(
            "SELECT granted FROM lease
             WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4 AND boot = ?5",
        )
        .bind(org.as_bytes().as_slice())
        .bind(pot.budget.as_bytes().as_slice())
        .bind(pot.span.starts.0)
        .bind(pot.span.ends.0)
        .bind(boot.as_bytes().as_slice())
        .fetch_optional(&mut *connection)
        .await?;
        granted.insert(pot, NanoUsd(lease.unwrap_or(0)));
    }
    Ok(Books { now, boots, pots, granted, taken: BTreeSet::new() })
}

impl Books {
    /// All of a chain is granted, or nothing.
    fn decide(&mut self, need: &Need) -> Verdict {
        if need.chain.iter().any(|pot| pot.span.ends <= self.now) {
            return Verdict::Final(Answer::PeriodOver);
        }
        let amount = need.amount.at_least_zero();
        let chain: BTreeSet<Pot> = need.chain.iter().copied().collect();
        let balance = |pot: &Pot| self.pots.get(pot).map(|stored| stored.balance);
        let short = |pot: &&Pot| balance(pot).unwrap_or_default().free() < amount;
        let lacking: Vec<Pot> = need.chain.iter().filter(short).copied().collect();
        for pot in &lacking {
            let left = balance(pot).unwrap_or_default().room();
            if left < amount {
                return Verdict::Final(Answer::Exhausted { budget: pot.budget, left });
            }
        }
        if !lacking.is_empty() {
            return Verdict::Lack(lacking);
        }
        for pot in chain {
            let Some(stored) = self.pots.get_mut(&pot) else { continue };
            let slice = budget::slice(stored.balance.free(), amount, self.boots);
            stored.balance.leased = stored.balance.leased.plus(slice);
            let granted = self.granted.entry(pot).or_default();
            *granted = granted.plus(slice);
            self.taken.insert(pot);
        }
        Verdict::Final(Answer::Granted)
    }

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        org: &OrgId,
        boot: &BootId,
        pot: &Pot,
    ) -> Result<(), Fault> {
        let leased = self.pots.get(pot).map_or(0, |stored| stored.balance.leased.0);
        sqlx::query(
            "UPDATE budget SET leased = ?5
             WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4",
        )
        .bind(org.as_bytes().as_slice())
        .bind(pot.budget.as_bytes().as_slice())
        .bind(pot.span.starts.0)
        .bind(pot.span.ends.0)
        .bind(leased)
        .execute(&mut *connection)
        .await?;
        let granted = self.granted.get(pot).map_or(0, |granted| granted.0);
        sqlx::query(
            "INSERT INTO lease (org, budget, starts, ends, boot, granted)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET granted = excluded.granted",
        )
        .bind(org.as_bytes().as_slice())
        .bind(pot.budget.as_bytes().as_slice())
        .bind(pot.span.starts.0)
        .bind(pot.span.ends.0)
        .bind(boot.as_bytes().as_slice())
        .bind(granted)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Money may come back; `silent` when another boot that has some was not heard since the
    /// recall. The boot that asks is heard.
    async fn lack(
        &self,
        connection: &mut SqliteConnection,
        org: &OrgId,
        asking: &BootId,
        lacking: &[Pot],
    ) -> Result<Answer, Fault> {
        let mut silent = false;
        for pot in lacking {
            let stored = self.pots.get(pot).copied().unwrap_or_default();
            let Some(recalled) = stored.recalled else { continue };
            let any: bool = sqlx::query_scalar(
                "SELECT EXISTS (SELECT 1 FROM lease JOIN boot ON boot.id = lease.boot
                 WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4
                    AND lease.state = 'open' AND 0 < granted - returned - spent
                    AND last_seen <= ?5 AND lease.boot <> ?6)",
            )
            .bind(org.as_bytes().as_slice())
            .bind(pot.budget.as_bytes().as_slice())
            .bind(pot.span.starts.0)
            .bind(pot.span.ends.0)
            .bind(recalled.0)
            .bind(asking.as_bytes().as_slice())
            .fetch_one(&mut *connection)
            .await?;
            silent |= any;
        }
        let budget = lacking.first().map(|pot| pot.budget);
        let budget = budget.ok_or_else(|| Fault::Broken("nothing is lacking".to_owned()))?;
        Ok(Answer::Lack { budget, silent })
    }

    /// Notes which pots somebody lacks. Whom to ask is known to engines with more than one boot.
    async fn recall(
        &self,
        connection: &mut SqliteConnection,
        org: &OrgId,
        answers: &[Answer],
        ask: &SyncAsk,
    ) -> Result<(), Fault> {
        let mut lacking: BTreeSet<Pot> = BTreeSet::new();
        for (answer, need) in answers.iter().zip(&ask.needs) {
            if let Answer::Lack { .. } = answer {
                let short = |pot: &&Pot| self.free(pot) < need.amount;
                lacking.extend(need.chain.iter().filter(short));
            }
        }
        for pot in lacking {
            sqlx::query(
                "UPDATE budget SET recalled = ?5
                 WHERE org = ?1 AND budget = ?2 AND starts = ?3 AND ends = ?4
                    AND (recalled IS NULL OR recalled <= ?6)",
            )
            .bind(org.as_bytes().as_slice())
            .bind(pot.budget.as_bytes().as_slice())
            .bind(pot.span.starts.0)
            .bind(pot.span.ends.0)
            .bind(self.now.0)
            .bind(self.now.plus_millis(-RECALL_GAP_MILLIS).0)
            .execute(&mut *connection)
            .await?;
        }
        Ok(())
    }

    fn free(&self, pot: &Pot) -> NanoUsd {
        self.pots.get(pot).copied().unwrap_or_default().balance.free()
    }

    fn leases(&self, ask: &SyncAsk) -> Vec<LeaseState> {
        let state = |pot: Pot| LeaseState {
            pot,
            granted: self.granted.get(&pot).copied().unwrap_or_default(),
            room: self.pots.get(&pot).copied().unwrap_or_default().balance.room(),
        };
        named(ask).into_iter().map(state).collect()
    }
}
