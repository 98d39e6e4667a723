//! One PostgreSQL server of ours: its folder, its data directory, its process.
//!
//! Everything is made for being thrown away: a new folder for each server, no durability, and a
//! stop that waits for nothing. Dropping the [`Instance`] stops the server and removes the folder.

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

use super::sweep::{self, PREFIX};
use super::user::RunAs;
use crate::cache::random_hex;
use crate::clock;
use crate::cluster::{BRIDGE_ADDRESS, PODS};

/// How long a new server may take to accept connections; under two seconds is usual.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// How long a server may take to stop before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// Another program can take a free port before our server does: tried again this often.
const PORT_TRIES: usize = 5;
/// How much of a server's log is shown when it does not start.
const LOG_LINES_SHOWN: usize = 12;

/// A running server.
pub(crate) struct Instance {
    /// How to reach it.
    pub(crate) running: Running,
    // In this order: the process is stopped before its folder is removed.
    process: ServerProcess,
    folder: Folder,
}

/// A server that accepts connections.
pub(crate) struct Running {
    /// Its port on 127.0.0.1.
    pub(crate) port: u16,
    /// The password of its superuser, `postgres`.
    pub(crate) password: String,
    /// Whether Pods of the test cluster reach it, at [`BRIDGE_ADDRESS`].
    pub(crate) for_pods: bool,
    /// Its log.
    pub(crate) log: PathBuf,
}

