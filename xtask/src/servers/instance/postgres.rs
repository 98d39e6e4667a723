//! PostgreSQL: `initdb`, the settings of a server that is thrown away, and when it is ready.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use super::{Flavor, Folder, Place, addresses, put_tree};
use crate::cluster::PODS;

pub(super) struct Postgres;

/// Where a replica finds the password of the server that it follows, as libpq's `passfile`.
const PASSWORDS: &str = "pgpass";

impl Flavor for Postgres {
    fn init(&self, place: &Place<'_>, password: &str) -> Result<()> {
        let folder = place.folder;
        // By file, because arguments can be read by everybody on the machine.
        let password_file = folder.write_private("password", password)?;
        let output = folder
            .in_it(folder.user.command(&place.layout.beside("initdb")))
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

    fn server(&self, place: &Place<'_>, port: u16, for_pods: bool) -> Result<Command> {
        let folder = place.folder;
        let mut command = folder.in_it(place.layout.command(folder.user));
        command
            .arg("-D")
            .arg(folder.data())
            .arg("-p")
            .arg(port.to_string());
        let addresses = format!("listen_addresses={}", addresses(for_pods));
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
        Ok(command)
    }

    fn init_replica(&self, of: &Place<'_>, replica: &Place<'_>, password: &str) -> Result<()> {
        let folder = replica.folder;
        put_tree(&of.folder.data(), &folder.data(), folder.user)?;
        // Of a replica the server needs no more than to be told so (manual, section 26.2.4).
        let signal = folder.data().join("standby.signal");
        std::fs::write(&signal, "").context("a replica cannot be made")?;
        folder.user.own(&signal)?;
        let line = format!("127.0.0.1:*:*:postgres:{password}\n");
        folder.write_private(PASSWORDS, &line).map(drop)
    }

    fn follow(&self, command: &mut Command, replica: &Folder, of: u16, _: &str) -> Result<()> {
        let passwords = replica.path.join(PASSWORDS);
        command.arg("-c").arg(format!(
            "primary_conninfo=host=127.0.0.1 port={of} user=postgres passfile={}",
            passwords.display()
        ));
        Ok(())
    }

    fn is_ready(&self, folder: &Folder) -> bool {
        let pid_file = std::fs::read_to_string(folder.data().join("postmaster.pid"));
        pid_file.is_ok_and(|text| says_ready(&text))
    }

    fn port_is_taken(&self) -> &'static str {
        "could not create any TCP/IP sockets"
    }

    fn end(&self) -> Signal {
        // It ends its children without a checkpoint.
        Signal::QUIT
    }

    fn statements(&self, folder: &Folder) -> PathBuf {
        folder.log()
    }
}

/// Lets Pods in by password; without a node nobody has such an address.
fn admit_pods(rules: &Path) -> Result<()> {
    OpenOptions::new()
        .append(true)
        .open(rules)
        .and_then(|mut file| writeln!(file, "host all all {PODS} scram-sha-256"))
        .with_context(|| format!("{} cannot be written", rules.display()))
}

/// The eighth line of `postmaster.pid` is the server's state (PostgreSQL 10 and later).
fn says_ready(pid_file: &str) -> bool {
    pid_file
        .lines()
        .nth(7)
        .is_some_and(|state| state.trim() == "ready")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_ready_when_its_eighth_line_says_so() {
        let starting = "1\n/data\n2\n5433\n\n127.0.0.1\n  42  1\nstarting\n";
        assert!(!says_ready(starting));
        assert!(says_ready(&starting.replace("starting", "ready   ")));
    }
}
