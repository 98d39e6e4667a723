//! A DSN from a file, for the commands that look at one database without a manifest.

use std::io::Read;
use std::path::Path;

use dbop_database::{DatabaseError, Target};
use secrecy::SecretString;

use crate::render::Failure;

/// A DSN is a line; what is longer is another file.
const DSN_BYTES_MAX: u64 = 64 * 1024;

/// The database that a file names.
pub(super) fn target(path: &Path) -> Result<Target, Failure> {
    Ok(Target {
        dsn: dsn(path)?,
        tls: None,
        ca_certificate: None,
    })
}

/// The DSN of a file, or of stdin. Nothing of it is ever shown.
fn dsn(path: &Path) -> Result<SecretString, Failure> {
    let wrong = |why: &dyn std::fmt::Display| {
        Failure::new(format!(
            "--dsn-file {}: it cannot be read: {why}",
            path.display()
        ))
    };
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin()
            .take(DSN_BYTES_MAX + 1)
            .read_to_string(&mut text)
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(DSN_BYTES_MAX + 1).read_to_string(&mut text))
    };
    read.map_err(|error| wrong(&error))?;
    if text.len() as u64 > DSN_BYTES_MAX {
        return Err(wrong(&"it is too long for a DSN"));
    }
    if text.trim().is_empty() {
        return Err(
            Failure::new(format!("--dsn-file {}: it is empty", path.display()))
                .or("it holds postgresql://user:password@host:port/database"),
        );
    }
    Ok(text.trim().to_owned().into())
}

/// What a database said, with where its DSN is from.
pub(super) fn failure(path: &Path, error: &DatabaseError) -> Failure {
    Failure::of(error).or(format!(
        "the DSN is read from {}",
        match path.to_str() {
            Some("-") | None => "stdin".to_owned(),
            Some(path) => path.to_owned(),
        }
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_dsn_is_named() {
        let failure = dsn(Path::new("does/not/exist")).unwrap_err();
        assert!(
            failure
                .what
                .starts_with("--dsn-file does/not/exist: it cannot be read: "),
            "{failure}"
        );
    }
}
