//! The closed list of failure categories.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a category asks for when the resource says nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Another attempt cannot help: the run fails.
    Fail,
    /// Another attempt after the resource's backoff.
    Retry,
    /// Another attempt that is not charged, up to a cap.
    RetryFree,
}

macro_rules! categories {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $action:ident;)+) => {
        /// Machine class of a failure: what `kubectl get` shows in the FAILURE
        /// column and what retry decisions are made on.
        ///
        /// Each category has one exit code, so that a worker whose report was
        /// lost is still classified.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum Category { $($(#[$doc])* $name,)+ }

        impl Category {
            /// Every category, in the order of the documentation.
            pub const ALL: &'static [Category] = &[$(Category::$name,)+];

            /// The PascalCase name, as it stands in status and in the ledger.
            pub const fn as_str(self) -> &'static str {
                match self { $(Category::$name => stringify!($name),)+ }
            }

            /// Exit code of a worker that failed with this category.
            pub const fn exit_code(self) -> u8 {
                match self { $(Category::$name => $code,)+ }
            }

            /// Default action; see [`Action`].
            pub const fn action(self) -> Action {
                match self { $(Category::$name => Action::$action,)+ }
            }
        }
    };
}

categories! {
    /// The resource asks for something that cannot be done as written, such as
    /// two inputs on one output key.
    InvalidSpec = 64, Fail;
    /// A source object is corrupt, truncated or not parquet.
    BadInput = 65, Fail;
    /// No source object of that name, or none under the prefix that matches.
    SourceNotFound = 66, Fail;
    /// Sound input that this version refuses by name (a type, a size).
    UnsupportedInput = 67, Fail;
    /// Input columns differ from what the resource demands.
    SchemaMismatch = 68, Fail;
    /// More rejected records than the resource allows.
    InvalidRecords = 69, Fail;
    /// The output key is taken by somebody else's object.
    OutputConflict = 70, Fail;
    /// A newer run of the same owner has already written the output.
    Superseded = 71, Fail;
    /// The run was ended on request.
    Cancelled = 72, Fail;
    /// Credentials or policy do not allow the request.
    AccessDenied = 77, Retry;
    /// The API server refuses the child Job (quota, admission policy).
    Rejected = 78, Retry;
    /// A source object changed after the plan was frozen.
    SourceChanged = 79, Retry;
    /// A store asked to slow down and did not relent within the attempt.
    Throttled = 80, Retry;
    /// A store could not be reached or answered with server errors.
    Unavailable = 81, Retry;
    /// More memory was needed than the container may use.
    OutOfMemory = 82, Retry;
    /// No pod started before the start deadline.
    StartTimeout = 83, Retry;
    /// The attempt ran longer than its active deadline.
    DeadlineExceeded = 84, Retry;
    /// The pod was evicted, drained or preempted.
    Disrupted = 85, RetryFree;
    /// The worker vanished without a word.
    WorkerLost = 86, Retry;
    /// A defect of the product: please report it.
    Internal = 87, Retry;
}

impl Category {
    /// The category that a worker's own exit code names, `None` for 0 and for
    /// codes that are not the worker's (137, 143, 101...).
    pub fn from_exit_code(code: i32) -> Option<Category> {
        Category::ALL
            .iter()
            .copied()
            .find(|c| i32::from(c.exit_code()) == code)
    }

    /// Exit codes that no retry can mend, ascending: the child Job fails at
    /// once on any of them.
    pub fn final_exit_codes() -> Vec<i32> {
        let mut codes: Vec<i32> = Category::ALL
            .iter()
            .filter(|c| c.action() == Action::Fail)
            .map(|c| i32::from(c.exit_code()))
            .collect();
        codes.sort_unstable();
        codes
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is in no list of this version.
#[derive(Debug, thiserror::Error)]
#[error("unknown failure category {0:?}")]
pub struct UnknownCategory(String);

impl FromStr for Category {
    type Err = UnknownCategory;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Category::ALL
            .iter()
            .copied()
            .find(|c| c.as_str() == name)
            .ok_or_else(|| UnknownCategory(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_unique_and_lead_back_to_their_category() {
        for category in Category::ALL {
            let code = i32::from(category.exit_code());
            assert_eq!(Category::from_exit_code(code), Some(*category));
            assert_eq!(category.as_str().parse::<Category>().unwrap(), *category);
        }
    }

    #[test]
    fn codes_of_signals_and_panics_belong_to_no_category() {
        for code in [0, 1, 101, 137, 143] {
            assert_eq!(Category::from_exit_code(code), None);
        }
    }

    #[test]
    fn final_codes_are_those_of_the_failing_categories() {
        assert_eq!(Category::final_exit_codes(), (64..=72).collect::<Vec<_>>());
    }
}
