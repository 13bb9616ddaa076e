//! The engine runs every clause of every contract.

use super::Sqlite;
use crate::model::Model;

mod sqlite {
    use super::Sqlite;

    crate::directory_contract!(Sqlite::open);
    crate::registry_contract!(Sqlite::open);
    crate::ledger_contract!(Sqlite::open);
    crate::usage_contract!(Sqlite::open);
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
    crate::usage_contract!(fresh);
}

mod on_disk {
    use super::Sqlite;
    use crate::{Directory, Fault, Ledger, Shipment, contract::Seed};
    use policies::{
        document::Document,
        ids::{BootId, JournalId, OrgId},
    };
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
}
