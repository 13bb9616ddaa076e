//! The audit log as it leaves the house: exported, signed, mapped for collectors, and checked by
//! anybody who has the files.

pub mod checkpoint;
pub mod export;
pub mod line;
pub mod ocsf;
pub mod verify;
