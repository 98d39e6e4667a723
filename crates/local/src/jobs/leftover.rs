//! Containers whose runtime's client was killed: they go on, and only the runtime knows.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use dbop_engine::PlatformError;

/// A runtime answers within a fraction of a second; one that does not knows nothing now.
const ANSWER_TRIES: u32 = 500;
const ANSWER_TRY_EVERY: Duration = Duration::from_millis(20);

/// Does the container of the Job in this directory still run?
///
/// # Errors
/// Where the runtime does not tell: then nobody knows that it does not.
pub(super) fn is_running(program: &str, job: &Path) -> Result<bool, PlatformError> {
    let name = job.file_name().unwrap_or_default();
    let failed = |reason: String| PlatformError::Failed {
        operation: format!("asking {program} for container {}", name.to_string_lossy()),
        reason,
    };
    let mut child = Command::new(program)
        .args(["container", "inspect", "--format", "{{.State.Running}}"])
        .arg(name)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    for _ in 0..ANSWER_TRIES {
        let ended = child
            .try_wait()
            .map_err(|error| failed(error.to_string()))?;
        if let Some(status) = ended {
            let said = text(child.stdout.take());
            let complained = text(child.stderr.take());
            return match status.success() {
                true => Ok(said.trim() == "true"),
                false if complained.to_lowercase().contains("no such container") => Ok(false),
                false => Err(failed(complained.trim().to_owned())),
            };
        }
        std::thread::sleep(ANSWER_TRY_EVERY);
    }
    // It is of no use any more, and must not stay behind.
    let _ = child.kill();
    let _ = child.wait();
    Err(failed("it does not answer".to_owned()))
}

/// What a process has said in the few lines that fit into its pipe.
fn text(pipe: Option<impl std::io::Read>) -> String {
    let mut text = String::new();
    if let Some(pipe) = pipe {
        // What is no text tells nothing.
        let _ = pipe.take(4096).read_to_string(&mut text);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn the_runtime_is_taken_at_its_word_and_silence_is_no_answer() {
        let scratch = Scratch::new();
        let ask = |script: &str| {
            let program = scratch.path().join("runtime");
            scratch.write("draft", &format!("#!/bin/sh\n{script}\n"));
            let draft = scratch.path().join("draft");
            std::fs::set_permissions(&draft, Permissions::from_mode(0o700)).unwrap();
            std::fs::rename(draft, &program).unwrap();
            is_running(program.to_str().unwrap(), Path::new("/jobs/shop-v1-0a"))
        };
        assert_eq!(ask("echo true"), Ok(true));
        assert_eq!(ask("echo false"), Ok(false));
        assert_eq!(
            ask(
                "test \"$*\" = 'container inspect --format {{.State.Running}} shop-v1-0a' && echo true"
            ),
            Ok(true)
        );
        assert_eq!(
            ask("echo 'Error: no such container shop-v1-0a' >&2; exit 125"),
            Ok(false)
        );
        assert_eq!(
            ask("echo 'Error: No such container: shop-v1-0a' >&2; exit 1"),
            Ok(false)
        );
        let error = ask("echo 'Cannot connect to the daemon.' >&2; exit 1")
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with("for container shop-v1-0a: Cannot connect to the daemon."),
            "{error}"
        );
    }
}
