//! A built example as its user meets it: its table, its refusals, its kills.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

/// A run that is to be killed; it is, at the latest, when it is dropped.
pub struct Run {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStderr>>,
}

impl Run {
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines }
    }

    pub fn went_on_after(&mut self) -> u64 {
        let line = self.lines.next().unwrap().unwrap();
        let row = line.strip_prefix("continuing after row ").expect(&line);
        number(row.split(' ').next().unwrap())
    }

    /// Reads on until a commit is announced that is at a row or past it.
    pub fn wait_for_commit(&mut self, row: u64) -> u64 {
        for line in &mut self.lines {
            let line = line.unwrap();
            if let Some((_, committed)) = line.split_once("committed row ")
                && number(committed) >= row
            {
                return number(committed);
            }
        }
        panic!("it ended before it committed row {row}");
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert!(!status.success(), "it ended before its kill");
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What it says when it refuses to run.
pub fn refused(end: &Output) -> String {
    let refusal = stderr(end);
    assert_eq!(end.status.code(), Some(2), "{refusal}");
    assert_eq!(refusal.lines().count(), 1, "{refusal}");
    assert!(end.stdout.is_empty());
    refusal
}

/// A hash of every file below a folder.
pub fn snapshot(folder: &Path) -> BTreeMap<PathBuf, u64> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.insert(path.clone(), 0);
            files.extend(snapshot(&path));
        } else {
            let mut hasher = DefaultHasher::new();
            fs::read(&path).unwrap().hash(&mut hasher);
            files.insert(path, hasher.finish());
        }
    }
    files
}

pub fn table(end: &Output) -> HashMap<String, String> {
    let table = String::from_utf8(end.stdout.clone()).unwrap();
    let lines = table
        .lines()
        .filter_map(|line| line.trim().split_once("  "));
    lines
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

pub fn stderr(end: &Output) -> String {
    String::from_utf8_lossy(&end.stderr).into_owned()
}

pub fn number(text: &str) -> u64 {
    text.replace(',', "").parse().expect(text)
}
