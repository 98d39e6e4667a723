//! Notices that the directory, a person's request or a published Secret has changed.
//!
//! By looking: notifications differ between systems, get lost on network file systems, and a directory of
//! manifests is looked through within a millisecond.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::manifests::Manifests;
use crate::platform::LocalPlatform;
use crate::requests;

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A directory that takes long to look through is looked through less often: a twentieth of the time.
const REST_FACTOR: u32 = 20;
/// Directories below the state directory are as deep as we make them.
const DEPTH_MAX: usize = 5;

/// What was seen last.
pub(super) struct Watch {
    manifests: Arc<Manifests>,
    state: u64,
    pause: Duration,
}

impl Watch {
    pub(super) fn new(platform: &LocalPlatform) -> Self {
        let manifests = platform.manifests();
        Self {
            manifests,
            state: state(platform.state_directory()),
            pause: LOOK_EVERY,
        }
    }

    /// Returns when something is not as it was when it returned last.
    pub(super) async fn change(&mut self, platform: &LocalPlatform) {
        loop {
            tokio::time::sleep(self.pause).await;
            let before = platform.clock().now();
            let manifests = platform.manifests();
            let state = state(platform.state_directory());
            let took = platform.clock().now().duration_since(before).unsigned_abs();
            self.pause = LOOK_EVERY.max(took.saturating_mul(REST_FACTOR));
            let edited = !Arc::ptr_eq(&manifests, &self.manifests);
            if edited {
                self.manifests = manifests;
                platform.observer().manifests(&self.manifests);
            }
            if edited || state != self.state {
                self.state = state;
                return;
            }
        }
    }
}

/// A number that changes with requests and Secrets.
fn state(root: &Path) -> u64 {
    let mut hash = DefaultHasher::new();
    for directory in [requests::directory(root), root.join("secrets")] {
        add(&directory, 0, &mut hash);
    }
    hash.finish()
}

fn add(directory: &Path, depth: usize, hash: &mut DefaultHasher) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    let mut entries: Vec<_> = entries.flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        entry.file_name().hash(hash);
        if metadata.is_dir() {
            if depth < DEPTH_MAX {
                add(&entry.path(), depth + 1, hash);
            }
        } else {
            (
                metadata.ino(),
                metadata.size(),
                metadata.mtime(),
                metadata.mtime_nsec(),
            )
                .hash(hash);
        }
    }
}
