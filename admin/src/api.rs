//! The tables of the administration API, one for each family of routes.

pub mod effective;
pub mod limit_requests;
pub mod listener;
pub mod myself;
pub mod objects;
pub mod openapi;
pub mod orgs;

use crate::table::Row;

/// Every table. A family that is not in here has no route.
pub const TABLES: &[&[Row]] = &[
    listener::ROWS,
    myself::ROWS,
    orgs::ROWS,
    objects::ROWS,
    objects::KEY_ROWS,
    openapi::ROWS,
    effective::ROWS,
    limit_requests::ROWS,
];
