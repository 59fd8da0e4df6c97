//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// Runs EtlJob manifests on this machine: the same decisions and the same
/// worker as in a cluster, without a cluster.
///
/// On the PATH it is also `kubectl etl`.
#[derive(Debug, Parser)]
#[command(name = "kubectl-etl", version, arg_required_else_help = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the EtlJobs of the files, one after the other
    ///
    /// Exit codes: 0 all are Complete, 1 one Failed, 2 a manifest or the command
    /// line is wrong, 130 interrupted.
    Run(Run),
    /// Say everything that is wrong with the EtlJobs of the files
    ///
    /// Exit codes: 0 nothing, 2 something.
    Validate(Validate),
}

/// Which manifests.
#[derive(Clone, Debug, clap::Args)]
pub struct Manifests {
    /// File with EtlJobs, as YAML or JSON; `-` is the standard input. Can be
    /// given several times
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Namespace of manifests that name none [default: default]
    #[arg(short, long)]
    pub namespace: Option<String>,
}

/// `kubectl-etl run`.
#[derive(Debug, clap::Args)]
pub struct Run {
    #[command(flatten)]
    pub manifests: Manifests,
    /// Print the EtlJobs with their status in this form; progress stays on
    /// standard error
    #[arg(short, long, value_name = "FORM")]
    pub output: Option<Form>,
    /// The worker program [default: etl-worker beside this program, else on the
    /// PATH]
    #[arg(long, env = "ETL_WORKER", value_name = "PATH")]
    pub worker: Option<PathBuf>,
    /// What turns values into text; the outputs are the same
    #[arg(long, value_name = "NAME", value_enum, default_value_t = Encoder::Columnar)]
    pub encoder: Encoder,
    /// Endpoint of an S3 store that is not AWS [default: AWS_ENDPOINT_URL_S3 or
    /// AWS_ENDPOINT_URL]
    #[arg(long, value_name = "URL")]
    pub endpoint_url: Option<String>,
    /// Region of the buckets [default: AWS_REGION, else the profile's]
    #[arg(long)]
    pub region: Option<String>,
    /// File with one JSON object per run [default:
    /// $XDG_STATE_HOME/kubectl-etl/ledger.jsonl, below ~/.local/state if unset]
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
    /// Pass the workers' logs through to standard error
    #[arg(short, long)]
    pub verbose: bool,
}

/// `kubectl-etl validate`.
#[derive(Debug, clap::Args)]
pub struct Validate {
    #[command(flatten)]
    pub manifests: Manifests,
    /// Refuse also what only a local run accepts: file:// URIs
    #[arg(long)]
    pub cluster: bool,
}

/// What turns values into text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Encoder {
    /// The worker's own, column by column.
    Columnar,
    /// arrow-json, value by value: slower, to check the other against.
    Reference,
}

impl From<Encoder> for etl_contract::Encoder {
    fn from(encoder: Encoder) -> Self {
        match encoder {
            Encoder::Columnar => etl_contract::Encoder::Columnar,
            Encoder::Reference => etl_contract::Encoder::Reference,
        }
    }
}

/// Form of printed EtlJobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// One JSON document.
    Json,
    /// One YAML document.
    Yaml,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn files_can_be_given_several_times() {
        let args = Args::try_parse_from(["kubectl-etl", "run", "-f", "a", "--filename=-"]).unwrap();
        let Command::Run(run) = args.command else {
            panic!("not run")
        };
        assert_eq!(
            run.manifests.files,
            [PathBuf::from("a"), PathBuf::from("-")]
        );
        assert!(Args::try_parse_from(["kubectl-etl", "run"]).is_err());
    }
}
