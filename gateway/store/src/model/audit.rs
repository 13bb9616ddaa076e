//! [`AuditLog`] over one list.

use super::{Model, World};
use crate::{
    Fault,
    audit::{Act, ActFilter, AuditLog, Entry, Head, Order, PAGE_ENTRIES_MAX},
};
use async_trait::async_trait;
use policies::ids::{OrgId, Revision};
use std::{collections::BTreeMap, sync::Arc};

#[async_trait]
impl AuditLog for Model {
    async fn append(&self, org: &OrgId, acts: Vec<Act>) -> Result<(), Fault> {
        self.write(|world| world.append(org, &acts, None))
    }

    async fn acts(
        &self,
        org: &OrgId,
        filter: &ActFilter,
        order: Order,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Entry>, Fault> {
        let mut entries = self.read(|world| world.chain(org));
        if order == Order::Newest {
            entries.reverse();
        }
        entries.retain(|entry| match (order, after) {
            (Order::Oldest, Some(after)) => after < entry.seq,
            (Order::Newest, Some(after)) => entry.seq < after,
            (Order::Oldest | Order::Newest, None) => true,
        });
        let mut page = Vec::new();
        for entry in entries {
            if lets_through(filter, &entry.act()?) {
                page.push(entry);
            }
        }
        page.truncate(rows(limit));
        Ok(page)
    }

    async fn head(&self, org: &OrgId) -> Result<Head, Fault> {
        Ok(self.read(|world| world.head(org)))
    }

    async fn heads(&self) -> Result<Vec<(OrgId, Head)>, Fault> {
        let rows = self.read(|world| world.audit.clone());
        // The last of each org stays.
        let heads: BTreeMap<_, _> = rows.iter().map(|row| (row.org, row.head())).collect();
        Ok(heads.into_iter().collect())
    }

    async fn arrivals(&self, after: i64, limit: u32) -> Result<Vec<Entry>, Fault> {
        Ok(self.read(|world| {
            let later = world.audit.iter().filter(|row| after < row.position);
            later.take(rows(limit)).map(|row| Entry::clone(row)).collect()
        }))
    }

    async fn sink_position(&self, sink: &str) -> Result<i64, Fault> {
        Ok(self.read(|world| world.sinks.get(sink).copied().unwrap_or(0)))
    }

    async fn set_sink_position(&self, sink: &str, position: i64) -> Result<(), Fault> {
        self.write(|world| {
            world.sinks.insert(sink.to_owned(), position);
            Ok(())
        })
    }
}

impl World {
    pub(super) fn append(
        &mut self,
        org: &OrgId,
        acts: &[Act],
        revision: Option<Revision>,
    ) -> Result<(), Fault> {
        for act in acts {
            let revision = revision.map_or(act.revision, |revision| Some(revision.0));
            let entry = self.head(org).next(org, &Act { revision, ..act.clone() })?;
            let position = self.audit.last().map_or(1, |last| last.position + 1);
            self.audit.push(Arc::new(Entry { position, ..entry }));
        }
        Ok(())
    }

    fn chain(&self, org: &OrgId) -> Vec<Entry> {
        let rows = self.audit.iter().filter(|row| row.org == *org);
        rows.map(|row| Entry::clone(row)).collect()
    }

    fn head(&self, org: &OrgId) -> Head {
        let last = self.audit.iter().rfind(|row| row.org == *org);
        last.map(|row| row.head()).unwrap_or_default()
    }
}

fn lets_through(filter: &ActFilter, act: &Act) -> bool {
    let is_wanted = |wanted: &[String], it: Option<&String>| {
        wanted.is_empty() || it.is_some_and(|it| wanted.contains(it))
    };
    let target = act.target.as_ref();
    filter.from.is_none_or(|from| from <= act.at)
        && filter.to.is_none_or(|to| act.at < to)
        && is_wanted(&filter.actions, Some(&act.action))
        && is_wanted(&filter.actors, Some(&act.actor.id))
        && is_wanted(&filter.targets, target.map(|target| &target.id))
        && is_wanted(&filter.projects, target.and_then(|target| target.project.as_ref()))
}

fn rows(limit: u32) -> usize {
    usize::try_from(limit.min(PAGE_ENTRIES_MAX)).unwrap_or(usize::MAX)
}
