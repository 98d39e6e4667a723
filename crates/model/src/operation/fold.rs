//! The same operation on a server that takes `Id` and `id` for the same name. What hints say does not tell which server
//! they are for; the reader of its SQL makes its names so by itself.

use super::{Column, Constraint, IndexPart, Operation};
use crate::table::ColumnName;

impl Operation {
    /// Makes letters' cases in the names of columns, indexes and constraints not count.
    #[must_use]
    pub fn ignoring_case(mut self) -> Self {
        match &mut self {
            Operation::AddColumn { columns, .. }
            | Operation::AlterColumn { columns, .. }
            | Operation::CreateTable { columns, .. } => columns.iter_mut().for_each(column),
            Operation::DropColumn { columns, .. } => columns.iter_mut().for_each(fold),
            Operation::RenameColumn { from, to, .. } => [from, to].into_iter().for_each(fold),
            Operation::CreateIndex { index, .. } => {
                index.name.iter_mut().for_each(fold);
                for part in &mut index.parts {
                    if let IndexPart::Column(name) | IndexPart::Prefix(name, _) = part {
                        fold(name);
                    }
                }
            }
            Operation::DropIndex { name, columns, .. } => {
                name.iter_mut().chain(columns).for_each(fold);
            }
            Operation::AddConstraint { constraint, .. }
            | Operation::DropConstraint { constraint, .. } => of_constraint(constraint),
            // Hints say none of the rest of names within a table.
            Operation::DropTable { .. }
            | Operation::CreateView { .. }
            | Operation::DropView { .. }
            | Operation::RenameTable { .. }
            | Operation::ChangeTable { .. } => {}
        }
        self
    }
}

fn fold(name: &mut ColumnName) {
    *name = name.clone().folded();
}

fn column(column: &mut Column) {
    fold(&mut column.name);
    column.after.iter_mut().for_each(fold);
    column.constraints.iter_mut().for_each(of_constraint);
}

fn of_constraint(constraint: &mut Constraint) {
    let columns = constraint.columns.iter_mut();
    columns
        .chain(&mut constraint.referenced)
        .chain(&mut constraint.name)
        .chain(&mut constraint.using_index)
        .for_each(fold);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_within_a_table_are_folded() {
        let add = |name: &str| {
            let column = Column::new(ColumnName::new(name).unwrap());
            Operation::add_column("Users".parse().unwrap(), vec![column]).unwrap()
        };
        assert_ne!(add("Id"), add("id"));
        assert_eq!(add("Id").ignoring_case(), add("ID").ignoring_case());
        assert_eq!(add("Id").ignoring_case().to_string(), "addColumn Users.Id");
    }
}
