//! `snapshot`: the facts of a database as a file, for `analyze --facts`. Nothing is written to the database.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use dbop_database::{DatabaseError, Introspect};
use dbop_engine::Clock as _;
use dbop_model::table::{FactRequest, TableName, TableState, WriteRate};
use dbop_model::writes::WriteWatch;
use dbop_model::{Fact, Why};
use dbop_snapshot::Snapshot;
use serde::Serialize;

use super::{Console, Done, Exit, dsn_file, note, print_json};
use crate::backends;
use crate::cli::SnapshotArgs;
use crate::render::Failure;
use crate::render::text::counted;
use crate::shell::SystemClock;

/// More tables than this are looked at in no snapshot.
const TABLES_MAX: usize = 10_000;
/// No further table is looked at after so long: a snapshot is an evening's job, not a load.
const TIME_MAX: Duration = Duration::from_secs(300);
/// How long the look for any row of one table may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Tables whose counters are read in one look; a [`WriteWatch`] keeps 256.
const WATCHED_AT_ONCE: usize = 200;
/// So many tables that were left out are named.
const NAMED_MAX: usize = 5;

pub(super) async fn run(args: SnapshotArgs, console: Console) -> Done {
    let target = dsn_file::target(&args.dsn_file)?;
    let wrong = |error| dsn_file::failure(&args.dsn_file, &error);
    let connector = backends::connector();
    let database = connector.connect(&target).await.map_err(wrong)?;
    let mut snapshot = look(&*database).await.map_err(wrong)?;
    match args.observe {
        None => set_rates(&mut snapshot, |_| {
            Fact::Unknown(Why::new(
                "the snapshot was taken without --observe, which watches how much is written",
            ))
        }),
        Some(span) => {
            let mut watches = Watches::of(&snapshot);
            watches.look(&*database).await.map_err(wrong)?;
            drop(database);
            tokio::time::sleep(span).await;
            // Servers end sessions that are silent for as long as that.
            let database = connector.connect(&target).await.map_err(wrong)?;
            let rates = watches.look(&*database).await.map_err(wrong)?;
            let gone = || Fact::Unknown(Why::new("the table went away while it was watched"));
            set_rates(&mut snapshot, |table| {
                rates.get(table).cloned().unwrap_or_else(gone)
            });
        }
    }
    let text = dbop_snapshot::write(&snapshot)
        .map_err(|error| Failure::new(format!("the snapshot cannot be written: {error}")))?;
    match &args.out {
        None => print_json(text.trim_end())?,
        Some(path) => {
            save(path, &text)?;
            let summary = Summary::of(&snapshot, path);
            console.result(&summary.text(&snapshot), &summary)?;
        }
    }
    if let Some(text) = left_out(&snapshot) {
        note(&text);
    }
    Ok(Exit::Done)
}

/// Everything but rates of writes.
async fn look(database: &dyn Introspect) -> Result<Snapshot, DatabaseError> {
    let taken_at = SystemClock.now();
    let catalogue = database.catalogue(TABLES_MAX).await?;
    let tables = catalogue.tables.clone();
    let mut snapshot = Snapshot::new(database.server_info(), taken_at, catalogue);
    for table in tables {
        let spent = SystemClock.now().duration_since(taken_at).unsigned_abs();
        if spent > TIME_MAX {
            break;
        }
        let wanted = BTreeSet::from([
            FactRequest::Table(table.clone()),
            FactRequest::Size(table.clone()),
            FactRequest::AnyRow(table.clone()),
            FactRequest::Indexes(table.clone()),
            FactRequest::Constraints(table.clone()),
            FactRequest::Storage(table.clone()),
            FactRequest::Dependents(table),
        ]);
        // A look for each, so that each has the whole time for its probe.
        snapshot.add(database.table_facts(&wanted, PROBE_TIMEOUT).await?);
    }
    Ok(snapshot)
}

/// The counters of all tables that were looked at.
struct Watches(Vec<(BTreeSet<FactRequest>, WriteWatch)>);

impl Watches {
    fn of(snapshot: &Snapshot) -> Self {
        let tables: Vec<&TableName> = snapshot.tables.keys().collect();
        let chunk = |tables: &[&TableName]| {
            let wanted = tables
                .iter()
                .map(|table| FactRequest::Writes((*table).clone()));
            (wanted.collect(), WriteWatch::default())
        };
        Self(tables.chunks(WATCHED_AT_ONCE).map(chunk).collect())
    }

