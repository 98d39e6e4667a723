//! Manifests and directories that cannot be read.

use dbop_tests::local::{Directory, managed_database};

use super::{refused, site};

#[tokio::test]
async fn manifests_that_cannot_be_read() {
    let site = site("error_yaml").await;
    site.directory
        .write("broken.yaml", "apiVersion: v1\nkind: Secret\nmetadata: [\n");
    refused(&site, 1, "broken.yaml").await;
    site.directory.write(
        "broken.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n",
    );
    let manifest = site.directory.get("ManagedDatabase", &site.name);
    site.directory
        .put(&manifest.clone().set("/spec/desiredSchemaVersoin", "v1"));
    refused(
        &site,
        1,
        "spec.desiredSchemaVersoin: is no field of this kind",
    )
    .await
    .says("did you mean desiredSchemaVersion?");
    site.directory
        .put(&manifest.set("/spec/credentials/quietWindow", "soon"));
    let ended = refused(&site, 1, "'soon' is no duration").await;
    ended.says(&format!("ManagedDatabase default/{}", site.name));
}

#[tokio::test]
async fn one_name_twice() {
    let site = site("error_twice").await;
    let again = managed_database(&site.name, "v2");
    site.directory.write("again.yaml", &again.yaml());
    let ended = refused(&site, 1, &site.name).await;
    ended.says("again.yaml");
}

#[tokio::test]
async fn a_directory_that_is_none() {
    let directory = Directory::new("error_directory");
    let missing = directory.path().join("missing");
    let ended = directory.run(&["local", missing.to_str().unwrap()]).await;
    ended.exits(1).says(missing.to_str().unwrap());
    assert!(!missing.exists());
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    directory
        .run(&["local", file.to_str().unwrap()])
        .await
        .exits(1)
        .says(file.to_str().unwrap());
    let empty = directory.local().await;
    assert!(
        !empty.words().is_empty(),
        "an empty directory is remarked on: {empty}"
    );
}
