//! What a look at a large table costs those who use it: how long its probes run, who waits for them, and that nothing is
//! written.
//!
//! At full length (`cargo xtask prove probes`) the table has ten million rows; else fewer, where every probe is short.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod log;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dbop_tests::local::{Directory, Finished};
use dbop_tests::writer::{Pauses, Writer};
use dbop_tests::{Engine, Session, TestDatabase, TestServer, is_full_proof, newest};
use tokio::time::{Instant, sleep};

const ROWS_FULL: u64 = 10_000_000;
const ROWS_OF_SLICE: u64 = 200_000;
const ROWS_AT_ONCE: u64 = 1_000_000;
/// `hints.probeTimeout`, as `analyze` has it.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// What a probe may take beyond it.
const GRACE: Duration = Duration::from_secs(1);
/// Nobody who writes waits for a probe, and DDL only until the probe gives way; on a machine with other work to do everything takes a while.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// So long DDL waits for its lock before it makes room, where it is written as it should be.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// A change, and the probe that it takes.
struct Probe {
    what: &'static str,
    postgres: &'static str,
    others: &'static str,
}

const PROBES: [Probe; 3] = [
    Probe {
        what: "size and catalogue",
        postgres: "ALTER TABLE big ADD COLUMN c int",
        others: "ALTER TABLE big ADD COLUMN c int",
    },
    Probe {
        what: "is there a NULL? (there is none)",
        postgres: "ALTER TABLE big ALTER COLUMN note SET NOT NULL",
        others: "ALTER TABLE big MODIFY note VARCHAR(20) NOT NULL",
    },
    Probe {
        what: "is a value there twice? (none is, and no index helps)",
        postgres: "ALTER TABLE big ADD CONSTRAINT big_n_key UNIQUE (n)",
        others: "ALTER TABLE big ADD UNIQUE INDEX big_n_key (n)",
    },
];

#[tokio::test]
async fn a_look_is_short_reads_alone_and_lets_others_work() {
    let rows = if is_full_proof() {
        ROWS_FULL
    } else {
        ROWS_OF_SLICE
    };
    for server in newest() {
        let stage = Stage::new(&server, rows).await;
        println!(
            "proof: {} with {rows} rows; probeTimeout {} s",
            server.title(),
            PROBE_TIMEOUT.as_secs()
        );
        println!(
            "proof: | the look | takes | a writer waits | DDL with a lock timeout of {} s waits | DDL without waits |",
            LOCK_TIMEOUT.as_secs()
        );
        println!("proof: |---|---|---|---|---|");
        for probe in &PROBES {
            println!("proof: {}", stage.line(probe).await);
        }
    }
}

struct Stage {
    database: TestDatabase,
    directory: Directory,
    rows: u64,
}

impl Stage {
    async fn new(server: &TestServer, rows: u64) -> Stage {
        let database = server.database("probes").await;
        let directory = Directory::new("probes");
        directory.write("admin.dsn", &database.admin_dsn());
        let admin = database.as_admin().await;
        let create = "CREATE TABLE big (id BIGINT PRIMARY KEY, n BIGINT, a INT, note VARCHAR(20))";
        admin.run(create).await.unwrap();
        let mut made = 0;
        while made < rows {
            let more = (rows - made).min(ROWS_AT_ONCE);
            admin
                .run(&filling(server.engine(), made, more))
                .await
                .unwrap();
            made += more;
        }
        let analyze = match server.engine() {
            Engine::Postgres => "VACUUM ANALYZE big",
            Engine::MySql | Engine::MariaDb => "ANALYZE TABLE big",
        };
        admin.read(analyze).await.unwrap();
        admin.close().await;
        Stage {
            database,
            directory,
            rows,
        }
    }

