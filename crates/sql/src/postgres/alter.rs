//! `ALTER TABLE`, one operation for each of its actions, and what else alters tables unnamed.

use dbop_model::operation::{
    Column, Constraint, Filling, Operation, PartitionVerb, Partitioning, ServerDefault, TableChange,
};
use dbop_model::table::{ColumnName, TableName};
use squawk_syntax::ast::{self, AlterColumnOption, AlterTableAction, AstNode};

use super::name::{Names, bare_text, name, text};
use super::table::{added, collation, constraint, type_of};
use super::{Found, change, dropping};

/// `ALTER TABLE`.
pub(super) fn table(it: &ast::AlterTable, names: &Names<'_>) -> Found {
    if it.all_in_tablespace().is_some() {
        return Err("it is about every table of a tablespace".to_owned());
    }
    let table = names.of_relation(it.table_relation_name())?;
    let operations: Vec<Operation> = it
        .actions()
        .map(|it| action(&it, table.clone(), names))
        .collect::<Result<_, _>>()?;
    if operations.is_empty() {
        return Err("it alters nothing".to_owned());
    }
    Ok(operations)
}

fn action(it: &AlterTableAction, table: TableName, names: &Names<'_>) -> Result<Operation, String> {
    let changed = |what: TableChange| {
        Ok(Operation::ChangeTable {
            table: table.clone(),
            change: what,
        })
    };
    match it {
        AlterTableAction::AddColumn(it) => added(it, table, names),
        AlterTableAction::AddConstraint(it) => {
            let constraint = constraint(&it.constraint().ok_or("a constraint is missing")?, names)?;
            Ok(Operation::AddConstraint { table, constraint })
        }
        AlterTableAction::AlterColumn(it) => column(it, table),
        AlterTableAction::DropColumn(it) => {
            let column = name(it.column_name_ref().as_ref().map(AstNode::syntax))?;
            Ok(Operation::DropColumn {
                table,
                columns: vec![column],
                dropping: dropping(it.syntax()),
            })
        }
        AlterTableAction::RenameColumn(it) => Ok(Operation::RenameColumn {
            table,
            from: name(it.column_name_ref().as_ref().map(AstNode::syntax))?,
            to: name(it.column_name().as_ref().map(AstNode::syntax))?,
            if_exists: false,
        }),
        AlterTableAction::DropConstraint(it) => {
            let constraint = Constraint::only_named(constraint_name(it.constraint_name_ref())?);
            Ok(Operation::DropConstraint {
                table,
                constraint,
                dropping: dropping(it.syntax()),
            })
        }
        AlterTableAction::ValidateConstraint(it) => changed(TableChange::ValidateConstraint {
            name: constraint_name(it.constraint_name_ref())?,
        }),
        AlterTableAction::AlterConstraint(it) => {
            if it
                .constraint_options()
                .any(|option| matches!(option, ast::ConstraintOption::Enforced(_)))
            {
                return Err(
                    "ALTER CONSTRAINT ... ENFORCED reads the table, and is not known yet"
                        .to_owned(),
                );
            }
            changed(TableChange::Catalogue)
        }
        AlterTableAction::TableRenameTo(it) => {
            // The name keeps its schema.
            let to = name(
                it.table_name()
                    .and_then(|to| to.path())
                    .and_then(|path| path.segment())
                    .as_ref()
                    .map(AstNode::syntax),
            )?;
            renamed(table.clone(), table.schema(), to.as_str())
        }
        AlterTableAction::SetSchema(it) => {
            let to = name(it.schema_ref().as_ref().map(AstNode::syntax))?;
            renamed(table.clone(), Some(to.as_str()), table.name())
        }
        AlterTableAction::AttachPartition(it) => changed(TableChange::AttachPartition {
            partition: names.of_ref(it.table_name_ref())?,
            bound: it.partition_type().map(|bound| text(bound.syntax())),
        }),
        AlterTableAction::DetachPartition(it) => changed(TableChange::DetachPartition {
            partition: names.of_ref(it.table_name_ref())?,
            online: it.detach_partition_option().is_some(),
        }),
        AlterTableAction::SetLogged(_) => changed(TableChange::SetLogged { logged: true }),
        AlterTableAction::SetUnlogged(_) => changed(TableChange::SetLogged { logged: false }),
        AlterTableAction::SetTablespace(_) | AlterTableAction::SetAccessMethod(_) => {
            changed(TableChange::Move)
        }
        AlterTableAction::MergePartitions(_) | AlterTableAction::SplitPartition(_) => changed(
            TableChange::Partitioning(Partitioning::new(PartitionVerb::Reorganize)),
        ),
        AlterTableAction::EnableTrigger(_)
        | AlterTableAction::DisableTrigger(_)
        | AlterTableAction::EnableAlwaysTrigger(_)
        | AlterTableAction::EnableReplicaTrigger(_) => changed(TableChange::Trigger),
        AlterTableAction::EnableRls(_)
        | AlterTableAction::DisableRls(_)
        | AlterTableAction::ForceRls(_)
        | AlterTableAction::NoForceRls(_)
        | AlterTableAction::EnableRule(_)
        | AlterTableAction::DisableRule(_)
        | AlterTableAction::EnableAlwaysRule(_)
        | AlterTableAction::EnableReplicaRule(_) => changed(TableChange::RowSecurity),
        AlterTableAction::SetOptions(_)
        | AlterTableAction::ResetOptions(_)
        | AlterTableAction::AlterOptionList(_)
        | AlterTableAction::OptionItemList(_) => changed(TableChange::Parameters),
        AlterTableAction::ClusterOn(_)
        | AlterTableAction::SetWithoutCluster(_)
        | AlterTableAction::SetWithoutOids(_)
        | AlterTableAction::InheritTable(_)
        | AlterTableAction::NoInheritTable(_)
        | AlterTableAction::OfType(_)
        | AlterTableAction::NotOf(_)
        | AlterTableAction::OwnerTo(_)
        | AlterTableAction::ReplicaIdentity(_) => changed(TableChange::Catalogue),
        AlterTableAction::RenameConstraint(it) => changed(TableChange::RenameConstraint {
            from: constraint_name(it.constraint_name_ref())?,
            to: name(it.constraint_name().as_ref().map(AstNode::syntax))?,
        }),
    }
}

