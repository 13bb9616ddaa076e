//! The engine runs every clause of every contract.

use super::Sqlite;
use crate::model::Model;

mod in_memory {
    use super::Sqlite;

    crate::directory_contract!(Sqlite::in_memory());
    crate::registry_contract!(Sqlite::in_memory());
    crate::ledger_contract!(Sqlite::in_memory());
    crate::usage_contract!(Sqlite::in_memory());
}

mod model {
    use super::Model;

    async fn fresh() -> Result<Model, crate::Fault> {
        Ok(Model::default())
    }

    crate::directory_contract!(fresh());
    crate::registry_contract!(fresh());
    crate::ledger_contract!(fresh());
    crate::usage_contract!(fresh());
}

/// Reading and writing go over different connections here.
mod on_disk {
    use super::Sqlite;
    use crate::{
        Directory,
        contract::{Seed, boots, directory, ledger, registry, usage},
    };
    use policies::{document::Document, ids::OrgId};
    use std::{error::Error, os::unix::fs::PermissionsExt};

    const ORG: OrgId = OrgId::from_bytes([1; 16]);

    fn org_object() -> policies::document::Object {
        let document = serde_json::json!({"kind": "Org", "name": "acme"});
        let document: Document = serde_json::from_value(document).unwrap();
        policies::document::Object { id: *ORG.as_bytes(), document }
    }

    #[tokio::test]
    async fn a_file_keeps_the_contract() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let fresh = async |name: &str| Sqlite::open(&folder.path().join(name)).await;

        ledger::it_agrees_with_the_model(&fresh("ledger").await?).await?;
        boots::many_boots_at_once_stay_within_the_limit(&fresh("boots").await?).await?;
        directory::settings_come_back_as_they_were_put(&fresh("directory").await?).await?;
        registry::an_org_name_is_taken_once(&fresh("registry").await?).await?;
        usage::the_sums_are_those_of_the_model(&fresh("usage").await?).await?;
        Ok(())
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
}
