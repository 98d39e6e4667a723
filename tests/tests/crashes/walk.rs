//! One walk from an empty database to `v4`, in three commands, with an application at work, and with what is
//! done to it on the way.
//!
//! The first command makes `v1` and `v2`. The second retires `v1`, goes to `v3` and ends there, because the
//! application still uses `v2`. The application moves on, and the third retires `v2` and goes to `v4`. Each
//! must end with its exit status, whatever happened to it before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dbop_tests::local::{Application, Finished, MIGRATION, Process, Site, Step};
use dbop_tests::{Engine, Session, TestServer, binary};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::end::End;
use crate::events::{Point, Seen, Watch, marks_path};

/// What applications do, all the time.
pub(crate) const WORK: &str =
    "INSERT INTO notes (text) VALUES ('note'); SELECT id, text FROM notes LIMIT 5";
/// How long one command may take; an undisturbed one takes three seconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the processes of a command may outlive it: a migration takes half a second.
const LEFTOVERS_PATIENCE: Duration = Duration::from_secs(10);
/// How often a command is begun anew that gave up on a quiet window.
const BUSY_MAX: usize = 5;
/// What one blow may take before the walk goes on: more rounds would only find new processes.
const FREEZE_ROUNDS_MAX: usize = 100;

/// One of a walk's commands.
pub(crate) struct Phase {
    /// For people.
    pub(crate) name: &'static str,
    pub(crate) desired: &'static str,
    pub(crate) exit: i32,
}

/// The commands of a walk.
pub(crate) const PHASES: [Phase; 3] = [
    Phase {
        name: "from empty to v2",
        desired: "v2",
        exit: 0,
    },
    Phase {
        name: "to v3, where v2 is in use",
        desired: "v4",
        exit: 3,
    },
    Phase {
        name: "to v4",
        desired: "v4",
        exit: 0,
    },
];

/// What is done to a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blow {
    /// `local` gets SIGKILL; its child lives on.
    Local,
    /// `local`, the supervisor and all processes of the migration get SIGKILL.
    Tree,
    /// The server ends the sessions of the admin.
    AdminSessions,
    /// The server ends the sessions of the migrator.
    MigratorSessions,
}

impl Blow {
    fn kills(self) -> bool {
        matches!(self, Blow::Local | Blow::Tree)
    }
}

/// A blow, and when.
#[derive(Debug, Clone)]
pub(crate) struct Strike {
    pub(crate) point: Point,
    pub(crate) blow: Blow,
    /// How long after a killed command the next one is started.
    pub(crate) pause: Duration,
}

/// What a walk has to bear.
#[derive(Debug, Clone)]
pub(crate) enum Trouble {
    /// Nothing.
    None,
    /// One blow.
    Strike(Strike),
    /// `local` gets SIGKILL so much after each of its starts, as often in each phase.
    Storm(Vec<Duration>),
}

/// What happened to a walk.
pub(crate) struct History {
    pub(crate) end: End,
    /// Whether all commands are watched; otherwise it is the one that is struck.
    is_recorded: bool,
    /// What was seen in the commands that were watched.
    pub(crate) seen: Vec<Seen>,
    /// The event before the blow; `None`: the point did not come.
    pub(crate) struck_after: Option<String>,
    /// A migration had done half of its work.
    pub(crate) half_run: bool,
    /// `retry` or `accept-run`, where it was needed.
    pub(crate) word: Option<&'static str>,
    /// Queries of the applications, none of which failed.
    pub(crate) queries: u64,
    pub(crate) took: Duration,
}

impl History {
    /// Of a walk that begins; `is_recorded`: all of its commands are watched.
    pub(crate) fn begun(is_recorded: bool) -> History {
        History {
            end: End::default(),
            is_recorded,
            seen: Vec::new(),
            struck_after: None,
            half_run: false,
            word: None,
            queries: 0,
            took: Duration::ZERO,
        }
    }
}

