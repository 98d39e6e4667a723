//! MySQL and MariaDB: the first data, the settings of a server that is thrown away, and when it is ready.
//!
//! Both refuse root as PostgreSQL does, take their settings as arguments alone (`--no-defaults`), and
//! learn the superuser's password from a file at their first start.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use super::{Flavor, Folder, Place, addresses, tail};
use crate::servers::certificate;

/// What a MariaDB's first tables are made of, in this order; up to 10.11 the names begin with `mysql_`.
const FIRST_TABLES: &[&str] = &[
    "mariadb_system_tables.sql",
    "mariadb_performance_tables.sql",
    "mariadb_system_tables_data.sql",
    "maria_add_gis_sp_bootstrap.sql",
    "mariadb_sys_schema.sql",
];
/// The file with the superuser's password.
const FIRST_STATEMENTS: &str = "first.sql";
/// A server that others could follow, as most of those that matter are: tools that copy a table read its changes there.
/// No commit waits for the disk, and what nobody will read again is removed when the next file is begun.
const BINARY_LOG: &[&str] = &[
    "--log-bin=binlog",
    "--binlog-format=ROW",
    "--sync-binlog=0",
    "--max-binlog-size=64M",
    "--binlog-expire-logs-seconds=120",
    // Accounts without SUPER make triggers and functions, as they do on a server without this log.
    "--log-bin-trust-function-creators=ON",
];
/// Its first file, with all since the server's first start.
const FIRST_LOG: &str = "binlog.000001";
/// The log of every statement.
const STATEMENTS: &str = "statements.log";

pub(super) struct MySql {
    pub(super) mariadb: bool,
}

impl Flavor for MySql {
    fn init(&self, place: &Place<'_>, password: &str) -> Result<()> {
        let folder = place.folder;
        certificate::make(&folder.path, folder.user)?;
        std::fs::create_dir(folder.data()).context("a data directory cannot be created")?;
        folder.user.own(&folder.data())?;
        let mut command = self.command(place)?;
        command.arg("--skip-log-bin");
        let input = match self.mariadb {
            true => {
                command.args(["--bootstrap", "--max-allowed-packet=8M", "--log-warnings=0"]);
                let tables =
                    first_tables(&place.layout.share().context("the server has no files")?)?;
                Stdio::from(open(&folder.write_private("tables.sql", &tables)?)?)
            }
            false => {
                command.arg("--initialize-insecure");
                Stdio::null()
            }
        };
        let log = folder.path.join("init.log");
        let output = File::create(&log).context("a log cannot be created")?;
        let errors = output.try_clone().context("a log cannot be shared")?;
        let status = command
            .stdin(input)
            .stdout(output)
            .stderr(errors)
            .status()
            .context("the server cannot be started")?;
        ensure!(
            status.success(),
            "the first data cannot be made:\n{}",
            tail(&log)
        );
        // The account of this machine's socket gets the same password: nothing is open.
        let statements = format!(
            "ALTER USER 'root'@'localhost' IDENTIFIED BY '{password}';\n\
             CREATE USER IF NOT EXISTS 'root'@'%' IDENTIFIED BY '{password}';\n\
             GRANT ALL PRIVILEGES ON *.* TO 'root'@'%' WITH GRANT OPTION;\n"
        );
        let without_password = match self.mariadb {
            true => "DROP USER IF EXISTS 'root'@'127.0.0.1', 'root'@'::1';\n",
            false => "",
        };
        folder.write_private(FIRST_STATEMENTS, &format!("{statements}{without_password}"))?;
        Ok(())
    }

    fn server(&self, place: &Place<'_>, port: u16, for_pods: bool) -> Result<Command> {
        let folder = place.folder;
        let (certificate, key) = certificate::of_server(&folder.path);
        let mut command = self.command(place)?;
        command
            .arg(with("--port=", port.to_string()))
            .arg(with("--bind-address=", addresses(for_pods)))
            .arg(with("--socket=", folder.path.join("socket")))
            .arg(with("--pid-file=", folder.pid_file()))
            .arg(with("--init-file=", folder.path.join(FIRST_STATEMENTS)))
            .arg(with("--ssl-ca=", certificate::authority(&folder.path)))
            .arg(with("--ssl-cert=", certificate))
            .arg(with("--ssl-key=", key))
            .args(BINARY_LOG)
            // Tests look for passwords in the log, and people for what was done.
            .arg("--general-log=ON")
            .arg(with("--general-log-file=", self.statements(folder)))
            .args([
                "--log-output=FILE",
                "--skip-name-resolve",
                "--max-connections=300",
            ]);
        Ok(command)
    }

    /// Its data are its own: all that there is on the server, it logs from its first start.
    fn init_replica(&self, _: &Place<'_>, replica: &Place<'_>, password: &str) -> Result<()> {
        self.init(replica, password)
    }

