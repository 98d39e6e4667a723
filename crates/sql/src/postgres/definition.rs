//! A query made of a new table's columns, that PostgreSQL reads as it reads the table's definition: it looks up the types,
//! the functions and columns of defaults, generated columns and CHECKs, how keys are sorted, and what foreign keys compare.

use dbop_model::operation::{
    Column, Constraint, ConstraintKind, Filled, Operation, ServerDefault, TableChange,
};
use dbop_model::table::{ColumnName, TableName};
use squawk_syntax::ast::{self, AstNode};

use super::name::{Names, text};

/// Types that stand for a number and a sequence of its own.
const SERIALS: [(&str, &str); 6] = [
    ("serial", "integer"),
    ("serial4", "integer"),
    ("bigserial", "bigint"),
    ("serial8", "bigint"),
    ("smallserial", "smallint"),
    ("serial2", "smallint"),
];

/// `None`: it holds nothing that could be looked up.
pub(super) fn of(
    it: &ast::CreateTable,
    names: &Names<'_>,
    operations: &[Operation],
) -> Option<String> {
    let own = operations.iter().find_map(|one| match one {
        Operation::CreateTable { table, columns, .. } => Some((table, columns)),
        _ => None,
    });
    let (table, columns) = own?;
    if it.of_type().is_some() {
        return None;
    }
    // The tables of which it has the columns, too.
    let mut sources = Vec::new();
    for argument in it.table_arg_list().into_iter().flat_map(|list| list.args()) {
        if let ast::TableArg::LikeClause(like) = argument {
            let name = like.relation_name_ref().and_then(|name| name.path_ref());
            sources.push(quoted_table(&names.of_path(name).ok()?));
        }
    }
    for parent in it
        .inherits()
        .into_iter()
        .flat_map(|of| of.table_name_refs())
    {
        sources.push(quoted_table(&names.of_ref(Some(parent)).ok()?));
    }
    let parent = operations.iter().find_map(|one| match one {
        Operation::ChangeTable {
            table,
            change: TableChange::CreatePartition { .. },
        } => Some(table),
        _ => None,
    });
    sources.extend(parent.map(quoted_table));
    let inherited = !sources.is_empty();
    let stars = (1..=sources.len()).map(|nth| format!("dbop_{nth}.*"));
    let plain = columns.iter().filter_map(plain);
    let mut inner = format!("SELECT {}", listed(stars.chain(plain)));
    if inherited {
        let from = sources
            .iter()
            .zip(1..)
            .map(|(name, nth)| format!("{name} AS dbop_{nth}"));
        inner.push_str(&format!(" FROM {}", listed(from)));
    }
    let name = quoted(table.name());
    let computed: Vec<String> = columns.iter().filter_map(computed).collect();
    let middle = match computed.is_empty() {
        true => inner,
        false => format!(
            "SELECT {name}.*, {} FROM ({inner}) AS {name}",
            listed(computed)
        ),
    };
    let constraints: Vec<&Constraint> = operations
        .iter()
        .filter_map(|one| match one {
            Operation::AddConstraint { constraint, .. } => Some(constraint),
            _ => None,
        })
        .collect();
    let mut asked: Vec<String> = constraints
        .iter()
        .filter_map(|one| asks(one, &name, table))
        .collect();
    let split = it.partition_by().and_then(|by| by.partition_item_list());
    // Its operator classes and collations are no part of a query.
    let split = split
        .map(|list| text(list.syntax()))
        .filter(|text| !text.contains(" "));
    asked.extend(split.map(|list| format!("ROW{list}")));
    let sorted = constraints
        .iter()
        .filter(|one| {
            matches!(
                one.kind(),
                ConstraintKind::Unique | ConstraintKind::PrimaryKey
            )
        })
        .flat_map(|one| {
            one.columns()
                .iter()
                .map(|column| format!("{name}.{}", quoted(column.as_str())))
        });
    let sorted: Vec<String> = sorted.collect();
    let order = match sorted.is_empty() {
        true => String::new(),
        false => format!(" ORDER BY {}", sorted.join(", ")),
    };
    let asked = asked
        .into_iter()
        .zip(1..)
        .map(|(asked, nth)| format!("{asked} AS dbop_asked_{nth}"));
    // Columns of the same name become one where the table inherits them.
    let merges = it.inherits().is_some() || parent.is_some();
    let all = (!merges).then(|| format!("{name}.*"));
    let schema = table.schema().map(|schema| {
        let literal = quoted(schema).replace('\'', "''");
        format!("'{literal}'::pg_catalog.regnamespace AS dbop_schema")
    });
    let all = all.into_iter().chain(schema).chain(asked);
    Some(format!(
        "SELECT {} FROM ({middle}) AS {name}{order}",
        listed(all)
    ))
}

