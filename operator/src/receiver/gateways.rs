//! Pushgateways of users' own: how far a run is by what it pushed there, and what is left there once it has ended.
//!
//! A gateway is asked every two seconds while a run that pushes to it goes on, and nothing waits for its answer: one that is
//! away shows no progress, and is asked again. The groups of a run are deleted when its outcome is recorded; where the
//! gateway is away then, it is tried for ten minutes more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{CONNECTION, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::exposition::Labels;
use super::store::{COMPLETION, mean};

/// Between two questions to one gateway.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// A run whose progress nobody has wanted for so long is another operator's by now.
const WANTED: Duration = Duration::from_secs(60);
/// So long is deleting tried.
const LEAVING: Duration = Duration::from_secs(600);
/// One question or deletion, connection included.
const TIMEOUT: Duration = Duration::from_secs(3);
/// A gateway that says more is shared by thousands.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Where it lists its groups (Pushgateway, README, "Query API").
const GROUPS: &str = "/api/v1/metrics";

/// The gateways that runs push to. Clones see the same.
#[derive(Clone, Default)]
pub(crate) struct Gateways {
    all: Arc<Mutex<BTreeMap<String, BTreeMap<String, Run>>>>,
}

/// What is known of a run.
struct Run {
    completion: Option<f64>,
    wanted: Instant,
    /// Its groups are to be deleted, until then.
    leaves: Option<Instant>,
}

/// A group of a gateway.
struct Group {
    labels: Labels,
    /// Its samples: the metric's name, the id of the run, the value.
    samples: Vec<(String, String, f64)>,
}

/// Why a gateway was of no use.
#[derive(Debug, thiserror::Error)]
enum GatewayError {
    #[error("no answer within {} s", TIMEOUT.as_secs())]
    Timeout,
    #[error("{0}")]
    Connect(#[from] std::io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("the request cannot be written: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("it answers {0}")]
    Refused(hyper::StatusCode),
    #[error("its answer is too long, or no list of groups")]
    Unreadable,
}

impl Gateways {
    /// How far the run of this id is, by what it pushed to the gateway at `address`, as far as is known by now.
    pub(crate) fn completion(&self, job_id: &str, address: &str) -> Option<f64> {
        self.run(job_id, address, |run| run.completion)
    }

    /// The run is over: what it pushed there goes.
    pub(crate) fn forget(&self, job_id: &str, address: &str) {
        self.run(job_id, address, |run| {
            run.leaves = Some(Instant::now() + LEAVING);
        });
    }

    fn run<T>(&self, job_id: &str, address: &str, what: impl FnOnce(&mut Run) -> T) -> T {
        let mut all = self.lock();
        let runs = all.entry(address.to_owned()).or_insert_with(|| {
            tokio::spawn(self.clone().attend(address.to_owned()));
            BTreeMap::new()
        });
        let run = runs.entry(job_id.to_owned()).or_insert(Run {
            completion: None,
            wanted: Instant::now(),
            leaves: None,
        });
        run.wanted = Instant::now();
        what(run)
    }

    /// Asks one gateway for as long as a run is wanted of it.
    async fn attend(self, address: String) {
        let mut was_away = false;
        loop {
            if !self.is_wanted(&address) {
                return;
            }
            match groups(&address).await {
                Ok(groups) => {
                    was_away = false;
                    self.heard(&address, &groups).await;
                }
                Err(error) => {
                    if !std::mem::replace(&mut was_away, true) {
                        tracing::warn!(
                            "the Pushgateway {address} does not say how far migrations are: {error}; they go on \
                             without it (said once)"
                        );
                    }
                }
            }
            sleep(ASK_EVERY).await;
        }
    }

    /// Forgets runs that nobody wants; false: none is left, and the gateway is forgotten as well.
    fn is_wanted(&self, address: &str) -> bool {
        let now = Instant::now();
        let mut all = self.lock();
        let Some(runs) = all.get_mut(address) else {
            return false;
        };
        runs.retain(|_, run| match run.leaves {
            Some(until) => now < until,
            None => now.duration_since(run.wanted) < WANTED,
        });
        if runs.is_empty() {
            all.remove(address);
            return false;
        }
        true
    }

