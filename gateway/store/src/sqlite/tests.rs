//! The engine runs every clause of every contract.

use super::{Flushed, Sqlite};
use crate::model::Model;

mod sqlite {
    use super::Sqlite;

    crate::directory_contract!(Sqlite::open);
    crate::registry_contract!(Sqlite::open);
    crate::ledger_contract!(Sqlite::open);
    crate::reconciliation_contract!(Sqlite::open);
    crate::usage_contract!(Sqlite::open);
    crate::administration_contract!(Sqlite::open);
}

mod model {
    use super::Model;
    use std::path::Path;

    async fn fresh(_: &Path) -> Result<Model, crate::Fault> {
        Ok(Model::default())
    }

    crate::directory_contract!(fresh);
    crate::registry_contract!(fresh);
    crate::ledger_contract!(fresh);
    crate::reconciliation_contract!(fresh);
    crate::usage_contract!(fresh);
    crate::administration_contract!(fresh);
}

mod on_disk {
    use super::Sqlite;
    use crate::{
        Change, Directory, Fault, Ledger, Registry, Shipment,
        audit::{AuditLog, Head},
        contract::{Seed, audit::act},
    };
    use policies::{
        document::Document,
        ids::{BootId, JournalId, OrgId, Revision},
    };
    use sqlx::AssertSqlSafe;
    use std::{error::Error, os::unix::fs::PermissionsExt};

    const ORG: OrgId = OrgId::from_bytes([1; 16]);

    fn org_object() -> policies::document::Object {
        let document = serde_json::json!({"kind": "Org", "name": "acme"});
        let document: Document = serde_json::from_value(document).unwrap();
        policies::document::Object { id: *ORG.as_bytes(), document }
    }

    #[tokio::test]
    async fn what_one_process_writes_another_reads() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("made/penstock.db");

        let (first, second) = tokio::join!(Sqlite::open(&path), Sqlite::open(&path));
        let (first, second) = (first?, second?);
        first.seed(&ORG, vec![org_object()]).await?;
        second.seed(&ORG, vec![]).await?;

