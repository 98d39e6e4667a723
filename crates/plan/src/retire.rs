//! Retiring credentials: who is in the way, for how long it has been watched, and which goes first.

use dbop_model::{LoginFacts, MigrationName};
use jiff::{SignedDuration, Timestamp};

use crate::decide::{IN_USE_LOOK, after};
use crate::decision::{Action, Because, Decision, Retirement, Use, WaitingOn, Watched};
use crate::facts::Quiet;
use crate::situation::Situation;

/// The credentials to retire for one reason.
pub(crate) struct Outdated<'a> {
    /// Theirs.
    pub(crate) migrations: Vec<MigrationName>,
    /// The migration that waits for it; `None`: the database is at rest otherwise.
    pub(crate) next: Option<&'a MigrationName>,
    /// The schema that their code cannot live with.
    pub(crate) schema: &'a MigrationName,
    /// The version whose credential applications can move to.
    pub(crate) move_to: &'a MigrationName,
}

/// How near a credential is to being retired.
pub(crate) enum Readiness {
    Used(Use),
    Watched { until: Timestamp },
    Ready,
}

/// The step for these credentials: retire one, or wait. `None`: there are none.
///
/// Nothing is revoked while any of them is in use: a walk that cannot go on anyway takes nothing away.
pub(crate) fn retire(s: &Situation<'_>, outdated: &Outdated<'_>) -> Option<Decision> {
    let readiness: Vec<(&MigrationName, Readiness)> = outdated
        .migrations
        .iter()
        .map(|m| (m, readiness(s, m)))
        .collect();
    let used: Vec<(MigrationName, Use)> = readiness
        .iter()
        .filter_map(|(migration, readiness)| match readiness {
            Readiness::Used(usage) => Some(((*migration).clone(), usage.clone())),
            Readiness::Watched { .. } | Readiness::Ready => None,
        })
        .collect();
    if !used.is_empty() {
        return Some(Decision::Wait {
            on: WaitingOn::CredentialInUse {
                credentials: used,
                next: outdated.next.cloned(),
                move_to: outdated.move_to.clone(),
            },
            wake_at: after(s.now, IN_USE_LOOK),
        });
    }
    let watched = readiness
        .iter()
        .filter_map(|(migration, readiness)| match readiness {
            Readiness::Watched { until } => Some((*until, *migration)),
            Readiness::Used(_) | Readiness::Ready => None,
        });
    // The last one to become ready decides when the walk goes on.
    if let Some((until, migration)) = watched.max() {
        let login = s.login(migration).or_else(|| s.replaced(migration))?;
        let login = login.name.clone();
        return Some(Decision::Wait {
            on: WaitingOn::QuietWindow {
                migration: migration.clone(),
                login,
                watched: Watched::Credential,
                until,
            },
            wake_at: until,
        });
    }
    // One that is locked already is carried on first: nobody can log in to it.
    let locked = |m: &&MigrationName| {
        let logins = [s.login(m), s.replaced(m)];
        logins.into_iter().flatten().any(|login| login.locked)
    };
    let mut ready = outdated.migrations.iter();
    let migration = ready.clone().find(locked).or_else(|| ready.next())?;
    Some(retirement(migration, outdated.schema))
}

/// The step for these credentials, each by itself: none is kept because another is in use.
pub(crate) fn retire_each(s: &Situation<'_>, outdated: &Outdated<'_>) -> Option<Decision> {
    let one = |migration: &MigrationName| Outdated {
        migrations: vec![migration.clone()],
        ..*outdated
    };
    let is_used = |m: &MigrationName| matches!(readiness(s, m), Readiness::Used(_));
    let unused = outdated.migrations.iter().filter(|m| !is_used(m));
    let steps: Vec<Decision> = unused.filter_map(|m| retire(s, &one(m))).collect();
    let acts = |step: &&Decision| matches!(step, Decision::Act { .. });
    let step = steps.iter().find(acts).or(steps.first()).cloned();
    // Those that are unused are watched meanwhile; those in use are told where nothing else is to be done.
    step.or_else(|| retire(s, outdated))
}

fn retirement(migration: &MigrationName, schema: &MigrationName) -> Decision {
    Decision::Act {
        action: Action::Retire(Retirement {
            migration: migration.clone(),
        }),
        because: Because::CredentialOutdated {
            migration: migration.clone(),
            schema: schema.clone(),
        },
    }
}

fn readiness(s: &Situation<'_>, migration: &MigrationName) -> Readiness {
    if let Some(usage) = s.usage(migration) {
        return Readiness::Used(usage);
    }
    let published = watched(s, s.login(migration), s.facts.quiet.get(migration));
    let replaced = watched(
        s,
        s.replaced(migration),
        s.facts.quiet_replaced.get(migration),
    );
    match published.max(replaced) {
        Some(until) => Readiness::Watched { until },
        None => Readiness::Ready,
    }
}

/// Until when this login has to be watched; `None`: it has been for long enough.
pub(crate) fn watched(
    s: &Situation<'_>,
    login: Option<&LoginFacts>,
    quiet: Option<&Quiet>,
) -> Option<Timestamp> {
    // Without a login there is nothing to watch; a login found locked was watched before that.
    login.filter(|login| !login.locked)?;
    let until = after(quiet.map_or(s.now, |quiet| quiet.since), window(s));
    (until > s.now || quiet.is_none()).then_some(until)
}

/// For how long a login is watched.
pub(crate) fn window(s: &Situation<'_>) -> SignedDuration {
    let window = s.desired.database.credentials.quiet_window;
    SignedDuration::try_from(window).unwrap_or(SignedDuration::MAX)
}
