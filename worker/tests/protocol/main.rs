//! The commit protocol over stores that fail, race and lie about what happened.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;
mod crashes;
mod fault;
mod intercept;
mod limits;
mod memory;
mod outcomes;
mod parts;
mod races;
mod rejects;
mod skips;

use std::sync::Arc;

use etl_worker::store::{Store, conformance};

#[tokio::test(flavor = "multi_thread")]
async fn the_store_of_these_tests_keeps_the_promises_of_a_store() {
    let store: Arc<dyn Store> = Arc::new(memory::MemoryStore::new("m"));
    conformance::check(&store, "p/").await.unwrap();
    conformance::completing_races(&store, "c/").await.unwrap();
}
