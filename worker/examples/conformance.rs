//! Checks whether a store keeps the promises that the commit protocol needs:
//!
//! ```sh
//! cargo run -p etl-worker --example conformance -- s3://bucket/scratch/ [ENDPOINT]
//! ```
//!
//! The prefix must be empty; the objects written below it stay there.

use std::process::ExitCode;

use etl_contract::Storage;
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
        Ok(()) => {
            println!("{uri} keeps every promise");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn check(uri: &str, storage: &Storage) -> Result<(), Box<dyn std::error::Error>> {
    let root = Location::parse_folder(uri)?;
    let store = store::open(&root, storage).await?;
    conformance::check(&store, "").await?;
    Ok(())
}
