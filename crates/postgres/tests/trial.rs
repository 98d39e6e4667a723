//! Trials of statements on copies, on real servers: what the server says, and that nothing is left.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, which is its use"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use dbop_database::{Administer, Connector as _, Target};
use dbop_hints::{facts_wanted, trials_wanted};
use dbop_model::trial::Trial;
use dbop_model::{Engine, Fact};
use dbop_postgres::Postgres;
use dbop_tests::{TestDatabase, on_each};
use jiff::Timestamp;

const TIMEOUT: Duration = Duration::from_secs(5);

async fn admin(database: &TestDatabase) -> Box<dyn Administer> {
    let target = Target {
        dsn: database.admin_dsn().into(),
        tls: None,
        ca_certificate: None,
    };
    let postgres = Postgres::new(|| Timestamp::UNIX_EPOCH);
    postgres.connect(&target).await.unwrap()
}

/// What trying the statements of a file comes to, by their numbers.
async fn tried(admin: &dyn Administer, sql: &str) -> BTreeMap<usize, Fact<Trial>> {
    let statements = dbop_sql::read(Engine::PostgreSql, sql);
    let facts = admin
        .table_facts(&facts_wanted(&statements), TIMEOUT)
        .await
        .unwrap();
    let attempts = trials_wanted(&admin.server_info(), &statements, &facts);
    admin.try_on_copies(&attempts, TIMEOUT).await.unwrap()
}

/// In a word, with the server's words.
fn word(trial: Option<&Fact<Trial>>) -> String {
    match trial {
        None => "not tried".to_owned(),
        Some(Fact::Known(Trial::Done { rewrites, .. })) => match rewrites {
            Some(true) => "new files".to_owned(),
            _ => "done".to_owned(),
        },
        Some(Fact::Known(Trial::Refused { code, .. })) => format!("refused {code}"),
        Some(Fact::Unknown(why)) => format!("unknown: {why}"),
    }
}

