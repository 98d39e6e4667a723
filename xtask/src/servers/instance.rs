//! One server of ours: its folder, its data directory, its process.
//!
//! Everything is made for being thrown away: a new folder for each server, no durability, and a
//! stop that waits for nothing. Dropping the [`Instance`] stops the server and removes the folder.
//! What is different between engines is behind [`Flavor`].

mod mysql;
mod postgres;

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::certificate;
use super::layout::Layout;
use super::name::{Engine, Name};
use super::sweep;
use super::user::RunAs;
use crate::cache::random_hex;
use crate::clock;
use crate::cluster::BRIDGE_ADDRESS;

/// How long a new server may take to accept connections; two seconds are usual.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// How long a server may take to stop before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// Another program can take a free port before our server does: tried again this often.
const PORT_TRIES: usize = 5;
/// Folders that are a whole system: never copied, and open to everybody.
const SYSTEM_ROOTS: &[&str] = &["/", "/usr", "/usr/local"];
/// The permission bit that lets everybody read a file.
const OTHERS_MAY_READ: u32 = 0o004;
/// How much of a server's log is shown when it does not start.
const LOG_LINES_SHOWN: usize = 12;

/// A running server.
pub(crate) struct Instance {
    /// How to reach it.
    pub(crate) running: Running,
    // In this order: a replica ends before what it follows, and each process before its folder is removed.
    _replica: Option<Started>,
    process: ServerProcess,
    folder: Folder,
}

/// A replica's process, stopped before its folder is removed.
struct Started {
    _process: ServerProcess,
    _folder: Folder,
}

/// A server that accepts connections.
pub(crate) struct Running {
    /// Its port on 127.0.0.1.
    pub(crate) port: u16,
    /// The port of its replica, where it has one.
    pub(crate) replica: Option<u16>,
    /// The password of its superuser.
    pub(crate) password: String,
    /// Whether Pods of the test cluster reach it, at [`BRIDGE_ADDRESS`].
    pub(crate) for_pods: bool,
    /// The authority that its certificate is from, where it has one.
    pub(crate) authority: Option<PathBuf>,
    /// The log with the statements that it was given.
    pub(crate) log: PathBuf,
}

/// What is different between engines.
trait Flavor {
    /// Makes the first data, in its place; the superuser gets `password` here or at the first start.
    fn init(&self, place: &Place<'_>, password: &str) -> Result<()>;
    /// The command that runs the server on `port`; for Pods too, where `for_pods` is said.
    fn server(&self, place: &Place<'_>, port: u16, for_pods: bool) -> Result<Command>;
    /// Makes the first data of a replica, from those of the server, which has not been started yet.
    fn init_replica(&self, of: &Place<'_>, replica: &Place<'_>, password: &str) -> Result<()>;
    /// What makes a server, run by that command, the replica of the one on this port.
    fn follow(
        &self,
        command: &mut Command,
        replica: &Folder,
        of: u16,
        password: &str,
    ) -> Result<()>;
    /// Whether it accepts connections.
    fn is_ready(&self, folder: &Folder) -> bool;
    /// What its log says where another program has taken its port.
    fn port_is_taken(&self) -> &'static str;
    /// The signal that ends it sooner than any other and leaves no process.
    fn end(&self) -> Signal;
    /// The log with the statements that it was given.
    fn statements(&self, folder: &Folder) -> PathBuf;
}

fn flavor(engine: Engine) -> &'static dyn Flavor {
    match engine {
        Engine::Postgres => &postgres::Postgres,
        Engine::MariaDb => &mysql::MySql { mariadb: true },
        Engine::MySql => &mysql::MySql { mariadb: false },
    }
}

/// A server's folder and its programs.
struct Place<'a> {
    folder: &'a Folder,
    layout: Layout,
}

impl Place<'_> {
    /// The same programs, in another folder.
    fn with<'a>(&self, folder: &'a Folder) -> Place<'a> {
        Place {
            folder,
            layout: self.layout.clone(),
        }
    }
}

impl Instance {
    /// Starts a new server from the files in `root`.
    pub(crate) fn start(name: Name, root: &Path) -> Result<Instance> {
        let folder = Folder::create(name)?;
        let (process, replica, running) = start(name, &folder, root)?;
        Ok(Instance {
            running,
            _replica: replica,
            process,
            folder,
        })
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.process.ended()
    }

    /// The last lines of its log.
    pub(crate) fn last_words(&self) -> String {
        tail(&self.folder.log())
    }
}

