//! [`Sessions`] in PostgreSQL.

use super::{Postgres, Sight, sized, text};
use crate::{
    Fault,
    session::{Session, Sessions, Vouched},
};
use async_trait::async_trait;
use policies::{
    ids::{IdentityProviderId, OrgId, UserId},
    time::Timestamp,
};
use sqlx::{Row, postgres::PgRow};

#[async_trait]
impl Sessions for Postgres {
    async fn open_session(&self, sha256: &[u8; 32], session: &Session) -> Result<(), Fault> {
        let mut transaction = self.begin(Sight::Org(&session.org)).await?;
        let vouched = session.vouched.as_ref();
        let opened = sqlx::query(
            "INSERT INTO session
                (sha256, org, \"user\", created, seen, expires, address, how, id_token_hint,
                 provider, issuer, subject)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
             ON CONFLICT DO NOTHING",
        )
        .bind(sha256.as_slice())
        .bind(session.org.as_bytes().as_slice())
        .bind(session.user.as_bytes().as_slice())
        .bind(session.created.0)
        .bind(session.seen.0)
        .bind(session.expires.0)
        .bind(session.address.as_deref().map(text))
        .bind(text(&session.how))
        .bind(session.id_token_hint.as_deref().map(text))
        .bind(vouched.map(|it| it.provider.as_bytes().as_slice()))
        .bind(vouched.map(|it| text(&it.issuer)))
        .bind(vouched.map(|it| text(&it.subject)))
        .execute(&mut *transaction)
        .await?;
        if opened.rows_affected() == 0 {
            return Err(Fault::Broken("a session with this token is open".to_owned()));
        }
        Ok(transaction.commit().await?)
    }

    async fn session(&self, sha256: &[u8; 32]) -> Result<Option<Session>, Fault> {
        let sql = "SELECT * FROM session
            WHERE sha256 = decode(current_setting('penstock.token'), 'hex')";
        let rows = self.read(Sight::Token(sha256), sql).await?;
        rows.first().map(session).transpose()
    }

    async fn touch_session(
        &self,
        org: &OrgId,
        sha256: &[u8; 32],
        now: Timestamp,
    ) -> Result<(), Fault> {
        let mut transaction = self.begin(Sight::Org(org)).await?;
        sqlx::query("UPDATE session SET seen = $3 WHERE org = $1 AND sha256 = $2 AND seen < $3")
            .bind(org.as_bytes().as_slice())
            .bind(sha256.as_slice())
            .bind(now.0)
            .execute(&mut *transaction)
            .await?;
        Ok(transaction.commit().await?)
    }

    async fn close_session(&self, org: &OrgId, sha256: &[u8; 32]) -> Result<bool, Fault> {
        let mut transaction = self.begin(Sight::Org(org)).await?;
        let closed = sqlx::query("DELETE FROM session WHERE org = $1 AND sha256 = $2")
            .bind(org.as_bytes().as_slice())
            .bind(sha256.as_slice())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(closed.rows_affected() == 1)
    }

    async fn close_sessions_of(&self, org: &OrgId, user: &UserId) -> Result<u64, Fault> {
        let mut transaction = self.begin(Sight::Org(org)).await?;
        let closed = sqlx::query("DELETE FROM session WHERE org = $1 AND \"user\" = $2")
            .bind(org.as_bytes().as_slice())
            .bind(user.as_bytes().as_slice())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(closed.rows_affected())
    }

    async fn sessions_of(
        &self,
        org: &OrgId,
        user: &UserId,
    ) -> Result<Vec<([u8; 32], Session)>, Fault> {
        let sql = format!(
            "SELECT * FROM session WHERE org = decode(current_setting('penstock.org'), 'hex')
                AND \"user\" = '\\x{}' ORDER BY created, sha256",
            hex::encode(user.as_bytes())
        );
        let rows = self.read(Sight::Org(org), &sql).await?;
        rows.iter().map(|row| Ok((token_hash(row)?, session(row)?))).collect()
    }

    async fn sweep_sessions(&self, now: Timestamp) -> Result<u64, Fault> {
        let mut transaction = self.begin(Sight::Across("session")).await?;
        let swept = sqlx::query("DELETE FROM session WHERE expires <= $1")
            .bind(now.0)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(swept.rows_affected())
    }
}

fn token_hash(row: &PgRow) -> Result<[u8; 32], Fault> {
    let hash: Vec<u8> = row.try_get("sha256")?;
    hash.try_into().map_err(|_| Fault::Broken("the hash of a session has another length".into()))
}

fn session(row: &PgRow) -> Result<Session, Fault> {
    Ok(Session {
        org: OrgId::from_bytes(sized(row, "org")?),
        user: UserId::from_bytes(sized(row, "user")?),
        created: Timestamp(row.try_get("created")?),
        seen: Timestamp(row.try_get("seen")?),
        expires: Timestamp(row.try_get("expires")?),
        address: row.try_get("address")?,
        how: row.try_get("how")?,
        vouched: vouched(row)?,
        id_token_hint: row.try_get("id_token_hint")?,
    })
}

fn vouched(row: &PgRow) -> Result<Option<Vouched>, Fault> {
    if row.try_get::<Option<Vec<u8>>, _>("provider")?.is_none() {
        return Ok(None);
    }
    Ok(Some(Vouched {
        provider: IdentityProviderId::from_bytes(sized(row, "provider")?),
        issuer: row.try_get("issuer")?,
        subject: row.try_get("subject")?,
    }))
}
