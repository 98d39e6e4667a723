//! No password shows anywhere: not in what a command says at trace level, not in status, logs, arguments or
//! the server's own log. Each secret place holds a word of its own, so that a leak names where it is from.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use dbop_tests::local::{Application, Directory, Site, Step, migration, secret};
use dbop_tests::{Engine, TestServer, binary, newest, on_newest};
use serde_json::json;

const CREATE: &str = "CREATE TABLE customers (id serial PRIMARY KEY, name text);";
const ADD_PHONE: &str = "ALTER TABLE customers ADD COLUMN phone text;";
const ADD_CITY: &str = "ALTER TABLE customers ADD COLUMN city text;";

/// A word that stands nowhere else.
fn canary(place: &str) -> String {
    format!("canary{place}{:016x}", dbop_tests::seed())
}

/// Words that must not show, by where they belong.
#[derive(Default)]
struct Canaries(BTreeMap<String, String>);

impl Canaries {
    fn add(&mut self, place: &str, word: &str) {
        assert!(word.len() >= 12, "a short word could show by chance");
        self.0.insert(word.to_owned(), place.to_owned());
    }

    /// New canary for a place.
    fn new_word(&mut self, place: &str) -> String {
        let word = canary(place);
        self.add(place, &word);
        word
    }

    /// Checks that none of them is in `text`, which is from `sink`.
    #[track_caller]
    fn are_absent(&self, sink: &str, text: &[u8]) {
        for (word, place) in &self.0 {
            let shown = text.windows(word.len()).any(|part| part == word.as_bytes());
            assert!(!shown, "the {place} shows in {sink}");
        }
    }
}

/// What was seen, each content once.
type Seen = BTreeSet<(PathBuf, Vec<u8>)>;

/// Looks again and again at what shows only while something runs: the arguments and the status of all
/// processes, and the files of the state that are not made to hold secrets.
struct Sampler {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    thread: JoinHandle<()>,
}

/// What a migration says before it prints passwords into its own log.
const CARELESS: &str = "careless";
/// How often the sampler looks.
const SAMPLE: Duration = Duration::from_millis(3);

impl Sampler {
    fn start(directory: &Directory) -> Sampler {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (state, ended, found) = (directory.state(), stop.clone(), Arc::clone(&seen));
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let mut now = Vec::new();
                arguments(&mut now);
                files(&state, &mut now);
                lock(&found).extend(now);
                std::thread::sleep(SAMPLE);
            }
        });
        Sampler { stop, seen, thread }
    }

    fn stop(self) -> Vec<(PathBuf, Vec<u8>)> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        std::mem::take(&mut *lock(&self.seen)).into_iter().collect()
    }
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn arguments(found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let path = entry.path().join("cmdline");
        if entry.file_name().to_string_lossy().parse::<u32>().is_ok()
            && let Ok(arguments) = std::fs::read(&path)
        {
            found.push((PathBuf::from("the arguments of a process"), arguments));
        }
    }
}

/// Files that hold secrets by their purpose; nobody but their owner may read them.
fn holds_secrets(state: &Path, path: &Path) -> bool {
    let below = path.strip_prefix(state).unwrap();
    let name = path.file_name().unwrap_or_default();
    below.starts_with("secrets")
        || (below.starts_with("jobs") && (name == "secret.json" || name == "launch.json"))
}

fn files(state: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    use std::os::unix::fs::PermissionsExt as _;
    let mut folders = vec![state.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            let Ok(about) = path.symlink_metadata() else {
                continue;
            };
            if about.is_dir() {
                folders.push(path);
            } else if about.is_file() && holds_secrets(state, &path) {
                let mode = about.permissions().mode() & 0o777;
                assert_eq!(mode, 0o600, "{} is its owner's alone", path.display());
            } else if about.is_file()
                // A draft is what will be its file: secret.json before it has its name.
                && !path.file_name().unwrap_or_default().to_string_lossy().starts_with(".new.")
                && let Ok(content) = std::fs::read(&path)
                && !(path.ends_with("log") && content.starts_with(CARELESS.as_bytes()))
            {
                found.push((path, content));
            }
        }
    }
}

