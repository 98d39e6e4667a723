//! Rotation: a credential gets another login, and the one before goes once nobody holds it.
//!
//! A credential has two logins that take turns; its Secret says whose turn it is, and since when. Whatever other
//! login there is was replaced, or never came to be published: either way it is retired when it is unused, and before
//! that the credential gets no third (docs/decisions/0007-rotation.md).

use dbop_credentials::generations::Generation;
use dbop_model::MigrationName;
use jiff::{SignedDuration, Timestamp};

use crate::decide::{IN_USE_LOOK, after};
use crate::decision::{Action, Because, Decision, ReplacedInUse, WaitingOn, Watched};
use crate::facts::{Quiet, RotationAsked};
use crate::retire::{Readiness, watched, window};
use crate::situation::{Position, Situation};

/// The first credential whose login is to be replaced, and can be now.
pub(crate) fn rotate(s: &Situation<'_>) -> Option<Decision> {
    s.credentials().into_iter().find_map(|migration| {
        let login = s.login(migration).filter(|login| !login.locked)?;
        s.facts.secret(migration)?;
        if s.replaced(migration).is_some() {
            return None;
        }
        Some(Decision::Act {
            action: Action::Rotate {
                migration: migration.clone(),
                login: login.name.clone(),
            },
            because: wanted(s, migration)?,
        })
    })
}

/// Why a credential's login is to be replaced; `None`: it is not.
fn wanted(s: &Situation<'_>, migration: &MigrationName) -> Option<Because> {
    let since = s.facts.secret(migration)?.issued_at;
    let asks = |asked: &RotationAsked| {
        asked.migration.as_ref().is_none_or(|of| of == migration)
            && asked.until <= s.now
            && since.is_none_or(|since| since <= asked.until)
    };
    if s.facts.object.rotate.iter().any(asks) {
        return Some(Because::PersonRotates);
    }
    let every = s.desired.database.credentials.rotate_every?;
    // What goes as soon as it is unused is not made anew; where the database is off the chain, nobody knows.
    let stays = match s.position() {
        Ok(Position::At(current)) => s.generation(&current, migration) != Generation::Older,
        Ok(Position::Empty) | Err(_) => false,
    };
    let span = SignedDuration::try_from(every).unwrap_or(SignedDuration::MAX);
    let is_old = since.is_none_or(|since| after(since, span) <= s.now);
    (stays && is_old).then_some(Because::LoginOld { since, every })
}

/// What the walk comes to, beside logins that were replaced. A walk that acts goes first: none of them is in its way.
pub(crate) fn beside(s: &Situation<'_>, walk: Decision) -> Decision {
    if matches!(walk, Decision::Act { .. }) {
        return walk;
    }
    let replaced: Vec<(&MigrationName, Readiness)> = s
        .credentials()
        .into_iter()
        .filter(|migration| s.replaced(migration).is_some())
        .map(|migration| (migration, readiness(s, migration)))
        .collect();
    let ready = replaced
        .iter()
        .find(|(_, readiness)| matches!(readiness, Readiness::Ready))
        .and_then(|(migration, _)| retirement(s, migration));
    if let Some(retirement) = ready {
        return retirement;
    }
    // Every login that is unused is watched meanwhile.
    if let Decision::Wait {
        on: WaitingOn::QuietWindow { .. },
        ..
    } = walk
    {
        return walk;
    }
    let until = replaced
        .iter()
        .filter_map(|(migration, readiness)| match readiness {
            Readiness::Watched { until } => Some((*until, *migration)),
            Readiness::Used(_) | Readiness::Ready => None,
        });
    if let Some((until, migration)) = until.min()
        && let Some(login) = s.replaced(migration)
    {
        let on = WaitingOn::QuietWindow {
            migration: migration.clone(),
            login: login.name.clone(),
            watched: Watched::Replaced,
            until,
        };
        // What the walk waits for is looked at as often as it wants.
        let wake_at = match walk {
            Decision::Wait { wake_at, .. } => wake_at.min(until),
            _ => until,
        };
        return Decision::Wait { on, wake_at };
    }
    let logins: Vec<ReplacedInUse> = replaced
        .into_iter()
        .filter_map(|(migration, readiness)| match readiness {
            Readiness::Used(usage) => Some(ReplacedInUse {
                migration: migration.clone(),
                login: s.replaced(migration)?.name.clone(),
                usage,
                next_waits: wanted(s, migration).is_some(),
            }),
            Readiness::Watched { .. } | Readiness::Ready => None,
        })
        .collect();
    match walk {
        Decision::Converged { .. } if !logins.is_empty() => Decision::Wait {
            on: WaitingOn::ReplacedInUse { logins },
            wake_at: after(s.now, IN_USE_LOOK),
        },
        walk => walk,
    }
}

fn retirement(s: &Situation<'_>, migration: &MigrationName) -> Option<Decision> {
    Some(Decision::Act {
        action: Action::RetireReplaced {
            migration: migration.clone(),
            login: s.replaced(migration)?.name.clone(),
        },
        because: Because::LoginReplaced {
            by: s.login(migration).map(|login| login.name.clone()),
        },
    })
}

fn readiness(s: &Situation<'_>, migration: &MigrationName) -> Readiness {
    if let Some(usage) = s.usage_of_replaced(migration) {
        return Readiness::Used(usage);
    }
    // Who read the Secret just before it changed has the whole window to come.
    let secret = s.facts.secret(migration);
    let issued_at = secret.and_then(|secret| secret.issued_at);
    let issued_at = issued_at.unwrap_or(Timestamp::MIN);
    let quiet = s.facts.quiet_replaced.get(migration).map(|quiet| Quiet {
        since: quiet.since.max(issued_at),
    });
    match watched(s, s.replaced(migration), quiet.as_ref()) {
        Some(until) => Readiness::Watched {
            until: until.max(after(issued_at, window(s))),
        },
        None => Readiness::Ready,
    }
}
