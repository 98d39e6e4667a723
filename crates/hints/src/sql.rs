//! Statements as a server reads them, for advice: names quoted where they must be, and a change as a clause of ALTER
//! TABLE.

use dbop_model::operation::{
    Column, Constraint, ConstraintKind, Index, IndexKind, IndexPart, Operation, ServerDefault,
    Statement, TableChange,
};
use dbop_model::table::{ColumnName, TableName};

use crate::expression;

/// How a server reads names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// PostgreSQL's: double quotes, unquoted names folded to lower case.
    PostgreSql,
    /// MySQL's and MariaDB's: backticks.
    MySql,
}

/// Words of PostgreSQL that name nothing unless quoted (manual, appendix C; reserved in PostgreSQL 18).
const RESERVED: &str = "all analyse analyze and any array as asc asymmetric authorization binary \
    both case cast check collate collation column concurrently constraint create cross \
    current_catalog current_date current_role current_schema current_time current_timestamp \
    current_user default deferrable desc distinct do else end except false fetch for foreign freeze \
    from full grant group having ilike in initially inner intersect into is isnull join lateral \
    leading left like limit localtime localtimestamp natural not notnull null offset on only or \
    order outer overlaps placing primary references returning right select session_user similar \
    some symmetric system_user table tablesample then to trailing true union unique user using \
    variadic verbose when where window with";

impl Dialect {
    /// A name.
    pub(crate) fn name(self, name: &str) -> String {
        match self {
            // Always in backticks: MySQL's reserved words grow with every release.
            Dialect::MySql => format!("`{}`", name.replace('`', "``")),
            Dialect::PostgreSql => {
                let plain = name
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
                    && !name.starts_with(|c: char| c.is_ascii_digit())
                    && !RESERVED.split_whitespace().any(|word| word == name);
                if plain {
                    name.to_owned()
                } else {
                    format!("\"{}\"", name.replace('"', "\"\""))
                }
            }
        }
    }

    /// A table's name.
    pub(crate) fn table(self, table: &TableName) -> String {
        match table.schema() {
            Some(schema) => format!("{}.{}", self.name(schema), self.name(table.name())),
            None => self.name(table.name()),
        }
    }

    /// A column's, index's or constraint's name.
    pub(crate) fn column(self, column: &ColumnName) -> String {
        self.name(column.as_str())
    }

    /// Several, with commas.
    pub(crate) fn columns(self, columns: &[ColumnName]) -> String {
        let names: Vec<String> = columns.iter().map(|column| self.column(column)).collect();
        names.join(", ")
    }

    /// The parts of an index, with commas.
    pub(crate) fn parts(self, parts: &[IndexPart]) -> String {
        let part = |part: &IndexPart| match part {
            IndexPart::Column(name) => self.column(name),
            IndexPart::Prefix(name, length) => format!("{}({length})", self.column(name)),
            IndexPart::Expression(text) => format!("({text})"),
        };
        let parts: Vec<String> = parts.iter().map(part).collect();
        parts.join(", ")
    }

    /// A column as a definition: `c int NOT NULL DEFAULT 0`.
    pub(crate) fn definition(self, column: &Column) -> String {
        let mut text = self.column(&column.name);
        let sql_type = column.sql_type.as_ref().map_or("<type>", |t| t.as_str());
        text.push_str(&format!(" {sql_type}"));
        if let Some(charset) = &column.charset {
            text.push_str(&format!(" CHARACTER SET {charset}"));
        }
        if let Some(collation) = &column.collation {
            text.push_str(&format!(" COLLATE {collation}"));
        }
        match column.nullable {
            Some(false) => text.push_str(" NOT NULL"),
            Some(true) => text.push_str(" NULL"),
            None => {}
        }
        match &column.default {
            ServerDefault::Expression(expression) => {
                text.push_str(&format!(" DEFAULT {}", self.default(expression)));
            }
            ServerDefault::Present => text.push_str(" DEFAULT <default>"),
            ServerDefault::NotSaid | ServerDefault::Absent => {}
        }
        text
    }

    /// A default's expression where a default stands: MySQL and MariaDB want what is computed in parentheses.
    pub(crate) fn default(self, expression: &str) -> String {
        let is_bare = expression.starts_with('(')
            || expression::read(expression).is_some_and(|read| read.names.is_empty());
        match self {
            Dialect::MySql if !is_bare => format!("({expression})"),
            Dialect::MySql | Dialect::PostgreSql => expression.to_owned(),
        }
    }

    /// An index as a clause: `UNIQUE INDEX name (a, b)`.
    pub(crate) fn index(self, index: &Index, name: &str) -> String {
        let kind = match index.kind {
            IndexKind::Plain => "",
            IndexKind::Unique => "UNIQUE ",
            IndexKind::Fulltext => "FULLTEXT ",
            IndexKind::Spatial => "SPATIAL ",
        };
        format!(
            "{kind}INDEX {} ({})",
            self.name(name),
            self.parts(&index.parts)
        )
    }

