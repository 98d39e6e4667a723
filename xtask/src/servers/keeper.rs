//! The keeper: a small process that owns one server from its first file to its last.
//!
//! xtask starts itself once more as the keeper and holds a pipe to it. When the pipe closes,
//! because xtask drops the server, ends or is killed, the keeper stops the server and removes its
//! folder. So there is one way to clean up, and it works after SIGKILL too. Only when the keeper
//! itself is killed does something stay behind: the next start sweeps it away (`sweep.rs`).

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::certificate;
use super::instance::{Instance, Running};
use super::name::Name;

/// How often a running server is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// What a keeper reads before the end of its pipe when it shall live on.
const LET_GO: &[u8] = b"live on\n";

/// xtask's end of a keeper.
pub(crate) struct Keeper {
    process: Child,
    lifeline: Option<ChildStdin>,
}

impl Keeper {
    /// Starts a keeper, and with it a server from the files in `root`.
    pub(crate) fn start(name: Name, root: &Path) -> Result<(Keeper, Running)> {
        let name_text = name.to_string();
        let arguments = ["keep-server".as_ref(), name_text.as_ref(), root.as_os_str()];
        let (mut keeper, mut report) = Keeper::launch(&arguments, Stdio::inherit())?;
        let mut line = String::new();
        report
            .read_line(&mut line)
            .context("the keeper cannot be read")?;
        match parse_report(&line) {
            Some(running) => Ok((keeper, running)),
            None => {
                keeper.end();
                // The keeper has said on stderr what went wrong.
                bail!("{} from {} did not start", name.title(), root.display())
            }
        }
    }

    /// Starts xtask once more, with these arguments, as a keeper; gives it and what it reports.
    pub(crate) fn launch(
        arguments: &[&OsStr],
        errors: Stdio,
    ) -> Result<(Keeper, BufReader<ChildStdout>)> {
        let mut process = Command::new(ourselves()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            // Ctrl-C on the terminal is for xtask, which closes the pipe in good order.
            .process_group(0)
            .spawn()
            .context("a keeper cannot be started")?;
        let lifeline = process.stdin.take();
        let report = process.stdout.take().context("the keeper has no output")?;
        Ok((Keeper { process, lifeline }, BufReader::new(report)))
    }

    /// Lets it live on without us.
    pub(crate) fn let_go(mut self) -> Result<()> {
        let mut lifeline = self.lifeline.take().context("the keeper is ending")?;
        lifeline
            .write_all(LET_GO)
            .context("the keeper cannot be let go")
    }

    /// Stops the server and waits until its folder is gone.
    pub(crate) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.lifeline.take());
        // The keeper bounds each of its steps, so this ends; its status tells nothing more.
        let _ = self.process.wait();
    }
}

/// The program that is running. A build of the workspace replaces xtask's file while xtask runs;
/// on Linux the running one can be named all the same.
fn ourselves() -> Result<PathBuf> {
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() {
        return Ok(running);
    }
    std::env::current_exe().context("xtask cannot find itself")
}

/// The keeper's own main function, behind the hidden command `keep-server`.
pub(crate) fn keep(name: Name, root: &Path) -> Result<()> {
    let stop = watch_for_the_end()?;
    let mut instance = Instance::start(name, root)?;
    // Where nobody reads it, xtask is gone, and the closed pipe says so below.
    let _ = writeln!(std::io::stdout(), "{}", report(&instance.running));
    while let Err(RecvTimeoutError::Timeout) = stop.recv_timeout(LOOK_EVERY) {
        if let Some(status) = instance.ended()? {
            eprintln!(
                "{} ended by itself ({status}):\n{}",
                name.title(),
                instance.last_words()
            );
            return Ok(());
        }
    }
    Ok(())
}

/// Gives a message, or hangs up, when xtask is gone or wants an end of what is kept.
pub(crate) fn watch_for_the_end() -> Result<Receiver<()>> {
    let (sender, stop) = mpsc::channel();
    let from_signals = sender.clone();
    let mut signals =
        Signals::new([SIGTERM, SIGINT, SIGHUP]).context("signal handlers cannot be installed")?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            // Nobody listens any more only when the keeper is ending already.
            let _ = from_signals.send(());
        }
    });
    std::thread::spawn(move || {
        let mut last_words = Vec::new();
        let _ = std::io::stdin().read_to_end(&mut last_words);
        if last_words != LET_GO {
            let _ = sender.send(());
        }
    });
    Ok(stop)
}

/// What the keeper tells xtask, in one line through a pipe that nobody else can read.
fn report(running: &Running) -> String {
    format!(
        "ready {} {} {} {} {} {}",
        running.port,
        // No server has this port.
        running.replica.unwrap_or(0),
        running.password,
        running.for_pods,
        running.authority.is_some(),
        running.log.display()
    )
}

fn parse_report(line: &str) -> Option<Running> {
    let mut words = line
        .trim_end_matches('\n')
        .strip_prefix("ready ")?
        .splitn(6, ' ');
    let (port, replica) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let password = words.next()?.to_owned();
    let for_pods = words.next()?.parse().ok()?;
    let certified: bool = words.next()?.parse().ok()?;
    let log = PathBuf::from(words.next()?);
    // Both are in the server's folder.
    let authority = log.parent().map(certificate::authority);
    Some(Running {
        port,
        replica: Some(replica).filter(|port| *port != 0),
        password,
        for_pods,
        authority: authority.filter(|_| certified),
        log,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_survives_the_pipe() {
        let running = Running {
            port: 5433,
            replica: Some(5434),
            password: "abc".into(),
            for_pods: true,
            authority: Some("/a folder/ca.pem".into()),
            log: "/a folder/log".into(),
        };
        let read = parse_report(&format!("{}\n", report(&running))).unwrap();
        assert_eq!((read.port, read.password), (5433, "abc".to_owned()));
        assert_eq!((read.for_pods, read.log), (true, running.log));
        assert_eq!(read.authority, running.authority);
        assert_eq!(read.replica, Some(5434));
        assert!(parse_report("").is_none());
    }
}
