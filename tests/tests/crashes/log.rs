//! What servers write down of the statements that they are given, line by line as it comes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use dbop_tests::{Engine, TestServer};

/// A statement, or its first line.
pub(crate) struct Said {
    pub(crate) user: String,
    /// The database that the user is connected to, where the log says it.
    pub(crate) database: Option<String>,
    pub(crate) sql: String,
}

/// A server's log.
pub(crate) struct Log {
    tail: Tail,
    engine: Engine,
    /// Who began a statement with an empty line: what it says comes with the next.
    begun_by: Option<(String, Option<String>)>,
    /// MySQL and MariaDB: who is connected, by the number of the connection.
    users: BTreeMap<u64, String>,
}

impl Log {
    /// What comes from now on.
    ///
    /// # Panics
    /// When the server has no log.
    #[track_caller]
    pub(crate) fn at_end(server: &TestServer) -> Log {
        Log {
            tail: Tail::at_end(server.statements()),
            engine: server.engine(),
            begun_by: None,
            users: BTreeMap::new(),
        }
    }

    /// The statements that have come.
    pub(crate) fn statements(&mut self) -> Vec<Said> {
        let lines = self.tail.lines();
        lines
            .iter()
            .filter_map(|line| match self.engine {
                Engine::Postgres => self.line_of_postgres(line),
                Engine::MariaDb | Engine::MySql => self.line_of_mysql(line),
            })
            .collect()
    }

    /// `... [pid] user@database LOG:  statement: ...`. What follows of a statement of several lines begins with
    /// a tab.
    fn line_of_postgres(&mut self, line: &str) -> Option<Said> {
        if let Some(sql) = line.strip_prefix('\t') {
            return self.goes_on(sql);
        }
        let (_, after) = line.split_once("] ")?;
        let (who, said) = after.split_once(" LOG:  ")?;
        let (user, database) = who.rsplit_once('@')?;
        let (how, sql) = said.split_once(": ")?;
        let is_statement = how == "statement" || how.starts_with("execute");
        if !is_statement {
            return None;
        }
        self.begins(user.to_owned(), Some(database.to_owned()), sql)
    }

    /// `time  number Query  ...`, with tabs around the number and what it did; MariaDB leaves out a time that is
    /// the line's before. What follows of a statement of several lines is as it was written.
    fn line_of_mysql(&mut self, line: &str) -> Option<Said> {
        let Some((number, did, what)) = entry_of_mysql(line) else {
            return self.goes_on(line);
        };
        self.begun_by = None;
        match did {
            "Connect" => {
                let (user, _) = what.split_once('@')?;
                self.users.insert(number, user.to_owned());
                None
            }
            "Query" | "Execute" => {
                let user = self.users.get(&number)?.clone();
                self.begins(user, None, what)
            }
            _ => None,
        }
    }

    fn begins(&mut self, user: String, database: Option<String>, sql: &str) -> Option<Said> {
        if sql.trim().is_empty() {
            self.begun_by = Some((user, database));
            return None;
        }
        let sql = sql.to_owned();
        Some(Said {
            user,
            database,
            sql,
        })
    }

    fn goes_on(&mut self, sql: &str) -> Option<Said> {
        let (user, database) = self.begun_by.take()?;
        self.begins(user, database, sql)
    }
}

fn entry_of_mysql(line: &str) -> Option<(u64, &str, &str)> {
    let (time, rest) = line.split_once('\t')?;
    // A time, or none: then there is one more tab.
    if !time.is_empty() && !time.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (head, what) = rest.trim_start().split_once('\t')?;
    let (number, did) = head.split_once(' ')?;
    Some((number.parse().ok()?, did, what))
}

/// The end of a file that grows.
pub(crate) struct Tail {
    path: PathBuf,
    read: u64,
    part: Vec<u8>,
    file: Option<File>,
}

impl Tail {
    pub(crate) fn at_end(path: &Path) -> Tail {
        Tail {
            path: path.to_owned(),
            read: path.metadata().map_or(0, |about| about.len()),
            part: Vec::new(),
            file: None,
        }
    }

    /// The lines that have come, whole ones only.
    pub(crate) fn lines(&mut self) -> Vec<String> {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
            if let Some(file) = &mut self.file {
                file.seek(SeekFrom::Start(self.read))
                    .expect("a log can be read from any place");
            }
        }
        let Some(file) = &mut self.file else {
            return Vec::new();
        };
        file.read_to_end(&mut self.part).expect("a log can be read");
        let Some(end) = self.part.iter().rposition(|byte| *byte == b'\n') else {
            return Vec::new();
        };
        let rest = self.part.split_off(end + 1);
        let whole = std::mem::replace(&mut self.part, rest);
        let text = String::from_utf8_lossy(&whole);
        text.lines().map(str::to_owned).collect()
    }
}
