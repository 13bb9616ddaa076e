//! Every engine against the contract of the store.

use anyhow::Context;
use store::{Fault, contract::owned::Owned, model::Model, sqlite::Sqlite};
use tests::postgres::Server;

mod the_model {
    use super::{Fault, Model};

    async fn fresh() -> Result<Model, Fault> {
        Ok(Model::default())
    }

    store::directory_contract!(fresh());
    store::registry_contract!(fresh());
    store::ledger_contract!(fresh());
    store::usage_contract!(fresh());
}

mod sqlite_in_memory {
    use super::Sqlite;

    store::directory_contract!(Sqlite::in_memory());
    store::registry_contract!(Sqlite::in_memory());
    store::ledger_contract!(Sqlite::in_memory());
    store::usage_contract!(Sqlite::in_memory());
}

mod postgres {
    use super::{Context, Owned, Server};

    async fn fresh() -> anyhow::Result<Owned> {
        let server = Server::shared()?;
        let url = server.database()?;
        Owned::make(&url, Box::new(server)).await.context("the database")
    }

    store::directory_contract!(fresh());
    store::wall_contract!(fresh());
}