    /// The rates, as far as this look and those before tell them.
    async fn look(
        &mut self,
        database: &dyn Introspect,
    ) -> Result<BTreeMap<TableName, Fact<WriteRate>>, DatabaseError> {
        let mut rates = BTreeMap::new();
        for (wanted, watch) in &mut self.0 {
            let mut facts = database.table_facts(wanted, PROBE_TIMEOUT).await?;
            watch.look(&mut facts);
            for (name, state) in facts.tables {
                if let Fact::Known(TableState::Present(facts)) = state {
                    rates.insert(name, facts.writes);
                }
            }
        }
        Ok(rates)
    }
}

fn set_rates(snapshot: &mut Snapshot, rate_of: impl Fn(&TableName) -> Fact<WriteRate>) {
    for (name, facts) in &mut snapshot.tables {
        if let Fact::Known(facts) = facts {
            facts.writes = rate_of(name);
        }
    }
}

fn save(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| {
        Failure::new(format!(
            "--out {}: it cannot be written: {error}",
            path.display()
        ))
    })
}

/// What was saved.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    file: String,
    tables: usize,
    left_out: usize,
    is_whole: bool,
    taken_at: String,
}

impl Summary {
    fn of(snapshot: &Snapshot, path: &Path) -> Self {
        Self {
            file: path.display().to_string(),
            tables: snapshot.tables.len(),
            left_out: snapshot.left_out().count(),
            is_whole: snapshot.catalogue.is_whole,
            taken_at: snapshot.taken_at.to_string(),
        }
    }

    fn text(&self, snapshot: &Snapshot) -> String {
        format!(
            "{} holds the facts of {} on {} ({})",
            self.file,
            counted(self.tables, "table"),
            snapshot.server,
            snapshot.server.address
        )
    }
}

/// What the snapshot says nothing of, in words; `None`: it is all there.
fn left_out(snapshot: &Snapshot) -> Option<String> {
    let names: Vec<String> = snapshot.left_out().map(TableName::to_string).collect();
    if names.is_empty() && snapshot.catalogue.is_whole {
        return None;
    }
    let mut text = if names.is_empty() {
        format!("the database has more than {TABLES_MAX} tables, and the others were left out")
    } else {
        let more = match names.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let first: Vec<String> = names.into_iter().take(NAMED_MAX).collect();
        format!(
            "{}{more} were left out, for the look took longer than {} minutes",
            first.join(", "),
            TIME_MAX.as_secs() / 60
        )
    };
    text.push_str(": what an operation does to them is unknown to `analyze --facts`");
    Some(text)
}

#[cfg(test)]
mod tests {
    use dbop_model::catalogue::Catalogue;
    use dbop_model::{Engine, ServerInfo};

    use super::*;

    fn snapshot(tables: usize) -> Snapshot {
        let names = (0..tables).map(|nth| format!("public.t{nth}").parse().unwrap());
        let catalogue = Catalogue {
            tables: names.collect(),
            is_whole: true,
            default_schema: None,
            ignores_case: false,
            types: Fact::Known(BTreeMap::new()),
            functions: Fact::Known(BTreeMap::new()),
        };
        let server = ServerInfo {
            engine: Engine::PostgreSql,
            major: 18,
            minor: 4,
            address: "db:5432/shop".to_owned(),
        };
        Snapshot::new(server, jiff::Timestamp::UNIX_EPOCH, catalogue)
    }

    #[test]
    fn what_is_left_out_is_said() {
        assert_eq!(left_out(&snapshot(0)), None);
        assert_eq!(
            left_out(&snapshot(7)).unwrap(),
            "public.t0, public.t1, public.t2, public.t3, public.t4 and 2 more were left out, for the look took \
             longer than 5 minutes: what an operation does to them is unknown to `analyze --facts`"
        );
        let mut partial = snapshot(0);
        partial.catalogue.is_whole = false;
        assert!(
            left_out(&partial)
                .unwrap()
                .starts_with("the database has more than 10000 tables")
        );
    }

    #[test]
    fn where_it_cannot_be_written_is_named() {
        let failure = save(Path::new("does/not/exist/s.json"), "").unwrap_err();
        assert!(
            failure
                .what
                .starts_with("--out does/not/exist/s.json: it cannot be written: "),
            "{failure}"
        );
    }
}
