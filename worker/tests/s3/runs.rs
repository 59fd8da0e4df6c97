//! Whole runs while the store fails: the result is there, once and whole.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use etl_contract::{Outcome, WorkOrder};
use etl_faulty_s3::{Fault, Operation, Rule, Server};
use etl_worker::budget::Budget;
use etl_worker::gate::Gate;
use etl_worker::progress::Progress;
use etl_worker::{Error, Worker};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::json;
use tokio::time::Instant;

use crate::{BUCKET, each, server, store_below};

/// Rows of a source whose output is written by one request.
const FEW: usize = 2;

/// Rows of a source whose output is written in two parts.
const MANY: usize = 17;

/// Bytes of a row.
const WIDTH: usize = 1 << 20;

/// A parquet file of long texts, not compressed, in two row groups.
fn texts(rows: usize) -> Bytes {
    let schema = Arc::new(parse_message_type("message m { required binary t (UTF8); }").unwrap());
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).unwrap();
    for half in [0..rows / 2, rows / 2..rows] {
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let values: Vec<ByteArray> = half
            .map(|row| ByteArray::from(vec![letter(row); WIDTH]))
            .collect();
        column
            .typed::<ByteArrayType>()
            .write_batch(&values, None, None)
            .unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.into_inner().unwrap().into()
}

fn letter(row: usize) -> u8 {
    b'a' + (row % 26) as u8
}

/// Whether an output has every row of [`texts`] once and in order.
fn is_whole(output: &[u8], rows: usize) -> bool {
    let mut lines = output.split_inclusive(|byte| *byte == b'\n');
    let mut first = lines.by_ref().take(rows).enumerate();
    let right = first.all(|(row, line)| {
        line.len() == WIDTH + "{\"t\":\"\"}\n".len()
            && line.starts_with(b"{\"t\":\"")
            && line[6..6 + WIDTH].iter().all(|byte| *byte == letter(row))
    });
    right && output.len() == rows * (WIDTH + 9)
}

fn order() -> WorkOrder {
    let order = json!({
        "version": 1,
        "job": {
            "cluster": "c", "namespace": "n", "name": "j", "uid": "u",
            "created": "2026-01-02T03:04:05Z", "owner": "c/n/EtlJob/j"
        },
        "run": {
            "number": 1, "workHash": "v1:0123456789abffff", "startTime": "2021-03-04T05:06:07Z"
        },
        // Not the first: so that what earlier ones left is looked for.
        "attempt": 2, "shards": 1, "mode": "Convert", "activeDeadlineSeconds": 600,
        "source": {"uri": "s3://b/raw/"},
        "output": {"uri": "s3://b/out/", "keyTemplate": "{stem}.json"}
    });
    WorkOrder::from_json(&order.to_string()).unwrap()
}

/// What can happen to a request once or twice.
const FAULTS: [Fault; 6] = [
    Fault::SLOW_DOWN,
    Fault::INTERNAL_ERROR,
    Fault::Reset,
    Fault::LostReply,
    Fault::RefuseAfterEffect(500, "InternalError"),
    Fault::BreakOff(1),
];

