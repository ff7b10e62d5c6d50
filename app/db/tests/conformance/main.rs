//! What the store promises, shown on both engines.
//!
//! Every case is a function of an empty, migrated [`Database`]. On SQLite each is a test of its own; on MariaDB all run
//! one after the other against one server, which the test starts on a temporary folder and ends: one test, so that
//! a runner with a process a test starts one server. Without `mariadbd` that test says so and shows nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says on standard error what it leaves out"
)]

mod accounts;
mod api_tokens;
mod credentials;
mod engine;
mod evidence;
mod fleet;
mod lines;
mod retention;
mod schema;
mod search;
mod second_factor;
mod sessions;
mod tasks;
mod texts;
mod traversal;

use std::pin::Pin;

use engine::{Database, Maria};

/// In a box, because one future of all cases would be larger than a test's stack.
type Case = for<'a> fn(&'a Database) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

macro_rules! cases {
    ($($module:ident :: $case:ident),* $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $case() {
                crate::engine::run(async {
                    let database = crate::Database::sqlite().await;
                    crate::$module::$case(&database).await;
                });
            })*
        }

        const CASES: &[(&str, Case)] = &[$((stringify!($case), |database| Box::pin($module::$case(database)))),*];
    };
}

cases![
    schema::four_servers_may_migrate_at_once,
    schema::a_newer_a_foreign_and_an_empty_schema_are_refused_by_name,
    schema::a_migrated_schema_is_accepted_and_migrating_again_does_nothing,
    accounts::a_user_comes_back_as_it_was_made,
    accounts::a_name_is_taken_once,
    accounts::of_eight_servers_that_start_at_once_one_makes_the_first_account,
    accounts::the_first_password_is_the_configured_one_until_anybody_gives_another,
    accounts::the_last_admin_stays_under_a_race,
    accounts::ended_tokens_stay_ended_until_they_expire,
    accounts::the_audit_log_takes_no_change_and_pages_newest_first,
    accounts::the_audit_log_is_found_by_who_what_on_what_and_when,
    accounts::settings_are_kept,
    api_tokens::an_api_token_comes_back_by_its_digest_with_its_owner,
    api_tokens::the_use_of_an_api_token_is_noted_once_a_minute,
    api_tokens::api_tokens_end_with_their_owner_and_stay_with_the_last_admin,
    second_factor::a_second_factor_counts_once_confirmed_and_each_step_once,
    second_factor::a_recovery_code_is_used_once_and_everything_goes_with_its_owner,
    sessions::open_sessions_are_listed_and_ended_one_by_one_or_all_others,
    sessions::a_change_of_the_user_and_time_end_sessions_without_a_list,
    accounts::numbers_among_the_settings_are_typed_and_can_be_left_alone_again,
    accounts::ignore_rules_are_changed_by_two_at_once_and_none_is_lost,
    retention::old_rows_go_step_by_step_and_counters_stay,
    retention::ids_do_not_come_back_after_everything_was_deleted,
    credentials::reuse_is_counted_as_a_scan_would_however_it_is_cut_into_steps,
    credentials::a_find_leads_to_where_its_secret_was_used_again,
    credentials::lists_for_crackers_have_each_line_once,
    fleet::a_decky_is_wanted_observed_dismissed_and_forgotten,
    fleet::a_decky_is_stopped_and_started_whatever_else_is_wanted_of_it,
    fleet::an_address_belongs_to_one_decky_and_a_refused_batch_changes_nothing,
    fleet::of_two_deployments_settled_beside_the_same_fleet_one_is_refused_whole,
    fleet::a_change_made_from_what_is_wanted_no_more_is_refused_and_told_by_nobody,
    fleet::a_lease_has_one_holder,
    fleet::a_task_is_followed_from_its_start_to_its_end,
    tasks::what_thousands_of_deckies_make_of_a_task_is_kept,
    fleet::heartbeats_show_who_is_heard_stale_and_unknown,
    evidence::what_an_attacker_sends_comes_back_byte_by_byte,
    evidence::counters_equal_a_recount_of_the_stored_rows,
    evidence::a_batch_from_elsewhere_changes_nothing,
    evidence::two_ingesters_at_once_double_nothing,
    evidence::a_refused_line_is_told_from_a_database_that_is_gone,
    evidence::the_quarantine_keeps_every_byte_and_pages_newest_first,
    evidence::the_quarantine_is_filtered_by_what_is_told_of_a_line_by_its_segment_and_by_time,
    evidence::pages_are_stable_while_rows_are_added,
    evidence::filters_agree_with_a_scan,
    evidence::visits_go_from_their_first_row_to_their_last,
    evidence::what_the_fleet_changed_is_told_of_the_deckies_asked_for,
    evidence::attackers_are_listed_by_recency_and_found_by_what_they_touched,
    evidence::attackers_are_listed_in_every_order_and_its_reverse,
    evidence::finds_are_listed_in_every_order_and_its_reverse,
    evidence::a_find_tells_how_often_it_let_somebody_in,
    evidence::open_sessions_are_those_that_began_and_did_not_end,
    evidence::a_span_of_time_has_who_was_seen_in_it_and_what_they_left,
    evidence::a_time_in_the_future_stays_in_its_row_and_puts_nobody_first,
    evidence::cancelled_calls_leave_nothing_behind,
    evidence::profiling_anew_gives_the_same,
    evidence::clearing_evidence_leaves_none_and_starts_over,
    traversal::a_way_is_the_order_in_which_sessions_begin,
    traversal::the_mark_of_somebody_keeps_what_was_told_first_however_the_rows_are_cut,
    search::what_is_indexed_is_found_in_one_page_however_old_it_is,
    search::words_that_an_index_could_take_for_its_own_are_texts,
    search::rows_that_are_indexed_and_deleted_at_once_leave_none_in_the_index,
    search::an_index_is_made_anew_where_more_is_deleted_than_left,
    search::a_search_finds_the_same_with_and_without_the_index,
    search::a_search_without_matches_ends,
    search::attackers_are_found_and_ordered_as_a_page_says_by_itself,
    search::rows_of_a_text_a_type_and_a_source_are_counted_by_time,
    search::rows_of_two_filters_are_read_as_far_as_a_page_may_and_none_is_lost,
    search::a_count_by_text_reads_the_newest_rows_and_leaves_out_what_is_before,
    texts::finds_are_found_by_their_texts_however_many_are_indexed,
    texts::a_find_of_long_ago_is_found_in_one_page_once_it_is_indexed,
    texts::an_entry_of_long_ago_is_found_in_one_page_once_it_is_indexed,
    texts::attackers_of_long_ago_are_found_in_one_page_by_whatever_tells_few,
];

