//! A ledger that takes every row and keeps none: what a store that is somebody
//! else's machine costs is not what is measured here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;
use tokio::net::TcpListener;

/// The rows that were written so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger(Arc<AtomicU64>);

impl Ledger {
    /// Answers on `address` as long as the runtime lives.
    pub(crate) async fn start(address: &str) -> Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}"))?;
        let ledger = Self::default();
        let router = Router::new()
            .route("/", post(write))
            .with_state(ledger.clone());
        // It ends with the runtime, and nobody waits for it.
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(ledger)
    }

    /// Rows written so far.
    pub(crate) fn rows(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Every request is the write of one row, and succeeds.
async fn write(
    State(ledger): State<Ledger>,
) -> ([(axum::http::HeaderName, &'static str); 1], &'static str) {
    ledger.0.fetch_add(1, Ordering::Relaxed);
    ([(CONTENT_TYPE, "application/x-amz-json-1.0")], "{}")
}
