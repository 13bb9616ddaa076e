//! [`Tickets`] over a plain map.

use super::Model;
use crate::{
    Fault,
    ticket::{Ticket, Tickets},
};
use async_trait::async_trait;
use policies::time::Timestamp;

#[async_trait]
impl Tickets for Model {
    async fn put_ticket(
        &self,
        kind: &str,
        sha256: &[u8; 32],
        ticket: &Ticket,
    ) -> Result<(), Fault> {
        self.write(|world| match world.tickets.insert((kind.to_owned(), *sha256), ticket.clone()) {
            None => Ok(()),
            Some(_) => Err(Fault::Broken(format!("there is a {kind} ticket with this code"))),
        })
    }

    async fn ticket(
        &self,
        kind: &str,
        sha256: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Ticket>, Fault> {
        Ok(self.read(|world| {
            let found = world.tickets.get(&(kind.to_owned(), *sha256));
            found.filter(|ticket| now < ticket.expires).cloned()
        }))
    }

    async fn take_ticket(
        &self,
        kind: &str,
        sha256: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Ticket>, Fault> {
        self.write(|world| {
            let place = (kind.to_owned(), *sha256);
            let is_good = world.tickets.get(&place).is_some_and(|ticket| now < ticket.expires);
            Ok(if is_good { world.tickets.remove(&place) } else { None })
        })
    }

    async fn sweep_tickets(&self, now: Timestamp) -> Result<u64, Fault> {
        self.write(|world| {
            let before = world.tickets.len();
            world.tickets.retain(|_, ticket| now < ticket.expires);
            Ok(super::gone(before, world.tickets.len()))
        })
    }
}
