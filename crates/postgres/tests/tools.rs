//! The tables that migration tools keep, made as the tools make them, read on real servers: each version, what
//! moves it, what makes it dirty; and the locks that killed tools leave, with the very statement that frees them.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, which is its use"
)]

#[path = "support/site.rs"]
mod support;

use dbop_database::Look;
use dbop_model::{
    DatabaseFacts, Fact, LiquibaseVersion, LockHolder, ObservedVersion, ToolLock, VersionSource,
};
use dbop_testkit::conformance::Stage;
use dbop_tests::majors;
use secrecy::SecretString;
use tokio_postgres::Client;

use support::PgSite;

/// A database whose version a tool keeps, and a session of the migrator in it.
struct Kept {
    site: PgSite,
    stage: Stage,
    run: Client,
    source: VersionSource,
}

impl Kept {
    async fn new(major: u8, source: VersionSource) -> Self {
        let site = PgSite::new(major).await;
        let stage = Stage::prepared(&site).await;
        let password: SecretString = "m".to_owned().into();
        let migrator = stage.admin.open_migrator(&stage.scope, &password).await;
        let run = site.login(migrator.unwrap().as_str(), "m").await.unwrap();
        Self {
            site,
            stage,
            run,
            source,
        }
    }

    async fn look(&self) -> DatabaseFacts {
        let look = Look {
            owner: self.stage.scope.owner.clone(),
            version_source: self.source.clone(),
            access: self.stage.scope.access.clone(),
            migrations: Default::default(),
        };
        self.stage.admin.observe(&look).await.unwrap()
    }

    /// The version after a statement: `-` for none, with `!` before it where it is dirty.
    async fn after(&self, sql: &str) -> String {
        self.run.batch_execute(sql).await.unwrap();
        match self.look().await.version {
            Fact::Known(ObservedVersion::None) => "-".to_owned(),
            Fact::Known(ObservedVersion::At(version)) => version.to_string(),
            Fact::Known(ObservedVersion::Several(several)) => format!("{several:?}"),
            Fact::Known(ObservedVersion::Dirty { version, .. }) => format!("!{version}"),
            Fact::Unknown(why) => format!("not known: {why}"),
        }
    }

    async fn locks(&self) -> Vec<ToolLock> {
        match self.look().await.locks {
            Fact::Known(locks) => locks,
            Fact::Unknown(why) => panic!("{why}"),
        }
    }
}

/// Runs statements one after the other, on the oldest and the newest server, and compares the version after each.
async fn check(source: VersionSource, rows: &[(&str, &str)]) {
    for major in majors() {
        let kept = Kept::new(major, source.clone()).await;
        assert_eq!(kept.after("").await, "-", "there is no table yet");
        for (sql, expect) in rows {
            assert_eq!(kept.after(sql).await, *expect, "after {sql}");
        }
    }
}

fn table(name: &str) -> dbop_model::table::TableName {
    name.parse().unwrap()
}

const FLYWAY: &str = "CREATE TABLE public.flyway_schema_history (installed_rank INT NOT NULL, \
    version VARCHAR(50), description VARCHAR(200) NOT NULL, type VARCHAR(20) NOT NULL, \
    script VARCHAR(1000) NOT NULL, checksum INTEGER, installed_by VARCHAR(100) NOT NULL, \
    installed_on TIMESTAMP NOT NULL DEFAULT now(), execution_time INTEGER NOT NULL, \
    success BOOLEAN NOT NULL, \
    CONSTRAINT flyway_schema_history_pk PRIMARY KEY (installed_rank))";

