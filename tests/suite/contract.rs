//! Every engine against the contract of the store.

use anyhow::Context;
use std::path::Path;
use store::{
    Fault,
    contract::owned::{Owned, Wall},
    model::Model,
    sqlite::Sqlite,
};
use tests::postgres::Server;

mod the_model {
    use super::{Fault, Model, Path};

    async fn fresh(_: &Path) -> Result<Model, Fault> {
        Ok(Model::default())
    }

    store::directory_contract!(fresh);
    store::registry_contract!(fresh);
    store::ledger_contract!(fresh);
    store::usage_contract!(fresh);
    store::administration_contract!(fresh);
}

mod sqlite {
    use super::Sqlite;

    store::directory_contract!(Sqlite::open);
    store::registry_contract!(Sqlite::open);
    store::ledger_contract!(Sqlite::open);
    store::usage_contract!(Sqlite::open);
    store::administration_contract!(Sqlite::open);
}

mod postgres {
    use super::{Context, Owned, Path, Server};

    async fn fresh(_: &Path) -> anyhow::Result<Owned> {
        let server = Server::shared()?;
        let url = server.database()?;
        Owned::make(&url, Box::new(server)).await.context("the database")
    }

    store::directory_contract!(fresh);
    store::registry_contract!(fresh);
    store::ledger_contract!(fresh);
    store::usage_contract!(fresh);
    store::administration_contract!(fresh);
}

mod the_wall {
    use super::{Context, Path, Server, Wall};

    async fn fresh(_: &Path) -> anyhow::Result<Wall> {
        let server = Server::shared()?;
        let url = server.database()?;
        Wall::make(&url, Box::new(server)).await.context("the database")
    }

    store::wall_contract!(fresh);
}
