//! What befalls databases, their surroundings and their operators: one thing at a time, each in a line of text.

use std::collections::BTreeMap;
use std::fmt;

use dbop_credentials::names;
use dbop_engine::Dress;
use dbop_model::{DeletionPolicy, Fact, MigrationName, MissingPrivilege, ObservedVersion, Why};
use jiff::SignedDuration;

use super::chain::{self, v};
use super::setup::unknown_version;
use super::{Ending, Fleet, millis};
use crate::sim::actors::{self, Application, Habit, SEEN_AFTER, Script};
use crate::sim::world::{Fault, FaultKind, Race, Stored, World};

/// A happening, when and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// So long after the one before it.
    pub after_ms: u64,
    /// Which database it befalls, by its place in the setup.
    pub at: usize,
    /// What happens.
    pub what: Happening,
}

/// What can happen. Migrations are numbers: 3 is `v3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// Another version is wanted.
    Desire(u8),
    /// `paused` is set, or taken back.
    Pause,
    /// `readOnly` is set, or taken back.
    ReadOnly,
    /// A migration is edited.
    Edit(u8),
    /// The object of a migration is deleted.
    DeleteMigration(u8),
    /// A migration is deleted, and made anew on another `previous`.
    Repoint {
        /// Which.
        migration: u8,
        /// On this one; 0: on none.
        onto: u8,
    },
    /// Runs of this migration fail.
    RunsFail {
        /// Which.
        migration: u8,
        /// The version moves all the same.
        moves_version: bool,
        /// The Job says that it succeeded.
        succeeds: bool,
        /// How long they take.
        takes_s: u64,
    },
    /// The object is deleted, and created again later.
    DeleteObject {
        /// The logins are revoked with it.
        revoke: bool,
        /// So much later.
        created_s: u64,
    },
    /// Somebody lets this object take over the claim of another.
    TakeOver,
    /// A Secret is deleted by hand.
    DeleteSecret(u8),
    /// A Secret is edited by hand.
    EditSecret(u8),
    /// A Secret of a name that is needed is there, and not ours.
    ForeignSecret(u8),
    /// A running Job is deleted by hand, its Pods with it.
    DeleteJob,
    /// An application of the newest published version is deployed.
    Deploy {
        /// How it connects.
        habit: Habit,
        /// A workload refers to the Secret.
        refers: bool,
        /// It moves to a newer credential after so long; `None`: never.
        moves_on_s: Option<u64>,
    },
    /// The last application that was deployed is removed.
    Undeploy,
    /// An unused login is dropped by hand.
    DropLogin(u8),
    /// A login is locked by hand.
    LockLogin(u8),
    /// The password of a login is changed by hand.
    ChangePassword(u8),
    /// The server cannot be reached for a while; sessions and connections break.
    ServerDown {
        /// For so long.
        seconds: u64,
    },
    /// Another server takes over, at another address.
    FailOver,
    /// Every connection of the operators breaks.
    BreakConnections,
    /// The admin's password is rotated.
    RotateAdmin,
    /// The admin may no longer see sessions, for a while.
    HideSessions {
        /// For so long.
        seconds: u64,
    },
    /// The admin lacks a privilege for a while.
    Revoke {
        /// For so long.
        seconds: u64,
    },
    /// The data of the predecessor's version is restored; roles stay.
    RestoreData,
    /// The whole server is backed up.
    BackUp,
    /// The whole server is restored from the last backup, roles and passwords too.
    RestoreServer,
    /// The version becomes one that the chain does not know.
    UnknownVersion,
    /// The operator is killed.
    Kill,
    /// A write of the operator fails: the next, or a later one.
    Break {
        /// So many writes later.
        later: u64,
        /// How.
        how: FaultKind,
    },
    /// A second operator leads at the same time, for a while.
    SecondLeader {
        /// For so long.
        seconds: u64,
    },
    /// The clock of the operator jumps.
    ClockJumps {
        /// Forward, or back.
        seconds: i64,
    },
    /// From now on what watches tell comes so many looks late.
    WatchesLag(usize),
    /// Watches tell nothing for a while.
    WatchesStop {
        /// For so long.
        seconds: u64,
    },
    /// Somebody comes at the worst moment of the next retirement.
    Race(Race),
}

