//! A history drawn from a seed: what it begins with, and what happens in it.

use dbop_model::Orphaned;

use super::chain::MIGRATIONS;
use super::{Database, Entry, Happening, Setup};
use crate::sim::Rng;
use crate::sim::actors::Habit;
use crate::sim::world::{FaultKind, Race};

/// Things that happen in one history, at most.
const HAPPENINGS_MAX: u64 = 16;
/// Time between two of them, at most: long enough for a walk to come to rest ...
const BETWEEN_MAX_MS: u64 = 100_000;
/// ... and mostly short enough to meet it on its way.
const SOON_MAX_MS: u64 = 8_000;
/// Looks that the watches are behind, at most.
const LAG_MAX: u64 = 3;

pub(super) fn setup(rng: &mut Rng) -> Setup {
    let servers = 1 + rng.below(2);
    let count = 1 + rng.below(3);
    let mut databases: Vec<Database> = (0..count)
        .map(|_| Database {
            cluster: 0,
            server: small(rng, servers),
            same_as: None,
            desired: migration(rng),
            quiet_s: 5 + rng.below(8),
            orphaned: match rng.one_in(3) {
                true => Orphaned::RevokeWhenUnused,
                false => Orphaned::Retain,
            },
            wide: rng
                .one_in(3)
                .then(|| 3 + u8::try_from(rng.below(3)).unwrap_or(0)),
        })
        .collect();
    // Numbers of servers without gaps.
    if databases.iter().all(|one| one.server == 1) {
        databases.iter_mut().for_each(|one| one.server = 0);
    }
    if rng.one_in(6) {
        let same_as = small(rng, count);
        databases.push(Database {
            cluster: 1,
            same_as: Some(same_as),
            ..databases[same_as]
        });
    }
    Setup {
        databases,
        jobs_max: rng.one_in(4).then_some(1),
        slow: !rng.one_in(4),
    }
}

pub(super) fn entries(rng: &mut Rng, setup: &Setup) -> Vec<Entry> {
    let count = rng.below(HAPPENINGS_MAX) + 1;
    let one = |_| {
        let soon = !rng.one_in(3);
        let at_most = if soon { SOON_MAX_MS } else { BETWEEN_MAX_MS };
        Entry {
            after_ms: rng.below(at_most),
            at: small(rng, setup.databases.len() as u64),
            what: happening(rng),
        }
    };
    (0..count).map(one).collect()
}

fn small(rng: &mut Rng, below: u64) -> usize {
    usize::try_from(rng.below(below)).unwrap_or(0)
}

fn migration(rng: &mut Rng) -> u8 {
    1 + u8::try_from(rng.below(u64::from(MIGRATIONS))).unwrap_or(0)
}

fn happening(rng: &mut Rng) -> Happening {
    let seconds = 1 + rng.below(120);
    let any = migration(rng);
    match rng.below(48) {
        0..=5 => Happening::Desire(any),
        6..=9 => Happening::Deploy {
            habit: match rng.below(3) {
                0 => Habit::Pool,
                1 => Habit::Brief {
                    every: jiff::SignedDuration::from_secs(
                        2 + i64::try_from(rng.below(4)).unwrap_or(0),
                    ),
                },
                _ => Habit::Idle,
            },
            refers: rng.one_in(2),
            moves_on_s: rng.one_in(2).then_some(seconds),
        },
        10..=13 => Happening::Break {
            later: rng.below(12),
            how: match rng.below(6) {
                0 => FaultKind::FailBefore,
                1 => FaultKind::FailAfter,
                2 => FaultKind::KillBefore,
                3 => FaultKind::KillAfter,
                _ => FaultKind::Conflict,
            },
        },
        14 => Happening::Pause,
        15 => Happening::ReadOnly,
        16..=17 => Happening::Edit(any),
        18 => Happening::DeleteMigration(any),
        19 => Happening::Repoint {
            migration: any,
            onto: u8::try_from(rng.below(u64::from(any))).unwrap_or(0),
        },
        20..=21 => Happening::RunsFail {
            migration: any,
            moves_version: rng.one_in(3),
            succeeds: rng.one_in(3),
            takes_s: 1 + rng.below(20),
        },
        22 => Happening::DeleteObject {
            revoke: rng.one_in(2),
            created_s: seconds,
        },
        23 => Happening::TakeOver,
        24 => Happening::DeleteSecret(any),
        25 => Happening::EditSecret(any),
        26 => Happening::ForeignSecret(any),
        27 => Happening::DeleteJob,
        28 => Happening::Undeploy,
        29 => Happening::DropLogin(any),
        30 => Happening::LockLogin(any),
        31 => Happening::ChangePassword(any),
        32 => Happening::ServerDown { seconds },
        33 => Happening::FailOver,
        34 => Happening::BreakConnections,
        35 => Happening::RotateAdmin,
        36 => Happening::HideSessions { seconds },
        37 => Happening::Revoke { seconds },
        38 => Happening::RestoreData,
        39 => Happening::BackUp,
        40 => Happening::RestoreServer,
        41 => Happening::UnknownVersion,
        42 => Happening::Kill,
        43..=44 => Happening::SecondLeader { seconds },
        45 => Happening::ClockJumps {
            seconds: match rng.one_in(2) {
                true => i64::try_from(seconds * 60).unwrap_or(0),
                false => -i64::try_from(seconds * 60).unwrap_or(0),
            },
        },
        46 => match rng.one_in(2) {
            true => Happening::WatchesLag(small(rng, LAG_MAX + 1)),
            false => Happening::WatchesStop { seconds },
        },
        _ => Happening::Race(match rng.one_in(2) {
            true => Race::SessionBeforeLock,
            false => Race::ReferenceBeforeDelete,
        }),
    }
}
