//! What is sampled of a database for metrics: which tables, how often, and what one look found.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::fact::Fact;
use crate::table::{ColumnName, RowEstimate, TableName};

/// `spec.metrics`: what is sampled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsSpec {
    /// The time from one sample to the next.
    pub interval: Duration,
    /// Tables whose size is wanted, in the order of the spec.
    pub sizes: Vec<TableName>,
    /// Tables whose next ids are wanted, in the order of the spec.
    pub next_ids: Vec<TableName>,
    /// Numbers that the user's own queries give, in the order of the spec.
    pub queries: Vec<Arc<MetricQuery>>,
}

/// `spec.metrics.sqlQuery[]`: a number that a query of the user's gives, and what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricQuery {
    /// The metric's name; several queries may give series of one metric, by their labels.
    pub name: String,
    /// What it says, for people.
    pub help: String,
    /// What it is.
    pub kind: MetricKind,
    /// Labels beside those of the database.
    pub labels: BTreeMap<String, String>,
    /// One SELECT that gives one number.
    pub sql: String,
}

/// What a metric is (Prometheus documentation, "Metric types").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// It goes up and down.
    Gauge,
    /// It only goes up.
    Counter,
}

/// What a query gave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QueryValue {
    /// The number.
    pub value: f64,
    /// How long it took.
    pub took: Duration,
}

/// The id that a table's next row gets, if nobody gives it another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextId {
    /// The column.
    pub column: ColumnName,
    /// The id. It may lie beyond the limit: then there is none.
    pub next: i128,
    /// The last id that the column and what counts it can take.
    pub limit: i128,
}

/// How large a table is.
#[derive(Debug, Clone, PartialEq)]
pub struct TableSize {
    /// How many rows, about.
    pub rows: Fact<RowEstimate>,
    /// Bytes without its indexes.
    pub bytes: Fact<u64>,
    /// Rows that were changed per second since the look before; unknown at the first.
    pub writes_per_second: Option<f64>,
}

/// What one look found.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// When.
    pub taken_at: Timestamp,
    /// How long the look at sizes took.
    pub sizes_took: Duration,
    /// How long the look at ids took.
    pub next_ids_took: Duration,
    /// By the names as the spec has them.
    pub sizes: BTreeMap<TableName, Fact<TableSize>>,
    /// Likewise; a table may have several such columns.
    pub next_ids: BTreeMap<TableName, Fact<Vec<NextId>>>,
    /// In the order of the spec.
    pub queries: Vec<(Arc<MetricQuery>, Fact<QueryValue>)>,
}

impl Sample {
    /// What could not be had, by the field of the spec that asks for it, each as a sentence for people.
    pub fn problems(&self, spec: &MetricsSpec) -> Vec<String> {
        let sizes = spec.sizes.iter().enumerate().filter_map(|(nth, table)| {
            let why = self.sizes.get(table)?.unknown()?;
            Some(format!("spec.metrics.tableEstimatedSize[{nth}]: {why}"))
        });
        let next_ids = spec.next_ids.iter().enumerate().filter_map(|(nth, table)| {
            let why = self.next_ids.get(table)?.unknown()?;
            Some(format!("spec.metrics.tableNextId[{nth}]: {why}"))
        });
        let queries = self.queries.iter().enumerate();
        let queries = queries.filter_map(|(nth, (query, given))| {
            let (name, why) = (&query.name, given.unknown()?);
            Some(format!("spec.metrics.sqlQuery[{nth}] ({name}): {why}"))
        });
        sizes.chain(next_ids).chain(queries).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::fact::Why;

    use super::*;

    #[test]
    fn problems_name_the_field() {
        let (orders, gone): (TableName, TableName) =
            ("orders".parse().unwrap(), "gone".parse().unwrap());
        let spec = MetricsSpec {
            interval: Duration::from_secs(60),
            sizes: vec![gone.clone()],
            next_ids: vec![orders.clone(), gone.clone()],
            queries: Vec::new(),
        };
        let missing = || Why::new("there is no table gone");
        let sample = Sample {
            taken_at: Timestamp::UNIX_EPOCH,
            sizes_took: Duration::ZERO,
            next_ids_took: Duration::ZERO,
            sizes: BTreeMap::from([(gone.clone(), Fact::Unknown(missing()))]),
            next_ids: BTreeMap::from([
                (orders, Fact::Known(Vec::new())),
                (gone, Fact::Unknown(missing())),
            ]),
            queries: vec![(
                Arc::new(MetricQuery {
                    name: "orders_open".to_owned(),
                    help: "Open orders.".to_owned(),
                    kind: MetricKind::Gauge,
                    labels: BTreeMap::new(),
                    sql: "SELECT NULL".to_owned(),
                }),
                Fact::Unknown(Why::new("gives NULL")),
            )],
        };
        assert_eq!(
            sample.problems(&spec),
            [
                "spec.metrics.tableEstimatedSize[0]: there is no table gone",
                "spec.metrics.tableNextId[1]: there is no table gone",
                "spec.metrics.sqlQuery[0] (orders_open): gives NULL"
            ]
        );
    }
}
