//! [`Tickets`] in PostgreSQL.

use super::{Postgres, Sight, sized, text};
use crate::{
    Fault,
    ticket::{Ticket, Tickets},
};
use async_trait::async_trait;
use policies::{ids::OrgId, time::Timestamp};
use sqlx::{Row, postgres::PgRow};

#[async_trait]
impl Tickets for Postgres {
    async fn put_ticket(
        &self,
        kind: &str,
        sha256: &[u8; 32],
        ticket: &Ticket,
    ) -> Result<(), Fault> {
        let mut transaction = self.begin(Sight::Org(&ticket.org)).await?;
        let put = sqlx::query(
            "INSERT INTO ticket (kind, sha256, org, body, expires) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT DO NOTHING",
        )
        .bind(text(kind))
        .bind(sha256.as_slice())
        .bind(ticket.org.as_bytes().as_slice())
        .bind(text(&ticket.body))
        .bind(ticket.expires.0)
        .execute(&mut *transaction)
        .await?;
        if put.rows_affected() == 0 {
            return Err(Fault::Broken(format!("there is a {kind} ticket with this code")));
        }
        Ok(transaction.commit().await?)
    }

    async fn ticket(
        &self,
        kind: &str,
        sha256: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Ticket>, Fault> {
        let mut transaction = self.begin(Sight::Token(sha256)).await?;
        let row =
            sqlx::query("SELECT * FROM ticket WHERE kind = $1 AND sha256 = $2 AND $3 < expires")
                .bind(text(kind))
                .bind(sha256.as_slice())
                .bind(now.0)
                .fetch_optional(&mut *transaction)
                .await?;
        row.as_ref().map(ticket).transpose()
    }

    async fn take_ticket(
        &self,
        kind: &str,
        sha256: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Ticket>, Fault> {
        let mut transaction = self.begin(Sight::Token(sha256)).await?;
        let row = sqlx::query(
            "DELETE FROM ticket WHERE kind = $1 AND sha256 = $2 AND $3 < expires RETURNING *",
        )
        .bind(text(kind))
        .bind(sha256.as_slice())
        .bind(now.0)
        .fetch_optional(&mut *transaction)
        .await?;
        let taken = row.as_ref().map(ticket).transpose()?;
        transaction.commit().await?;
        Ok(taken)
    }

    async fn sweep_tickets(&self, now: Timestamp) -> Result<u64, Fault> {
        let mut transaction = self.begin(Sight::Across("ticket")).await?;
        let swept = sqlx::query("DELETE FROM ticket WHERE expires <= $1")
            .bind(now.0)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(swept.rows_affected())
    }
}

fn ticket(row: &PgRow) -> Result<Ticket, Fault> {
    Ok(Ticket {
        org: OrgId::from_bytes(sized(row, "org")?),
        body: row.try_get("body")?,
        expires: Timestamp(row.try_get("expires")?),
    })
}
