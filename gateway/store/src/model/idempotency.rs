//! [`Idempotency`] over a plain map.

use super::Model;
use crate::{
    Fault,
    idempotency::{ANSWER_MILLIS_MAX, CLAIM_MILLIS_MAX, Claim, Idempotency},
};
use async_trait::async_trait;
use policies::{ids::OrgId, time::Timestamp};

#[derive(Clone, Debug)]
pub(super) struct Claimed {
    body_hash: [u8; 32],
    at: Timestamp,
    answer: Option<(u16, String, Vec<u8>)>,
}

fn place(org: &OrgId, scope: &str, key: &str) -> (OrgId, String, String) {
    (*org, scope.to_owned(), key.to_owned())
}

#[async_trait]
impl Idempotency for Model {
    async fn claim(
        &self,
        org: &OrgId,
        scope: &str,
        key: &str,
        body_hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<Claim, Fault> {
        self.write(|world| {
            let place = place(org, scope, key);
            let known = world.claims.get(&place).and_then(|it| it.says(body_hash, now));
            if let Some(claim) = known {
                return Ok(claim);
            }
            let claimed = Claimed { body_hash: *body_hash, at: now, answer: None };
            world.claims.insert(place, claimed);
            Ok(Claim::Fresh)
        })
    }

    async fn answered(
        &self,
        org: &OrgId,
        scope: &str,
        key: &str,
        status: u16,
        headers: &str,
        answer: &[u8],
    ) -> Result<(), Fault> {
        self.write(|world| {
            if let Some(claimed) = world.claims.get_mut(&place(org, scope, key)) {
                let given = || (status, headers.to_owned(), answer.to_owned());
                claimed.answer.get_or_insert_with(given);
            }
            Ok(())
        })
    }

    async fn release(&self, org: &OrgId, scope: &str, key: &str) -> Result<(), Fault> {
        self.write(|world| {
            let released = place(org, scope, key);
            world.claims.retain(|place, it| *place != released || it.answer.is_some());
            Ok(())
        })
    }

    async fn sweep_idempotency(&self, now: Timestamp) -> Result<u64, Fault> {
        self.write(|world| {
            let before = world.claims.len();
            world.claims.retain(|_, it| it.age_millis(now) < ANSWER_MILLIS_MAX);
            Ok(super::gone(before, world.claims.len()))
        })
    }
}

impl Claimed {
    fn age_millis(&self, now: Timestamp) -> i64 {
        now.0.saturating_sub(self.at.0)
    }

    /// None if the request is the caller's to do.
    fn says(&self, body_hash: &[u8; 32], now: Timestamp) -> Option<Claim> {
        if ANSWER_MILLIS_MAX <= self.age_millis(now) {
            return None;
        }
        if self.body_hash != *body_hash {
            return Some(Claim::Differs);
        }
        match &self.answer {
            Some((status, headers, answer)) => Some(Claim::Done {
                body_hash: self.body_hash,
                status: *status,
                headers: headers.clone(),
                answer: answer.clone(),
            }),
            None if self.age_millis(now) < CLAIM_MILLIS_MAX => Some(Claim::Running),
            None => None,
        }
    }
}
