//! Schema owners who put objects in our way, names that are hard to quote, statements of users that want more
//! than a version, and passwords where they must not be: on the oldest and the newest server.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, which is its use"
)]

#[path = "support/site.rs"]
mod support;

use dbop_database::{Look, Target};
use dbop_model::{
    Fact, LoginTurn, MigrationName, ObservedVersion, Privilege, Proof, SchemaVersion, VersionSource,
};
use dbop_testkit::conformance::{Site, Stage};
use dbop_tests::{majors, server};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use secrecy::SecretString;

use support::{PgSite, quoted, target};

fn secret(text: &str) -> SecretString {
    text.to_owned().into()
}

fn at(version: &str) -> Fact<ObservedVersion> {
    Fact::Known(ObservedVersion::At(SchemaVersion::new(version).unwrap()))
}

/// A whole life: claim, roles, a run, a login that works, its end.
async fn walk(site: &PgSite, place: &Target) -> Stage {
    let mut stage = Stage::at_v1(site).await;
    let login = stage.login("v1").await;
    let proof = site
        .connector()
        .prove(place, &login, &secret("password-of-v1"))
        .await;
    assert_eq!(proof, Proof::Works);
    for privileges in [
        [Privilege::Select].into(),
        [Privilege::Select, Privilege::Insert].into(),
    ] {
        stage.scope.access.privileges = privileges;
        stage.admin.prepare(&stage.scope).await.unwrap();
    }
    let facts = stage.look().await;
    assert!(
        facts.roles_ready && facts.missing.is_empty() && facts.foreign.is_empty(),
        "{facts:?}"
    );
    assert_eq!(facts.version, at("v1"));
    stage
        .admin
        .lock_login(&stage.scope, &"v1".parse().unwrap(), LoginTurn::First)
        .await
        .unwrap();
    stage.settles_at(&login, 0).await;
    stage
        .admin
        .drop_login(&stage.scope, &"v1".parse().unwrap(), LoginTurn::First)
        .await
        .unwrap();
    stage
}

#[tokio::test]
async fn nothing_in_a_users_schema_is_taken_for_the_servers() {
    for major in majors() {
        let site = PgSite::new(major).await;
        let admin = quoted(site.database.admin());
        let database = quoted(site.database.name());
        // Whoever calls one of these fails.
        let mut traps = format!("CREATE SCHEMA evil AUTHORIZATION {admin};");
        for schema in ["evil", "public"] {
            for function in [
                "has_table_privilege(text, oid, text)",
                "has_schema_privilege(oid, oid, text)",
                "pg_has_role(name, oid, text)",
                "pg_try_advisory_lock(int, int)",
                "current_database()",
                "array_to_string(text[], text)",
                "max(varchar)",
            ] {
                traps.push_str(&format!(
                    "CREATE FUNCTION {schema}.{function} RETURNS bool LANGUAGE plpgsql AS \
                     $$BEGIN RAISE EXCEPTION 'hijacked'; END$$;"
                ));
            }
            for (operator, left, right) in [
                ("=", "name", "text"),
                ("=", "text", "text"),
                ("=", "name", "name"),
                ("=", "\"char\"", "\"char\""),
                ("=", "oid", "oid"),
                ("~~", "text", "text"),
                ("!~", "name", "text"),
                ("<>", "name", "text"),
                ("||", "text", "text"),
            ] {
                traps.push_str(&format!(
                    "CREATE OR REPLACE FUNCTION {schema}.trap(a {left}, b {right}) RETURNS bool LANGUAGE plpgsql \
                     AS $$BEGIN RAISE EXCEPTION 'hijacked'; END$$; \
                     CREATE OPERATOR {schema}.{operator} (leftarg = {left}, rightarg = {right}, \
                     function = {schema}.trap);"
                ));
            }
            traps.push_str(&format!(
                "CREATE TABLE {schema}.pg_roles (rolname name); \
                 CREATE TABLE {schema}.pg_stat_activity (pid int); \
                 ALTER TABLE {schema}.pg_roles OWNER TO {admin}; \
                 ALTER TABLE {schema}.pg_stat_activity OWNER TO {admin};"
            ));
        }
        site.superuser_runs(&traps).await;
        let superuser = site.database.server().superuser().await;
        let set = |place: &str| {
            let each = SETTINGS.map(|setting| format!("ALTER {place} SET {setting};"));
            each.concat()
        };
        superuser
            .batch_execute(&set(&format!("ROLE {admin}")))
            .await
            .unwrap();
        let in_database = format!("ROLE {admin} IN DATABASE {database}");
        superuser.batch_execute(&set(&in_database)).await.unwrap();
        let stage = walk(&site, &site.target()).await;

        // The same on the database; nobody but the operator could work with that.
        superuser
            .batch_execute(&set(&format!("DATABASE {database}")))
            .await
            .unwrap();
        let admin = site.connector().connect(&site.target()).await.unwrap();
        let stage = Stage {
            admin,
            scope: stage.scope,
        };
        let login = stage.login("v2").await;
        let password = secret("password-of-v2");
        assert_eq!(
            site.connector()
                .prove(&site.target(), &login, &password)
                .await,
            Proof::Works
        );
        stage.admin.prepare(&stage.scope).await.unwrap();
        let facts = stage.look().await;
        assert!(facts.roles_ready && facts.version == at("v1"), "{facts:?}");
        stage.settles_at(&login, 0).await;
        stage
            .admin
            .drop_login(&stage.scope, &"v2".parse().unwrap(), LoginTurn::First)
            .await
            .unwrap();
    }
}

