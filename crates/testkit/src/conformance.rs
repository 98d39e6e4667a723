//! The conformance suite: what every database behind the ports does, the fake and the real ones alike.
//!
//! Each case is an async function over a [`Site`]: one fresh database, its least admin, and the means to act
//! there as an application, a migration or a person. [`conformance_cases!`](crate::conformance_cases) lists
//! the cases to a macro of the caller's, which makes one test of each, so that names show.
//!
//! What only one server can do (rename a database, keep a log) is not here, but with its backend.

#![expect(
    clippy::unwrap_used,
    reason = "a case that cannot go on fails its test, which is its use"
)]

mod claims;
mod faults;
mod grants;
mod logins;
mod looks;
mod migrators;
mod readers;
mod site;
mod stage;

pub use claims::*;
pub use faults::*;
pub use grants::*;
pub use logins::*;
pub use looks::*;
pub use migrators::*;
pub use readers::*;
pub use site::{Client, Nature, OpenRefused, Site};
pub use stage::Stage;

/// Calls the macro `$with` with the names of all cases: `$with! { case ... }`. Each name is that of a
/// function in [`conformance`](crate::conformance) which takes a `&dyn Site`.
#[macro_export]
macro_rules! conformance_cases {
    ($with:ident) => {
        $with! {
            an_empty_database_is_seen_as_empty
            the_version_table_alone_is_no_table
            a_tools_own_tables_are_no_tables
            several_heads_are_seen
            table_facts_tell_missing_from_present
            table_facts_describe_what_a_migration_made
            table_facts_are_had_without_any_right_on_the_server
            the_catalogue_lists_what_tables_can_be_asked_for
            a_claim_is_seen_by_its_owner_and_by_others
            a_second_owner_is_refused
            a_claim_is_taken_over_with_all_its_names
            two_owners_on_one_server_do_not_meet
            a_foreign_role_in_the_way_is_named
            writes_under_another_claim_are_refused
            roles_are_made_ready_and_stay_so
            grants_reach_tables_and_sequences
            grants_reach_what_is_made_later
            grants_follow_the_privileges
            grants_follow_the_schemas
            the_version_table_is_not_writable
            a_tools_own_tables_are_not_writable
            a_grant_lost_by_hand_is_seen_and_given_again
            a_login_is_made_and_proven
            a_login_keeps_its_name_and_changes_its_password
            two_logins_of_a_credential_take_turns
            a_locked_login_lets_nobody_in_and_throws_nobody_out
            a_locked_login_stays_locked
            sessions_are_seen_by_login
            a_dropped_login_leaves_what_it_owned
            a_login_that_owns_elsewhere_is_not_dropped
            a_foreign_login_is_never_touched
            the_migrator_opens_and_closes
            what_the_migrator_makes_belongs_to_the_owner
            a_reader_is_made_and_made_again
            a_reader_may_read_and_nothing_else
            the_advisory_lock_has_one_holder
            the_advisory_lock_ends_with_its_connection
            a_missing_privilege_is_named_before_any_write
            an_unreachable_server_is_no_refusal
            a_wrong_admin_password_is_a_refusal
            a_database_that_is_not_there_is_named
        }
    };
}
