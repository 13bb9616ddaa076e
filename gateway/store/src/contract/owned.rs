//! PostgreSQL for the contract: the engine beside the owner of its tables, and the wall.

mod administration;

use super::{
    Fresh, Seed,
    samples::{ACME, ORGS, OTHER, TEAM, WHOLE, boot, house, journal, need, pot, project},
};
use crate::{
    Directory, Fault, Ledger,
    postgres::{self, Postgres, Sight},
};
use policies::{
    document::{Document, Object},
    ids::OrgId,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, Row};
use std::any::Any;

/// An engine on a database of its own.
pub struct Owned {
    engine: Postgres,
    /// What must live as long as the database: its server.
    _server: Box<dyn Any + Send + Sync>,
}

/// Two engines on one database, as two gateways have them, and its owner.
pub struct Wall {
    pub(super) engine: Postgres,
    pub(super) second: Postgres,
    pub(super) owner: PgPool,
    url: String,
    _server: Box<dyn Any + Send + Sync>,
}

impl Owned {
    /// Makes the tables in the empty database at `url`, which logs in as its owner.
    pub async fn make(url: &str, server: Box<dyn Any + Send + Sync>) -> Result<Self, Fault> {
        postgres::migrate(url).await?;
        Ok(Self { engine: Postgres::open(url).await?, _server: server })
    }
}

impl Wall {
    /// As [`Owned::make`].
    pub async fn make(url: &str, server: Box<dyn Any + Send + Sync>) -> Result<Self, Fault> {
        postgres::migrate(url).await?;
        let (engine, second) = (Postgres::open(url).await?, Postgres::open(url).await?);
        let owner = PgPool::connect(url).await?;
        Ok(Self { engine, second, owner, url: url.to_owned(), _server: server })
    }
}

impl Fresh for Owned {
    type Engine = Postgres;

    fn engine(&self) -> &Postgres {
        &self.engine
    }
}

impl Fresh for Wall {
    type Engine = Self;

    fn engine(&self) -> &Self {
        self
    }
}

async fn insert(
    connection: &mut PgConnection,
    org: &[u8; 16],
    object: &Object,
) -> Result<(), Fault> {
    let document: &Document = &object.document;
    sqlx::query("INSERT INTO object (org, kind, id, name, body) VALUES ($1, $2, $3, $4, '{}')")
        .bind(org.as_slice())
        .bind(document.kind().word())
        .bind(object.id.as_slice())
        .bind(document.name())
        .execute(connection)
        .await?;
    Ok(())
}

/// Who asks without naming an org sees nothing, and who names one sees and writes that one.
pub async fn the_wall_stands_between_orgs(store: &Wall) -> Result<(), Fault> {
    for org in ORGS {
        store.engine.seed(&org, house(org)?).await?;
    }
    let everything = "SELECT count(*) FROM object";
    let mine = house(ACME)?.len();
    let stranger = project([9; 16], "other", "stranger")?;

    for pool in [store.engine.pool(), &store.owner] {
        let unnamed: i64 = sqlx::query_scalar(everything).fetch_one(pool).await?;
        let named = Sight::Org(&ACME).before("SELECT org FROM object");
        let rows = sqlx::raw_sql(named).fetch_all(pool).await?;
        let mut transaction = pool.begin().await?;
        sqlx::raw_sql(Sight::Org(&ACME).before("")).execute(&mut *transaction).await?;
        let across = insert(&mut transaction, OTHER.as_bytes(), &stranger).await;

        assert_eq!(unnamed, 0);
        assert_eq!(rows.len(), 1 + mine, "the first row is the org's name");
        assert!(matches!(across, Err(Fault::Engine(_))), "{across:?}");
    }
    Ok(())
}

