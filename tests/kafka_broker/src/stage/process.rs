//! Process: one that was started for a scenario, and is killed when it is dropped.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::clock;

#[derive(Debug)]
pub(super) struct Process {
    name: String,
    child: Child,
    started: u64,
    stderr: PathBuf,
}

impl Process {
    pub(super) fn start(
        program: &Path,
        args: impl Iterator<Item = OsString>,
        stderr: &Path,
    ) -> Result<Self> {
        let started = clock::now();
        let child = Command::new(program)
            .args(args)
            // Its last words are its error, without a backtrace of it.
            .env("RUST_LIB_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(stderr)?)
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        let name = program.file_name().unwrap_or_default();
        Ok(Self {
            name: name.to_string_lossy().into_owned(),
            child,
            started,
            stderr: stderr.to_owned(),
        })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn started(&self) -> u64 {
        self.started
    }

    pub(super) fn terminate(&self) -> Result<()> {
        kill_process(self.pid(), Signal::TERM)
            .with_context(|| format!("{self} cannot be asked to end"))
    }

    /// Stops all its threads, and returns when they have stopped: from then on it writes nothing.
    ///
    /// # Errors
    ///
    /// If it has ended.
    pub(super) fn freeze(&self) -> Result<()> {
        kill_process(self.pid(), Signal::STOP)
            .with_context(|| format!("{self} cannot be frozen"))?;
        let change = waitpid(Some(self.pid()), WaitOptions::UNTRACED)?;
        let is_frozen = change.is_some_and(|(_, status)| status.stopped());
        ensure!(is_frozen, "{self} has ended, and cannot be frozen");
        Ok(())
    }

    /// Lets it go on that is frozen.
    pub(super) fn wake(&self) -> Result<()> {
        kill_process(self.pid(), Signal::CONT).with_context(|| format!("{self} cannot be woken up"))
    }

    /// Ends it at once, also if it is frozen.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    pub(super) fn wait(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }

    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// The end of what it wrote to its standard error.
    pub(super) fn last_words(&self) -> String {
        let words = fs::read_to_string(&self.stderr).unwrap_or_default();
        let mut lines = words.lines().collect::<Vec<_>>();
        lines.dedup();
        let lines = &lines[lines.len().saturating_sub(10)..];
        lines.join(" | ")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.kill();
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.name, self.id())
    }
}
