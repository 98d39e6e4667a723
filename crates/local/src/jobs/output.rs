//! A migration's log: bounded, and its last line. What may be shown of a line, `said` knows.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use dbop_credentials::said;

/// A log is kept in two halves of at most this size (and what is written between two looks).
const LOG_BYTES_MAX: u64 = 5 * 1024 * 1024;
/// The last line is looked for in so much of the end.
const TAIL_BYTES: u64 = 8 * 1024;

/// Moves a log that has become too long aside: `log.1` replaces the one before it. The process goes on
/// writing at the new end, for its file is opened to append.
pub(super) fn bound(log: &Path) -> io::Result<()> {
    bound_at(log, LOG_BYTES_MAX)
}

fn bound_at(log: &Path, bytes_max: u64) -> io::Result<()> {
    if fs::metadata(log)?.len() <= bytes_max {
        return Ok(());
    }
    let older = older(log);
    // The copy has the log's mode: its owner's alone.
    fs::copy(log, &older)?;
    File::options().write(true).open(log)?.set_len(0)
}

fn older(log: &Path) -> PathBuf {
    log.with_extension("1")
}

/// The last line that says something, without secrets; `None`: there is none.
pub(super) fn last_line(log: &Path, secrets: &[String]) -> Option<String> {
    let tail = tail(log)
        .filter(|tail| !tail.trim().is_empty())
        .or_else(|| tail(&older(log)))?;
    said::last_line(&tail, secrets)
}

/// `: ` and the first line of a file, where it has one.
pub(super) fn first_line(path: &Path) -> String {
    let line = said::first_line(&tail(path).unwrap_or_default());
    line.map_or_else(String::new, |line| format!(": {line}"))
}

fn tail(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))
        .ok()?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_long_log_is_kept_in_two_halves() {
        let scratch = Scratch::new();
        let log = scratch.path().join("log");
        scratch.write("log", "0123456789");
        bound_at(&log, 10).unwrap();
        assert_eq!(fs::read_to_string(&log).unwrap(), "0123456789");
        scratch.write("log", "0123456789a\n");
        bound_at(&log, 10).unwrap();
        assert_eq!(fs::read_to_string(&log).unwrap(), "");
        assert_eq!(last_line(&log, &[]).as_deref(), Some("0123456789a"));
    }
}
