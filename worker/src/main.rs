//! `etl-worker`: does one shard of a work order.

use std::io::IsTerminal;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use etl_contract::{SHARD_ENV, WORK_ORDER_ENV, WorkOrder};
use etl_worker::process::{Process, loggable};
use etl_worker::{Error, report};
use tokio::time::Instant;
use tracing_subscriber::EnvFilter;

/// Converts parquet objects to JSON objects: one shard of a work order.
///
/// The order comes from --order or the environment variable ETL_WORK_ORDER. The
/// report goes to the termination log, the log to standard error; the exit code
/// names the category of a failure.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// File with the work order, instead of the environment variable.
    #[arg(long, value_name = "FILE")]
    order: Option<PathBuf>,
    /// Number of the shard, from 0.
    #[arg(long, env = SHARD_ENV, default_value_t = 0)]
    shard: u32,
    /// File that the run report is written to [default: /dev/termination-log,
    /// if it exists].
    #[arg(long, env = "ETL_TERMINATION_LOG", value_name = "FILE")]
    termination_log: Option<PathBuf>,
    /// Workers at once on this machine: each uses its part of the memory that is
    /// found.
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    memory_shares: NonZero<u64>,
    /// Print progress to standard output, one JSON object per line.
    #[arg(long)]
    progress: bool,
    /// Which log lines are written, for example "debug" or
    /// "info,etl_worker=trace".
    #[arg(
        long,
        env = "ETL_LOG",
        default_value = "info,aws_config=error,aws_smithy_runtime=warn",
        value_name = "FILTER"
    )]
    log: String,
    /// Form of the log.
    #[arg(long, env = "ETL_LOG_FORMAT", value_enum, default_value_t = LogFormat::Auto)]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

fn main() -> ExitCode {
    let started = Instant::now();
    let args = Args::parse();
    start_log(&args);
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let message = loggable(etl_engine::handles_values(), panic.payload());
        tracing::error!(place, message, "A thread panicked.");
    }));

    let order = read_order(args.order.as_deref());
    let (order, outcome) = match order {
        Ok(order) => {
            let process = Process {
                order: order.clone(),
                shard: args.shard,
                memory_shares: args.memory_shares,
                started,
                print_progress: args.progress,
            };
            (Some(order), process.run())
        }
        Err(error) => (None, Err(error)),
    };
    match &outcome {
        Ok(outcome) => tracing::info!(?outcome, "The shard ends."),
        Err(error) => {
            let failure = error.failure();
            tracing::error!(
                category = %failure.category,
                object = failure.object,
                hint = failure.hint,
                error = failure.message,
                "The shard fails."
            );
        }
    }
    let report = report::report(order.as_ref(), args.shard, outcome.as_ref().cloned());
    let default = Some(PathBuf::from(report::TERMINATION_LOG)).filter(|path| path.exists());
    if let Some(path) = args.termination_log.or(default)
        && let Err(error) = report::write(&report, &path)
    {
        tracing::error!(path = %path.display(), %error, "The run report cannot be written.");
    }
    ExitCode::from(report::exit_code(&report))
}

fn read_order(file: Option<&Path>) -> Result<WorkOrder, Error> {
    let text = match file {
        Some(file) => std::fs::read_to_string(file).map_err(|error| {
            Error::Internal(format!(
                "the work order {} cannot be read: {error}",
                file.display()
            ))
        })?,
        None => std::env::var(WORK_ORDER_ENV).map_err(|_| {
            Error::Internal(format!(
                "there is no work order: use --order, or set {WORK_ORDER_ENV}"
            ))
        })?,
    };
    Ok(WorkOrder::from_json(&text)?)
}

fn start_log(args: &Args) {
    let filter = EnvFilter::try_new(&args.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let terminal = std::io::stderr().is_terminal();
    let json = match args.log_format {
        LogFormat::Auto => !terminal,
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    if json {
        log.json().flatten_event(true).init();
    } else {
        log.with_ansi(terminal).with_target(false).init();
    }
}
