//! [`Sessions`] over a plain map.

use super::Model;
use crate::{
    Fault,
    session::{Session, Sessions},
};
use async_trait::async_trait;
use policies::{
    ids::{OrgId, UserId},
    time::Timestamp,
};

#[async_trait]
impl Sessions for Model {
    async fn open_session(&self, sha256: &[u8; 32], session: &Session) -> Result<(), Fault> {
        self.write(|world| match world.sessions.insert(*sha256, session.clone()) {
            None => Ok(()),
            Some(_) => Err(Fault::Broken("a session with this token is open".to_owned())),
        })
    }

    async fn session(&self, sha256: &[u8; 32]) -> Result<Option<Session>, Fault> {
        Ok(self.read(|world| world.sessions.get(sha256).cloned()))
    }

    async fn touch_session(
        &self,
        org: &OrgId,
        sha256: &[u8; 32],
        now: Timestamp,
    ) -> Result<(), Fault> {
        self.write(|world| {
            let found = world.sessions.get_mut(sha256).filter(|it| it.org == *org);
            if let Some(session) = found {
                session.seen = session.seen.max(now);
            }
            Ok(())
        })
    }

    async fn close_session(&self, org: &OrgId, sha256: &[u8; 32]) -> Result<bool, Fault> {
        self.write(|world| {
            let before = world.sessions.len();
            world.sessions.retain(|token, it| !(it.org == *org && token == sha256));
            Ok(world.sessions.len() < before)
        })
    }

    async fn close_sessions_of(&self, org: &OrgId, user: &UserId) -> Result<u64, Fault> {
        self.write(|world| {
            let before = world.sessions.len();
            world.sessions.retain(|_, it| !(it.org == *org && it.user == *user));
            Ok(super::gone(before, world.sessions.len()))
        })
    }

    async fn sessions_of(
        &self,
        org: &OrgId,
        user: &UserId,
    ) -> Result<Vec<([u8; 32], Session)>, Fault> {
        let mut found = self.read(|world| {
            let all = world.sessions.iter();
            let of_user = all.filter(|(_, it)| it.org == *org && it.user == *user);
            of_user.map(|(sha256, it)| (*sha256, it.clone())).collect::<Vec<_>>()
        });
        found.sort_by_key(|(sha256, session)| (session.created, *sha256));
        Ok(found)
    }

    async fn sweep_sessions(&self, now: Timestamp) -> Result<u64, Fault> {
        self.write(|world| {
            let before = world.sessions.len();
            world.sessions.retain(|_, it| now < it.expires);
            Ok(super::gone(before, world.sessions.len()))
        })
    }
}
