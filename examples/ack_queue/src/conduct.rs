//! Conducts the run from outside: publishes, kills and restarts until every message is acknowledged.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::time::{interval, sleep};

use crate::args::Settings;
use crate::broker::Broker;
use crate::consumer::Consumer;
use crate::publish::publish;
use crate::report::Report;
use crate::tally::Tally;

const GIVES_UP_AFTER: Duration = Duration::from_secs(20);
const SERVER_IS_AWAY: Duration = Duration::from_millis(300);

#[derive(Clone, Copy)]
enum Fault {
    KillConsumer,
    RestartServer,
}

pub async fn conduct(settings: &Settings, broker: &mut Broker) -> Result<Report> {
    let started = Instant::now();
    let say = |what: &str| eprintln!("{:>6.1} s  {what}", started.elapsed().as_secs_f64());
    let mut tally = Tally::of(broker.journal(), settings);
    let mut consumer = Consumer::start(settings, broker)?;
    let publishing = tokio::spawn(publish(
        settings.clone(),
        broker.context.clone(),
        broker.queue.clone(),
    ));
    say("publishing and consuming");

    let mut faults = faults(settings.messages);
    let mut injected = Vec::new();
    let mut progress = (Instant::now(), 0);
    let mut ticks = interval(Duration::from_millis(20));
    while !publishing.is_finished() || !broker.is_empty().await.unwrap_or(false) {
        ticks.tick().await;
        tally.read_on()?;
        consumer.check()?;
        if progress.1 != tally.acknowledged() {
            progress = (Instant::now(), tally.acknowledged());
        } else if progress.0.elapsed() > GIVES_UP_AFTER {
            bail!("nothing was acknowledged for {GIVES_UP_AFTER:?}, and there are messages left");
        }
        let Some((_, fault)) = faults
            .front()
            .copied()
            .filter(|(due, _)| tally.processed() >= *due)
        else {
            continue;
        };
        faults.pop_front();
        let at = format!("{} processed", tally.processed());
        match (fault, &mut broker.server) {
            (Fault::KillConsumer, _) => {
                consumer.kill()?;
                say(&format!("consumer killed, {at}"));
                consumer = Consumer::start(settings, broker)?;
            }
            (Fault::RestartServer, Some(server)) => {
                server.kill()?;
                say(&format!("server killed, {at}"));
                sleep(SERVER_IS_AWAY).await;
                server.start_again().await?;
                say("server restarted");
            }
            (Fault::RestartServer, None) => continue,
        }
        injected.push(fault);
    }
    publishing.await??;
    say("every message acknowledged");
    consumer.end().await?;
    tally.read_on()?;
    let number = |wanted: fn(&Fault) -> bool| injected.iter().filter(|fault| wanted(fault)).count();
    Ok(Report {
        mode: settings.mode,
        kills: number(|fault| matches!(fault, Fault::KillConsumer)),
        restarts: number(|fault| matches!(fault, Fault::RestartServer)),
        ran: started.elapsed(),
        tally,
    })
}

/// What is done after so many messages are processed.
fn faults(messages: u64) -> VecDeque<(u64, Fault)> {
    VecDeque::from([
        (messages.div_ceil(4), Fault::KillConsumer),
        (messages.div_ceil(2), Fault::RestartServer),
        ((messages * 3).div_ceil(4), Fault::KillConsumer),
    ])
}
