//! The Prometheus text format, read and written: samples, with the HELP and TYPE of their family.
//!
//! What pushing libraries write is taken, OpenMetrics' `# EOF` and exemplars included. Timestamps are
//! read and dropped, since what is kept is the latest push. The protobuf format is not read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// A push of more samples than this is not about a migration.
const SAMPLES_MAX: usize = 2_000;
/// Suffixes by which a sample belongs to the family that stands before it.
const SUFFIXES: [&str; 5] = ["_total", "_created", "_bucket", "_sum", "_count"];

/// What the operator's own series begin with.
const OWN_PREFIX: &str = "dba_operator_";

/// The types of the text format.
const KINDS: [&str; 5] = ["counter", "gauge", "histogram", "summary", "untyped"];

/// Labels by name.
pub(crate) type Labels = BTreeMap<String, String>;

/// Metrics of one name, or of one name and the suffixes that its type brings.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Family {
    /// `# HELP`, as it was written.
    pub(crate) help: Option<String>,
    /// `# TYPE`.
    pub(crate) kind: Option<String>,
    /// The samples, in the order they came.
    pub(crate) samples: Vec<Sample>,
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    /// The metric's name, suffix included.
    pub(crate) name: String,
    /// Its labels.
    pub(crate) labels: Labels,
    /// Its value.
    pub(crate) value: f64,
}

/// Families by name.
pub(crate) type Families = BTreeMap<String, Family>;

/// Why a body is not the text format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub(crate) struct FormatError {
    line: usize,
    reason: &'static str,
}

/// Reads a body.
pub(crate) fn parse(body: &str) -> Result<Families, FormatError> {
    let mut families = Families::new();
    let mut current: Option<String> = None;
    let mut samples = 0;
    for (index, line) in body.lines().enumerate() {
        let at = |reason| FormatError {
            line: index + 1,
            reason,
        };
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        if let Some(comment) = line.strip_prefix('#') {
            if let Some((name, field)) = description(comment) {
                let family = families.entry(name.clone()).or_default();
                match field {
                    Description::Help(help) => family.help = Some(help),
                    Description::Kind(kind) => family.kind = Some(kind),
                }
                current = Some(name);
            }
            continue;
        }
        samples += 1;
        if samples > SAMPLES_MAX {
            return Err(at("too many samples, 2,000 are taken"));
        }
        let sample = sample(line).map_err(at)?;
        let family = match &current {
            Some(name) if belongs(&sample.name, name) => name.clone(),
            _ => sample.name.clone(),
        };
        families.entry(family).or_default().samples.push(sample);
    }
    families.retain(|_, family| !family.samples.is_empty());
    Ok(families)
}

/// Writes families of one or several groups, each family once. Those that the text `behind` which they will stand has
/// already are left out, and whatever bears the operator's own prefix. So is what the text format cannot say, such as
/// a name with a space: one line that cannot be read costs a scraper all of them.
pub(crate) fn render<'a>(groups: impl Iterator<Item = &'a Families>, behind: &str) -> String {
    let taken: BTreeSet<&str> = behind
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let mut merged: BTreeMap<&str, Vec<&Family>> = BTreeMap::new();
    for (name, family) in groups.flatten() {
        let names = family.samples.iter().map(|sample| sample.name.as_str());
        let mut names = names.chain([name.as_str()]);
        if !names.any(|name| name.starts_with(OWN_PREFIX) || taken.contains(base(name, &taken))) {
            merged.entry(name).or_default().push(family);
        }
    }
    let mut text = String::new();
    for (name, families) in merged {
        let samples = families.iter().flat_map(|family| &family.samples);
        let mut samples = samples.filter(|sample| is_plain(sample)).peekable();
        if samples.peek().is_none() {
            continue;
        }
        // Groups may describe a family differently; a body that does is no longer the format.
        if let Some(help) = families.iter().find_map(|family| family.help.as_ref()) {
            let _ = writeln!(text, "# HELP {name} {help}");
        }
        let mut kinds = families.iter().filter_map(|family| family.kind.as_deref());
        if let Some(kind) = kinds.find(|kind| KINDS.contains(kind)) {
            let _ = writeln!(text, "# TYPE {name} {kind}");
        }
        for sample in samples {
            let _ = writeln!(text, "{}", line(sample));
        }
    }
    text
}

