//! The tables that migration tools keep, made as the tools make them, read on real servers: each version, what
//! moves it, what makes it dirty; and the locks that killed tools leave, with the very statement that frees them.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, which is its use"
)]

#[path = "support/site.rs"]
mod support;

use std::time::Duration;

use dbop_database::Look;
use dbop_model::table::TableName;
use dbop_model::{DatabaseFacts, Fact, LiquibaseVersion, LockHolder, ToolLock, VersionSource};
use dbop_testkit::conformance::{Site as _, Stage};
use dbop_testkit::tools;
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;
use secrecy::SecretString;

use support::{MySite, TestServer};
use tokio::sync::Mutex;

/// A database whose version a tool keeps, and a session of the migrator in it.
struct Kept {
    site: MySite,
    stage: Stage,
    run: Conn,
    source: VersionSource,
}

impl Kept {
    async fn new(server: &TestServer, source: VersionSource) -> Self {
        let site = MySite::on(server).await;
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
    async fn after(&mut self, sql: &str) -> DatabaseFacts {
        if let Err(error) = self.run.query_drop(sql).await {
            panic!("{sql}: {error}");
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

macro_rules! on_each {
    ($($tool:ident)*) => {
        $(
            #[tokio::test]
            async fn $tool() {
                support::on_each(async |server| check(&server, tools::$tool(server.engine)).await).await;
            }
        )*
    };
}

dbop_testkit::tools_cases!(on_each);

/// Runs statements one after the other, and compares the version after each.
async fn check(server: &TestServer, cases: Vec<tools::Case>) {
    for case in cases {
        let mut kept = Kept::new(server, case.source).await;
        let there = tools::shown(&kept.look().await.version);
        assert_eq!(there, "-", "there is no table yet");
        for (sql, expect) in case.steps {
            let seen = tools::shown(&kept.after(&sql).await.version);
            assert_eq!(seen, expect, "after {sql}");
        }
    }
}

fn table(name: &str) -> TableName {
    name.parse().unwrap()
}

#[tokio::test]
async fn a_database_with_nothing_but_tables_of_the_tool_s_own_is_empty() {
    support::on_each(async |server| {
        for own in tools::own_tables(server.engine) {
            let mut kept = Kept::new(&server, own.source).await;
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
    })
    .await;
}

#[tokio::test]
async fn a_name_s_case_tells_tables_apart_where_the_server_does() {
    support::on_each(async |server| {
        let source = VersionSource::Alembic {
            table: table("alembic_version"),
        };
        let mut kept = Kept::new(&server, source).await;
        kept.after("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
            .await;
        kept.after("CREATE TABLE ALEMBIC_VERSION (version_num VARCHAR(32) NOT NULL)")
            .await;
        kept.after("INSERT INTO ALEMBIC_VERSION VALUES ('theirs')")
            .await;
        let facts = kept
            .after("INSERT INTO alembic_version VALUES ('ours')")
            .await;
        assert_eq!(tools::shown(&facts.version), "ours");
    })
    .await;
}

#[tokio::test]
async fn a_lock_that_liquibase_left_is_freed_by_what_is_told() {
    support::on_each(async |server| {
        for made in tools::liquibase_locks(server.engine) {
            let source = VersionSource::Liquibase {
                table: table("databasechangelog"),
                version: LiquibaseVersion::Tag,
            };
            let mut kept = Kept::new(&server, source).await;
            assert_eq!(kept.locks().await, [], "there is no table yet");
            kept.after(&made).await;
            assert_eq!(kept.locks().await, [], "nobody holds it");
            kept.after(&tools::liquibase_takes_its_lock(server.engine))
                .await;
            let locks = kept.locks().await;
            assert_eq!(locks[0].holder.host(), Some("shop-v2-x7k2p"));
            assert_eq!(
                locks[0].holder.to_string(),
                "shop-v2-x7k2p (10.1.2.3) since 2026-01-02 03:04:05"
            );
            kept.after(&locks[0].frees).await;
            assert_eq!(kept.locks().await, []);
        }
    })
    .await;
}

/// Takes a lock as the tool does, and frees it by what is told. `named` gives the lock's name from the database's.
async fn held_and_freed(source: VersionSource, named: impl Fn(&str) -> String) {
    support::on_each(async |server| {
        let mut kept = Kept::new(&server, source.clone()).await;
        // A lock of somebody else's, which is no concern of the tool's.
        kept.after("SELECT GET_LOCK('42', 10)").await;
        assert_eq!(kept.locks().await, []);
        let name = named(&kept.site.name);
        let take = format!("SELECT GET_LOCK('{}', 10)", name.replace('\'', "''"));
        kept.after(&take).await;
        let locks = kept.locks().await;
        let [lock] = &locks[..] else {
            panic!("{locks:?}")
        };
        assert_eq!(lock.lock, format!("lock named {name}"));
        let LockHolder::Session(session) = &lock.holder else {
            panic!("{lock:?}")
        };
        let migrator = kept.look().await.migrator.unwrap();
        assert_eq!(session.user, migrator.name);
        assert_eq!(session.address.as_deref(), Some("127.0.0.1"));
        server.runs(&lock.frees).await;
        let mut tries = 0;
        while !kept.locks().await.is_empty() {
            tries += 1;
            assert!(tries < 100, "the session outlived {}", lock.frees);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(
            kept.run.query_drop("SELECT 1").await.is_err(),
            "it was the holder's"
        );
    })
    .await;
}

/// `String.hashCode` of Java, which Flyway makes its lock's name with.
fn java_hash(text: &str) -> i32 {
    let next = |hash: i32, unit: u16| hash.wrapping_mul(31).wrapping_add(i32::from(unit));
    text.encode_utf16().fold(0, next)
}

fn crc32(text: &str) -> u32 {
    crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(text.as_bytes())
}

#[tokio::test]
async fn a_lock_of_flyway_is_freed_by_what_is_told() {
    let source = VersionSource::Flyway {
        table: table("flyway_schema_history"),
    };
    held_and_freed(source, |database| {
        let history = format!("`{database}`.`flyway_schema_history`");
        format!("Flyway-{}", java_hash(&history))
    })
    .await;
}

#[tokio::test]
async fn a_lock_of_golang_migrate_is_freed_by_what_is_told() {
    let source = VersionSource::GolangMigrate {
        table: table("schema_migrations"),
    };
    held_and_freed(source, |database| {
        let sum = crc32(&format!("{database}:schema_migrations"));
        sum.wrapping_mul(1_486_364_155).to_string()
    })
    .await;
}

#[tokio::test]
async fn a_lock_of_rails_is_freed_by_what_is_told() {
    let source = VersionSource::Rails {
        table: table("schema_migrations"),
    };
    held_and_freed(source, |database| {
        (i64::from(crc32(database)) * 2_053_462_845).to_string()
    })
    .await;
}

/// Prisma's lock has the same name for all databases of a server: one test at a time.
static LOCK_OF_PRISMA: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn a_lock_of_prisma_is_freed_by_what_is_told() {
    let _alone = LOCK_OF_PRISMA.lock().await;
    let source = VersionSource::Prisma {
        table: table("_prisma_migrations"),
    };
    held_and_freed(source, |_| "prisma_migrate".to_owned()).await;
}

#[tokio::test]
async fn a_lock_is_told_of_a_holder_whom_the_admin_may_not_see() {
    let _alone = LOCK_OF_PRISMA.lock().await;
    support::on_each(async |server| {
        let source = VersionSource::Prisma {
            table: table("_prisma_migrations"),
        };
        let mut kept = Kept::new(&server, source).await;
        kept.after("SELECT GET_LOCK('prisma_migrate', 10)").await;
        let (seen, admin) = (kept.locks().await, kept.site.admin.clone());
        server
            .runs(&format!("REVOKE PROCESS ON *.* FROM `{admin}`@`%`"))
            .await;
        // A session keeps the rights that it began with.
        kept.stage.admin = kept
            .site
            .connector()
            .connect(&kept.site.target())
            .await
            .unwrap();
        let locks = kept.locks().await;
        assert_eq!(locks.len(), 1, "{locks:?}");
        assert_eq!(
            (&locks[0].lock, &locks[0].frees),
            (&seen[0].lock, &seen[0].frees)
        );
        assert!(
            locks[0].holder.to_string().contains("user not shown"),
            "{}",
            locks[0].holder
        );
    })
    .await;
}