    /// A constraint as a clause: `CONSTRAINT name FOREIGN KEY (a) REFERENCES t`.
    pub(crate) fn constraint(self, constraint: &Constraint, name: &str) -> String {
        let columns = self.columns(constraint.columns());
        let what = match constraint.kind() {
            ConstraintKind::Unique => format!("UNIQUE ({columns})"),
            ConstraintKind::PrimaryKey => format!("PRIMARY KEY ({columns})"),
            ConstraintKind::NotNull => format!("CHECK ({columns} IS NOT NULL)"),
            ConstraintKind::Check => {
                let condition = constraint.expression.as_deref().unwrap_or("<condition>");
                format!("CHECK ({condition})")
            }
            ConstraintKind::ForeignKey => {
                let other = constraint.references.as_ref();
                let other = other.map_or_else(|| "<table>".to_owned(), |other| self.table(other));
                format!("FOREIGN KEY ({columns}) REFERENCES {other}")
            }
            ConstraintKind::Exclude => {
                let elements = constraint.expression.as_deref().unwrap_or("<elements>");
                format!("EXCLUDE ({elements})")
            }
        };
        if constraint.kind() == ConstraintKind::PrimaryKey && self == Dialect::MySql {
            return what;
        }
        format!("CONSTRAINT {} {what}", self.name(name))
    }

    /// Is so much said of an operation that all of it can be written? Of a foreign key the columns at its other end are
    /// not kept: MySQL wants them, and PostgreSQL takes the primary key.
    pub(crate) fn can_write(self, operation: &Operation) -> bool {
        let column =
            |column: &Column| column.sql_type.is_some() && column.default != ServerDefault::Present;
        match operation {
            Operation::AddColumn { columns, .. } | Operation::AlterColumn { columns, .. } => {
                columns.iter().all(column)
            }
            Operation::AddConstraint { constraint, .. } => self.can_write_constraint(constraint),
            _ => true,
        }
    }

    /// The same of a constraint.
    pub(crate) fn can_write_constraint(self, constraint: &Constraint) -> bool {
        match constraint.kind() {
            ConstraintKind::Check | ConstraintKind::Exclude => constraint.expression.is_some(),
            ConstraintKind::ForeignKey => {
                self == Dialect::PostgreSql && constraint.references.is_some()
            }
            ConstraintKind::Unique | ConstraintKind::PrimaryKey | ConstraintKind::NotNull => true,
        }
    }

    /// An operation as clauses of `ALTER TABLE` in MySQL's words; `None`: it is no change that ALTER TABLE makes.
    pub(crate) fn alter_clause(self, operation: &Operation) -> Option<String> {
        let each = |columns: &[Column], verb: &str| -> String {
            let clauses: Vec<String> = columns
                .iter()
                .map(|column| format!("{verb} COLUMN {}", self.definition(column)))
                .collect();
            clauses.join(", ")
        };
        Some(match operation {
            Operation::AddColumn { columns, .. } => each(columns, "ADD"),
            Operation::AlterColumn { columns, .. } => each(columns, "MODIFY"),
            Operation::DropColumn { columns, .. } => {
                let clauses: Vec<String> = columns
                    .iter()
                    .map(|column| format!("DROP COLUMN {}", self.column(column)))
                    .collect();
                clauses.join(", ")
            }
            Operation::CreateIndex { index, .. } => {
                format!(
                    "ADD {}",
                    self.index(index, &index_name(operation.table(), index))
                )
            }
            Operation::AddConstraint { table, constraint } => {
                if constraint.kind() == ConstraintKind::NotNull {
                    return None;
                }
                let name = constraint_name(table, constraint);
                format!("ADD {}", self.constraint(constraint, &name))
            }
            Operation::DropConstraint { constraint, .. } => {
                if constraint.kind() == ConstraintKind::PrimaryKey {
                    "DROP PRIMARY KEY".to_owned()
                } else {
                    format!("DROP CONSTRAINT {}", self.column(constraint.name.as_ref()?))
                }
            }
            Operation::ChangeTable { change, .. } => match change {
                TableChange::Rebuild => "ENGINE=InnoDB".to_owned(),
                TableChange::ConvertCharset { charset, collation } => {
                    let collate = collation.as_ref().map(|name| format!(" COLLATE {name}"));
                    format!(
                        "CONVERT TO CHARACTER SET {charset}{}",
                        collate.unwrap_or_default()
                    )
                }
                TableChange::Engine { engine } => format!("ENGINE={engine}"),
                _ => return None,
            },
            _ => return None,
        })
    }
}

/// The name that an index has, or that one would give it.
pub(crate) fn index_name(table: &TableName, index: &Index) -> String {
    match &index.name {
        Some(name) => name.as_str().to_owned(),
        None => made_name(table, index.columns().map(ColumnName::as_str), "idx"),
    }
}