    async fn heard(&self, address: &str, groups: &[Group]) {
        let mut leaving = Vec::new();
        if let Some(runs) = self.lock().get_mut(address) {
            for (job_id, run) in runs {
                match run.leaves {
                    Some(_) => leaving.push(job_id.clone()),
                    None => run.completion = completion(groups, job_id).or(run.completion),
                }
            }
        }
        for job_id in leaving {
            let own = groups.iter().filter(|group| group.is_of(&job_id));
            let mut all_gone = true;
            for group in own {
                if let Err(error) = ask(address, Method::DELETE, &group.path()).await {
                    tracing::debug!(
                        "the Pushgateway {address} keeps what {job_id} pushed: {error}"
                    );
                    all_gone = false;
                }
            }
            if all_gone && let Some(runs) = self.lock().get_mut(address) {
                runs.remove(&job_id);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, BTreeMap<String, Run>>> {
        // What a panic may have left behind is at worst a progress that the next answer puts right.
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far a run is.
fn completion(groups: &[Group], job_id: &str) -> Option<f64> {
    let samples = groups.iter().flat_map(|group| &group.samples);
    let own =
        samples.filter(|(name, of, value)| name == COMPLETION && of == job_id && value.is_finite());
    mean(&own.map(|(_, _, value)| *value).collect::<Vec<f64>>())
}

impl Group {
    fn is_of(&self, job_id: &str) -> bool {
        self.samples.iter().any(|(_, of, _)| of == job_id)
    }

    /// The path of the group, `job` first; values in Base64, as they may hold anything.
    fn path(&self) -> String {
        let others = self.labels.iter().filter(|(name, _)| *name != "job");
        let job = self.labels.get_key_value("job");
        let mut path = "/metrics".to_owned();
        for (name, value) in job.into_iter().chain(others) {
            let value = match URL_SAFE_NO_PAD.encode(value) {
                // A segment that is empty would vanish.
                empty if empty.is_empty() => "=".to_owned(),
                encoded => encoded,
            };
            path.push_str(&format!("/{name}@base64/{value}"));
        }
        path
    }

    /// Reads one of the groups that a gateway lists.
    fn read(group: &Value) -> Option<Group> {
        let labels = labels(&group["labels"]);
        let families = group.as_object()?.iter();
        let samples = families.flat_map(|(name, family)| {
            let samples = family["metrics"].as_array().into_iter().flatten();
            samples.filter_map(|sample| {
                let value = sample["value"].as_str()?.parse().ok()?;
                let own = self::labels(&sample["labels"]);
                let of = own.get("job_id").or_else(|| labels.get("job_id"))?;
                Some((name.clone(), of.clone(), value))
            })
        });
        let samples = samples.collect();
        Some(Group { labels, samples })
    }
}

fn labels(value: &Value) -> Labels {
    let pairs = value.as_object().into_iter().flatten();
    pairs
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

async fn groups(address: &str) -> Result<Vec<Group>, GatewayError> {
    let answer = ask(address, Method::GET, GROUPS).await?;
    read(&answer).ok_or(GatewayError::Unreadable)
}

fn read(answer: &[u8]) -> Option<Vec<Group>> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let groups = answer["data"].as_array()?;
    Some(groups.iter().filter_map(Group::read).collect())
}

async fn ask(address: &str, method: Method, path: &str) -> Result<Bytes, GatewayError> {
    let asked = timeout(TIMEOUT, exchange(address, method, path));
    asked.await.unwrap_or(Err(GatewayError::Timeout))
}

/// One request on a connection of its own.
async fn exchange(address: &str, method: Method, path: &str) -> Result<Bytes, GatewayError> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, address)
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let talk = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
        let body = body.collect().await.map_err(|_| GatewayError::Unreadable)?;
        match status.is_success() {
            true => Ok(body.to_bytes()),
            false => Err(GatewayError::Refused(status)),
        }
    };
    tokio::pin!(talk);
    tokio::pin!(connection);
    tokio::select! {
        result = &mut talk => result,
        closed = &mut connection => match closed {
            Ok(()) => talk.await,
            Err(error) => Err(error.into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a Pushgateway 1.11 answers, with what is of no use here left out.
    const ANSWER: &str = r#"{"status": "success", "data": [
        {"labels": {"job": "dbop", "database": "shop/a", "empty": ""}, "last_push_successful": true,
         "migration_completion_percent": {"time_stamp": "2026-11-27T00:00:00Z", "type": "GAUGE", "help": "h",
             "metrics": [{"labels": {"job": "dbop", "job_id": "one"}, "value": "0.5"}]},
         "push_time_seconds": {"metrics": [{"labels": {"job": "dbop"}, "value": "1.7e+09"}]}},
        {"labels": {"job": "dbop", "job_id": "one", "instance": "2"},
         "migration_completion_percent": {"metrics": [{"labels": {}, "value": "1"}]}},
        {"labels": {"job": "other"},
         "migration_completion_percent": {"metrics": [{"labels": {"job_id": "two"}, "value": "NaN"}]}}
    ]}"#;

    #[test]
    fn a_runs_groups_are_found_by_its_id_wherever_it_stands() {
        let groups = read(ANSWER.as_bytes()).unwrap();
        assert_eq!(completion(&groups, "one"), Some(0.75));
        assert_eq!(completion(&groups, "two"), None);
        assert_eq!(completion(&groups, "three"), None);
        let of = |job_id: &str| groups.iter().filter(|group| group.is_of(job_id)).count();
        assert_eq!((of("one"), of("two"), of("three")), (2, 1, 0));
    }

    #[test]
    fn a_groups_path_reads_back() {
        for group in read(ANSWER.as_bytes()).unwrap() {
            assert_eq!(super::super::group::labels(&group.path()), Ok(group.labels));
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in ["", "{}", "[]", "<html>", r#"{"data": {}}"#] {
            assert!(read(text.as_bytes()).is_none(), "{text}");
        }
    }
}
