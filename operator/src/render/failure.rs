//! How a command says that it could not: one sentence with what, where and why, then the way out.

use std::fmt;

use super::text::{COLUMNS, wrap_lines};

/// What stands before the sentence.
const HEAD: &str = "error: ";

/// A failure for people, with the exit status that goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What, where, why: one sentence without a period.
    pub what: String,
    /// What to do, each on a line of its own.
    pub ways_out: Vec<String>,
}

impl Failure {
    /// Without a way out: the sentence says it.
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            ways_out: Vec::new(),
        }
    }

    /// From a sentence that holds the way out after a semicolon.
    pub fn said(sentence: &str) -> Self {
        match sentence.split_once("; ") {
            Some((what, way_out)) => Self::new(what).or(way_out),
            None => Self::new(sentence),
        }
    }

    /// About an object, from a text of the planner or of a platform: what is wrong, and after a semicolon the
    /// way out. The text may name the object itself.
    pub fn about(object: &str, text: &str) -> Self {
        let text = text
            .strip_prefix(object)
            .map_or(text, |rest| rest.trim_start_matches([':', ' ']));
        Self::said(&format!("{object}: {text}"))
    }

    /// With one more way out.
    #[must_use]
    pub fn or(mut self, way_out: impl Into<String>) -> Self {
        self.ways_out.push(way_out.into());
        self
    }

    /// From an error and what it was caused by, each said once.
    pub fn of(error: &dyn std::error::Error) -> Self {
        let mut what = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !what.contains(&text) {
                what = format!("{what}: {text}");
            }
            source = cause.source();
        }
        Self::new(what)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let indent = " ".repeat(HEAD.len());
        // What is wrong with a manifest may be several things, or show a place in it: further lines are indented.
        let mut lines = wrap_lines(HEAD, &indent, &self.what, COLUMNS);
        for way_out in &self.ways_out {
            lines.extend(wrap_lines(&indent, &indent, way_out, COLUMNS));
        }
        f.write_str(&lines.join("\n"))
    }
}

impl From<&dbop_api::Refusal> for Failure {
    fn from(refusal: &dbop_api::Refusal) -> Self {
        let failure = Failure::new(refusal.headline());
        if refusal.way_out.is_empty() {
            failure
        } else {
            failure.or(refusal.way_out.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use dbop_model::visible::hostile;

    use super::*;

    #[test]
    fn a_sentence_and_the_way_out() {
        let failure = Failure::new(
            "ManagedDatabase shop/crm: cannot log in to db.crm:3306 as 'admin': the server refused the \
             password (1045)",
        )
        .or("the DSN is read from Secret shop/crm-admin, key dsn");
        assert_eq!(
            failure.to_string(),
            "error: ManagedDatabase shop/crm: cannot log in to db.crm:3306 as 'admin': the server refused the\n       \
             password (1045)\n       \
             the DSN is read from Secret shop/crm-admin, key dsn"
        );
    }

    #[test]
    fn a_sentence_about_an_object_names_it_once() {
        let failure = Failure::about(
            "ManagedDatabase a/b",
            "ManagedDatabase a/b: x is missing; add it",
        );
        assert_eq!(
            failure.to_string(),
            "error: ManagedDatabase a/b: x is missing\n       add it"
        );
        let failure = Failure::about("ManagedDatabase a/b", "it is gone");
        assert_eq!(
            failure.to_string(),
            "error: ManagedDatabase a/b: it is gone"
        );
    }

    #[test]
    fn a_failure_is_harmless_whoever_it_quotes() {
        for text in hostile::texts() {
            let shown = Failure::about("ManagedDatabase a/b", &text)
                .or(text)
                .to_string();
            for line in shown.split('\n') {
                assert_eq!(hostile::harm(line), "", "{line}");
                assert!(!line.starts_with(hostile::FORGED), "{shown}");
            }
        }
    }

    #[test]
    fn a_cause_is_said_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read shop")]
        struct Outer(#[source] Inner);
        #[derive(Debug, thiserror::Error)]
        #[error("permission denied")]
        struct Inner;
        assert_eq!(
            Failure::of(&Outer(Inner)).what,
            "cannot read shop: permission denied"
        );
    }
}
