//! A migration that says twice what it does: its SQL, and its schemaHints. What both say counts once, as the SQL says
//! it; of the hints stays what no statement says.
//!
//! The statements themselves stay as they are, so that none asks for a lock or a clause that it does not have.

use std::collections::BTreeSet;

use dbop_model::Engine;
use dbop_model::operation::{
    Column, Constraint, ConstraintKind, Index, IndexKind, Operation, ServerDefault, Statement,
};
use dbop_model::table::{ColumnName, TableName};

/// What a migration does, by its SQL and its `schemaHints`; of hints alone each operation counts as a statement.
///
/// The hints' names are taken as a server of this engine takes them: which it is, their author does not say.
pub fn of_migration(engine: Engine, sql: Option<&str>, hints: &[Operation]) -> Vec<Statement> {
    let hints = hints.iter().cloned();
    let hints: Vec<Operation> = match engine {
        Engine::PostgreSql => hints.collect(),
        Engine::MySql | Engine::MariaDb => hints.map(Operation::ignoring_case).collect(),
    };
    match sql {
        Some(sql) => with_hints(crate::read(engine, sql), &hints),
        None => hints.into_iter().map(Statement::from).collect(),
    }
}

/// The statements, and between them what the hints alone say: after the statement that makes the hint before, else
/// before the one that makes the hint after, else at the end.
fn with_hints(statements: Vec<Statement>, hints: &[Operation]) -> Vec<Statement> {
    let said: Vec<Said<'_>> = (0..)
        .zip(&statements)
        .flat_map(|(at, one)| {
            one.operations
                .iter()
                .map(move |operation| Said { at, operation })
        })
        .collect();
    let mut used = BTreeSet::new();
    let covered: Vec<Covered> = hints
        .iter()
        .map(|hint| cover(hint, &said, &mut used))
        .collect();
    // Where each hint's rest goes: the number of statements before it.
    let places: Vec<usize> = (0..hints.len())
        .map(|nth| {
            let before = covered[..=nth].iter().rev().find_map(|one| one.at);
            let after = covered[nth..].iter().find_map(|one| one.at);
            before.map_or(after.unwrap_or(statements.len()), |at| at + 1)
        })
        .collect();
    let count = statements.len();
    let mut statements = statements.into_iter();
    let mut merged = Vec::new();
    for place in 0..=count {
        let rests = covered.iter().zip(&places).filter(|(_, at)| **at == place);
        merged.extend(rests.filter_map(|(one, _)| one.rest.clone().map(Statement::from)));
        merged.extend(statements.next());
    }
    merged
}

/// An operation of the SQL, and which statement makes it.
struct Said<'a> {
    at: usize,
    operation: &'a Operation,
}

/// What the SQL says of a hint.
struct Covered {
    /// The last statement that says some of it.
    at: Option<usize>,
    /// What no statement says.
    rest: Option<Operation>,
}

