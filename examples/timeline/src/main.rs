//! Draws the picture in the README: the same forty items handled in four ways, with a timeline for each.
//!
//! It runs in tokio's paused clock, so the picture is exact and the same every time.
//!
//! ```text
//! cargo run -p timeline
//! cargo run -p timeline -- target/timeline.svg
//! ```

mod item;
mod picture;
mod recorder;
mod svg;
mod way;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Parser;

use crate::item::forty_items;
use crate::recorder::Timeline;
use crate::way::Way;

/// Handles the same forty items one at a time, in batches, with a blocking fold and with this crate, and draws a timeline
/// for each.
#[derive(Parser)]
#[command(name = "timeline")]
struct Args {
    /// Where to write the picture
    #[arg(value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/timeline.svg"))]
    file: PathBuf,
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> io::Result<()> {
    let args = Args::parse();
    let items = forty_items();
    let mut panels = Vec::new();
    for way in Way::ALL {
        panels.push((way, way.run(&items).await));
    }
    fs::write(&args.file, picture::draw(&panels))?;
    println!("{}", told(&panels, &fs::canonicalize(args.file)?));
    Ok(())
}

/// What the picture shows, and where it was written.
fn told(panels: &[(Way, Timeline)], file: &Path) -> String {
    let mut told = String::from("The same forty items, handled in four ways:\n\n");
    for (way, timeline) in panels {
        let (title, note) = (way.title(), way.note());
        let done = format!("done after {} s", timeline.makespan());
        told.push_str(&format!("{title:>16}  {done:16}  {note}\n"));
    }
    told + &format!("\nThe picture is in {}", file.display())
}
