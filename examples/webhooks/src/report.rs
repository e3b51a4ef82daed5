//! The table at the end.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::HumanCount;

use crate::args::{Args, OnFailure};
use crate::breaker::Breaker;
use crate::courier::Courier;
use crate::delivery::Delivery;
use crate::endpoint::Endpoint;
use crate::gauge::{Counts, Gauge};
use crate::server::Server;

pub struct Report<'a> {
    args: &'a Args,
    started: Instant,
    time: Duration,
    counts: Counts,
    breakers: &'a [Breaker],
    server: &'a Server,
}

impl<'a> Report<'a> {
    pub fn new(
        args: &'a Args,
        gauge: &Gauge,
        courier: &'a Courier<'_>,
        server: &'a Server,
    ) -> Self {
        Self {
            args,
            started: gauge.started(),
            time: gauge.started().elapsed(),
            counts: gauge.counts(),
            breakers: courier.breakers(),
            server,
        }
    }

    pub fn print(&self) -> Result<()> {
        let mut table = String::from("\n");
        for (name, value) in self.lines() {
            table.push_str(&format!("{name:>17}  {value}\n"));
        }
        Ok(io::stdout().write_all(table.as_bytes())?)
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![
            ("deliveries", self.deliveries()),
            ("delivered", count(self.counts.delivered)),
        ];
        lines.extend(self.given_up());
        lines.extend([
            ("retries", count(self.counts.retries)),
            ("requests", count(self.server.requests())),
            ("breaker opened", self.breaker_opened()),
            ("out of order", self.out_of_order()),
            ("committed", self.committed()),
            ("time", seconds(self.time)),
            ("healthy endpoints", self.healthy_endpoints()),
        ]);
        lines
    }

    fn deliveries(&self) -> String {
        let Args {
            deliveries,
            endpoints,
            ..
        } = *self.args;
        let deliveries = count(deliveries as u64);
        format!("{deliveries} to {} endpoints", count(endpoints as u64))
    }

    fn given_up(&self) -> Option<(&'static str, String)> {
        match self.args.on_failure {
            // As the box for them has it.
            OnFailure::DeadLetter => {
                Some(("dead letters", count(self.server.dead_letters() as u64)))
            }
            OnFailure::Skip => Some(("skipped", count(self.counts.given_up))),
            OnFailure::Stop => None,
        }
    }

    fn breaker_opened(&self) -> String {
        let opened = self.breakers.iter().map(Breaker::opened);
        let endpoints = opened.clone().filter(|opened| *opened > 0).count();
        format!("{} times, at {endpoints} endpoints", count(opened.sum()))
    }

    fn out_of_order(&self) -> String {
        format!("{} within an endpoint", count(self.server.out_of_order()))
    }

    fn committed(&self) -> String {
        let Counts {
            delivered,
            given_up,
            committed,
            ..
        } = self.counts;
        let committed = committed as u64;
        let past_that = delivered + given_up - committed;
        let mut line = format!(
            "{} of {}",
            count(committed),
            count(self.args.deliveries as u64)
        );
        if past_that > 0 {
            line.push_str(&format!(
                ": a restart delivers {} again, or more",
                count(past_that)
            ));
        }
        line
    }

    fn healthy_endpoints(&self) -> String {
        let deliveries = Delivery::all(self.args)
            .filter(|delivery| Endpoint::number(delivery.endpoint) == Endpoint::Healthy)
            .count();
        let healthy = self.server.healthy();
        let done_after = healthy.last.map(|at| at - self.started);
        format!(
            "{} of {} delivered after {}",
            count(healthy.number),
            count(deliveries as u64),
            seconds(done_after.unwrap_or_default()),
        )
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn count(number: u64) -> String {
    HumanCount(number).to_string()
}
