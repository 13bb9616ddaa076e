//! Every engine against the contract of the store.

use anyhow::Context;
use std::path::Path;
use store::{
    Fault,
    contract::owned::{Owned, Wall},
    model::Model,
    sqlite::Sqlite,
};
use tests::{postgres::Server, redis::RedisServer};

mod the_model {
    use super::{Fault, Model, Path};

    async fn fresh(_: &Path) -> Result<Model, Fault> {
        Ok(Model::default())
    }

    store::directory_contract!(fresh);
    store::registry_contract!(fresh);
    store::ledger_contract!(fresh);
    store::reconciliation_contract!(fresh);
    store::usage_contract!(fresh);
    store::administration_contract!(fresh);
    store::cells_contract!(fresh);
}

mod sqlite {
    use super::Sqlite;

    store::directory_contract!(Sqlite::open);
    store::registry_contract!(Sqlite::open);
    store::ledger_contract!(Sqlite::open);
    store::reconciliation_contract!(Sqlite::open);
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
    store::reconciliation_contract!(fresh);
    store::usage_contract!(fresh);
    store::administration_contract!(fresh);
    store::cells_contract!(fresh);
}

mod redis {
    use super::{Context, Path, RedisServer};
    use store::{
        contract::Fresh,
        redis::{Address, Redis},
    };

    /// An engine with a server of its own.
    struct Own {
        engine: Redis,
        _server: RedisServer,
    }

    impl Fresh for Own {
        type Engine = Redis;

        fn engine(&self) -> &Redis {
            &self.engine
        }
    }

    fn engine(url: &str) -> anyhow::Result<Redis> {
        let address = Address::parse(url).map_err(anyhow::Error::msg)?;
        Ok(Redis::new(address, tests::wait::SOON))
    }

    async fn fresh(_: &Path) -> anyhow::Result<Own> {
        let server = RedisServer::start().await.context("Redis")?;
        Ok(Own { engine: engine(&server.url())?, _server: server })
    }

    store::cells_contract!(fresh);

    #[tokio::test]
    async fn a_cluster_has_all_of_an_org_in_one_place() -> anyhow::Result<()> {
        let server = RedisServer::cluster().await?;
        let engine = engine(&format!("redis+cluster://{}", server.place()))?;

        store::contract::cells::replicas_know_of_each_other(&engine).await?;
        store::contract::cells::limits_agree_with_the_model(&engine).await?;
        Ok(())
    }

    #[tokio::test]
    async fn a_sentinel_leads_to_the_master() -> anyhow::Result<()> {
        let server = RedisServer::start().await?;
        let sentinel = server.sentinel().await?;
        let engine = engine(&format!("redis+sentinel://{}/main", sentinel.place()))?;

        store::contract::cells::a_need_is_taken_whole_or_not_at_all(&engine).await?;
        anyhow::ensure!(server.command("KEYS penstock:*").await?.contains("heard"));
        Ok(())
    }
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
