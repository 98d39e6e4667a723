//! A history on a server: its objects, a walk of it by `local`, and what the tool makes of it alone.

use std::collections::BTreeMap;
use std::fmt;
use std::process::{Command, Stdio};
use std::time::Duration;

use dbop_tests::local::{Directory, Object, Site};
use dbop_tests::{Engine, TestDatabase, TestServer};
use serde_json::Value;
use tokio::time::Instant;

use crate::application::Application;
use crate::schema::Schema;

/// Seventy revisions, each with a start of Python or Java, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// A history for one server.
pub(crate) struct History {
    application: Application,
    server: TestServer,
    /// Whatever `generate` printed, the first revision first.
    objects: Vec<Object>,
}

/// How a database gets to the newest revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// By each revision.
    EachRevision,
    /// By `generate --from-empty`.
    FromEmpty,
    /// From empty to the revision of this number, then on, with each of the others desired one after the other.
    FromEmptyThenOn(usize),
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Way::EachRevision => f.write_str("each revision, from an empty database"),
            Way::FromEmpty => f.write_str("`fromEmpty` at the newest"),
            Way::FromEmptyThenOn(first) => write!(
                f,
                "`fromEmpty` at number {first}, then each revision desired by itself, with a quiet window of 1 s"
            ),
        }
    }
}

/// A walk that ended at the newest revision.
pub(crate) struct Walk {
    /// How often the tool ran.
    pub(crate) runs: usize,
    /// Where the database ended.
    pub(crate) schema: Schema,
    /// All of it, from the command's start to its end.
    took: Duration,
    /// What the tool took of that.
    of_the_tool: Duration,
}

/// What the tool did alone.
pub(crate) struct Alone {
    pub(crate) took: Duration,
    pub(crate) schema: Schema,
}

impl Walk {
    /// Times, for people.
    pub(crate) fn account(&self, tool: &str) -> String {
        let (took, own) = (self.took.as_secs_f64(), self.of_the_tool.as_secs_f64());
        let runs = self.runs as f64;
        format!(
            "{} run{} in {took:.1} s, of which {tool} itself {own:.1} s ({:.2} s each); beyond that {:.2} s per step",
            self.runs,
            if self.runs == 1 { "" } else { "s" },
            own / runs,
            (took - own) / runs
        )
    }
}

impl History {
    pub(crate) async fn new(application: Application, server: &TestServer) -> History {
        let objects = objects(&generate(application, server.engine(), &[]).await);
        assert!(
            objects.len() >= application.revisions_min(),
            "only {} revisions of {}",
            objects.len(),
            application.title()
        );
        History {
            application,
            server: server.clone(),
            objects,
        }
    }

    /// How many revisions it has.
    pub(crate) fn revisions(&self) -> usize {
        self.objects.len()
    }

    /// How many of them have hints; of the others a line could not be read, or the tool could not print it.
    pub(crate) fn with_hints(&self) -> usize {
        let hints = |object: &&Object| object.get("/spec/schemaHints").is_array();
        self.objects.iter().filter(hints).count()
    }

    /// How many runs a way takes.
    pub(crate) fn runs(&self, way: Way) -> usize {
        match way {
            Way::EachRevision => self.revisions(),
            Way::FromEmpty => 1,
            Way::FromEmptyThenOn(first) => 1 + self.revisions() - first,
        }
    }

    /// What was published, and on which server.
    pub(crate) fn title(&self) -> String {
        format!("{} on {}", self.application.title(), self.server.title())
    }

    /// Takes an empty database to the newest revision.
    pub(crate) async fn walk(&self, way: Way) -> Walk {
        let database = self.server.database("history").await;
        let directory = self.application.directory("history", self.server.engine());
        let site = Site::of(database, directory);
        site.set("/spec/schemaVersion/engine", self.application.tool());
        self.write(&site.directory, way).await;
        let desired = match way {
            Way::EachRevision | Way::FromEmpty => &self.objects[self.revisions() - 1..],
            Way::FromEmptyThenOn(first) => &self.objects[first - 1..],
        };
        let (mut took, mut told) = (Duration::ZERO, 0);
        for object in desired {
            site.desire(object.name());
            let walk = site.directory.start(&[]).finish(PATIENCE).await;
            walk.exits(0);
            assert_eq!(site.status()["currentVersion"], object.name(), "{walk}");
            took += walk.took;
            told += walk.stdout.matches("MigrationSucceeded").count();
        }
        let spans = spans(&site.directory);
        assert_eq!(
            spans.len(),
            told,
            "each run that was told is one of the tool's"
        );
        Walk {
            runs: spans.len(),
            schema: Schema::of(&site.database).await,
            took,
            of_the_tool: spans.into_iter().sum(),
        }
    }

