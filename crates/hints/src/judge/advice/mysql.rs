//! MySQL's and MariaDB's ways out: a cheaper way with ALGORITHM and LOCK said, else a copy that a tool makes outside of
//! the server while reads and writes go on: gh-ost, pt-online-schema-change.

use dbop_model::operation::{Algorithm, Column, ConstraintKind, Locking, Operation, ServerDefault};

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
        (Form::AddColumnStored, _) => vec![format!(
            "make it VIRTUAL, which stores nothing and takes an instant: ALTER TABLE {table} ADD \
             COLUMN ... GENERATED ALWAYS AS (...) VIRTUAL, ALGORITHM=INSTANT"
        )],
        (Form::AddColumnCheck, Operation::AddColumn { columns, .. }) => {
            let plain: Vec<String> = columns
                .iter()
                .map(|column| format!("ADD COLUMN {}", dialect.definition(column)))
                .collect();
            vec![format!(
                "add it without CHECK, which takes an instant: ALTER TABLE {table} {}, \
                 ALGORITHM=INSTANT",
                plain.join(", ")
            )]
        }
        (Form::AddIndexComputed, Operation::CreateIndex { index, .. }) => {
            let name = sql::index_name(case.table(), index);
            let column = dialect.name(&format!("{}_value", sql::plain(&name, 50)));
            let name = dialect.name(&name);
            vec![format!(
                "add the expression as a virtual column, which takes an instant (ALTER TABLE \
                 {table} ADD COLUMN {column} ... GENERATED ALWAYS AS ({}) VIRTUAL, \
                 ALGORITHM=INSTANT), then the index over it while writes go on (ALTER TABLE {table} \
                 ADD INDEX {name} ({column}), ALGORITHM=INPLACE, LOCK=NONE)",
                dialect.parts(&index.parts)
            )]
        }
        (Form::NotNullLoose, Operation::AlterColumn { .. }) => {
            let clause = dialect
                .alter_clause(case.step.operation)
                .unwrap_or_default();
            vec![format!(
                "let NULL be refused, and writes go on: SET SESSION sql_mode = CONCAT(@@sql_mode, \
                 ',STRICT_TRANS_TABLES'); ALTER TABLE {table} {clause}, ALGORITHM=INPLACE, \
                 LOCK=NONE"
            )]
        }
        (Form::ForeignKey, Operation::AddConstraint { constraint, .. })
            if constraint.kind() == ConstraintKind::ForeignKey =>
        {
            let name = sql::constraint_name(case.table(), constraint);
            let clause = dialect.constraint(constraint, &name);
            vec![format!(
                "look for rows without their other end first, then add it for new rows while writes \
                 go on: SET SESSION foreign_key_checks = 0; ALTER TABLE {table} ADD {clause}, \
                 ALGORITHM=INPLACE, LOCK=NONE; SET SESSION foreign_key_checks = 1"
            )]
        }
        _ => Vec::new(),
    }
}

fn without_default(table: &str, column: &Column, case: &Case<'_>) -> Option<String> {
    let ServerDefault::Expression(default) = &column.default else {
        return None;
    };
    let plain = Column {
        default: ServerDefault::NotSaid,
        nullable: None,
        ..column.clone()
    };
    let dialect = case.dialect();
    let (definition, name) = (dialect.definition(&plain), dialect.column(&column.name));
    Some(format!(
        "add it without the default, which takes an instant (ALTER TABLE {table} ADD COLUMN \
         {definition}, ALGORITHM=INSTANT), set the default for new rows (ALTER TABLE {table} ALTER \
         COLUMN {name} SET DEFAULT {default}), and fill the old rows in batches (UPDATE {table} SET \
         {name} = {default} WHERE {name} IS NULL LIMIT 5000)"
    ))
}

/// Commands that copy the table outside of the server and swap the copy in. They read where the database is from the
/// environment that every migration container has.
pub(crate) fn copied_outside(case: &Case<'_>) -> Vec<String> {
    let Some(clause) = case.dialect().alter_clause(case.step.operation) else {
        return Vec::new();
    };
    let clause = shell(&clause);
    let table = case.table().name();
    let database = case
        .table()
        .schema()
        .map_or_else(|| "$DBA_OP_DATABASE".to_owned(), str::to_owned);
    let constraints = case.present().and_then(|facts| facts.constraints.known());
    let keys = |incoming: bool| {
        constraints.is_some_and(|constraints| {
            constraints
                .iter()
                .any(|c| c.kind == ConstraintKind::ForeignKey && c.incoming == incoming)
        })
    };
    let mut commands = Vec::new();
    // gh-ost refuses tables with foreign keys on either end, and cannot add one.
    let adds_key = matches!(case.step.operation, Operation::AddConstraint { constraint, .. }
        if constraint.kind() == ConstraintKind::ForeignKey);
    if constraints.is_some() && !keys(true) && !keys(false) && !adds_key {
        commands.push(format!(
            "gh-ost --execute --allow-on-master --host=\"$DBA_OP_HOST\" --port=\"$DBA_OP_PORT\" \
             --user=\"$DBA_OP_USERNAME\" --password=\"$DBA_OP_PASSWORD\" --database=\"{database}\" \
             --table={} --alter={clause}",
            shell(table)
        ));
    }
    let method = if keys(true) {
        " --alter-foreign-keys-method=auto"
    } else {
        ""
    };
    commands.push(format!(
        "pt-online-schema-change --execute{method} --alter {clause} \
         \"h=$DBA_OP_HOST,P=$DBA_OP_PORT,u=$DBA_OP_USERNAME,p=$DBA_OP_PASSWORD,D={database},t={}\"",
        table.replace(',', "\\,").replace('"', "\\\"")
    ));
    commands
}

/// A text as one word of a shell.
fn shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
