//! The audit log as it leaves the house: exported, signed, mapped for collectors, and checked by
//! anybody who has the files.

pub mod checkpoint;
pub mod export;
pub mod line;
pub mod ocsf;
pub mod verify;

use store::{
    audit::{Act, Actor, ActorKind, Outcome},
    clock,
};

/// What somebody does who may run commands on the installation; what it is, and to what, is filled
/// in by whoever does it.
pub fn by_command(reason: Option<String>) -> Act {
    let name = "command line".to_owned();
    Act {
        at: clock::now(),
        actor: Actor { kind: ActorKind::Operator, id: String::new(), name },
        address: None,
        action: String::new(),
        outcome: Outcome::Done,
        target: None,
        before: None,
        after: None,
        reason,
        request: None,
        via: "system".to_owned(),
        revision: None,
    }
}
