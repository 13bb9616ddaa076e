//! What the black-box suites stand on: a house with a gateway and a simulated provider in it.
//!
//! Nothing here shares code with what it tests. The product is started as a person would start
//! it, and spoken to over sockets.

pub mod client;
pub mod house;
pub mod json;
pub mod ledger;
pub mod oracle;
pub mod postgres;
pub mod process;
pub mod record;
pub mod redis;
pub mod scripted;
pub mod settings;
pub mod sse;
pub mod wait;
pub mod wire;
