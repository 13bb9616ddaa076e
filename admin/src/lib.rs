//! The control plane: what administrators change and read, beside the way of requests.
//!
//! It knows nothing of the data plane but what it asks for in small traits ([`probe`]). The two
//! meet in the store: here a revision is written, there it is noticed. [`gate::serve`] is the way
//! of a request; [`api::TABLES`] are all of its routes.

pub mod api;
pub mod context;
pub mod failure;
pub mod gate;
pub mod identity;
pub mod manual;
pub mod outbound;
pub mod probe;
pub mod service;
pub mod services;
pub mod table;

mod once;

#[cfg(test)]
pub(crate) mod tests;
