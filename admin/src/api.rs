//! The tables of the administration API, one for each family of routes.

pub mod listener;
pub mod myself;
pub mod objects;

use crate::table::Row;

/// Every table. A family that is not in here has no route.
pub const TABLES: &[&[Row]] = &[listener::ROWS, myself::ROWS, objects::ROWS, objects::KEY_ROWS];
