//! Scenarios: where the search starts, what the migrations are, and who may do what.
//!
//! The chain's arithmetic is written down here a second time, in the plainest way, so that the planner's own
//! is not its own judge.

use dbop_model::{DeletionPolicy, Orphaned};

use super::world::{
    APPLICATIONS_MAX, Application, Budget, M, Outcome2, Record, Run, Version, World,
};

/// What a person can do in a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hand {
    /// Set `paused` (and unset it).
    Pause,
    /// Set `readOnly` (and unset it).
    ReadOnly,
    /// Edit a migration.
    Edit,
    /// Say `retry`.
    Retry,
    /// Say `accept-run`.
    AcceptRun,
    /// Want another version.
    Want,
    /// Delete the object.
    Delete,
    /// Delete a Secret.
    DeleteSecret,
    /// Change a Secret's password.
    ChangePassword,
    /// Change something else in a Secret.
    AlterSecret,
    /// Drop a login.
    DropLogin,
    /// Lock a login.
    LockLogin,
    /// Take a login's grants.
    TakeGrants,
    /// Open the migrator's door.
    OpenDoor,
    /// Restore a backup of an older version.
    Restore,
    /// Restore to a new server, where there are no roles.
    NewServer,
    /// Empty the database.
    Wipe,
    /// Migrate by hand, to any version.
    Migrate,
    /// Delete a Job whose Pods are then gone.
    DeleteJob,
    /// Give the database to another object (which a `take-over` takes back).
    GiveAway,
}

/// What can go wrong by itself in a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// A run fails, before or after it moved the version.
    RunFails,
    /// A run succeeds and does not move the version.
    RunDoesNotMove,
    /// A run moves the version past its target.
    RunOvershoots,
    /// A run leaves a version that nobody knows.
    RunStrays,
    /// A run's process dies, and its statement lives on.
    StatementLivesOn,
    /// The database cannot be reached for a while.
    Dark,
    /// Sessions cannot be seen for a while.
    Blind,
    /// References cannot be seen for a while.
    Veiled,
    /// Other databases take all slots for a while.
    NoSlot,
    /// A finding stops the next migration for a while.
    FindingStops,
    /// A finding has the next migration wait for a while.
    FindingWaits,
}

/// A scenario.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// The state that it starts from.
    pub start: World,
    /// `previous` of each migration.
    pub previous: Vec<Option<M>>,
    /// `compatibleFrom` of each migration.
    pub compatible_from: Vec<Option<M>>,
    /// The migration with `fromEmpty`.
    pub from_empty: Option<M>,
    /// What happens to credentials beyond the current version.
    pub orphaned: Orphaned,
    /// What deleting the object does.
    pub deletion: DeletionPolicy,
    /// How many applications there are.
    pub applications: usize,
    /// Which of them run where their references are not seen.
    pub outside: [bool; APPLICATIONS_MAX],
    /// Are hints judged (mode `Block`)?
    pub hints: bool,
    /// What a person can do.
    pub hands: Vec<Hand>,
    /// What can go wrong.
    pub mishaps: Vec<Mishap>,
}

/// How large the scenarios are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// For every test run.
    Small,
    /// For a proof.
    Full,
}

impl Scenario {
    /// A chain of `count` migrations, nobody around, nothing going wrong.
    fn line(name: &'static str, count: M, start: World) -> Self {
        Scenario {
            name,
            start,
            previous: (0..count).map(|m| m.checked_sub(1)).collect(),
            compatible_from: vec![None; usize::from(count)],
            from_empty: None,
            orphaned: Orphaned::Retain,
            deletion: DeletionPolicy::Retain,
            applications: 0,
            outside: [false; APPLICATIONS_MAX],
            hints: false,
            hands: Vec::new(),
            mishaps: Vec::new(),
        }
    }

    fn may(mut self, person: u8, hands: &[Hand]) -> Self {
        self.start.left.person = person;
        self.hands = hands.to_vec();
        self
    }

    fn suffers(mut self, mishaps: u8, which: &[Mishap]) -> Self {
        self.start.left.mishaps = mishaps;
        self.mishaps = which.to_vec();
        self
    }

    /// An application that runs the code of `version`.
    fn application(mut self, version: Option<M>) -> Self {
        self.start.applications[self.applications] = Application {
            deployed: version,
            session: version,
        };
        self.applications += 1;
        self
    }

    fn migrations(&self) -> std::ops::Range<M> {
        0..M::try_from(self.previous.len()).unwrap_or(M::MAX)
    }

    /// All migrations.
    pub fn all(&self) -> impl Iterator<Item = M> + use<> {
        self.migrations()
    }