/// A server's folder in the place for temporary files, locked by this process and removed with it.
struct Folder {
    path: PathBuf,
    user: RunAs,
    lock_path: PathBuf,
    /// Held until the folder is gone: who can take it knows that the folder has no owner.
    _lock: File,
}

impl Folder {
    fn create(name: Name) -> Result<Folder> {
        let user = RunAs::choose();
        let name = format!(
            "{}{}-{}",
            sweep::prefix(name.engine),
            name.series,
            random_hex(6)?
        );
        let path = user.temporary_folder()?.join(name);
        let lock_path = sweep::lock_of(&path);
        let lock = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&lock_path)
            .with_context(|| format!("{} cannot be created", lock_path.display()))?;
        lock.try_lock()
            .with_context(|| format!("{} cannot be locked", lock_path.display()))?;
        let folder = Folder {
            path,
            user,
            lock_path,
            _lock: lock,
        };
        std::fs::create_dir(&folder.path)
            .with_context(|| format!("{} cannot be created", folder.path.display()))?;
        std::fs::set_permissions(&folder.path, PermissionsExt::from_mode(0o700))
            .context("a folder cannot be closed to others")?;
        user.own(&folder.path)?;
        Ok(folder)
    }

    fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    fn log(&self) -> PathBuf {
        self.path.join("server.log")
    }

    fn pid_file(&self) -> PathBuf {
        sweep::pid_files(&self.path)[1].clone()
    }

    /// The command, run in the server's folder and without input.
    fn in_it(&self, mut command: Command) -> Command {
        command.current_dir(&self.path).stdin(Stdio::null());
        command
    }

    /// Writes a file that nobody else than the server's user can read.
    fn write_private(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("{} cannot be created", path.display()))?;
        file.write_all(text.as_bytes())
            .with_context(|| format!("{} cannot be written", path.display()))?;
        self.user.own(&path)?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        sweep::remove(&self.path, &self.lock_path);
    }
}

/// The server's process, stopped when this is dropped.
struct ServerProcess {
    child: Child,
    end: Signal,
}

impl ServerProcess {
    /// How it ended, if it did.
    fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .context("the server cannot be watched")
    }
}

impl Drop for ServerProcess {
    /// Stops it at once: nobody will read its data again, so no checkpoint is waited for.
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.child);
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        // Errors mean that it has ended, which is what we want.
        let _ = kill_process(pid, self.end);
        let started = clock::now();
        while started.elapsed() < STOP_PATIENCE {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = kill_process_group(pid, Signal::KILL);
        let _ = self.child.wait();
    }
}

fn start(
    name: Name,
    folder: &Folder,
    root: &Path,
) -> Result<(ServerProcess, Option<Started>, Running)> {
    let flavor = flavor(name.engine);
    let layout = reachable(name, folder, root)?;
    let place = Place { folder, layout };
    let password = random_hex(16)?;
    flavor.init(&place, &password)?;
    let beside = name
        .is_replicated
        .then(|| Folder::create(name))
        .transpose()?;
    if let Some(beside) = &beside {
        flavor.init_replica(&place, &place.with(beside), &password)?;
    }
    let (server, port, for_pods) = run(flavor, &place, |_| Ok(()))?;
    let mut replica_port = None;
    let replica = match beside {
        None => None,
        Some(beside) => {
            let (process, at, _) = run(flavor, &place.with(&beside), |command| {
                flavor.follow(command, &beside, port, &password)
            })?;
            replica_port = Some(at);
            Some(Started {
                _process: process,
                _folder: beside,
            })
        }
    };
    let authority = certificate::authority(&folder.path);
    let running = Running {
        port,
        replica: replica_port,
        password,
        for_pods,
        authority: authority.is_file().then_some(authority),
        log: flavor.statements(folder),
    };
    Ok((server, replica, running))
}

/// Runs a server on a free port; tells the port, and whether Pods reach it there.
fn run(
    flavor: &dyn Flavor,
    place: &Place<'_>,
    more: impl Fn(&mut Command) -> Result<()>,
) -> Result<(ServerProcess, u16, bool)> {
    let folder = place.folder;
    for _ in 0..PORT_TRIES {
        let port = free_port()?;
        let for_pods = TcpListener::bind((BRIDGE_ADDRESS, port)).is_ok();
        let mut command = flavor.server(place, port, for_pods)?;
        more(&mut command)?;
        let mut server = launch(folder, command, flavor.end())?;
        if wait_until_ready(flavor, folder, &mut server)? {
            return Ok((server, port, for_pods));
        }
        // Somebody else took the port in between.
    }
    bail!("no free port was found for a server in {PORT_TRIES} tries")
}

