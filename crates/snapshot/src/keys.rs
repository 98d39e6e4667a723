//! What indexes and constraints look like in the file.

use dbop_model::operation::{ConstraintKind, IndexKind, IndexPart};
use dbop_model::table::{ColumnName, ConstraintFacts, IndexFacts, UniqueKey};
use serde::{Deserialize, Serialize};

use crate::file::SnapshotError;
use crate::parts::{named, words};

words!(IndexWord of IndexKind {
    Plain = IndexKind::Plain,
    Unique = IndexKind::Unique,
    Fulltext = IndexKind::Fulltext,
    Spatial = IndexKind::Spatial,
});
words!(ConstraintWord of ConstraintKind {
    Unique = ConstraintKind::Unique,
    PrimaryKey = ConstraintKind::PrimaryKey,
    NotNull = ConstraintKind::NotNull,
    Check = ConstraintKind::Check,
    ForeignKey = ConstraintKind::ForeignKey,
    Exclude = ConstraintKind::Exclude,
});
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Index {
    name: String,
    kind: IndexWord,
    parts: Vec<Part>,
    #[serde(skip_serializing_if = "Option::is_none")]
    predicate: Option<String>,
    nulls_equal: bool,
    primary: bool,
    valid: bool,
    immediate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum Part {
    Column(String),
    Prefix { column: String, length: u32 },
    Expression(String),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Constraint {
    name: String,
    kind: ConstraintWord,
    columns: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<String>,
    validated: bool,
    /// The table at the other end of a foreign key.
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<String>,
    incoming: bool,
    cascades: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    sets_null: bool,
}

impl From<&IndexFacts> for Index {
    fn from(facts: &IndexFacts) -> Self {
        let IndexFacts {
            name,
            key:
                UniqueKey {
                    parts,
                    predicate,
                    nulls_equal,
                },
            kind,
            primary,
            valid,
            immediate,
            bytes,
        } = facts;
        let part = |part: &IndexPart| match part {
            IndexPart::Column(name) => Part::Column(name.to_string()),
            IndexPart::Prefix(name, length) => Part::Prefix {
                column: name.to_string(),
                length: *length,
            },
            IndexPart::Expression(text) => Part::Expression(text.clone()),
        };
        Index {
            name: name.to_string(),
            kind: kind.into(),
            parts: parts.iter().map(part).collect(),
            predicate: predicate.clone(),
            nulls_equal: *nulls_equal,
            primary: *primary,
            valid: *valid,
            immediate: *immediate,
            bytes: *bytes,
        }
    }
}

impl Index {
    pub(crate) fn facts(self) -> Result<IndexFacts, SnapshotError> {
        let part = |part: Part| {
            Ok(match part {
                Part::Column(name) => IndexPart::Column(named(&name)?),
                Part::Prefix { column, length } => IndexPart::Prefix(named(&column)?, length),
                Part::Expression(text) => IndexPart::Expression(text),
            })
        };
        Ok(IndexFacts {
            name: named(&self.name)?,
            key: UniqueKey {
                parts: self
                    .parts
                    .into_iter()
                    .map(part)
                    .collect::<Result<_, SnapshotError>>()?,
                predicate: self.predicate,
                nulls_equal: self.nulls_equal,
            },
            kind: self.kind.into(),
            primary: self.primary,
            valid: self.valid,
            immediate: self.immediate,
            bytes: self.bytes,
        })
    }
}

impl From<&ConstraintFacts> for Constraint {
    fn from(facts: &ConstraintFacts) -> Self {
        let ConstraintFacts {
            name,
            kind,
            columns,
            condition,
            validated,
            other,
            incoming,
            cascades,
            sets_null,
        } = facts;
        Constraint {
            name: name.to_string(),
            kind: kind.into(),
            columns: columns.iter().map(ColumnName::to_string).collect(),
            condition: condition.clone(),
            validated: *validated,
            other: other.as_ref().map(ToString::to_string),
            incoming: *incoming,
            cascades: *cascades,
            sets_null: *sets_null,
        }
    }
}

impl Constraint {
    pub(crate) fn facts(self) -> Result<ConstraintFacts, SnapshotError> {
        let other = self.other.map(|other| {
            other
                .parse()
                .map_err(|error| SnapshotError::value(format!("the name {other} {error}")))
        });
        Ok(ConstraintFacts {
            name: named(&self.name)?,
            kind: self.kind.into(),
            columns: self
                .columns
                .iter()
                .map(|name| named(name))
                .collect::<Result<_, _>>()?,
            condition: self.condition,
            validated: self.validated,
            other: other.transpose()?,
            incoming: self.incoming,
            cascades: self.cascades,
            sets_null: self.sets_null,
        })
    }
}