/// Settings that a role or a database can bring, each of them in the way of somebody who does not expect it.
const SETTINGS: [&str; 11] = [
    "search_path = evil, public, pg_catalog",
    "default_transaction_read_only = on",
    "default_transaction_isolation = 'serializable'",
    "standard_conforming_strings = off",
    "statement_timeout = 1",
    "lock_timeout = 1",
    "row_security = on",
    "client_encoding = 'LATIN1'",
    "DateStyle = 'German'",
    "extra_float_digits = -15",
    "quote_all_identifiers = on",
];

#[tokio::test]
async fn names_that_are_hard_to_quote_are_only_names() {
    for major in majors() {
        let site = PgSite::new(major).await;
        let name = site.database.name().to_owned();
        let odd = format!("o\"d'd; \\ %é {}", std::process::id());
        let superuser = site.database.server().superuser().await;
        let rename = |from: &str, to: &str| {
            format!("ALTER DATABASE {} RENAME TO {}", quoted(from), quoted(to))
        };
        superuser.batch_execute(&rename(&name, &odd)).await.unwrap();
        let encoded = utf8_percent_encode(&odd, NON_ALPHANUMERIC).to_string();
        let (host, port) = site.database.server().address();
        let (admin, password) = (site.database.admin(), site.database.admin_password());
        let dsn = format!("postgresql://{admin}:{password}@{host}:{port}/{encoded}");
        let place = target(&dsn);
        assert_eq!(site.connector().endpoint(&place).unwrap().database, odd);

        let mut stage = Stage::bare(&site.named(&odd)).await;
        let long = "é".repeat(31);
        stage.scope.access.version_table = Some("\"ver.s\"\"ion\"".parse().unwrap());
        stage.scope.access.schemas = Some(["we\"ird; --".to_owned(), "public".to_owned()].into());
        stage.admin.claim(&stage.scope).await.unwrap();
        stage.admin.prepare(&stage.scope).await.unwrap();
        let migrator = stage
            .admin
            .open_migrator(&stage.scope, &secret("m"))
            .await
            .unwrap();
        let run = site
            .named(&odd)
            .login(migrator.as_str(), "m")
            .await
            .unwrap();
        run.batch_execute(&format!(
            "CREATE SCHEMA \"we\"\"ird; --\"; CREATE TABLE \"we\"\"ird; --\".\"{long}\" (id serial); \
             CREATE TABLE public.\"ver.s\"\"ion\" (version_num text); \
             INSERT INTO public.\"ver.s\"\"ion\" VALUES ('it''s \"1\"'); \
             CREATE TABLE public.\"a'b\" (id int)"
        ))
        .await
        .unwrap();
        stage.admin.prepare(&stage.scope).await.unwrap();
        let look = Look {
            owner: stage.scope.owner.clone(),
            version_source: VersionSource::Alembic {
                table: "\"ver.s\"\"ion\"".parse().unwrap(),
            },
            access: stage.scope.access.clone(),
            migrations: Default::default(),
        };
        let facts = stage.admin.observe(&look).await.unwrap();
        assert!(facts.roles_ready && facts.has_tables, "{facts:?}");
        assert_eq!(facts.version, at("it's \"1\""));
        let login = stage.login("v1").await;
        let client = site
            .named(&odd)
            .login(login.as_str(), "password-of-v1")
            .await
            .unwrap();
        client
            .batch_execute(&format!(
                "INSERT INTO \"we\"\"ird; --\".\"{long}\" DEFAULT VALUES"
            ))
            .await
            .unwrap();
        client
            .batch_execute("INSERT INTO public.\"a'b\" VALUES (1)")
            .await
            .unwrap();
        let denied = client
            .batch_execute("DELETE FROM public.\"ver.s\"\"ion\"")
            .await;
        assert!(denied.is_err());
        drop((client, run, stage));
        site.named(&odd).everybody_leaves().await;
        superuser.batch_execute(&rename(&odd, &name)).await.unwrap();
    }
}