/// Walks.
///
/// # Panics
/// When a command ends otherwise than it should, or an application is disturbed.
pub(crate) async fn walk(server: &TestServer, prefix: &str, trouble: &Trouble) -> History {
    let started = Instant::now();
    let site = Arc::new(site(server, prefix).await);
    let mut history = History::begun(matches!(trouble, Trouble::None));
    let mut applications: Vec<Application> = Vec::new();
    for (at, phase) in PHASES.iter().enumerate() {
        site.desire(phase.desired);
        let aimed = match trouble {
            Trouble::Strike(strike) => Some(strike).filter(|strike| strike.point.phase == at),
            Trouble::Storm(times) => {
                let mut lives = times.chunks(times.len().div_ceil(PHASES.len()));
                storm(&site, phase, lives.nth(at).unwrap_or_default()).await;
                None
            }
            Trouble::None => None,
        };
        go(&site, phase, aimed, &mut history).await;
        // At the first stop v2's application comes, at the second it moves on to v3, where it stays.
        let moved_to = match at {
            0 => "v2",
            1 => "v3",
            _ => continue,
        };
        let credential = site.published(moved_to);
        let mut new = vec![Application::staying(&credential, WORK).await];
        let (stay, every) = (Duration::from_millis(30), Duration::from_millis(500));
        new.push(Application::visiting(&credential, WORK, stay, every));
        for old in std::mem::replace(&mut applications, new) {
            history.queries += undisturbed(old).await;
        }
    }
    for old in applications {
        history.queries += undisturbed(old).await;
    }
    no_process_is_left(&site).await;
    runs_are_single(&site, history.word);
    site.has_credentials(&["v3", "v4"]).await;
    // A command that finds nothing to do changes nothing.
    let before = site.snapshot().await;
    site.directory.local().await.exits(0);
    before.is_still(&site.snapshot().await);
    history.end = End::of(&site).await;
    history.took = started.elapsed();
    history
}

async fn no_process_is_left(site: &Site) {
    let started = Instant::now();
    while !site.directory.processes().is_empty() {
        let left = site.directory.processes();
        assert!(
            started.elapsed() < LEFTOVERS_PATIENCE,
            "still there: {left:?}"
        );
        sleep(Duration::from_millis(20)).await;
    }
}

async fn undisturbed(application: Application) -> u64 {
    let tally = application.stop().await;
    tally.is_undisturbed();
    tally.queries
}

/// `local`, started and killed again and again.
async fn storm(site: &Site, phase: &Phase, times: &[Duration]) {
    for time in times {
        let mut running = site.directory.start(&[]);
        sleep(*time).await;
        let finished = running.kill();
        assert!(
            finished.status.is_none_or(|status| status == phase.exit),
            "a signal was to end {finished}"
        );
    }
}

/// A phase, to its end.
///
/// # Panics
/// When it ends otherwise than it should.
pub(crate) async fn go(
    site: &Arc<Site>,
    phase: &Phase,
    strike: Option<&Strike>,
    history: &mut History,
) {
    let (mut finished, struck) = match strike.is_some() || history.is_recorded {
        true => command(site, strike, history).await,
        false => (plain_command(site).await, Struck::default()),
    };
    let mut may_fail = struck.was_running;
    if struck.hit
        && let Some(Strike { blow, pause, .. }) = strike
    {
        if blow.kills() {
            assert!(
                finished.status.is_none_or(|status| status == phase.exit),
                "a signal was to end {finished}"
            );
            if !pause.is_zero() {
                sleep(*pause).await;
                secrets_are_true(site).await;
            }
            finished = plain_command(site).await;
        }
        may_fail |= *blow == Blow::MigratorSessions;
    }
    if may_fail && mends_a_half_run(site, &finished).await {
        history.half_run = true;
        finished = plain_command(site).await;
        assert_eq!(finished.status, Some(4), "its run had failed: {finished}");
    }
    if finished.status == Some(4) && may_fail {
        let word = fitting_word(site, &finished).await;
        site.directory.ask(&[word, &site.name]).await.exits(0);
        history.word = Some(word);
        finished = plain_command(site).await;
    }
    // Where looks come too far apart on a busy machine, no window is whole, and `local` gives up on it.
    for _ in 0..BUSY_MAX {
        if phase.exit == 0 && finished.status == Some(3) && is_in_a_window(site) {
            finished = plain_command(site).await;
        }
    }
    finished.exits(phase.exit);
}

/// Is a quiet window all that is waited for?
fn is_in_a_window(site: &Site) -> bool {
    let status = site.status();
    let conditions = status["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|one| one["type"] == "Ready" && one["reason"] == "QuietWindow")
}

/// Checks what holds at any time: a Secret is published only if its login works, or is locked because it is
/// just being retired.
async fn secrets_are_true(site: &Site) {
    let person = site.database.person().await;
    // What was sent before the blow is carried out after it.
    let started = Instant::now();
    while !site
        .database
        .sessions(&person, site.database.admin())
        .await
        .is_empty()
    {
        assert!(
            started.elapsed() < LEFTOVERS_PATIENCE,
            "a killed operator is still connected"
        );
        sleep(Duration::from_millis(20)).await;
    }
    for name in site.directory.secrets() {
        let credential = site
            .directory
            .secret(&name)
            .expect("a listed Secret is there");
        let open = site.database.is_open(credential.get("username")).await;
        assert!(
            open.is_some(),
            "Secret {name} is published, its login does not exist"
        );
        if open == Some(true)
            && let Err(error) = credential.connect().await
        {
            panic!("{credential:?} is published and does not work: {error:?}");
        }
    }
}

/// What a person says to a run that did not complete; checks that it was named.
async fn fitting_word(site: &Site, finished: &Finished) -> &'static str {
    let last_run = site.status()["lastRun"].clone();
    let text = |key: &str| last_run[key].as_str().unwrap_or_default().to_owned();
    finished.says(&text("job"));
    let moved = recorded(site, true).await.contains(&text("migration"));
    if moved { "accept-run" } else { "retry" }
}