impl Instance {
    /// Starts a new server from these binaries.
    pub(crate) fn start(major: u8, bin: &Path) -> Result<Instance> {
        let folder = Folder::create(major)?;
        let (process, running) = start(&folder, bin)?;
        Ok(Instance {
            running,
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
    fn create(major: u8) -> Result<Folder> {
        let user = RunAs::choose();
        let name = format!("{PREFIX}{major}-{}", random_hex(6)?);
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

    /// A command of the server's user in the server's folder.
    fn command(&self, program: &Path) -> Command {
        let mut command = self.user.command(program);
        command.current_dir(&self.path).stdin(Stdio::null());
        command
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        sweep::remove(&self.path, &self.lock_path);
    }
}

/// The server's process, stopped when this is dropped.
struct ServerProcess(Child);

impl ServerProcess {
    /// How it ended, if it did.
    fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.0.try_wait().context("the server cannot be watched")
    }
}

impl Drop for ServerProcess {
    /// Stops it at once: nobody will read its data again, so no checkpoint is waited for.
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.0);
        if !matches!(self.0.try_wait(), Ok(None)) {
            return;
        }
        // Errors mean that it has ended, which is what we want.
        let _ = kill_process(pid, Signal::QUIT);
        let started = clock::now();
        while started.elapsed() < STOP_PATIENCE {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = kill_process_group(pid, Signal::KILL);
        let _ = self.0.wait();
    }
}

fn start(folder: &Folder, bin: &Path) -> Result<(ServerProcess, Running)> {
    let bin = reachable(folder, bin)?;
    let password = random_hex(16)?;
    init(folder, &bin, &password)?;
    for _ in 0..PORT_TRIES {
        let port = free_port()?;
        let for_pods = TcpListener::bind((BRIDGE_ADDRESS, port)).is_ok();
        let mut server = launch(folder, &bin, port, for_pods)?;
        if wait_until_ready(folder, &mut server)? {
            let log = folder.log();
            return Ok((
                server,
                Running {
                    port,
                    password,
                    for_pods,
                    log,
                },
            ));
        }
        // Somebody else took the port in between.
    }
    bail!("no free port was found for a server in {PORT_TRIES} tries")
}

/// The binaries in a place where the server's user can run them. A cache below root's home is
/// closed to everybody else, so root copies them (50 MB) into the server's folder.
fn reachable(folder: &Folder, bin: &Path) -> Result<PathBuf> {
    let works = |bin: &Path| {
        let tried = folder
            .command(&bin.join("postgres"))
            .arg("--version")
            .output();
        tried.is_ok_and(|output| output.status.success())
    };
    if works(bin) {
        return Ok(bin.to_path_buf());
    }
    let origin = bin
        .parent()
        .context("the server's binaries have no folder around them")?;
    let copy = folder.path.join("install");
    copy_tree(origin, &copy, folder.user)?;
    let bin = copy.join("bin");
    let tried = folder
        .command(&bin.join("postgres"))
        .arg("--version")
        .output()
        .context("PostgreSQL cannot be run as user nobody")?;
    ensure!(
        tried.status.success(),
        "PostgreSQL from {} does not run here: {}",
        origin.display(),
        String::from_utf8_lossy(&tried.stderr).trim_end()
    );
    Ok(bin)
}

/// Copies folders, files and links, and gives them to `user`.
fn copy_tree(from: &Path, to: &Path, user: RunAs) -> Result<()> {
    let describe = || format!("{} cannot be copied to {}", from.display(), to.display());
    let kind = from.symlink_metadata().with_context(describe)?.file_type();
    if kind.is_dir() {
        std::fs::create_dir(to).with_context(describe)?;
        for entry in from.read_dir().with_context(describe)? {
            let entry = entry.with_context(describe)?;
            copy_tree(&entry.path(), &to.join(entry.file_name()), user)?;
        }
    } else if kind.is_symlink() {
        let target = from.read_link().with_context(describe)?;
        std::os::unix::fs::symlink(target, to).with_context(describe)?;
    } else {
        std::fs::copy(from, to).with_context(describe)?;
    }
    user.own(to)
}

fn init(folder: &Folder, bin: &Path, password: &str) -> Result<()> {
    // By file, because arguments can be read by everybody on the machine.
    let password_file = folder.path.join("password");
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&password_file)
        .context("a password file cannot be created")?;
    file.write_all(password.as_bytes())
        .context("a password file cannot be written")?;
    folder.user.own(&password_file)?;
    let output = folder
        .command(&bin.join("initdb"))
        .args([
            "--username=postgres",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--no-locale",
        ])
        .args(["--no-sync", "--no-instructions"])
        .arg("--pwfile")
        .arg(&password_file)
        .arg("--pgdata")
        .arg(folder.data())
        .output()
        .context("initdb cannot be started")?;
    ensure!(
        output.status.success(),
        "initdb failed:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    std::fs::remove_file(&password_file).context("a password file cannot be removed")?;
    admit_pods(&folder.data().join("pg_hba.conf"))
}

/// Lets Pods in by password; without a node nobody has such an address.
fn admit_pods(rules: &Path) -> Result<()> {
    OpenOptions::new()
        .append(true)
        .open(rules)
        .and_then(|mut file| writeln!(file, "host all all {PODS} scram-sha-256"))
        .with_context(|| format!("{} cannot be written", rules.display()))
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("127.0.0.1 has no free port")?;
    Ok(listener
        .local_addr()
        .context("a port cannot be read")?
        .port())
}

fn launch(folder: &Folder, bin: &Path, port: u16, for_pods: bool) -> Result<ServerProcess> {
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(folder.log())
        .context("the server's log cannot be created")?;
    let errors = log
        .try_clone()
        .context("the server's log cannot be shared")?;
    let mut command = folder.command(&bin.join("postgres"));
    command
        .arg("-D")
        .arg(folder.data())
        .arg("-p")
        .arg(port.to_string());
    let addresses = match for_pods {
        true => format!("listen_addresses=127.0.0.1,{BRIDGE_ADDRESS}"),
        false => "listen_addresses=127.0.0.1".to_owned(),
    };
    for setting in [
        addresses.as_str(),
        // Installed binaries would want a folder that belongs to somebody else.
        "unix_socket_directories=",
        "max_connections=200",
        // The data are thrown away: nothing needs to survive a power cut.
        "fsync=off",
        "synchronous_commit=off",
        "full_page_writes=off",
        // Tests look for passwords in the log, and people for what was done.
        "log_statement=all",
        "log_min_messages=log",
        "log_line_prefix=%m [%p] %q%u@%d ",
        "shared_preload_libraries=",
    ] {
        command.arg("-c").arg(setting);
    }
    let server = command.stdout(log).stderr(errors).process_group(0).spawn();
    Ok(ServerProcess(
        server.context("the server cannot be started")?,
    ))
}

/// True when the server accepts connections, false when its port was taken.
fn wait_until_ready(folder: &Folder, server: &mut ServerProcess) -> Result<bool> {
    let started = clock::now();
    while started.elapsed() < START_PATIENCE {
        if let Some(status) = server.ended()? {
            let log = tail(&folder.log());
            if log.contains("could not create any TCP/IP sockets") {
                return Ok(false);
            }
            bail!("the server ended while starting ({status}):\n{log}");
        }
        let pid_file = std::fs::read_to_string(folder.data().join("postmaster.pid"));
        if pid_file.is_ok_and(|text| is_ready(&text)) {
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

/// The eighth line of `postmaster.pid` is the server's state (PostgreSQL 10 and later).
fn is_ready(pid_file: &str) -> bool {
    pid_file
        .lines()
        .nth(7)
        .is_some_and(|state| state.trim() == "ready")
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_ready_when_its_eighth_line_says_so() {
        let starting = "1\n/data\n2\n5433\n\n127.0.0.1\n  42  1\nstarting\n";
        assert!(!is_ready(starting));
        assert!(is_ready(&starting.replace("starting", "ready   ")));
    }
}
