//! Child processes that never outlive xtask: each in a process group of its own, all ended on
//! Ctrl-C and SIGTERM, together with what else must be tidied up.
//!
//! SIGKILL cannot be caught: servers are then stopped by their keeper (`servers/keeper.rs`), and
//! temporary folders of proofs stay below `target/`.

use std::io::{BufRead as _, BufReader, PipeReader};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::clock;
use crate::servers::Keeper;
use crate::workspace::show;

/// How often a silent child's attendant is called, so that a person sees that work goes on.
const TICK: Duration = Duration::from_secs(1);
/// How long children may take to end after SIGTERM, before SIGKILL.
const GRACE: Duration = Duration::from_secs(5);
/// The exit status of a program that Ctrl-C ended, as shells know it: 128 + SIGINT.
const INTERRUPTED_STATUS: i32 = 130;

/// What a running child gives its attendant.
pub(crate) enum Event<'a> {
    /// A line of its output (stdout and stderr in the order written), without the line end.
    Line(&'a str),
    /// A second went by, with output or without.
    Tick,
}

/// What must be ended or removed when xtask is interrupted.
struct Live {
    groups: Vec<Pid>,
    keepers: Vec<(u64, Keeper)>,
    folders: Vec<PathBuf>,
}

static LIVE: Mutex<Live> = Mutex::new(Live {
    groups: Vec::new(),
    keepers: Vec::new(),
    folders: Vec::new(),
});
static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static NEXT_KEEPER: AtomicU64 = AtomicU64::new(0);

/// The process that a text names. PostgreSQL writes the number of a standalone backend, as `initdb`
/// starts it, with a minus sign: that ends by itself, and a signal to it would be one to a group.
pub(crate) fn pid_of(text: &str) -> Option<Pid> {
    let number: u32 = text.trim().parse().ok()?;
    Pid::from_raw(number.try_into().ok()?)
}

/// Makes Ctrl-C, SIGTERM and SIGHUP end children, stop servers and remove temporary folders.
pub(crate) fn watch_signals() -> Result<()> {
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGHUP]).context("signal handlers cannot be installed")?;
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            end_everything();
            std::process::exit(INTERRUPTED_STATUS);
        }
    });
    Ok(())
}

/// Runs a child to its end and hands its output to `attend` line by line, with a tick each second.
pub(crate) fn run(command: &mut Command, attend: &mut dyn FnMut(Event<'_>)) -> Result<ExitStatus> {
    let (reader, writer) = std::io::pipe().context("a pipe cannot be made")?;
    let stderr = writer.try_clone().context("a pipe cannot be shared")?;
    command.stdin(Stdio::null()).stdout(writer).stderr(stderr);
    let mut child = spawn(command)?;
    // The command keeps our ends of the pipe open: they must go, or it would never end.
    command.stdout(Stdio::null()).stderr(Stdio::null());

    let lines = read_lines(reader);
    let mut ticked = clock::now();
    let mut ended = None;
    loop {
        match lines.recv_timeout(TICK) {
            Ok(line) => attend(Event::Line(&line)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if ticked.elapsed() >= TICK {
            ticked = clock::now();
            attend(Event::Tick);
            // A process that the child left behind may hold the pipe open for ever.
            if child
                .inner
                .try_wait()
                .context("a child cannot be waited for")?
                .is_some()
                && ended.get_or_insert(ticked).elapsed() > GRACE
            {
                end_groups(&[child.group]);
                break;
            }
        }
    }
    child.wait()
}

/// The lines of a pipe, without line ends, as they come.
fn read_lines(reader: PipeReader) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(reader);
        let mut bytes = Vec::new();
        while reader
            .read_until(b'\n', &mut bytes)
            .is_ok_and(|count| count > 0)
        {
            let line = String::from_utf8_lossy(&bytes)
                .trim_end_matches(['\n', '\r'])
                .to_owned();
            if sender.send(line).is_err() {
                return;
            }
            bytes.clear();
        }
    });
    lines
}

/// A child that runs beside us; dropping it ends it.
pub(crate) struct Background {
    group: Pid,
    lines: Receiver<String>,
    waiting: Receiver<std::io::Result<ExitStatus>>,
    ended: Option<ExitStatus>,
}

impl Background {
    /// Starts it; its output is kept until it is fetched.
    pub(crate) fn start(command: &mut Command) -> Result<Background> {
        let (reader, writer) = std::io::pipe().context("a pipe cannot be made")?;
        let stderr = writer.try_clone().context("a pipe cannot be shared")?;
        command.stdin(Stdio::null()).stdout(writer).stderr(stderr);
        let mut child = spawn(command)?;
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let group = child.group;
        let (sender, waiting) = mpsc::channel();
        // Waited for at once, so that an interrupt never finds a dead child that looks alive.
        std::thread::spawn(move || {
            let status = child.inner.wait();
            drop(child);
            // Nobody may be interested any more.
            let _ = sender.send(status);
        });
        Ok(Background {
            group,
            lines: read_lines(reader),
            waiting,
            ended: None,
        })
    }

    /// The next line of its output, if one is there.
    pub(crate) fn line(&self) -> Option<String> {
        self.lines.try_recv().ok()
    }

    /// The next line of its output, or nothing once all of it has been read and it has ended.
    pub(crate) fn line_or_end(&self) -> Option<String> {
        self.lines.recv().ok()
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none()
            && let Ok(status) = self.waiting.try_recv()
        {
            self.ended = Some(status.context("a child cannot be waited for")?);
        }
        Ok(self.ended)
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        self.wait_at_most(Duration::MAX)?
            .context("a child has not ended")
    }

