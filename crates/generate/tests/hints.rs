//! Hints from SQL: what is said, what cannot be, and that whoever applies the objects reads the operations of the SQL.

#![expect(clippy::unwrap_used, reason = "it is a test")]

use std::path::Path;

use dbop_api::DatabaseMigration;
use dbop_generate::hints::{self, Line};
use dbop_generate::liquibase::By;
use dbop_generate::manifests::{self, Settings};
use dbop_generate::text::{self, Part, Text};
use dbop_generate::{Chain, Step, Tool, alembic, flyway, liquibase, sql};
use dbop_model::{Engine, Migration};

fn settings(engine: Engine) -> Settings {
    Settings {
        image: "shop:{name}".to_owned(),
        namespace: None,
        change_log: None,
        from_empty: false,
        engine: Some(engine),
    }
}

/// A step for each text, as files with SQL.
fn chain(texts: &[&str]) -> Chain {
    let step = |(nth, sql): (usize, &&str)| {
        let version = (nth + 1).to_string();
        let file = format!("{version}.sql");
        Step {
            title: String::new(),
            source: file.clone(),
            from_empty: false,
            parts: vec![Part {
                name: file.clone(),
                text: Text::Sql {
                    file,
                    line: 1,
                    sql: (*sql).to_owned(),
                },
            }],
            version,
        }
    };
    Chain {
        steps: texts.iter().enumerate().map(step).collect(),
        notes: Vec::new(),
    }
}

/// What the objects say, each as lines; `None`: an object says nothing of the schema.
#[track_caller]
fn read_back(tool: Tool, chain: &Chain, engine: Engine) -> Vec<Option<Vec<String>>> {
    let yaml = manifests::yaml(tool, chain, &settings(engine)).unwrap();
    let documents = yaml.split("---\n").skip(1);
    let read: Vec<_> = documents
        .map(|document| {
            let value: serde_json::Value = serde_saphyr::from_str(document)
                .unwrap_or_else(|error| panic!("{error}\n{document}"));
            let object: DatabaseMigration = dbop_api::parse_database_migration(value)
                .unwrap_or_else(|error| panic!("{error:?}\n{document}"));
            let migration =
                Migration::try_from(&object).unwrap_or_else(|error| panic!("{error}\n{document}"));
            let said = |hints: Vec<_>| hints.iter().map(ToString::to_string).collect();
            migration.hints.map(said)
        })
        .collect();
    // As JSON it is the same.
    let json = manifests::manifests(tool, chain, &settings(engine)).unwrap();
    let of_json = |manifest| serde_json::to_value(manifest).unwrap()["spec"]["schemaHints"].clone();
    for (manifest, read) in json.iter().zip(&read) {
        let hints = of_json(manifest);
        assert_eq!(
            hints.as_array().map(Vec::len),
            read.as_ref().map(Vec::len),
            "{hints:#}"
        );
    }
    read
}

/// The last text's hints, on an engine.
#[track_caller]
fn check(engine: Engine, texts: &[&str], expect: &[&str]) {
    let chain = chain(texts);
    let read = read_back(Tool::Sql, &chain, engine);
    let lines = &hints::of(engine, &chain).pop().unwrap().lines;
    assert_eq!(
        read.last().unwrap().as_deref(),
        Some(
            expect
                .iter()
                .map(|e| (*e).to_owned())
                .collect::<Vec<_>>()
                .as_slice()
        ),
        "{lines:#?}"
    );
}

/// The last text's hints are not whole, and this is missing.
#[track_caller]
fn misses(engine: Engine, texts: &[&str], expect: &str) {
    let chain = chain(texts);
    assert_eq!(read_back(Tool::Sql, &chain, engine).last().unwrap(), &None);
    let yaml = manifests::yaml(Tool::Sql, &chain, &settings(engine)).unwrap();
    assert!(yaml.contains("  # schemaHints:\n"), "{yaml}");
    assert!(
        yaml.contains(&format!("  #   # MISSING: {expect}")),
        "{yaml}"
    );
}

