//! Published SQL before `analyze`: each file is judged against the database as the files before it left it, and then
//! run. On tables that are new nothing is in the way; what cannot be read is told, with its line.

use std::path::Path;

use dbop_tests::local::Directory;
use dbop_tests::{Engine, Session, TestServer};
use serde_json::Value;

use crate::application::Application;
use crate::newest_of;

#[tokio::test]
async fn uaa_is_judged_on_postgresql() {
    judged(&newest_of(Engine::Postgres)).await;
}

async fn judged(server: &TestServer) {
    let database = server.database("derived").await;
    let directory = Directory::new("derived");
    directory.write("admin.dsn", &database.admin_dsn());
    let dsn = directory.path().join("admin.dsn").display().to_string();
    let admin = database.as_admin().await;
    let files = Application::Uaa.files(server.engine());
    let (mut operations, mut unread) = (0, Vec::new());
    for file in &files {
        let name = file.display().to_string();
        let ended = directory
            .run(&[
                "analyze",
                "--dsn-file",
                &dsn,
                "--sql",
                &name,
                "--output",
                "json",
            ])
            .await;
        let said = ended.json();
        let list = |key: &str| said[key].as_array().cloned().unwrap_or_default();
        let in_the_way: Vec<Value> = list("findings")
            .into_iter()
            .filter(|finding| finding["blocks"] == true)
            .collect();
        assert!(
            in_the_way.is_empty(),
            "a false alarm in {name}: {in_the_way:#?}"
        );
        assert!(list("notJudged").is_empty(), "{name}: {said:#}");
        let of_this = list("unread");
        assert_eq!(
            ended.status,
            Some(if of_this.is_empty() { 0 } else { 3 }),
            "what is not read is what is told: {ended}"
        );
        operations += list("operations").len();
        unread.extend(of_this.iter().map(|one| {
            let file = file.file_name().unwrap_or_default().to_string_lossy();
            format!(
                "{file} line {}: {}",
                one["line"],
                one["reason"].as_str().unwrap_or_default()
            )
        }));
        run(&admin, file).await;
    }
    println!(
        "proof: {} on {}: {} files judged and run one after the other, {operations} operations read, no false alarm, {} \
         statements not read, and said so",
        Application::Uaa.title(),
        server.title(),
        files.len(),
        unread.len()
    );
    for line in &unread {
        println!("proof: not read: {line}");
    }
    assert!(
        unread.len() * 20 <= operations,
        "most of it is read: {unread:#?}"
    );
}

async fn run(admin: &Session, file: &Path) {
    let sql = std::fs::read_to_string(file).unwrap();
    if let Err(error) = admin.run(&sql).await {
        panic!("{} fails: {error}", file.display());
    }
}