    /// Ends it: politely at first, then by force.
    pub(crate) fn stop(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.ended()? {
            return Ok(status);
        }
        // A group that has ended by itself is what we want.
        let _ = kill_process_group(self.group, Signal::TERM);
        if let Some(status) = self.wait_at_most(GRACE)? {
            return Ok(status);
        }
        let _ = kill_process_group(self.group, Signal::KILL);
        self.wait()
    }

    fn wait_at_most(&mut self, patience: Duration) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = match self.waiting.recv_timeout(patience) {
                Ok(status) => Some(status.context("a child cannot be waited for")?),
                Err(_) => None,
            };
        }
        stop_if_interrupted();
        Ok(self.ended)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // After an interrupt the signal thread ends all children.
        if !INTERRUPTED.load(Ordering::SeqCst) {
            let _ = self.stop();
        }
    }
}

/// Runs a child that shares our terminal, with a tick each second.
pub(crate) fn run_shared(command: &mut Command, attend: &mut dyn FnMut()) -> Result<ExitStatus> {
    let mut child = spawn(command.stdin(Stdio::null()))?;
    let mut ticked = clock::now();
    loop {
        if let Some(status) = child
            .inner
            .try_wait()
            .context("a child cannot be waited for")?
        {
            stop_if_interrupted();
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(20));
        if ticked.elapsed() >= TICK {
            ticked = clock::now();
            attend();
        }
    }
}

/// Stays here for good once xtask was interrupted: the signal thread ends the process, and
/// nothing more must be started or printed meanwhile.
pub(crate) fn stop_if_interrupted() {
    while INTERRUPTED.load(Ordering::SeqCst) {
        std::thread::park();
    }
}

/// Blocks until Ctrl-C or SIGTERM.
pub(crate) fn sleep_until_interrupted() -> ! {
    loop {
        std::thread::park();
    }
}

/// A folder that is removed when this goes out of scope, or when xtask is interrupted.
pub(crate) struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    /// A new empty folder at `path`; what an earlier run left there is removed.
    pub(crate) fn new(path: PathBuf) -> Result<TemporaryFolder> {
        live().folders.push(path.clone());
        // Where this fails, the next line says what is wrong with the place.
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path)
            .with_context(|| format!("{} cannot be created", path.display()))?;
        Ok(TemporaryFolder(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // Failing to remove it harms nothing: it lies below a folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
        live().folders.retain(|path| *path != self.0);
    }
}

/// Starts a server's keeper and remembers it; the number is for [`release`].
pub(crate) fn keep(start: impl FnOnce() -> Result<Keeper>) -> Result<u64> {
    stop_if_interrupted();
    let mut live = live();
    let keeper = start()?;
    let number = NEXT_KEEPER.fetch_add(1, Ordering::Relaxed);
    live.keepers.push((number, keeper));
    Ok(number)
}

/// Stops the server of this number; nothing to do where that has happened.
pub(crate) fn release(number: u64) {
    let keeper = {
        let mut live = live();
        let found = live.keepers.iter().position(|(other, _)| *other == number);
        found.map(|index| live.keepers.remove(index).1)
    };
    if let Some(keeper) = keeper {
        keeper.stop();
    }
}

/// Lets the keeper of this number live on after us.
pub(crate) fn let_go(number: u64) -> Result<()> {
    let mut live = live();
    let found = live.keepers.iter().position(|(other, _)| *other == number);
    let index = found.context("what was kept is ending")?;
    live.keepers.remove(index).1.let_go()
}

/// A child in a process group of its own, known to the signal handler until it was waited for.
struct Registered {
    inner: Child,
    group: Pid,
}

fn spawn(command: &mut Command) -> Result<Registered> {
    stop_if_interrupted();
    // The lock is held across the start, so that an interrupt sees every child there is.
    let mut live = live();
    let inner = command
        .process_group(0)
        .spawn()
        .with_context(|| format!("`{}` cannot be started", show(command)))?;
    let group = Pid::from_child(&inner);
    live.groups.push(group);
    Ok(Registered { inner, group })
}

impl Registered {
    fn wait(mut self) -> Result<ExitStatus> {
        let status = self.inner.wait().context("a child cannot be waited for")?;
        stop_if_interrupted();
        Ok(status)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        live().groups.retain(|group| *group != self.group);
    }
}

fn end_everything() {
    let (groups, keepers, folders) = {
        let mut live = live();
        INTERRUPTED.store(true, Ordering::SeqCst);
        (
            live.groups.clone(),
            std::mem::take(&mut live.keepers),
            std::mem::take(&mut live.folders),
        )
    };
    eprintln!("\ninterrupted: ending children, stopping servers, removing temporary files");
    end_groups(&groups);
    // What was started last may need what was started before it, to end in good order.
    for (_, keeper) in keepers.into_iter().rev() {
        keeper.stop();
    }
    for folder in folders {
        // As above: what cannot be removed lies among temporary files.
        let _ = std::fs::remove_dir_all(folder);
    }
}

/// Ends process groups: politely at first, then by force.
fn end_groups(groups: &[Pid]) {
    for group in groups {
        // A group that has ended by itself is what we want.
        let _ = kill_process_group(*group, Signal::TERM);
    }
    let started = clock::now();
    while started.elapsed() < GRACE {
        if groups
            .iter()
            .all(|group| test_kill_process_group(*group).is_err())
        {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    for group in groups {
        let _ = kill_process_group(*group, Signal::KILL);
    }
}

/// The registry, also after a panic elsewhere: each change to it is a single step.
fn live() -> MutexGuard<'static, Live> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}
