//! Columns and constraints, as CREATE TABLE and ALTER TABLE have them.

use dbop_model::operation::{
    Column, Constraint, ConstraintKind, Operation, ServerDefault, SqlType, TableChange,
    TableOptions, Validity,
};
use dbop_model::table::{ColumnName, TableName};
use squawk_syntax::ast::{self, AstNode};

use super::name::{Names, bare_text, name, text};
use super::{Found, change};

/// `CREATE TABLE`: its columns, and its keys, CHECKs and foreign keys as operations behind it. A partition's parent is
/// changed, too. One for the session alone stands before the table of its name.
pub(super) fn create(it: &ast::CreateTable, names: &Names<'_>) -> Found {
    let table = names.of_new(it.table_name())?;
    let (mut columns, mut constraints) = (Vec::new(), Vec::new());
    let mut complete = it.of_type().is_none() && it.inherits().is_none();
    for argument in it.table_arg_list().into_iter().flat_map(|list| list.args()) {
        match argument {
            ast::TableArg::Column(it) => {
                let column = defined(&it, names)?;
                complete &= column.sql_type.is_some();
                constraints.extend(column.constraints.iter().cloned());
                columns.push(column);
            }
            ast::TableArg::TableConstraint(it) => {
                let it = ast::Constraint::cast(it.syntax().clone());
                match it.as_ref().map(|it| constraint(it, names)) {
                    Some(Ok(made)) => constraints.push(made),
                    // The other table of a foreign key is locked, whatever else.
                    Some(Err(why))
                        if matches!(it, Some(ast::Constraint::ForeignKeyConstraint(_))) =>
                    {
                        return Err(why);
                    }
                    Some(Err(_)) | None => complete = false,
                }
            }
            ast::TableArg::LikeClause(_) => complete = false,
        }
    }
    let mut operations = vec![Operation::CreateTable {
        table: table.clone(),
        if_not_exists: it.if_not_exists().is_some() || is_temporary(it.persistence()),
        columns,
        complete: complete && it.partition_of().is_none() && it.partition_by().is_none(),
        options: TableOptions {
            split_by: it.partition_by().map_or_else(Vec::new, |by| split_by(&by)),
            ..TableOptions::default()
        },
    }];
    let added = constraints
        .into_iter()
        .map(|constraint| Operation::AddConstraint {
            table: table.clone(),
            constraint,
        });
    operations.extend(added);
    if let Some(parent) = it.partition_of() {
        let parent = names.of_ref(parent.table_name_ref());
        operations.push(change(
            parent,
            TableChange::CreatePartition {
                partition: table,
                bound: it.partition_type().map(|bound| text(bound.syntax())),
            },
        )?);
    }
    Ok(operations)
}

/// A column of a new table.
fn defined(it: &ast::Column, names: &Names<'_>) -> Result<Column, String> {
    let mut column = Column::new(name(it.name().as_ref().map(AstNode::syntax))?);
    let mut sql_type = it.ty().map(|ty| text(ty.syntax()));
    // The server refuses what contradicts itself.
    let serial = sql_type
        .as_deref()
        .is_some_and(|of| of.to_lowercase().contains("serial"));
    let (mut filled, mut nulls) = (usize::from(serial), Vec::new());
    for clause in it.clauses() {
        let ast::ColumnClause::ColumnConstraint(of_it) = &clause else {
            continue;
        };
        match of_it {
            ast::ColumnConstraint::DefaultConstraint(_)
            | ast::ColumnConstraint::GeneratedConstraint(_) => filled += 1,
            ast::ColumnConstraint::NullConstraint(_) => nulls.push(true),
            ast::ColumnConstraint::NotNullConstraint(_)
            | ast::ColumnConstraint::PrimaryKeyConstraint(_) => nulls.push(false),
            _ => {}
        }
    }
    if filled > 1 || nulls.contains(&true) && nulls.contains(&false) {
        return Err(format!("its column {} contradicts itself", column.name));
    }
    for clause in it.clauses() {
        match clause {
            ast::ColumnClause::Collate(it) => column.collation = collation(&it),
            ast::ColumnClause::ColumnConstraint(it) => {
                match ast::Constraint::cast(it.syntax().clone()) {
                    Some(ast::Constraint::GeneratedConstraint(it)) => {
                        if let Some(sql_type) = &mut sql_type {
                            sql_type.push_str(&generated(&it)?);
                        }
                    }
                    Some(it) => put(&mut column, &it, names)?,
                    None => {}
                }
            }
            ast::ColumnClause::AlterOptionList(_)
            | ast::ColumnClause::CompressionMethod(_)
            | ast::ColumnClause::Storage(_)
            | ast::ColumnClause::WithOptions(_) => {}
        }
    }
    column.sql_type = sql_type.and_then(|text| type_of(&text).ok());
    Ok(column)
}

