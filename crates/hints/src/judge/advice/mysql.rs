//! MySQL's and MariaDB's ways out: a cheaper way with ALGORITHM and LOCK said, else a copy that a tool makes outside of
//! the server while reads and writes go on: gh-ost, pt-online-schema-change.

use dbop_model::operation::{Algorithm, Column, ConstraintKind, Locking, Operation, ServerDefault};
use dbop_model::{Engine, ServerInfo};

use crate::case::Case;
use crate::effect::Form as AnyForm;
use crate::effect::mysql::Form;
use crate::sql;

pub(super) fn of(case: &Case<'_>) -> Vec<String> {
    let mut advice = Vec::new();
    if let Some(locking @ (Locking::Shared | Locking::Exclusive)) = case.step.statement.locking {
        advice.push(format!("leave LOCK={locking} out, or write LOCK=NONE"));
    }
    if case.step.statement.algorithm == Some(Algorithm::Copy) {
        advice.push("leave ALGORITHM=COPY out, so that the server takes a cheaper way".to_owned());
    }
    for form in &case.prediction.forms {
        if let AnyForm::MySql(form) = form {
            advice.extend(way(case, *form));
        }
    }
    advice.extend(copied_outside(case));
    advice
}

fn way(case: &Case<'_>, form: Form) -> Vec<String> {
    let dialect = case.dialect();
    let table = dialect.table(case.table());
    match (form, case.step.operation) {
        (
            Form::AddColumnConstant | Form::AddColumnComputed,
            Operation::AddColumn { columns, .. },
        ) => columns
            .iter()
            .filter_map(|column| without_default(&table, column, case))
            .collect(),
        (Form::AddColumnStored, Operation::AddColumn { columns, .. }) => columns
            .iter()
            .filter_map(|column| Some((column, sql::virtual_type(column)?)))
            .map(|(column, sql_type)| {
                format!(
                    "make it VIRTUAL, which stores nothing and takes an instant: ALTER TABLE \
                     {table} ADD COLUMN {} {sql_type}, ALGORITHM=INSTANT;",
                    dialect.column(&column.name)
                )
            })
            .collect(),
        (Form::AddColumnCheck, Operation::AddColumn { columns, .. }) => {
            let plain: Vec<String> = columns
                .iter()
                .map(|column| format!("ADD COLUMN {}", dialect.definition(column)))
                .collect();
            vec![format!(
                "add it without CHECK, which takes an instant: ALTER TABLE {table} {}, \
                 ALGORITHM=INSTANT;",
                plain.join(", ")
            )]
        }
        // The type that the column would have is not said anywhere.
        (Form::AddIndexComputed, Operation::CreateIndex { .. }) => vec![
            "add the expression as a virtual column, which takes an instant, and index that column \
             while writes go on (ALGORITHM=INPLACE, LOCK=NONE)"
                .to_owned(),
        ],
        (Form::NotNullLoose, Operation::AlterColumn { .. }) => {
            let clause = dialect
                .alter_clause(case.step.operation)
                .unwrap_or_default();
            vec![format!(
                "let NULL be refused, and writes go on: SET SESSION sql_mode = CONCAT(@@sql_mode, \
                 ',STRICT_TRANS_TABLES'); ALTER TABLE {table} {clause}, ALGORITHM=INPLACE, \
                 LOCK=NONE;"
            )]
        }
        (Form::ForeignKey, Operation::AddConstraint { constraint, .. })
            if constraint.kind() == ConstraintKind::ForeignKey =>
        {
            const HOW: &str = "look for rows without their other end first, then add it for new \
                               rows while writes go on";
            let own = sql::clauses(case.step.statement);
            let is_alone = case.step.statement.operations.len() == 1
                && case.step.statement.algorithm.is_none()
                && case.step.statement.locking.is_none();
            vec![match (own, constraint.references.is_some() && is_alone) {
                (Some(clause), true) => format!(
                    "{HOW}: SET SESSION foreign_key_checks = 0; ALTER TABLE {table} {clause}, \
                     ALGORITHM=INPLACE, LOCK=NONE; SET SESSION foreign_key_checks = 1;"
                ),
                _ => format!("{HOW}, with foreign_key_checks = 0, ALGORITHM=INPLACE and LOCK=NONE"),
            }]
        }
        _ => Vec::new(),
    }
}

