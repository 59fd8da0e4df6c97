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

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
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
    vec![]
}

/// Scenarios that hurt what the others need.
fn alone() -> Vec<Scenario> {
    vec![]
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
        run(&lab, &tenant).map_err(|error| Failed::from(format!("{error:?}")))
    })
}
