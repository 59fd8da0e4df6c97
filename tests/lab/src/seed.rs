//! Putting the first things into the stores, without a client library.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::controlplane::inside;
use crate::net::http_post;
use crate::process::run;
use crate::site::Site;

/// The name of the ledger's table.
pub const LEDGER_TABLE: &str = "etl-jobs";

const BUCKET: &str = "
import os, sys
from pyarrow import fs
s3 = fs.S3FileSystem(endpoint_override=sys.argv[1], scheme='http', region='us-east-1',
                     access_key=os.environ['AWS_ACCESS_KEY_ID'],
                     secret_key=os.environ['AWS_SECRET_ACCESS_KEY'],
                     allow_bucket_creation=True)
s3.create_dir(sys.argv[2])
if len(sys.argv) > 3:
    with open(sys.argv[4], 'rb') as source, s3.open_output_stream(sys.argv[2] + '/' + sys.argv[3]) as sink:
        sink.write(source.read())
";

impl Site {
    /// Creates the ledger's table with its three indexes; nothing if it exists.
    ///
    /// # Errors
    /// What DynamoDB Local says.
    pub fn create_ledger_table(&self) -> Result<()> {
        // DynamoDB Local wants a signature to be there, and looks no further.
        let headers = [
            ("Content-Type", "application/x-amz-json-1.0"),
            ("X-Amz-Target", "DynamoDB_20120810.CreateTable"),
            ("X-Amz-Date", "20260101T000000Z"),
            (
                "Authorization",
                "AWS4-HMAC-SHA256 Credential=lab/20260101/us-east-1/dynamodb/aws4_request, \
                 SignedHeaders=host, Signature=0",
            ),
        ];
        let body = ledger_table().to_string();
        let (status, answer) = http_post(self.dynamodb().address(), "/", &headers, &body)
            .context("DynamoDB Local does not answer")?;
        ensure!(
            status == 200 || answer.contains("ResourceInUseException"),
            "cannot create table {LEDGER_TABLE}: {answer}"
        );
        Ok(())
    }

    /// Creates a bucket; nothing if it exists.
    ///
    /// # Errors
    /// What the store says.
    pub fn create_bucket(&self, bucket: &str) -> Result<()> {
        self.bucket_script(&[bucket])
    }

    /// Stores a file of this machine under `key`, in a bucket that is created if
    /// need be.
    ///
    /// # Errors
    /// What the store says; a file that cannot be read.
    pub fn put_object(&self, bucket: &str, key: &str, file: &Path) -> Result<()> {
        let file = file.to_str().context("the file's name is not UTF-8")?;
        self.bucket_script(&[bucket, key, file])
    }

    fn bucket_script(&self, arguments: &[&str]) -> Result<()> {
        let keys = self.s3().credentials();
        let mut python = inside(self.layout(), &self.artefacts().python());
        python
            .args(["-c", BUCKET])
            .arg(self.s3().address().to_string())
            .args(arguments)
            .env("AWS_ACCESS_KEY_ID", &keys.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &keys.secret_access_key)
            // Or the library asks for the role of a machine in the cloud.
            .env("AWS_EC2_METADATA_DISABLED", "true");
        run(&mut python).context("cannot fill the S3 store")?;
        Ok(())
    }
}

fn ledger_table() -> Value {
    let attribute = |name: &str| json!({"AttributeName": name, "AttributeType": "S"});
    let key = |name: &str, kind: &str| json!({"AttributeName": name, "KeyType": kind});
    let index = |name: &str, hash: &str, range: &str| {
        json!({
            "IndexName": name,
            "KeySchema": [key(hash, "HASH"), key(range, "RANGE")],
            "Projection": {"ProjectionType": "ALL"},
        })
    };
    let attributes = [
        "file_id",
        "processing_status",
        "updated_at",
        "source_file_path",
        "start_time",
        "job",
    ];
    json!({
        "TableName": LEDGER_TABLE,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": attributes.map(attribute),
        "KeySchema": [key("file_id", "HASH")],
        "GlobalSecondaryIndexes": [
            index("status-index", "processing_status", "updated_at"),
            index("source-index", "source_file_path", "start_time"),
            index("job-index", "job", "start_time"),
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::repository;

    fn text(path: &str) -> String {
        std::fs::read_to_string(repository().join(path)).expect("the file is there")
    }

    /// What a CloudFormation template says of key, attributes and indexes, line
    /// by line.
    fn template(table: &Value) -> Vec<String> {
        let entry = |entry: &Value, kind: &str| {
            let (name, value) = (&entry["AttributeName"], &entry[kind]);
            let (name, value) = (name.as_str().unwrap(), value.as_str().unwrap());
            format!("- {{ AttributeName: {name}, {kind}: {value} }}")
        };
        let entries = |list: &Value, kind: &str| {
            let list = list.as_array().unwrap();
            list.iter().map(|e| entry(e, kind)).collect::<Vec<_>>()
        };
        let mode = table["BillingMode"].as_str().unwrap();
        let mut lines = vec![format!("BillingMode: {mode}")];
        lines.push("AttributeDefinitions:".into());
        lines.extend(entries(&table["AttributeDefinitions"], "AttributeType"));
        lines.push("KeySchema:".into());
        lines.extend(entries(&table["KeySchema"], "KeyType"));
        lines.push("GlobalSecondaryIndexes:".into());
        for index in table["GlobalSecondaryIndexes"].as_array().unwrap() {
            let name = index["IndexName"].as_str().unwrap();
            let projection = index["Projection"]["ProjectionType"].as_str().unwrap();
            lines.push(format!("- IndexName: {name}"));
            lines.push("KeySchema:".into());
            lines.extend(entries(&index["KeySchema"], "KeyType"));
            lines.push(format!("Projection: {{ ProjectionType: {projection} }}"));
        }
        lines
    }

    /// The lines of `text` from the billing mode to the last projection.
    fn heart(text: &str) -> Vec<String> {
        let lines: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
        let first = lines.iter().position(|l| l.starts_with("BillingMode:"));
        let last = lines.iter().rposition(|l| l.starts_with("Projection:"));
        lines[first.expect("a first line")..=last.expect("a last line")].to_vec()
    }

    #[test]
    fn the_table_of_the_lab_is_the_one_that_people_are_told_to_make() {
        let expected = template(&ledger_table());
        for path in ["infra/ledger.yaml", "docs/ledger.md"] {
            assert_eq!(heart(&text(path)), expected, "{path}");
        }
        let default = format!("Default: {LEDGER_TABLE}");
        assert!(
            text("infra/ledger.yaml")
                .lines()
                .any(|l| l.trim() == default)
        );
    }

    #[test]
    fn the_documentation_lists_the_indexes_of_the_table() {
        let docs = text("docs/ledger.md");
        let listed: Vec<Vec<&str>> = docs
            .lines()
            .filter(|line| line.starts_with("| `") && line.contains("-index`"))
            .map(|line| line.split('`').skip(1).step_by(2).collect())
            .collect();
        let table = ledger_table();
        let indexes = table["GlobalSecondaryIndexes"].as_array().unwrap();
        let made: Vec<Vec<&str>> = indexes
            .iter()
            .map(|index| {
                let keys = index["KeySchema"].as_array().unwrap();
                let names = keys.iter().map(|key| &key["AttributeName"]);
                let all = std::iter::once(&index["IndexName"]).chain(names);
                all.map(|name| name.as_str().unwrap()).collect()
            })
            .collect();
        assert_eq!(listed, made);
    }
}
