//! The two texts of a push: the path that names the group, and the body that holds the metrics.
//!
//! The path keeps the Pushgateway's rules (github.com/prometheus/pushgateway, README, "URL"): a
//! value that a path segment cannot hold is base64url-encoded and its label marked `@base64`. It
//! deliberately writes no HELP from outside and no timestamp: a Pushgateway refuses timestamps.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::progress::{Outcome, Snapshot};

/// The `job` label of every push.
const JOB: &str = "dbop-migrate";
/// More labels than this are a mistake; each is a part of the path.
const LABELS_MAX: usize = 32;
/// A longer value would make a path that servers refuse.
const VALUE_BYTES_MAX: usize = 256;

/// Whether `text` is `host:port`, with an IPv6 address in brackets.
pub(super) fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let plain = !host.contains([':', '/', '@', '?', '#', ' ']);
    !host.is_empty() && (bracketed || plain) && port.parse::<u16>().is_ok()
}

/// The grouping labels from `DBA_OP_LABEL_*`: names in lower case; what cannot be a label is left
/// out, with a warning.
pub(super) fn labels<'e>(
    variables: impl Iterator<Item = (&'e str, &'e str)>,
    warnings: &mut Vec<String>,
) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for (name, value) in variables {
        let label = name.to_ascii_lowercase();
        let why = if !is_label_name(&label) {
            "is no name of a label"
        } else if label == "job" || label == "job_id" {
            "is set by the program itself"
        } else if value.len() > VALUE_BYTES_MAX {
            "is longer than 256 bytes"
        } else if labels.len() >= LABELS_MAX {
            "is one label too many"
        } else {
            labels.insert(label, value.to_owned());
            continue;
        };
        warnings.push(format!(
            "DBA_OP_LABEL_{name} {why}; the metrics go without it"
        ));
    }
    labels
}

/// The path of the group: `/metrics/job/dbop-migrate/job_id/<id>/<label>/<value>...`.
pub(super) fn path(job_id: Option<&str>, labels: &BTreeMap<String, String>) -> String {
    let mut path = format!("/metrics/job/{JOB}");
    let job_id = job_id.map(|id| ("job_id", id));
    let labels = labels
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in job_id.into_iter().chain(labels) {
        if stands_in_a_path(value) {
            let _ = write!(path, "/{name}/{value}");
        } else {
            // An empty segment would vanish, so the empty value is a single padding character.
            let encoded = URL_SAFE_NO_PAD.encode(value);
            let encoded = if encoded.is_empty() { "=" } else { &encoded };
            let _ = write!(path, "/{name}@base64/{encoded}");
        }
    }
    path
}

/// The four metrics in the text format, version 0.0.4.
pub(super) fn exposition(snapshot: &Snapshot) -> String {
    let (complete, failed) = match snapshot.outcome {
        Outcome::Running => (0, 0),
        Outcome::Complete => (1, 0),
        Outcome::Failed => (0, 1),
    };
    let completion = snapshot.completion();
    let items = snapshot.items;
    format!(
        "# HELP migration_completion_percent How far the migration is, 0.0 to 1.0.\n\
         # TYPE migration_completion_percent gauge\n\
         migration_completion_percent {completion}\n\
         # HELP migration_complete_total Whether the migration is complete, 0 or 1.\n\
         # TYPE migration_complete_total counter\n\
         migration_complete_total {complete}\n\
         # HELP migration_failed_total Whether the migration has failed, 0 or 1.\n\
         # TYPE migration_failed_total counter\n\
         migration_failed_total {failed}\n\
         # HELP migration_items_complete_total Plain files done and rows changed by batch files.\n\
         # TYPE migration_items_complete_total counter\n\
         migration_items_complete_total {items}\n"
    )
}

/// `[a-z_][a-z0-9_]*`, and not one of Prometheus's own, which begin with `__`.
fn is_label_name(name: &str) -> bool {
    let fits = |c: char| c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit();
    let starts_well = name.starts_with(|c: char| c == '_' || c.is_ascii_lowercase());
    starts_well && name.chars().all(fits) && !name.starts_with("__")
}

/// Whether `value` means itself as a path segment, without any encoding; `.` and `..` do not.
fn stands_in_a_path(value: &str) -> bool {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    !value.is_empty() && value != "." && value != ".." && value.bytes().all(unreserved)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_of(job_id: Option<&str>, pairs: &[(&str, &str)]) -> String {
        let labels = pairs
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        path(job_id, &labels)
    }

    #[test]
    fn values_that_a_path_cannot_hold_are_encoded() {
        assert_eq!(path_of(None, &[]), "/metrics/job/dbop-migrate");
        assert_eq!(
            path_of(Some("a-1"), &[]),
            "/metrics/job/dbop-migrate/job_id/a-1"
        );
        // The three examples are the Pushgateway's own.
        assert!(path_of(None, &[("path", "/var/tmp")]).ends_with("/path@base64/L3Zhci90bXA"));
        assert!(path_of(None, &[("first_label", "")]).ends_with("/first_label@base64/="));
        let name = path_of(None, &[("name", "Προμηθεύς")]);
        assert!(
            name.ends_with("/name@base64/zqDPgc6_zrzOt864zrXPjc-C"),
            "{name}"
        );
        assert!(path_of(None, &[("x", "..")]).ends_with("/x@base64/Li4"));
        assert!(path_of(None, &[("x", "1.9.0")]).ends_with("/x/1.9.0"));
        assert!(path_of(None, &[("x", "a b")]).ends_with("/x@base64/YSBi"));
    }

    #[test]
    fn labels_are_checked() {
        let mut warnings = Vec::new();
        let long = "x".repeat(257);
        let variables = [
            ("DATABASE", "shop"),
            ("", "x"),
            ("1A", "x"),
            ("__A", "x"),
            ("A-B", "x"),
            ("JOB_ID", "x"),
            ("JOB", "x"),
            ("LONG", long.as_str()),
        ];
        let read = labels(variables.into_iter(), &mut warnings);
        assert_eq!(
            read.into_iter().collect::<Vec<_>>(),
            [("database".into(), "shop".into())]
        );
        assert_eq!(warnings.len(), 7, "{warnings:?}");
    }

    #[test]
    fn addresses_are_host_and_port() {
        for good in [
            "localhost:9091",
            "10.0.0.1:80",
            "[::1]:9091",
            "gw.mon.svc:9091",
        ] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "",
            "gw",
            ":9091",
            "gw:",
            "gw:x",
            "gw:99999",
            "http://gw:9091",
            "::1:9091",
        ] {
            assert!(!is_address(bad), "{bad}");
        }
    }

    #[test]
    fn the_body_is_the_text_format() {
        let snapshot = Snapshot {
            files: 2,
            files_done: 1,
            items: 7,
            ..Snapshot::default()
        };
        let body = exposition(&snapshot);
        assert!(body.ends_with('\n'));
        let values: Vec<_> = body.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            values,
            [
                "migration_completion_percent 0.5",
                "migration_complete_total 0",
                "migration_failed_total 0",
                "migration_items_complete_total 7",
            ]
        );
    }
}
