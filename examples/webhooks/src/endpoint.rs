//! How the endpoints behave.

use std::time::Duration;

use axum::http::StatusCode;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    Healthy,
    Slow,
    /// Fails at first, for longer than one delivery is tried.
    ComingBack,
    Failing,
    /// It is there, and wants no webhooks: to try again is of no use.
    Refusing,
}

impl Endpoint {
    /// Of twenty, twelve are healthy.
    pub fn number(number: usize) -> Self {
        match number % 20 {
            3 | 9 | 15 => Self::Failing,
            5 | 19 => Self::ComingBack,
            7 | 13 => Self::Slow,
            11 => Self::Refusing,
            _ => Self::Healthy,
        }
    }

    pub fn answers_after(self) -> Duration {
        Duration::from_millis(if self == Self::Slow { 50 } else { 5 })
    }

    /// The answer to a request, after so many others.
    pub fn answer(self, requests_before: u64) -> StatusCode {
        match self {
            Self::Healthy | Self::Slow => StatusCode::NO_CONTENT,
            Self::ComingBack if requests_before >= 6 => StatusCode::NO_CONTENT,
            Self::ComingBack => StatusCode::SERVICE_UNAVAILABLE,
            Self::Failing => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Refusing => StatusCode::GONE,
        }
    }
}