impl Fleet {
    /// Lets it happen.
    pub(super) fn happen(&mut self, entry: &Entry) {
        let at = entry.at.min(self.worlds.len() - 1);
        self.world(at).tell(format!(">>> {}", entry.what));
        match &entry.what {
            Happening::Kill => self.kill_first(at),
            Happening::SecondLeader { seconds } => {
                let (cluster, seed) = (self.setup.databases[at].cluster, self.rng.bits());
                let operator = self.add_operator(cluster, seed, true);
                self.later(seconds * 1000, Ending::SecondGone { operator });
            }
            Happening::ClockJumps { seconds } => {
                let cluster = self.setup.databases[at].cluster;
                let jump = SignedDuration::from_secs(*seconds);
                let of_cluster = |one: &&mut super::Operator| one.cluster == cluster;
                if let Some(one) = self.operators.iter_mut().find(of_cluster) {
                    one.skew += jump;
                }
            }
            Happening::ServerDown { seconds } => {
                self.world(at).db.set_reachable(false);
                self.later(seconds * 1000, Ending::ServerBack { world: at });
            }
            Happening::HideSessions { seconds } => {
                let why = Why::new("the admin may not see them");
                self.world(at).db.hide_sessions(Some(why));
                self.later(seconds * 1000, Ending::SessionsShown { world: at });
            }
            Happening::Revoke { seconds } => {
                self.world(at).db.set_missing(vec![MissingPrivilege {
                    needed_for: "make logins".to_owned(),
                    grant: "ALTER ROLE \"admin\" CREATEROLE".to_owned(),
                }]);
                self.later(seconds * 1000, Ending::Granted { world: at });
            }
            Happening::WatchesStop { seconds } => {
                self.world(at).watches_stopped = true;
                self.later(seconds * 1000, Ending::WatchesBack { world: at });
            }
            Happening::DeleteObject { revoke, created_s } => {
                let mut world = self.world(at);
                world.object.deleting = true;
                world.desired.database.deletion = match revoke {
                    true => DeletionPolicy::Revoke,
                    false => DeletionPolicy::Retain,
                };
                drop(world);
                self.later(created_s * 1000, Ending::Created { world: at });
            }
            Happening::TakeOver => self.take_over(at),
            Happening::FailOver => {
                let host = format!("fake-{}.test", self.rng.below(1000));
                self.world(at).db.fail_over(&host);
            }
            Happening::BackUp => {
                let server = self.setup.databases[at].server;
                let backup = self.world(at).db.back_up();
                self.backups.insert(server, backup);
            }
            Happening::RestoreServer => self.restore_server(at),
            Happening::RotateAdmin => {
                let password = format!("admin-{}", self.rng.bits());
                let world = self.world(at);
                world.db.set_admin_password(&password);
                world.db.break_connections();
            }
            other => befall(&mut self.world(at), other),
        }
        if matches!(
            entry.what,
            Happening::RestoreData | Happening::UnknownVersion
        ) {
            self.version_was_set(at);
        }
        self.notify(at);
    }

    fn kill_first(&mut self, at: usize) {
        let cluster = self.setup.databases[at].cluster;
        let runs = |operator: usize| self.tasks.iter().any(|task| task.operator == operator);
        let alive = (0..self.operators.len())
            .find(|one| self.operators[*one].cluster == cluster && runs(*one));
        if let Some(operator) = alive {
            self.kill(operator);
        }
    }

    /// Only one object at a time has the annotation: two that have it would take the database from each other.
    pub(super) fn take_over(&mut self, at: usize) {
        let first = self.setup.databases[at].same_as.unwrap_or(at);
        for other in 0..self.worlds.len() {
            if self.setup.databases[other].same_as.unwrap_or(other) == first {
                self.world(other).object.take_over = other == at;
            }
        }
    }

    /// Somebody set the version: whoever looks after this database may take every step again.
    pub(super) fn version_was_set(&mut self, at: usize) {
        let first = self.setup.databases[at].same_as.unwrap_or(at);
        for other in 0..self.worlds.len() {
            if self.setup.databases[other].same_as.unwrap_or(other) == first {
                self.world(other).may_run_again(None);
            }
        }
    }

    fn restore_server(&mut self, at: usize) {
        let server = self.setup.databases[at].server;
        let Some(backup) = self.backups.get(&server).cloned() else {
            return;
        };
        self.world(at).db.restore(&backup);
        for other in self.beside(at) {
            let mut world = self.world(other);
            world.tell("the server was restored from its backup");
            world.may_run_again(None);
        }
    }
}

