//! What a vendor's bytes mean: requests, answers, streams and errors, all as plain functions.
//!
//! Nothing here reads a clock, a socket or the environment, and no other crate knows a vendor's
//! JSON. Requests are read in one strict pass and changed by splicing spans of the original bytes;
//! they are never parsed and written anew, so that what we do not understand arrives unchanged.

pub mod annotate;
pub mod answer;
pub mod chat;
pub mod chunk;
pub mod embeddings;
pub mod ending;
pub mod error;
pub mod estimate;
pub mod json;
pub mod malformed;
pub mod models;
pub mod sse;
pub mod stream;
pub mod usage;
