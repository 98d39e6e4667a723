//! A table of a server that takes `Id` and `id` for the same name.

use crate::dependent::{Dependent, PartOf};
use crate::operation::IndexPart;
use crate::table::{ColumnName, ConstraintFacts, IndexFacts, TableFacts, UniqueKey};

impl TableFacts {
    /// Makes letters' cases in the names of its columns, indexes and constraints not count.
    #[must_use]
    pub fn ignoring_case(mut self) -> Self {
        self.columns = folded_keys(self.columns);
        self.nulls = folded_keys(self.nulls);
        self.indexes = self.indexes.map(|all| all.into_iter().map(index).collect());
        self.constraints = self
            .constraints
            .map(|all| all.into_iter().map(constraint).collect());
        self.dependents = self
            .dependents
            .map(|all| all.into_iter().map(dependent).collect());
        self.storage = self.storage.map(|mut storage| {
            storage.auto_increment = storage.auto_increment.map(ColumnName::folded);
            storage
        });
        self.duplicates = self
            .duplicates
            .into_iter()
            .map(|(of, found)| (key(of), found))
            .collect();
        self
    }
}

fn folded_keys<T>(
    map: std::collections::BTreeMap<ColumnName, T>,
) -> std::collections::BTreeMap<ColumnName, T> {
    map.into_iter()
        .map(|(name, of)| (name.folded(), of))
        .collect()
}

fn index(index: IndexFacts) -> IndexFacts {
    IndexFacts {
        name: index.name.folded(),
        key: key(index.key),
        ..index
    }
}

fn key(of: UniqueKey) -> UniqueKey {
    let part = |part| match part {
        IndexPart::Column(name) => IndexPart::Column(name.folded()),
        IndexPart::Prefix(name, length) => IndexPart::Prefix(name.folded(), length),
        IndexPart::Expression(text) => IndexPart::Expression(text),
    };
    UniqueKey {
        parts: of.parts.into_iter().map(part).collect(),
        ..of
    }
}

fn constraint(constraint: ConstraintFacts) -> ConstraintFacts {
    let columns = constraint.columns.into_iter();
    ConstraintFacts {
        name: constraint.name.folded(),
        columns: columns.map(ColumnName::folded).collect(),
        ..constraint
    }
}

fn dependent(dependent: Dependent) -> Dependent {
    Dependent {
        name: dependent.name.map(ColumnName::folded),
        on: match dependent.on {
            PartOf::Table => PartOf::Table,
            PartOf::Column(name) => PartOf::Column(name.folded()),
            PartOf::Constraint(name) => PartOf::Constraint(name.folded()),
            PartOf::Index(name) => PartOf::Index(name.folded()),
        },
        ..dependent
    }
}
