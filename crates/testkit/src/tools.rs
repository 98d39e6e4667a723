//! The tables that migration tools keep, made as the tools make them on each kind of server, with what the tools
//! write there: one statement after the other, and the version after each.
//!
//! The DDL is the tools' own, from their sources; the rows are ours, in the tools' shape. What runs the statements is
//! the test of a backend; the tools themselves are run elsewhere.

#![expect(clippy::unwrap_used, reason = "names that are written here are names")]

use dbop_model::table::TableName;
use dbop_model::{Engine, Fact, LiquibaseVersion, ObservedVersion, VersionSource};

/// A tool's table, and what happens to it.
#[derive(Debug, Clone)]
pub struct Case {
    /// How the version is read.
    pub source: VersionSource,
    /// Statements in turn, each with the version after it, as [`shown`] writes it. Before the first there is no table.
    pub steps: Vec<(String, &'static str)>,
}

/// Tables that a tool makes before its first step.
#[derive(Debug, Clone)]
pub struct OwnTables {
    /// How the version is read.
    pub source: VersionSource,
    /// Makes one or more of the tool's own tables each; the database is an empty one after each.
    pub statements: Vec<String>,
}

/// Calls the macro `$with` with the names of all cases: `$with! { case ... }`. Each name is that of a function in
/// [`tools`](crate::tools) which takes an [`Engine`] and gives [`Case`]s.
#[macro_export]
macro_rules! tools_cases {
    ($with:ident) => {
        $with! {
            alembic
            flyway
            liquibase
            rails
            django
            golang_migrate
            sqlx
            diesel
            goose
            prisma
            query
        }
    };
}

/// A version in one line: `-` for none, with `!` before it where it is dirty.
pub fn shown(version: &Fact<ObservedVersion>) -> String {
    match version {
        Fact::Known(ObservedVersion::None) => "-".to_owned(),
        Fact::Known(ObservedVersion::At(version)) => version.to_string(),
        Fact::Known(ObservedVersion::Several(several)) => {
            let heads: Vec<String> = several.iter().map(ToString::to_string).collect();
            heads.join(" and ")
        }
        Fact::Known(ObservedVersion::Dirty { version, .. }) => format!("!{version}"),
        Fact::Unknown(why) => format!("not known: {why}"),
    }
}

fn table(name: &str) -> TableName {
    name.parse().unwrap()
}

/// The engine's own text of a statement; MySQL and MariaDB have the same from every tool.
fn by<'a>(engine: Engine, postgres: &'a str, mysql: &'a str) -> &'a str {
    match engine {
        Engine::PostgreSql => postgres,
        Engine::MySql | Engine::MariaDb => mysql,
    }
}

fn one<const N: usize>(source: VersionSource, steps: [(&str, &'static str); N]) -> Vec<Case> {
    let steps = steps.map(|(sql, expect)| (sql.to_owned(), expect)).into();
    vec![Case { source, steps }]
}

/// Alembic: the head, and two of them.
pub fn alembic(_: Engine) -> Vec<Case> {
    one(
        VersionSource::Alembic {
            table: table("alembic_version"),
        },
        [
            (
                "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, \
                 CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))",
                "-",
            ),
            (
                "INSERT INTO alembic_version (version_num) VALUES ('1975ea83b712')",
                "1975ea83b712",
            ),
            (
                "UPDATE alembic_version SET version_num = 'ae1027a6acf' WHERE \
                 alembic_version.version_num = '1975ea83b712'",
                "ae1027a6acf",
            ),
            (
                "INSERT INTO alembic_version (version_num) VALUES ('27c6a30d7c24')",
                "27c6a30d7c24 and ae1027a6acf",
            ),
            ("DELETE FROM alembic_version", "-"),
        ],
    )
}

/// Flyway's table (`PostgreSQLDatabase`, `MySQLDatabase`: `getRawCreateScript`).
pub fn flyway_table(engine: Engine) -> &'static str {
    by(
        engine,
        "CREATE TABLE \"public\".\"flyway_schema_history\" (\"installed_rank\" INT NOT NULL, \
         \"version\" VARCHAR(50), \"description\" VARCHAR(200) NOT NULL, \"type\" VARCHAR(20) NOT NULL, \
         \"script\" VARCHAR(1000) NOT NULL, \"checksum\" INTEGER, \"installed_by\" VARCHAR(100) NOT NULL, \
         \"installed_on\" TIMESTAMP NOT NULL DEFAULT now(), \"execution_time\" INTEGER NOT NULL, \
         \"success\" BOOLEAN NOT NULL); \
         ALTER TABLE \"public\".\"flyway_schema_history\" ADD CONSTRAINT \"flyway_schema_history_pk\" \
         PRIMARY KEY (\"installed_rank\"); \
         CREATE INDEX \"flyway_schema_history_s_idx\" ON \"public\".\"flyway_schema_history\" (\"success\")",
        "CREATE TABLE `flyway_schema_history` (`installed_rank` INT NOT NULL, `version` VARCHAR(50), \
         `description` VARCHAR(200) NOT NULL, `type` VARCHAR(20) NOT NULL, `script` VARCHAR(1000) NOT NULL, \
         `checksum` INT, `installed_by` VARCHAR(100) NOT NULL, \
         `installed_on` TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, `execution_time` INT NOT NULL, \
         `success` BOOL NOT NULL, \
         CONSTRAINT `flyway_schema_history_pk` PRIMARY KEY (`installed_rank`)); \
         CREATE INDEX `flyway_schema_history_s_idx` ON `flyway_schema_history` (`success`)",
    )
}

/// Flyway: baseline, out of order, undone, deleted, failed.
pub fn flyway(engine: Engine) -> Vec<Case> {
    let row = |rank: u32, version: &str, kind: &str, success: bool| {
        format!(
            "INSERT INTO flyway_schema_history VALUES ({rank}, {version}, 'd', '{kind}', 'f.sql', 1, \
             'u', now(), 5, {success})"
        )
    };
    one(
        VersionSource::Flyway {
            table: table("flyway_schema_history"),
        },
        [
            (flyway_table(engine), "-"),
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
}

/// Liquibase's two tables, as it names them: unquoted names are in small letters on PostgreSQL.
fn liquibase_names(engine: Engine) -> (&'static str, &'static str) {
    (
        by(engine, "databasechangelog", "DATABASECHANGELOG"),
        by(engine, "databasechangeloglock", "DATABASECHANGELOGLOCK"),
    )
}

fn liquibase_log(engine: Engine) -> &'static str {
    by(
        engine,
        "CREATE TABLE public.databasechangelog (ID VARCHAR(255) NOT NULL, AUTHOR VARCHAR(255) NOT NULL, \
         FILENAME VARCHAR(255) NOT NULL, DATEEXECUTED TIMESTAMP WITHOUT TIME ZONE NOT NULL, \
         ORDEREXECUTED INTEGER NOT NULL, EXECTYPE VARCHAR(10) NOT NULL, MD5SUM VARCHAR(35), \
         DESCRIPTION VARCHAR(255), COMMENTS VARCHAR(255), TAG VARCHAR(255), LIQUIBASE VARCHAR(20), \
         CONTEXTS VARCHAR(255), LABELS VARCHAR(255), DEPLOYMENT_ID VARCHAR(10))",
        "CREATE TABLE DATABASECHANGELOG (ID VARCHAR(255) NOT NULL, AUTHOR VARCHAR(255) NOT NULL, \
         FILENAME VARCHAR(255) NOT NULL, DATEEXECUTED datetime NOT NULL, ORDEREXECUTED INT NOT NULL, \
         EXECTYPE VARCHAR(10) NOT NULL, MD5SUM VARCHAR(35) NULL, `DESCRIPTION` VARCHAR(255) NULL, \
         COMMENTS VARCHAR(255) NULL, TAG VARCHAR(255) NULL, LIQUIBASE VARCHAR(20) NULL, \
         CONTEXTS VARCHAR(255) NULL, LABELS VARCHAR(255) NULL, DEPLOYMENT_ID VARCHAR(10) NULL)",
    )
}

/// Liquibase's lock, made and free: as it is made now, and on MySQL as older releases made it.
pub fn liquibase_locks(engine: Engine) -> Vec<String> {
    let mysql = |bit: &str| {
        format!(
            "CREATE TABLE DATABASECHANGELOGLOCK (ID INT NOT NULL, `LOCKED` {bit} NOT NULL, \
             LOCKGRANTED datetime NULL, LOCKEDBY VARCHAR(255) NULL, \
             CONSTRAINT PK_DATABASECHANGELOGLOCK PRIMARY KEY (ID)); \
             DELETE FROM DATABASECHANGELOGLOCK; \
             INSERT INTO DATABASECHANGELOGLOCK (ID, `LOCKED`) VALUES (1, 0)"
        )
    };
    match engine {
        Engine::PostgreSql => vec![
            "CREATE TABLE public.databasechangeloglock (ID INTEGER NOT NULL, LOCKED BOOLEAN NOT NULL, \
             LOCKGRANTED TIMESTAMP WITHOUT TIME ZONE, LOCKEDBY VARCHAR(255), \
             CONSTRAINT databasechangeloglock_pkey PRIMARY KEY (ID)); \
             DELETE FROM public.databasechangeloglock; \
             INSERT INTO public.databasechangeloglock (ID, LOCKED) VALUES (1, FALSE)"
                .to_owned(),
        ],
        Engine::MySql => vec![mysql("TINYINT"), mysql("BIT(1)")],
        Engine::MariaDb => vec![mysql("TINYINT(1)"), mysql("BIT(1)")],
    }
}

/// Takes Liquibase's lock as it does.
pub fn liquibase_takes_its_lock(engine: Engine) -> String {
    let (_, lock) = liquibase_names(engine);
    format!(
        "UPDATE {lock} SET LOCKED = {}, LOCKEDBY = 'shop-v2-x7k2p (10.1.2.3)', \
         LOCKGRANTED = '2026-01-02 03:04:05' WHERE ID = 1 AND LOCKED = {}",
        by(engine, "TRUE", "1"),
        by(engine, "FALSE", "0"),
    )
}

/// Liquibase: by change sets, and by tags.
pub fn liquibase(engine: Engine) -> Vec<Case> {
    let (log, _) = liquibase_names(engine);
    let row = |order: u32, id: &str, kind: &str, tag: &str| {
        format!(
            "INSERT INTO {log} (ID, AUTHOR, FILENAME, DATEEXECUTED, ORDEREXECUTED, EXECTYPE, TAG) \
             VALUES ('{id}', 'ada', 'log.xml', now(), {order}, '{kind}', {tag})"
        )
    };
    let rows = [
        row(1, "init", "EXECUTED", "NULL"),
        row(2, "t1", "EXECUTED", "'1.0'"),
        row(10, "email", "MARK_RAN", "NULL"),
    ];
    let again =
        format!("UPDATE {log} SET EXECTYPE = 'RERAN', ORDEREXECUTED = 11 WHERE ID = 'init'");
    let of = |version| VersionSource::Liquibase {
        table: table("databasechangelog"),
        version,
    };
    let by_change_set = one(
        of(LiquibaseVersion::ChangeSet),
        [
            (liquibase_log(engine), "-"),
            (&rows[0], "log.xml::init::ada"),
            (&rows[1], "log.xml::t1::ada"),
            (&rows[2], "log.xml::email::ada"),
            (
                &again,
                "not known: the change set that ran last, log.xml::init::ada, ran before, too (runOnChange \
                 or runAlways), so the order of DATABASECHANGELOG names no version; give versions tags, and \
                 write schemaVersion.versionIs: Tag",
            ),
        ],
    );
    let by_tag = one(
        of(LiquibaseVersion::Tag),
        [
            (liquibase_log(engine), "-"),
            (&rows[0], "-"),
            (&rows[1], "1.0"),
            (&rows[2], "1.0"),
        ],
    );
    [by_change_set, by_tag].concat()
}

fn rails_table(engine: Engine) -> &'static str {
    by(
        engine,
        "CREATE TABLE \"schema_migrations\" (\"version\" character varying NOT NULL PRIMARY KEY)",
        "CREATE TABLE `schema_migrations` (`version` varchar(255) NOT NULL PRIMARY KEY)",
    )
}

/// Rails: the highest number, whenever it came.
pub fn rails(engine: Engine) -> Vec<Case> {
    one(
        VersionSource::Rails {
            table: table("schema_migrations"),
        },
        [
            (rails_table(engine), "-"),
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
}

/// Django: of one app, the last that was applied.
pub fn django(engine: Engine) -> Vec<Case> {
    one(
        VersionSource::Django {
            table: table("django_migrations"),
            app: "shop".to_owned(),
        },
        [
            (
                by(
                    engine,
                    "CREATE TABLE \"django_migrations\" (\"id\" bigint NOT NULL PRIMARY KEY GENERATED BY \
                     DEFAULT AS IDENTITY, \"app\" varchar(255) NOT NULL, \"name\" varchar(255) NOT NULL, \
                     \"applied\" timestamp with time zone NOT NULL)",
                    "CREATE TABLE `django_migrations` (`id` bigint AUTO_INCREMENT NOT NULL PRIMARY KEY, \
                     `app` varchar(255) NOT NULL, `name` varchar(255) NOT NULL, `applied` datetime(6) NOT \
                     NULL)",
                ),
                "-",
            ),
            (
                "INSERT INTO django_migrations (app, name, applied) VALUES ('auth', '0001_initial', now())",
                "-",
            ),
            (
                "INSERT INTO django_migrations (app, name, applied) VALUES ('shop', '0001_initial', now()), \
                 ('shop', '0002_add_email', now()), ('auth', '0002_x', now()), ('Shop', '0009_y', now())",
                "0002_add_email",
            ),
            (
                "DELETE FROM django_migrations WHERE app = 'shop' AND name = '0002_add_email'",
                "0001_initial",
            ),
        ],
    )
}

/// golang-migrate: one row, and whether it is dirty.
pub fn golang_migrate(engine: Engine) -> Vec<Case> {
    one(
        VersionSource::GolangMigrate {
            table: table("schema_migrations"),
        },
        [
            (
                by(
                    engine,
                    "CREATE TABLE IF NOT EXISTS \"public\".\"schema_migrations\" (version bigint not null \
                     primary key, dirty boolean not null)",
                    "CREATE TABLE `schema_migrations` (version bigint not null primary key, dirty boolean not \
                     null)",
                ),
                "-",
            ),
            (
                "INSERT INTO schema_migrations (version, dirty) VALUES (1, false)",
                "1",
            ),
            (
                "DELETE FROM schema_migrations; INSERT INTO schema_migrations (version, dirty) VALUES (2, true)",
                "!2",
            ),
            (
                "DELETE FROM schema_migrations; INSERT INTO schema_migrations (version, dirty) VALUES (2, false)",
                "2",
            ),
            (
                "DELETE FROM schema_migrations; INSERT INTO schema_migrations (version, dirty) VALUES (-1, true)",
                "!-1",
            ),
            ("DELETE FROM schema_migrations", "-"),
        ],
    )
}

/// sqlx: the highest that succeeded, and one that did not.
pub fn sqlx(engine: Engine) -> Vec<Case> {
    let row = |version: u32, success: bool| {
        let checksum = by(engine, "'\\x00'", "x'00'");
        format!(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES ({version}, 'add email', {success}, {checksum}, -1)"
        )
    };
    one(
        VersionSource::Sqlx {
            table: table("_sqlx_migrations"),
        },
        [
            (
                by(
                    engine,
                    "CREATE TABLE IF NOT EXISTS _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT \
                     NOT NULL, installed_on TIMESTAMPTZ NOT NULL DEFAULT now(), success BOOLEAN NOT NULL, \
                     checksum BYTEA NOT NULL, execution_time BIGINT NOT NULL)",
                    "CREATE TABLE IF NOT EXISTS _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT \
                     NOT NULL, installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT \
                     NULL, checksum BLOB NOT NULL, execution_time BIGINT NOT NULL)",
                ),
                "-",
            ),
            (&row(9, true), "9"),
            (&row(10, true), "10"),
            (&row(11, false), "!11"),
            (
                "UPDATE _sqlx_migrations SET success = TRUE WHERE version = 11",
                "11",
            ),
        ],
    )
}

/// Diesel: the last in the order of texts.
pub fn diesel(_: Engine) -> Vec<Case> {
    one(
        VersionSource::Diesel {
            table: table("__diesel_schema_migrations"),
        },
        [
            (
                "CREATE TABLE IF NOT EXISTS __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT \
                 NULL, run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)",
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
            // By bytes, whatever the collation: small letters come after capitals.
            (
                "INSERT INTO __diesel_schema_migrations (version) VALUES ('a'), ('B')",
                "a",
            ),
        ],
    )
}

/// goose: rows of steps up and down, in both shapes that it has made on MySQL.
pub fn goose(engine: Engine) -> Vec<Case> {
    let tables: &[&str] = match engine {
        Engine::PostgreSql => &[
            "CREATE TABLE goose_db_version (id integer PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY, \
             version_id bigint NOT NULL, is_applied boolean NOT NULL, \
             tstamp timestamp NOT NULL DEFAULT now())",
        ],
        Engine::MySql | Engine::MariaDb => &[
            "CREATE TABLE goose_db_version (id bigint(20) unsigned NOT NULL AUTO_INCREMENT, \
             version_id bigint NOT NULL, is_applied boolean NOT NULL, \
             tstamp datetime NULL default CURRENT_TIMESTAMP, PRIMARY KEY(id))",
            "CREATE TABLE goose_db_version (id serial NOT NULL, version_id bigint NOT NULL, \
             is_applied boolean NOT NULL, tstamp timestamp NULL default now(), PRIMARY KEY(id))",
        ],
    };
    let step = |version: u32, is_applied: bool| {
        format!(
            "INSERT INTO goose_db_version (version_id, is_applied) VALUES ({version}, {is_applied})"
        )
    };
    let case = |table_of: &&str| {
        let source = VersionSource::Goose {
            table: table("goose_db_version"),
        };
        one(
            source,
            [
                (*table_of, "-"),
                (&step(0, true), "-"),
                (&step(1, true), "1"),
                (&step(2, true), "2"),
                (&step(2, false), "1"),
                (&step(3, true), "3"),
                ("DELETE FROM goose_db_version WHERE version_id = 3", "1"),
            ],
        )
    };
    tables.iter().flat_map(case).collect()
}

/// Prisma: finished, failed, rolled back.
pub fn prisma(engine: Engine) -> Vec<Case> {
    let row = |id: u32, name: &str, finished: &str, undone: &str| {
        format!(
            "INSERT INTO _prisma_migrations (id, checksum, migration_name, finished_at, rolled_back_at) \
             VALUES ('{id}', 'c', '{name}', {finished}, {undone})"
        )
    };
    one(
        VersionSource::Prisma {
            table: table("_prisma_migrations"),
        },
        [
            (
                by(
                    engine,
                    "CREATE TABLE _prisma_migrations (id VARCHAR(36) PRIMARY KEY NOT NULL, \
                     checksum VARCHAR(64) NOT NULL, finished_at TIMESTAMPTZ, migration_name VARCHAR(255) NOT \
                     NULL, logs TEXT, rolled_back_at TIMESTAMPTZ, started_at TIMESTAMPTZ NOT NULL DEFAULT \
                     now(), applied_steps_count INTEGER NOT NULL DEFAULT 0)",
                    "CREATE TABLE _prisma_migrations (id VARCHAR(36) PRIMARY KEY NOT NULL, \
                     checksum VARCHAR(64) NOT NULL, finished_at DATETIME(3), migration_name VARCHAR(255) NOT \
                     NULL, logs TEXT, rolled_back_at DATETIME(3), started_at DATETIME(3) NOT NULL DEFAULT \
                     CURRENT_TIMESTAMP(3), applied_steps_count INTEGER UNSIGNED NOT NULL DEFAULT 0) \
                     DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci",
                ),
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
}

/// A statement of the user's.
pub fn query(_: Engine) -> Vec<Case> {
    one(
        VersionSource::Query {
            query: "SELECT v FROM shop_version -- of ours".to_owned(),
            table: Some(table("shop_version")),
        },
        [
            ("CREATE TABLE shop_version (v int, note text)", "-"),
            ("INSERT INTO shop_version VALUES (NULL, 'none')", "-"),
            ("UPDATE shop_version SET v = 7", "7"),
            (
                "INSERT INTO shop_version VALUES (8, 'two')",
                "not known: schemaVersion.query gives more than one row; it must give one value",
            ),
        ],
    )
}

/// What tools make before their first step: their own tables, in the order in which they make them.
pub fn own_tables(engine: Engine) -> Vec<OwnTables> {
    let mut own: Vec<OwnTables> = liquibase_locks(engine)
        .into_iter()
        .map(|lock| OwnTables {
            source: VersionSource::Liquibase {
                table: table("databasechangelog"),
                version: LiquibaseVersion::ChangeSet,
            },
            statements: vec![lock, liquibase_log(engine).to_owned()],
        })
        .collect();
    own.push(OwnTables {
        source: VersionSource::Rails {
            table: table("schema_migrations"),
        },
        statements: [
            rails_table(engine),
            by(
                engine,
                "CREATE TABLE \"ar_internal_metadata\" (\"key\" character varying NOT NULL PRIMARY KEY, \
                 \"value\" character varying, \"created_at\" timestamp(6) NOT NULL, \
                 \"updated_at\" timestamp(6) NOT NULL)",
                "CREATE TABLE `ar_internal_metadata` (`key` varchar(255) NOT NULL PRIMARY KEY, \
                 `value` varchar(255), `created_at` datetime(6) NOT NULL, `updated_at` datetime(6) NOT NULL)",
            ),
        ]
        .map(str::to_owned)
        .into(),
    });
    own.push(OwnTables {
        source: VersionSource::Goose {
            table: table("goose_db_version"),
        },
        statements: vec![
            by(
                engine,
                "CREATE TABLE goose_lock (lock_id bigint NOT NULL PRIMARY KEY, locked boolean NOT NULL DEFAULT \
                 false, locked_at timestamptz NULL, locked_by text NULL, lease_expires_at timestamptz NULL, \
                 updated_at timestamptz NULL)",
                "CREATE TABLE goose_lock (lock_id BIGINT NOT NULL PRIMARY KEY, locked BOOLEAN NOT NULL DEFAULT \
                 0, locked_at DATETIME(6) NULL, locked_by TEXT NULL, lease_expires_at DATETIME(6) NULL, \
                 updated_at DATETIME(6) NULL)",
            )
            .to_owned(),
        ],
    });
    own
}
