//! A micro-service from end to end, *decode → handle → interpret*, that consumes the purchases of an online shop from Kafka.
//!
//! The key of a message is the customer. Each customer's purchases are handled one at a time and in order, many customers at
//! once. Without arguments, a mock cluster runs in the process. With `--brokers`, start it several times: the processes
//! share the partitions. One that is stopped finishes what runs, and the others begin exactly behind it.
//!
//! ```text
//! cargo run --release -p kafka
//! cargo run --release -p kafka -- --brokers localhost:9092 --publish
//! cargo run --release -p kafka -- --brokers localhost:9092
//! ```

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;

use crate::args::Args;
use crate::cluster::Cluster;
use crate::consume::consume;
use crate::publish::publish;
use crate::refused::Refused;

mod args;
mod cluster;
mod consume;
mod customer;
mod customers;
mod dead_letters;
mod decode;
mod handle;
mod input;
mod outcome;
mod progress;
mod publish;
mod quiet;
mod refused;
mod report;
mod results;
mod say;
mod stop;
mod transactions;

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kafka: {error:#}");
            ExitCode::from(if error.is::<Refused>() { 2 } else { 1 })
        }
    }
}

async fn run(args: Args) -> Result<()> {
    let cluster = Cluster::of(&args)?;
    if args.publish {
        cluster.create_missing(&args.topics()).await?;
        return publish(&args, &cluster).await.map(drop);
    }
    cluster.check(&args.topics()).await?;
    if cluster.is_mock() {
        let rows = input::Input::read(&args.data)?.rows();
        // While the group forms.
        let publishing = publish(&args, &cluster);
        let consuming = consume(&args, &cluster, Some(rows));
        return tokio::try_join!(publishing, consuming).map(drop);
    }
    consume(&args, &cluster, None).await
}
