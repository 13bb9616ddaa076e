//! [`Cells`] over plain maps.

use super::Model;
use crate::{
    Fault,
    cells::{Attendance, Attended, Board, Cells, Message, Reply, SEATS_SILENCE_MILLIS},
    clock,
};
use async_trait::async_trait;
use policies::{
    ids::{BootId, OrgId},
    time::Timestamp,
};

/// What an org last heard of a replica.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    seq: u64,
    at: Timestamp,
}

#[async_trait]
impl Cells for Model {
    async fn attend(&self, boot: &BootId) -> Result<Attendance, Fault> {
        let now = clock::now();
        self.write(|world| {
            let known = world.attendance.insert(*boot, now).is_some();
            let unheard = |at: Timestamp| now.0.saturating_sub(at.0);
            let all = world.attendance.iter();
            let all = all.map(|(boot, at)| Attended { boot: *boot, unheard_millis: unheard(*at) });
            let all = all.filter(|it| it.unheard_millis < SEATS_SILENCE_MILLIS).collect();
            Ok(Attendance { known, all, now })
        })
    }

    async fn exchange(&self, org: &OrgId, boot: &BootId, message: Message) -> Result<Reply, Fault> {
        message.check()?;
        let now = clock::now();
        self.write(|world| {
            let known = world.heard.get(&(*org, *boot)).map_or(0, |heard| heard.seq);
            if message.seq <= known {
                return Ok(Reply::Late);
            }
            if known < message.answered {
                return Ok(Reply::Forgotten);
            }
            world.heard.insert((*org, *boot), Heard { seq: message.seq, at: now });
            let windows = message.names().into_iter().map(|window| {
                let claims = world.claims_of_limits.remove(&(*org, window));
                (window, claims.unwrap_or_default())
            });
            let windows = windows.collect();
            let mut board = Board { boot, message: &message, now, windows };
            let oldest = now.plus_millis(-SEATS_SILENCE_MILLIS);
            let reply = board.answer(|boot| {
                world.heard.get(&(*org, *boot)).is_some_and(|heard| oldest < heard.at)
            });
            for (window, claims) in board.windows {
                world.claims_of_limits.insert((*org, window), claims);
            }
            Ok(reply)
        })
    }
}
