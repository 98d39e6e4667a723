//! What the demo plays on: two namespaces of a cluster, a server with an empty database, and what is seen of
//! all that while it goes on.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::application::{Application, Sighting};
use super::install;
use super::keeper::{FOREIGN_SERVER, Presence};
use super::kubectl::{KUBECONFIG, Kubectl};
use crate::cache::random_hex;
use crate::cluster::Cluster;
use crate::demo::status::Status;
use crate::demo::tally::Tally;
use crate::demo::write_private;
use crate::demo::{LOOK_EVERY, ORIGIN, tell};
use crate::process::{self, Background, TemporaryFolder};
use crate::progress::Progress;
use crate::servers::Server;

/// The line of `admin.yaml` that names the server, without what follows.
const DSN_LINE: &str = "  dsn: ";
/// What the files of the demo name as the migrations' image, without the release.
const MIGRATIONS: &str = "    image: registry.example.com/shop-migrations:";
/// What a migration's container is here.
const MIGRATIONS_HERE: &str = "    image: dbop-demo/shop:demo\n    imagePullPolicy: Never";
/// The name of the database in the server, and what its admin's name begins with.
const DATABASE: &str = "dbop_demo";

/// The stage. What runs is stopped before what it runs on: the order of the fields is the order of the end.
pub(super) struct Stage {
    /// The Pods of the application that were seen running.
    pub(super) applications: Vec<Application>,
    /// What was seen of Pods of the application, the newest last.
    pub(super) sightings: Vec<Sighting>,
    /// What the operator's status has said and nobody has looked at yet, the newest last.
    pub(super) news: VecDeque<Status>,
    /// What it said last.
    pub(super) latest: Option<Status>,
    pods: Option<Background>,
    database: Option<Background>,
    /// What kubectl is.
    pub(super) kubectl: Kubectl,
    _presence: Option<Presence>,
    _server: Option<Server>,
    _cluster: Cluster,
    folder: TemporaryFolder,
    origin: PathBuf,
}

impl Stage {
    /// Installs the operator, and makes a database in the server that `dsn` names.
    pub(super) fn set(
        root: &Path,
        cluster: Cluster,
        server: Option<Server>,
        dsn: &str,
    ) -> Result<Stage> {
        let path = std::env::temp_dir().join(format!("dbop-demo-{}", std::process::id()));
        let folder = TemporaryFolder::new(path)?;
        let kubectl = Kubectl::new(&cluster, folder.path())?;
        install::check(&kubectl)?;
        if server.is_none() {
            write_private(&folder.path().join(FOREIGN_SERVER), "")?;
        }
        let presence = match cluster.is_temporary() {
            // It goes with all that is in it.
            true => None,
            false => Some(Presence::begin(&kubectl, folder.path())?),
        };
        let mut stage = Stage {
            applications: Vec::new(),
            sightings: Vec::new(),
            news: VecDeque::new(),
            latest: None,
            pods: None,
            database: None,
            kubectl,
            _presence: presence,
            _server: server,
            _cluster: cluster,
            folder,
            origin: root.join(ORIGIN),
        };
        let mut progress = Progress::new("setting the stage");
        progress.tick("installing the operator");
        stage.put("namespace.yaml", &stage.example("cluster/namespace.yaml")?)?;
        stage.kubectl.ask(&["create", "-f", "namespace.yaml"])?;
        install::install(&stage.kubectl, root)?;
        progress.tick("making a database");
        stage.make_database(dsn)?;
        progress.tick("waiting for the operator");
        install::wait(&stage.kubectl)?;
        drop(progress);
        stage.look()?;
        Ok(stage)
    }

