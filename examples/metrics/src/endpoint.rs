//! The endpoint that Prometheus scrapes.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use ordered_by_group::Monitor;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use crate::collector::registry;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves what the monitor shows at `/metrics`, for as long as it is polled.
pub async fn serve(listener: TcpListener, monitor: Monitor) -> io::Result<()> {
    let registry = Arc::new(registry(monitor));
    let metrics = get(move || async move { scrape(&registry) });
    axum::serve(listener, Router::new().route("/metrics", metrics)).await
}

fn scrape(registry: &Registry) -> impl IntoResponse + use<> {
    let mut text = String::new();
    match encode(&mut text, registry) {
        Ok(()) => Ok(([(CONTENT_TYPE, OPEN_METRICS)], text)),
        Err(_) => Err(StatusCode::INTERNAL_SERVER_ERROR),
    }
}