#[tokio::test]
async fn flyway() {
    let source = VersionSource::Flyway {
        table: table("flyway_schema_history"),
    };
    let row = |rank: u32, version: &str, kind: &str, success: bool| {
        format!(
            "INSERT INTO flyway_schema_history VALUES ({rank}, {version}, 'd', '{kind}', 'f.sql', 1, \
             'u', now(), 5, {success})"
        )
    };
    check(
        source,
        &[
            (FLYWAY, "-"),
            (&row(0, "NULL", "SCHEMA", true), "-"),
            (&row(1, "'1'", "BASELINE", true), "1"),
            (&row(2, "'2'", "SQL", true), "2"),
            (&row(3, "NULL", "SQL", true), "2"),
            // Out of order: what was installed last is where the schema is.
            (&row(4, "'1.5'", "JDBC", true), "1.5"),
            (&row(5, "'1.5'", "UNDO_SQL", true), "2"),
            (&row(6, "'1.5'", "SQL", true), "1.5"),
            (&row(7, "'1.5'", "DELETE", true), "2"),
            (&row(8, "'3'", "SQL", false), "!3"),
            ("DELETE FROM flyway_schema_history WHERE NOT success", "2"),
            (&row(9, "NULL", "SQL", false), "!f.sql"),
        ],
    )
    .await;
}

#[tokio::test]
async fn liquibase() {
    const LOG: &str = "CREATE TABLE public.databasechangelog (ID VARCHAR(255) NOT NULL, \
        AUTHOR VARCHAR(255) NOT NULL, FILENAME VARCHAR(255) NOT NULL, \
        DATEEXECUTED TIMESTAMP WITHOUT TIME ZONE NOT NULL, ORDEREXECUTED INTEGER NOT NULL, \
        EXECTYPE VARCHAR(10) NOT NULL, MD5SUM VARCHAR(35), DESCRIPTION VARCHAR(255), \
        COMMENTS VARCHAR(255), TAG VARCHAR(255), LIQUIBASE VARCHAR(20), CONTEXTS VARCHAR(255), \
        LABELS VARCHAR(255), DEPLOYMENT_ID VARCHAR(10))";
    let row = |order: u32, id: &str, kind: &str, tag: &str| {
        format!(
            "INSERT INTO databasechangelog (ID, AUTHOR, FILENAME, DATEEXECUTED, ORDEREXECUTED, EXECTYPE, \
             TAG) VALUES ('{id}', 'ada', 'log.xml', now(), {order}, '{kind}', {tag})"
        )
    };
    let of = |version| VersionSource::Liquibase {
        table: table("databasechangelog"),
        version,
    };
    let rows = [
        row(1, "init", "EXECUTED", "NULL"),
        row(2, "t1", "EXECUTED", "'1.0'"),
        row(10, "email", "MARK_RAN", "NULL"),
    ];
    check(
        of(LiquibaseVersion::ChangeSet),
        &[
            (LOG, "-"),
            (&rows[0], "log.xml::init::ada"),
            (&rows[1], "log.xml::t1::ada"),
            (&rows[2], "log.xml::email::ada"),
            (
                "UPDATE databasechangelog SET EXECTYPE = 'RERAN', ORDEREXECUTED = 11 WHERE ID = 'init'",
                "not known: the change set that ran last, log.xml::init::ada, ran before, too (runOnChange \
                 or runAlways), so the order of DATABASECHANGELOG names no version; give versions tags, and \
                 write schemaVersion.versionIs: Tag",
            ),
        ],
    )
    .await;
    check(
        of(LiquibaseVersion::Tag),
        &[
            (LOG, "-"),
            (&rows[0], "-"),
            (&rows[1], "1.0"),
            (&rows[2], "1.0"),
        ],
    )
    .await;
}

