//! The examples of the repository are right: every directory of them passes `lint`, and the demo's mistake is
//! one that no look at the manifests alone can find.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::path::{Path, PathBuf};

use dbop_tests::local::Directory;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples")
}

/// The folders below `folder` in which manifests lie.
fn with_manifests(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let paths: Vec<PathBuf> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        if paths
            .iter()
            .any(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        {
            found.push(folder);
        }
        folders.extend(paths.into_iter().filter(|path| path.is_dir()));
    }
    found.sort();
    found
}

/// Copies the manifests of a folder to a directory.
fn copy(folder: &Path, directory: &Directory) {
    for path in std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        if path.is_file() {
            let name = path.file_name().unwrap().to_str().unwrap();
            directory.write(name, &std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[tokio::test]
async fn every_example_passes_lint() {
    let mut linted = 0;
    for folder in with_manifests(&examples()) {
        let directory = Directory::new("example");
        let shop = examples().join("demo/shop");
        if folder.starts_with(examples().join("demo")) && folder != shop {
            // It replaces a part of that example, or goes on from there.
            copy(&shop, &directory);
        }
        copy(&folder, &directory);
        let path = directory.path();
        let ended = directory.run(&["lint", path.to_str().unwrap()]).await;
        ended.exits(0).says("nothing is wrong");
        linted += 1;
    }
    assert!(linted >= 3, "the examples are there");
}