const SETUP: &str = "
    CREATE TABLE plain (id serial PRIMARY KEY, n int NOT NULL DEFAULT 3 CHECK (n > 0), t text, d timestamp);
    CREATE INDEX ON plain (lower(t));
    INSERT INTO plain (t) SELECT 'row' FROM generate_series(1, 100);
    CREATE TABLE log (said text);
    GRANT INSERT ON log TO PUBLIC;
    CREATE FUNCTION tell() RETURNS void LANGUAGE sql VOLATILE AS
        $$ INSERT INTO public.log VALUES ('ran as ' || current_user) $$;
    CREATE FUNCTION told(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
        $$ BEGIN PERFORM public.tell(); RETURN 1; END $$;
    CREATE TABLE trap (id int);
    CREATE INDEX ON trap ((id + told(7)));
    CREATE TABLE snare (id int CHECK (told(7) > 0));
    DELETE FROM log;";

/// Everything that a trial could leave behind: relations with their files, schemas, and what the trap was told.
const LEFT: &str = "
    SELECT string_agg(x, ',' ORDER BY x) FROM (
        SELECT 'file ' || oid || ' ' || pg_relation_filenode(oid) AS x FROM pg_class WHERE relkind IN ('r', 'i', 'S')
            AND relnamespace = 'public'::regnamespace
        UNION ALL SELECT 'scratch ' || relname FROM pg_class WHERE relname LIKE 'dbop_scratch%'
        UNION ALL SELECT 'rows ' || count(*) FROM plain
        UNION ALL SELECT 'log ' || said FROM log) AS all_of_it";

#[tokio::test]
async fn statements_are_tried_on_a_copy_and_nothing_is_left() {
    on_each(async |server| {
        let database = server.database("trial").await;
        let superuser = database.superuser().await;
        superuser.batch_execute(SETUP).await.unwrap();
        let name = database.admin().to_owned();
        superuser
            .batch_execute(&format!(
                "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}; GRANT USAGE ON SCHEMA public TO {name}"
            ))
            .await
            .unwrap();
        let left = async || {
            let row = superuser.query_one(LEFT, &[]).await.unwrap();
            row.get::<_, String>(0)
        };
        let before = left().await;
        // A writer whose transaction is open: a trial waits for nobody, and nobody for it.
        let writer = database.superuser().await;
        writer.batch_execute("BEGIN; UPDATE plain SET n = n + 1").await.unwrap();
        let admin = admin(&database).await;
        for (sql, expect) in [
            ("ALTER TABLE plain ADD COLUMN a int DEFAULT 7", "done"),
            ("ALTER TABLE plain ADD COLUMN a uuid DEFAULT gen_random_uuid()", "new files"),
            ("ALTER TABLE plain ALTER COLUMN n TYPE bigint", "new files"),
            ("ALTER TABLE public.plain ALTER COLUMN t TYPE varchar", "done"),
            ("ALTER TABLE plain ALTER COLUMN t TYPE int", "refused 42804"),
            ("ALTER TABLE plain ADD COLUMN n int", "refused 42701"),
            ("ALTER TABLE plain ADD PRIMARY KEY (n)", "refused 42P16"),
            ("ALTER TABLE plain ADD COLUMN a int DEFAULT 'x'", "refused 22P02"),
            ("CREATE UNIQUE INDEX i ON plain (t, n)", "done"),
            ("CREATE INDEX CONCURRENTLY i ON plain (t)", "not tried"),
            // Whether the migration's session knows them is not known.
            ("ALTER TABLE plain ADD COLUMN a mood", "unknown"),
            ("ALTER TABLE plain ADD COLUMN a int DEFAULT pg_sleep(9)", "unknown: it is not tried: its expression calls pg_sleep"),
            ("ALTER TABLE plain ADD COLUMN a int DEFAULT told(1)", "unknown: it is not tried: its expression calls told"),
            // Their index and their check would run what their owner wrote, as the admin.
            ("ALTER TABLE trap ADD COLUMN a int", "done"),
            ("ALTER TABLE snare ADD COLUMN a int NOT NULL DEFAULT 1", "unknown: public.snare uses functions"),
        ] {
            let trials = tried(admin.as_ref(), sql).await;
            let got = word(trials.get(&0));
            assert!(got.starts_with(expect), "{}: {sql}: {got}", server.title());
        }
        let file = "ALTER TABLE plain ADD COLUMN a text; ALTER TABLE plain ALTER COLUMN a TYPE int USING a::int;
                    ALTER TABLE plain DROP COLUMN nothing; ALTER TABLE plain DROP COLUMN a;";
        let trials = tried(admin.as_ref(), file).await;
        let words: Vec<String> = (0..4).map(|nth| word(trials.get(&nth))).collect();
        assert_eq!(
            words,
            ["done", "new files", "refused 42703", "unknown: a statement before it could not be tried"],
            "{}",
            server.title()
        );
        writer.batch_execute("ROLLBACK").await.unwrap();

        // Somebody who locks the table is not waited for.
        writer.batch_execute("BEGIN; LOCK TABLE plain IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let statements = dbop_sql::read(Engine::PostgreSql, "ALTER TABLE plain ADD COLUMN a int");
        let attempt = dbop_model::trial::Attempt {
            statement: 0,
            table: "public.plain".parse().unwrap(),
            around: statements[0].around.clone().unwrap(),
            expressions: Vec::new(),
            pinned: false,
        };
        let trials = admin.try_on_copies(&[attempt], TIMEOUT).await.unwrap();
        let got = word(trials.get(&0));
        assert!(got.starts_with("unknown: no copy of public.plain"), "{got}");
        writer.batch_execute("ROLLBACK").await.unwrap();

        // Without the right to a copy it says so, and goes on.
        superuser
            .batch_execute(&format!("REVOKE SELECT ON plain FROM {name}, PUBLIC"))
            .await
            .unwrap();
        let trials = tried(admin.as_ref(), "ALTER TABLE plain ADD COLUMN a int").await;
        let got = word(trials.get(&0));
        assert!(got.contains("a copy needs SELECT on the table"), "{got}");
        drop(admin);
        assert_eq!(left().await, before, "{}", server.title());
    })
    .await;
}
