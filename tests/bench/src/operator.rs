//! An operator in a process of its own, and what it weighs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// How long it may take to stop when it is told to.
const STOP_LIMIT: Duration = Duration::from_secs(40);
/// The kernel's unit of processor time for programs (USER_HZ) is this on every machine that we build for.
const TICKS_PER_SECOND: f64 = 100.0;

/// Which program, and what it is told.
#[derive(Debug, Clone)]
pub struct Program {
    /// The binary.
    pub path: PathBuf,
    /// The cluster.
    pub kubeconfig: PathBuf,
    /// The Lease's namespace.
    pub namespace: String,
    /// How often a database at rest is looked at.
    pub heartbeat: Duration,
    /// Where it listens, as `host:port`.
    pub listen: String,
    /// Where its log goes.
    pub log: PathBuf,
}

/// What a process weighs, in bytes.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// What of it is in memory (VmRSS).
    pub rss: u64,
    /// The same, with shared pages divided among those who share them.
    pub pss: u64,
    /// Of it what is no file's: heap and stacks.
    pub anonymous: u64,
    /// The most that it was (VmHWM).
    pub peak: u64,
}

/// An operator at work.
pub struct Operator {
    child: Child,
    pid: Pid,
    /// When it was started.
    pub started: Instant,
}

impl Operator {
    /// Starts one.
    pub fn start(program: &Program) -> Result<Self> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&program.log)
            .with_context(|| format!("{} cannot be written", program.log.display()))?;
        let started = Instant::now();
        let mut command = Command::new(&program.path);
        command
            .args(["run", "--listen", &program.listen, "--log-level", "warn"])
            .arg(format!("--kubeconfig={}", program.kubeconfig.display()))
            .arg(format!("--lease-namespace={}", program.namespace))
            .arg(format!("--heartbeat={}s", program.heartbeat.as_secs()))
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true);
        let child = command
            .spawn()
            .with_context(|| format!("{} cannot be started", program.path.display()))?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        let pid = pid
            .and_then(Pid::from_raw)
            .context("it has no process id")?;
        Ok(Self {
            child,
            pid,
            started,
        })
    }

    /// Tells it to stop, and waits until it has.
    pub async fn stop(mut self) -> Result<()> {
        kill_process(self.pid, Signal::TERM).context("it has ended by itself")?;
        let status = tokio::time::timeout(STOP_LIMIT, self.child.wait()).await;
        let status = status.context("the operator does not stop")??;
        ensure!(status.success(), "the operator ended with {status}");
        Ok(())
    }

    /// Kills it.
    pub async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Fails where it has ended.
    pub fn lives(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                anyhow::bail!("the operator ended by itself with {status}; see its log")
            }
        }
    }

    /// What it weighs now.
    pub fn memory(&self) -> Result<Memory> {
        let of = |file: &str, field: &str| self.bytes(file, field);
        Ok(Memory {
            rss: of("status", "VmRSS")?,
            pss: of("smaps_rollup", "Pss")?,
            anonymous: of("smaps_rollup", "Anonymous")?,
            peak: of("status", "VmHWM")?,
        })
    }

    fn bytes(&self, file: &str, field: &str) -> Result<u64> {
        let path = self.proc(file);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        let line = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name == field).then(|| value.trim().trim_end_matches(" kB").to_owned())
        });
        let kilobytes: u64 = line
            .with_context(|| format!("{} has no {field}", path.display()))?
            .parse()?;
        Ok(kilobytes * 1024)
    }

    /// Seconds of processor time that it has used.
    pub fn processor(&self) -> Result<f64> {
        let text = std::fs::read_to_string(self.proc("stat"))?;
        // The name of the program, in brackets, may hold anything.
        let (_, fields) = text.rsplit_once(')').context("/proc/PID/stat is unusual")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        Ok(ticks as f64 / TICKS_PER_SECOND)
    }

    fn proc(&self, file: &str) -> PathBuf {
        Path::new("/proc")
            .join(self.pid.as_raw_nonzero().to_string())
            .join(file)
    }
}
