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
    DatabaseFacts, Engine, Fact, LiquibaseVersion, LockHolder, ToolLock, VersionSource,
};
use dbop_testkit::conformance::Stage;
use dbop_testkit::tools;
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
        let mut stage = Stage::bare(&site).await;
        stage.scope.access.version_table = source.table().cloned();
        stage.scope.access.tool_tables = source.companions().into_iter().collect();
        stage.admin.claim(&stage.scope).await.unwrap();
        stage.admin.prepare(&stage.scope).await.unwrap();
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

    /// What is seen after a statement.
    async fn after(&self, sql: &str) -> DatabaseFacts {
        if let Err(error) = self.run.batch_execute(sql).await {
            panic!("{sql}: {error:?}");
        }
        self.look().await
    }

    async fn locks(&self) -> Vec<ToolLock> {
        match self.look().await.locks {
            Fact::Known(locks) => locks,
            Fact::Unknown(why) => panic!("{why}"),
        }
    }
}

/// Runs statements one after the other, on the oldest and the newest server, and compares the version after each.
async fn check(cases: Vec<tools::Case>) {
    for major in majors() {
        for case in &cases {
            let kept = Kept::new(major, case.source.clone()).await;
            let there = tools::shown(&kept.look().await.version);
            assert_eq!(there, "-", "there is no table yet");
            for (sql, expect) in &case.steps {
                let seen = tools::shown(&kept.after(sql).await.version);
                assert_eq!(seen, *expect, "after {sql}");
            }
        }
    }
}

macro_rules! on_each {
    ($($tool:ident)*) => {
        $(
            #[tokio::test]
            async fn $tool() {
                check(tools::$tool(Engine::PostgreSql)).await;
            }
        )*
    };
}

dbop_testkit::tools_cases!(on_each);

fn table(name: &str) -> dbop_model::table::TableName {
    name.parse().unwrap()
}

#[tokio::test]
async fn a_database_with_nothing_but_tables_of_the_tool_s_own_is_empty() {
    for major in majors() {
        for own in tools::own_tables(Engine::PostgreSql) {
            let kept = Kept::new(major, own.source).await;
            for sql in own.statements {
                let facts = kept.after(&sql).await;
                assert_eq!(tools::shown(&facts.version), "-", "after {sql}");
                assert!(!facts.has_tables, "after {sql}");
            }
            assert!(
                kept.after("CREATE TABLE customers (id int)")
                    .await
                    .has_tables
            );
        }
    }
}

#[tokio::test]
async fn a_lock_that_liquibase_left_is_freed_by_what_is_told() {
    let source = VersionSource::Liquibase {
        table: table("databasechangelog"),
        version: LiquibaseVersion::Tag,
    };
    for major in majors() {
        for made in tools::liquibase_locks(Engine::PostgreSql) {
            let kept = Kept::new(major, source.clone()).await;
            assert_eq!(kept.locks().await, [], "there is no table yet");
            kept.after(&made).await;
            assert_eq!(kept.locks().await, [], "nobody holds it");
            let take = tools::liquibase_takes_its_lock(Engine::PostgreSql);
            kept.after(&take).await;
            let locks = kept.locks().await;
            assert_eq!(locks[0].holder.host(), Some("shop-v2-x7k2p"));
            assert_eq!(
                locks[0].holder.to_string(),
                "shop-v2-x7k2p (10.1.2.3) since 2026-01-02 03:04:05"
            );
            kept.after(&locks[0].frees).await;
            assert_eq!(kept.locks().await, []);
        }
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
        tools::flyway_table(Engine::PostgreSql),
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
