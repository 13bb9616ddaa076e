//! What every engine must do. Each engine runs all of these, unchanged.
//!
//! A clause takes a fresh, empty engine. Every clause about a tenant's rows has two tenants.

pub mod audit;
pub mod boots;
pub mod cells;
pub mod crowd;
pub mod directory;
pub mod idempotency;
pub mod last_use;
pub mod ledger;
pub mod owned;
mod random;
pub mod reconciliation;
pub mod registry;
mod samples;
pub mod sessions;
pub mod tickets;
pub mod usage;
pub mod vault;

use crate::{Change, Committed, Directory, Fault, Registry};
use async_trait::async_trait;
use policies::{
    document::Object,
    ids::{OrgId, Revision},
};

/// An attempt that was sent, of which `seen` nano-USD are billed and `held` counted, for tests of
/// what becomes of it.
pub fn unknown_attempt(seen: i64, held: i64) -> policies::usage::UsageRecord {
    samples::unknown(samples::ACME, 1, samples::boot(1), seen, held)
}

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
    let change = Change { org: *org, from, put: objects, remove: Vec::new(), acts: Vec::new() };
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
impl Seed for crate::postgres::Postgres {
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

/// An engine, with what has to live as long as it does.
pub trait Fresh {
    type Engine;

    fn engine(&self) -> &Self::Engine;
}

impl Fresh for crate::sqlite::Sqlite {
    type Engine = Self;

    fn engine(&self) -> &Self {
        self
    }
}

impl Fresh for crate::model::Model {
    type Engine = Self;

    fn engine(&self) -> &Self {
        self
    }
}

/// One test for each clause. `fresh` is an async function of a path, where nothing is yet, to a
/// [`Fresh`] engine; what the engine keeps at the path is removed after the test.
#[macro_export]
macro_rules! clauses {
    ($suite:ident, $fresh:expr; $($clause:ident,)*) => {
        $(
            #[tokio::test]
            async fn $clause() -> Result<(), Box<dyn std::error::Error>> {
                let folder = tempfile::tempdir()?;
                let fresh = $fresh(&folder.path().join("penstock.db")).await?;
                let engine = $crate::contract::Fresh::engine(&fresh);
                $crate::contract::$suite::$clause(engine).await?;
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
            the_owner_is_kept_from_changing_the_log,
            each_door_in_the_wall_leads_to_one_table,
            what_is_not_named_is_not_seen,
            the_tables_are_made_once,
            a_gateway_that_is_lost_keeps_no_lock,
            a_refused_row_is_told_from_a_server_that_is_away,
            a_lost_connection_is_no_fault_of_the_rows,
        );
        $crate::clauses!(crowd, $fresh;
            two_gateways_at_once_keep_every_sum,
            a_new_pot_counts_every_row_that_is_under_way,
            a_cursor_passes_no_row_by,
            a_limit_reaches_a_pot_that_is_being_made,
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
        $crate::clauses!(audit, $fresh;
            a_change_leaves_its_acts_with_its_revision,
            a_refused_change_leaves_no_act,
            changes_and_acts_at_once_never_fork_a_chain,
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
            an_absurd_cost_blocks_a_budget_and_nobodys_rows,
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
            a_record_without_its_lease_is_billed_as_an_overrun,
            a_boot_that_is_not_heard_after_a_recall_is_silent,
            many_boots_at_once_stay_within_the_limit,
            a_journal_is_had_by_one_gateway,
        );
    };
}

/// The contract of recalls, `Balances` and `Reconciliation`.
#[macro_export]
macro_rules! reconciliation_contract {
    ($fresh:expr) => {
        $crate::clauses!(reconciliation, $fresh;
            what_somebody_lacks_is_recalled_from_those_who_have_it,
            a_recall_is_repeated_while_somebody_lacks,
            a_boot_is_heard_until_it_is_closed,
            what_was_lent_is_listed_for_its_org,
            a_release_frees_what_a_lost_boot_had_and_says_so,
            a_resolution_is_made_once_and_leaves_its_act,
        );
    };
}

/// The contract of `Cells`.
#[macro_export]
macro_rules! cells_contract {
    ($fresh:expr) => {
        $crate::clauses!(cells, $fresh;
            no_window_grants_more_than_its_limit,
            a_need_is_taken_whole_or_not_at_all,
            what_is_not_told_as_taken_is_given_back,
            a_true_up_counts_in_its_slot,
            a_message_that_comes_late_changes_nothing,
            what_was_forgotten_is_told_anew,
            a_silent_replica_keeps_its_share,
            a_slice_leaves_something_to_the_others,
            seats_are_given_back_and_taken_again,
            the_wait_that_is_told_ends_with_a_slot,
            one_org_cannot_take_of_another,
            an_end_user_has_a_window_alone,
            replicas_know_of_each_other,
            of_many_at_once_each_cell_goes_to_one,
            limits_agree_with_the_model,
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
            a_sum_stops_at_the_largest_number,
            a_price_that_comes_later_ends_an_unpriced_record,
        );
    };
}

/// The contracts of `AuditLog`, `Sessions`, `Tickets`, `Vault`, `Idempotency` and `LastUse`.
#[macro_export]
macro_rules! administration_contract {
    ($fresh:expr) => {
        $crate::clauses!(audit, $fresh;
            each_org_has_one_chain_from_zero,
            an_act_comes_back_as_it_was,
            a_page_of_acts_goes_on_where_the_last_one_ended,
            the_filters_are_those_of_the_model,
            many_at_once_never_fork_a_chain,
            a_sink_sees_every_row_once_and_in_order,
            a_sink_remembers_how_far_it_came,
        );
        $crate::clauses!(sessions, $fresh;
            a_session_is_found_by_its_token,
            a_token_opens_one_session,
            a_last_use_of_a_session_never_goes_back,
            a_session_is_closed_by_its_own_org_only,
            a_user_is_logged_out_everywhere_in_one_org,
            a_sweep_takes_the_sessions_past_their_end,
        );
        $crate::clauses!(tickets, $fresh;
            of_many_takers_one_has_the_ticket,
            a_ticket_that_is_looked_at_stays,
            a_ticket_of_one_kind_is_none_of_another,
            a_code_is_good_for_one_ticket,
            a_ticket_past_its_end_is_not_there,
            a_sweep_takes_the_tickets_past_their_end,
        );
        $crate::clauses!(vault, $fresh;
            data_keys_are_listed_by_version,
            a_version_of_a_data_key_is_added_once,
            a_rewrap_gives_every_key_its_new_wrapping,
            a_rewrap_of_what_has_changed_does_nothing,
            a_rewrap_leaves_no_key_with_a_master_that_it_leaves,
            a_data_key_keeps_its_version,
        );
        $crate::clauses!(idempotency, $fresh;
            a_repeated_request_has_the_first_answer,
            a_repeated_request_waits_for_the_first,
            another_body_under_the_same_key_differs,
            an_idempotency_key_is_its_callers_own,
            a_claim_that_is_let_go_is_fresh_again,
            of_many_claims_at_once_one_is_fresh,
            an_answer_is_forgotten_after_a_day,
        );
        $crate::clauses!(last_use, $fresh;
            of_two_uses_of_a_key_the_later_stays,
            the_uses_of_an_org_are_its_own,
        );
    };
}