/// Has it names that stand without quotes (Prometheus documentation, "Data model")?
fn is_plain(sample: &Sample) -> bool {
    let word = |text: &str, colon: bool| {
        let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || "_:".contains(c));
        let goes_on = |c: char| c.is_ascii_alphanumeric() || c == '_' || colon && c == ':';
        begins && text.chars().all(goes_on)
    };
    word(&sample.name, true) && sample.labels.keys().all(|name| word(name, false))
}

/// The family among these that a sample of this name would belong to; else the name.
fn base<'a>(name: &'a str, families: &BTreeSet<&str>) -> &'a str {
    let stems = SUFFIXES
        .iter()
        .filter_map(|suffix| name.strip_suffix(suffix));
    let mut stems = stems.filter(|stem| families.contains(stem));
    stems.next().unwrap_or(name)
}

fn line(sample: &Sample) -> String {
    let value = match sample.value {
        v if v.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        v => v.to_string(),
    };
    if sample.labels.is_empty() {
        return format!("{} {value}", sample.name);
    }
    let labels: Vec<String> = sample
        .labels
        .iter()
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
        .collect();
    format!("{}{{{}}} {value}", sample.name, labels.join(","))
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

enum Description {
    Help(String),
    Kind(String),
}

/// `HELP name text` or `TYPE name kind`; any other comment is none.
fn description(comment: &str) -> Option<(String, Description)> {
    let comment = comment.trim_start();
    let (keyword, rest) = comment.split_once(char::is_whitespace)?;
    let rest = rest.trim_start();
    let (name, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let name = name.trim_matches('"').to_owned();
    match keyword {
        "HELP" => Some((name, Description::Help(text.trim().to_owned()))),
        "TYPE" => Some((name, Description::Kind(text.trim().to_owned()))),
        _ => None,
    }
}

fn belongs(sample: &str, family: &str) -> bool {
    sample
        .strip_prefix(family)
        .is_some_and(|rest| rest.is_empty() || SUFFIXES.contains(&rest))
}

/// `name{label="value",...} value [timestamp] [# exemplar]`.
fn sample(line: &str) -> Result<Sample, &'static str> {
    let name_ends = line
        .find(|c: char| c == '{' || c.is_whitespace())
        .ok_or("there is a name without a value")?;
    let (name, rest) = line.split_at(name_ends);
    let mut name = name.to_owned();
    let rest = rest.trim_start();
    let (labels, rest) = match rest.strip_prefix('{') {
        None => (Labels::new(), rest),
        Some(inside) => {
            let mut cursor = Cursor { text: inside };
            let labels = cursor.labels(&mut name)?;
            (labels, cursor.text)
        }
    };
    if !is_name(&name) {
        return Err("the name of the metric is not one");
    }
    let mut words = rest
        .split('#')
        .next()
        .unwrap_or_default()
        .split_whitespace();
    let value = words.next().ok_or("the value is missing")?;
    let value = number(value).ok_or("the value is not a number")?;
    if words.next().is_some_and(|time| number(time).is_none()) {
        return Err("the timestamp is not a number");
    }
    if words.next().is_some() {
        return Err("something stands after the timestamp");
    }
    Ok(Sample {
        name,
        labels,
        value,
    })
}

/// Go's and Python's spellings of the numbers that are none, besides plain ones.
fn number(text: &str) -> Option<f64> {
    match text.to_ascii_lowercase().as_str() {
        "nan" => Some(f64::NAN),
        "inf" | "+inf" => Some(f64::INFINITY),
        "-inf" => Some(f64::NEG_INFINITY),
        _ => text.parse().ok().filter(|value: &f64| value.is_finite()),
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_control() || c == '"')
}

struct Cursor<'a> {
    text: &'a str,
}