/// `ALTER COLUMN`.
fn column(it: &ast::AlterColumn, table: TableName) -> Result<Operation, String> {
    let mut column = Column::new(name(it.column_name_ref().as_ref().map(AstNode::syntax))?);
    let changed = |what: TableChange| change(Ok(table.clone()), what);
    let of = column.name.clone();
    let filling = |filling: Filling| {
        changed(TableChange::Filling {
            column: of.clone(),
            change: filling,
        })
    };
    match it.option().ok_or("ALTER COLUMN alters nothing")? {
        AlterColumnOption::SetType(it) => {
            column.sql_type = Some(type_of(&text(
                it.ty().ok_or("the type is missing")?.syntax(),
            ))?);
            column.collation = it.collate().as_ref().and_then(collation);
            column.using = it
                .using_expr()
                .and_then(|using| using.expr())
                .as_ref()
                .map(bare_text);
        }
        AlterColumnOption::SetNotNull(_) => column.nullable = Some(false),
        AlterColumnOption::DropNotNull(_) => column.nullable = Some(true),
        AlterColumnOption::SetDefault(it) => {
            let expression = it
                .expr()
                .as_ref()
                .map(bare_text)
                .ok_or("a default is missing")?;
            column.default = ServerDefault::Expression(expression);
        }
        AlterColumnOption::DropDefault(_) => column.default = ServerDefault::Absent,
        AlterColumnOption::SetExpression(_) => return filling(Filling::SetExpression),
        AlterColumnOption::AddGenerated(_) => return filling(Filling::AddIdentity),
        AlterColumnOption::DropIdentity(it) => {
            let if_exists = it.if_exists().is_some();
            return filling(Filling::DropIdentity { if_exists });
        }
        AlterColumnOption::DropExpression(it) => {
            let if_exists = it.if_exists().is_some();
            return filling(Filling::DropExpression { if_exists });
        }
        AlterColumnOption::Restart(_)
        | AlterColumnOption::SetGenerated(_)
        | AlterColumnOption::SetGeneratedOptions(_)
        | AlterColumnOption::SetSequenceOption(_) => return filling(Filling::SetIdentity),
        AlterColumnOption::SetStatistics(_)
        | AlterColumnOption::SetOptions(_)
        | AlterColumnOption::SetOptionsList(_)
        | AlterColumnOption::ResetOptions(_) => {
            return changed(TableChange::Parameters);
        }
        AlterColumnOption::Inherit(_)
        | AlterColumnOption::NoInherit(_)
        | AlterColumnOption::SetCompression(_)
        | AlterColumnOption::SetStorage(_) => return changed(TableChange::Catalogue),
    }
    Operation::alter_column(table, vec![column]).map_err(|error| error.to_string())
}

fn renamed(table: TableName, schema: Option<&str>, to: &str) -> Result<Operation, String> {
    let to = TableName::new(schema, to).map_err(|error| format!("the table's new name {error}"))?;
    Ok(Operation::RenameTable { table, to })
}

fn constraint_name(it: Option<ast::ConstraintNameRef>) -> Result<ColumnName, String> {
    let segment = it
        .and_then(|it| it.path_ref())
        .and_then(|path| path.segment());
    name(segment.as_ref().map(AstNode::syntax))
}

/// `ALTER DOMAIN`: what it checks, it checks in every table that has a column of the domain.
pub(super) fn domain(it: &ast::AlterDomain) -> Found {
    use ast::AlterDomainAction as Action;
    let scans = match it.action() {
        Some(Action::AddConstraint(it)) => !it
            .constraint()
            .is_some_and(|constraint| constraint.is_not_valid()),
        Some(Action::SetNotNull(_) | Action::ValidateConstraint(_)) => true,
        _ => false,
    };
    if scans {
        return Err("it reads every table with a column of the domain, and names none".to_owned());
    }
    Ok(Vec::new())
}

/// `ALTER TYPE`: only of its attributes can tables be made of.
pub(super) fn ty(it: &ast::AlterType) -> Found {
    match it.action() {
        Some(ast::AlterTypeAction::AlterTypeAttributeActionList(_)) => {
            Err("it may rewrite every table of the type, and names none".to_owned())
        }
        _ => Ok(Vec::new()),
    }
}
