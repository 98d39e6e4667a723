//! The hints of the next migration, judged against the live database: what it does, by its hints and its SQL, the
//! facts that this needs, and what the rules make of them.

use std::time::Duration;

use dbop_database::Administer;
use dbop_model::finding::{HintMode, Judgement, Probes};
use dbop_model::operation::Statement;
use dbop_model::spec::SQL_BYTES_MAX;
use dbop_model::table::TableFactsSet;
use dbop_model::{
    Claim, Fact, Migration, MigrationName, ObjectRef, ObservedVersion, ServerInfo, SqlSource, Why,
};
use dbop_plan::{Desired, Facts, Hints, forecast};

use crate::memory::{Judged, Memory};
use crate::observe::Freshness;
use crate::worker::Engine;

/// What the live database says of the next migration's hints.
pub(crate) async fn judged(
    engine: &Engine,
    memory: &mut Memory,
    admin: &dyn Administer,
    desired: &Desired,
    facts: &Facts,
    freshness: Freshness,
) -> Option<Hints> {
    let now = engine.clock.now();
    let next = forecast::next(desired, facts, now)?;
    if desired.database.hints.mode == HintMode::Off {
        return None;
    }
    let migration = desired.chain.get(&next)?;
    let policy = &desired.database.hints;
    if let Some(judged) = &memory.judged
        && freshness != Freshness::Live
        && judged.holds(migration, policy, now)
    {
        return Some(judged.hints.clone());
    }
    let look = Look {
        engine,
        admin,
        desired,
        facts,
        may_try: may_try(desired, facts),
    };
    let judged = judge(&look, &next).await;
    let hints = Hints {
        migration: next,
        judged,
    };
    memory.judged = Some(Box::new(Judged {
        migration: migration.clone(),
        policy: policy.clone(),
        hints: hints.clone(),
        at: now,
    }));
    Some(hints)
}

/// May statements be tried on copies? Only where somebody asked for it, and the database is ours to write to.
fn may_try(desired: &Desired, facts: &Facts) -> bool {
    let spec = &desired.database;
    let is_held = spec.read_only || spec.paused || facts.object.deleting;
    let claim = facts.database.known().map(|database| &database.claim);
    let is_ours = matches!(claim, Some(Claim::Ours(_)));
    spec.hints.probes == Probes::Scratch && is_ours && !is_held
}

/// What a migration is judged with.
pub(crate) struct Look<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) admin: &'a dyn Administer,
    pub(crate) desired: &'a Desired,
    pub(crate) facts: &'a Facts,
    /// May its statements be tried on copies of their tables? A plan never does: it writes nothing.
    pub(crate) may_try: bool,
}

/// Gathers the facts that a migration's hints need, and judges. What is written to its tables is known from the second
/// look on.
pub(crate) async fn judge(look: &Look<'_>, next: &MigrationName) -> Fact<Judgement> {
    let Look {
        engine,
        admin,
        desired,
        facts,
        may_try,
    } = look;
    let (Some(database), Some(migration)) = (facts.database.known(), desired.chain.get(next))
    else {
        return Fact::Unknown(Why::new("the database was not looked at"));
    };
    let is_empty = database
        .version
        .is_known_and(|version| *version == ObservedVersion::None);
    if is_empty && migration.from_empty && migration.previous.is_some() {
        return Fact::Known(Judgement {
            // Its run makes all that was before it, too, of which its hints say nothing; and there is nothing yet that
            // anything could stand against.
            analysed: true,
            ..Judgement::not_analysed(engine.clock.now())
        });
    }
    let id = &desired.database.id;
    let statements = match statements(engine, id, migration, &database.server).await {
        Ok(Some(statements)) => statements,
        Ok(None) => return Fact::Known(Judgement::not_analysed(engine.clock.now())),
        Err(why) => return Fact::Unknown(why),
    };
    let policy = desired
        .database
        .hints
        .for_migration(next, &migration.accept);
    let wanted = dbop_hints::facts_wanted(&statements);
    match admin.table_facts(&wanted, policy.probe_timeout).await {
        Ok(mut tables) => {
            // The counters outlive a connection, and say themselves where they are of another server.
            engine.vitals.watch_writes(id, &mut tables);
            with_lock_timeout(&mut tables, desired.database.runs.lock_timeout);
            if *may_try {
                let attempts = dbop_hints::trials_wanted(&database.server, &statements, &tables);
                match admin.try_on_copies(&attempts, policy.probe_timeout).await {
                    Ok(trials) => tables.trials = trials,
                    Err(error) => return Fact::Unknown(Why::passing(error.to_string())),
                }
            }
            let now = engine.clock.now();
            let mut judgement =
                dbop_hints::judge(&database.server, &statements, &tables, &policy, now);
            // Where hints stand beside SQL, its author has said what cannot be read of it.
            judgement.analysed |= migration.hints.is_some();
            Fact::Known(judgement)
        }
        Err(error) => Fact::Unknown(Why::new(error.to_string())),
    }
}