#[tokio::test]
async fn rails_and_diesel() {
    check(
        VersionSource::Rails {
            table: table("schema_migrations"),
        },
        &[
            (
                "CREATE TABLE schema_migrations (version character varying NOT NULL PRIMARY KEY)",
                "-",
            ),
            ("INSERT INTO schema_migrations VALUES ('9'), ('10')", "10"),
            (
                "INSERT INTO schema_migrations VALUES ('20240102030405')",
                "20240102030405",
            ),
            (
                "INSERT INTO schema_migrations VALUES ('20240101000000')",
                "20240102030405",
            ),
            (
                "INSERT INTO schema_migrations VALUES ('x')",
                "not known: the migrations table holds a version that is not a number",
            ),
        ],
    )
    .await;
    check(
        VersionSource::Diesel {
            table: table("__diesel_schema_migrations"),
        },
        &[
            (
                "CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL, \
                 run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)",
                "-",
            ),
            (
                "INSERT INTO __diesel_schema_migrations (version) VALUES ('00000000000000')",
                "00000000000000",
            ),
            (
                "INSERT INTO __diesel_schema_migrations (version) VALUES ('20240102030405'), \
                 ('20230102030405')",
                "20240102030405",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn django() {
    check(
        VersionSource::Django {
            table: table("django_migrations"),
            app: "shop".to_owned(),
        },
        &[
            (
                "CREATE TABLE django_migrations (id bigint NOT NULL PRIMARY KEY GENERATED BY DEFAULT AS \
                 IDENTITY, app varchar(255) NOT NULL, name varchar(255) NOT NULL, applied timestamp with \
                 time zone NOT NULL)",
                "-",
            ),
            (
                "INSERT INTO django_migrations (app, name, applied) VALUES ('auth', '0001_initial', now())",
                "-",
            ),
            (
                "INSERT INTO django_migrations (app, name, applied) VALUES ('shop', '0001_initial', now()), \
                 ('shop', '0002_add_email', now()), ('auth', '0002_x', now())",
                "0002_add_email",
            ),
            (
                "DELETE FROM django_migrations WHERE app = 'shop' AND name = '0002_add_email'",
                "0001_initial",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn golang_migrate_and_goose() {
    check(
        VersionSource::GolangMigrate {
            table: table("schema_migrations"),
        },
        &[
            (
                "CREATE TABLE schema_migrations (version bigint not null primary key, dirty boolean not null)",
                "-",
            ),
            ("INSERT INTO schema_migrations VALUES (1, false)", "1"),
            ("UPDATE schema_migrations SET version = 2, dirty = true", "!2"),
            ("UPDATE schema_migrations SET dirty = false", "2"),
        ],
    )
    .await;
    let step = |version: u32, is_applied: bool| {
        format!(
            "INSERT INTO goose_db_version (version_id, is_applied) VALUES ({version}, {is_applied})"
        )
    };
    check(
        VersionSource::Goose {
            table: table("goose_db_version"),
        },
        &[
            (
                "CREATE TABLE goose_db_version (id integer PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY, \
                 version_id bigint NOT NULL, is_applied boolean NOT NULL, tstamp timestamp NOT NULL DEFAULT \
                 now())",
                "-",
            ),
            (&step(0, true), "-"),
            (&step(1, true), "1"),
            (&step(2, true), "2"),
            (&step(2, false), "1"),
            (&step(3, true), "3"),
            ("DELETE FROM goose_db_version WHERE version_id = 3", "1"),
        ],
    )
    .await;
}

#[tokio::test]
async fn prisma() {
    let row = |id: u32, name: &str, finished: &str, undone: &str| {
        format!(
            "INSERT INTO _prisma_migrations (id, checksum, migration_name, finished_at, rolled_back_at) \
             VALUES ('{id}', 'c', '{name}', {finished}, {undone})"
        )
    };
    check(
        VersionSource::Prisma {
            table: table("_prisma_migrations"),
        },
        &[
            (
                "CREATE TABLE _prisma_migrations (id VARCHAR(36) PRIMARY KEY NOT NULL, \
                 checksum VARCHAR(64) NOT NULL, finished_at TIMESTAMPTZ, migration_name VARCHAR(255) NOT \
                 NULL, logs TEXT, rolled_back_at TIMESTAMPTZ, started_at TIMESTAMPTZ NOT NULL DEFAULT \
                 now(), applied_steps_count INTEGER NOT NULL DEFAULT 0)",
                "-",
            ),
            (&row(1, "1_init", "now()", "NULL"), "1_init"),
            (&row(2, "2_email", "NULL", "NULL"), "!2_email"),
            (
                "UPDATE _prisma_migrations SET rolled_back_at = now() WHERE id = '2'",
                "1_init",
            ),
            (&row(3, "2_email", "now()", "NULL"), "2_email"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_lock_that_liquibase_left_is_freed_by_what_is_told() {
    let source = VersionSource::Liquibase {
        table: table("databasechangelog"),
        version: LiquibaseVersion::Tag,
    };
    for major in majors() {
        let kept = Kept::new(major, source.clone()).await;
        assert_eq!(kept.locks().await, [], "there is no table yet");
        kept.run
            .batch_execute(
                "CREATE TABLE public.databasechangeloglock (ID INTEGER NOT NULL PRIMARY KEY, LOCKED BOOLEAN \
                 NOT NULL, LOCKGRANTED TIMESTAMP WITHOUT TIME ZONE, LOCKEDBY VARCHAR(255)); \
                 INSERT INTO databasechangeloglock VALUES (1, FALSE, NULL, NULL)",
            )
            .await
            .unwrap();
        assert_eq!(kept.locks().await, [], "nobody holds it");
        kept.run
            .batch_execute(
                "UPDATE databasechangeloglock SET LOCKED = TRUE, LOCKEDBY = 'shop-v2-x7k2p (10.1.2.3)', \
                 LOCKGRANTED = '2026-01-02 03:04:05.678'",
            )
            .await
            .unwrap();
        let locks = kept.locks().await;
        assert_eq!(locks[0].holder.host(), Some("shop-v2-x7k2p"));
        assert_eq!(
            locks[0].holder.to_string(),
            "shop-v2-x7k2p (10.1.2.3) since 2026-01-02 03:04:05.678"
        );
        kept.run.batch_execute(&locks[0].frees).await.unwrap();
        assert_eq!(kept.locks().await, []);
    }
}

/// Takes a lock as the tool does, and frees it by what is told.
async fn held_and_freed(source: VersionSource, prepare: &str, take: &str) {
    for major in majors() {
        let kept = Kept::new(major, source.clone()).await;
        kept.run.batch_execute(prepare).await.unwrap();
        // A lock of somebody else's, which is no concern of the tool's.
        kept.run
            .batch_execute("SELECT pg_advisory_lock(42)")
            .await
            .unwrap();
        assert_eq!(kept.locks().await, []);
        kept.run.batch_execute(take).await.unwrap();
        let locks = kept.locks().await;
        let [lock] = &locks[..] else {
            panic!("{locks:?}")
        };
        assert!(matches!(&lock.holder, LockHolder::Session(_)), "{lock:?}");
        kept.site.superuser_runs(&lock.frees).await;
        let mut tries = 0;
        while !kept.locks().await.is_empty() {
            tries += 1;
            assert!(tries < 100, "the session outlived {}", lock.frees);
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn a_lock_of_flyway_is_freed_by_what_is_told() {
    let source = VersionSource::Flyway {
        table: table("flyway_schema_history"),
    };
    // "Flyway" as a number, and the hash of "public"."flyway_schema_history".
    held_and_freed(
        source,
        FLYWAY,
        "SELECT pg_try_advisory_lock(77431708279161 - 1234567)",
    )
    .await;
}

#[tokio::test]
async fn a_lock_of_golang_migrate_is_known_by_the_names_that_it_is_made_of() {
    let source = VersionSource::GolangMigrate {
        table: table("schema_migrations"),
    };
    // crc32 is not to be had in SQL: the names are those of the site's database, and the number is computed here.
    for major in majors() {
        let kept = Kept::new(major, source.clone()).await;
        let database = kept
            .site
            .superuser_reads("SELECT pg_catalog.current_database()")
            .await
            .unwrap();
        let sum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC)
            .checksum(format!("public\0schema_migrations\0{database}").as_bytes());
        let key = sum.wrapping_mul(1_486_364_155);
        kept.run
            .batch_execute(&format!("SELECT pg_advisory_lock({key})"))
            .await
            .unwrap();
        let locks = kept.locks().await;
        assert_eq!(locks.len(), 1, "{locks:?}");
        assert_eq!(locks[0].lock, format!("advisory lock {key}"));
        let LockHolder::Session(session) = &locks[0].holder else {
            panic!("{locks:?}")
        };
        assert!(
            session.address.is_some() && session.age.is_some(),
            "{session:?}"
        );
    }
}
