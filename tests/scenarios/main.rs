//! The product on a real cluster with real stores: one file per subject, one
//! function per scenario, each with a namespace and a bucket of its own.
//!
//! Scenarios that touch only what is theirs run side by side; those that stop a
//! store, kill the operator or lose a node have the lab for themselves
//! afterwards. The arguments are those of any other test program:
//!
//! ```sh
//! cargo test -p etl-tests -- bad_input      # only these
//! cargo test -p etl-tests -- --list
//! ```

mod admission;
mod bad_input;
mod changes;
mod collisions;
mod credentials;
mod deadline;
mod evicted;
mod faults;
mod finished;
mod first_steps;
mod formats;
mod invariants;
mod job_deleted;
mod leader;
mod ledger_outage;
mod ledger_repair;
mod left_out;
mod namespace_deleted;
mod node_lost;
mod operator_killed;
mod out_of_memory;
mod prefix;
mod reader;
mod readme;
mod real_files;
mod s3_outage;
mod start_timeout;
mod store_conformance;
mod worker_killed;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Error, Result};
use etl_tests::Lab;
use libtest_mimic::{Arguments, Conclusion, Failed, Trial};

/// Scenarios at a time, as long as they do not disturb each other.
const SIDE_BY_SIDE: usize = 3;

/// A scenario by its name, ready to be run in a tenant of its own.
struct Scenario {
    name: &'static str,
    run: fn(&Lab, &str) -> Result<()>,
}

/// `scenario!(file::function)`, where the function is `async fn(&Tenant<'_>)`.
macro_rules! scenario {
    ($file:ident :: $function:ident) => {
        Scenario {
            name: concat!(stringify!($file), "::", stringify!($function)),
            run: |lab, tenant| lab.block_on(lab.with_tenant(tenant, $file::$function)),
        }
    };
}

/// Scenarios that touch nothing but their own namespace and bucket.
fn side_by_side() -> Vec<Scenario> {
    vec![
        scenario!(admission::what_cannot_work_is_refused_with_the_reason),
        scenario!(admission::defaults_are_filled_in),
        scenario!(admission::what_was_decided_stays),
        scenario!(admission::fields_explain_themselves),
        scenario!(admission::examples_are_accepted),
        scenario!(changes::a_run_id_begins_another_run),
        scenario!(changes::other_work_replaces_the_run_under_way),
        scenario!(changes::a_suspended_run_goes_on_when_it_is_resumed),
        scenario!(changes::a_cancelled_run_is_failed_and_its_record_kept),
        scenario!(first_steps::the_first_example_completes),
        scenario!(first_steps::the_installation_on_eks_is_accepted),
        scenario!(first_steps::the_chart_gives_least_power),
        scenario!(store_conformance::the_store_keeps_every_promise),
        scenario!(real_files::samples_become_equal_json),
        scenario!(real_files::a_success_costs_four_writes_and_two_events),
        scenario!(bad_input::a_truncated_file_fails_at_once_and_is_named),
        scenario!(bad_input::a_file_of_another_kind_is_named),
        scenario!(bad_input::a_source_that_is_not_there_is_named),
        scenario!(credentials::wrong_keys_are_retried_by_the_own_backoff),
        scenario!(credentials::mended_keys_end_the_trouble),
        scenario!(formats::every_form_reads_back),
        scenario!(formats::a_nan_can_be_refused),
        scenario!(formats::the_object_carries_its_attributes),
        scenario!(collisions::two_inputs_on_one_key_are_refused),
        scenario!(collisions::one_output_is_never_complete_for_two),
        scenario!(collisions::a_recreated_job_has_the_new_rows),
        scenario!(collisions::a_job_recreated_in_the_middle_has_the_new_rows),
        scenario!(left_out::bad_objects_and_rows_are_left_out_and_told),
        scenario!(left_out::one_bad_object_too_many_fails_the_run),
        scenario!(prefix::forty_objects_become_one_result),
        scenario!(prefix::a_shard_that_fails_twice_is_finished),
        scenario!(deadline::a_worker_that_wakes_after_its_deadline_commits_nothing),
        scenario!(evicted::an_evicted_pod_is_replaced_and_not_charged),
        scenario!(job_deleted::a_job_deleted_by_kubectl_is_a_lost_attempt),
        scenario!(job_deleted::a_job_deleted_with_its_pods_is_a_lost_attempt),
        scenario!(namespace_deleted::a_namespace_goes_at_once_and_the_ledger_closes_the_run),
        scenario!(out_of_memory::memory_raised_between_attempts_is_used_by_the_next),
        scenario!(out_of_memory::a_file_that_cannot_fit_is_refused_with_the_amount),
        scenario!(start_timeout::what_keeps_a_pod_from_starting_is_told),
        scenario!(worker_killed::the_work_of_a_killed_worker_is_done_again),
    ]
}

