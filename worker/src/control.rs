//! Objects of the control prefix: written once, by whoever comes first.
//!
//! [`Control::settle`] is the primitive of the whole protocol. Its answer is
//! what the store holds, never what a request seemed to say: a lost reply, or a
//! refusal caused by our own earlier try, is settled by reading back.

use std::time::Duration;

use bytes::Bytes;
use etl_contract::WorkOrder;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::identity::run_name;
use crate::store::{Attributes, Kind, Pin, Precondition, Store, StoreError, list_all};

/// Rounds of writing and reading back before an undecided answer is given up.
const ROUNDS: u32 = 5;

/// What a control object turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The object holds what was to be written.
    Same,
    /// Another writer was first, with other content.
    Theirs,
}

/// A control object that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The content is not what this program writes.
    #[error("the control object {uri} cannot be understood")]
    Malformed {
        /// The object.
        uri: String,
        /// The reason.
        source: serde_json::Error,
    },
}

/// The control prefix of one run.
#[derive(Clone, Copy, Debug)]
pub struct Control<'a> {
    store: &'a dyn Store,
    prefix: &'a str,
}

/// Key prefix of the control objects of the run that `order` belongs to.
pub fn prefix(order: &WorkOrder) -> String {
    format!("{}{}/", uid_prefix(order), run_name(order))
}

/// Key prefix of the control objects of all runs of the EtlJob.
pub(crate) fn uid_prefix(order: &WorkOrder) -> String {
    format!("_etl/{}/", order.job.uid)
}

impl<'a> Control<'a> {
    /// The control objects of `store` below `prefix`.
    pub fn new(store: &'a dyn Store, prefix: &'a str) -> Self {
        Control { store, prefix }
    }

    /// URI of a control object.
    pub fn uri(&self, name: &str) -> String {
        self.store.uri(&self.key(name))
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Reads a control object; `None` if there is none.
    pub async fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, ControlError> {
        match self.bytes(name).await? {
            Some(bytes) => self.parse(name, &bytes).map(Some),
            None => Ok(None),
        }
    }

    async fn bytes(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        match self.store.get(&self.key(name), &Pin::default(), None).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn parse<T: DeserializeOwned>(&self, name: &str, bytes: &[u8]) -> Result<T, ControlError> {
        serde_json::from_slice(bytes).map_err(|source| ControlError::Malformed {
            uri: self.uri(name),
            source,
        })
    }

    /// Writes `value` unless there is an object already, and returns what the
    /// store holds in the end, read back. It is parsed only if it differs: a
    /// manifest may be large, and is not held once more than it must be.
    ///
    /// # Errors
    /// When the store cannot say what it holds. The object may or may not exist
    /// then; nothing is cleaned up.
    pub async fn settle<T>(&self, name: &str, value: T) -> Result<(Settled, T), ControlError>
    where
        T: Serialize + DeserializeOwned,
    {
        let key = self.key(name);
        let body = serde_json::to_vec(&value)
            .map(Bytes::from)
            .map_err(|source| ControlError::Malformed {
                uri: self.uri(name),
                source,
            })?;
        let attributes = Attributes {
            content_type: Some("application/json"),
            ..Attributes::default()
        };
        let mut delay = Duration::from_millis(100);
        let mut round = 1;
        loop {
            let put = self
                .store
                .put(&key, body.clone(), &attributes, &Precondition::Absent)
                .await
                .map(|_etag| ());
            match put {
                Err(error) if !is_settled_by_reading(error.kind()) => return Err(error.into()),
                _ => {}
            }
            match self.bytes(name).await {
                Ok(Some(found)) => {
                    if found == body {
                        return Ok((Settled::Same, value));
                    }
                    drop((value, body));
                    return Ok((Settled::Theirs, self.parse(name, &found)?));
                }
                // Refused and yet absent, or unknown and not (yet) there: the
                // condition makes another try harmless.
                Ok(None) if round < ROUNDS => {}
                Ok(None) => {
                    let lost = || {
                        let detail = "the object is missing although it was written";
                        StoreError::new(Kind::Unknown, "write", self.uri(name), detail)
                    };
                    return Err(put.err().unwrap_or_else(lost).into());
                }
                Err(error) if error.kind().is_transient() && round < ROUNDS => {}
                Err(error) => return Err(error.into()),
            }
            tracing::warn!(object = %self.uri(name), round, "A write is undecided and is tried again.");
            tokio::time::sleep(delay).await;
            delay *= 2;
            round += 1;
        }
    }

    /// Names of the control objects below `folder` (which ends in `/`).
    pub async fn names(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let prefix = self.key(folder);
        let objects = list_all(self.store, &prefix).await?;
        Ok(objects
            .into_iter()
            .filter_map(|object| object.key.strip_prefix(&prefix).map(str::to_owned))
            .collect())
    }
}

/// Refusals and lost replies: the truth is in the store.
pub(crate) fn is_settled_by_reading(kind: Kind) -> bool {
    kind == Kind::PreconditionFailed || kind.is_transient()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::store::local::LocalStore;

    /// Content that fails as soon as somebody parses it.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Unreadable {
        #[serde(deserialize_with = "refuse")]
        text: String,
    }

    fn refuse<'de, D: serde::Deserializer<'de>>(_: D) -> Result<String, D::Error> {
        Err(serde::de::Error::custom("it was parsed"))
    }

    #[tokio::test]
    async fn what_was_written_is_not_parsed_again_and_what_others_wrote_is() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::new(folder.path().to_owned());
        let control = Control::new(&store, "_etl/u/1/");
        let value = |text: &str| Unreadable {
            text: text.to_owned(),
        };
        for _again in 0..2 {
            let settled = control.settle("plan", value("mine")).await.unwrap();
            assert_eq!(settled, (Settled::Same, value("mine")));
        }
        let error = control.settle("plan", value("other")).await.unwrap_err();
        assert!(matches!(error, ControlError::Malformed { .. }), "{error}");
    }
}
