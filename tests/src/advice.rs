//! What a finding advises, as what can be run: statements, or a command for a shell. Words around them are for people.
//!
//! In an advice SQL stands after a colon or after another statement, and ends with a semicolon.

/// How a command begins.
const COMMANDS: [&str; 2] = ["MYSQL_PWD=", "printf "];
/// How a statement begins.
const VERBS: [&str; 8] = [
    "ALTER TABLE ",
    "CREATE ",
    "DROP INDEX ",
    "REINDEX ",
    "SELECT ",
    "SET ",
    "TRUNCATE ",
    "UPDATE ",
];

/// One piece of advice that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Statements, in their order.
    Sql(Vec<String>),
    /// A command for a shell.
    Command(String),
}

impl Way {
    /// What an advice says to run; `None`: it is for people alone.
    ///
    /// # Panics
    /// When something in it is left to be filled in.
    #[must_use]
    #[track_caller]
    pub fn of(advice: &str) -> Option<Way> {
        if COMMANDS.iter().any(|begin| advice.starts_with(begin)) {
            is_complete(advice);
            return Some(Way::Command(advice.to_owned()));
        }
        let statements = statements(advice);
        statements
            .iter()
            .for_each(|statement| is_complete(statement));
        (!statements.is_empty()).then_some(Way::Sql(statements))
    }
}

#[track_caller]
fn is_complete(text: &str) {
    let is_hole = |part: &str| {
        part.split_once('>').is_some_and(|(hole, _)| {
            !hole.is_empty() && hole.chars().all(|c| c.is_ascii_lowercase() || c == ' ')
        })
    };
    assert!(
        !text.contains("...") && !text.split('<').skip(1).any(is_hole),
        "something is left to be filled in: {text}"
    );
}

/// The statements of an advice, without their semicolons.
fn statements(advice: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut begin, mut quote) = (0, None);
    for (at, c) in advice.char_indices() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"' | '`') => quote = Some(c),
            (None, ';') => {
                found.extend(statement(&advice[begin..at]));
                begin = at + 1;
            }
            (None, _) => {}
        }
    }
    found
}

/// The statement at the end of a piece of text.
fn statement(piece: &str) -> Option<String> {
    let piece = piece.trim_start();
    let begins = |text: &str| VERBS.iter().any(|verb| text.starts_with(verb));
    if begins(piece) {
        return Some(piece.to_owned());
    }
    let mut colons = piece
        .match_indices(": ")
        .map(|(at, colon)| at + colon.len());
    let at = colons.find(|at| begins(&piece[*at..]))?;
    Some(piece[at..].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_told_from_words() {
        let way = Way::of(
            "prove it first, while reads go on: ALTER TABLE t ADD CHECK (a <> ';') NOT VALID; then, \
             in another transaction: ALTER TABLE t VALIDATE CONSTRAINT c; UPDATE t SET a = 1; then \
             go on",
        );
        let expect = [
            "ALTER TABLE t ADD CHECK (a <> ';') NOT VALID",
            "ALTER TABLE t VALIDATE CONSTRAINT c",
            "UPDATE t SET a = 1",
        ];
        assert_eq!(way, Some(Way::Sql(expect.map(str::to_owned).to_vec())));
        assert_eq!(Way::of("ALTER TABLE is slow, so wait"), None);
        let command = "MYSQL_PWD=\"$DBA_OP_PASSWORD\" pt-online-schema-change --execute";
        assert_eq!(Way::of(command), Some(Way::Command(command.to_owned())));
    }

    #[test]
    #[should_panic(expected = "left to be filled in")]
    fn what_is_left_to_be_filled_in_is_found() {
        let _ = Way::of("so: ALTER TABLE t ADD COLUMN c int DEFAULT <value>;");
    }
}
