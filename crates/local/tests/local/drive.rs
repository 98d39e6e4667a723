//! Whole walks: a directory, a database in memory, and migrations that are processes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dbop_api::report::Event;
use dbop_database::{Administer, Connector, DatabaseError, Endpoint, Reader, Replica, Target};
use dbop_local::{
    End, LocalEnd, LocalPlatform, Manifests, Observer, Progress, ProgressSource, Request, Until,
};
use dbop_model::{JobName, JobPhase, LoginName, ObjectRef, ObservedVersion, Proof, SchemaVersion};
use dbop_testkit::fake_database::FakeDatabase;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::watch;

use crate::support::{Counter, Directory, PATIENCE, shop, until};

/// A migration that has somebody else do its work: this very test, which has the database in its memory.
const SCRIPT: &str = "echo \"$DBA_OP_USERNAME $DBA_OP_PASSWORD\" > ask.draft
mv ask.draft ask-$DBA_OP_LABEL_DATABASE-$DBA_OP_TARGET_VERSION
wait_for done-$DBA_OP_LABEL_DATABASE-$DBA_OP_TARGET_VERSION";

/// A directory with databases in memory.
struct Site {
    directory: Directory,
    databases: Vec<(String, FakeDatabase)>,
}

impl Site {
    /// A database `shop` and migrations v1 to v3.
    fn new() -> Self {
        let mut site = Self {
            directory: Directory::new(),
            databases: Vec::new(),
        };
        site.add("shop", "v3");
        site.directory.migration("v1", None, SCRIPT);
        site.directory.migration("v2", Some("v1"), SCRIPT);
        site.directory.migration("v3", Some("v2"), SCRIPT);
        site
    }

    fn add(&mut self, name: &str, desired: &str) {
        let database = match self.databases.first() {
            Some((_, first)) => first.beside(name),
            None => FakeDatabase::new(name),
        };
        let dsn = database.target().dsn.expose_secret().to_owned();
        self.secret(name, &dsn);
        self.databases.push((name.to_owned(), database));
        self.desire(name, desired);
    }

    fn secret(&self, name: &str, dsn: &str) {
        self.directory.write(
            &format!("{name}-secret.yaml"),
            &format!(
                "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}-admin}}\nstringData: {{dsn: \
                 '{dsn}'}}\n"
            ),
        );
    }

    fn desire(&self, name: &str, desired: &str) {
        self.directory.write(
            &format!("{name}.yaml"),
            &format!(
                "apiVersion: database-operator.dev/v1alpha1\nkind: ManagedDatabase\nmetadata: {{name: \
                 {name}}}\nspec:\n  connection: {{dsnSecret: {{name: {name}-admin}}}}\n  \
                 desiredSchemaVersion: {desired}\n  schemaVersion: {{engine: Alembic}}\n  credentials: \
                 {{quietWindow: 300ms}}\n"
            ),
        );
    }

    fn shop(&self) -> &FakeDatabase {
        &self.databases[0].1
    }