    fn follow(
        &self,
        command: &mut Command,
        replica: &Folder,
        of: u16,
        password: &str,
    ) -> Result<()> {
        // Without TLS MySQL's plugin wants the server's key; MariaDB knows neither word.
        let (source, who, key) = match self.mariadb {
            true => ("MASTER", "SLAVE", ""),
            false => (
                "REPLICATION SOURCE",
                "REPLICA",
                ", GET_SOURCE_PUBLIC_KEY = 1",
            ),
        };
        let prefix = source.rsplit(' ').next().unwrap_or(source);
        let statements = format!(
            "CHANGE {source} TO {prefix}_HOST = '127.0.0.1', {prefix}_PORT = {of}, {prefix}_USER = 'root', \
             {prefix}_PASSWORD = '{password}', {prefix}_LOG_FILE = '{FIRST_LOG}', {prefix}_LOG_POS = 4{key};\n\
             START {who};\n"
        );
        let first = replica.path.join(FIRST_STATEMENTS);
        OpenOptions::new()
            .append(true)
            .open(&first)
            .and_then(|mut file| file.write_all(statements.as_bytes()))
            .with_context(|| format!("{} cannot be written", first.display()))?;
        command.args(["--server-id=2", "--read-only=ON"]);
        Ok(())
    }

    fn is_ready(&self, folder: &Folder) -> bool {
        let ready = std::fs::read_to_string(folder.log()).is_ok_and(|log| says_ready(&log));
        if ready {
            // It was read before the server took connections; what cannot be removed goes with the folder.
            let _ = std::fs::remove_file(folder.path.join(FIRST_STATEMENTS));
        }
        ready
    }

    fn port_is_taken(&self) -> &'static str {
        "Do you already have another"
    }

    fn end(&self) -> Signal {
        // One process, and data that nobody reads again.
        Signal::KILL
    }

    fn statements(&self, folder: &Folder) -> PathBuf {
        folder.path.join(STATEMENTS)
    }
}

impl MySql {
    /// The server's program with what it needs to make data and to serve them.
    fn command(&self, place: &Place<'_>) -> Result<Command> {
        let folder = place.folder;
        let share = place.layout.share().context("the server has no files")?;
        let mut command = folder.in_it(place.layout.command(folder.user));
        command
            .arg("--no-defaults")
            .arg(with("--basedir=", &place.layout.base))
            .arg(with("--datadir=", folder.data()))
            .arg(with("--tmpdir=", &folder.path))
            .arg(with("--lc-messages-dir=", &share))
            .arg(with("--character-sets-dir=", share.join("charsets")))
            // The default is a folder of the distribution, and a server without it does not start.
            .arg("--secure-file-priv=")
            // The data are thrown away: nothing needs to survive a power cut.
            .args([
                "--innodb-flush-log-at-trx-commit=0",
                "--innodb-doublewrite=OFF",
            ])
            .arg("--innodb-buffer-pool-size=64M");
        if let Some(plugins) = place.layout.plugins() {
            command.arg(with("--plugin-dir=", plugins));
        }
        if !self.mariadb {
            // Another protocol, on a port of its own.
            command.arg("--mysqlx=OFF");
        }
        Ok(command)
    }
}

fn with(option: &str, value: impl Into<OsString>) -> OsString {
    let mut argument = OsString::from(option);
    argument.push(value.into());
    argument
}

/// The statements that make a MariaDB's first tables: those of its own script for it, which would run
/// programs that not every archive has. Texts for HELP are left out: they are two thirds of the time.
fn first_tables(share: &Path) -> Result<String> {
    // The superuser logs in by password, and not by who runs the client.
    let mut text =
        "CREATE DATABASE IF NOT EXISTS mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n"
            .to_owned();
    for name in FIRST_TABLES {
        let older = share.join(name.replacen("mariadb_", "mysql_", 1));
        let file = match share.join(name) {
            file if file.is_file() => file,
            _ => older,
        };
        let part = std::fs::read_to_string(&file)
            .with_context(|| format!("{} cannot be read", file.display()))?;
        text.push_str(&part);
        text.push('\n');
    }
    Ok(text)
}

fn open(path: &Path) -> Result<File> {
    File::open(path).with_context(|| format!("{} cannot be read", path.display()))
}

/// The line is written when connections are taken. A server that makes its first data does not write it.
fn says_ready(log: &str) -> bool {
    log.contains(": ready for connections")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_say_when_they_are_ready() {
        assert!(says_ready(
            "x [System] [MY-010931] [Server] /x/mysqld: ready for connections. Version: '9.7.4-2'"
        ));
        assert!(says_ready(
            "x 0 [Note] /x/mariadbd: ready for connections.\nVersion: '11.4.5-MariaDB'"
        ));
        assert!(!says_ready(
            "x 0 [Note] Server socket created on IP: '127.0.0.1'."
        ));
    }
}
