//! PostgreSQL for the contract: the engine beside the owner of its tables, who fills them.

use super::{
    Seed,
    samples::{ACME, OTHER, house, project},
};
use crate::{
    Directory, Fault, Settings,
    postgres::{self, Postgres, within},
    projection,
};
use async_trait::async_trait;
use policies::{
    document::{Document, Object},
    ids::{KeyId, OrgId, Revision},
};
use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use std::any::Any;

/// An engine and its tables' owner.
pub struct Owned {
    engine: Postgres,
    owner: PgPool,
    /// What must live as long as the database: its server.
    _server: Box<dyn Any + Send + Sync>,
}

impl Owned {
    /// Makes the tables in the empty database at `url`, which logs in as its owner.
    pub async fn make(url: &str, server: Box<dyn Any + Send + Sync>) -> Result<Self, Fault> {
        postgres::migrate(url).await?;
        postgres::migrate(url).await?;
        let owner = PgPool::connect(url).await?;
        Ok(Self { engine: Postgres::open(url).await?, owner, _server: server })
    }
}

#[async_trait]
impl Directory for Owned {
    async fn revisions(&self) -> Result<Vec<(OrgId, Revision)>, Fault> {
        self.engine.revisions().await
    }

    async fn settings(&self, org: &OrgId) -> Result<Option<Settings>, Fault> {
        self.engine.settings(org).await
    }

    async fn keys(&self) -> Result<Vec<([u8; 32], OrgId, KeyId)>, Fault> {
        self.engine.keys().await
    }
}

#[async_trait]
impl Seed for Owned {
    async fn seed(&self, org: &OrgId, objects: Vec<Object>) -> Result<(), Fault> {
        let mut transaction = self.owner.begin().await?;
        sqlx::raw_sql(within(org, "")).execute(&mut *transaction).await?;
        sqlx::query(
            "INSERT INTO org (id, name, revision) VALUES ($1, $2, 1)
             ON CONFLICT (id) DO UPDATE SET revision = org.revision + 1",
        )
        .bind(org.as_bytes().as_slice())
        .bind(org.to_string())
        .execute(&mut *transaction)
        .await?;
        for object in objects {
            insert(&mut transaction, org, &object).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

async fn insert(connection: &mut PgConnection, org: &OrgId, object: &Object) -> Result<(), Fault> {
    let document: &Document = &object.document;
    let body = serde_json::to_string(document)
        .map_err(|cause| Fault::Unreadable { what: "object", cause: cause.to_string() })?;
    sqlx::query(
        "INSERT INTO object (org, kind, id, name, body) VALUES ($1, $2, $3, $4, $5::jsonb)",
    )
    .bind(org.as_bytes().as_slice())
    .bind(document.kind().word())
    .bind(object.id.as_slice())
    .bind(document.name())
    .bind(body)
    .execute(&mut *connection)
    .await?;
    if let Some(sha256) = projection::key_hash(document)? {
        sqlx::query("INSERT INTO key_hash (sha256, org, key) VALUES ($1, $2, $3)")
            .bind(sha256.as_slice())
            .bind(org.as_bytes().as_slice())
            .bind(object.id.as_slice())
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Who asks without naming an org sees nothing, and who names one sees and writes that one.
pub async fn the_wall_stands_between_orgs(store: &Owned) -> Result<(), Fault> {
    for org in [ACME, OTHER] {
        store.seed(&org, house(org)?).await?;
    }
    let everything = "SELECT count(*) FROM object";
    let mine = house(ACME)?.len();
    let stranger = project([9; 16], "other", "stranger")?;

    for pool in [store.engine.pool(), &store.owner] {
        let unnamed: i64 = sqlx::query_scalar(everything).fetch_one(pool).await?;
        let rows = sqlx::raw_sql(within(&ACME, "SELECT org FROM object")).fetch_all(pool).await?;
        let mut transaction = pool.begin().await?;
        sqlx::raw_sql(within(&ACME, "")).execute(&mut *transaction).await?;
        let across = insert(&mut transaction, &OTHER, &stranger).await;

        assert_eq!(unnamed, 0);
        assert_eq!(rows.len(), 1 + mine, "the first row is the org's name");
        assert!(matches!(across, Err(Fault::Engine(_))), "{across:?}");
    }
    Ok(())
}

/// The role of the engine can neither take the wall down nor change what was billed.
pub async fn the_engine_cannot_take_the_wall_down(store: &Owned) -> Result<(), Fault> {
    for sql in [
        "ALTER TABLE object DISABLE ROW LEVEL SECURITY",
        "DROP POLICY object_of_one_org ON object",
        "UPDATE usage SET cost = 0",
        "DELETE FROM usage",
        "DELETE FROM decision",
    ] {
        let outcome = sqlx::query(AssertSqlSafe(sql)).execute(store.engine.pool()).await;
        assert!(outcome.is_err(), "{sql}");
    }
    Ok(())
}
