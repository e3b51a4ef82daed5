//! The HTTP client.

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use reqwest::StatusCode;

use crate::delivery::Delivery;

pub struct Client {
    http: reqwest::Client,
    url: String,
}

/// Why one attempt failed.
#[derive(Debug)]
pub enum Failure {
    Answered(StatusCode),
    Unanswered(reqwest::Error),
}

impl Client {
    pub fn new(url: &str) -> Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(30))
            .build()?;
        Ok(Self {
            http,
            url: url.to_owned(),
        })
    }

    pub async fn deliver(&self, delivery: Delivery) -> Result<(), Failure> {
        let Delivery { number, endpoint } = delivery;
        self.post(format!("{}/endpoints/{endpoint}/{number}", self.url))
            .await
    }

    pub async fn dead_letter(&self, delivery: Delivery) -> Result<(), Failure> {
        self.post(format!("{}/dead-letters/{}", self.url, delivery.number))
            .await
    }

    async fn post(&self, url: String) -> Result<(), Failure> {
        let answer = self.http.post(url).send().await;
        let status = answer.map_err(Failure::Unanswered)?.status();
        if status.is_success() {
            Ok(())
        } else {
            Err(Failure::Answered(status))
        }
    }
}

impl Failure {
    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Answered(status) => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::Unanswered(_) => true,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(status) => write!(f, "{status}"),
            Self::Unanswered(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Failure {}
