//! What an administrator can do, as plain functions that command line and HTTP both call.

pub mod admin_key;
pub mod apply;
pub mod audit;
pub mod calendar;
pub mod edit;
pub mod export_config;
pub mod export_usage;
pub mod orgs;
pub mod people;
pub mod reconciliation;
pub mod schema;
pub mod secrets;
pub mod setup_link;
pub mod sign_in;
pub mod usage_report;
