//! What is wrong with an object that somebody wrote: which object, which field, what, and the way
//! out.

use std::fmt;

use dbop_model::visible;

/// One thing that is wrong with one object.
///
/// `Display` gives it on one line, for status and logs. Where there is room, the parts are shown
/// apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// The object.
    pub object: Subject,
    /// The path of the field, such as `spec.schemaHints[2].table`; empty: the object as a whole.
    pub field: String,
    /// What is wrong with it, as a clause to stand after the field.
    pub problem: String,
    /// What to do, as a clause; empty where the problem says it.
    pub way_out: String,
}

/// The object that a refusal is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// Its kind.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name; empty where it has none.
    pub name: String,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() {
            write!(f, "{} without a name", self.kind)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

impl Refusal {
    /// The first line: the object, the field and the problem, without the way out.
    pub fn headline(&self) -> String {
        if self.field.is_empty() {
            format!("{}: {}", self.object, self.problem)
        } else {
            format!("{}: {}: {}", self.object, self.field, self.problem)
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline())?;
        if self.way_out.is_empty() {
            Ok(())
        } else {
            write!(f, "; {}", self.way_out)
        }
    }
}

/// Everything that is wrong with an object, at least one thing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Refusals(Vec<Refusal>);

impl Refusals {
    /// `Err` with the refusals where there are any, else the value.
    ///
    /// # Errors
    /// The refusals.
    pub fn unless_none<T>(value: T, refusals: Vec<Refusal>) -> Result<T, Self> {
        if refusals.is_empty() {
            Ok(value)
        } else {
            Err(Self(refusals))
        }
    }

    /// They, in the order of the fields.
    pub fn iter(&self) -> std::slice::Iter<'_, Refusal> {
        self.0.iter()
    }
}

impl From<Refusal> for Refusals {
    fn from(one: Refusal) -> Self {
        Self(vec![one])
    }
}

impl IntoIterator for Refusals {
    type Item = Refusal;
    type IntoIter = std::vec::IntoIter<Refusal>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// One line for each: nothing that an object holds makes one of its own.
impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, refusal) in self.0.iter().enumerate() {
            if nth > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&visible::line(&refusal.to_string()))?;
        }
        Ok(())
    }
}