fn without_default(table: &str, column: &Column, case: &Case<'_>) -> Option<String> {
    let ServerDefault::Expression(default) = &column.default else {
        return None;
    };
    let sql_type = column.sql_type.as_ref()?;
    if !can_be_indexed(sql_type.name()) {
        return None;
    }
    let plain = Column {
        default: ServerDefault::NotSaid,
        nullable: None,
        ..column.clone()
    };
    let dialect = case.dialect();
    let (definition, name) = (dialect.definition(&plain), dialect.column(&column.name));
    let index = dialect.name(&format!("{}_left", sql::plain(column.name.as_str(), 50)));
    let computed = dialect.default(default);
    let at_last = match column.nullable {
        Some(false) => format!(
            " then, while writes go on: ALTER TABLE {table} MODIFY COLUMN {}, ALGORITHM=INPLACE, \
             LOCK=NONE;",
            dialect.definition(column)
        ),
        Some(true) | None => String::new(),
    };
    Some(format!(
        "add it without the default, which takes an instant: ALTER TABLE {table} ADD COLUMN \
         {definition}, ALGORITHM=INSTANT; set the default for new rows: ALTER TABLE {table} ALTER \
         COLUMN {name} SET DEFAULT {computed}; fill the old rows in batches, with an index that finds \
         those that are left: ALTER TABLE {table} ADD INDEX {index} ({name}), ALGORITHM=INPLACE, \
         LOCK=NONE; by a statement that is repeated until it changes no row (a batch file of \
         dbop-migrate is): UPDATE {table} SET {name} = {default} WHERE {name} IS NULL LIMIT 5000; \
         ALTER TABLE {table} DROP INDEX {index}, ALGORITHM=INPLACE, LOCK=NONE;{at_last}"
    ))
}

/// Does an index take a whole value of this type? Without one each batch would read, and lock, all rows before its own.
fn can_be_indexed(sql_type: &str) -> bool {
    let lower = sql_type.to_ascii_lowercase();
    let not = ["text", "blob", "json", "geometry", "point", "vector"];
    !not.iter().any(|part| lower.contains(part))
}

/// Commands that copy the table outside of the server and swap the copy in. They read where the database is from the
/// environment that every migration container has, and so does each tool the password, so that no list of processes
/// shows it.
pub(crate) fn copied_outside(case: &Case<'_>) -> Vec<String> {
    let dialect = case.dialect();
    // Its own words say more than what is kept of them, and all that the statement does.
    let own = sql::clauses(case.step.statement).map(str::to_owned);
    let Some(clause) = own.or_else(|| dialect.alter_clause(case.step.operation)) else {
        return Vec::new();
    };
    if sql::clauses(case.step.statement).is_none() && !dialect.can_write(case.step.operation) {
        return vec![
            "have pt-online-schema-change copy the table outside of the server, while reads and \
             writes go on"
                .to_owned(),
        ];
    }
    let database = case
        .table()
        .schema()
        .map_or_else(|| "$DBA_OP_DATABASE".to_owned(), str::to_owned);
    let change = Change {
        clause: shell(&clause),
        database,
        table: case.table().name(),
    };
    let constraints = case.present().and_then(|facts| facts.constraints.known());
    let keys = |incoming: bool| {
        constraints.is_some_and(|constraints| {
            constraints
                .iter()
                .any(|c| c.kind == ConstraintKind::ForeignKey && c.incoming == incoming)
        })
    };
    let mut advice = vec![change.by_percona(keys(true), case.server)];
    // gh-ost refuses tables with foreign keys on either end, and cannot add one.
    let adds_key = matches!(case.step.operation, Operation::AddConstraint { constraint, .. }
        if constraint.kind() == ConstraintKind::ForeignKey);
    let without_keys = constraints.is_some() && !keys(true) && !keys(false) && !adds_key;
    // Its swap takes for granted that who waits for the table's lock comes after the RENAME. On MariaDB 11.4 the one
    // that waited went first, into the table that was swapped out: under load six of twelve runs lost a write.
    let is_sound = case.server.engine == Engine::MySql;
    if is_sound && without_keys && case.settings().is_known_and(|set| set.logs_whole_rows) {
        advice.push(change.by_gh_ost());
        advice.push(WHAT_GH_OST_NEEDS.to_owned());
    }
    advice
}

