//! Under which user a server runs: servers refuse root, so root lends them `nobody`.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

/// The user and group of `nobody` where the system's list of users does not tell.
const NOBODY: u32 = 65_534;
/// The permission bit that lets everybody pass through a folder.
const OTHERS_MAY_ENTER: u32 = 0o001;

/// The user that a server runs as.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RunAs {
    /// The user who runs xtask.
    Ourselves,
    /// An unprivileged user, because root runs xtask.
    Other {
        /// The user's number.
        uid: u32,
        /// The number of the user's group.
        gid: u32,
    },
}

impl RunAs {
    /// Who it is on this machine.
    pub(crate) fn choose() -> RunAs {
        if !rustix::process::geteuid().is_root() {
            return RunAs::Ourselves;
        }
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let (uid, gid) = nobody(&users).unwrap_or((NOBODY, NOBODY));
        RunAs::Other { uid, gid }
    }

    /// A command of this user's, with no more of our environment than it needs: variables such as
    /// `PGPORT` would change what a server does.
    pub(crate) fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C").env("TZ", "UTC");
        for name in ["PATH", "LD_LIBRARY_PATH", "TMPDIR"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        if let RunAs::Other { uid, gid } = self {
            // Setting a user as root also drops root's supplementary groups.
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Gives a file or folder to this user.
    pub(crate) fn own(self, path: &Path) -> Result<()> {
        if let RunAs::Other { uid, gid } = self {
            std::os::unix::fs::lchown(path, Some(uid), Some(gid))
                .with_context(|| format!("{} cannot be given to user {uid}", path.display()))?;
        }
        Ok(())
    }

    /// A folder for temporary files that this user can reach: root's own may be closed to others.
    pub(crate) fn temporary_folder(self) -> Result<PathBuf> {
        temporary_folders()
            .into_iter()
            .find(|folder| self.can_enter(folder))
            .context("no folder for temporary files can be entered by everybody; set TMPDIR to one")
    }

    fn can_enter(self, folder: &Path) -> bool {
        match self {
            RunAs::Ourselves => folder.is_dir(),
            RunAs::Other { .. } => folder.canonicalize().is_ok_and(|folder| {
                folder
                    .ancestors()
                    .all(|step| mode(step) & OTHERS_MAY_ENTER != 0)
            }),
        }
    }
}

/// Where servers' folders may lie, the likeliest first.
pub(crate) fn temporary_folders() -> Vec<PathBuf> {
    let mut folders = vec![std::env::temp_dir(), "/tmp".into(), "/var/tmp".into()];
    folders.dedup();
    folders
}

/// A path's permission bits; none where it cannot be looked at.
fn mode(path: &Path) -> u32 {
    path.metadata()
        .map_or(0, |metadata| metadata.permissions().mode())
}

/// User and group of `nobody` in the text of `/etc/passwd`.
fn nobody(users: &str) -> Option<(u32, u32)> {
    let line = users.lines().find(|line| line.starts_with("nobody:"))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_found_in_a_list_of_users() {
        let users = "root:x:0:0:root:/root:/bin/sh\nnobody:x:99:98:n:/:/sbin/nologin\n";
        assert_eq!(nobody(users), Some((99, 98)));
        assert_eq!(nobody("root:x:0:0:root:/root:/bin/sh\n"), None);
    }
}