    async fn line(&self, probe: &Probe) -> String {
        let sql = match self.database.engine() {
            Engine::Postgres => probe.postgres,
            Engine::MySql | Engine::MariaDb => probe.others,
        };
        self.directory.write("change.sql", &format!("{sql};\n"));

        // Alone: how long it takes, and all that the server was told.
        let before = log::Mark::of(self.database.server());
        let ended = self.look().await;
        log::only_reads(&before.statements_since(), self.database.name());
        let startup = Duration::from_millis(500);
        assert!(
            ended.took <= PROBE_TIMEOUT + GRACE + startup,
            "{}: it took {:?}",
            probe.what,
            ended.took
        );

        let writer = self.writer();
        self.look().await;
        let Pauses { longest, .. } = writer.end();
        assert!(
            longest <= PAUSE_MAX,
            "{}: a writer waited for {longest:?}",
            probe.what
        );

        let short = self.ddl_beside_a_look(Some(LOCK_TIMEOUT)).await;
        assert!(
            short <= LOCK_TIMEOUT + PAUSE_MAX,
            "{}: DDL that gives up waited for {short:?}",
            probe.what
        );
        let long = self.ddl_beside_a_look(None).await;
        assert!(long <= PAUSE_MAX, "{}: DDL waited for {long:?}", probe.what);
        let shown = |time: Duration| format!("{:.2} s", time.as_secs_f32());
        format!(
            "| {} | {} | {} | {} | {} |",
            probe.what,
            shown(ended.took),
            shown(longest),
            shown(short),
            shown(long)
        )
    }

    /// `analyze`, as its users run it.
    async fn look(&self) -> Finished {
        let path = |file: &str| self.directory.path().join(file).display().to_string();
        let (dsn, file) = (path("admin.dsn"), path("change.sql"));
        let ended = self
            .directory
            .run(&["analyze", "--dsn-file", &dsn, "--sql", &file])
            .await;
        assert!(matches!(ended.status, Some(0 | 3)), "{ended}");
        ended
    }

    fn writer(&self) -> Writer {
        let rows = self.rows;
        Writer::start(self.database.admin_dsn(), move |nth| {
            let id = 1 + (nth * 7919) % rows;
            format!("UPDATE big SET a = a + 1 WHERE id = {id}")
        })
    }

    /// DDL that changes nothing to speak of, again and again while a look goes on; gives the longest time that one took.
    async fn ddl_beside_a_look(&self, lock_timeout: Option<Duration>) -> Duration {
        let session = self.database.as_admin().await;
        if let Some(timeout) = lock_timeout {
            let seconds = timeout.as_secs();
            let set = match self.database.engine() {
                Engine::Postgres => format!("SET lock_timeout = '{seconds}s'"),
                Engine::MySql | Engine::MariaDb => {
                    format!("SET SESSION lock_wait_timeout = {seconds}")
                }
            };
            session.run(&set).await.unwrap();
        }
        let over = Arc::new(AtomicBool::new(false));
        let watched = Arc::clone(&over);
        let ddl = async move {
            let mut longest = Duration::ZERO;
            for nth in 0.. {
                if watched.load(Ordering::Relaxed) {
                    break;
                }
                longest = longest.max(one(&session, nth, lock_timeout.is_some()).await);
                sleep(Duration::from_millis(50)).await;
            }
            longest
        };
        let look = async {
            self.look().await;
            over.store(true, Ordering::Relaxed);
        };
        tokio::join!(ddl, look).0
    }
}

async fn one(session: &Session, nth: u32, may_give_up: bool) -> Duration {
    let begun = Instant::now();
    let ended = session
        .run(&format!("ALTER TABLE big ALTER COLUMN a SET DEFAULT {nth}"))
        .await;
    if let Err(refused) = ended {
        // PostgreSQL: lock_not_available; MySQL and MariaDB: lock wait timeout exceeded.
        assert!(
            may_give_up && ["55P03", "1205"].contains(&refused.code.as_str()),
            "DDL fails: {refused}"
        );
    }
    begun.elapsed()
}

fn filling(engine: Engine, after: u64, rows: u64) -> String {
    match engine {
        Engine::Postgres => format!(
            "INSERT INTO big SELECT g, g, g % 1000, 'note ' || g % 100 FROM generate_series({}, {}) g",
            after + 1,
            after + rows
        ),
        Engine::MySql | Engine::MariaDb => format!(
            "INSERT INTO big WITH RECURSIVE d (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM d WHERE n < 999) SELECT s.n, \
             s.n, s.n % 1000, concat('note ', s.n % 100) FROM (SELECT {after} + x.n * 1000 + y.n + 1 AS n FROM d x JOIN d \
             y WHERE x.n * 1000 + y.n < {rows}) s"
        ),
    }
}
