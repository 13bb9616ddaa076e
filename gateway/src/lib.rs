//! The data plane. Start reading at [`pipeline`].

pub mod pipeline;

pub mod app;
pub mod edge;
pub mod outbound;
pub mod upstream;

pub mod bill;
pub mod contact;
pub mod counter;
pub mod journal;
pub mod purse;
pub mod ready;
pub mod rung;
pub mod shipper;

pub mod doorman;
pub mod health;
pub mod last_use;
pub mod sinks;
pub mod snapshot;
pub mod sweeper;

pub mod assemble;
pub mod cli;
pub mod config;
pub mod simulate;
