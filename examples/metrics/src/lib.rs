//! What a [`Monitor`](ordered_by_group::Monitor) shows, for Prometheus and for OpenTelemetry.

mod collector;
pub mod endpoint;
pub mod figures;
pub mod instruments;