#[tokio::test]
async fn a_query_is_held_to_one_select() {
    for major in majors() {
        let site = PgSite::new(major).await;
        let stage = Stage::prepared(&site).await;
        let third = format!("{}_third", site.database.name());
        site.superuser_makes_role(&third).await;
        site.superuser_runs(&format!(
            "CREATE TABLE public.v (version text, n int); INSERT INTO public.v VALUES ('7', 1); \
             CREATE TABLE public.two (version text); INSERT INTO public.two VALUES ('7'), ('8'); \
             CREATE TABLE public.none (version text); \
             GRANT SELECT ON public.v, public.two, public.none TO PUBLIC; \
             CREATE FUNCTION public.writes() RETURNS text LANGUAGE sql SECURITY DEFINER AS \
             'INSERT INTO public.v VALUES (''8'', 2) RETURNING version'; \
             CREATE SCHEMA app; CREATE TABLE app.elsewhere (version text); \
             CREATE TABLE public.theirs (version text); ALTER TABLE public.theirs OWNER TO {third}"
        ))
        .await;
        let read = async |query: &str| {
            let look = Look {
                owner: stage.scope.owner.clone(),
                version_source: VersionSource::Query {
                    query: query.into(),
                    table: None,
                },
                access: stage.scope.access.clone(),
                migrations: Default::default(),
            };
            stage.admin.observe(&look).await.unwrap().version
        };
        let none = Fact::Known(ObservedVersion::None);
        for good in [
            "SELECT version FROM public.v",
            "SELECT version FROM v",
            "SELECT max(version) FROM two WHERE version < '8'; -- and no more",
            "WITH w AS (SELECT 7 AS seven) SELECT seven FROM w",
            "VALUES (7)",
            "SELECT 7::numeric",
        ] {
            assert_eq!(read(good).await, at("7"), "{good}");
        }
        for nothing in [
            "SELECT version FROM public.missing",
            "SELECT version FROM missing",
            "SELECT nextval('public.missing')",
            "SELECT version FROM none",
            "SELECT max(version) FROM none",
            "SELECT NULL",
        ] {
            assert_eq!(read(nothing).await, none, "{nothing}");
        }
        for (bad, says) in [
            (
                "SELECT 1; DROP TABLE public.v",
                "cannot insert multiple commands",
            ),
            ("COMMIT", "syntax error"),
            ("COMMIT; DROP TABLE public.v", "syntax error"),
            ("DELETE FROM public.v RETURNING version", "syntax error"),
            (
                "WITH d AS (DELETE FROM public.v RETURNING version) SELECT * FROM d",
                "WITH",
            ),
            (
                "SELECT set_config('search_path', 'x', false), 1",
                "2 columns",
            ),
            ("SELECT public.writes()", "read-only transaction"),
            (
                "SELECT query_to_xml('DELETE FROM public.v', true, true, '')",
                "not allowed in a non-volatile function",
            ),
            ("SELECT pg_read_file('PG_VERSION')", "permission denied"),
            ("SELECT pg_ls_dir('.') LIMIT 1", "permission denied"),
            ("SELECT lo_export(1, '/tmp/dbop')", "permission denied"),
            ("SELECT pg_sleep(60)", "longer than 10 s"),
            ("SELECT version FROM public.two", "more than one row"),
            ("SELECT 1 / 0", "a value did not fit"),
            ("SELECT 'canary'::int", "a value did not fit"),
            ("SELECT version FROM public.theirs", "permission denied"),
            (
                "SELECT version FROM elsewhere",
                "elsewhere is in schema app: write app.elsewhere",
            ),
            ("", "empty"),
        ] {
            match read(bad).await {
                Fact::Unknown(why) => {
                    let why = why.to_string();
                    assert!(
                        why.contains(says) && !why.contains("canary"),
                        "{bad}: {why}"
                    );
                }
                known => panic!("{bad}: {known:?}"),
            }
        }
        assert_eq!(
            read("SELECT count(*) + 6 FROM public.v").await,
            at("7"),
            "all is still there"
        );
        // Where somebody's function could be taken for the server's, names must be whole.
        site.superuser_runs(
            "CREATE FUNCTION public.max(text) RETURNS text LANGUAGE sql AS 'SELECT ''9'''",
        )
        .await;
        assert_eq!(read("SELECT max(version) FROM public.v").await, at("7"));
        match read("SELECT max(version) FROM v").await {
            Fact::Unknown(why) => assert!(why.to_string().contains("write public.v"), "{why}"),
            known => panic!("{known:?}"),
        }
    }
}