/// The columns by which a table is partitioned; none, where it is by more than columns.
fn split_by(it: &ast::PartitionBy) -> Vec<ColumnName> {
    let list = it.partition_item_list().map(|list| text(list.syntax()));
    let bare = list
        .as_deref()
        .map_or("", |list| list.trim_matches(['(', ')']));
    let name = |part: &str| {
        let part = part.trim();
        let plain = part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let folded = part.to_ascii_lowercase();
        ColumnName::new(&folded).ok().filter(|_| plain)
    };
    let names: Option<Vec<ColumnName>> = bare.split(',').map(name).collect();
    names.unwrap_or_default()
}

/// Is it for the session alone?
pub(super) fn is_temporary(it: Option<ast::Persistence>) -> bool {
    it.is_some_and(|it| {
        let text = text(it.syntax()).to_lowercase();
        text.split(' ')
            .any(|word| matches!(word, "temp" | "temporary"))
    })
}

/// `ADD COLUMN`.
pub(super) fn added(
    it: &ast::AddColumn,
    table: TableName,
    names: &Names<'_>,
) -> Result<Operation, String> {
    let mut column = Column::new(name(it.column_name().as_ref().map(AstNode::syntax))?);
    let mut sql_type = it
        .ty()
        .map(|ty| text(ty.syntax()))
        .ok_or("the column has no type")?;
    column.collation = it.collate().as_ref().and_then(collation);
    for constraint in it.constraints() {
        if let ast::Constraint::GeneratedConstraint(it) = &constraint {
            sql_type.push_str(&generated(it)?);
        } else {
            put(&mut column, &constraint, names)?;
        }
    }
    column.sql_type = Some(type_of(&sql_type)?);
    column.if_not_exists = it.if_not_exists().is_some();
    Operation::add_column(table, vec![column]).map_err(|error| error.to_string())
}

/// What a constraint in a column's definition says of the column.
fn put(column: &mut Column, constraint: &ast::Constraint, names: &Names<'_>) -> Result<(), String> {
    let own = || vec![column.name.clone()];
    let made = match constraint {
        ast::Constraint::NotNullConstraint(_) => {
            column.nullable = Some(false);
            return Ok(());
        }
        ast::Constraint::NullConstraint(_) => {
            column.nullable = Some(true);
            return Ok(());
        }
        ast::Constraint::DefaultConstraint(it) => {
            let expression = it
                .expr()
                .as_ref()
                .map(bare_text)
                .ok_or("a default is missing")?;
            column.default = ServerDefault::Expression(expression);
            return Ok(());
        }
        ast::Constraint::GeneratedConstraint(_) => return Ok(()),
        ast::Constraint::UniqueConstraint(it) => {
            let mut made = new(ConstraintKind::Unique, own())?;
            made.nulls_equal = nulls_equal(it.index_parameters());
            made
        }
        ast::Constraint::PrimaryKeyConstraint(_) => {
            let made = new(ConstraintKind::PrimaryKey, own())?;
            column.nullable = Some(false);
            made
        }
        ast::Constraint::CheckConstraint(it) => check(it, own())?,
        ast::Constraint::ReferencesConstraint(it) => references(it, column.name.clone(), names)?,
        ast::Constraint::ForeignKeyConstraint(_) | ast::Constraint::ExcludeConstraint(_) => {
            return Err("a constraint of a table stands in a column's definition".to_owned());
        }
    };
    column.constraints.push(said(made, constraint)?);
    Ok(())
}

/// `ADD CONSTRAINT`.
pub(super) fn constraint(it: &ast::Constraint, names: &Names<'_>) -> Result<Constraint, String> {
    let made = match it {
        ast::Constraint::UniqueConstraint(it) => {
            let mut made = keyed(
                ConstraintKind::Unique,
                it.index_parameters(),
                it.using_index(),
            )?;
            made.nulls_equal = nulls_equal(it.index_parameters());
            made
        }
        ast::Constraint::PrimaryKeyConstraint(it) => keyed(
            ConstraintKind::PrimaryKey,
            it.index_parameters(),
            it.using_index(),
        )?,
        ast::Constraint::NotNullConstraint(it) => {
            let column = name(it.column_name_ref().as_ref().map(AstNode::syntax))?;
            new(ConstraintKind::NotNull, vec![column])?
        }
        ast::Constraint::CheckConstraint(it) => check(it, Vec::new())?,
        ast::Constraint::ForeignKeyConstraint(it) => foreign_key(it, names)?,
        ast::Constraint::ExcludeConstraint(it) => {
            let mut made = Constraint::without_columns(ConstraintKind::Exclude);
            made.expression = it
                .constraint_exclusion_list()
                .map(|list| text(list.syntax()));
            made
        }
        ast::Constraint::DefaultConstraint(_)
        | ast::Constraint::GeneratedConstraint(_)
        | ast::Constraint::NullConstraint(_)
        | ast::Constraint::ReferencesConstraint(_) => {
            return Err("it is no constraint of a table".to_owned());
        }
    };
    said(made, it)
}