#[test]
fn operations_become_hints() {
    use Engine::PostgreSql;
    check(PostgreSql, &["SELECT 1; UPDATE t SET a = 1;"], &[]);
    check(
        PostgreSql,
        &["ALTER TABLE app.users ADD COLUMN email text NOT NULL DEFAULT 'a: b', ADD age int;"],
        &[
            "addColumn app.users.email text NOT NULL DEFAULT 'a: b'",
            "addColumn app.users.age int",
        ],
    );
    check(
        PostgreSql,
        &["ALTER TABLE users ADD COLUMN email text UNIQUE;"],
        &[
            "addColumn users.email text",
            "addConstraint users(email) unique",
        ],
    );
    check(
        PostgreSql,
        &["ALTER TABLE users ALTER id TYPE bigint; ALTER TABLE users ALTER email SET NOT NULL;"],
        &[
            "alterColumn users.id bigint",
            "alterColumn users.email NOT NULL",
        ],
    );
    check(
        PostgreSql,
        &["CREATE UNIQUE INDEX CONCURRENTLY u ON \"Odd.Name\" (a, \"B c\");"],
        &["createIndex \"Odd.Name\"(a, B c) unique online"],
    );
    check(
        PostgreSql,
        &[
            "CREATE TABLE t (id int); ALTER TABLE t RENAME TO s; DROP TABLE r; ALTER TABLE s RENAME a TO b;",
        ],
        &[
            "createTable t",
            "renameTable t to s",
            "dropTable r",
            "renameColumn s.a to b",
        ],
    );
}

#[test]
fn what_a_definition_leaves_out_is_dropped() {
    check(
        Engine::MySql,
        &["ALTER TABLE users MODIFY email varchar(80);"],
        &["alterColumn users.email varchar(80) NULL without server default"],
    );
    misses(
        Engine::MySql,
        &["ALTER TABLE users MODIFY email varchar(80) CHARACTER SET utf8mb4;"],
        "1.sql line 1: alterColumn users.email",
    );
    misses(
        Engine::MySql,
        &["\nALTER TABLE users ADD age int, ALGORITHM=INSTANT;"],
        "1.sql line 2: addColumn users.age int: no hint says ALGORITHM and LOCK",
    );
}

#[test]
fn earlier_files_know_what_a_name_is_of() {
    let (index, constraint) = (
        "CREATE INDEX users_mail ON users (email);",
        "ALTER TABLE orders ADD CONSTRAINT fk FOREIGN KEY (user_id) REFERENCES users (id);",
    );
    check(
        Engine::PostgreSql,
        &[index, "DROP INDEX users_mail;"],
        &["dropIndex users(email)"],
    );
    check(
        Engine::PostgreSql,
        &[
            index,
            "ALTER TABLE users RENAME email TO mail;",
            "DROP INDEX CONCURRENTLY users_mail;",
        ],
        &["dropIndex users(mail) online"],
    );
    check(
        Engine::PostgreSql,
        &[constraint, "ALTER TABLE orders DROP CONSTRAINT fk;"],
        &["dropConstraint orders(user_id) foreignKey"],
    );
    misses(
        Engine::PostgreSql,
        &["DROP INDEX users_mail;"],
        "1.sql line 1: dropIndex users_mail: no hint says an index by its name",
    );
    misses(
        Engine::PostgreSql,
        &[
            constraint,
            "ALTER TABLE orders RENAME TO bills; ALTER TABLE bills DROP CONSTRAINT fk;",
        ],
        "2.sql line 1: dropConstraint bills",
    );
}

#[test]
fn what_no_hint_says_makes_the_list_a_comment() {
    use Engine::PostgreSql;
    misses(
        PostgreSql,
        &["ALTER TABLE users ADD age int;\nDO $$ BEGIN END $$;"],
        "1.sql line 2 is not read: ",
    );
    for sql in [
        "ALTER TABLE users ADD CHECK (age > 0) NOT VALID;",
        "ALTER TABLE users ALTER age TYPE int USING age::int;",
        "CREATE UNIQUE INDEX u ON users (email) WHERE is_live;",
        "CREATE INDEX u ON users (lower(email));",
        "TRUNCATE users;",
    ] {
        misses(PostgreSql, &[sql], "1.sql line 1: ");
    }
    // Beside what cannot be said, what can be is written down.
    let chain = chain(&["ALTER TABLE users ADD age int;\nTRUNCATE users;"]);
    let yaml = manifests::yaml(Tool::Sql, &chain, &settings(PostgreSql)).unwrap();
    let line = "  #   - {op: addColumn, table: users, columns: [{name: age, type: int}]}\n";
    assert!(yaml.contains(line), "{yaml}");
}

#[test]
fn what_does_no_harm_is_left_out() {
    let sql = "COMMENT ON TABLE users IS 'x'; ALTER TABLE users ADD age int;";
    check(Engine::PostgreSql, &[sql], &["addColumn users.age int"]);
    // Nobody has seen a table that the same step makes.
    let sql = "CREATE TABLE t (a int); CREATE INDEX i ON t (lower(a)); TRUNCATE t;";
    check(Engine::PostgreSql, &[sql], &["createTable t"]);
}

