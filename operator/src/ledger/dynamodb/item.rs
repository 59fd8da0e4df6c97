//! A record as an item: what is written, and how an item compares with what
//! should have been.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use etl_core::ledger::{Closing, LedgerRecord, ProcessingStatus};
use jiff::Timestamp;

use crate::ledger::{Change, Finding};

/// An item as it is read.
pub type Item = HashMap<String, AttributeValue>;

/// The parts of an UpdateItem request.
pub struct Update {
    /// What is set and removed.
    pub expression: String,
    /// On what condition.
    pub condition: &'static str,
    /// Placeholders of names: some are reserved words.
    pub names: HashMap<String, String>,
    /// Placeholders of values.
    pub values: HashMap<String, AttributeValue>,
}

impl Update {
    /// What makes `change`.
    pub fn of(change: &Change) -> Self {
        match change {
            Change::Write(record) => Update::to(
                attributes(record),
                "attribute_not_exists(file_id) OR #revision < :revision",
            ),
            // A revision that is no number compares with none.
            Change::Mend(record) => {
                let mut update = Update::to(
                    attributes(record),
                    "NOT attribute_type(#revision, :number) OR #revision <= :revision",
                );
                update.value("number", text("N"));
                update
            }
            Change::Close(closing) => Update::closing(closing),
        }
    }

    /// Sets what has a value and removes what has none, so that the row is
    /// that, whatever it was before.
    fn to(
        attributes: Vec<(&'static str, Option<AttributeValue>)>,
        condition: &'static str,
    ) -> Self {
        let mut update = Update {
            expression: String::new(),
            condition,
            names: HashMap::new(),
            values: HashMap::new(),
        };
        let mut set = Vec::new();
        let mut remove = Vec::new();
        for (name, value) in attributes {
            update.names.insert(format!("#{name}"), name.to_owned());
            match value {
                Some(value) => {
                    set.push(format!("#{name} = :{name}"));
                    update.value(name, value);
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

    fn closing(closing: &Closing) -> Self {
        let attributes = vec![
            (
                "processing_status",
                Some(text(ProcessingStatus::Cancelled.as_str())),
            ),
            ("end_time", Some(time(closing.time))),
            ("error_message", Some(text(closing.reason))),
            ("updated_at", Some(time(closing.time))),
            ("revision", Some(number(closing.revision))),
        ];
        let condition = match closing.seen {
            Some(_) => "#processing_status = :open AND #revision = :seen",
            None => "#processing_status = :open",
        };
        let mut update = Update::to(attributes, condition);
        update.value("open", text(ProcessingStatus::InProgress.as_str()));
        if let Some(seen) = closing.seen {
            update.value("seen", number(seen));
        }
        update
    }

    fn value(&mut self, name: &str, value: AttributeValue) {
        self.values.insert(format!(":{name}"), value);
    }
}

/// What `item` is, beside `record`. Attributes that the record does not know
/// are nobody's business.
pub fn compare(record: &LedgerRecord, item: Option<&Item>) -> Finding {
    let Some(item) = item else {
        return Finding::Missing;
    };
    match revision(item) {
        Some(revision) if revision < record.revision => Finding::Older,
        Some(revision) if revision > record.revision => Finding::Newer,
        Some(_) if is(record, item) => Finding::Same,
        Some(_) | None => Finding::Damaged,
    }
}

fn is(record: &LedgerRecord, item: &Item) -> bool {
    attributes(record)
        .iter()
        .all(|(name, value)| value.as_ref() == item.get(*name))
}

/// The revision of an item, if it has one that can be read.
pub fn revision(item: &Item) -> Option<i64> {
    item.get("revision")?.as_n().ok()?.parse().ok()
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

/// A string.
pub fn text(value: &str) -> AttributeValue {
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
