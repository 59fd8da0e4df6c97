//! Clients for what a lab serves.
