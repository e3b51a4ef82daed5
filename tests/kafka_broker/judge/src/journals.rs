//! Journals: the files of all processes, read as one.

use std::ffi::OsStr;
use std::path::Path;
use std::{fs, io};

use crate::event::Event;

/// Reads every `*.journal` of a folder, and returns all events in the order of their time.
///
/// A last line without its end is left out: its process was killed while it wrote.
///
/// # Errors
///
/// If a file cannot be read, or a line is not an event. The error names the file and the line.
pub fn read(folder: &Path) -> io::Result<Vec<Event>> {
    let mut events = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new("journal")) {
            events.extend(read_file(&path)?);
        }
    }
    events.sort_by_key(|event| event.at);
    Ok(events)
}

fn read_file(path: &Path) -> io::Result<Vec<Event>> {
    let text = fs::read_to_string(path)?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let lines = (1..).zip(whole.lines());
    let events = lines.map(|(number, line)| {
        line.parse().map_err(|why| {
            let place = format!("{}, line {number}", path.display());
            io::Error::new(io::ErrorKind::InvalidData, format!("{place}: {why}"))
        })
    });
    events.collect()
}