    /// Its ancestors, newest first.
    pub fn ancestors(&self, of: M) -> Vec<M> {
        let mut line = Vec::new();
        let mut at = of;
        while let Some(previous) = self.previous[usize::from(at)] {
            line.push(previous);
            at = previous;
        }
        line
    }

    /// Is the one a strict ancestor of the other?
    pub fn is_ancestor(&self, ancestor: M, of: M) -> bool {
        self.ancestors(of).contains(&ancestor)
    }

    /// Does the code of `code` work with the schema of `schema`?
    pub fn is_compatible(&self, code: M, schema: M) -> bool {
        let at = usize::from(schema);
        let oldest = self.compatible_from[at].or(self.previous[at]);
        code == schema
            || oldest.is_some_and(|oldest| {
                self.is_ancestor(code, schema) && (code == oldest || self.is_ancestor(oldest, code))
            })
    }

    /// Does it descend from where the database is?
    pub fn is_beyond(&self, m: M, version: Version) -> bool {
        matches!(version, Version::At(current) if self.is_ancestor(current, m))
    }

    /// The next migration from a version to another.
    pub fn next(&self, from: Option<M>, to: M) -> Option<M> {
        let mut line = vec![to];
        line.extend(self.ancestors(to));
        match from {
            None => self
                .from_empty
                .filter(|m| line.contains(m))
                .or(line.last().copied()),
            Some(from) => {
                let at = line.iter().position(|m| *m == from)?;
                line.get(at.checked_sub(1)?).copied()
            }
        }
    }

    /// Does nobody change the database or the Secrets behind the operator's back?
    pub fn is_clean(&self) -> bool {
        let hands = self.hands.iter().all(|hand| {
            matches!(
                hand,
                Hand::Pause
                    | Hand::ReadOnly
                    | Hand::Edit
                    | Hand::Retry
                    | Hand::AcceptRun
                    | Hand::Want
                    | Hand::Delete
                    | Hand::DeleteJob
            )
        });
        hands
            && !self
                .mishaps
                .iter()
                .any(|m| matches!(m, Mishap::RunOvershoots | Mishap::RunStrays))
    }
}