/// Does the work with the memory of a small pod.
async fn run(server: &Server) -> Result<Outcome, Error> {
    let (gate, closer) = Gate::new(Instant::now() + Duration::from_secs(600));
    let below = |prefix: &str| store_below(server, prefix);
    let worker = Worker {
        order: order(),
        shard: 0,
        source_name: String::new(),
        source: below("raw/"),
        output: below("out/"),
        gate,
        closer,
        budget: Budget::new(256 << 20, 2),
        progress: Arc::new(Progress::default()),
    };
    worker.run().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_outlives_any_one_fault_of_any_request() {
    for (operation, rows) in [
        (Operation::ListObjects, FEW),
        (Operation::HeadObject, FEW),
        (Operation::GetObject, FEW),
        (Operation::PutObject, FEW),
        (Operation::ListMultipartUploads, MANY),
        (Operation::CreateMultipartUpload, MANY),
        (Operation::UploadPart, MANY),
        (Operation::CompleteMultipartUpload, MANY),
    ] {
        let source = texts(rows);
        each(FAULTS, |fault| {
            let source = source.clone();
            async move {
                let server = server();
                server.insert(BUCKET, "raw/a.parquet", source);
                // Both of two parts, and any of the smaller requests.
                server.rule(Rule::on(operation).times(2, fault));
                let outcome = run(&server).await;
                let case = format!("{operation:?} {fault:?}");
                assert!(
                    matches!(outcome, Ok(Outcome::Complete { .. })),
                    "{case}: {outcome:?}"
                );
                let output = server.object(BUCKET, "out/a.json").unwrap();
                assert!(is_whole(&output, rows), "{case}: {} bytes", output.len());
                let unknown = match (operation, fault) {
                    // Nobody knows of an upload whose name was never told: the
                    // bucket's lifecycle rule does.
                    (
                        Operation::CreateMultipartUpload,
                        Fault::LostReply | Fault::RefuseAfterEffect(..) | Fault::BreakOff(_),
                    ) => 2,
                    _ => 0,
                };
                assert_eq!(server.uploads(BUCKET), unknown, "{case}");
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_outlives_a_store_that_fails_at_every_other_turn() {
    let source = texts(MANY);
    let faults = [Fault::SLOW_DOWN, Fault::INTERNAL_ERROR, Fault::Reset];
    each(faults, |fault| {
        let source = source.clone();
        async move {
            let server = server();
            server.insert(BUCKET, "raw/a.parquet", source);
            for operation in [
                Operation::ListObjects,
                Operation::HeadObject,
                Operation::GetObject,
                Operation::PutObject,
                Operation::CreateMultipartUpload,
                Operation::UploadPart,
                Operation::CompleteMultipartUpload,
            ] {
                server.rule(Rule::on(operation).every(2).always(fault));
            }
            let outcome = run(&server).await;
            assert!(
                matches!(outcome, Ok(Outcome::Complete { .. })),
                "{fault:?}: {outcome:?}"
            );
            let output = server.object(BUCKET, "out/a.json").unwrap();
            assert!(is_whole(&output, MANY), "{fault:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_always_arrives_damaged_gives_no_output() {
    let server = server();
    server.insert(BUCKET, "raw/a.parquet", texts(MANY));
    let get = Rule::on(Operation::GetObject).key("raw/a.parquet");
    server.rule(get.always(Fault::ShiftRange(1)));
    let error = run(&server).await.unwrap_err();
    assert_eq!(
        error.failure().category,
        etl_contract::Category::Unavailable
    );
    assert_eq!(server.object(BUCKET, "out/a.json"), None);
    assert_eq!(server.uploads(BUCKET), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_stays_away_is_called_unavailable_and_leaves_no_half_output() {
    let server = server();
    server.insert(BUCKET, "raw/a.parquet", texts(MANY));
    server.rule(
        Rule::on(Operation::UploadPart)
            .skip(1)
            .always(Fault::UNAVAILABLE),
    );
    let error = run(&server).await.unwrap_err();
    assert_eq!(
        error.failure().category,
        etl_contract::Category::Unavailable
    );
    assert_eq!(server.object(BUCKET, "out/a.json"), None);
    assert_eq!(server.uploads(BUCKET), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_fly_together_and_reads_run_ahead() {
    let server = server();
    server.insert(BUCKET, "raw/a.parquet", texts(MANY));
    run(&server).await.unwrap();
    let parts: Vec<_> = server
        .records_of(Operation::UploadPart)
        .into_iter()
        .map(|record| record.part.unwrap())
        .collect();
    assert_eq!(parts.len(), 2);
    // Few requests: the ends, and the rest in pieces of megabytes.
    let reads = server
        .records_of(Operation::GetObject)
        .into_iter()
        .filter(|record| record.key == "raw/a.parquet");
    let reads = reads.count();
    assert!(reads <= 4 + MANY / 2, "{reads} requests for {MANY} MiB");
}
