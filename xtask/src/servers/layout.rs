//! Where the files of a server are below the folder of its installation: a distribution's, an
//! archive's, or Debian packages that were unpacked beside the system.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::name::Engine;
use super::user::RunAs;
use crate::debian::LOADERS;

/// Where a server's program can be, seen from the folder of its installation.
const PROGRAM_FOLDERS: &[&str] = &["bin", "sbin", "libexec", "usr/sbin", "usr/bin"];
/// Where MySQL and MariaDB keep the files that they read while they run.
const SHARE_FOLDERS: &[&str] = &["share/mysql", "share/mariadb", "share"];
/// Where their plugins are.
const PLUGIN_FOLDERS: &[&str] = &[
    "lib/mysql/plugin",
    "lib/mariadb/plugin",
    "lib64/mysql/plugin",
    "lib64/mariadb/plugin",
    "lib/plugin",
];
/// Where such packages have their libraries.
const LIBRARY_FOLDERS: &[&str] = &[
    "lib/x86_64-linux-gnu",
    "lib/aarch64-linux-gnu",
    "lib/mysql/private",
];

/// The files of one installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The server's program.
    pub(crate) program: PathBuf,
    /// What the server calls its base: the folder that its other files are below.
    pub(crate) base: PathBuf,
    loader: Option<PathBuf>,
}

impl Layout {
    /// The files of an `engine` that is installed in `root`, if it is.
    pub(crate) fn find(engine: Engine, root: &Path) -> Option<Layout> {
        let programs = engine.traits().programs;
        let (folder, program) = PROGRAM_FOLDERS
            .iter()
            .flat_map(|folder| {
                programs
                    .iter()
                    .map(move |name| (folder, root.join(folder).join(name)))
            })
            .find(|(_, program)| program.is_file())?;
        let unpacked = folder.starts_with("usr/");
        let base = if unpacked {
            root.join("usr")
        } else {
            root.to_path_buf()
        };
        let loader = LOADERS
            .iter()
            .map(|loader| base.join(loader))
            .find(|loader| unpacked && loader.exists());
        Some(Layout {
            program,
            base,
            loader,
        })
    }

    /// The command that runs the server, as this user.
    pub(crate) fn command(&self, user: RunAs) -> Command {
        let Some(loader) = &self.loader else {
            return user.command(&self.program);
        };
        let folders: Vec<String> = LIBRARY_FOLDERS
            .iter()
            .map(|folder| self.base.join(folder).display().to_string())
            .collect();
        let mut command = user.command(loader);
        command
            .arg("--library-path")
            .arg(folders.join(":"))
            .arg(&self.program);
        command
    }

    /// A program that stands beside the server's.
    pub(crate) fn beside(&self, program: &str) -> PathBuf {
        self.program.with_file_name(program)
    }

    /// The folder of the files that MySQL and MariaDB read while they run: the one with the messages.
    pub(crate) fn share(&self) -> Option<PathBuf> {
        SHARE_FOLDERS
            .iter()
            .map(|folder| self.base.join(folder))
            .find(|folder| folder.join("english/errmsg.sys").is_file())
    }

    /// The folder of plugins; an archive may have none.
    pub(crate) fn plugins(&self) -> Option<PathBuf> {
        PLUGIN_FOLDERS
            .iter()
            .map(|folder| self.base.join(folder))
            .find(|folder| folder.is_dir())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::random_hex;
    use crate::process::TemporaryFolder;

    #[test]
    fn packages_beside_the_system_run_by_their_own_loader() {
        let name = format!("dbop-layout-test-{}", random_hex(8).unwrap());
        let folder = TemporaryFolder::new(std::env::temp_dir().join(name)).unwrap();
        let root = folder.path();
        assert_eq!(Layout::find(Engine::MySql, root), None);
        for file in ["usr/sbin/mysqld", "usr/lib64/ld-linux-x86-64.so.2"] {
            let file = root.join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "").unwrap();
        }
        let unpacked = Layout::find(Engine::MySql, root).unwrap();
        assert_eq!(unpacked.base, root.join("usr"));
        let command = unpacked.command(RunAs::Ourselves);
        assert!(command.get_program().to_string_lossy().contains("ld-linux"));
        assert_eq!(
            command.get_args().last(),
            Some(unpacked.program.as_os_str())
        );

        // The same files, seen as a system that is installed, run as they are.
        let installed = Layout::find(Engine::MySql, &root.join("usr")).unwrap();
        assert_eq!(
            installed.command(RunAs::Ourselves).get_program(),
            installed.program
        );
    }
}
