//! [`Sessions`] in SQLite.

use super::{Sqlite, bytes};
use crate::{
    Fault,
    session::{Session, Sessions, Vouched},
};
use async_trait::async_trait;
use policies::{
    ids::{IdentityProviderId, OrgId, UserId},
    time::Timestamp,
};
use sqlx::{Row, sqlite::SqliteRow};

#[async_trait]
impl Sessions for Sqlite {
    async fn open_session(&self, sha256: &[u8; 32], session: &Session) -> Result<(), Fault> {
        let mut transaction = self.begin().await?;
        let vouched = session.vouched.as_ref();
        let opened = sqlx::query(
            "INSERT INTO session
                (sha256, org, user, created, seen, expires, address, how, id_token_hint,
                 provider, issuer, subject)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
             ON CONFLICT DO NOTHING",
        )
        .bind(sha256.as_slice())
        .bind(session.org.as_bytes().as_slice())
        .bind(session.user.as_bytes().as_slice())
        .bind(session.created.0)
        .bind(session.seen.0)
        .bind(session.expires.0)
        .bind(&session.address)
        .bind(&session.how)
        .bind(&session.id_token_hint)
        .bind(vouched.map(|it| it.provider.as_bytes().as_slice()))
        .bind(vouched.map(|it| &it.issuer))
        .bind(vouched.map(|it| &it.subject))
        .execute(&mut *transaction)
        .await?;
        if opened.rows_affected() == 0 {
            return Err(Fault::Broken("a session with this token is open".to_owned()));
        }
        transaction.commit().await
    }

    async fn session(&self, sha256: &[u8; 32]) -> Result<Option<Session>, Fault> {
        let row = sqlx::query("SELECT * FROM session WHERE sha256 = ?1")
            .bind(sha256.as_slice())
            .fetch_optional(&self.readers)
            .await?;
        row.as_ref().map(session).transpose()
    }

    async fn touch_session(
        &self,
        org: &OrgId,
        sha256: &[u8; 32],
        now: Timestamp,
    ) -> Result<(), Fault> {
        let mut transaction = self.begin().await?;
        sqlx::query("UPDATE session SET seen = ?3 WHERE org = ?1 AND sha256 = ?2 AND seen < ?3")
            .bind(org.as_bytes().as_slice())
            .bind(sha256.as_slice())
            .bind(now.0)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await
    }

    async fn close_session(&self, org: &OrgId, sha256: &[u8; 32]) -> Result<bool, Fault> {
        let mut transaction = self.begin().await?;
        let closed = sqlx::query("DELETE FROM session WHERE org = ?1 AND sha256 = ?2")
            .bind(org.as_bytes().as_slice())
            .bind(sha256.as_slice())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(closed.rows_affected() == 1)
    }

    async fn close_sessions_of(&self, org: &OrgId, user: &UserId) -> Result<u64, Fault> {
        let mut transaction = self.begin().await?;
        let closed = sqlx::query("DELETE FROM session WHERE org = ?1 AND user = ?2")
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
        let rows = sqlx::query(
            "SELECT * FROM session WHERE org = ?1 AND user = ?2 ORDER BY created, sha256",
        )
        .bind(org.as_bytes().as_slice())
        .bind(user.as_bytes().as_slice())
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(|row| Ok((token_hash(row)?, session(row)?))).collect()
    }

    async fn sweep_sessions(&self, now: Timestamp) -> Result<u64, Fault> {
        let mut transaction = self.begin().await?;
        let swept = sqlx::query("DELETE FROM session WHERE expires <= ?1")
            .bind(now.0)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(swept.rows_affected())
    }
}

fn token_hash(row: &SqliteRow) -> Result<[u8; 32], Fault> {
    let hash: Vec<u8> = row.try_get("sha256")?;
    hash.try_into().map_err(|_| Fault::Broken("the hash of a session has another length".into()))
}

fn session(row: &SqliteRow) -> Result<Session, Fault> {
    Ok(Session {
        org: OrgId::from_bytes(bytes(row, "org")?),
        user: UserId::from_bytes(bytes(row, "user")?),
        created: Timestamp(row.try_get("created")?),
        seen: Timestamp(row.try_get("seen")?),
        expires: Timestamp(row.try_get("expires")?),
        address: row.try_get("address")?,
        how: row.try_get("how")?,
        vouched: vouched(row)?,
        id_token_hint: row.try_get("id_token_hint")?,
    })
}

fn vouched(row: &SqliteRow) -> Result<Option<Vouched>, Fault> {
    if row.try_get::<Option<Vec<u8>>, _>("provider")?.is_none() {
        return Ok(None);
    }
    Ok(Some(Vouched {
        provider: IdentityProviderId::from_bytes(bytes(row, "provider")?),
        issuer: row.try_get("issuer")?,
        subject: row.try_get("subject")?,
    }))
}
