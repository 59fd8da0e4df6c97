//! The ledger in DynamoDB: one item per run, written on condition that it does
//! not go back.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use etl_core::ledger::LedgerRecord;
use jiff::Timestamp;

use super::{Ledger, LedgerError, Written};
use crate::config::LedgerConfig;

/// Bound of one write.
const WRITE_TIMEOUT: Duration = Duration::from_secs(8);

/// Bound of making a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A region for endpoints that are not AWS, which do not care but must be
/// given one to sign for.
const ANY_REGION: &str = "us-east-1";

/// A table.
pub struct DynamoDb {
    client: Client,
    table: String,
}

impl DynamoDb {
    /// The table that `config` names. Makes no request to it.
    pub async fn connect(config: LedgerConfig) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_timeout(WRITE_TIMEOUT)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .timeout_config(timeouts)
            // The mirror tries again, with what is newest by then.
            .retry_config(RetryConfig::disabled());
        let fallback = config.endpoint_url.is_some().then(|| ANY_REGION.to_owned());
        if let Some(region) = config.region.or(fallback) {
            loader = loader.region(Region::new(region));
        }
        let shared = loader.load().await;
        let mut builder = aws_sdk_dynamodb::config::Builder::from(&shared);
        if let Some(url) = config.endpoint_url {
            builder = builder.endpoint_url(url);
        }
        DynamoDb {
            client: Client::from_conf(builder.build()),
            table: config.table,
        }
    }
}

#[async_trait]
impl Ledger for DynamoDb {
    async fn write(&self, record: &LedgerRecord) -> Result<Written, LedgerError> {
        let update = Update::of(record);
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("file_id", AttributeValue::S(record.file_id.clone()))
            .update_expression(update.expression)
            .condition_expression("attribute_not_exists(file_id) OR #revision < :revision")
            .set_expression_attribute_names(Some(update.names))
            .set_expression_attribute_values(Some(update.values))
            .send()
            .await;
        let Err(error) = answer else {
            return Ok(Written::Stored);
        };
        let refused = error
            .as_service_error()
            .is_some_and(UpdateItemError::is_conditional_check_failed_exception);
        if refused {
            return Ok(Written::Superseded);
        }
        let code = error.code().unwrap_or("Transport");
        Err(LedgerError {
            file_id: record.file_id.clone(),
            code: code.to_owned(),
            refused: code == "ValidationException",
            message: error
                .message()
                .map_or_else(|| DisplayErrorContext(&error).to_string(), str::to_owned),
        })
    }
}

/// The parts of an UpdateItem request.
struct Update {
    expression: String,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Update {
    /// Sets what the record has and removes what it has not, so that the row
    /// is the record, whatever it was before. Names go through placeholders:
    /// some are reserved words.
    fn of(record: &LedgerRecord) -> Self {
        let mut update = Update {
            expression: String::new(),
            names: HashMap::new(),
            values: HashMap::new(),
        };
        let mut set = Vec::new();
        let mut remove = Vec::new();
        for (name, value) in attributes(record) {
            update.names.insert(format!("#{name}"), name.to_owned());
            match value {
                Some(value) => {
                    set.push(format!("#{name} = :{name}"));
                    update.values.insert(format!(":{name}"), value);
                }
                None => remove.push(format!("#{name}")),
            }
        }
        update.expression = format!("SET {}", set.join(", "));
        if !remove.is_empty() {
            update
                .expression
                .push_str(&format!(" REMOVE {}", remove.join(", ")));
        }
        update
    }
}

/// All attributes but the key.
fn attributes(record: &LedgerRecord) -> Vec<(&'static str, Option<AttributeValue>)> {
    vec![
        ("source_file_path", Some(text(&record.source_file_path))),
        ("output_file_path", Some(text(&record.output_file_path))),
        (
            "processing_status",
            Some(text(record.processing_status.as_str())),
        ),
        ("start_time", Some(time(record.start_time))),
        ("end_time", record.end_time.map(time)),
        ("record_count", record.record_count.map(number)),
        ("file_size_bytes", record.file_size_bytes.map(number)),
        ("error_message", record.error_message.as_deref().map(text)),
        ("created_at", Some(time(record.created_at))),
        ("updated_at", Some(time(record.updated_at))),
        ("job", Some(text(&record.job))),
        ("namespace", Some(text(&record.namespace))),
        ("uid", Some(text(&record.uid))),
        ("run", Some(number(i64::from(record.run)))),
        (
            "attempt",
            record.attempt.map(|attempt| number(i64::from(attempt))),
        ),
        ("category", record.category.as_deref().map(text)),
        ("manifest", record.manifest.as_deref().map(text)),
        ("statistics", record.statistics.as_ref().map(statistics)),
        ("revision", Some(number(record.revision))),
    ]
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// Always three fraction digits, so that texts sort as times do.
fn time(value: Timestamp) -> AttributeValue {
    AttributeValue::S(value.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

fn statistics(totals: &etl_api::Statistics) -> AttributeValue {
    let members = [
        ("sourceObjects", totals.source_objects),
        ("sourceBytes", totals.source_bytes),
        ("rowsRead", totals.rows_read),
        ("rowsWritten", totals.rows_written),
        ("outputObjects", totals.output_objects),
        ("outputBytes", totals.output_bytes),
    ];
    AttributeValue::M(
        members
            .map(|(name, value)| (name.to_owned(), number(value)))
            .into(),
    )
}

#[cfg(test)]
mod tests;