impl Cursor<'_> {
    /// What stands between the braces. A quoted word without a value is the metric's name itself, as
    /// Prometheus 3 writes names that are not plain.
    fn labels(&mut self, metric: &mut String) -> Result<Labels, &'static str> {
        let mut labels = Labels::new();
        loop {
            self.space();
            if self.eat('}') {
                return Ok(labels);
            }
            let quoted = self.text.starts_with('"');
            let name = if quoted { self.quoted()? } else { self.word() };
            self.space();
            if self.eat('=') {
                self.space();
                if !is_name(&name) {
                    return Err("the name of a label is missing");
                }
                let value = self.quoted()?;
                labels.insert(name, value);
            } else if quoted && metric.is_empty() {
                *metric = name;
            } else {
                return Err("a label has no value");
            }
            self.space();
            if !self.eat(',') && !self.text.starts_with('}') {
                return Err("labels are not closed by a brace");
            }
        }
    }

    fn space(&mut self) {
        self.text = self.text.trim_start();
    }

    fn eat(&mut self, wanted: char) -> bool {
        match self.text.strip_prefix(wanted) {
            Some(rest) => {
                self.text = rest;
                true
            }
            None => false,
        }
    }

    fn word(&mut self) -> String {
        let ends = self
            .text
            .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | ':' | '.' | '-')))
            .unwrap_or(self.text.len());
        let (word, rest) = self.text.split_at(ends);
        self.text = rest;
        word.to_owned()
    }

    fn quoted(&mut self) -> Result<String, &'static str> {
        const OPEN: &str = "the value of a label is not in quotes";
        if !self.eat('"') {
            return Err(OPEN);
        }
        let mut value = String::new();
        let mut chars = self.text.chars();
        while let Some(c) = chars.next() {
            match c {
                '"' => {
                    self.text = chars.as_str();
                    return Ok(value);
                }
                '\\' => match chars.next() {
                    Some('n') => value.push('\n'),
                    Some(other @ ('\\' | '"')) => value.push(other),
                    Some(other) => value.extend(['\\', other]),
                    None => return Err(OPEN),
                },
                c => value.push(c),
            }
        }
        Err(OPEN)
    }
}

#[cfg(test)]
mod tests {
    use dbop_model::visible::{self, hostile};

    use super::*;

    #[track_caller]
    fn check(body: &str, expect: &[&str]) {
        let families = parse(body).unwrap();
        let got: Vec<String> = families
            .values()
            .flat_map(|family| &family.samples)
            .map(line)
            .collect();
        assert_eq!(got, expect);
    }

    #[track_caller]
    fn refused(body: &str, expect: &str) {
        assert_eq!(parse(body).unwrap_err().to_string(), expect);
    }

    #[test]
    fn what_people_push_by_hand() {
        check(
            "migration_completion_percent 0.25\n",
            &["migration_completion_percent 0.25"],
        );
        check("a 1", &["a 1"]);
        check("a{} 1\n\n  b\t2  \n", &["a 1", "b 2"]);
        check(
            "a{job_id=\"j\", x=\"y\",} 1 1700000000000\n",
            &["a{job_id=\"j\",x=\"y\"} 1"],
        );
    }

    #[test]
    fn values_that_are_no_numbers() {
        check(
            "a NaN\nb +Inf\nc -Inf\nd 1e3\ne inf\n",
            &["a NaN", "b +Inf", "c -Inf", "d 1000", "e +Inf"],
        );
        refused("a 1e999", "line 1: the value is not a number");
        refused("a eins", "line 1: the value is not a number");
        refused("a 1 2 3", "line 1: something stands after the timestamp");
        refused("\na", "line 2: there is a name without a value");
        refused("a{x=\"y\"}", "line 1: the value is missing");
    }