/// Columns are looked up one by one: a hint may name several that the SQL adds each by itself. Any other operation of
/// the SQL counts for one hint.
fn cover(hint: &Operation, said: &[Said<'_>], used: &mut BTreeSet<usize>) -> Covered {
    let of_table = || {
        said.iter()
            .filter(|one| one.operation.table().may_be(hint.table()))
    };
    match hint {
        Operation::AddColumn { table, columns } => {
            let mut at = None;
            let mut left = columns.clone();
            for one in of_table() {
                if let Operation::AddColumn { columns, .. } = one.operation {
                    let is_said = |name: &ColumnName| columns.iter().any(|c| c.name == *name);
                    at = later(at, one.at, left.iter().any(|column| is_said(&column.name)));
                    left.retain(|column| !is_said(&column.name));
                }
            }
            let rest = Operation::add_column(table.clone(), left).ok();
            Covered { at, rest }
        }
        Operation::AlterColumn { table, columns } => {
            let mut at = None;
            let mut left = columns.clone();
            for one in of_table() {
                let before = left.clone();
                left.iter_mut()
                    .for_each(|column| take_said(column, one.operation));
                at = later(at, one.at, left != before);
            }
            left.retain(says_something);
            let rest = Operation::alter_column(table.clone(), left).ok();
            Covered { at, rest }
        }
        Operation::DropColumn { table, columns, .. } => {
            let mut at = None;
            let mut left = columns.clone();
            for one in of_table() {
                if let Operation::DropColumn { columns, .. } = one.operation {
                    at = later(at, one.at, left.iter().any(|name| columns.contains(name)));
                    left.retain(|name| !columns.contains(name));
                }
            }
            let rest = Operation::drop_column(table.clone(), left).ok();
            Covered { at, rest }
        }
        _ => {
            let found = (0..)
                .zip(said)
                .find(|(nth, one)| !used.contains(nth) && is_same(hint, one.operation));
            if let Some((nth, one)) = found {
                used.insert(nth);
                return Covered {
                    at: Some(one.at),
                    rest: None,
                };
            }
            Covered {
                at: None,
                rest: Some(hint.clone()),
            }
        }
    }
}

fn later(at: Option<usize>, statement: usize, says_some: bool) -> Option<usize> {
    if says_some { Some(statement) } else { at }
}

/// Takes out of a hint what an operation of the SQL says of the column.
fn take_said(hint: &mut Column, operation: &Operation) {
    match operation {
        Operation::AlterColumn { columns, .. } => {
            let of_it = columns.iter().filter(|column| column.name == hint.name);
            for column in of_it {
                // A column that is defined anew says everything: what it does not name is dropped.
                if column.redefined || column.sql_type.is_some() {
                    hint.sql_type = None;
                }
                if column.redefined || column.nullable.is_some() {
                    hint.nullable = None;
                }
                if column.redefined || column.default != ServerDefault::NotSaid {
                    hint.default = ServerDefault::NotSaid;
                }
            }
        }
        Operation::AddConstraint { constraint, .. }
            if constraint.kind() == ConstraintKind::NotNull
                && constraint.columns().contains(&hint.name) =>
        {
            hint.nullable = None;
        }
        _ => {}
    }
}

fn says_something(column: &Column) -> bool {
    column.sql_type.is_some()
        || column.nullable.is_some()
        || column.default != ServerDefault::NotSaid
}

/// Do a hint and an operation of the SQL mean the same? What a hint cannot say makes no difference.
fn is_same(hint: &Operation, said: &Operation) -> bool {
    let same_table = |one: &TableName, other: &TableName| one.may_be(other);
    match (hint, said) {
        (
            Operation::RenameColumn {
                table, from, to, ..
            },
            Operation::RenameColumn {
                table: other,
                from: other_from,
                to: other_to,
                ..
            },
        ) => same_table(table, other) && from == other_from && to == other_to,
        (
            Operation::CreateIndex { table, index },
            Operation::CreateIndex {
                table: other,
                index: said,
            },
        ) => same_table(table, other) && index.kind == said.kind && same_columns(index, said),
        // Servers keep a unique constraint by a unique index: people call it the one or the other.
        (
            Operation::CreateIndex { table, index },
            Operation::AddConstraint {
                table: other,
                constraint,
            },
        )
        | (
            Operation::AddConstraint { table, constraint },
            Operation::CreateIndex {
                table: other,
                index,
            },
        ) => {
            same_table(table, other)
                && index.kind == IndexKind::Unique
                && index.predicate.is_none()
                && constraint.kind() == ConstraintKind::Unique
                && index.columns().eq(constraint.columns())
        }
        (
            Operation::AddConstraint { table, constraint },
            Operation::AddConstraint {
                table: other,
                constraint: said,
            },
        )
        | (
            Operation::DropConstraint {
                table, constraint, ..
            },
            Operation::DropConstraint {
                table: other,
                constraint: said,
                ..
            },
        ) => same_table(table, other) && is_same_constraint(constraint, said),
        (
            Operation::AddConstraint { table, constraint },
            Operation::AlterColumn {
                table: other,
                columns,
            },
        ) => {
            let requires = |name: &ColumnName| {
                let mut columns = columns.iter().filter(|column| column.name == *name);
                columns.any(|column| column.nullable == Some(false))
            };
            same_table(table, other)
                && constraint.kind() == ConstraintKind::NotNull
                && constraint.columns().iter().all(requires)
        }
        (
            Operation::DropIndex { table, columns, .. },
            Operation::DropIndex {
                table: other,
                by_name,
                columns: said,
                ..
            },
        ) => {
            // PostgreSQL's DROP INDEX names the index alone: the catalogue knows the table.
            (*by_name || same_table(table, other))
                && (columns.is_empty() || said.is_empty() || columns == said)
        }
        (Operation::CreateTable { table, .. }, Operation::CreateTable { table: other, .. })
        | (Operation::DropTable { table, .. }, Operation::DropTable { table: other, .. }) => {
            same_table(table, other)
        }
        (
            Operation::RenameTable { table, to },
            Operation::RenameTable {
                table: other,
                to: other_to,
            },
        ) => same_table(table, other) && to.may_be(other_to),
        _ => false,
    }
}

fn same_columns(one: &Index, other: &Index) -> bool {
    one.parts.is_empty() || one.columns().eq(other.columns())
}

fn is_same_constraint(hint: &Constraint, said: &Constraint) -> bool {
    // DROP CONSTRAINT names it alone.
    let kinds = !said.kind_said || hint.kind() == said.kind();
    let either_names_none = hint.columns().is_empty() || said.columns().is_empty();
    kinds && (either_names_none || hint.columns() == said.columns())
}

#[cfg(test)]
mod tests {
    use dbop_model::Engine;
    use dbop_model::operation::Index;

    use dbop_model::operation::Dropping;

    use super::*;
    use crate::read;

    fn table(name: &str) -> TableName {
        name.parse().expect("a table's name")
    }

    fn column(name: &str) -> Column {
        Column::new(name.parse().expect("a column's name"))
    }

    fn names(names: &[&str]) -> Vec<ColumnName> {
        names.iter().map(|name| column(name).name).collect()
    }

    /// What a migration does that has this SQL and these hints: each statement's operations in a line.
    #[track_caller]
    fn check(engine: Engine, sql: &str, hints: &[Operation], expect: &[&str]) {
        let merged = of_migration(engine, Some(sql), hints);
        let shown: Vec<String> = merged
            .iter()
            .map(|one| {
                let operations: Vec<String> =
                    one.operations.iter().map(ToString::to_string).collect();
                let from = if one.line.is_some() { "sql" } else { "hint" };
                format!("{from}: {}", operations.join(", "))
            })
            .collect();
        assert_eq!(shown, expect, "{sql}");
    }

    #[test]
    fn hints_are_taken_as_the_server_takes_names() {
        let add = Operation::add_column(table("users"), vec![column("Id")]).unwrap();
        let sql = "ALTER TABLE users ADD COLUMN id int";
        let once: &[&str] = &["sql: addColumn users.id int"];
        check(Engine::MySql, sql, std::slice::from_ref(&add), once);
        let twice = ["sql: addColumn users.id int", "hint: addColumn users.Id"];
        check(Engine::PostgreSql, sql, std::slice::from_ref(&add), &twice);
        // Without SQL as well.
        let hints = std::slice::from_ref(&add);
        let of = |engine| of_migration(engine, None, hints)[0].operations[0].clone();
        assert_eq!(of(Engine::PostgreSql), add);
        assert_eq!(of(Engine::MariaDb), add.clone().ignoring_case());
        assert_ne!(of(Engine::MariaDb), of(Engine::PostgreSql));
    }

    #[test]
    fn what_both_say_counts_once() {
        let add = |columns: Vec<Column>| Operation::add_column(table("app.users"), columns);
        let add = |columns: &[&str]| add(columns.iter().map(|name| column(name)).collect());
        check(
            Engine::PostgreSql,
            "ALTER TABLE users ADD COLUMN a text, ADD COLUMN b int; ALTER TABLE other ADD COLUMN c int;",
            &[add(&["a", "b", "c"]).unwrap()],
            &[
                "sql: addColumn users.a text, addColumn users.b int",
                "hint: addColumn app.users.c",
                "sql: addColumn other.c int",
            ],
        );
        let rename = Operation::RenameTable {
            table: table("a"),
            to: table("b"),
        };
        check(
            Engine::PostgreSql,
            "ALTER TABLE a RENAME TO b; DROP TABLE c;",
            &[
                rename,
                Operation::DropTable {
                    table: table("c"),
                    dropping: Dropping::default(),
                },
            ],
            &["sql: renameTable a to b", "sql: dropTable c"],
        );
    }

    #[test]
    fn of_an_altered_column_stays_what_no_statement_says() {
        let hint = || {
            let column = column("n")
                .with_type("bigint".parse().unwrap())
                .with_nullable(false);
            Operation::alter_column(table("t"), vec![column]).unwrap()
        };
        check(
            Engine::PostgreSql,
            "ALTER TABLE t ALTER COLUMN n TYPE bigint;",
            &[hint()],
            &[
                "sql: alterColumn t.n bigint",
                "hint: alterColumn t.n NOT NULL",
            ],
        );
        check(
            Engine::PostgreSql,
            "ALTER TABLE t ALTER COLUMN n TYPE bigint; ALTER TABLE t ALTER n SET NOT NULL;",
            &[hint()],
            &[
                "sql: alterColumn t.n bigint",
                "sql: alterColumn t.n NOT NULL",
            ],
        );
        // MODIFY without NOT NULL drops it: the SQL says that it may be NULL.
        let merged = with_hints(
            read(Engine::MySql, "ALTER TABLE t MODIFY n bigint;"),
            &[hint()],
        );
        assert_eq!(merged.len(), 1, "{merged:?}");
        let not_null = Constraint::new(ConstraintKind::NotNull, names(&["n"])).unwrap();
        let not_null = Operation::AddConstraint {
            table: table("t"),
            constraint: not_null,
        };
        check(
            Engine::PostgreSql,
            "ALTER TABLE t ALTER n SET NOT NULL;",
            &[not_null],
            &["sql: alterColumn t.n NOT NULL"],
        );
    }

    #[test]
    fn an_index_is_the_same_under_any_name_and_each_statement_makes_one() {
        let index = |kind, columns: &[&str]| Operation::CreateIndex {
            table: table("t"),
            index: Index::new(kind, names(columns)),
        };
        let drop = Operation::DropIndex {
            table: table("t"),
            by_name: false,
            columns: names(&["a"]),
            online: false,
            name: None,
            dropping: Dropping::default(),
        };
        check(
            Engine::PostgreSql,
            "CREATE UNIQUE INDEX CONCURRENTLY i ON t (a, b); DROP INDEX j;
             ALTER TABLE t ADD CONSTRAINT u UNIQUE (c);",
            &[
                index(IndexKind::Unique, &["a", "b"]),
                drop.clone(),
                drop,
                index(IndexKind::Unique, &["c"]),
                index(IndexKind::Plain, &["c"]),
            ],
            &[
                "sql: createIndex t(a, b) unique online",
                "sql: dropIndex j",
                "hint: dropIndex t(a)",
                "sql: addConstraint t(c) unique",
                "hint: createIndex t(c) plain",
            ],
        );
    }

    #[test]
    fn a_hint_stands_beside_its_neighbours_and_at_the_end_where_it_has_none() {
        let drop = |name: &str| Operation::DropTable {
            table: table(name),
            dropping: Dropping::default(),
        };
        let sql = "DROP TABLE a; DO $$ BEGIN END $$; DROP TABLE b; DROP TABLE c;";
        check(
            Engine::PostgreSql,
            sql,
            &[drop("a"), drop("x"), drop("b")],
            &[
                "sql: dropTable a",
                "hint: dropTable x",
                "sql: ",
                "sql: dropTable b",
                "sql: dropTable c",
            ],
        );
        check(
            Engine::PostgreSql,
            sql,
            &[drop("x"), drop("b")],
            &[
                "sql: dropTable a",
                "sql: ",
                "hint: dropTable x",
                "sql: dropTable b",
                "sql: dropTable c",
            ],
        );
        check(
            Engine::PostgreSql,
            sql,
            &[drop("x")],
            &[
                "sql: dropTable a",
                "sql: ",
                "sql: dropTable b",
                "sql: dropTable c",
                "hint: dropTable x",
            ],
        );
    }
}