    /// Does the work that migrations ask for, for as long as it is polled.
    async fn migrate(&self) {
        loop {
            for (name, database) in &self.databases {
                for version in ["v1", "v2", "v3"] {
                    let ask = format!("ask-{name}-{version}");
                    let Some(login) = self.directory.read(&ask) else {
                        continue;
                    };
                    std::fs::remove_file(self.directory.path().join(ask)).unwrap();
                    let (login, password) = login.trim().split_once(' ').unwrap();
                    let version = SchemaVersion::new(version).unwrap();
                    database.run_migration(login, password, &version).unwrap();
                    self.directory
                        .write(&format!("done-{name}-{version}"), "now");
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn platform(&self) -> LocalPlatform {
        self.directory.open()
    }

    async fn run(&self) -> LocalEnd {
        self.run_with(self.platform(), Until::Rest, watch::channel(false).1)
            .await
    }

    async fn run_with(
        &self,
        platform: LocalPlatform,
        until: Until,
        stop: watch::Receiver<bool>,
    ) -> LocalEnd {
        let connector = Arc::new(Servers(self.databases.clone()));
        let run = dbop_local::run(
            Arc::new(platform),
            connector,
            Arc::new(Counter),
            until,
            stop,
        );
        tokio::select! {
            end = run => end,
            () = self.migrate() => unreachable!("it goes on"),
            () = tokio::time::sleep(PATIENCE * 2) => panic!("it does not end"),
        }
    }

    fn published(&self) -> Vec<String> {
        let folder = self.directory.path().join(".dbop/secrets/default");
        let Ok(entries) = std::fs::read_dir(folder) else {
            return Vec::new();
        };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
    }

    /// Does a published Secret's login work?
    fn works(&self, secret: &str) -> bool {
        let value = |key: &str| {
            self.directory
                .read(&format!(".dbop/secrets/default/{secret}/{key}"))
                .unwrap()
        };
        let login = LoginName::new(value("username")).unwrap();
        self.shop().accepts(&login, &value("password").into())
    }
}

/// The fake server's databases, by the name in the DSN; one that is called `panic` panics.
struct Servers(Vec<(String, FakeDatabase)>);

impl Servers {
    fn of(&self, target: &Target) -> &FakeDatabase {
        let dsn = target.dsn.expose_secret();
        let name = dsn.rsplit('/').next().unwrap();
        assert_ne!(name, "panic", "a fault of the program, made by a test");
        &self.0.iter().find(|(n, _)| n == name).unwrap().1
    }
}

#[async_trait]
impl Connector for Servers {
    fn endpoint(&self, target: &Target) -> Result<Endpoint, DatabaseError> {
        self.of(target).endpoint(target)
    }

    async fn connect(&self, target: &Target) -> Result<Box<dyn Administer>, DatabaseError> {
        self.of(target).connect(target).await
    }

    async fn connect_replica(&self, target: &Target) -> Result<Box<dyn Replica>, DatabaseError> {
        self.of(target).connect_replica(target).await
    }

    async fn connect_reader(
        &self,
        target: &Target,
        login: &LoginName,
        password: &SecretString,
    ) -> Result<Box<dyn Reader>, DatabaseError> {
        self.of(target)
            .connect_reader(target, login, password)
            .await
    }

    async fn prove(&self, target: &Target, login: &LoginName, password: &SecretString) -> Proof {
        self.of(target).prove(target, login, password).await
    }
}

/// Writes down what it is told.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Observer for Notes {
    fn manifests(&self, manifests: &Manifests) {
        self.0
            .lock()
            .unwrap()
            .push(format!("{} databases", manifests.databases.len()));
    }

    fn event(&self, database: &ObjectRef, event: &Event) {
        self.0
            .lock()
            .unwrap()
            .push(format!("{} {}", database.name(), event.reason));
    }

    fn progress(&self, database: &ObjectRef, _job: &JobName, progress: Progress) {
        let completion = progress.completion.unwrap_or_default();
        self.0
            .lock()
            .unwrap()
            .push(format!("{} {completion}", database.name()));
    }
}

#[tokio::test]
async fn a_walk_from_empty_ends_at_rest_and_stays_there() {
    let site = Site::new();
    let notes = Arc::new(Notes::default());
    let platform = site.platform().with_observer(notes.clone());
    let end = site
        .run_with(platform, Until::Rest, watch::channel(false).1)
        .await;
    assert_eq!((end.exit_status(), end.stopped), (0, false), "{end:?}");
    assert_eq!(end.databases[0].says, "at rest");
    assert_eq!(site.published(), ["shop-v2", "shop-v3"]);
    assert!(site.works("shop-v2") && site.works("shop-v3"));
    let platform = site.platform();
    let status = platform.status(&shop()).unwrap().unwrap();
    assert_eq!(status.current_version.as_deref(), Some("v3"));
    assert_eq!(status.binding.unwrap().name, "shop-v3");
    let job = JobName::new(status.last_run.unwrap().job).unwrap();
    let finished = platform.job_phase(&shop(), &job).unwrap().unwrap();
    assert!(matches!(
        finished,
        JobPhase::Finished {
            succeeded: true,
            ..
        }
    ));
    drop(platform);
    let told = notes.0.lock().unwrap().join(", ");
    let run = "shop MigrationStarted, shop MigrationSucceeded";
    let credential = "shop CredentialCreated";
    assert_eq!(
        told,
        format!("1 databases, {run}, {run}, {run}, {credential}, {credential}"),
        "each once, in order"
    );
    let events = site.directory.read(".dbop/events.log").unwrap();
    assert_eq!(events.lines().count(), 8, "{events}");
    let used_by = site
        .directory
        .read(".dbop/status/default/DatabaseMigration/v2.yaml")
        .unwrap();
    assert!(used_by.contains("- shop"), "{used_by}");

    let before = site
        .directory
        .read(".dbop/status/default/ManagedDatabase/shop.yaml");
    assert_eq!(site.run().await.exit_status(), 0);
    assert_eq!(
        site.directory
            .read(".dbop/status/default/ManagedDatabase/shop.yaml"),
        before
    );
    assert_eq!(
        site.directory.read(".dbop/events.log").unwrap(),
        events,
        "nothing was done"
    );
}

#[tokio::test]
async fn a_session_in_the_way_is_named_and_ends_it() {
    let site = Site::new();
    site.desire("shop", "v2");
    assert_eq!(site.run().await.exit_status(), 0);
    let value = |key: &str| {
        site.directory
            .read(&format!(".dbop/secrets/default/shop-v1/{key}"))
            .unwrap()
    };
    let session = site
        .shop()
        .open_session(&value("username"), &value("password"))
        .unwrap();
    site.desire("shop", "v3");
    let end = site.run().await;
    assert_eq!(
        (end.exit_status(), end.databases[0].end),
        (3, End::Held),
        "{end:?}"
    );
    assert!(end.databases[0].says.contains("v1"), "{end:?}");
    assert_eq!(site.published(), ["shop-v1", "shop-v2"]);
    assert!(site.works("shop-v1"));

    site.shop().close_session(session);
    assert_eq!(site.run().await.exit_status(), 0);
    assert_eq!(site.published(), ["shop-v2", "shop-v3"]);
}

#[tokio::test]
async fn a_failed_run_stops_the_walk_until_somebody_says_retry() {
    let site = Site::new();
    let script =
        format!("if ! test -e mended; then echo 'no such table' >&2; exit 7; fi\n{SCRIPT}");
    site.directory.migration("v2", Some("v1"), &script);
    let end = site.run().await;
    assert_eq!(
        (end.exit_status(), end.databases[0].end),
        (4, End::RunIncomplete),
        "{end:?}"
    );
    assert!(end.databases[0].says.contains("no such table"), "{end:?}");
    assert_eq!(site.run().await.exit_status(), 4, "it stays stopped");

    site.directory.write("mended", "");
    // The record is found again where somebody has removed the status.
    let status = site.directory.path().join(".dbop/status");
    std::fs::remove_dir_all(status).unwrap();
    assert_eq!(site.run().await.exit_status(), 4, "it stays stopped");
    let last_run = site.platform().last_run(&shop()).unwrap().unwrap();
    assert_eq!(last_run.exit_code, Some(7));
    let job = JobName::new(last_run.job).unwrap();
    let state = site.directory.path().join(".dbop");
    dbop_local::request(&state, &shop(), &Request::Retry(job)).unwrap();
    let end = site.run().await;
    assert_eq!(end.exit_status(), 0, "{end:?}");
}

#[tokio::test]
async fn two_databases_do_not_wait_for_each_other() {
    let mut site = Site::new();
    site.add("crm", "v1");
    site.databases[1].1.beside("panic");
    site.secret("crm", "fake://nobody@nowhere/panic");
    let end = site.run().await;
    assert_eq!(end.exit_status(), 1, "{end:?}");
    let ends: Vec<End> = end.databases.iter().map(|database| database.end).collect();
    assert_eq!(
        ends,
        [End::Failed, End::AtRest],
        "the panic of one leaves the other at work"
    );
    assert_eq!(site.published(), ["shop-v2", "shop-v3"]);

    site.secret("crm", site.databases[1].1.target().dsn.expose_secret());
    assert_eq!(site.run().await.exit_status(), 0);
    assert_eq!(site.published(), ["crm-v1", "shop-v2", "shop-v3"]);
}

#[tokio::test]
async fn what_cannot_be_reached_or_read_is_exit_1_and_says_why() {
    let site = Site::new();
    site.shop().set_reachable(false);
    let end = site.run().await;
    assert_eq!(
        (end.exit_status(), end.databases[0].end),
        (1, End::Failed),
        "{end:?}"
    );
    site.shop().set_reachable(true);

    std::fs::remove_file(site.directory.path().join("shop-secret.yaml")).unwrap();
    let end = site.run().await;
    assert_eq!(end.exit_status(), 1);
    assert!(
        end.databases[0].says.contains(
            "ManagedDatabase default/shop: spec.connection.dsnSecret: Secret default/shop-admin does not \
             stand in the directory's manifests; add it, with the key dsn"
        ),
        "{end:?}"
    );

    site.directory.write("bad.yaml", "a: [");
    let end = site.run().await;
    assert_eq!((end.exit_status(), end.problems.len()), (1, 1), "{end:?}");
    assert!(end.databases.is_empty(), "nothing was started");
    assert_eq!(site.published(), Vec::<String>::new());
}

#[tokio::test]
async fn the_admins_secret_may_hold_the_parts() {
    let site = Site::new();
    let manifest = site.directory.read("shop.yaml").unwrap();
    let parts = "{dsnSecret: {name: shop-admin}, secretKeys: {engine: PostgreSQL}}";
    let manifest = manifest.replace("{dsnSecret: {name: shop-admin}}", parts);
    assert!(manifest.contains(parts));
    site.directory.write("shop.yaml", &manifest);
    let hold = |login: &str| {
        site.directory.write(
            "shop-secret.yaml",
            &format!(
                "apiVersion: v1\nkind: Secret\nmetadata: {{name: shop-admin}}\nstringData: {{host: fake.test, \
                 port: '5432', database: shop, {login}: admin, password: admin-password}}\n"
            ),
        );
    };
    hold("login");
    let end = site.run().await;
    assert_eq!(end.exit_status(), 1, "{end:?}");
    assert!(
        end.databases[0].says.contains(
            "spec.connection.secretKeys: Secret default/shop-admin has no key username that is text; its keys: "
        ),
        "{end:?}"
    );
    hold("username");
    assert_eq!(site.run().await.exit_status(), 0);
    assert_eq!(site.published(), ["shop-v2", "shop-v3"]);
}

#[tokio::test]
async fn an_empty_directory_is_bad_input() {
    let directory = Directory::new();
    let site = Site {
        directory,
        databases: Vec::new(),
    };
    let end = site.run().await;
    assert_eq!(end.exit_status(), 1);
    assert_eq!(
        end.problems[0].to_string(),
        "no ManagedDatabase stands in the directory's manifests; add one, in a file whose name ends with \
         .yaml (.)"
    );
}

#[tokio::test]
async fn a_run_goes_on_when_local_is_stopped_and_is_found_again() {
    let site = Site::new();
    site.directory
        .migration("v1", None, &format!("touch begun\nwait_for go\n{SCRIPT}"));
    let (stop, stopped) = watch::channel(false);
    let end = {
        let run = site.run_with(site.platform(), Until::Rest, stopped);
        let begun = async {
            until("the run", || site.directory.read("begun")).await;
            stop.send_replace(true);
        };
        tokio::join!(run, begun).0
    };
    assert!(end.stopped, "{end:?}");
    assert_eq!(end.running.len(), 1, "{end:?}");
    assert_eq!(end.running[0].0, shop());
    site.directory.write("go", "now");
    assert_eq!(site.run().await.exit_status(), 0);
    assert_eq!(site.shop().version().known(), Some(&at("v3")));
}

fn at(version: &str) -> ObservedVersion {
    ObservedVersion::At(SchemaVersion::new(version).unwrap())
}

#[tokio::test]
async fn watch_sees_edits_new_databases_and_lost_secrets() {
    let mut site = Site::new();
    site.desire("shop", "v1");
    let crm = site.shop().beside("crm");
    site.databases.push(("crm".to_owned(), crm.clone()));
    let (stop, stopped) = watch::channel(false);
    let platform = site.platform();
    let rests = |name: &str, version: &str| {
        let path = format!(".dbop/status/default/ManagedDatabase/{name}.yaml");
        let status = site.directory.read(&path)?;
        (status.contains("summary: at rest")
            && status.contains(&format!("currentVersion: {version}")))
        .then_some(())
    };
    let story = async {
        until("v1", || rests("shop", "v1")).await;
        site.desire("shop", "v2");
        until("v2", || rests("shop", "v2")).await;
        site.directory.write("half.yaml", "a: [");
        tokio::time::sleep(Duration::from_millis(500)).await;
        std::fs::remove_file(site.directory.path().join("half.yaml")).unwrap();
        site.secret("crm", crm.target().dsn.expose_secret());
        site.desire("crm", "v1");
        until("another database", || rests("crm", "v1")).await;
        let folder = site.directory.path().join(".dbop/secrets/default");
        std::fs::remove_dir_all(folder.join("shop-v2")).unwrap();
        until("the Secret is back", || {
            site.directory
                .read(".dbop/secrets/default/shop-v2/password")
        })
        .await;
        std::fs::write(folder.join("shop-v1/host"), "elsewhere").unwrap();
        until("the Secret is put back", || {
            let host = site.directory.read(".dbop/secrets/default/shop-v1/host")?;
            (host != "elsewhere").then_some(())
        })
        .await;
        std::fs::remove_file(site.directory.path().join("crm.yaml")).unwrap();
        tokio::time::sleep(Duration::from_millis(600)).await;
        stop.send_replace(true);
    };
    let (end, ()) = tokio::join!(site.run_with(platform, Until::Stopped, stopped), story);
    assert!(end.stopped);
    let names: Vec<&str> = end
        .databases
        .iter()
        .map(|end| end.database.name())
        .collect();
    assert_eq!(names, ["shop"], "{end:?}");
}

/// A migration that says how far it is.
struct Steps(Mutex<u32>);

impl ProgressSource for Steps {
    fn progress(&self, _job: &JobName) -> Option<Progress> {
        let mut step = self.0.lock().unwrap();
        *step += 1;
        Some(Progress {
            completion: Some(f64::from((*step).min(40)) / 40.0),
            items: None,
        })
    }
}

#[tokio::test]
async fn progress_is_shown_while_a_migration_runs() {
    let site = Site::new();
    site.desire("shop", "v1");
    let script = format!("wait_for go\n{SCRIPT}");
    site.directory.migration("v1", None, &script);
    let notes = Arc::new(Notes::default());
    let steps = Arc::new(Steps(Mutex::new(0)));
    let platform = site
        .platform()
        .with_observer(notes.clone())
        .with_receiver("127.0.0.1:9".to_owned(), steps);
    let shown = async {
        until("progress in the status", || {
            let path = ".dbop/status/default/ManagedDatabase/shop.yaml";
            site.directory
                .read(path)?
                .contains("progress: 100")
                .then_some(())
        })
        .await;
        site.directory.write("go", "now");
    };
    let run = async {
        let end = site
            .run_with(platform, Until::Rest, watch::channel(false).1)
            .await;
        assert_eq!(end.exit_status(), 0, "{end:?}");
        end
    };
    let (end, ()) = tokio::join!(run, shown);
    assert_eq!(end.exit_status(), 0, "{end:?}");
    let told = notes.0.lock().unwrap().join(", ");
    assert!(
        told.contains("shop 0.5") || told.contains("shop 0.7"),
        "{told}"
    );
    let job = end.databases[0].database.clone();
    assert_eq!(job, shop());
}