/// Scenarios that hurt what the others need.
fn alone() -> Vec<Scenario> {
    vec![
        scenario!(real_files::a_restart_writes_nothing_about_what_is_idle),
        scenario!(finished::nothing_starts_a_finished_run_again),
        scenario!(leader::a_frozen_leader_is_replaced_and_harmless_when_it_wakes_up),
        scenario!(leader::a_leader_that_is_stopped_hands_over_at_once),
        scenario!(ledger_outage::a_newer_row_is_never_replaced),
        scenario!(ledger_outage::a_run_without_its_ledger_is_recorded_later),
        scenario!(ledger_outage::a_restart_during_an_outage_loses_no_row),
        scenario!(ledger_outage::dozens_of_runs_without_their_ledger_are_recorded_in_a_minute),
        scenario!(ledger_repair::the_next_operator_puts_right_what_happened_meanwhile),
        scenario!(node_lost::what_a_lost_node_had_committed_is_complete),
        scenario!(operator_killed::a_run_survives_its_operator_at_every_moment),
        scenario!(operator_killed::a_report_that_nobody_read_is_looked_up),
        scenario!(s3_outage::a_run_outlives_an_outage_of_the_store),
        scenario!(start_timeout::an_image_that_cannot_be_pulled_is_told),
    ]
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let phases = [
        (
            side_by_side as fn() -> Vec<Scenario>,
            arguments.test_threads.unwrap_or(SIDE_BY_SIDE),
        ),
        (alone, 1),
    ];
    let selected = |scenario: &Scenario| !arguments.is_filtered_out(&trial(scenario, None));
    let any = phases
        .iter()
        .any(|(scenarios, _)| scenarios().iter().any(selected));
    let lab = (any && !arguments.list)
        .then(|| Lab::start(&format!("scenarios-{}", std::process::id())))
        .transpose();
    let lab = match lab {
        Ok(lab) => lab.map(Arc::new),
        Err(error) => {
            eprintln!("the lab does not start: {error:?}");
            return ExitCode::FAILURE;
        }
    };
    let mut failed = false;
    for (scenarios, threads) in phases {
        let trials = scenarios().iter().map(|s| trial(s, lab.as_ref())).collect();
        failed |= run(&arguments, threads, trials).has_failed();
    }
    if let Some(lab) = lab.and_then(Arc::into_inner)
        && let Err(error) = lab.stop()
    {
        eprintln!("the lab does not stop: {error:?}");
        failed = true;
    }
    ExitCode::from(u8::from(failed) * 101)
}

fn run(arguments: &Arguments, threads: usize, trials: Vec<Trial>) -> Conclusion {
    let arguments = Arguments {
        test_threads: Some(threads),
        ..arguments.clone()
    };
    libtest_mimic::run(&arguments, trials)
}

/// Without a lab the trial can be listed and filtered, not run.
fn trial(scenario: &Scenario, lab: Option<&Arc<Lab>>) -> Trial {
    let (run, lab) = (scenario.run, lab.cloned());
    let tenant = scenario.name.replace("::", "-").replace('_', "-");
    Trial::test(scenario.name, move || {
        let lab = lab.ok_or("there is no lab")?;
        run(&lab, &tenant).map_err(|error| Failed::from(causes(&error)))
    })
}

fn causes(error: &Error) -> String {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    causes.join("\n  because: ")
}
