//! What runs a migration: its command as a process, or its image by a container runtime.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// What runs a migration's container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Runtime {
    /// Its `command` and `args`, as a process of this machine; the image is not looked at.
    #[default]
    Process,
    /// Its image, by podman.
    Podman,
    /// Its image, by docker.
    Docker,
}

impl Runtime {
    /// The program that runs images; `None`: none does.
    pub fn program(self) -> Option<&'static str> {
        match self {
            Runtime::Process => None,
            Runtime::Podman => Some("podman"),
            Runtime::Docker => Some("docker"),
        }
    }

    /// Is its program to be found in `path` (directories as in `PATH`)?
    pub fn is_installed(self, path: &std::ffi::OsStr) -> bool {
        self.program().is_none_or(|program| {
            std::env::split_paths(path).any(|directory| is_file(&directory.join(program)))
        })
    }
}

fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file())
}

/// Why a text names no runtime.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is neither podman nor docker; without it, a migration's command runs as a process")]
pub struct UnknownRuntime;

impl FromStr for Runtime {
    type Err = UnknownRuntime;

    fn from_str(text: &str) -> Result<Self, UnknownRuntime> {
        match text {
            "podman" => Ok(Runtime::Podman),
            "docker" => Ok(Runtime::Docker),
            _ => Err(UnknownRuntime),
        }
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program().unwrap_or("process"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtimes_have_the_names_of_their_programs() {
        assert_eq!("podman".parse(), Ok(Runtime::Podman));
        assert_eq!("docker".parse(), Ok(Runtime::Docker));
        assert_eq!("process".parse::<Runtime>(), Err(UnknownRuntime));
        assert!(Runtime::Process.is_installed("".as_ref()));
        assert!(!Runtime::Podman.is_installed("/nowhere".as_ref()));
    }
}
