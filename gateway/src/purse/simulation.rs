//! Whole gateways' money in virtual time, over messages that go astray: each run from one seed.
//!
//! The purse, the shipper, its outbox and the store's engine are those that are shipped. Simulated
//! are the network, the journal's disk, the callers and the clocks. After each message that the
//! store executes, everything is compared with what really happened.

mod dice;
mod disk;
mod engine;
mod gate;
mod gateway;
mod life;
mod schedule;
mod tamper;
mod tests;
mod truth;
mod variant;
mod wire;
mod world;

use self::{
    dice::Dice,
    engine::Engine,
    variant::Variant,
    world::{Outcome, World},
};
use tokio::runtime::Builder;

/// What a run is made of.
#[derive(Clone, Copy, Debug)]
struct Plan {
    seed: u64,
    on_sqlite: bool,
    variant: Option<Variant>,
    /// Each step is written down.
    traced: bool,
}

fn run(plan: Plan) -> Outcome {
    let folder = plan.on_sqlite.then(|| {
        // In memory, where there is such a place: no power fails here.
        tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
    });
    let engine = match &folder {
        Some(folder) => Engine::sqlite(&folder.path().join("penstock.db")),
        None => Engine::Model(Box::default()),
    };
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let outcome = runtime.block_on(async {
        engine::begin_time();
        let world = World::new(engine, Dice::new(plan.seed), plan.variant, plan.traced);
        schedule::play(&world).await;
        world.live().iter().for_each(|gateway| gateway.die());
        world.outcome()
    });
    engine::end_time();
    outcome
}
