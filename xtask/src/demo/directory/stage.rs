//! What the demo plays on: a temporary directory with the manifests, a server with an empty
//! database, the built programs, and the processes that run at the moment.

use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::application::Application;
use crate::cache::random_hex;
use crate::demo::engine::Traits;
use crate::demo::tally::Tally;
use crate::demo::{LOOK_EVERY, ORIGIN, tell, write_private};
use crate::process::{self, Background, TemporaryFolder};
use crate::servers::Server;
use crate::workspace;

/// The directory of manifests, as commands name it.
pub(super) const DIRECTORY: &str = "shop";
/// The line of `admin.yaml` that names the server, without what follows.
const DSN_LINE: &str = "  dsn: ";

/// The stage. What runs is stopped before what it runs on: the order of the fields is the order of
/// the end.
pub(super) struct Stage {
    /// The releases of the application that run.
    pub(super) applications: Vec<Application>,
    /// What the releases that were stopped have counted.
    pub(super) stopped: Vec<(String, Tally)>,
    /// The operator, once it watches.
    pub(super) operator: Option<Background>,
    server: Server,
    engine: &'static Traits,
    folder: TemporaryFolder,
    origin: PathBuf,
    programs: PathBuf,
}

impl Stage {
    /// A new directory, and a new database in the server.
    pub(super) fn set(root: &Path, server: Server, engine: &'static Traits) -> Result<Stage> {
        let path = std::env::temp_dir().join(format!("dbop-demo-{}", std::process::id()));
        let folder = TemporaryFolder::new(path)?;
        // It will hold Secrets.
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o700))
            .context("a folder cannot be closed to others")?;
        let stage = Stage {
            applications: Vec::new(),
            stopped: Vec::new(),
            operator: None,
            server,
            engine,
            folder,
            origin: root.join(ORIGIN),
            programs: workspace::target(root).join("debug"),
        };
        std::fs::create_dir_all(stage.manifests().join("migrations"))
            .context("a folder for manifests cannot be created")?;
        let password = random_hex(16)?;
        stage.sql(&["create-database"], &[("DEMO_ADMIN_PASSWORD", &password)])?;
        stage.write_admin(&password)?;
        stage.bring(&["shop/shop.yaml"])?;
        Ok(stage)
    }

    /// The directory in which commands are run.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The directory of manifests.
    pub(super) fn manifests(&self) -> PathBuf {
        self.folder().join(DIRECTORY)
    }

    /// The directory of the built programs.
    pub(super) fn programs(&self) -> &Path {
        &self.programs
    }

    /// Where the demo's files come from.
    pub(super) fn origin(&self) -> &Path {
        &self.origin
    }

    /// The built operator.
    pub(super) fn operator_program(&self) -> PathBuf {
        self.programs.join("database-operator")
    }

    /// Where the operator finds `dbop-migrate`, as it would in the image of the migrations.
    pub(super) fn search_path(&self) -> OsString {
        let mut path = self.programs.clone().into_os_string();
        if let Some(others) = std::env::var_os("PATH") {
            path.push(":");
            path.push(others);
        }
        path
    }

    /// The directory of the Secret of a version.
    pub(super) fn secret(&self, version: &str) -> PathBuf {
        self.manifests()
            .join(format!(".dbop/secrets/default/shop-{version}"))
    }

    /// Copies files of the example, such as `shop/v2.yaml`, to the manifests.
    pub(super) fn bring(&self, files: &[&str]) -> Result<()> {
        for file in files {
            let inside = file.split_once('/').map_or(*file, |(_, inside)| inside);
            let inside = match inside.ends_with(".sql") && !inside.starts_with("migrations/") {
                true => format!("migrations/{inside}"),
                false => inside.to_owned(),
            };
            self.put(&inside, &self.example(file)?)?;
        }
        Ok(())
    }

    /// Writes a file of the manifests in one step: the operator may be looking.
    pub(super) fn put(&self, file: &str, text: &str) -> Result<()> {
        let place = self.manifests().join(file);
        // Hidden, and so no manifest yet.
        let partial = self.manifests().join(".partial");
        write_private(&partial, text)?;
        std::fs::rename(&partial, &place)
            .with_context(|| format!("{} cannot be written", place.display()))
    }

    /// Changes `desiredSchemaVersion`, as a release does.
    pub(super) fn desire(&self, from: &str, to: &str) -> Result<()> {
        let place = self.manifests().join("shop.yaml");
        let text = std::fs::read_to_string(&place).context("shop.yaml cannot be read")?;
        let (old, new) = (
            format!("desiredSchemaVersion: {from}\n"),
            format!("desiredSchemaVersion: {to}\n"),
        );
        ensure!(text.contains(&old), "shop.yaml does not desire {from}");
        self.put("shop.yaml", &text.replace(&old, &new))?;
        tell::edit(&format!(
            "shop/shop.yaml: desiredSchemaVersion: {from} -> {to}"
        ));
        Ok(())
    }

    /// Runs `demo-sql`, which stands for psql or mysql, as the server's superuser; what it prints.
    pub(super) fn sql(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Result<String> {
        let mut command = Command::new(self.programs.join("demo-sql"));
        command
            .args(arguments)
            .env("DEMO_DSN", self.server.admin_url())
            .envs(variables.iter().copied());
        workspace::capture(&mut command)
    }

    /// Whether the server lets a credential in, by its words; `file` holds its connection string.
    pub(super) fn log_in(&self, file: &Path) -> Result<String> {
        let output = Command::new(self.programs.join("demo-sql"))
            .arg("log-in")
            .arg(file)
            .output()
            .context("demo-sql cannot be started")?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        ensure!(
            !said.is_empty(),
            "a login could not be tried: {}",
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
        Ok(said)
    }

    /// Keeps a copy of a version's connection string, as somebody might who should not.
    pub(super) fn copy_uri(&self, version: &str) -> Result<PathBuf> {
        let text = std::fs::read_to_string(self.secret(version).join("uri"))
            .with_context(|| format!("the Secret shop-{version} is not there"))?;
        let copy = self.folder().join(format!("copy-of-{version}-uri"));
        write_private(&copy, &text)?;
        Ok(copy)
    }

    /// Starts a release of the application.
    pub(super) fn start_release(&mut self, release: &str) -> Result<()> {
        let program = self.programs.join("shop-app");
        let secret = self.secret(release);
        let application = Application::start(&program, release, &secret)?;
        self.applications.push(application);
        Ok(())
    }

    /// Stops a release of the application; what it counted.
    pub(super) fn stop_release(&mut self, release: &str) -> Result<Tally> {
        let place = self
            .applications
            .iter()
            .position(|application| application.release == release)
            .with_context(|| format!("release {release} does not run"))?;
        let tally = self.applications.remove(place).stop()?;
        self.stopped.push((release.to_owned(), tally.clone()));
        Ok(tally)
    }

    /// What a running release has counted.
    pub(super) fn tally(&self, release: &str) -> Option<&Tally> {
        let mut those = self.applications.iter();
        let found = those.find(|application| application.release == release)?;
        Some(&found.tally)
    }

    /// All queries that the application has made so far.
    pub(super) fn queries(&self) -> u64 {
        let running = self.applications.iter().map(|one| one.tally.queries);
        let stopped = self.stopped.iter().map(|(_, tally)| tally.queries);
        running.chain(stopped).sum()
    }

    /// Shows what the programs have said since; all of them must be alive, and no query failed.
    pub(super) fn tend(&mut self) -> Result<()> {
        for application in &mut self.applications {
            application.tend()?;
        }
        if let Some(operator) = &mut self.operator {
            let ended = operator.ended()?;
            while let Some(line) = operator.line() {
                tell::line(&line);
            }
            ensure!(ended.is_none(), "the operator ended by itself");
        }
        Ok(())
    }

    /// Shows what the programs say, for good: somebody plays with them, and may break them.
    pub(super) fn leave_alone(&mut self) -> ! {
        loop {
            for application in &mut self.applications {
                application.listen();
            }
            while let Some(line) = self.operator.as_ref().and_then(Background::line) {
                tell::line(&line);
            }
            process::stop_if_interrupted();
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn example(&self, file: &str) -> Result<String> {
        // What is not the same for this kind of server stands in a folder of its own.
        let overlay = self
            .engine
            .overlay
            .map(|overlay| self.origin.join(overlay).join(file));
        let path = overlay
            .filter(|path| path.is_file())
            .unwrap_or_else(|| self.origin.join(file));
        std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))
    }

    /// The admin's Secret, with the address and the password of this server.
    fn write_admin(&self, password: &str) -> Result<()> {
        let superuser = self.server.admin_url();
        let address = superuser
            .rsplit_once('@')
            .and_then(|(_, rest)| rest.split('/').next())
            .context("the server has no address")?;
        let text = self.example("shop/admin.yaml")?;
        let dsn = format!(
            "{DSN_LINE}{}://shop_admin:{password}@{address}/shop",
            self.engine.scheme
        );
        let lines = text.lines().map(|line| match line.starts_with(DSN_LINE) {
            true => dsn.as_str(),
            false => line,
        });
        let text: String = lines.flat_map(|line| [line, "\n"]).collect();
        self.put("admin.yaml", &text)
    }
}
