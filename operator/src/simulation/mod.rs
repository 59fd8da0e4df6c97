//! A world in memory around the real `reconcile`: an API server, a Job
//! controller with its nodes, workers with an object store, a ledger, and a
//! clock that jumps. Faults are not drawn but enumerated, so that a red test
//! is red every time.

pub mod apiserver;
mod cluster;
pub mod fixture;
mod fleet;
mod invariants;
pub mod ledger;
mod mirroring;
mod outages;
mod scenarios;
mod sweep;
mod workers;
mod world;