/// A column with its type, its collation and its default.
fn plain(column: &Column) -> Option<String> {
    let sql_type = column.sql_type.as_ref()?;
    if is_computed(column) {
        return None;
    }
    let value = match &column.default {
        ServerDefault::Expression(text) => format!("({text})"),
        _ => "NULL".to_owned(),
    };
    let collation = column
        .collation
        .as_ref()
        .map_or(String::new(), |name| format!(" COLLATE {name}"));
    Some(format!(
        "CAST({value} AS {}){collation} AS {}",
        type_of(sql_type.name()),
        quoted(column.name.as_str())
    ))
}

fn is_computed(column: &Column) -> bool {
    let filled = column.sql_type.as_ref().map(|of| of.filled());
    matches!(
        filled,
        Some(Filled::Stored | Filled::Virtual | Filled::StoredOrVirtual)
    )
}

fn computed(column: &Column) -> Option<String> {
    let sql_type = column.sql_type.as_ref().filter(|_| is_computed(column))?;
    let whole = sql_type.as_str();
    let at = whole.to_ascii_lowercase().find(" generated always as ")?;
    let expression = &whole[at + " generated always as ".len()..];
    let expression = expression
        .trim_end_matches(" STORED")
        .trim_end_matches(" VIRTUAL");
    Some(format!(
        "CAST({expression} AS {}) AS {}",
        type_of(sql_type.name()),
        quoted(column.name.as_str())
    ))
}

/// What a constraint asks of the columns.
fn asks(constraint: &Constraint, name: &str, table: &TableName) -> Option<String> {
    match constraint.kind() {
        ConstraintKind::Check => {
            let condition = constraint.expression.as_ref()?;
            Some(format!("CASE WHEN {condition} THEN 1 END"))
        }
        ConstraintKind::ForeignKey => {
            let other = constraint
                .references
                .as_ref()
                .filter(|other| !other.may_be(table))?;
            let columns = constraint.columns();
            let referenced = &constraint.referenced;
            if columns.len() != referenced.len() {
                return Some(format!("(SELECT 1 FROM {} LIMIT 1)", quoted_table(other)));
            }
            let alike = columns.iter().zip(referenced).map(|(own, to)| {
                format!(
                    "dbop_other.{} = {name}.{}",
                    quoted(to.as_str()),
                    quoted(own.as_str())
                )
            });
            Some(format!(
                "EXISTS (SELECT FROM {} AS dbop_other WHERE {})",
                quoted_table(other),
                alike.collect::<Vec<_>>().join(" AND ")
            ))
        }
        ConstraintKind::NotNull => {
            let column: &ColumnName = constraint.columns().first()?;
            Some(format!("{name}.{}", quoted(column.as_str())))
        }
        ConstraintKind::Unique | ConstraintKind::PrimaryKey | ConstraintKind::Exclude => None,
    }
}

fn type_of(name: &str) -> String {
    let bare = name.trim();
    let serial = SERIALS
        .iter()
        .find(|(serial, _)| bare.eq_ignore_ascii_case(serial));
    serial.map_or_else(|| bare.to_owned(), |(_, number)| (*number).to_owned())
}

fn listed(items: impl IntoIterator<Item = String>) -> String {
    items.into_iter().collect::<Vec<_>>().join(", ")
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn quoted_table(table: &TableName) -> String {
    match table.schema() {
        Some(schema) => format!("{}.{}", quoted(schema), quoted(table.name())),
        None => quoted(table.name()),
    }
}
