//! [`Tickets`] in SQLite.

use super::{Sqlite, bytes};
use crate::{
    Fault,
    ticket::{Ticket, Tickets},
};
use async_trait::async_trait;
use policies::{ids::OrgId, time::Timestamp};
use sqlx::{Row, sqlite::SqliteRow};

#[async_trait]
impl Tickets for Sqlite {
    async fn put_ticket(
        &self,
        kind: &str,
        sha256: &[u8; 32],
        ticket: &Ticket,
    ) -> Result<(), Fault> {
        let mut transaction = self.begin().await?;
        let put = sqlx::query(
            "INSERT INTO ticket (kind, sha256, org, body, expires) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO NOTHING",
        )
        .bind(kind)
        .bind(sha256.as_slice())
        .bind(ticket.org.as_bytes().as_slice())
        .bind(&ticket.body)
        .bind(ticket.expires.0)
        .execute(&mut *transaction)
        .await?;
        if put.rows_affected() == 0 {
            return Err(Fault::Broken(format!("there is a {kind} ticket with this code")));
        }
        transaction.commit().await
    }

    async fn ticket(
        &self,
        kind: &str,
        sha256: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Ticket>, Fault> {
        let row =
            sqlx::query("SELECT * FROM ticket WHERE kind = ?1 AND sha256 = ?2 AND ?3 < expires")
                .bind(kind)
                .bind(sha256.as_slice())
                .bind(now.0)
                .fetch_optional(&self.readers)
                .await?;
        row.as_ref().map(ticket).transpose()
    }

    async fn take_ticket(
        &self,
        kind: &str,
        sha256: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Ticket>, Fault> {
        let mut transaction = self.begin().await?;
        let row = sqlx::query(
            "DELETE FROM ticket WHERE kind = ?1 AND sha256 = ?2 AND ?3 < expires RETURNING *",
        )
        .bind(kind)
        .bind(sha256.as_slice())
        .bind(now.0)
        .fetch_optional(&mut *transaction)
        .await?;
        let taken = row.as_ref().map(ticket).transpose()?;
        transaction.commit().await?;
        Ok(taken)
    }

    async fn sweep_tickets(&self, now: Timestamp) -> Result<u64, Fault> {
        let mut transaction = self.begin().await?;
        let swept = sqlx::query("DELETE FROM ticket WHERE expires <= ?1")
            .bind(now.0)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(swept.rows_affected())
    }
}

fn ticket(row: &SqliteRow) -> Result<Ticket, Fault> {
    Ok(Ticket {
        org: OrgId::from_bytes(bytes(row, "org")?),
        body: row.try_get("body")?,
        expires: Timestamp(row.try_get("expires")?),
    })
}