/// Gives the admin another password without the server writing down the statement.
async fn set_admin_password(site: &Site, password: &str) {
    let (silently, identified) = match site.engine() {
        Engine::Postgres => ("SET log_statement = 'none'", "PASSWORD"),
        Engine::MariaDb | Engine::MySql => ("SET sql_log_off = 1", "IDENTIFIED BY"),
    };
    let account = site.database.admin_account();
    let statement = format!("ALTER USER {account} {identified} '{password}'");
    let person = site.database.person().await;
    person.run(silently).await.unwrap();
    person.run(&statement).await.unwrap();
}

/// Every command there is, on this directory, in both forms.
async fn say_everything(site: &Site) {
    let files = &site.directory;
    let dsn_file = files.output().join("admin.dsn");
    let dsn = files.get("Secret", &format!("{}-admin", site.name));
    std::fs::write(&dsn_file, dsn.get("/stringData/dsn").as_str().unwrap()).unwrap();
    let (dsn_file, path) = (dsn_file.to_str().unwrap(), files.path());
    for output in ["text", "json"] {
        files.ask(&["plan", "--output", output]).await;
        files.ask(&["status", "--output", output]).await;
        files
            .ask(&["wait", "--all", "--timeout", "1s", "--output", output])
            .await;
        files
            .run(&["lint", path.to_str().unwrap(), "--output", output])
            .await;
        files
            .run(&[
                "version",
                "--dsn-file",
                dsn_file,
                "--engine",
                "Sqlx",
                "--output",
                output,
            ])
            .await;
    }
    std::fs::remove_file(dsn_file).unwrap();
}

/// Checks all that was written by commands.
#[track_caller]
fn nothing_was_said(files: &Directory, canaries: &Canaries) {
    for entry in std::fs::read_dir(files.output()).unwrap().flatten() {
        let path = entry.path();
        if path
            .extension()
            .is_some_and(|ending| ending == "stdout" || ending == "stderr")
        {
            canaries.are_absent(&path.display().to_string(), &std::fs::read(&path).unwrap());
        }
    }
}

/// Checks that there was a log to be searched: what is looked for is absent from something.
#[track_caller]
fn there_was_a_log(files: &Directory) {
    let log = std::fs::read_to_string(files.output().join("000.stderr")).unwrap();
    assert!(
        log.contains("dbop_engine"),
        "the engine logs nothing at trace level:\n{log}"
    );
}

#[tokio::test]
async fn no_password_shows_anywhere() {
    on_newest(nothing_shows).await;
}

