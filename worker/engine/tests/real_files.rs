//! The sample files, against what DuckDB says about them.

#![allow(clippy::unwrap_used, reason = "a broken fixture should stop the test")]

mod support;

use bytes::Bytes;
use serde_json::Value;
use support::{failure, lines};

fn sample(name: &str) -> Bytes {
    let path = format!("{}/../../tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap().into()
}

fn rows(lines: &[String]) -> Vec<Value> {
    lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Sums cents, because the sum of floats depends on their order.
fn hundredths(rows: &[Value], column: &str) -> i64 {
    rows.iter()
        .map(|row| (row[column].as_f64().unwrap() * 100.0).round() as i64)
        .sum()
}

fn integers(rows: &[Value], column: &str) -> i64 {
    rows.iter().map(|row| row[column].as_i64().unwrap()).sum()
}

#[test]
fn the_yellow_sample() {
    let lines = lines(sample("yellow_tripdata_2021-01.first-22k.parquet"));
    assert_eq!(
        lines[0],
        concat!(
            r#"{"VendorID":1,"tpep_pickup_datetime":"2021-01-01T00:30:10.000Z","#,
            r#""tpep_dropoff_datetime":"2021-01-01T00:36:12.000Z","passenger_count":1.0,"#,
            r#""trip_distance":2.1,"RatecodeID":1.0,"store_and_fwd_flag":"N","PULocationID":142,"#,
            r#""DOLocationID":43,"payment_type":2,"fare_amount":8.0,"extra":3.0,"mta_tax":0.5,"#,
            r#""tip_amount":0.0,"tolls_amount":0.0,"improvement_surcharge":0.3,"#,
            r#""total_amount":11.8,"congestion_surcharge":2.5}"#,
        )
    );
    let rows = rows(&lines);
    assert_eq!(rows.len(), 22_791);
    assert_eq!(integers(&rows, "PULocationID"), 3_637_088);
    assert_eq!(hundredths(&rows, "total_amount"), 40_208_093);
    let with = |column: &str| rows.iter().filter(|row| row.get(column).is_some()).count();
    assert_eq!((with("passenger_count"), with("airport_fee")), (22_791, 0));
}

#[test]
fn the_green_sample() {
    let rows = rows(&lines(sample("green_tripdata_2022-01.parquet")));
    assert_eq!(rows.len(), 62_495);
    assert_eq!(integers(&rows, "PULocationID"), 6_100_452);
    assert_eq!(integers(&rows, "DOLocationID"), 8_497_439);
    assert_eq!(hundredths(&rows, "trip_distance"), 485_952_573);
}

#[test]
fn the_interrupted_download_is_named_as_one() {
    let error = failure(sample("yellow_tripdata_2021-01.truncated-download.parquet"));
    assert_eq!(
        error.to_string(),
        "file ends at byte 1918543; footer magic missing: truncated upload?"
    );
}
