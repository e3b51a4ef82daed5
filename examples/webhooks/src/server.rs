//! The other side: all endpoints and the dead-letter box, in one HTTP server.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use tokio::net::TcpListener;

use crate::endpoint::Endpoint;

pub struct Server {
    url: String,
    seen: Arc<Seen>,
}

/// What arrived, as the receivers know it.
struct Seen {
    endpoints: Vec<Mutex<Arrivals>>,
    dead_letters: Mutex<Vec<usize>>,
}

#[derive(Default)]
struct Arrivals {
    requests: u64,
    newest: usize,
    out_of_order: u64,
    accepted: Accepted,
}

#[derive(Clone, Copy, Default)]
pub struct Accepted {
    pub number: u64,
    pub last: Option<Instant>,
}

impl Server {
    pub async fn start(endpoints: usize) -> Result<Self> {
        let seen = Arc::new(Seen {
            endpoints: (0..endpoints).map(|_| Mutex::default()).collect(),
            dead_letters: Mutex::default(),
        });
        let routes = Router::new()
            .route("/endpoints/{endpoint}/{number}", post(receive))
            .route("/dead-letters/{number}", post(keep))
            .with_state(Arc::clone(&seen));
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("no free port on 127.0.0.1")?;
        let url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(Self { url, seen })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn requests(&self) -> u64 {
        self.endpoints()
            .map(|(_, arrivals)| arrivals.requests)
            .sum()
    }

    /// How often a delivery arrived after a younger one of its endpoint.
    pub fn out_of_order(&self) -> u64 {
        self.endpoints()
            .map(|(_, arrivals)| arrivals.out_of_order)
            .sum()
    }

    pub fn dead_letters(&self) -> usize {
        lock(&self.seen.dead_letters).len()
    }

    /// What all healthy endpoints together accepted.
    pub fn healthy(&self) -> Accepted {
        let mut healthy = Accepted::default();
        for (number, arrivals) in self.endpoints() {
            if Endpoint::number(number) == Endpoint::Healthy {
                healthy.number += arrivals.accepted.number;
                healthy.last = healthy.last.max(arrivals.accepted.last);
            }
        }
        healthy
    }

    fn endpoints(&self) -> impl Iterator<Item = (usize, MutexGuard<'_, Arrivals>)> {
        self.seen.endpoints.iter().map(lock).enumerate()
    }
}

async fn receive(
    Path((endpoint, number)): Path<(usize, usize)>,
    State(seen): State<Arc<Seen>>,
) -> StatusCode {
    let Some(arrivals) = seen.endpoints.get(endpoint) else {
        return StatusCode::NOT_FOUND;
    };
    let behaviour = Endpoint::number(endpoint);
    let answer = lock(arrivals).receive(number, behaviour);
    tokio::time::sleep(behaviour.answers_after()).await;
    if answer.is_success() {
        lock(arrivals).accept();
    }
    answer
}

async fn keep(Path(number): Path<usize>, State(seen): State<Arc<Seen>>) -> StatusCode {
    lock(&seen.dead_letters).push(number);
    StatusCode::CREATED
}

impl Arrivals {
    fn receive(&mut self, number: usize, behaviour: Endpoint) -> StatusCode {
        let answer = behaviour.answer(self.requests);
        self.requests += 1;
        if number < self.newest {
            self.out_of_order += 1;
        }
        self.newest = self.newest.max(number);
        answer
    }

    fn accept(&mut self) {
        self.accepted.number += 1;
        self.accepted.last = Some(Instant::now());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("nothing panics while it holds the lock")
}