async fn nothing_shows(server: TestServer) {
    let log = server.statements();
    let log_start = std::fs::metadata(log).unwrap().len();
    let mut canaries = Canaries::default();
    let database = server.database("canary").await;
    let files = Directory::new("canary")
        .with_environment("RUST_LOG", "trace")
        .with_environment("RUST_BACKTRACE", "1");
    let site = Site::of(database, files);
    let files = &site.directory;

    // The admin's DSN, with the password percent-encoded in part: %63 is a c.
    let admin = canaries.new_word("admin");
    set_admin_password(&site, &admin).await;
    let encoded = admin.replacen("canary", "%63anary", 1);
    canaries.add("admin's password as written", &encoded[1..]);
    let dsn = site.database.dsn(site.database.admin(), &encoded);
    let note = canaries.new_word("note");
    let admin_secret = format!("{}-admin", site.name);
    files.put(&secret(&admin_secret, &[("dsn", &dsn), ("note", &note)]));

    // A container that takes a Secret of its own, and tells this test what it was given.
    let token = canaries.new_word("token");
    files.put(&secret("extra", &[("token", &token)]));
    let told = files.output().join("told.txt");
    let program = binary("dbop-migrate");
    let run = format!(
        "echo \"$TOKEN $DBA_OP_PASSWORD\" >> {}; {} --dir migrations",
        told.display(),
        program.display()
    );
    let step = |name: &str, previous: Option<&str>, script: &str| {
        migration(name, previous, &["sh", "-c", script])
            .set("/spec/version", &name[1..])
            .set(
                "/spec/container/env",
                json!([{
                    "name": "TOKEN",
                    "valueFrom": { "secretKeyRef": { "name": "extra", "key": "token" } },
                }]),
            )
    };
    site.steps(
        0,
        &[Step::new(CREATE), Step::new(ADD_PHONE), Step::new(ADD_CITY)],
    );
    files.put(&step("v1", None, &run));
    files.put(&step("v2", Some("v1"), &run));
    // It prints what it must not, as a careless program would, and fails: its own log has it, nothing else.
    let careless = format!(
        "echo '{CARELESS}'; {run}; echo \"token is $TOKEN at $DBA_OP_CONNECTION_STRING\"; exit 3"
    );
    files.put(&step("v3", Some("v2"), &careless));

    let sampler = Sampler::start(files);
    files.local().await.exits(0);
    let mut published = vec![site.published("v1")];
    say_everything(&site).await;
    site.desire("v2");
    files.local().await.exits(0);
    published.push(site.published("v2"));
    let old = Application::staying(&published[0], "SELECT 1").await;
    site.desire("v3");
    files.local().await.exits(3);
    say_everything(&site).await;
    old.stop().await.is_undisturbed();
    files.local().await.exits(4);
    say_everything(&site).await;
    files.ask(&["retry", &site.name]).await;
    files.local().await.exits(4);
    files
        .ask(&["accept-run", &site.name, "--output", "json"])
        .await;
    files.local().await.exits(0);
    published.push(site.published("v3"));

    // A login that somebody changed, and a Secret that somebody spoilt.
    let spoilt = site.published("v3").get("username").to_owned();
    let spoilt = site.database.account(&spoilt);
    let spoil = match site.engine() {
        Engine::Postgres => format!("ALTER ROLE {spoilt} NOLOGIN"),
        Engine::MariaDb | Engine::MySql => format!("ALTER USER {spoilt} ACCOUNT LOCK"),
    };
    site.database.run(&spoil).await;
    files.local().await.exits(0);
    site.published("v3").connect().await.unwrap();

    // The ways in that fail.
    let wrong = canaries.new_word("wrong");
    site.set_dsn(&site.database.dsn(site.database.admin(), &wrong));
    files.local().await.exits(1);
    say_everything(&site).await;
    let scheme = site.engine().scheme();
    site.set_dsn(&format!("{scheme}://admin:{wrong}@127.0.0.1:1/shop"));
    files.local().await.exits(1);
    let seen = sampler.stop();

    for credential in &published {
        canaries.add("application's password", credential.get("password"));
    }
    let told_text = std::fs::read_to_string(&told).unwrap();
    let mut passwords = BTreeSet::new();
    for line in told_text.lines() {
        let (given, password) = line.split_once(' ').unwrap();
        assert_eq!(given, token, "the container gets the value of the Secret");
        canaries.add("migrator's password", password);
        passwords.insert(password);
    }
    assert_eq!(passwords.len(), 4, "every run has a password of its own");

    nothing_was_said(files, &canaries);
    there_was_a_log(files);
    assert!(
        seen.iter().any(|(path, _)| path.ends_with("job.yaml")),
        "Jobs were sampled"
    );
    assert!(
        seen.iter().any(|(path, _)| path.ends_with("log")),
        "logs were sampled"
    );
    let mut status = Vec::new();
    arguments(&mut status);
    self::files(&files.state(), &mut status);
    for (path, content) in seen.iter().chain(&status) {
        canaries.are_absent(&path.display().to_string(), content);
    }

    use std::io::{Read as _, Seek as _};
    let mut file = std::fs::File::open(log).unwrap();
    file.seek(std::io::SeekFrom::Start(log_start)).unwrap();
    let mut logged = Vec::new();
    file.read_to_end(&mut logged).unwrap();
    let text = String::from_utf8_lossy(&logged);
    // A verifier, a hash, or what the server shows in its place.
    let shown = match site.engine() {
        Engine::Postgres => "SCRAM-SHA-256$",
        Engine::MariaDb => "IDENTIFIED VIA",
        Engine::MySql => "IDENTIFIED WITH",
    };
    assert!(
        text.contains(published[0].get("username")) && text.contains(shown),
        "the server's log shows the statements that make logins"
    );
    canaries.are_absent("the server's log", &logged);
}