        assert_eq!(first.revisions().await?, second.revisions().await?);
        assert_eq!(first.settings(&ORG).await?, second.settings(&ORG).await?);
        Ok(())
    }

    #[tokio::test]
    async fn a_file_is_for_its_owner_and_outlives_the_engine() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("penstock.db");

        let engine = Sqlite::open(&path).await?;
        engine.seed(&ORG, vec![org_object()]).await?;
        let side_file = std::fs::metadata(folder.path().join("penstock.db-wal"))?;
        engine.close().await;
        let again = Sqlite::open(&path).await?;

        for file in [std::fs::metadata(&path)?, side_file] {
            assert_eq!(file.permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(again.revisions().await?.len(), 1);
        Ok(())
    }

    #[tokio::test]
    async fn everybody_writes_at_once_and_nobody_is_refused() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("penstock.db");
        let (first, second) = (Sqlite::open(&path).await?, Sqlite::open(&path).await?);

        let mut calls = tokio::task::JoinSet::new();
        for number in 0..64 {
            let engine = if number % 4 == 0 { second.clone() } else { first.clone() };
            calls.spawn(async move {
                engine.ship(&ORG, Shipment::default()).await?;
                let id = [number; 16];
                engine.open_boot(&BootId::from_bytes(id), &JournalId::from_bytes(id)).await
            });
        }

        for outcome in calls.join_all().await {
            outcome?;
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_closed_engine_is_away() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let engine = Sqlite::open(&folder.path().join("penstock.db")).await?;
        engine.close().await;

        let fault = engine.ship(&ORG, Shipment::default()).await;

        assert!(matches!(&fault, Err(Fault::Away(_))), "{fault:?}");
        Ok(())
    }

    #[tokio::test]
    async fn nobody_changes_the_audit_log() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let engine = Sqlite::open(&folder.path().join("penstock.db")).await?;
        engine.append(&ORG, vec![act(1), act(2)]).await?;
        let before = engine.arrivals(0, 9).await?;

        // A row in the place of another: by its position, or by its place in the chain.
        let row = "prev, hash, body, at, action, actor FROM audit";
        for sql in [
            "UPDATE audit SET body = '' WHERE seq = 1".to_owned(),
            "DELETE FROM audit WHERE seq = 2".to_owned(),
            format!(
                "INSERT OR REPLACE INTO audit (position, org, seq, prev, hash, body, at, action,
                 actor) SELECT position, org, seq + 2, {row}"
            ),
            format!(
                "INSERT OR REPLACE INTO audit (org, seq, prev, hash, body, at, action, actor)
                 SELECT org, seq, {row}"
            ),
        ] {
            let outcome = sqlx::query(AssertSqlSafe(sql.clone())).execute(&engine.writer).await;
            assert!(outcome.is_err(), "{sql}");
        }

        assert_eq!(engine.arrivals(0, 9).await?, before);
        Ok(())
    }

    #[tokio::test]
    async fn two_processes_never_fork_a_chain() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("penstock.db");
        let (first, second) = (Sqlite::open(&path).await?, Sqlite::open(&path).await?);

        let mut calls = tokio::task::JoinSet::new();
        for number in 0..64 {
            let engine = if number % 2 == 0 { second.clone() } else { first.clone() };
            calls.spawn(async move { engine.append(&ORG, vec![act(number)]).await });
        }
        for outcome in calls.join_all().await {
            outcome?;
        }

        let mut head = Head::default();
        for entry in first.arrivals(0, 99).await? {
            assert!(head.leads_to(&entry), "{entry:?}");
            head = entry.head();
        }
        assert_eq!(head.size, 64);
        assert_eq!(second.head(&ORG).await?, head);
        Ok(())
    }

    #[tokio::test]
    async fn a_change_that_leaves_no_trace_is_not_made() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let engine = Sqlite::open(&folder.path().join("penstock.db")).await?;
        engine.seed(&ORG, vec![org_object()]).await?;
        sqlx::query(
            "CREATE TRIGGER full BEFORE INSERT ON audit
             BEGIN SELECT raise(ABORT, 'the disk is full'); END",
        )
        .execute(&engine.writer)
        .await?;

        let remove = vec![*ORG.as_bytes()];
        let change =
            Change { org: ORG, from: Revision(1), put: Vec::new(), remove, acts: vec![act(1)] };
        let outcome = engine.commit(vec![change]).await;

        assert!(outcome.is_err(), "{outcome:?}");
        let settings = engine.settings(&ORG).await?;
        assert_eq!(settings.map(|it| (it.revision, it.objects.len())), Some((Revision(1), 1)));
        Ok(())
    }
}

#[tokio::test]
async fn what_nothing_else_remembers_is_flushed_to_the_disk() -> Result<(), crate::Fault> {
    let folder = tempfile::tempdir().map_err(sqlx::Error::Io)?;
    let (normal, full) = (1_i64, 2_i64);
    for (flushed, other) in [(Flushed::Settings, normal), (Flushed::Everything, full)] {
        let engine = Sqlite::open_with(&folder.path().join("penstock.db"), flushed).await?;
        let level = async |mut writing: super::Writing| {
            let level: i64 =
                sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *writing).await?;
            Ok::<_, crate::Fault>(level)
        };

        let settings = level(engine.begin_flushed().await?).await?;
        let ledger = level(engine.begin().await?).await?;
        let shipped = engine
            .pen
            .write(|connection| {
                Ok(connection.query_row("PRAGMA synchronous", [], |row| row.get::<_, i64>(0))?)
            })
            .await?;

        assert_eq!((settings, ledger, shipped), (full, other, other), "{flushed:?}");
        engine.close().await;
    }
    Ok(())
}