/// What happens in one world alone.
fn befall(world: &mut World, what: &Happening) {
    match what {
        Happening::Desire(number) => world.desired.database.desired = v(*number),
        Happening::Pause => world.desired.database.paused ^= true,
        Happening::ReadOnly => world.desired.database.read_only ^= true,
        Happening::Edit(number) => chain::edit(world, &v(*number)),
        Happening::DeleteMigration(number) => chain::delete(world, &v(*number)),
        Happening::Repoint { migration, onto } => {
            let onto = (*onto > 0 && onto != migration).then(|| v(*onto));
            chain::repoint(world, &v(*migration), onto);
        }
        Happening::RunsFail {
            migration,
            moves_version,
            succeeds,
            takes_s,
        } => {
            let script = Script {
                takes: millis(takes_s * 1000),
                moves_version: *moves_version,
                succeeds: *succeeds,
            };
            world.scripts.insert(v(*migration), script);
        }
        Happening::DeleteSecret(number) => {
            let name = names::secret(&world.desired.database.id, &v(*number));
            world.secrets.remove(&name);
        }
        Happening::EditSecret(number) => {
            let name = names::secret(&world.desired.database.id, &v(*number));
            if let Some(secret) = world.secrets.get_mut(&name).filter(|secret| secret.ours) {
                secret.revision += 1;
                let elsewhere = "elsewhere".to_owned();
                secret.data.insert("host".to_owned(), elsewhere);
            }
        }
        Happening::ForeignSecret(number) => {
            let name = names::secret(&world.desired.database.id, &v(*number));
            world.secrets.entry(name).or_insert_with(|| Stored {
                claim: None,
                issued_at: None,
                ours: false,
                revision: 1,
                migration: None,
                kind: "Opaque".to_owned(),
                data: BTreeMap::new(),
                dress: Dress::default(),
            });
        }
        Happening::DeleteJob => {
            let now = world.now;
            let mut jobs = world.jobs.values_mut();
            if let Some(job) = jobs.find(|job| job.released_at.is_some() && job.end.is_none()) {
                job.end = Some((false, now));
                let session = job.session.take();
                session
                    .into_iter()
                    .for_each(|one| world.db.close_session(one));
            }
        }
        Happening::Deploy {
            habit,
            refers,
            moves_on_s,
        } => deploy(world, *habit, *refers, *moves_on_s),
        Happening::Undeploy => {
            if let Some(mut gone) = world.applications.pop() {
                actors::leave(world, &mut gone);
            }
        }
        Happening::DropLogin(number) => {
            // Servers do not drop a role while a person would cut applications off by it: only unused ones here.
            let in_use: Vec<String> = world.db.open_sessions().into_values().collect();
            let login = login_of(world, &v(*number)).filter(|login| !in_use.contains(login));
            login.iter().for_each(|login| world.db.drop_role(login));
        }
        Happening::LockLogin(number) => {
            let login = login_of(world, &v(*number));
            login
                .iter()
                .for_each(|login| world.db.set_open(login, false));
        }
        Happening::ChangePassword(number) => {
            let login = login_of(world, &v(*number));
            login
                .iter()
                .for_each(|login| world.db.set_password(login, "by hand"));
        }
        Happening::BreakConnections => world.db.break_connections(),
        Happening::RestoreData => {
            let line = world.current().map(|current| {
                let line = world.desired.chain.lineage(&current).0;
                line.get(1).map(|one| one.name.clone())
            });
            if let Some(before) = line.flatten() {
                world.restore(&before);
            }
        }
        Happening::UnknownVersion => {
            if let Fact::Known(version @ ObservedVersion::At(_)) = world.db.version()
                && version != ObservedVersion::At(unknown_version())
            {
                world.version_before = Some(version);
                let unknown = ObservedVersion::At(unknown_version());
                world.db.set_version(unknown);
            }
        }
        Happening::Break { later, how } => {
            let at = world.writes + 1 + later;
            world.faults.push(Fault { at, kind: *how });
        }
        Happening::WatchesLag(looks) => world.lag = *looks,
        Happening::Race(race) => world.race = Some(*race),
        // These concern more than one world.
        Happening::DeleteObject { .. }
        | Happening::TakeOver
        | Happening::ServerDown { .. }
        | Happening::FailOver
        | Happening::RotateAdmin
        | Happening::HideSessions { .. }
        | Happening::Revoke { .. }
        | Happening::BackUp
        | Happening::RestoreServer
        | Happening::Kill
        | Happening::SecondLeader { .. }
        | Happening::ClockJumps { .. }
        | Happening::WatchesStop { .. } => {}
    }
}

fn deploy(world: &mut World, habit: Habit, refers: bool, moves_on_s: Option<u64>) {
    let Some(current) = world.current().filter(|one| world.secret_of(one).is_some()) else {
        return;
    };
    let name = format!("app{}", world.applications.len() + 1);
    let mut application = Application::new(&name, &current, habit);
    application.deployed = refers || habit == Habit::Idle;
    application.moves_on = moves_on_s.map(|s| millis(s * 1000));
    application.lasts = SEEN_AFTER;
    application.next = world.now;
    world.tell(format!("{name} is of {current}"));
    world.applications.push(application);
}

