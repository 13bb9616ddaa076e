//! The tables of the administration API, one for each family of routes.

pub mod audit;
pub mod credentials;
pub mod effective;
pub mod limit_requests;
pub mod listener;
pub mod login;
pub mod myself;
pub mod objects;
pub mod openapi;
pub mod organization;
pub mod orgs;
pub mod scim;
pub mod sessions;
pub mod setup;

use crate::table::Row;

/// Every table. A family that is not in here has no route.
pub const TABLES: &[&[Row]] = &[
    listener::ROWS,
    myself::ROWS,
    orgs::ROWS,
    objects::ROWS,
    objects::KEY_ROWS,
    credentials::ROWS,
    openapi::ROWS,
    effective::ROWS,
    limit_requests::ROWS,
    audit::ROWS,
    login::ROWS,
    sessions::ROWS,
    setup::ROWS,
    organization::ROWS,
    organization::UNSUPPORTED_ROWS,
    scim::DISCOVERY_ROWS,
    scim::USER_ROWS,
    scim::GROUP_ROWS,
];
