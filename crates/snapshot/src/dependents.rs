//! What hangs on a table, and its partitions, as they look in the file.

use dbop_model::dependent::{self, DependentKind, PartOf, Stops};
use dbop_model::table::TableName;
use serde::{Deserialize, Serialize};

use crate::file::SnapshotError;
use crate::parts::{named, words};

words!(KindWord of DependentKind {
    View = DependentKind::View,
    MaterializedView = DependentKind::MaterializedView,
    Rule = DependentKind::Rule,
    GeneratedColumn = DependentKind::GeneratedColumn,
    PartitionKey = DependentKind::PartitionKey,
    Parent = DependentKind::Parent,
    Child = DependentKind::Child,
    ForeignKey = DependentKind::ForeignKey,
    Check = DependentKind::Check,
    Index = DependentKind::Index,
    Trigger = DependentKind::Trigger,
    Policy = DependentKind::Policy,
    Function = DependentKind::Function,
    Publication = DependentKind::Publication,
    RowType = DependentKind::RowType,
    Identity = DependentKind::Identity,
    Other = DependentKind::Other,
});

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Dependent {
    kind: KindWord,
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    on: Part,
    stops_drop: bool,
    stops_change_of_type: bool,
    stops_rename: bool,
    cascade: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum Part {
    Table,
    Column(String),
    Constraint(String),
    Index(String),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Partitioned {
    by: String,
    partitions: Vec<Partition>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Partition {
    table: String,
    bound: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
}

impl From<&dependent::Dependent> for Dependent {
    fn from(facts: &dependent::Dependent) -> Self {
        let dependent::Dependent {
            kind,
            table,
            name,
            on,
            stops:
                Stops {
                    drop,
                    change_type,
                    rename,
                },
            cascade,
        } = facts;
        Dependent {
            kind: kind.into(),
            table: table.as_ref().map(ToString::to_string),
            name: name.as_ref().map(ToString::to_string),
            on: match on {
                PartOf::Table => Part::Table,
                PartOf::Column(name) => Part::Column(name.to_string()),
                PartOf::Constraint(name) => Part::Constraint(name.to_string()),
                PartOf::Index(name) => Part::Index(name.to_string()),
            },
            stops_drop: *drop,
            stops_change_of_type: *change_type,
            stops_rename: *rename,
            cascade: *cascade,
        }
    }
}

impl Dependent {
    pub(crate) fn facts(self) -> Result<dependent::Dependent, SnapshotError> {
        Ok(dependent::Dependent {
            kind: self.kind.into(),
            table: self.table.as_deref().map(table).transpose()?,
            name: self.name.as_deref().map(named).transpose()?,
            on: match self.on {
                Part::Table => PartOf::Table,
                Part::Column(name) => PartOf::Column(named(&name)?),
                Part::Constraint(name) => PartOf::Constraint(named(&name)?),
                Part::Index(name) => PartOf::Index(named(&name)?),
            },
            stops: Stops {
                drop: self.stops_drop,
                change_type: self.stops_change_of_type,
                rename: self.stops_rename,
            },
            cascade: self.cascade,
        })
    }
}

impl From<&dependent::Partitioned> for Partitioned {
    fn from(facts: &dependent::Partitioned) -> Self {
        let dependent::Partitioned { by, partitions } = facts;
        let partition = |facts: &dependent::Partition| {
            let dependent::Partition { table, bound, rows } = facts;
            Partition {
                table: table.to_string(),
                bound: bound.clone(),
                rows: *rows,
            }
        };
        Partitioned {
            by: by.clone(),
            partitions: partitions.iter().map(partition).collect(),
        }
    }
}

impl Partitioned {
    pub(crate) fn facts(self) -> Result<dependent::Partitioned, SnapshotError> {
        let partition = |told: Partition| {
            Ok(dependent::Partition {
                table: table(&told.table)?,
                bound: told.bound,
                rows: told.rows,
            })
        };
        Ok(dependent::Partitioned {
            by: self.by,
            partitions: self
                .partitions
                .into_iter()
                .map(partition)
                .collect::<Result<_, SnapshotError>>()?,
        })
    }
}

fn table(text: &str) -> Result<TableName, SnapshotError> {
    text.parse()
        .map_err(|error| SnapshotError::value(format!("the name {text} {error}")))
}
