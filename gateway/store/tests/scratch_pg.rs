//! Temporary.
use std::{error::Error, path::Path, process::Command, sync::atomic::{AtomicU32, Ordering}};
use store::contract::owned::{Owned, Wall};
static N: AtomicU32 = AtomicU32::new(0);
fn url() -> String {
    let name = format!("t{}_{}", std::process::id(), N.fetch_add(1, Ordering::Relaxed));
    assert!(Command::new("/usr/lib/postgresql/15/bin/createdb").args(["--host", "/tmp/pgx", "--username=postgres", "--owner", "owner", &name]).status().unwrap().success());
    format!("postgres://owner@localhost/{name}?host=/tmp/pgx")
}
mod wall { use super::*;
async fn fresh(_: &Path) -> Result<Wall, Box<dyn Error>> { Ok(Wall::make(&url(), Box::new(())).await?) }
store::wall_contract!(fresh);
}
mod full { use super::*;
async fn fresh(_: &Path) -> Result<Owned, Box<dyn Error>> { Ok(Owned::make(&url(), Box::new(())).await?) }
store::directory_contract!(fresh);
store::registry_contract!(fresh);
store::ledger_contract!(fresh);
store::usage_contract!(fresh);
store::administration_contract!(fresh);
}