/// The name that a constraint has, or that one would give it.
pub(crate) fn constraint_name(table: &TableName, constraint: &Constraint) -> String {
    if let Some(name) = &constraint.name {
        return name.as_str().to_owned();
    }
    let end = match constraint.kind() {
        ConstraintKind::Unique => "key",
        ConstraintKind::PrimaryKey => return format!("{}_pkey", plain(table.name(), 50)),
        ConstraintKind::NotNull => "not_null",
        ConstraintKind::Check => "check",
        ConstraintKind::ForeignKey => "fkey",
        ConstraintKind::Exclude => "excl",
    };
    made_name(
        table,
        constraint.columns().iter().map(ColumnName::as_str),
        end,
    )
}

/// `table_columns_end`, short enough for every server.
fn made_name<'a>(table: &TableName, columns: impl Iterator<Item = &'a str>, end: &str) -> String {
    let columns: Vec<String> = columns.map(|column| plain(column, 20)).collect();
    let middle = plain(&columns.join("_"), 28);
    format!("{}_{middle}_{end}", plain(table.name(), 24))
}

/// A statement's own words, where all of them are known.
pub(crate) fn whole_text(statement: &Statement) -> Option<&str> {
    let text = statement.text.as_deref()?;
    (!text.ends_with("...")).then_some(text)
}

/// What a statement says of its table after the table's name, where it is an `ALTER TABLE` whose words are known.
pub(crate) fn clauses(statement: &Statement) -> Option<&str> {
    const HEAD: &str = "ALTER TABLE ";
    let text = whole_text(statement)?;
    let head = text.get(..HEAD.len())?;
    if !head.eq_ignore_ascii_case(HEAD) {
        return None;
    }
    let (mut rest, mut quoted) = (text[HEAD.len()..].char_indices(), false);
    let end = rest.find(|(_, c)| {
        quoted ^= *c == '`';
        !quoted && c.is_whitespace()
    });
    let clauses = text[HEAD.len() + end?.0..].trim();
    // `ALTER TABLE IF EXISTS t`: nobody writes it where the table is large.
    let is_option = clauses
        .get(..6)
        .is_some_and(|begin| begin.eq_ignore_ascii_case("exists"));
    (!clauses.is_empty() && !is_option).then_some(clauses)
}

/// The type of a stored generated column, as that of a virtual one; `None`: it does not say so.
pub(crate) fn virtual_type(column: &Column) -> Option<String> {
    let text = column.sql_type.as_ref()?.as_str();
    let (before, last) = text.rsplit_once(char::is_whitespace)?;
    let stored = ["stored", "persistent"];
    stored
        .contains(&last.to_ascii_lowercase().as_str())
        .then(|| format!("{before} VIRTUAL"))
}

/// The letters, digits and underscores of a name.
pub(crate) fn plain(name: &str, chars_max: usize) -> String {
    let plain = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
        .take(chars_max);
    plain.collect::<String>().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_where_they_must_be() {
        let table = |text: &str| Dialect::PostgreSql.table(&text.parse().unwrap());
        assert_eq!(table("app.users"), "app.users");
        assert_eq!(table("app.user"), "app.\"user\"");
        assert_eq!(table("Users"), "\"Users\"");
        assert_eq!(table("\"a\"\"b\""), "\"a\"\"b\"");
        assert_eq!(table("2fa"), "\"2fa\"");
        let table = |text: &str| Dialect::MySql.table(&text.parse().unwrap());
        assert_eq!(table("app.users"), "`app`.`users`");
        assert_eq!(table("a`b"), "`a``b`");
    }

    #[test]
    fn what_an_alter_says_of_its_table_is_taken_from_its_words() {
        let clauses = |text: &str| {
            let statement = Statement {
                text: Some(text.to_owned()),
                ..Statement::default()
            };
            clauses(&statement).map(str::to_owned)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(clauses("alter table t ADD c int"), some("ADD c int"));
        assert_eq!(
            clauses("ALTER TABLE `a b`.`t` ADD c int, FORCE"),
            some("ADD c int, FORCE")
        );
        assert_eq!(clauses("ALTER TABLE IF EXISTS t FORCE"), None);
        assert_eq!(clauses("ALTER TABLE t ADD c varchar(2..."), None);
        assert_eq!(clauses("CREATE INDEX i ON t (c)"), None);
    }

    #[test]
    fn what_is_computed_stands_in_parentheses() {
        let of = |text: &str| Dialect::MySql.default(text);
        assert_eq!(of("b + 1"), "(b + 1)");
        assert_eq!(of("(b + 1)"), "(b + 1)");
        assert_eq!(of("0"), "0");
        assert_eq!(Dialect::PostgreSql.default("b + 1"), "b + 1");
    }
}