/// A run's container is told `spec.migrations.lockTimeout`, which goes before what its session has by itself.
fn with_lock_timeout(tables: &mut TableFactsSet, of_runs: Option<Duration>) {
    if let Fact::Known(settings) = &mut tables.settings {
        settings.lock_timeout = of_runs.or(settings.lock_timeout);
    }
}

/// What a migration does, as far as it says so; `None`: it says nothing.
///
/// Only here is it known in which language its SQL is: that of the server that was found.
async fn statements(
    engine: &Engine,
    database: &ObjectRef,
    migration: &Migration,
    server: &ServerInfo,
) -> Result<Option<Vec<Statement>>, Why> {
    let hints = migration.hints.as_deref();
    let Some(source) = &migration.sql else {
        return Ok(hints.map(|hints| dbop_sql::of_migration(server.engine, None, hints)));
    };
    let of_map;
    let text: &str = match source {
        SqlSource::Inline(text) => text,
        SqlSource::ConfigMap(at) => {
            let read = engine.platform.config_map_value(database.namespace(), at);
            of_map = read
                .await
                .map_err(|error| of_sql(database, migration, &error))?;
            &of_map
        }
    };
    if text.len() > SQL_BYTES_MAX {
        let long = format!(
            "its SQL is {} KiB long, {} KiB are allowed; leave out what changes no schema, or write schemaHints instead",
            text.len() >> 10,
            SQL_BYTES_MAX >> 10
        );
        return Err(of_sql(database, migration, &long));
    }
    let hints = hints.unwrap_or_default();
    let statements = dbop_sql::of_migration(server.engine, Some(text), hints);
    Ok(Some(statements))
}

/// Why the SQL of a migration cannot be had: object, field, reason. It is asked for again with each look.
fn of_sql(database: &ObjectRef, migration: &Migration, why: &dyn std::fmt::Display) -> Why {
    let namespace = database.namespace();
    Why::passing(format!(
        "DatabaseMigration {namespace}/{}: spec.sql.configMap: {why}",
        migration.name
    ))
}

#[cfg(test)]
mod tests {
    use dbop_model::table::Settings;
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn the_lock_timeout_of_runs_counts() {
        let seconds = Duration::from_secs;
        let counts = |of_runs, of_session| {
            let mut tables = TableFactsSet::new(Timestamp::UNIX_EPOCH);
            tables.settings = Fact::Known(Settings {
                lock_timeout: of_session,
                ..Settings::default()
            });
            with_lock_timeout(&mut tables, of_runs);
            tables.settings.known().unwrap().lock_timeout
        };
        assert_eq!(counts(Some(seconds(5)), None), Some(seconds(5)));
        assert_eq!(counts(Some(seconds(5)), Some(seconds(9))), Some(seconds(5)));
        assert_eq!(counts(None, Some(seconds(9))), Some(seconds(9)));
    }
}
