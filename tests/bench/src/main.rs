//! The benchmark's program: measures, prints how far it is, and writes what it found after each step.
//!
//! It wants a test cluster, its audit log and the operator's binaries, which `cargo xtask bench` gives it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use dbop_bench::audit::Audit;
use dbop_bench::measure::Bench;
use dbop_bench::report::{Machine, Results, SCHEMA_VERSION};
use dbop_bench::{cluster, postgres};
use jiff::Timestamp;

/// Measures the operator.
#[derive(Parser)]
struct Arguments {
    /// Numbers of fake databases.
    #[arg(long, value_delimiter = ',', default_value = "0,1,100,1000,10000")]
    counts: Vec<usize>,
    /// Numbers of real databases.
    #[arg(long, value_delimiter = ',')]
    real: Vec<usize>,
    /// Numbers of fake databases whose metrics are scraped.
    #[arg(long, value_delimiter = ',', default_value = "1,100,1000")]
    scrapes: Vec<usize>,
    /// Changes of a spec that are timed, 100 at most.
    #[arg(long, default_value_t = dbop_bench::measure::MOVERS)]
    changes: usize,
    /// Seconds that are looked at rest.
    #[arg(long, default_value_t = 60)]
    window: u64,
    /// The number of databases beside which failover and outages are measured.
    #[arg(long, default_value_t = 1000)]
    outages_at: usize,
    /// The operator with fake databases behind it.
    #[arg(long)]
    fake_operator: PathBuf,
    /// The operator as it is released.
    #[arg(long)]
    real_operator: PathBuf,
    /// The commit that is measured.
    #[arg(long, default_value = "unknown")]
    commit: String,
    /// Where logs go.
    #[arg(long)]
    scratch: PathBuf,
    /// The JSON.
    #[arg(long)]
    json: PathBuf,
    /// The tables.
    #[arg(long)]
    tables: PathBuf,
}

/// The operator's own default.
const HEARTBEAT: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let of = |name: &str| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty());
        value.with_context(|| format!("{name} is not set: cargo xtask bench"))
    };
    let kubeconfig = PathBuf::from(of("DBOP_TEST_KUBECONFIG")?);
    let audit = Audit::new(PathBuf::from(of("DBOP_TEST_AUDIT_LOG")?));
    database_operator::shell::install_tls();
    let mut results = Results {
        schema_version: SCHEMA_VERSION,
        date: today(),
        commit: arguments.commit.clone(),
        machine: machine()?,
        heartbeat_seconds: HEARTBEAT.as_secs_f64(),
        ..Results::default()
    };
    let mut bench = Bench {
        client: cluster::client(&kubeconfig).await?,
        kubeconfig,
        audit,
        fake_operator: arguments.fake_operator.clone(),
        real_operator: arguments.real_operator.clone(),
        scratch: arguments.scratch.clone(),
        heartbeat: HEARTBEAT,
        window: Duration::from_secs(arguments.window),
        changes: arguments.changes,
        outages: false,
    };
    for count in &arguments.counts {
        bench.outages = *count == arguments.outages_at;
        results.fakes.push(bench.fakes(*count).await?);
        write(&arguments, &results)?;
    }
    bench.outages = false;
    for count in &arguments.scrapes {
        results.scraped.push(bench.scrapes(*count).await?);
        write(&arguments, &results)?;
    }
    for count in &arguments.real {
        results.real.push(postgres::real(&bench, *count).await?);
        write(&arguments, &results)?;
    }
    Ok(())
}

/// Writes what is there so far: what comes later may fail.
fn write(arguments: &Arguments, results: &Results) -> Result<()> {
    let put = |path: &Path, text: String| {
        std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
    };
    let mut json = serde_json::to_string_pretty(results)?;
    json.push('\n');
    put(&arguments.json, json)?;
    put(&arguments.tables, results.tables())
}

#[expect(clippy::disallowed_methods, reason = "a measurement bears its date")]
fn today() -> String {
    Timestamp::now().strftime("%Y-%m-%d").to_string()
}

fn machine() -> Result<Machine> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes: u64 = total
        .context("/proc/meminfo has no MemTotal")?
        .trim()
        .trim_end_matches(" kB")
        .parse()?;
    let load = std::fs::read_to_string("/proc/loadavg")?;
    Ok(Machine {
        cores: std::thread::available_parallelism()?.get(),
        memory: kilobytes * 1024,
        load_before: load.split(' ').next().unwrap_or_default().to_owned(),
    })
}