/// No table with a tenant's rows stands outside the wall, and none of its doors opens by itself.
pub async fn what_is_not_named_is_not_seen(store: &Wall) -> Result<(), Fault> {
    let open: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class
         WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'
            AND NOT (relrowsecurity AND relforcerowsecurity) ORDER BY relname",
    )
    .fetch_all(&store.owner)
    .await?;
    for number in [1, 2] {
        store.engine.open_boot(&boot(number), &journal(number)).await?;
    }
    for org in ORGS {
        store.engine.seed(&org, house(org)?).await?;
        store.engine.sync(&org, &boot(1), need(&[pot(WHOLE), pot(TEAM)], 5)).await?;
    }

    let (leases, own) = (Sight::Boot(&boot(1)), "SELECT count(*) AS found FROM lease");
    let seen = sqlx::raw_sql(leases.before(own)).fetch_all(store.engine.pool()).await?;
    let foreign = Sight::Boot(&boot(2)).before(own);
    let unseen = sqlx::raw_sql(foreign).fetch_all(store.engine.pool()).await?;
    let pots = Sight::Boot(&boot(1)).before("SELECT count(*) AS found FROM budget");
    let pots = sqlx::raw_sql(pots).fetch_all(store.engine.pool()).await?;

    let apart =
        ["_sqlx_migrations", "attendance", "audit_sink", "boot", "journal", "key_hash", "org"];
    assert_eq!(open, apart, "these hold no tenant's data");
    let found = [seen, unseen, pots].map(|rows| rows.last().map(|row| row.get::<i64, _>("found")));
    assert_eq!(found, [Some(4), Some(0), Some(0)]);
    Ok(())
}

/// The role of the engine can neither take the wall down nor change what was billed or logged.
pub async fn the_engine_cannot_take_the_wall_down(store: &Wall) -> Result<(), Fault> {
    for sql in [
        "ALTER TABLE object DISABLE ROW LEVEL SECURITY",
        "DROP POLICY object_of_one_org ON object",
        "UPDATE usage SET cost = 0",
        "DELETE FROM usage",
        "DELETE FROM decision",
        "UPDATE audit SET body = ''",
        "DELETE FROM audit",
        "DELETE FROM audit_head",
        "TRUNCATE audit",
        "DROP TRIGGER audit_is_kept ON audit",
        "ALTER TABLE audit DISABLE TRIGGER ALL",
        "DROP POLICY audit_of_one_org ON audit",
        "UPDATE _sqlx_migrations SET success = false",
    ] {
        let outcome = sqlx::query(AssertSqlSafe(sql)).execute(store.engine.pool()).await;
        assert!(outcome.is_err(), "{sql}");
    }
    Ok(())
}

/// Not even the owner of the tables changes the log without taking its trigger away first.
pub async fn the_owner_is_kept_from_changing_the_log(store: &Wall) -> Result<(), Fault> {
    for sql in ["UPDATE audit SET body = ''", "DELETE FROM audit", "TRUNCATE audit"] {
        let outcome = sqlx::query(AssertSqlSafe(sql)).execute(&store.owner).await;
        assert!(outcome.is_err(), "{sql}");
    }
    Ok(())
}

/// What the control plane remembers is behind the wall as well, and each of its doors leads to one
/// table: to find by a token, or to read and sweep in all orgs.
pub async fn each_door_in_the_wall_leads_to_one_table(store: &Wall) -> Result<(), Fault> {
    for (org, number) in [(ACME, 1), (OTHER, 2)] {
        administration::fill(&store.engine, &org, number).await?;
    }
    let (one, other) = ([1; 32], [9; 32]);

    for pool in [store.engine.pool(), &store.owner] {
        for table in administration::TABLES {
            let sql = format!("SELECT org FROM {table}");
            let mut seen = Vec::new();
            for sight in [
                Sight::Org(&ACME),
                Sight::Org(&ORG_OF_NOTHING),
                Sight::Token(&one),
                Sight::Token(&other),
                Sight::Across(table),
                Sight::Across("object"),
            ] {
                // The first row is the name's.
                let rows = sqlx::raw_sql(sight.before(&sql)).fetch_all(pool).await?;
                seen.push(rows.len() - 1);
            }
            let by_token = usize::from(["session", "ticket"].contains(&table));
            let across = if table == "last_use" { 0 } else { 2 };
            assert_eq!(seen, [1, 0, by_token, 0, across, 0], "{table}");
        }
    }
    Ok(())
}

const ORG_OF_NOTHING: OrgId = OrgId::from_bytes([0xc; 16]);

