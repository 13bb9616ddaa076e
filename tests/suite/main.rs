//! All black-box suites, in one binary: one link.

mod audit;
mod billing;
mod budget;
#[cfg(test)]
mod callers;
mod contract;
mod crash;
mod demo;
mod drop_in;
mod limits;
#[cfg(test)]
mod limits_shared;
mod login;
mod openapi;
mod organization;
#[cfg(test)]
mod postgres_store;
mod protocol;
#[cfg(test)]
mod reconcile;
#[cfg(test)]
mod replicas;
mod routing;
#[cfg(test)]
mod scim;
mod secrets;
mod settings;
mod streaming;
mod tenants;
mod tidy;