    /// Where files for kubectl are.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The kubeconfig of the demo.
    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.folder().join(KUBECONFIG)
    }

    /// Copies a file of the example to the folder, with the images of the demo; its name there.
    pub(super) fn bring(&self, file: &str) -> Result<String> {
        let text = self.example(file)?;
        let lines = text.lines().map(|line| match line.starts_with(MIGRATIONS) {
            true => MIGRATIONS_HERE,
            false => line,
        });
        let text: String = lines.flat_map(|line| [line, "\n"]).collect();
        let name = match file.split_once('/') {
            Some(("mistake", name)) => format!("mistaken-{name}"),
            Some((_, name)) => name.to_owned(),
            None => file.to_owned(),
        };
        self.put(&name, &text)?;
        Ok(name)
    }

    /// Writes the Deployment of an application in one of its releases; the file's name.
    pub(super) fn bring_release(&self, deployment: &str, release: &str) -> Result<String> {
        let file = match deployment {
            "shop" => "application.yaml",
            other => &format!("{other}.yaml"),
        };
        let mut text = self.example(&format!("cluster/{file}"))?;
        for (old, new) in [
            (
                "        release: v1\n",
                format!("        release: {release}\n"),
            ),
            ("[shop-app, v1,", format!("[shop-app, {release},")),
            (
                "          secretName: shop-v1\n",
                format!("          secretName: shop-{release}\n"),
            ),
        ] {
            ensure!(text.matches(old).count() == 1, "{file} has no {old}");
            text = text.replace(old, &new);
        }
        let name = format!("{deployment}-{release}.yaml");
        self.put(&name, &text)?;
        Ok(name)
    }

    /// Runs `demo-sql`, which stands for psql, in its Pod, as the server's superuser; what it prints.
    pub(super) fn sql(&self, arguments: &[&str]) -> Result<String> {
        let mut all = vec!["exec", "psql", "--", "demo-sql"];
        all.extend(arguments);
        self.kubectl.run(&all)
    }

    /// Whether the server lets these connection strings in, by its words.
    pub(super) fn log_in(&self, uris: &[String]) -> Result<Vec<String>> {
        let command = ["exec", "--stdin", "psql", "--", "demo-sql", "log-in", "-"];
        let said = self.kubectl.feed(&command, &uris.join("\n"), true)?;
        let said: Vec<String> = said.lines().map(str::to_owned).collect();
        ensure!(said.len() == uris.len(), "logins could not be tried");
        Ok(said)
    }

    /// The connection string in the Secret of a version, as somebody with the right to read it sees it.
    pub(super) fn uri(&self, version: &str) -> Result<String> {
        let secret = format!("shop-{version}");
        let template = "--output=go-template={{.data.uri | base64decode}}";
        self.kubectl.ask(&["get", "secret", &secret, template])
    }

    /// The Pod of this release of a Deployment that runs.
    pub(super) fn running(&self, deployment: &str, release: &str) -> Option<&Application> {
        self.applications.iter().rev().find(|one| {
            one.name.deployment == deployment && one.name.release == release && !one.tally.ended
        })
    }

    /// What was seen last of this release of a Deployment.
    pub(super) fn phase(&self, deployment: &str, release: &str) -> Option<&str> {
        let mut those = self.sightings.iter().rev();
        let found =
            those.find(|one| one.name.deployment == deployment && one.name.release == release)?;
        Some(&found.phase)
    }

    /// What the Pods of this release of a Deployment have counted, all of which have ended in good order.
    pub(super) fn ended(&self, deployment: &str, release: &str) -> Option<&Tally> {
        let mut those = self
            .applications
            .iter()
            .filter(|one| one.name.deployment == deployment && one.name.release == release);
        let last = those.next_back()?;
        (last.tally.ended && those.all(|one| one.tally.ended)).then_some(&last.tally)
    }

    /// All queries that the application has made so far.
    pub(super) fn queries(&self) -> u64 {
        self.applications.iter().map(|one| one.tally.queries).sum()
    }

    /// Hears what is new; all Pods of the application must be well, and no query must have failed.
    pub(super) fn tend(&mut self) -> Result<()> {
        self.hear()?;
        for application in &mut self.applications {
            application.tend(&self.kubectl)?;
        }
        Ok(())
    }

    /// Shows what the operator says, for good: somebody plays with the cluster, and may break it.
    pub(super) fn leave_alone(&mut self) -> ! {
        let mut told = String::new();
        loop {
            // Somebody may have deleted what is looked at.
            let _ = self.hear();
            for application in &mut self.applications {
                application.listen();
            }
            while let Some(status) = self.news.pop_front() {
                let said = status.message().unwrap_or_default();
                if said != told {
                    tell::edit(&format!("shop: {said}"));
                    told = said.to_owned();
                }
            }
            process::stop_if_interrupted();
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn hear(&mut self) -> Result<()> {
        let mut over = false;
        if let Some(pods) = &mut self.pods {
            over |= pods.ended()?.is_some();
            while let Some(line) = pods.line() {
                self.sightings.extend(Sighting::parse(&line));
            }
        }
        if let Some(database) = &mut self.database {
            over |= database.ended()?.is_some();
            while let Some(line) = database.line() {
                // What is no JSON is a word of kubectl's about the watch.
                if line.starts_with('{') {
                    self.latest = Some(Status::parse(&line)?);
                    self.news.push_back(Status::parse(&line)?);
                }
            }
        }
        for index in 0..self.sightings.len() {
            let Sighting { name, phase } = &self.sightings[index];
            let known = self.applications.iter().any(|one| one.name == *name);
            if phase == "Running" && !known {
                let application = Application::follow(&self.kubectl, name.clone())?;
                self.applications.push(application);
            }
        }
        if over {
            self.look()?;
        }
        Ok(())
    }

    /// Watches the application's Pods and the ManagedDatabase, from now on.
    fn look(&mut self) -> Result<()> {
        let start = |arguments: &[&str]| Background::start(&mut self.kubectl.command(arguments));
        self.pods = Some(start(&[
            "get",
            "pods",
            "--selector=app.kubernetes.io/part-of=dbop-demo",
            "--watch",
            Sighting::TEMPLATE,
        ])?);
        self.database = Some(start(&[
            "get",
            "manageddatabases",
            "--watch",
            "--output=jsonpath={$}{\"\\n\"}",
        ])?);
        Ok(())
    }

    fn put(&self, file: &str, text: &str) -> Result<()> {
        write_private(&self.folder().join(file), text)
    }

    fn example(&self, file: &str) -> Result<String> {
        let path = self.origin.join(file);
        std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))
    }

    /// What a platform team hands over: an empty database, and a Secret with its admin.
    fn make_database(&self, dsn: &str) -> Result<()> {
        let password = random_hex(16)?;
        let address = dsn
            .rsplit_once('@')
            .and_then(|(_, rest)| rest.split(['/', '?']).next())
            .filter(|address| !address.is_empty())
            .context(
                "the connection string is not postgresql://USER:PASSWORD@HOST:PORT/DATABASE",
            )?;
        let admin = format!("postgresql://{DATABASE}_admin:{password}@{address}/{DATABASE}");
        let quoted = dsn.replace('\'', "''");
        let server = format!(
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: server\nstringData:\n  dsn: '{quoted}'\n  \
             admin-password: {password}\n"
        );
        self.kubectl.feed(&["create", "-f", "-"], &server, false)?;
        let text = self.example("shop/admin.yaml")?;
        let dsn = format!("{DSN_LINE}{admin}");
        let lines = text.lines().map(|line| match line.starts_with(DSN_LINE) {
            true => dsn.as_str(),
            false => line,
        });
        let text: String = lines.flat_map(|line| [line, "\n"]).collect();
        self.kubectl.feed(&["create", "-f", "-"], &text, false)?;

        self.put("psql.yaml", &self.example("cluster/psql.yaml")?)?;
        self.kubectl.ask(&["create", "-f", "psql.yaml"])?;
        let ready = ["wait", "pod/psql", "--for=condition=Ready", "--timeout=60s"];
        self.kubectl
            .run(&ready)
            .context("the first Pod of the demo does not start; have the nodes its images?")?;
        self.sql(&["create-database"])
            .context("no database can be made in the server")?;
        Ok(())
    }
}
