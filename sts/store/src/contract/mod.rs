//! The contract of [`Ledger`] as a test suite, and samples for tests of a ledger.
//!
//! The tests of a store name a function that makes a [`Rig`] around a fresh, empty ledger, and pass
//! it to [`crate::contract_tests!`]. A store that ends claims by our clock, not by a server's, also
//! runs [`crate::clock_tests!`].

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a suite of assertions: a failure is to end the test"
)]

mod attacks;
mod behaviour;
mod objects;
mod placed;
mod refusals;
mod samples;
mod sessions;

pub use attacks::{ATTACKS, OBJECT_ATTACKS, assert_all_attacks, assert_all_object_attacks};
pub use behaviour::*;
pub use objects::*;
pub use placed::{Placed, jti_in_shard};
pub use refusals::*;
pub use samples::{
    AlertLog, ManualClock, START, TestSeal, claim, federated, in_version_1, record, replayed, revocation, rule,
};
pub use sessions::*;

use std::any::Any;
use std::sync::Arc;

use crate::Ledger;

/// A fresh, empty ledger and its clock.
pub struct Rig {
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
    /// Its clock, at [`START`].
    pub clock: Arc<ManualClock>,
    /// Anything that must live as long as the ledger: a directory, a server.
    pub keep: Box<dyn Any + Send>,
}

impl std::fmt::Debug for Rig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rig").finish_non_exhaustive()
    }
}

/// Runs the whole contract on the ledger that `$make` makes (`async fn() -> Rig`).
#[macro_export]
macro_rules! contract_tests {
    ($make:path) => {
        $crate::behaviours! { $make:
            a_record_is_read_as_it_was_written
            a_jti_is_one_exact_text
            c146_a_second_record_of_a_jti_is_refused_and_spends_no_claim
            c057_of_many_issues_that_take_one_claim_exactly_one_is_recorded
            dp1_of_many_that_take_a_claim_without_a_record_exactly_one_has_it
            dp1_a_claim_without_a_record_is_one_with_those_of_records
            dp1_a_claim_without_a_record_stands_to_its_last_second_and_through_sweeps
            several_records_are_looked_up_at_once_in_the_order_asked_for
            c058_a_claim_stands_to_its_last_second
            c059_claims_of_different_keys_do_not_meet
            c059_of_several_claims_one_that_is_taken_leaves_the_others_free_and_nothing_recorded
            c059_several_claims_are_taken_together_and_one_key_is_one_claim
            fld42_a_claim_tells_which_exchange_took_it
            a_token_is_revoked_by_its_jti_alone
            the_first_revocation_of_a_token_stands
            a_revocation_lasts_as_long_as_the_longest_asked_for
            a_revocation_may_come_before_its_record
            rules_are_answered_oldest_first_until_their_time_has_passed
            the_last_end_is_that_of_the_record_that_dies_last
            a_listing_is_newest_first_in_pages
            a_listing_keeps_to_its_account
            a_dead_record_is_not_answered
            a_sweep_forgets_what_is_dead_and_nothing_else
            a_sweep_at_the_last_second_forgets_no_revocation
            no_index_is_leased_twice
            a_sweep_forgets_the_leases_of_dead_windows_alone
            every_revocation_raises_the_number
            f3_a_rule_covers_what_was_recorded_before_it_whatever_the_clocks_say_and_nothing_later
            f3_a_rule_with_a_moment_goes_by_the_time_of_issue
            f3_fld41_a_rule_can_be_taken_back_and_made_again
            f3_a_rule_that_is_made_again_is_the_same_rule_and_covers_what_came_since
            f3_rules_and_records_at_once_have_one_order
            an_empty_ledger_is_ready_and_holds_nothing
        }
    };
}

/// Runs the tests of a ledger that is one whole.
#[macro_export]
macro_rules! whole_ledger_tests {
    ($make:path) => {
        $crate::behaviours! { $make:
            leased_indexes_have_no_gap
        }
    };
}

/// Runs the tests of claims that end by our clock.
#[macro_export]
macro_rules! clock_tests {
    ($make:path) => {
        $crate::behaviours! { $make:
            c058_a_claim_may_be_taken_again_once_its_time_has_passed
            fld42_a_claim_that_was_taken_again_tells_the_latest_exchange
            dp1_a_claim_without_a_record_may_be_taken_again_once_its_time_has_passed
            a_sweep_leaves_a_claim_that_was_taken_again
            c142_a_clock_that_jumps_ends_no_revocation_rule_and_no_claim_for_good
        }
    };
}

/// One test for each named function of [`mod@crate::contract`].
#[doc(hidden)]
#[macro_export]
macro_rules! behaviours {
    ($make:path: $($name:ident)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                $crate::contract::$name(&$make().await).await;
            }
        )*
    };
}