#[test]
fn more_than_an_object_can_have_is_told() {
    let many = |table: &str| -> String {
        (0..150)
            .map(|nth| format!("ALTER TABLE {table} ADD c{nth} int;\n"))
            .collect()
    };
    misses(
        Engine::PostgreSql,
        &[&many("users")],
        "150 operations are more than the 100 that a DatabaseMigration can have",
    );
    let new = format!("CREATE TABLE t (a int); {}", many("t"));
    check(Engine::PostgreSql, &[&new], &["createTable t"]);
}

#[test]
fn the_files_of_a_tool_are_read() {
    let project = |name: &str| {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/projects")
            .join(name)
    };
    let engine = Engine::PostgreSql;
    let chain = sql::read(&project("sql")).unwrap();
    let said = read_back(Tool::Sql, &chain, engine);
    assert!(said.iter().all(Option::is_some), "{said:?}");
    let chain = flyway::read(&project("flyway")).unwrap();
    let said = read_back(Tool::Flyway, &chain, engine);
    let java = chain
        .steps
        .iter()
        .position(|step| step.source.ends_with(".java"))
        .unwrap();
    assert_eq!(said[java], None, "Java is not read");
    let missing = hints::of(engine, &chain)[java].lines.clone();
    assert_eq!(
        missing,
        [Line::Missing("V3__Backfill.java: it is Java".to_owned())]
    );
}

#[test]
fn what_alembic_prints_is_of_its_revisions() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/projects/alembic");
    let mut chain = alembic::read(&project, None).unwrap();
    assert!(
        read_back(Tool::Alembic, &chain, Engine::PostgreSql)
            .iter()
            .all(Option::is_none)
    );
    let parts: Vec<Vec<&str>> = chain
        .steps
        .iter()
        .map(|step| step.parts.iter().map(|part| part.name.as_str()).collect())
        .collect();
    // A step runs the branches that it merges.
    assert!(parts.iter().any(|parts| parts.len() > 1), "{parts:?}");
    let mut printed =
        "BEGIN;\nCREATE TABLE alembic_version (version_num VARCHAR(32));\n".to_owned();
    for (nth, revision) in parts.concat().iter().enumerate() {
        printed.push_str(&format!(
            "-- Running upgrade x -> {revision}\n\nALTER TABLE users ADD COLUMN c{nth} int;\n\n\
             UPDATE alembic_version SET version_num='{revision}';\n"
        ));
    }
    printed.push_str("COMMIT;\n");
    let count = parts.concat().len();
    let lengths: Vec<usize> = parts.iter().map(Vec::len).collect();
    assert_eq!(
        text::fill(&mut chain, "printed.sql", &text::alembic(&printed)),
        count
    );
    let said = read_back(Tool::Alembic, &chain, Engine::PostgreSql);
    let found: Vec<usize> = said
        .iter()
        .map(|said| said.as_ref().unwrap().len())
        .collect();
    assert_eq!(found, lengths);
}

#[test]
fn change_sets_in_sql_are_read_and_others_printed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/projects/liquibase");
    let mut chain = liquibase::read(&root, "root.xml", By::ChangeSet).unwrap();
    let names: Vec<String> = chain
        .steps
        .iter()
        .map(|step| step.version.clone())
        .collect();
    let engine = Engine::PostgreSql;
    let before = read_back(Tool::LiquibaseChangeSets, &chain, engine);
    let in_sql = |name: &String| name.contains(".sql::");
    for (name, said) in names.iter().zip(&before) {
        if in_sql(name) {
            assert!(said.is_some(), "{name}");
        }
    }
    assert!(
        names.iter().any(in_sql) && before.iter().any(Option::is_none),
        "{names:?}"
    );
    let printed: String = names
        .iter()
        .map(|name| format!("--  Changeset {name}\nALTER TABLE t ADD c int;\n\nINSERT INTO DATABASECHANGELOG VALUES (1);\n"))
        .collect();
    let filled = text::fill(&mut chain, "printed.sql", &text::liquibase(&printed));
    assert_eq!(filled, names.len());
    let after = read_back(Tool::LiquibaseChangeSets, &chain, engine);
    assert!(
        after
            .iter()
            .all(|said| said.as_ref().is_some_and(|said| said.len() == 1)),
        "{after:?}"
    );
}
