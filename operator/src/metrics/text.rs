//! From OpenMetrics, which the library writes, to the older text format, in which migrations push.
//!
//! One answer has one format. The older one is read by everything that scrapes; it names a counter as its samples are
//! named, and knows neither units nor an end.

use std::borrow::Cow;
use std::collections::BTreeSet;

/// The same series in the text format.
pub(super) fn plain(open_metrics: &str) -> String {
    let counters: BTreeSet<&str> = open_metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines() {
        if line.starts_with("# UNIT ") || line == "# EOF" {
            continue;
        }
        match described(line).filter(|(_, name, _)| counters.contains(name)) {
            Some((keyword, name, rest)) => text.extend(["# ", keyword, " ", name, "_total ", rest]),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

/// A help text (Prometheus documentation, "Exposition formats"); values of labels the library escapes itself.
pub(super) fn escaped(help: &str) -> Cow<'_, str> {
    if !help.contains(['\\', '\n']) {
        return Cow::Borrowed(help);
    }
    Cow::Owned(help.replace('\\', "\\\\").replace('\n', "\\n"))
}

/// `# HELP name text` and `# TYPE name kind`, in parts.
fn described(line: &str) -> Option<(&str, &str, &str)> {
    let (keyword, rest) = line.strip_prefix("# ")?.split_once(' ')?;
    let (name, rest) = rest.split_once(' ')?;
    Some((keyword, name, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_named_as_their_samples() {
        let open = "# HELP a_runs Runs.\n# TYPE a_runs counter\na_runs_total{x=\"# EOF\"} 1\n\
                    # HELP b_seconds Time.\n# TYPE b_seconds histogram\n# UNIT b_seconds seconds\n\
                    b_seconds_sum 1.5\n# EOF\n";
        let expect = "# HELP a_runs_total Runs.\n# TYPE a_runs_total counter\na_runs_total{x=\"# EOF\"} 1\n\
                      # HELP b_seconds Time.\n# TYPE b_seconds histogram\nb_seconds_sum 1.5\n";
        assert_eq!(plain(open), expect);
    }
}
