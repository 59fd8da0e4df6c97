//! The ledger in DynamoDB: one item per run, written on condition that it does
//! not go back.

mod item;

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::KeysAndAttributes;
use etl_core::ledger::{LedgerRecord, ProcessingStatus};

use self::item::{Item, Update, compare, revision, text};
use super::{Cause, Change, Finding, Ledger, LedgerError, Made, Mark, OpenRow, Page};
use crate::config::LedgerConfig;

/// Rows in progress that are read at once, those of other clusters included.
const PAGE: i32 = 100;

/// The index by which rows in progress are found.
const STATUS_INDEX: &str = "status-index";

/// Bound of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(8);

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
            .operation_timeout(REQUEST_TIMEOUT)
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
    async fn make(&self, change: &Change) -> Result<Made, LedgerError> {
        let update = Update::of(change);
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("file_id", text(change.file_id()))
            .update_expression(update.expression)
            .condition_expression(update.condition)
            .set_expression_attribute_names(Some(update.names))
            .set_expression_attribute_values(Some(update.values))
            .send()
            .await;
        let Err(error) = answer else {
            return Ok(Made::Stored);
        };
        let refused = error
            .as_service_error()
            .is_some_and(UpdateItemError::is_conditional_check_failed_exception);
        if refused {
            return Ok(Made::Superseded);
        }
        let action = format!("write ledger row {}", change.file_id());
        Err(failure(action, &error))
    }

    async fn compare(&self, records: &[LedgerRecord]) -> Result<Vec<Finding>, LedgerError> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let mut wanted = KeysAndAttributes::builder().consistent_read(true);
        for record in records {
            wanted = wanted.keys(HashMap::from([(
                "file_id".to_owned(),
                text(&record.file_id),
            )]));
        }
        let wanted = wanted.build().map_err(|error| incomplete(&error))?;
        let answer = self
            .client
            .batch_get_item()
            .request_items(&self.table, wanted)
            .send()
            .await
            .map_err(|error| failure("read ledger rows".to_owned(), &error))?;
        let found = answer.responses.into_iter().flatten();
        let found = found.flat_map(|(_, items)| items).filter_map(keyed);
        let found: HashMap<String, Item> = found.collect();
        let unread = answer.unprocessed_keys.into_iter().flatten();
        let unread = unread.flat_map(|(_, keys)| keys.keys).filter_map(keyed);
        let unread: HashMap<String, Item> = unread.collect();
        if unread.len() == records.len() {
            return Err(LedgerError {
                action: "read ledger rows".to_owned(),
                cause: Cause::Throttled,
                code: "UnprocessedKeys".to_owned(),
                message: "none of the rows was read".to_owned(),
            });
        }
        let finding = |record: &LedgerRecord| {
            if unread.contains_key(&record.file_id) {
                return Finding::Unread;
            }
            compare(record, found.get(&record.file_id))
        };
        Ok(records.iter().map(finding).collect())
    }

    async fn open_rows(&self, after: Option<Mark>) -> Result<Page, LedgerError> {
        let open = text(ProcessingStatus::InProgress.as_str());
        let start = after.map(|mark| {
            HashMap::from([
                ("file_id".to_owned(), text(&mark.file_id)),
                ("processing_status".to_owned(), open.clone()),
                ("updated_at".to_owned(), text(&mark.updated_at)),
            ])
        });
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(STATUS_INDEX)
            .key_condition_expression("processing_status = :open")
            .projection_expression("file_id, revision")
            .expression_attribute_values(":open", open)
            .set_exclusive_start_key(start)
            .limit(PAGE)
            .send()
            .await
            .map_err(|error| failure("find ledger rows in progress".to_owned(), &error))?;
        let rows = answer.items.into_iter().flatten().filter_map(keyed);
        let rows = rows.map(|(file_id, item)| OpenRow {
            file_id,
            revision: revision(&item),
        });
        let next = answer.last_evaluated_key.and_then(|key| {
            Some(Mark {
                file_id: key.get("file_id")?.as_s().ok()?.clone(),
                updated_at: key.get("updated_at")?.as_s().ok()?.clone(),
            })
        });
        Ok(Page {
            rows: rows.collect(),
            next,
        })
    }
}

/// An item with its key.
fn keyed(item: Item) -> Option<(String, Item)> {
    let file_id = item.get("file_id")?.as_s().ok()?.clone();
    Some((file_id, item))
}

fn incomplete(error: &dyn std::error::Error) -> LedgerError {
    LedgerError {
        action: "read ledger rows".to_owned(),
        cause: Cause::Refused,
        code: "Incomplete".to_owned(),
        message: error.to_string(),
    }
}

fn failure<E, R>(action: String, error: &SdkError<E, R>) -> LedgerError
where
    SdkError<E, R>: std::error::Error + ProvideErrorMetadata,
{
    let code = error.code().unwrap_or("Transport");
    LedgerError {
        action,
        cause: cause(error.code()),
        code: code.to_owned(),
        message: error
            .message()
            .map_or_else(|| DisplayErrorContext(&error).to_string(), str::to_owned),
    }
}

/// Codes as the service documents them. One that it does not is its own
/// trouble; no code at all means that there was no answer, for which missing
/// credentials are a reason too.
fn cause(code: Option<&str>) -> Cause {
    match code {
        None => Cause::Unreachable,
        Some(
            "ProvisionedThroughputExceededException"
            | "ThrottlingException"
            | "Throttling"
            | "RequestLimitExceeded"
            | "LimitExceededException",
        ) => Cause::Throttled,
        Some(
            "AccessDeniedException"
            | "ExpiredTokenException"
            | "IncompleteSignatureException"
            | "InvalidSignatureException"
            | "MissingAuthenticationTokenException"
            | "MissingAuthenticationToken"
            | "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "OptInRequired",
        ) => Cause::Denied,
        Some("ResourceNotFoundException") => Cause::NoTable,
        Some(
            "ValidationException"
            | "SerializationException"
            | "ItemCollectionSizeLimitExceededException",
        ) => Cause::Refused,
        Some(_) => Cause::Unavailable,
    }
}

#[cfg(test)]
mod tests;