/// The server's files in a place where its user can run them. A cache below root's home is closed to
/// everybody else, so root puts them into the server's folder.
fn reachable(name: Name, folder: &Folder, root: &Path) -> Result<Layout> {
    let title = name.engine.traits().title;
    let found = |root: &Path| {
        Layout::find(name.engine, root)
            .with_context(|| format!("{} holds no {title}", root.display()))
    };
    let layout = found(root)?;
    let version = |layout: &Layout| {
        folder
            .in_it(layout.command(folder.user))
            .arg("--version")
            .output()
    };
    if version(&layout).is_ok_and(|output| output.status.success()) {
        return Ok(layout);
    }
    ensure!(
        !SYSTEM_ROOTS.iter().any(|system| root == Path::new(system)),
        "{} cannot be run as user nobody",
        layout.program.display()
    );
    let copy = folder.path.join("install");
    put_tree(root, &copy, folder.user)?;
    let layout = found(&copy)?;
    let tried =
        version(&layout).with_context(|| format!("{title} cannot be run as user nobody"))?;
    ensure!(
        tried.status.success(),
        "{title} from {} does not run here: {}",
        root.display(),
        String::from_utf8_lossy(&tried.stderr).trim_end()
    );
    Ok(layout)
}

/// Puts folders, files and links into another folder, for `user`. A file that everybody may read is the
/// same file under another name where that is possible: a server has up to 400 MB.
fn put_tree(from: &Path, to: &Path, user: RunAs) -> Result<()> {
    let describe = || format!("{} cannot be put into {}", from.display(), to.display());
    let metadata = from.symlink_metadata().with_context(describe)?;
    let kind = metadata.file_type();
    if kind.is_dir() {
        std::fs::create_dir(to).with_context(describe)?;
        for entry in from.read_dir().with_context(describe)? {
            let entry = entry.with_context(describe)?;
            put_tree(&entry.path(), &to.join(entry.file_name()), user)?;
        }
        // A server looks that nobody else can open the folder of its data.
        std::fs::set_permissions(to, metadata.permissions()).with_context(describe)?;
    } else if kind.is_symlink() {
        let target = from.read_link().with_context(describe)?;
        std::os::unix::fs::symlink(target, to).with_context(describe)?;
    } else {
        let readable = metadata.permissions().mode() & OTHERS_MAY_READ != 0;
        if readable && std::fs::hard_link(from, to).is_ok() {
            // Its owner is the cache's.
            return Ok(());
        }
        std::fs::copy(from, to).with_context(describe)?;
    }
    user.own(to)
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("127.0.0.1 has no free port")?;
    Ok(listener
        .local_addr()
        .context("a port cannot be read")?
        .port())
}

fn launch(folder: &Folder, mut command: Command, end: Signal) -> Result<ServerProcess> {
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(folder.log())
        .context("the server's log cannot be created")?;
    let errors = log
        .try_clone()
        .context("the server's log cannot be shared")?;
    let child = command.stdout(log).stderr(errors).process_group(0).spawn();
    Ok(ServerProcess {
        child: child.context("the server cannot be started")?,
        end,
    })
}

/// True when the server accepts connections, false when its port was taken.
fn wait_until_ready(
    flavor: &dyn Flavor,
    folder: &Folder,
    server: &mut ServerProcess,
) -> Result<bool> {
    let started = clock::now();
    while started.elapsed() < START_PATIENCE {
        if let Some(status) = server.ended()? {
            let log = std::fs::read_to_string(folder.log()).unwrap_or_default();
            if log.contains(flavor.port_is_taken()) {
                return Ok(false);
            }
            bail!(
                "the server ended while starting ({status}):\n{}",
                tail(&folder.log())
            );
        }
        if flavor.is_ready(folder) {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!(
        "the server was not ready after {}:\n{}",
        clock::spell(START_PATIENCE),
        tail(&folder.log())
    )
}

/// Where a server listens: on this machine alone, or for Pods too.
fn addresses(for_pods: bool) -> String {
    match for_pods {
        true => format!("127.0.0.1,{BRIDGE_ADDRESS}"),
        false => "127.0.0.1".to_owned(),
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
}