async fn all_on(maria: &Maria) {
    for (name, case) in CASES {
        eprintln!("mariadb: {name}");
        let database = maria.database().await;
        case(&database).await;
        database.store.close().await;
    }
}

#[test]
fn every_case_holds_on_mariadb() {
    engine::run(async {
        let Some(maria) = Maria::start(&[]) else {
            return;
        };
        all_on(&maria).await;

        // Last, because the server does not come back.
        let mut database = maria.database().await;
        database.options.acquire_timeout = std::time::Duration::from_millis(500);
        let store = decnet_db::Store::connect(&database.options).await.unwrap();
        store.ping().await.unwrap();
        drop(maria);
        for _ in 0..2 {
            let gone = store.ping().await.unwrap_err();
            assert!(gone.is_unreachable() && !gone.is_refusal(), "{gone:?}");
        }
    });
}

#[test]
fn a_server_whose_index_would_leave_out_the_words_of_the_search_is_refused_by_its_setting() {
    engine::run(async {
        let Some(maria) = Maria::start(&["--innodb-ft-min-token-size=8"]) else {
            return;
        };
        let store = decnet_db::Store::connect(&maria.empty().await).await.unwrap();
        let error = store.migrate().await.unwrap_err();
        assert!(error.is_schema(), "{error:?}");
        let text = error.to_string();
        assert!(
            text.contains("innodb_ft_min_token_size = 8") && text.contains("at most 4"),
            "{text}"
        );
        assert!(matches!(
            store.check_schema().await.unwrap_err(),
            decnet_db::DbError::SchemaMissing
        ));
    });
}

#[test]
fn an_unreachable_database_is_told_after_five_attempts() {
    engine::run(async {
        // Nothing listens on port 1 of this loopback address.
        let mut options = decnet_db::Options::new("mysql://nobody:secret@127.77.0.1:1/decnet");
        options.acquire_timeout = std::time::Duration::from_millis(200);
        let Err(error) = decnet_db::Store::connect(&options).await else {
            panic!("there is no such server");
        };
        let text = error.to_string();
        assert!(
            text.contains("5 attempts") && text.contains("127.77.0.1"),
            "{text}"
        );
        assert!(!text.contains("secret"), "{text}");
    });
}

#[test]
fn the_file_of_a_database_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    engine::run(async {
        let database = Database::sqlite().await;
        for entry in std::fs::read_dir(database.folder()).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{:?} has mode {mode:o}", entry.path());
        }
    });
}
