//! The contract of [`Tickets`].

use super::{
    boots::all_at_once,
    samples::{ACME, ORGS, OTHER},
};
use crate::{
    Fault,
    ticket::{Ticket, Tickets},
};
use policies::{ids::OrgId, time::Timestamp};

const NOW: Timestamp = Timestamp(99);

fn of(org: OrgId) -> Ticket {
    Ticket { org, body: format!("{{\"org\":\"{org}\"}}"), expires: Timestamp(100) }
}

async fn begin(store: &impl Tickets) -> Result<(), Fault> {
    store.put_ticket("login", &[1; 32], &of(ACME)).await?;
    store.put_ticket("login", &[2; 32], &of(OTHER)).await
}

pub async fn of_many_takers_one_has_the_ticket(store: &impl Tickets) -> Result<(), Fault> {
    begin(store).await?;

    let takers = (0..20).map(|_| store.take_ticket("login", &[1; 32], NOW));
    let taken = all_at_once(takers).await.into_iter().collect::<Result<Vec<_>, _>>()?;

    assert_eq!(taken.into_iter().flatten().collect::<Vec<_>>(), [of(ACME)]);
    assert_eq!(store.take_ticket("login", &[2; 32], NOW).await?, Some(of(OTHER)));
    Ok(())
}

pub async fn a_ticket_that_is_looked_at_stays(store: &impl Tickets) -> Result<(), Fault> {
    begin(store).await?;

    for _ in 0..2 {
        assert_eq!(store.ticket("login", &[1; 32], NOW).await?, Some(of(ACME)));
        assert_eq!(store.ticket("login", &[2; 32], NOW).await?, Some(of(OTHER)));
    }

    assert_eq!(store.take_ticket("login", &[1; 32], NOW).await?, Some(of(ACME)));
    assert_eq!(store.ticket("login", &[1; 32], NOW).await?, None);
    Ok(())
}

pub async fn a_ticket_of_one_kind_is_none_of_another(store: &impl Tickets) -> Result<(), Fault> {
    begin(store).await?;
    store.put_ticket("invite", &[1; 32], &of(OTHER)).await?;

    assert_eq!(store.take_ticket("device", &[1; 32], NOW).await?, None);
    assert_eq!(store.take_ticket("invite", &[1; 32], NOW).await?, Some(of(OTHER)));

    assert_eq!(store.ticket("login", &[1; 32], NOW).await?, Some(of(ACME)));
    Ok(())
}

pub async fn a_code_is_good_for_one_ticket(store: &impl Tickets) -> Result<(), Fault> {
    begin(store).await?;

    for org in ORGS {
        let outcome = store.put_ticket("login", &[1; 32], &of(org)).await;
        assert!(matches!(&outcome, Err(fault) if fault.is_about_data()), "{outcome:?}");
    }

    assert_eq!(store.ticket("login", &[1; 32], NOW).await?, Some(of(ACME)));
    Ok(())
}

pub async fn a_ticket_past_its_end_is_not_there(store: &impl Tickets) -> Result<(), Fault> {
    begin(store).await?;

    assert_eq!(store.ticket("login", &[1; 32], Timestamp(100)).await?, None);
    assert_eq!(store.take_ticket("login", &[1; 32], Timestamp(100)).await?, None);
    Ok(())
}

pub async fn a_sweep_takes_the_tickets_past_their_end(store: &impl Tickets) -> Result<(), Fault> {
    begin(store).await?;
    let later = Ticket { expires: Timestamp(101), ..of(ACME) };
    store.put_ticket("login", &[3; 32], &later).await?;

    assert_eq!(store.sweep_tickets(NOW).await?, 0);
    assert_eq!(store.sweep_tickets(Timestamp(100)).await?, 2);

    assert_eq!(store.ticket("login", &[2; 32], NOW).await?, None);
    assert_eq!(store.ticket("login", &[3; 32], NOW).await?, Some(later));
    Ok(())
}