fn login_of(world: &World, migration: &MigrationName) -> Option<String> {
    let logins = world.db.logins().into_iter();
    let mut of_it = logins.filter(|(_, of)| of == migration);
    of_it.next().map(|(login, _)| login)
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Happening::Desire(number) => write!(f, "v{number} becomes wanted"),
            Happening::Pause => write!(f, "paused is set, or taken back"),
            Happening::ReadOnly => write!(f, "readOnly is set, or taken back"),
            Happening::Edit(number) => write!(f, "v{number} is edited"),
            Happening::DeleteMigration(number) => write!(f, "v{number} is deleted"),
            Happening::Repoint { migration, onto: 0 } => {
                write!(f, "v{migration} is made anew, without a previous one")
            }
            Happening::Repoint { migration, onto } => {
                write!(f, "v{migration} is made anew, on v{onto}")
            }
            Happening::RunsFail {
                migration,
                moves_version,
                succeeds,
                takes_s,
            } => {
                let moves = if *moves_version {
                    "move"
                } else {
                    "do not move"
                };
                let ends = if *succeeds { "succeed" } else { "fail" };
                write!(
                    f,
                    "runs of v{migration} from now on take {takes_s} s, {moves} the version and {ends}"
                )
            }
            Happening::DeleteObject { revoke, created_s } => {
                let policy = if *revoke { "Revoke" } else { "Retain" };
                write!(
                    f,
                    "the object is deleted ({policy}), and created again {created_s} s later"
                )
            }
            Happening::TakeOver => write!(f, "a person lets it take over the claim"),
            Happening::DeleteSecret(number) => write!(f, "the Secret of v{number} is deleted"),
            Happening::EditSecret(number) => write!(f, "the Secret of v{number} is edited"),
            Happening::ForeignSecret(number) => {
                write!(f, "somebody else makes a Secret of v{number}'s name")
            }
            Happening::DeleteJob => write!(f, "the running Job is deleted, with its Pods"),
            Happening::Deploy {
                habit,
                refers,
                moves_on_s,
            } => {
                match habit {
                    Habit::Pool => write!(f, "an application that keeps a session is deployed")?,
                    Habit::Brief { every } => {
                        write!(
                            f,
                            "an application that connects every {every:#} is deployed"
                        )?;
                    }
                    Habit::Idle => write!(f, "an application that never connects is deployed")?,
                }
                if *refers || *habit == Habit::Idle {
                    write!(f, ", which refers to the Secret")?;
                }
                match moves_on_s {
                    Some(s) => write!(f, "; it moves to a newer one after {s} s"),
                    None => write!(f, "; it never moves to a newer one"),
                }
            }
            Happening::Undeploy => write!(f, "the last application is removed"),
            Happening::DropLogin(number) => {
                write!(f, "the login of v{number} is dropped, if unused")
            }
            Happening::LockLogin(number) => write!(f, "the login of v{number} is locked"),
            Happening::ChangePassword(number) => write!(f, "the password of v{number} is changed"),
            Happening::ServerDown { seconds } => {
                write!(f, "the database server is away for {seconds} s")
            }
            Happening::FailOver => {
                write!(f, "another server takes over, at another address")
            }
            Happening::BreakConnections => write!(f, "the operators' connections break"),
            Happening::RotateAdmin => write!(f, "the admin's password is rotated"),
            Happening::HideSessions { seconds } => {
                write!(f, "the admin may not see sessions for {seconds} s")
            }
            Happening::Revoke { seconds } => {
                write!(f, "the admin lacks a privilege for {seconds} s")
            }
            Happening::RestoreData => write!(f, "the data of the version before is restored"),
            Happening::BackUp => write!(f, "the server is backed up"),
            Happening::RestoreServer => write!(f, "the server is restored from the last backup"),
            Happening::UnknownVersion => write!(f, "the version becomes one that nobody knows"),
            Happening::Kill => write!(f, "the operator is killed"),
            Happening::Break { later, how } => {
                let how = match how {
                    FaultKind::FailBefore => "fails",
                    FaultKind::FailAfter => "takes effect, and its reply is lost",
                    FaultKind::KillBefore => "is not made: the operator is killed before it",
                    FaultKind::KillAfter => "is the operator's last: it is killed after it",
                    FaultKind::Conflict => "meets a conflict",
                };
                write!(f, "after {later} more writes, one {how}")
            }
            Happening::SecondLeader { seconds } => {
                write!(f, "a second operator leads too, for {seconds} s")
            }
            Happening::ClockJumps { seconds } => {
                write!(f, "the operator's clock jumps by {seconds} s")
            }
            Happening::WatchesLag(looks) => write!(f, "the watches are {looks} looks behind"),
            Happening::WatchesStop { seconds } => {
                write!(f, "the watches tell nothing for {seconds} s")
            }
            Happening::Race(Race::SessionBeforeLock) => {
                write!(
                    f,
                    "in the next retirement a client connects just before the lock"
                )
            }
            Happening::Race(Race::ReferenceBeforeDelete) => write!(
                f,
                "in the next retirement a workload appears just before the Secret is deleted"
            ),
        }
    }
}
