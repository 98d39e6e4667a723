//! A directory for one test, and what works on it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dbop_engine::{Clock, Entropy};
use dbop_local::{LocalOptions, LocalPlatform, Runtime, Supervisor};
use dbop_model::{MigrationName, ObjectRef};
use jiff::Timestamp;

/// How long anything may take that takes milliseconds on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The machine's clock.
pub(crate) struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "these tests are about real processes"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }
}

/// Bytes that differ each time.
pub(crate) struct Counter;

impl Entropy for Counter {
    fn fill(&self, bytes: &mut [u8]) {
        static COUNTER: AtomicU64 = AtomicU64::new(1);
        let mut number = COUNTER
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in bytes {
            *byte = number as u8;
            number = number.rotate_right(8).wrapping_mul(31);
        }
    }
}

/// A directory, gone with the test.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("dbop-local-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let draft = self.0.join(format!("{name}.draft"));
        std::fs::write(&draft, text).unwrap();
        std::fs::rename(draft, self.0.join(name)).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.0.join(name)).ok()
    }

    /// A migration in namespace `default` whose command is a shell script.
    pub(crate) fn migration(&self, name: &str, previous: Option<&str>, script: &str) {
        let previous = previous.map_or_else(String::new, |p| format!("\n  previous: {p}"));
        // What waits for a test ends with the test's directory.
        let wait = "wait_for() { until test -s \"$1\" || ! test -d .dbop; do sleep 0.01; done; }";
        let script = format!("{wait}\n{script}");
        // Kubernetes, and so we, read `$$` as one dollar: the shell's own `$$` is written as four.
        let script = script.replace("$$", "$$$$");
        let script: String = script
            .lines()
            .map(|line| format!("\n      {line}"))
            .collect();
        let text = format!(
            "apiVersion: database-operator.dev/v1alpha1\nkind: DatabaseMigration\nmetadata:\n  name: \
             {name}\nspec:{previous}\n  container:\n    name: migrate\n    command: [sh, -c]\n    args:\n    \
             - |{script}\n"
        );
        self.write(&format!("{name}.yaml"), &text);
    }

    pub(crate) fn options(&self) -> LocalOptions {
        LocalOptions {
            directory: self.0.clone(),
            state: None,
            runtime: Runtime::Process,
            supervisor: this_program("supervisor"),
        }
    }

    pub(crate) fn open(&self) -> LocalPlatform {
        LocalPlatform::open(self.options(), Arc::new(SystemClock), &Counter).unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// This program, as one of its tests that gets a path.
pub(crate) fn this_program(test: &str) -> Supervisor {
    Supervisor {
        program: std::env::current_exe().unwrap(),
        arguments: ["--exact", test, "--test-threads=1", "--nocapture"]
            .map(str::to_owned)
            .into(),
    }
}

/// The path that this program was started with; as a test it gets none.
pub(crate) fn argument() -> Option<PathBuf> {
    let last = PathBuf::from(std::env::args().next_back()?);
    (std::env::args().len() > 2 && last.is_absolute() && last.is_dir()).then_some(last)
}

pub(crate) fn shop() -> ObjectRef {
    ObjectRef::new("default", "shop").unwrap()
}

pub(crate) fn v(name: &str) -> MigrationName {
    MigrationName::new(name).unwrap()
}

/// Waits until something is there.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> impl Future<Output = T> {
    let what = what.to_owned();
    let at = std::panic::Location::caller();
    async move {
        let wait = async {
            loop {
                if let Some(found) = look() {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(found) => found,
            Err(_) => panic!("{at}: {what} did not come within {PATIENCE:?}"),
        }
    }
}