/// Many that start at once find one set of tables.
pub async fn the_tables_are_made_once(store: &Wall) -> Result<(), Fault> {
    let starts = (0..8).map(|_| postgres::migrate(&store.url));

    let outcomes = super::boots::all_at_once(starts).await;

    for outcome in outcomes {
        outcome?;
    }
    Ok(())
}

/// A gateway that stops in the middle of a transaction holds others up for a bounded time only.
pub async fn a_gateway_that_is_lost_keeps_no_lock(store: &Wall) -> Result<(), Fault> {
    let limits = ["lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"];
    for limit in limits {
        let sql = "SELECT setting::bigint FROM pg_settings WHERE name = $1";
        let millis: i64 =
            sqlx::query_scalar(sql).bind(limit).fetch_one(store.engine.pool()).await?;
        assert!((1..=300_000).contains(&millis), "{limit}: {millis} ms");
    }
    let mut lost = PgConnection::connect(&store.url).await?;
    for org in ORGS {
        store.engine.seed(&org, house(org)?).await?;
    }
    sqlx::raw_sql("BEGIN; UPDATE org SET revision = revision").execute(&mut lost).await?;

    let outcome = store.engine.seed(&ACME, Vec::new()).await;
    lost.close().await?;
    let after = store.engine.seed(&ACME, Vec::new()).await;

    let fault = outcome.err().ok_or_else(|| Fault::Broken("it did not wait".to_owned()))?;
    assert!(!fault.is_about_data(), "{fault}");
    after?;
    assert_eq!(store.engine.revisions().await?.len(), 2);
    Ok(())
}

/// Only what the server would refuse again is about the rows.
pub async fn a_refused_row_is_told_from_a_server_that_is_away(store: &Wall) -> Result<(), Fault> {
    for (sql, about_data) in [
        ("SELECT 'x'::bigint", true),
        ("SELECT 'a\\u0000b'::jsonb, '\"\\u0000\"'::jsonb", true),
        ("INSERT INTO org VALUES ('\\x01', 'x', 1)", true),
        ("INSERT INTO org (id) VALUES (decode(repeat('ab', 16), 'hex'))", true),
        ("DO $$ BEGIN RAISE EXCEPTION 'late' USING ERRCODE = '57014'; END $$", false),
        ("SELECT * FROM nothing_there", false),
        ("UPDATE usage SET cost = 0", false),
        ("DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$", false),
        ("DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40P01'; END $$", false),
        ("DO $$ BEGIN RAISE EXCEPTION 'full' USING ERRCODE = '53100'; END $$", false),
        ("DO $$ BEGIN RAISE EXCEPTION 'standby' USING ERRCODE = '25006'; END $$", false),
    ] {
        let outcome = sqlx::raw_sql(AssertSqlSafe(sql)).execute(store.engine.pool()).await;
        let fault = outcome.err().map(Fault::from);
        assert_eq!(fault.as_ref().map(Fault::is_about_data), Some(about_data), "{sql}: {fault:?}");
    }
    Ok(())
}

/// The server ends every connection of an engine, one of them in a transaction.
pub async fn a_lost_connection_is_no_fault_of_the_rows(store: &Wall) -> Result<(), Fault> {
    let mut transaction = store.engine.pool().begin().await?;
    let ended: i64 = sqlx::query_scalar(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'penstock'",
    )
    .fetch_one(&store.owner)
    .await?;

    let outcome = sqlx::query("SELECT 1").execute(&mut *transaction).await;
    drop(transaction);
    let mut looks = 0;
    while let Err(fault) = store.second.seed(&ACME, Vec::new()).await {
        // Each connection that is gone is noticed once, at its next use.
        assert!(!fault.is_about_data(), "{fault}");
        looks += 1;
        assert!(looks < 20, "{fault}");
    }
    store.second.close().await;
    let closed = store.second.open_boot(&boot(1), &journal(1)).await;

    assert!(1 < ended, "{ended} connections");
    for fault in [outcome.err().map(Fault::from), closed.err()] {
        let fault = fault.ok_or_else(|| Fault::Broken("it was not lost".to_owned()))?;
        assert!(!fault.is_about_data(), "{fault}");
    }
    Ok(())
}