/// A change of a table that a tool makes on a copy.
struct Change<'a> {
    /// What follows `ALTER TABLE` and the name, as one word of a shell.
    clause: String,
    /// The database, as a part of a shell's word.
    database: String,
    table: &'a str,
}

impl Change<'_> {
    /// pt-online-schema-change's driver reads the password from `MYSQL_PWD` (MariaDB Connector/C, `mysql_real_connect`).
    /// `--force` and `--recursion-method=none` leave out what a migrator has no right to: asking the server for its
    /// primary and its replicas. It asks `EXPLAIN` how many rows there are, and reads the traditional answer alone: where
    /// MySQL answers with a tree (9.5 and later, `explain_format`), it copies the table in one piece, and writers wait for
    /// all of it.
    fn by_percona(&self, is_referred_to: bool, server: &ServerInfo) -> String {
        let method = match is_referred_to {
            true => " --alter-foreign-keys-method=auto",
            false => "",
        };
        // The variable is there from 8.0.32 on; a release is known here by its first two numbers.
        let has_formats = server.engine == Engine::MySql && (server.major, server.minor) > (8, 0);
        let explained = match has_formats {
            true => " --set-vars explain_format=TRADITIONAL",
            false => "",
        };
        format!(
            "MYSQL_PWD=\"$DBA_OP_PASSWORD\" pt-online-schema-change --execute --force \
             --recursion-method=none --no-version-check{explained}{method} --alter {} \
             \"h=$DBA_OP_HOST,P=$DBA_OP_PORT,u=$DBA_OP_USERNAME,D={},t={}\"",
            self.clause,
            self.database,
            self.table.replace(',', "\\,").replace('"', "\\\"")
        )
    }

    /// gh-ost takes no password from its environment but where its configuration names a variable of it. It encrypts
    /// where it is told to, and is not told which certificates to trust. `--assume-rbr` and `--assume-master-host`
    /// leave out what a migrator has no right to, as above. Two that follow a server's log under the same number end
    /// each other's connection (error 4052), so the number is made of the database's name. The socket at which it listens
    /// outlives a run that was killed, where `/tmp` does.
    fn by_gh_ost(&self) -> String {
        format!(
            "printf '[client]\\npassword=${{DBA_OP_PASSWORD}}\\n' | gh-ost --conf=/dev/stdin --execute \
             --allow-on-master --assume-rbr --assume-master-host=\"$DBA_OP_HOST:$DBA_OP_PORT\" \
             --ok-to-drop-table --initially-drop-socket-file \
             $(case \"$DBA_OP_CONNECTION_STRING\" in *=DISABLED) ;; *) echo --ssl --ssl-allow-insecure;; esac) \
             --replica-server-id=\"$(printf %s \"$DBA_OP_DATABASE\" | cksum | cut -d' ' -f1)\" \
             --host=\"$DBA_OP_HOST\" --port=\"$DBA_OP_PORT\" --user=\"$DBA_OP_USERNAME\" \
             --database=\"{}\" --table={} --alter={}",
            self.database,
            shell(self.table),
            self.clause
        )
    }
}

/// What a person gives gh-ost first; it has no way round that. Since 1.1.8 it looks at `metadata_locks` whether its
/// RENAME is the next, before it lets writers go on (gh-ost #1536), and asks for the log as MySQL wants since 8.4.
const WHAT_GH_OST_NEEDS: &str = "gh-ost, from 1.1.8 on, works once a person has let the migrator see the server's metadata \
                                 locks, and read its binary log, which holds the changes of every database there \
                                 (deploy/examples/gh-ost)";

/// A text as one word of a shell.
fn shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
