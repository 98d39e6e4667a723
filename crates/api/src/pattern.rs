//! The shapes of texts: each regular expression stands in the schema, and beside it what people are
//! told when a text does not have that shape.

/// Names of Secrets and of DatabaseMigrations (RFC 1123 subdomain).
pub const SUBDOMAIN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// Keys of Secrets.
pub const SECRET_KEY: &str = r"^[-._a-zA-Z0-9]+$";
/// Durations: `500ms`, `5s`, `1m`, `1h30m`.
pub const DURATION: &str = r"^([0-9]{1,6}(ms|s|m|h))+$";
/// An address of a server.
pub const HOST_PORT: &str = r"^(\[[0-9a-fA-F:.]+\]|[-._a-zA-Z0-9]+):[0-9]{1,5}$";
/// Ids of hint rules.
pub const RULE_ID: &str = r"^[a-z0-9]+(-[a-z0-9]+)*$";
/// Names of containers and volumes (RFC 1123 label).
pub const DNS_LABEL: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// Values of labels.
pub const LABEL_VALUE: &str = r"^([A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?)?$";
/// Keys of labels and annotations. It stands in rules, which know no backslash.
pub const LABEL_KEY: &str = "^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?\
                             [A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?$";
/// Names of environment variables: Kubernetes takes any printable ASCII but `=`.
pub const VARIABLE: &str = "^[ -<>-~]+$";
/// Where a volume is mounted. Kubernetes refuses the colon; at the root there would be no image.
pub const MOUNT_PATH: &str = r"^/[^/:\x00-\x1f\x7f][^:\x00-\x1f\x7f]*$";
/// Where files are that a connection string names: no character of it means anything in any of them.
pub const PLAIN_PATH: &str = "^(/[-._a-zA-Z0-9]+)+$";
/// Types of Secrets.
pub const SECRET_TYPE: &str = "^[a-zA-Z0-9]([-._/a-zA-Z0-9]*[a-zA-Z0-9])?$";
/// A group and version of Kubernetes: `v1`, `argoproj.io/v1alpha1`.
pub const API_VERSION: &str =
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?v[0-9][a-z0-9]*$";
/// A kind of Kubernetes.
pub const KIND: &str = r"^[A-Z][A-Za-z0-9]*$";
/// Names of metrics (Prometheus documentation, "Metric names and labels"), without the colon of recording rules.
pub const METRIC: &str = "^[a-z][a-z0-9_]*$";
/// Names of labels of metrics. It stands in rules, which know no backslash.
pub const METRIC_LABEL: &str = "^[a-z][a-z0-9_]{0,62}$";
/// Any text without control characters.
pub const PRINTABLE: &str = r"^[^\x00-\x1f\x7f]+$";

/// What people are told of a pattern: what a text must be, and an example or a way out.
pub(crate) struct Words {
    pub(crate) pattern: &'static str,
    pub(crate) problem: &'static str,
    pub(crate) way_out: &'static str,
}

/// The words for a pattern of our schemas.
pub(crate) fn words(pattern: &str) -> Option<&'static Words> {
    WORDS.iter().find(|words| words.pattern == pattern)
}

const WORDS: &[Words] = &[
    Words {
        pattern: SUBDOMAIN,
        problem: "is no name of an object",
        way_out: "use lower-case letters, digits, '-' and '.', with a letter or digit at both ends",
    },
    Words {
        pattern: SECRET_KEY,
        problem: "is no key of a Secret",
        way_out: "use letters, digits, '-', '_' and '.'",
    },
    Words {
        pattern: DURATION,
        problem: "is no duration",
        way_out: "write a number and a unit (ms, s, m, h), such as 500ms, 5s, 1m or 1h30m",
    },
    Words {
        pattern: HOST_PORT,
        problem: "is no address",
        way_out: "write host:port, such as pushgateway.monitoring:9091",
    },
    Words {
        pattern: RULE_ID,
        problem: "is no id of a rule",
        way_out: "write it as the finding shows it, such as not-null-over-nulls",
    },
    Words {
        pattern: DNS_LABEL,
        problem: "is no DNS label",
        way_out: "use lower-case letters, digits and '-', with a letter or digit at both ends",
    },
    Words {
        pattern: LABEL_VALUE,
        problem: "is no value of a label",
        way_out: "use letters, digits, '-', '_' and '.', with a letter or digit at both ends",
    },
    Words {
        pattern: VARIABLE,
        problem: "is no name of a variable",
        way_out: "use letters, digits and '_'",
    },
    Words {
        pattern: MOUNT_PATH,
        problem: "is no path to mount something at",
        way_out: "write an absolute path without ':', such as /etc/migration",
    },
    Words {
        pattern: PLAIN_PATH,
        problem: "is no path that every connection string can name",
        way_out: "write an absolute path of letters, digits, '-', '_' and '.', such as /etc/database",
    },
    Words {
        pattern: SECRET_TYPE,
        problem: "is no type of a Secret",
        way_out: "write Opaque, or a name such as example.com/database",
    },
    Words {
        pattern: API_VERSION,
        problem: "is no apiVersion",
        way_out: "write group/version, such as argoproj.io/v1alpha1",
    },
    Words {
        pattern: KIND,
        problem: "is no kind",
        way_out: "write it as manifests do, such as Rollout",
    },
    Words {
        pattern: METRIC,
        problem: "is no name of a metric",
        way_out: "use lower-case letters, digits and '_', with a letter first",
    },
    Words {
        pattern: PRINTABLE,
        problem: "holds a line break or another control character",
        way_out: "write it on one line",
    },
];