    #[test]
    fn escapes_read_back_as_they_were() {
        let body = "a{path=\"C:\\\\x\",say=\"\\\"hi\\\"\",two=\"1\\n2\",brace=\"}\"} 1";
        let families = parse(body).unwrap();
        let labels = &families["a"].samples[0].labels;
        assert_eq!(labels["path"], "C:\\x");
        assert_eq!(labels["say"], "\"hi\"");
        assert_eq!(labels["two"], "1\n2");
        assert_eq!(labels["brace"], "}");
        let again = parse(&render([&families].into_iter(), "")).unwrap();
        assert_eq!(again, families);
        refused(
            "a{x=\"y} 1",
            "line 1: the value of a label is not in quotes",
        );
        refused("a{x} 1", "line 1: a label has no value");
        refused(
            "a{x=\"1\" y=\"2\"} 1",
            "line 1: labels are not closed by a brace",
        );
    }

    #[test]
    fn python_prometheus_client_writes_this() {
        let body = "# HELP migration_items_complete_total Items\n\
                    # TYPE migration_items_complete_total counter\n\
                    migration_items_complete_total{job_id=\"j\"} 12.0\n\
                    # HELP migration_items_complete_created Items\n\
                    # TYPE migration_items_complete_created gauge\n\
                    migration_items_complete_created{job_id=\"j\"} 1.7640000001234567e+09\n";
        let families = parse(body).unwrap();
        assert_eq!(families.len(), 2);
        let family = &families["migration_items_complete_total"];
        assert_eq!(family.kind.as_deref(), Some("counter"));
        assert_eq!(family.help.as_deref(), Some("Items"));
        assert_eq!(family.samples[0].value, 12.0);
    }

    #[test]
    fn open_metrics_and_quoted_names() {
        check(
            "# TYPE a counter\na_total 3 # {trace=\"x\"} 1 1.5\na_created 1\n# EOF\n",
            &["a_total 3", "a_created 1"],
        );
        check("{\"my.metric\",x=\"y\"} 1", &["my.metric{x=\"y\"} 1"]);
    }

    #[test]
    fn a_family_of_two_groups_is_described_once() {
        let one = parse("# HELP a Words\n# TYPE a gauge\na{g=\"1\"} 1\n").unwrap();
        let two = parse("# HELP a Other words\n# TYPE a gauge\na{g=\"2\"} 2\n").unwrap();
        assert_eq!(
            render([&one, &two].into_iter(), ""),
            "# HELP a Words\n# TYPE a gauge\na{g=\"1\"} 1\na{g=\"2\"} 2\n"
        );
    }

    #[test]
    fn too_much_is_refused() {
        let body = "a 1\n".repeat(SAMPLES_MAX + 1);
        refused(&body, "line 2001: too many samples, 2,000 are taken");
    }

    #[test]
    fn no_push_makes_a_body_that_cannot_be_read() {
        let quoted = |text: &str| {
            let text = text.replace('\\', r"\\").replace('"', "\\\"");
            text.replace('\n', "\\n")
        };
        for text in hostile::texts() {
            let value = quoted(&text);
            let one_line = text.replace(['\n', '\r'], " ");
            let body = format!(
                "# HELP m {one_line}\n# TYPE m {one_line}\nm{{a=\"{value}\"}} 1\nm{{\"a {value}\"=\"x\"}} 2\n\
                 m{{a.b=\"x\"}} 3\n{{\"x {value}\"}} 4\n"
            );
            // Control characters in names are refused; the rest has to be harmless where it is shown.
            let plain = format!("# TYPE m {one_line}\nm{{a=\"{value}\"}} 1\n");
            let families = parse(&body).or_else(|_| parse(&plain)).unwrap();
            let shown = render([&families].into_iter(), "");
            let shown = visible::metrics(&shown);
            let lines: Vec<&str> = shown.lines().collect();
            let (samples, comments): (Vec<&str>, Vec<&str>) =
                lines.iter().partition(|line| !line.starts_with('#'));
            let [sample] = samples[..] else {
                panic!("{shown}")
            };
            assert!(sample.starts_with("m{a=\""), "{sample}");
            assert!(
                comments.iter().all(|line| line.starts_with("# HELP m ")),
                "{shown}"
            );
            assert_eq!(hostile::harm(&lines.concat()), "", "{shown}");
        }
    }
}
