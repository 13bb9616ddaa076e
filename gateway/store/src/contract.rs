//! What every engine must do. Each engine runs all of these, unchanged.
//!
//! A clause takes a fresh, empty engine. Every clause about a tenant's rows has two tenants.

pub mod boots;
pub mod directory;
pub mod ledger;
pub mod owned;
mod random;
pub mod registry;
mod samples;
pub mod usage;

use crate::{Change, Committed, Directory, Fault, Registry};
use async_trait::async_trait;
use policies::{
    document::Object,
    ids::{OrgId, Revision},
};

/// A directory that a test can fill. Engines that cannot be written to yet fill their tables.
#[async_trait]
pub trait Seed: Directory {
    /// Adds objects to an org, which is made where there is none. Its revision grows by one.
    async fn seed(&self, org: &OrgId, objects: Vec<Object>) -> Result<(), Fault>;
}

/// Makes a change from whatever revision the org is at.
pub(crate) async fn seed_by_commit(
    registry: &dyn Registry,
    org: &OrgId,
    objects: Vec<Object>,
) -> Result<(), Fault> {
    let revisions = registry.revisions().await?;
    let from = revisions.iter().find(|(id, _)| id == org);
    let from = from.map_or(Revision(0), |(_, revision)| *revision);
    let change = Change { org: *org, from, put: objects, remove: Vec::new() };
    match registry.commit(vec![change]).await? {
        Committed::Done(_) => Ok(()),
        refused @ (Committed::Conflict(_) | Committed::NameTaken(_)) => {
            Err(Fault::Broken(format!("{refused:?}")))
        }
    }
}

#[async_trait]
impl Seed for crate::sqlite::Sqlite {
    async fn seed(&self, org: &OrgId, objects: Vec<Object>) -> Result<(), Fault> {
        seed_by_commit(self, org, objects).await
    }
}

#[async_trait]
impl Seed for crate::model::Model {
    async fn seed(&self, org: &OrgId, objects: Vec<Object>) -> Result<(), Fault> {
        seed_by_commit(self, org, objects).await
    }
}

/// One test for each clause. `fresh` is an async function of a path, where nothing is yet, to a
/// fresh engine; what the engine keeps at the path is removed after the test.
#[macro_export]
macro_rules! clauses {
    ($suite:ident, $fresh:expr; $($clause:ident,)*) => {
        $(
            #[tokio::test]
            async fn $clause() -> Result<(), Box<dyn std::error::Error>> {
                let folder = tempfile::tempdir()?;
                let engine = $fresh(&folder.path().join("penstock.db")).await?;
                $crate::contract::$suite::$clause(&engine).await?;
                Ok(())
            }
        )*
    };
}

/// The contract of `Directory`.
#[macro_export]
macro_rules! directory_contract {
    ($fresh:expr) => {
        $crate::clauses!(directory, $fresh;
            an_empty_store_knows_nobody,
            settings_come_back_as_they_were_put,
            objects_are_ordered_by_kind_and_then_by_name,
            an_org_sees_its_own_objects_only,
            a_key_hash_names_its_org_and_key,
            every_change_raises_the_revision,
        );
    };
}

/// What PostgreSQL does beyond the contract.
#[macro_export]
macro_rules! wall_contract {
    ($fresh:expr) => {
        $crate::clauses!(owned, $fresh;
            the_wall_stands_between_orgs,
            the_engine_cannot_take_the_wall_down,
        );
    };
}

/// The contract of `Registry`.
#[macro_export]
macro_rules! registry_contract {
    ($fresh:expr) => {
        $crate::clauses!(registry, $fresh;
            a_change_from_an_old_revision_changes_nothing,
            a_conflict_in_one_org_undoes_the_change_of_another,
            a_name_is_taken_once_in_its_kind_and_org,
            an_org_name_is_taken_once,
            two_objects_may_change_names_in_one_change,
            a_key_hash_belongs_to_one_key,
            a_removed_key_is_forgotten,
            a_renamed_object_keeps_its_id,
        );
    };
}

/// The contract of `Ledger`.
#[macro_export]
macro_rules! ledger_contract {
    ($fresh:expr) => {
        $crate::clauses!(ledger, $fresh;
            no_more_is_granted_than_is_free,
            a_chain_is_granted_whole_or_not_at_all,
            a_total_that_is_told_twice_comes_back_once,
            a_return_of_what_was_never_given_is_refused,
            a_record_that_is_shipped_twice_settles_once,
            an_unknown_end_counts_its_whole_hold,
            a_correction_ends_the_hold_of_its_attempt,
            what_was_taken_above_the_hold_is_an_overrun,
            exhausted_is_said_when_nothing_can_come_back,
            an_unknown_budget_has_nothing,
            a_period_that_is_over_grants_nothing,
            a_new_budget_begins_with_what_its_scope_spent,
            a_limit_follows_its_document,
            one_org_cannot_spend_for_another,
            a_free_attempt_needs_no_lease,
            an_attempt_without_a_price_counts_its_hold,
            it_agrees_with_the_model,
            it_agrees_with_the_model_near_the_end,
        );
        $crate::clauses!(boots, $fresh;
            a_complete_close_gives_the_rest_back,
            an_incomplete_close_keeps_the_rest_counted,
            a_swept_boot_that_wakes_is_told_that_it_is_closed,
            a_torn_journal_counts_nothing_twice,
            a_record_of_a_closed_lease_changes_nothing,
            a_boot_that_is_not_heard_after_a_recall_is_silent,
            many_boots_at_once_stay_within_the_limit,
        );
    };
}

/// The contract of `UsageLog`.
#[macro_export]
macro_rules! usage_contract {
    ($fresh:expr) => {
        $crate::clauses!(usage, $fresh;
            a_record_comes_back_as_it_was_shipped,
            a_decision_comes_back_as_it_was_shipped,
            a_page_goes_on_where_the_last_one_ended,
            a_span_ends_before_its_end,
            a_request_is_shown_to_its_own_project_only,
            the_sums_are_those_of_the_model,
            a_price_that_comes_later_ends_an_unpriced_record,
        );
    };
}