/// The migrations that are recorded as done, or as begun and not done.
async fn recorded(site: &Site, done: bool) -> Vec<String> {
    let not = if done { "" } else { "NOT " };
    let sql = format!("SELECT concat('v', version) FROM _sqlx_migrations WHERE {not}success");
    let person = site.database.person().await;
    // Before the first migration there is no table.
    person.read(&sql).await.unwrap_or_default()
}

/// Where DDL is no transaction a killed migration may have done half of its work: then the operator must have
/// said so, and a person takes back what it did. True: that was so.
async fn mends_a_half_run(site: &Site, finished: &Finished) -> bool {
    let Some(half) = recorded(site, false).await.pop() else {
        return false;
    };
    assert!(
        site.engine() != Engine::Postgres,
        "a migration is a transaction there: {finished}"
    );
    finished
        .says(&format!("version {} is half applied", &half[1..]))
        .says("repair the schema and the record with the migration tool");
    let person = site.database.person().await;
    let columns = "SELECT COLUMN_NAME FROM information_schema.COLUMNS \
                   WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'notes'";
    let columns = person.read(columns).await.expect("a person may look");
    let mut undo = vec![
        format!(
            "DELETE FROM _sqlx_migrations WHERE version = {}",
            &half[1..]
        ),
        // The table is made by the first one, which may not have come so far.
        "CREATE TABLE IF NOT EXISTS runs (migration text NOT NULL)".to_owned(),
        format!("DELETE FROM runs WHERE migration = '{half}'"),
    ];
    if half == "v1" {
        undo.push("DROP TABLE IF EXISTS notes, runs".to_owned());
    }
    for part in ["c", "d"] {
        let column = format!("{part}{}", &half[1..]);
        if columns.contains(&column) {
            undo.push(format!("ALTER TABLE notes DROP COLUMN {column}"));
        }
    }
    for statement in undo {
        if let Err(error) = person.run(&statement).await {
            panic!("`{statement}`: {error}");
        }
    }
    true
}

/// What became of a blow.
#[derive(Default)]
struct Struck {
    hit: bool,
    /// A supervisor was alive when everything was killed.
    was_running: bool,
}

/// `local`, until it ends by itself or by a blow.
async fn command(
    site: &Arc<Site>,
    strike: Option<&Strike>,
    history: &mut History,
) -> (Finished, Struck) {
    let watch = Watch::begin(site);
    let person = site.database.person().await;
    let mut running = site.directory.start(&["--log-level", "info"]);
    let ended = Over::default();
    let following = {
        let (site, ended, local) = (site.clone(), ended.0.clone(), running.id());
        let (point, blow) = (strike.map(|s| s.point.clone()), strike.map(|s| s.blow));
        let runtime = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || {
            let mut was_running = false;
            let act = || match blow {
                None => {}
                Some(Blow::Local) => signal(local, Signal::KILL),
                Some(Blow::Tree) => was_running = kill_tree(&site, local),
                Some(Blow::AdminSessions) => {
                    let user = site.database.admin().to_owned();
                    runtime.block_on(terminate(&person, &site, &user));
                }
                Some(Blow::MigratorSessions) => {
                    let user = format!("{}\\_%\\_migrator", site.name);
                    runtime.block_on(terminate(&person, &site, &user));
                }
            };
            let seen = watch.follow(point, act, &ended);
            (seen, was_running)
        })
    };
    let started = Instant::now();
    while running.is_running() && started.elapsed() < PATIENCE {
        sleep(Duration::from_millis(2)).await;
    }
    drop(ended);
    let (seen, was_running) = following.await.expect("watching does not panic");
    // Where it has not ended, this says so.
    let finished = running.finish(PATIENCE).await;
    let hit = seen.struck_after.is_some();
    if hit {
        history.struck_after.clone_from(&seen.struck_after);
    }
    history.seen.push(seen);
    (finished, Struck { hit, was_running })
}