    /// Has the tool do the same without the operator: the newest object's command, in a database of the admin's own.
    pub(crate) async fn alone(&self) -> Alone {
        let database = self.server.database("alone").await;
        let directory = self.application.directory("alone", self.server.engine());
        let newest = self.objects.last().unwrap();
        let contract = contract(&database, newest);
        let words: Vec<String> = list(newest.get("/spec/container/command"))
            .map(|word| expanded(word, &contract))
            .collect();
        let program = directory.path().join("bin").join(&words[0]);
        let mut command = Command::new(program);
        command
            .args(&words[1..])
            .current_dir(directory.path())
            .envs(directory.environment())
            .envs(&contract)
            .stdin(Stdio::null());
        for variable in newest
            .get("/spec/container/env")
            .as_array()
            .into_iter()
            .flatten()
        {
            let value = variable["value"].as_str().unwrap();
            command.env(
                variable["name"].as_str().unwrap(),
                expanded(value, &contract),
            );
        }
        let started = Instant::now();
        let output = command.output().unwrap();
        let took = started.elapsed();
        assert!(
            output.status.success(),
            "{} fails alone: {}\n{}",
            self.application.tool(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Alone {
            took,
            schema: Schema::of(&database).await,
        }
    }

    /// Puts the objects into a directory.
    async fn write(&self, directory: &Directory, way: Way) {
        match way {
            Way::EachRevision => self.objects.iter().for_each(|object| directory.put(object)),
            Way::FromEmpty => {
                let generated =
                    generate(self.application, self.server.engine(), &["--from-empty"]).await;
                directory.write("history.yaml", &generated);
            }
            Way::FromEmptyThenOn(first) => {
                for (nth, object) in (1..).zip(&self.objects) {
                    let object = object.clone();
                    directory.put(&match nth == first {
                        true => object.set("/spec/fromEmpty", true),
                        false => object,
                    });
                }
            }
        }
    }
}

/// What `generate` prints in a directory of its own, with hints from the SQL of the revisions.
async fn generate(application: Application, engine: Engine, further: &[&str]) -> String {
    let directory = application.directory("history_generate", engine);
    let arguments = application.generate(engine, &directory);
    let arguments: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .chain(further.iter().copied())
        .collect();
    let generated = directory.run(&arguments).await;
    generated.exits(0);
    generated.stdout
}

/// The objects of what `generate` printed.
fn objects(yaml: &str) -> Vec<Object> {
    yaml.split("---\n")
        .skip(1)
        .map(|document| Object::new(serde_saphyr::from_str(document).unwrap()))
        .collect()
}

/// What the container contract tells a migration, for the admin of a database.
fn contract(database: &TestDatabase, newest: &Object) -> BTreeMap<String, String> {
    let (host, port) = database.server().address();
    let scheme = database.engine().scheme();
    let version = newest.get("/spec/version").as_str().unwrap();
    let url = format!("jdbc:{scheme}://{host}:{port}/{}", database.name());
    [
        ("CONNECTION_STRING", database.admin_dsn()),
        ("JDBC_URL", url),
        ("HOST", host),
        ("PORT", port.to_string()),
        ("DATABASE", database.name().to_owned()),
        ("USERNAME", database.admin().to_owned()),
        ("PASSWORD", database.admin_password().to_owned()),
        ("TARGET_VERSION", version.to_owned()),
    ]
    .map(|(name, value)| (format!("DBA_OP_{name}"), value))
    .into()
}

/// `$(NAME)` replaced, as Kubernetes does.
fn expanded(text: &str, contract: &BTreeMap<String, String>) -> String {
    contract
        .iter()
        .fold(text.to_owned(), |text, (name, value)| {
            text.replace(&format!("$({name})"), value)
        })
}

fn list(value: &Value) -> impl Iterator<Item = &str> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// How long each run of the tool was, from its first moment to its last.
fn spans(directory: &Directory) -> Vec<Duration> {
    let text = std::fs::read_to_string(directory.path().join("spans")).unwrap();
    text.lines()
        .map(|line| {
            let (begun, ended) = line.split_once(' ').unwrap();
            let nanos = |text: &str| text.parse::<u64>().unwrap();
            Duration::from_nanos(nanos(ended) - nanos(begun))
        })
        .collect()
}