#[tokio::test]
async fn versions_of_sqlx_and_hidden_rows() {
    for major in majors() {
        let site = PgSite::new(major).await;
        let stage = Stage::prepared(&site).await;
        let migrator = stage
            .admin
            .open_migrator(&stage.scope, &secret("m"))
            .await
            .unwrap();
        let run = site.login(migrator.as_str(), "m").await.unwrap();
        let read = async || {
            let table = "_sqlx_migrations".parse().unwrap();
            let look = Look {
                owner: stage.scope.owner.clone(),
                version_source: VersionSource::Sqlx { table },
                access: stage.scope.access.clone(),
                migrations: Default::default(),
            };
            stage.admin.observe(&look).await.unwrap().version
        };
        assert_eq!(read().await, Fact::Known(ObservedVersion::None));
        run.batch_execute(
            "CREATE TABLE public._sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT \
             NULL, installed_on TIMESTAMPTZ NOT NULL DEFAULT now(), success BOOLEAN NOT NULL, \
             checksum BYTEA NOT NULL, execution_time BIGINT NOT NULL); \
             INSERT INTO public._sqlx_migrations (version, description, success, checksum, \
             execution_time) VALUES (1, 'init', true, '', 0), (20, 'more', true, '', 0), \
             (3, 'between', true, '', 0)",
        )
        .await
        .unwrap();
        assert_eq!(read().await, at("20"));
        run.batch_execute("UPDATE public._sqlx_migrations SET success = false WHERE version = 20")
            .await
            .unwrap();
        match read().await {
            Fact::Known(ObservedVersion::Dirty { version, detail }) => {
                assert_eq!(version.as_str(), "20");
                assert!(detail.contains("more"), "{detail}");
            }
            other => panic!("{other:?}"),
        }
        // A policy that hides rows makes the version unknown, not older.
        run.batch_execute(
            "ALTER TABLE public._sqlx_migrations ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        )
        .await
        .unwrap();
        assert!(matches!(read().await, Fact::Unknown(_)));
    }
}

/// What is granted in advance would reach the table of versions as well, from its making to the end of the first run.
#[tokio::test]
async fn the_version_table_is_not_writable_while_the_first_run_goes_on() {
    for major in majors() {
        let site = PgSite::new(major).await;
        let stage = Stage::prepared(&site).await;
        let login = stage.login("v1").await;
        let mut migration = stage.migration(&site).await;
        assert!(migration.set_version(&["v1"]).await);
        let password = secret("password-of-v1");
        let mut client = site.open(login.as_str(), &password).await.unwrap();
        let table = "alembic_version".parse().unwrap();
        assert!(!client.may(Privilege::Update, &table).await);
        client.close().await;
        migration.close().await;
    }
}

#[tokio::test]
async fn the_version_cannot_be_written_through_something_else() {
    for major in majors() {
        let site = PgSite::new(major).await;
        let stage = Stage::prepared(&site).await;
        let migrator = stage
            .admin
            .open_migrator(&stage.scope, &secret("m"))
            .await
            .unwrap();
        let run = site.login(migrator.as_str(), "m").await.unwrap();
        run.batch_execute(
            "CREATE TABLE public.parent (version_num varchar(32)); \
             CREATE TABLE public.alembic_version (version_num varchar(32)) INHERITS (public.parent); \
             INSERT INTO public.alembic_version VALUES ('v1'); \
             CREATE VIEW public.seen AS SELECT version_num FROM public.alembic_version; \
             CREATE VIEW public.seen_again AS SELECT version_num FROM public.seen",
        )
        .await
        .unwrap();
        // Even before the run ends, nothing of this was given away.
        let group = format!("shop_{}_app", stage.scope.claim);
        for table in ["alembic_version", "seen", "seen_again", "parent"] {
            let may = format!(
                "SELECT has_table_privilege('{group}', 'public.{table}', 'INSERT, UPDATE, DELETE')"
            );
            assert_eq!(
                site.superuser_reads(&may).await.as_deref(),
                Some("f"),
                "{table}"
            );
        }
        stage.admin.prepare(&stage.scope).await.unwrap();
        let login = stage.login("v1").await;
        site.superuser_runs(&format!(
            "GRANT UPDATE (version_num) ON public.alembic_version TO PUBLIC; \
             GRANT TRUNCATE ON public.alembic_version TO {}",
            quoted(login.as_str())
        ))
        .await;
        assert!(!stage.look().await.roles_ready);
        stage.admin.prepare(&stage.scope).await.unwrap();
        assert!(stage.look().await.roles_ready);
        let client = site.login(login.as_str(), "password-of-v1").await.unwrap();
        for table in ["alembic_version", "seen", "seen_again", "parent"] {
            client
                .batch_execute(&format!("SELECT * FROM public.{table}"))
                .await
                .unwrap();
            for write in [
                format!("UPDATE public.{table} SET version_num = 'v2'"),
                format!("DELETE FROM public.{table}"),
                format!("INSERT INTO public.{table} VALUES ('v2')"),
                format!("TRUNCATE public.{table}"),
            ] {
                assert!(client.batch_execute(&write).await.is_err(), "{write}");
            }
        }
    }
}

#[tokio::test]
async fn passwords_are_in_no_error_and_in_no_log() {
    const CANARY: &str = "canary-0123456789-swordfish";
    for major in majors() {
        let site = PgSite::new(major).await;
        let stage = Stage::at_v1(&site).await;
        let v1 = "v1".parse().unwrap();
        let canary = secret(CANARY);
        let login = stage
            .admin
            .ensure_login(&stage.scope, &v1, LoginTurn::First, &canary)
            .await
            .unwrap();
        stage
            .admin
            .ensure_login(&stage.scope, &v1, LoginTurn::First, &canary)
            .await
            .unwrap();
        stage
            .admin
            .open_migrator(&stage.scope, &canary)
            .await
            .unwrap();
        assert_eq!(
            site.connector()
                .prove(&site.target(), &login, &canary)
                .await,
            Proof::Works
        );

        let mut shown = Vec::new();
        let wrong = target(&site.database.dsn(site.database.admin(), CANARY));
        for place in [
            &wrong,
            &target(&format!("postgresql://u:{CANARY}@127.0.0.1:1/d")),
            &target(&format!("postgresql://u:{CANARY}@h@i/d")),
            &target(&format!("{CANARY}://u:{CANARY}@h/d")),
            &target(&format!(
                "postgresql://u:{CANARY}@127.0.0.1:1/d?sslmode=require"
            )),
        ] {
            let error = site.connector().connect(place).await.err().unwrap();
            shown.push(format!("{error} {error:?} {place:?}"));
        }
        let nobody = dbop_model::LoginName::new("nobody").unwrap();
        shown.push(format!(
            "{:?}",
            site.connector()
                .prove(&site.target(), &nobody, &canary)
                .await
        ));
        shown.push(format!(
            "{:?}",
            site.connector().prove(&wrong, &login, &secret("x")).await
        ));
        let closed = "a\0b".to_owned() + CANARY;
        let refused = stage
            .admin
            .ensure_login(&stage.scope, &v1, LoginTurn::First, &secret(&closed))
            .await;
        shown.push(format!("{refused:?}"));
        for text in shown {
            assert!(
                !text.contains(CANARY) && !text.contains("swordfish"),
                "{text}"
            );
        }
        let server = server(major);
        let Some(log) = server.log() else {
            eprintln!(
                "the server's own log is not looked at: DBOP_TEST_POSTGRES_{major}_LOG is not set"
            );
            continue;
        };
        // What was written before is in the log once a later statement is.
        let bookmark = format!("bookmark {}", site.database.name());
        site.superuser_runs(&format!("SELECT '{bookmark}'")).await;
        let mut text = String::new();
        for _ in 0..200 {
            text = String::from_utf8_lossy(&std::fs::read(log).unwrap()).into_owned();
            if text.contains(&bookmark) {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert!(text.contains(&bookmark), "the log holds every statement");
        assert!(
            text.contains("SCRAM-SHA-256$4096:"),
            "passwords are there as verifiers"
        );
        assert!(!text.contains(CANARY));
    }
}

/// What a database holds that somebody could have added, and who may do what with it: one line each.
const CATALOGUE: &str = "SELECT coalesce(string_agg(line, E'\\n' ORDER BY line), '') FROM ( \
     SELECT 'schema ' || nspname || ' ' || coalesce(nspacl::text, '') FROM pg_namespace \
     WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' UNION ALL \
     SELECT 'relation ' || oid::regclass || ' ' || relowner::regrole || ' ' || coalesce(relacl::text, '') \
     FROM pg_class WHERE relnamespace::regnamespace::text !~ '^pg_|^information_schema' UNION ALL \
     SELECT 'function ' || oid::regprocedure FROM pg_proc \
     WHERE pronamespace::regnamespace::text !~ '^pg_|^information_schema' UNION ALL \
     SELECT 'extension ' || extname FROM pg_extension UNION ALL \
     SELECT 'default ' || defaclrole::regrole || ' ' || defaclacl::text FROM pg_default_acl UNION ALL \
     SELECT 'role ' || rolname || ' ' || rolsuper || rolcreaterole || rolcreatedb || rolcanlogin FROM pg_roles \
     WHERE rolname ~ '_CLAIM' UNION ALL \
     SELECT 'member ' || roleid::regrole || ' ' || member::regrole FROM pg_auth_members \
     WHERE roleid::regrole::text ~ '_CLAIM') AS lines(line)";

async fn catalogue(site: &PgSite, stage: &Stage) -> Vec<String> {
    let of = CATALOGUE.replace("CLAIM", stage.scope.claim.as_str());
    let text = site.superuser_reads(&of).await.unwrap();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn an_application_makes_nothing_and_gives_nothing_away() {
    for major in majors() {
        let site = PgSite::new(major).await;
        let stage = Stage::at_v1(&site).await;
        let (login, other) = (stage.login("v1").await, stage.login("v2").await);
        let (me, other) = (quoted(login.as_str()), quoted(other.as_str()));
        let [owner, migrator, group] =
            ["owner", "migrator", "app"].map(|of| format!("shop_{}_{of}", stage.scope.claim));
        for role in [&owner, &migrator, &group] {
            assert!(site.has_role(role).await, "{role}");
        }
        // Before 15, everybody makes objects in `public`, until somebody says otherwise.
        site.superuser_runs(&format!(
            "REVOKE CREATE ON SCHEMA public FROM PUBLIC; \
             GRANT USAGE, CREATE ON SCHEMA public TO {} WITH GRANT OPTION",
            quoted(site.database.admin())
        ))
        .await;
        stage.admin.prepare(&stage.scope).await.unwrap();
        let before = catalogue(&site, &stage).await;
        let client = site.login(login.as_str(), "password-of-v1").await.unwrap();
        for denied in [
            "CREATE TABLE public.mine (id int)".to_owned(),
            "CREATE SCHEMA mine".to_owned(),
            "CREATE VIEW public.mine AS SELECT 1".to_owned(),
            "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'".to_owned(),
            "CREATE EXTENSION file_fdw".to_owned(),
            "CREATE TRIGGER mine BEFORE INSERT ON public.items FOR EACH ROW \
             EXECUTE FUNCTION suppress_redundant_updates_trigger()"
                .to_owned(),
            "CREATE INDEX mine ON public.items (id)".to_owned(),
            "ALTER TABLE public.items ADD COLUMN mine int".to_owned(),
            "DROP TABLE public.items".to_owned(),
            "DROP TABLE public.alembic_version".to_owned(),
            "CREATE ROLE mine".to_owned(),
            format!("ALTER ROLE {me} CREATEROLE"),
            format!("ALTER ROLE {other} PASSWORD 'mine'"),
            format!("ALTER ROLE {migrator} LOGIN PASSWORD 'mine'"),
            format!("ALTER ROLE {other} SET search_path = mine"),
            format!("GRANT {owner} TO {me}"),
            format!("GRANT {group} TO {migrator}"),
            format!("SET ROLE {owner}"),
            format!("SET ROLE {migrator}"),
            format!("SET ROLE {other}"),
            format!("DROP ROLE {other}"),
            "COPY public.items FROM PROGRAM 'true'".to_owned(),
        ] {
            assert!(client.batch_execute(&denied).await.is_err(), "{denied}");
        }
        // The server takes these with a warning, and does nothing, or less than was said.
        for idle in [
            format!("GRANT ALL ON public.items TO {other}"),
            "GRANT ALL ON public.items TO PUBLIC".to_owned(),
            "GRANT CREATE ON SCHEMA public TO PUBLIC".to_owned(),
        ] {
            let _ = client.batch_execute(&idle).await;
        }
        let after = catalogue(&site, &stage).await;
        assert_eq!(after, before, "PostgreSQL {major}");
        assert!(stage.look().await.roles_ready);
    }
}

/// PostgreSQL lets every role change its own password and settings. What it does to itself harms nobody else, and ends
/// with what stands in its Secret.
#[tokio::test]
async fn what_an_application_does_to_its_own_login_is_put_right() {
    for major in majors() {
        let site = PgSite::new(major).await;
        let stage = Stage::at_v1(&site).await;
        let login = stage.login("v1").await;
        let me = quoted(login.as_str());
        let client = site.login(login.as_str(), "password-of-v1").await.unwrap();
        for setting in [
            "search_path = pg_temp",
            "default_transaction_read_only = on",
            "statement_timeout = 1",
        ] {
            let alter = format!("ALTER ROLE {me} SET {setting}");
            client.batch_execute(&alter).await.unwrap();
        }
        let proof = async |password: &str| {
            let password = secret(password);
            site.connector()
                .prove(&site.target(), &login, &password)
                .await
        };
        assert_eq!(proof("password-of-v1").await, Proof::Works);
        let mine = format!("ALTER ROLE {me} PASSWORD 'mine'");
        client.batch_execute(&mine).await.unwrap();
        assert_ne!(proof("password-of-v1").await, Proof::Works);
        stage
            .admin
            .ensure_login(
                &stage.scope,
                &"v1".parse().unwrap(),
                LoginTurn::First,
                &secret("password-of-v1"),
            )
            .await
            .unwrap();
        assert_eq!(proof("password-of-v1").await, Proof::Works);
        assert_ne!(proof("mine").await, Proof::Works);
    }
}

/// Whatever stands in a Secret as a password: one login has it, and the catalogue has that login and no more.
#[tokio::test]
async fn any_password_makes_one_login_and_nothing_else() {
    for major in majors() {
        let site = PgSite::new(major).await;
        let stage = Stage::at_v1(&site).await;
        let other = catalogue(&site, &stage).await;
        let v2: MigrationName = "v2".parse().unwrap();
        for password in passwords() {
            let given = secret(&password);
            let login = stage
                .admin
                .ensure_login(&stage.scope, &v2, LoginTurn::First, &given)
                .await
                .unwrap();
            let proof = site.connector().prove(&site.target(), &login, &given).await;
            assert_eq!(proof, Proof::Works, "{password:?}");
            let mut now = catalogue(&site, &stage).await;
            // From 16 on, who makes a role is its member.
            let of_admin = format!("member {login} {}", site.database.admin());
            now.retain(|line| !other.contains(line) && *line != of_admin);
            let group = format!("shop_{}_app", stage.scope.claim);
            let made = [
                format!("member {group} {login}"),
                format!("role {login} falsefalsefalsetrue"),
            ];
            assert_eq!(now, made, "{password:?}");
        }
    }
}

/// Those that somebody would try, and some that nobody thought of.
fn passwords() -> Vec<String> {
    let mut runner = TestRunner::deterministic();
    let any = "([^\\x00]|['\"\\\\;$`-]){1,40}";
    let mut found: Vec<String> = (0..24)
        .map(|_| any.new_tree(&mut runner).unwrap().current())
        .collect();
    found.extend(
        [
            "'; CREATE ROLE mine SUPERUSER; --",
            "' SUPERUSER VALID UNTIL 'infinity",
            "\\'; DROP TABLE items; --",
            "$$; DROP TABLE items; $$",
            "SCRAM-SHA-256$4096:c2FsdA==$a2V5:a2V5",
            "md5d41d8cd98f00b204e9800998ecf8427e",
            "%s %00 {}",
        ]
        .map(str::to_owned),
    );
    found
}
