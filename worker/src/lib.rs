//! The worker: one process that does one shard of one attempt.
//!
//! In: a [`WorkOrder`](etl_contract::WorkOrder). Out: an exit code and a
//! [`RunReport`](etl_contract::RunReport). It knows no cluster and no ledger;
//! all it touches is object storage, through the port in [`store`].
//!
//! Data flows one way, one module per arrow: order → [`plan`] → [`read`] →
//! [`convert`] → [`mod@write`] → [`record`] → [`commit`] → [`report`]. [`run`] puts
//! them in order, [`process`] keeps a process around them, [`gate`] ends them in time,
//! [`error`] says why.
//!
//! # Guarantees
//! Whatever crashes or runs twice, at most one manifest exists per run, and it
//! names outputs that hold every row exactly once.

pub mod budget;
pub mod commit;
pub mod control;
pub mod convert;
mod encode;
pub mod error;
pub mod gate;
pub mod identity;
mod options;
pub mod plan;
pub mod process;
pub mod progress;
pub mod read;
pub mod record;
pub mod report;
pub mod run;
mod stale;
pub mod store;
pub mod tally;
mod tasks;
pub mod uri;
pub mod write;

pub use error::Error;
pub use run::Worker;