/// With the name and the clauses that every kind can have.
fn said(mut made: Constraint, it: &ast::Constraint) -> Result<Constraint, String> {
    if let Some(named) = it.constraint_name() {
        made.name = Some(name(Some(named.syntax()))?);
    }
    for option in it.constraint_options() {
        match option {
            ast::ConstraintOption::NotValid(_) => made.validity = Validity::NewRows,
            ast::ConstraintOption::NotEnforced(_) => made.validity = Validity::NoRow,
            _ => {}
        }
    }
    Ok(made)
}

fn new(kind: ConstraintKind, columns: Vec<ColumnName>) -> Result<Constraint, String> {
    Constraint::new(kind, columns).map_err(|error| error.to_string())
}

fn keyed(
    kind: ConstraintKind,
    parameters: Option<ast::IndexParameters>,
    using: Option<ast::UsingIndexName>,
) -> Result<Constraint, String> {
    if let Some(using) = using {
        let mut made = Constraint::without_columns(kind);
        let index = using
            .index_ref()
            .and_then(|index| index.path_ref())
            .and_then(|path| path.segment());
        made.using_index = Some(name(index.as_ref().map(AstNode::syntax))?);
        return Ok(made);
    }
    let columns = parameters
        .and_then(|parameters| parameters.column_list())
        .into_iter()
        .flat_map(|list| list.column_name_refs())
        .map(|column| name(Some(column.syntax())))
        .collect::<Result<_, _>>()?;
    new(kind, columns)
}

fn nulls_equal(parameters: Option<ast::IndexParameters>) -> bool {
    let option = parameters.and_then(|parameters| parameters.nulls_distinct_option());
    matches!(option, Some(ast::NullsDistinctOption::NullsNotDistinct(_)))
}

fn check(it: &ast::CheckConstraint, columns: Vec<ColumnName>) -> Result<Constraint, String> {
    let mut made = new(ConstraintKind::Check, columns)?;
    made.expression = it.expr().as_ref().map(bare_text);
    Ok(made)
}

fn references(
    it: &ast::ReferencesConstraint,
    column: ColumnName,
    names: &Names<'_>,
) -> Result<Constraint, String> {
    let mut made = new(ConstraintKind::ForeignKey, vec![column])?;
    made.references = Some(names.of_ref(it.table())?);
    if let Some(column) = it.column() {
        made.referenced = vec![name(Some(column.syntax()))?];
    }
    Ok(made)
}

fn foreign_key(it: &ast::ForeignKeyConstraint, names: &Names<'_>) -> Result<Constraint, String> {
    let columns = it
        .from_columns()
        .into_iter()
        .flat_map(|list| list.column_name_refs())
        .map(|column| name(Some(column.syntax())))
        .collect::<Result<_, _>>()?;
    let mut made = new(ConstraintKind::ForeignKey, columns)?;
    made.references = Some(names.of_ref(it.table_name_ref())?);
    made.referenced = it
        .to_columns()
        .into_iter()
        .flat_map(|list| list.column_name_refs())
        .map(|column| name(Some(column.syntax())))
        .collect::<Result<_, _>>()?;
    Ok(made)
}

/// The clause that makes the server fill a column, as the vocabulary writes it behind a type.
fn generated(it: &ast::GeneratedConstraint) -> Result<String, String> {
    match it.generated_as().ok_or("a GENERATED clause is not whole")? {
        ast::GeneratedAs::GeneratedIdentity(it) => Ok(match it.generated_when() {
            Some(ast::GeneratedWhen::GeneratedByDefault(_)) => " GENERATED BY DEFAULT AS IDENTITY",
            _ => " GENERATED ALWAYS AS IDENTITY",
        }
        .to_owned()),
        ast::GeneratedAs::GeneratedStored(it) => {
            let expression = it
                .expr()
                .as_ref()
                .map(bare_text)
                .ok_or("a GENERATED clause has no expression")?;
            let kind = match it.generated_kind() {
                Some(ast::GeneratedKind::Stored(_)) => " STORED",
                Some(ast::GeneratedKind::Virtual(_)) => " VIRTUAL",
                None => "",
            };
            Ok(format!(" GENERATED ALWAYS AS ({expression}){kind}"))
        }
    }
}

/// A type, with a clause behind it where the server fills the column.
pub(super) fn type_of(text: &str) -> Result<SqlType, String> {
    text.parse()
        .map_err(|error| format!("its type cannot be read: {error}"))
}

/// The collation's name, as it is written.
pub(super) fn collation(it: &ast::Collate) -> Option<String> {
    it.collation_ref().map(|collation| text(collation.syntax()))
}
