//! The API server's audit log: what the operator asked for, and what it was answered.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::PathBuf;

use serde_json::Value;

use crate::api::text;

/// Whom the API server takes the operator for.
const USER: &str = "system:serviceaccount:database-operator:database-operator";

/// One request of the operator.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) verb: String,
    pub(crate) group: String,
    /// As a rule names it: with its subresource, as `pods/log`.
    pub(crate) resource: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) code: u64,
    pub(crate) denied: bool,
}

fn path() -> PathBuf {
    std::env::var_os("DBOP_TEST_AUDIT_LOG").map(PathBuf::from).expect(
        "DBOP_TEST_AUDIT_LOG is not set: what the operator asks for shows in the audit log of a cluster of ours, or \
         of one whose log you name there (JSON lines, Metadata, ResponseComplete)",
    )
}

/// How long the log is now.
pub(crate) fn length() -> u64 {
    path().metadata().unwrap().len()
}

/// Where the run began.
pub(crate) fn begin() -> u64 {
    std::env::var("DBOP_TEST_AUDIT_FROM").map_or(0, |bytes| bytes.parse().unwrap())
}

/// The operator's requests that were answered since the log was so long.
pub(crate) fn requests(from: u64) -> Vec<Request> {
    let mut file = File::open(path()).unwrap();
    file.seek(SeekFrom::Start(from)).unwrap();
    let lines = BufReader::new(file).lines().map(Result::unwrap);
    let ours = lines.filter(|line| line.contains(USER));
    ours.filter_map(|line| {
        // The last line may be half written.
        let event: Value = serde_json::from_str(&line).ok()?;
        if text(&event, "/user/username") != USER {
            return None;
        }
        let field = |name: &str| text(&event, name).to_owned();
        let mut resource = field("/objectRef/resource");
        let part = text(&event, "/objectRef/subresource");
        if !part.is_empty() {
            resource = format!("{resource}/{part}");
        }
        Some(Request {
            verb: field("/verb"),
            group: field("/objectRef/apiGroup"),
            resource,
            name: field("/objectRef/name"),
            namespace: field("/objectRef/namespace"),
            code: event
                .pointer("/responseStatus/code")
                .and_then(Value::as_u64)
                .unwrap_or(0),
            denied: text(&event, "/annotations/authorization.k8s.io~1decision") == "forbid",
        })
    })
    .collect()
}

/// Compares requests with the rules of manifests: what was denied, and which rules nothing used.
pub(crate) fn compare(
    requests: &[Request],
    manifests: &[Value],
) -> (Vec<Request>, BTreeSet<String>) {
    let denied = requests
        .iter()
        .filter(|request| request.denied || request.code == 401);
    let mut unused = BTreeSet::new();
    for object in manifests {
        let rules = object.get("rules").and_then(Value::as_array);
        for rule in rules.into_iter().flatten() {
            let words = |field: &str| -> Vec<String> {
                let list = rule.get(field).and_then(Value::as_array);
                list.into_iter()
                    .flatten()
                    .map(|word| word.as_str().unwrap().to_owned())
                    .collect()
            };
            let (groups, names) = (words("apiGroups"), words("resourceNames"));
            for resource in words("resources") {
                for verb in words("verbs") {
                    let is_use = |request: &&Request| {
                        request.verb == verb
                            && request.resource == resource
                            && groups.contains(&request.group)
                            && (names.is_empty() || names.contains(&request.name))
                            && !request.denied
                    };
                    if !requests.iter().any(|request| is_use(&request)) {
                        let role = text(object, "/metadata/name");
                        unused.insert(format!("{role}: {verb} {resource}.{}", groups.join(",")));
                    }
                }
            }
        }
    }
    (denied.cloned().collect(), unused)
}
