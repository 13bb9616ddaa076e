//! [`Balances`], [`Reconciliation`] and [`Watch`] over plain maps.

use super::{LeaseRow, Model, State};
use crate::{
    Balances, Bell, Fault, Lent, PotState, Reconciliation, Released, Shipment, Watch, audit::Act,
    clock,
};
use async_trait::async_trait;
use policies::{
    budget::Pot,
    ids::{BootId, OrgId, RequestId},
    money::NanoUsd,
    time::Timestamp,
    usage::UsageRecord,
};
use std::sync::Arc;

/// Gateways on it look for themselves.
#[async_trait]
impl Watch for Model {
    async fn bell(&self) -> Result<Option<Box<dyn Bell>>, Fault> {
        Ok(None)
    }
}

#[async_trait]
impl Balances for Model {
    async fn pots(&self, org: &OrgId, since: Timestamp) -> Result<Vec<PotState>, Fault> {
        Ok(self.read(|world| {
            let pots = world.pots.keys().filter(|(of, pot)| of == org && since < pot.span.ends);
            pots.map(|(_, pot)| world.pot_state(org, pot)).collect()
        }))
    }

    async fn lent(&self, org: &OrgId, since: Timestamp) -> Result<Vec<Lent>, Fault> {
        Ok(self.read(|world| {
            let leases = world.leases.iter().filter(|((of, pot, _), lease)| {
                of == org
                    && since < pot.span.ends
                    && lease.state != State::Closed
                    && NanoUsd::ZERO < lease.outstanding()
            });
            let lent = |((_, pot, boot), lease): (&(OrgId, Pot, BootId), &LeaseRow)| Lent {
                boot: *boot,
                pot: *pot,
                outstanding: lease.outstanding(),
                lost: lease.state == State::Lost,
                last_seen: world.boots.get(boot).map_or(Timestamp(0), |row| row.last_seen),
            };
            leases.map(lent).collect()
        }))
    }
}

#[async_trait]
impl Reconciliation for Model {
    async fn records_of(
        &self,
        org: &OrgId,
        request: &RequestId,
    ) -> Result<Vec<UsageRecord>, Fault> {
        Ok(self.read(|world| {
            let wanted = world
                .usage
                .iter()
                .filter(|record| record.stamp.org == *org && record.stamp.request == *request);
            let mut records: Vec<_> = wanted.map(|record| UsageRecord::clone(record)).collect();
            records.sort_by_key(|record| (record.stamp.attempt, record.part));
            records
        }))
    }

    async fn release_boot(
        &self,
        org: &OrgId,
        boot: &BootId,
        quiet_millis: i64,
        act: Act,
    ) -> Result<Released, Fault> {
        self.write(|world| {
            let Some(row) = world.boots.get(boot) else { return Ok(Released::NothingLost) };
            let until = row.last_seen.plus_millis(quiet_millis);
            if clock::now() < until {
                return Ok(Released::TooEarly { until });
            }
            let leases = world.leases.iter_mut().filter(|((of, _, by), lease)| {
                of == org && by == boot && lease.state == State::Lost
            });
            let (mut freed, mut count) = (NanoUsd::ZERO, 0);
            for (_, lease) in leases {
                freed = freed.plus(lease.outstanding());
                lease.returned = lease.granted.minus(lease.spent);
                lease.state = State::Closed;
                count += 1;
            }
            if count == 0 {
                return Ok(Released::NothingLost);
            }
            world.append(org, &[act], None)?;
            Ok(Released::Done(freed))
        })
    }

    async fn resolve_attempt(
        &self,
        org: &OrgId,
        correction: UsageRecord,
        act: Act,
    ) -> Result<bool, Fault> {
        self.write(|world| {
            let before = world.usage.len();
            let rows = Shipment { records: vec![Arc::new(correction)], decisions: Vec::new() };
            world.ship(org, rows)?;
            if world.usage.len() == before {
                return Ok(false);
            }
            world.append(org, &[act], None)?;
            Ok(true)
        })
    }
}
