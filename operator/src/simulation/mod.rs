//! A world in memory for tests.

pub mod fixture;
