//! The promises that the commit protocol needs, asked of the store itself.

use std::sync::Arc;

use anyhow::{Context, Result};
use etl_tests::Tenant;
use etl_worker::store::s3::S3Store;
use etl_worker::store::{Store, conformance};

/// Preconditions, pinned reads, listings, uploads and races.
pub(crate) async fn the_store_keeps_every_promise(tenant: &Tenant<'_>) -> Result<()> {
    let client = tenant.lab().s3().clone();
    let store: Arc<dyn Store> = Arc::new(S3Store::with_client(
        client,
        tenant.bucket(),
        "scratch/",
        None,
    ));
    let kept = conformance::check(&store, "").await;
    kept.context("the store breaks a promise")
}
