//! What the gateway decides, without how it is carried out.
//!
//! Every function here is plain: no clock, no socket, no task, no lock.
//! The present time, chance and all stored facts come in as arguments.

pub mod authority;
pub mod breaker;
pub mod budget;
pub mod data;
pub mod document;
pub mod egress;
pub mod ids;
pub mod key;
pub mod money;
pub mod permission;
pub mod rate;
pub mod refusal;
pub mod rights;
pub mod role;
pub mod route;
pub mod tenant;
pub mod tier;
pub mod time;
pub mod usage;
