//! What `database-operator status --output json` says, as far as the demo checks it.
//!
//! It reads JSON into a flat list of paths and values, which is all that is needed here: a JSON
//! library would be a third of what xtask takes to build.

use anyhow::{Context as _, Result, ensure};

/// The values of a document, each with the keys that lead to it.
pub(super) struct Status(Vec<(Vec<String>, String)>);

impl Status {
    /// Reads a document.
    pub(super) fn parse(text: &str) -> Result<Status> {
        let mut reader = Reader {
            rest: text,
            path: Vec::new(),
            values: Vec::new(),
        };
        reader
            .value()
            .with_context(|| format!("the operator's status is no JSON: {text}"))?;
        Ok(Status(reader.values))
    }

    /// The version that the database is at.
    pub(super) fn current(&self) -> Option<&str> {
        self.text("currentVersion")
    }

    /// The reason why it is ready, or not, in one word.
    pub(super) fn reason(&self) -> Option<&str> {
        self.of_ready("reason")
    }

    /// The same in words.
    pub(super) fn message(&self) -> Option<&str> {
        self.of_ready("message")
    }

    /// Whether it is at rest.
    pub(super) fn ready(&self) -> bool {
        self.of_ready("status") == Some("True")
    }

    /// The credentials that exist: the migration of each, and its login.
    pub(super) fn credentials(&self) -> Vec<(&str, &str)> {
        self.each("credentials", "migration")
            .map(|(path, migration)| (migration, self.beside(path, "username").unwrap_or("-")))
            .collect()
    }

    /// An error unless the database is at this version with exactly these credentials, and the server has
    /// exactly their logins (in order).
    pub(super) fn agrees(
        &self,
        current: &str,
        credentials: &[&str],
        in_server: &[String],
    ) -> Result<()> {
        ensure!(
            self.current() == Some(current),
            "the database is at {}, not at {current}",
            self.current().unwrap_or("no version")
        );
        let found = self.credentials();
        let names: Vec<&str> = found.iter().map(|(migration, _)| *migration).collect();
        ensure!(
            names == credentials,
            "the credentials are {}, not {}",
            names.join(", "),
            credentials.join(", ")
        );
        let mut logins: Vec<&str> = found.iter().map(|(_, login)| *login).collect();
        logins.sort_unstable();
        ensure!(
            in_server == logins,
            "the server has the logins {}, not {}",
            in_server.join(", "),
            logins.join(", ")
        );
        Ok(())
    }

    /// The rules that found something about the next migration.
    pub(super) fn rules(&self) -> Vec<&str> {
        self.each("findings", "rule")
            .map(|(_, rule)| rule)
            .collect()
    }

    /// The first value of this key.
    fn text(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(path, _)| path.last().is_some_and(|last| last == key))
            .map(|(_, value)| value.as_str())
    }

    /// The values of a key in the items of a list.
    fn each(&self, list: &str, key: &str) -> impl Iterator<Item = (&[String], &str)> {
        self.0
            .iter()
            .filter_map(move |(path, value)| match path.as_slice() {
                [.., above, _, last] if above == list && last == key => {
                    Some((path.as_slice(), value.as_str()))
                }
                _ => None,
            })
    }

    /// The value of another key of the same object.
    fn beside(&self, path: &[String], key: &str) -> Option<&str> {
        let object = path.split_last()?.1;
        self.0
            .iter()
            .find(|(path, _)| {
                path.split_last()
                    .is_some_and(|(last, front)| last == key && front == object)
            })
            .map(|(_, value)| value.as_str())
    }

    fn of_ready(&self, key: &str) -> Option<&str> {
        let (path, _) = self
            .each("conditions", "type")
            .find(|(_, kind)| *kind == "Ready")?;
        self.beside(path, key)
    }
}

/// Reads a document from front to back.
struct Reader<'a> {
    rest: &'a str,
    path: Vec<String>,
    values: Vec<(Vec<String>, String)>,
}

impl Reader<'_> {
    fn value(&mut self) -> Option<()> {
        match self.peek()? {
            '{' => self.items('}', |reader, _| {
                let key = reader.string()?;
                reader.expect(':')?;
                Some(key)
            }),
            '[' => self.items(']', |_, index| Some(index.to_string())),
            '"' => {
                let text = self.string()?;
                self.keep(text)
            }
            _ => {
                let end = self.rest.find([',', '}', ']']).unwrap_or(self.rest.len());
                let (word, rest) = self.rest.split_at(end);
                self.rest = rest;
                let word = word.trim().to_owned();
                (!word.is_empty()).then_some(())?;
                self.keep(word)
            }
        }
    }

    /// What stands between brackets, each with its key.
    fn items(&mut self, end: char, key: fn(&mut Self, usize) -> Option<String>) -> Option<()> {
        self.rest = &self.rest[1..];
        for index in 0.. {
            if self.peek()? == end {
                self.rest = &self.rest[1..];
                return Some(());
            }
            if index > 0 {
                self.expect(',')?;
            }
            let key = key(self, index)?;
            self.path.push(key);
            self.value()?;
            self.path.pop();
        }
        None
    }

    fn string(&mut self) -> Option<String> {
        self.expect('"')?;
        let mut text = String::new();
        let mut characters = self.rest.char_indices();
        loop {
            let (index, character) = characters.next()?;
            match character {
                '"' => {
                    self.rest = &self.rest[index + 1..];
                    return Some(text);
                }
                '\\' => match characters.next()?.1 {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'u' => {
                        let digits: String = characters.by_ref().take(4).map(|(_, c)| c).collect();
                        text.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                    }
                    other => text.push(other),
                },
                other => text.push(other),
            }
        }
    }

    fn keep(&mut self, value: String) -> Option<()> {
        self.values.push((self.path.clone(), value));
        Some(())
    }

    /// The next character that is no space.
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn expect(&mut self, wanted: char) -> Option<()> {
        (self.peek()? == wanted).then_some(())?;
        self.rest = &self.rest[wanted.len_utf8()..];
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"[ {"namespace": "default", "name": "shop", "status": {
        "conditions": [
          {"type": "HintsClear", "status": "True", "reason": "Clear", "message": ""},
          {"type": "Ready", "status": "False", "reason": "CredentialInUse",
           "message": "used by \"pid 7\"; \u0041"}],
        "currentVersion": "v2", "path": ["v3"], "nothing": null,
        "credentials": [{"migration": "v1", "username": "shop_v1_a", "inUse": true},
                        {"migration": "v2"}],
        "findings": [{"rule": "not-null-over-nulls"}] } } ]"#;

    #[test]
    fn what_the_demo_checks_is_found() {
        let status = Status::parse(TEXT).unwrap();
        assert_eq!(status.current(), Some("v2"));
        assert_eq!(status.reason(), Some("CredentialInUse"));
        assert_eq!(status.message(), Some("used by \"pid 7\"; A"));
        assert!(!status.ready());
        assert_eq!(status.credentials(), [("v1", "shop_v1_a"), ("v2", "-")]);
        assert_eq!(status.rules(), ["not-null-over-nulls"]);
    }

    #[test]
    fn what_is_no_json_is_told() {
        for text in ["", "{", "{\"a\" 1}", "[1", "{\"a\":}"] {
            assert!(Status::parse(text).is_err(), "{text}");
        }
        assert!(Status::parse("[]").unwrap().current().is_none());
    }
}