#[tokio::test]
async fn a_dsn_that_cannot_be_read_shows_nothing_of_itself() {
    let server = newest().remove(0);
    let files = Directory::new("canary_dsn").with_environment("RUST_LOG", "trace");
    let site = Site::of(server.database("canary_dsn").await, files);
    site.steps(0, &[Step::new(CREATE)]);
    let mut canaries = Canaries::default();
    let word = canaries.new_word("dsn");
    let of_scheme = |scheme: &str| {
        [
            format!("{scheme}:/{word}"),
            format!("{scheme}://{word}"),
            format!("{scheme}://user:{word}@ho@st/db"),
            format!("{scheme}://user:{word}%@host/db"),
            format!("{scheme}://user:{word}@host:port/db"),
            format!("{scheme}://user:{word}@[::1/db"),
            format!("{scheme}://user:{word}@host/db?options={word}"),
            format!("{scheme}://user:{word}@host/db?{word}=1"),
            format!("{scheme}://user:x#{word}@host/db"),
            format!("{scheme}://user:x/{word}@host/db"),
        ]
    };
    let of_none = [
        word.clone(),
        format!("{word}://user:secret@host/db"),
        format!("oracle://user:{word}@host/db"),
        format!("host=127.0.0.1 user=admin password={word} dbname=shop"),
    ];
    let of_schemes = ["postgresql", "mysql", "mariadb"].map(of_scheme);
    for dsn in of_schemes.as_flattened().iter().chain(&of_none) {
        site.set_dsn(dsn);
        let ended = site.directory.local().await;
        ended.exits(1);
        assert!(ended.words().contains("DSN"), "{ended}");
    }
    say_everything(&site).await;
    nothing_was_said(&site.directory, &canaries);
    let mut state = Vec::new();
    files_of(&site, &mut state);
    for (path, content) in &state {
        canaries.are_absent(&path.display().to_string(), content);
    }
}

fn files_of(site: &Site, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    files(&site.directory.state(), found);
}

#[tokio::test]
async fn a_manifest_that_cannot_be_read_shows_nothing_of_its_secrets() {
    let files = Directory::new("canary_yaml").with_environment("RUST_LOG", "trace");
    let mut canaries = Canaries::default();
    let word = canaries.new_word("secret");
    let head = "apiVersion: v1\nkind: Secret\nmetadata: {name: admin}\n";
    for body in [
        format!("stringData: {{dsn: \"{word}\n"),
        format!("stringData: {{dsn: [{word}]}}\n"),
        format!("stringData: {word}\n"),
        format!("stringData:\n  dsn: {word}\n bad: {word}\n"),
        format!("stringData:\n  dsn: &{word} x\n  other: *{word}2\n"),
        format!("data: {{dsn: '{word}!'}}\n"),
        format!("data: {{'{word} key': eA==}}\n"),
        format!("stringData: {{dsn: @{word}}}\n"),
        format!("stringDatum: {{dsn: {word}}}\n"),
        format!("stringData: {{dsn: {{{word}: 1}}}}\n"),
    ] {
        files.write("secret.yaml", &format!("{head}{body}"));
        let path = files.path();
        for output in ["text", "json"] {
            files.local().await;
            files.ask(&["plan", "--output", output]).await;
            files
                .run(&["lint", path.to_str().unwrap(), "--output", output])
                .await;
        }
    }
    nothing_was_said(&files, &canaries);
}