/// The scenarios of a proof.
pub fn scenarios(size: Size) -> Vec<Scenario> {
    let more = match size {
        Size::Small => 0,
        Size::Full => 2,
    };
    let upgrade = |name| {
        let mut start = World::at_rest(1, &[0, 1]);
        start.desired = 2;
        Scenario::line(name, 3, start)
    };
    let everything = [
        Mishap::RunFails,
        Mishap::RunDoesNotMove,
        Mishap::StatementLivesOn,
        Mishap::Dark,
        Mishap::Blind,
        Mishap::Veiled,
        Mishap::NoSlot,
    ];
    let word = [Hand::Retry, Hand::AcceptRun];
    let by_hand = [
        Hand::DeleteSecret,
        Hand::ChangePassword,
        Hand::AlterSecret,
        Hand::DropLogin,
        Hand::LockLogin,
        Hand::TakeGrants,
        Hand::OpenDoor,
    ];
    let mut all = vec![
        Scenario::line(
            "from empty to the third, an application that follows",
            3,
            World::empty(2),
        )
        .application(None)
        .may(1 + more, &[Hand::Pause, Hand::ReadOnly])
        .suffers(1 + more, &everything),
        upgrade("an upgrade, an application two versions old")
            .application(Some(0))
            .may(1 + more, &[Hand::Pause, Hand::ReadOnly, Hand::Want])
            .suffers(1 + more, &everything),
        upgrade("an upgrade, two applications, one of them outside")
            .application(Some(0))
            .application(Some(1))
            .with(|s| s.outside[1] = true)
            .may(more, &[Hand::Pause, Hand::Want])
            .suffers(1 + more, &[Mishap::Blind, Mishap::Veiled, Mishap::NoSlot]),
        upgrade("runs that fail, a person who answers for them")
            .may(
                2,
                &[
                    Hand::Edit,
                    Hand::Want,
                    Hand::DeleteJob,
                    Hand::Pause,
                    word[0],
                    word[1],
                ],
            )
            .suffers(
                2 + more,
                &[
                    Mishap::RunFails,
                    Mishap::RunDoesNotMove,
                    Mishap::StatementLivesOn,
                ],
            ),
        upgrade("runs that leave the path")
            .with(|s| {
                s.previous.push(Some(2));
                s.compatible_from.push(None);
            })
            .may(1 + more, &[Hand::Want, word[0], word[1]])
            .suffers(
                2,
                &[Mishap::RunOvershoots, Mishap::RunStrays, Mishap::RunFails],
            ),
        upgrade("hands on logins and Secrets during an upgrade")
            .application(Some(0))
            .may(2 + more.min(1), &by_hand),
        Scenario::line(
            "hands on logins and Secrets at rest",
            2,
            World::at_rest(1, &[0, 1]),
        )
        .may(2 + more, &by_hand)
        .suffers(1, &[Mishap::Dark, Mishap::Blind]),
        upgrade("findings that stop and that wait")
            .application(Some(0))
            .with(|s| s.hints = true)
            .may(more, &[Hand::Pause, Hand::Want])
            .suffers(
                2,
                &[Mishap::FindingStops, Mishap::FindingWaits, Mishap::NoSlot],
            ),
        Scenario::line("two additive migrations", 3, {
            let mut start = World::at_rest(0, &[0]);
            start.desired = 2;
            start
        })
        .application(Some(0))
        .with(|s| s.compatible_from[2] = Some(0))
        .may(1 + more, &[Hand::Pause, Hand::Want])
        .suffers(1, &everything),
        Scenario::line(
            "a restored backup, what is beyond stays",
            3,
            World::at_rest(2, &[1, 2]),
        )
        .application(Some(2))
        .may(2 + more, &[Hand::Restore, Hand::Want, Hand::Migrate]),
        Scenario::line(
            "a restored backup, what is beyond goes",
            3,
            World::at_rest(2, &[1, 2]),
        )
        .application(Some(2))
        .with(|s| s.orphaned = Orphaned::RevokeWhenUnused)
        .may(2 + more, &[Hand::Restore, Hand::Want, Hand::Migrate]),
        Scenario::line(
            "a new server, an emptied database",
            4,
            World::at_rest(2, &[1, 2]),
        )
        .application(Some(2))
        .with(|s| s.from_empty = Some(3))
        .may(2 + more, &[Hand::NewServer, Hand::Wipe, Hand::Want]),
        Scenario::line("several that must go at once", 4, {
            let mut start = World::at_rest(2, &[0, 1, 2]);
            start.desired = 3;
            start
        })
        .application(Some(0))
        .application(Some(1))
        .with(|s| s.compatible_from[2] = Some(0))
        .may(more.min(1), &[Hand::Pause, Hand::Want, Hand::LockLogin]),
        Scenario::line("two branches", 4, {
            let mut start = World::at_rest(1, &[0, 1]);
            start.desired = 2;
            start
        })
        .with(|s| s.previous[3] = Some(1))
        .may(2 + more, &[Hand::Want, Hand::Edit, word[0], word[1]])
        .suffers(1, &[Mishap::RunFails, Mishap::RunDoesNotMove]),
        Scenario::line("another owner comes between", 3, {
            let mut start = World::at_rest(1, &[0, 1]);
            start.desired = 2;
            start
        })
        .application(Some(0))
        .may(2 + more, &[Hand::GiveAway, Hand::Delete, Hand::Pause]),
    ];
    for deletion in [DeletionPolicy::Retain, DeletionPolicy::Revoke] {
        let name = match deletion {
            DeletionPolicy::Retain => "deleted, logins stay",
            DeletionPolicy::Revoke => "deleted, logins go",
        };
        all.push(
            upgrade(name)
                .application(Some(1))
                .with(|s| s.deletion = deletion)
                .may(2, &[Hand::Delete, Hand::Pause, Hand::ReadOnly])
                .suffers(1 + more, &everything),
        );
    }
    all.push(
        Scenario::line("a run that failed after it moved the version", 3, {
            let mut start = World::at_rest(1, &[0]);
            start.desired = 2;
            start.last_run = Some(Record {
                run: Run {
                    from: Some(0),
                    to: 1,
                    edited: false,
                },
                outcome: Outcome2::Failed,
            });
            start.made = World::bit(Run {
                from: Some(0),
                to: 1,
                edited: false,
            });
            start
        })
        .application(Some(0))
        .may(
            1 + more.min(1),
            &[Hand::Edit, Hand::Want, word[0], word[1], Hand::Delete],
        )
        .suffers(1, &[Mishap::RunFails, Mishap::StatementLivesOn]),
    );
    all
}

impl Scenario {
    fn with(mut self, change: impl FnOnce(&mut Scenario)) -> Self {
        change(&mut self);
        self
    }

    /// What the start has left for a person and for mishaps.
    pub fn budget(&self) -> Budget {
        self.start.left
    }
}

/// The version in words.
pub fn words(version: Version) -> String {
    match version {
        Version::Empty => "empty".to_owned(),
        Version::Tables => "without a version".to_owned(),
        Version::At(m) => format!("at v{}", m + 1),
        Version::Stray => "at a version that no migration has".to_owned(),
    }
}
