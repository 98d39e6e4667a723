//! Series about the operator as a whole: what it is, whether it leads, how many objects there are, and its calls.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;

/// Counts what there is.
pub(crate) trait Census: Send + Sync {
    /// ManagedDatabases and DatabaseMigrations; `None`: this operator does not lead, and the one that does counts.
    fn count(&self) -> Option<(usize, usize)>;
}

/// Whether this operator leads, and what it looks after.
pub(crate) struct Fleet {
    census: Box<dyn Census>,
}

impl Fleet {
    pub(super) fn new(census: Box<dyn Census>) -> Self {
        Self { census }
    }
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fleet")
    }
}

impl Collector for Fleet {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let counts = self.census.count();
        let leads = i64::from(counts.is_some());
        gauge(
            &mut encoder,
            "dba_operator_leader",
            "Does this replica hold the lease, 1 or 0.",
        )?
        .encode_gauge(&leads)?;
        let Some((databases, migrations)) = counts else {
            return Ok(());
        };
        let help = "ManagedDatabases that are looked after, as the leading replica counts them.";
        gauge(&mut encoder, "dba_operator_managed_databases", help)?.encode_gauge(&databases)?;
        let help = "DatabaseMigrations that there are, as the leading replica counts them.";
        gauge(&mut encoder, "dba_operator_registered_migrations", help)?.encode_gauge(&migrations)
    }
}

fn gauge<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    name: &'a str,
    help: &str,
) -> Result<MetricEncoder<'a>, std::fmt::Error> {
    encoder.encode_descriptor(name, help, None, MetricType::Gauge)
}

/// What runs.
#[derive(Debug)]
pub(super) struct BuildInfo;

impl Collector for BuildInfo {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let help = "1, with the version of the operator.";
        let labels = [("version", env!("CARGO_PKG_VERSION"))];
        gauge(&mut encoder, "dba_operator_build_info", help)?
            .encode_family(&labels)?
            .encode_gauge(&1_i64)
    }
}

/// Calls to the API server.
#[derive(Debug)]
pub(super) struct Calls;

impl Collector for Calls {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let mut metric = encoder.encode_descriptor(
            "dba_operator_api_calls",
            "Calls to the API server, watches and the lease aside, by what became of them.",
            None,
            MetricType::Counter,
        )?;
        for (result, count) in dbop_kubernetes::answered() {
            metric
                .encode_family(&[("result", result)])?
                .encode_counter::<[(&str, &str); 1], _, f64>(&count, None)?;
        }
        Ok(())
    }
}
