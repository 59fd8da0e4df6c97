//! Checks whether a store keeps the promises that the commit protocol needs:
//!
//! ```sh
//! cargo run -p etl-worker --example conformance -- s3://bucket/scratch/ [ENDPOINT]
//! ```
//!
//! The prefix must be empty; the objects written below it stay there.

use std::process::ExitCode;

use etl_contract::Storage;
use etl_worker::store::conformance::Violation;
use etl_worker::store::{self, conformance};
use etl_worker::uri::Location;

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(uri) = arguments.next() else {
        eprintln!("usage: conformance URI [ENDPOINT]");
        return ExitCode::FAILURE;
    };
    let storage = Storage {
        endpoint_url: arguments.next(),
        ..Storage::default()
    };
    match check(&uri, &storage).await {
        Ok(None) => {
            println!("{uri} keeps every promise");
            ExitCode::SUCCESS
        }
        Ok(Some(violation)) => {
            println!("{uri} keeps every promise but one: {violation}");
            println!("Do not let different EtlJobs write the same keys above 16 MiB there.");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The one promise that can be done without, if it is not kept.
async fn check(
    uri: &str,
    storage: &Storage,
) -> Result<Option<Violation>, Box<dyn std::error::Error>> {
    let root = Location::parse_folder(uri)?;
    let store = store::open(&root, storage).await?;
    conformance::check(&store, "").await?;
    Ok(conformance::completing_races(&store, "completing/")
        .await
        .err())
}