/// `local`, of which nothing needs to be seen but its end.
async fn plain_command(site: &Site) -> Finished {
    let running = site.directory.start(&["--log-level", "info"]);
    running.finish(PATIENCE).await
}

/// Tells the one who watches that there is nothing more to see, even where a test fails meanwhile.
#[derive(Default)]
struct Over(Arc<AtomicBool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Stops every process of the directory first, so that none can still start or record anything, and then
/// kills them. True: a supervisor was among them.
fn kill_tree(site: &Site, local: u32) -> bool {
    signal(local, Signal::STOP);
    let mut stopped = vec![local];
    let mut was_running = false;
    for _ in 0..FREEZE_ROUNDS_MAX {
        let mut new: Vec<Process> = site.directory.processes();
        new.retain(|process| !stopped.contains(&process.id));
        if new.is_empty() {
            break;
        }
        for process in new {
            signal(process.id, Signal::STOP);
            was_running |= process.is_supervisor();
            stopped.push(process.id);
        }
    }
    for id in stopped {
        signal(id, Signal::KILL);
    }
    was_running
}

fn signal(id: u32, signal: Signal) {
    let id = i32::try_from(id).ok().and_then(Pid::from_raw);
    if let Some(id) = id {
        // It fails only where the process has ended meanwhile.
        let _ = kill_process(id, signal);
    }
}

/// The server ends the sessions of a user in this database.
async fn terminate(person: &Session, site: &Site, like: &str) {
    let ended = site.database.end_sessions(person, like).await;
    assert!(ended > 0, "there was no session of {like} to end");
}

/// A directory whose migrations take half a second each, and note what they do.
pub(crate) async fn site(server: &TestServer, prefix: &str) -> Site {
    let site = Site::new(server, prefix).await;
    let pause = server.engine().sleep(0.25);
    let column = |name: String| json!({ "name": name, "type": "text", "nullable": true });
    let add = |n: usize| {
        let one = format!("ALTER TABLE notes ADD COLUMN c{n} text;");
        // Where DDL is no transaction, some of it comes before the pause, and can stay; where it is, applications
        // would wait for it all the time.
        let (before, after) = match server.engine() {
            Engine::Postgres => ("", one.as_str()),
            Engine::MariaDb | Engine::MySql => (one.as_str(), ""),
        };
        Step::new(&format!(
            "{before} INSERT INTO runs (migration) VALUES ('v{n}');
             {pause};
             {after} ALTER TABLE notes ADD COLUMN d{n} text;"
        ))
        .hints(json!([{ "op": "addColumn", "table": "notes",
                        "columns": [column(format!("c{n}")), column(format!("d{n}"))] }]))
    };
    let first = Step::new(&format!(
        "CREATE TABLE notes (id serial PRIMARY KEY, text text NOT NULL);
         CREATE TABLE runs (migration text NOT NULL);
         INSERT INTO runs (migration) VALUES ('v1');
         {pause};"
    ));
    site.steps(0, &[first, add(2), add(3), add(4)]);
    let (marks, migrate) = (marks_path(&site), binary("dbop-migrate"));
    site.directory.write(
        "run.sh",
        &format!(
            "note() {{ echo \"v$DBA_OP_TARGET_VERSION $1 in $DBA_OP_JOB_ID\" >> '{}'; }}\n\
             note starts\n\
             '{}' --dir migrations || exit $?\n\
             note migrated\n\
             sleep 0.15\n",
            marks.display(),
            migrate.display()
        ),
    );
    for n in 1..=4 {
        let command = json!(["sh", "run.sh"]);
        let path = "/spec/container/command";
        site.directory
            .change(MIGRATION, &format!("v{n}"), path, command);
    }
    site
}

/// Checks that no migration's container was started twice, unless somebody said so.
#[track_caller]
fn runs_are_single(site: &Site, word: Option<&str>) {
    let marks = std::fs::read_to_string(marks_path(site)).expect("the migrations leave marks");
    let mut starts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut jobs: BTreeMap<&str, usize> = BTreeMap::new();
    for line in marks.lines() {
        if let Some((version, job)) = line.split_once(" starts in ") {
            *starts.entry(version).or_default() += 1;
            *jobs.entry(job).or_default() += 1;
        }
    }
    let again = starts.values().sum::<usize>() - starts.len();
    let allowed = usize::from(word == Some("retry"));
    assert!(
        starts.len() == 4 && again <= allowed && jobs.values().all(|times| *times == 1),
        "a migration was started twice, after {word:?}:\n{marks}"
    );
}
