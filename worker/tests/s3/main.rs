//! The S3 adapter against a server that is late, slow, faulty and lying.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ahead;
mod reads;
mod runs;
mod writes;

use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use etl_contract::Storage;
use etl_faulty_s3::{Profile, Server};
use etl_worker::store::s3::S3Store;
use etl_worker::store::{Store, conformance};

/// The bucket of all tests.
const BUCKET: &str = "b";

fn server() -> Server {
    let server = Server::start(Profile::default()).unwrap();
    server.create_bucket(BUCKET);
    server
}

/// The adapter as the product sets it up.
fn store(server: &Server) -> Arc<dyn Store> {
    store_below(server, "")
}

fn store_below(server: &Server, prefix: &str) -> Arc<dyn Store> {
    let credentials = Credentials::new("key", "secret", None, None, "test");
    let storage = Storage {
        endpoint_url: Some(server.endpoint()),
        region: Some("us-east-1".to_owned()),
        ..Storage::default()
    };
    let credentials = SharedCredentialsProvider::new(credentials);
    Arc::new(S3Store::with_credentials(
        credentials,
        BUCKET,
        prefix,
        &storage,
    ))
}

/// Runs a case for each of `cases`, all at once: most of them wait.
async fn each<T, F>(cases: impl IntoIterator<Item = T>, case: impl Fn(T) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let cases: Vec<_> = cases.into_iter().map(|it| tokio::spawn(case(it))).collect();
    for case in cases {
        case.await.unwrap();
    }
}

/// `length` bytes that repeat nothing within any range.
fn noise(length: usize) -> bytes::Bytes {
    let mut state = 1_u64;
    (0..length)
        .map(|_| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 56) as u8
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_of_these_tests_keeps_the_promises_of_a_store() {
    let server = server();
    let store = store(&server);
    conformance::check(&store, "p/").await.unwrap();
    conformance::completing_races(&store, "c/").await.unwrap();
    assert_eq!(server.uploads(BUCKET), 0);
}
