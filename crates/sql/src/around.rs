//! A statement's text around the name of its table, so that the same statement can be made of another table.
//!
//! A text that cannot be taken apart for certain is not: what is put together again is read again, and has to be the
//! same operations, all of the other table.

use dbop_model::Engine;
use dbop_model::operation::{Around, Operation};

use crate::lex::Kind;
use crate::split::{Piece, split};

/// A name that no table bears.
const OTHER: &str = "dbop_other_table";
/// Words that may stand between TABLE, or ON, and the table's name.
const BETWEEN: [&str; 3] = ["if", "exists", "only"];

/// `None`: it cannot be taken apart, or it names something in a schema beside its table.
pub(crate) fn around(
    engine: Engine,
    piece: &Piece<'_>,
    operations: &[Operation],
    read: impl Fn(&Piece<'_>) -> Option<Vec<Operation>>,
) -> Option<Around> {
    let name = name_at(piece)?;
    let is_dot = |at: usize| piece.of(&piece.tokens[at]) == ".";
    let names_others = (0..piece.tokens.len()).any(|at| !name.contains(&at) && is_dot(at));
    let text = piece.text();
    // Comments whose content MySQL and MariaDB run hide what is in them from nobody but a person.
    if names_others || text.contains("/*!") || text.contains("/*M!") {
        return None;
    }
    let begin = piece.tokens.first()?.start;
    let around = Around {
        before: text[..piece.tokens[name.start].start - begin].to_owned(),
        after: text[piece.tokens[name.end - 1].end - begin..].to_owned(),
    };
    let other = around.of(OTHER);
    let again = split(engine, &other);
    let [one] = again.as_slice() else { return None };
    let of_other = read(one)?;
    let same = of_other.len() == operations.len()
        && of_other.iter().zip(operations).all(|(one, two)| {
            let table = one.table();
            let moved = table.schema().is_none() && table.name() == OTHER;
            moved && one.op() == two.op()
        });
    (same && !operations.is_empty()).then_some(around)
}

/// The tokens of the table's name, of ALTER TABLE and CREATE INDEX.
fn name_at(piece: &Piece<'_>) -> Option<std::ops::Range<usize>> {
    let count = piece.tokens.len();
    let word = |at: usize, words: &[&str]| words.iter().any(|word| piece.is_word(at, word));
    let mut at = if piece.is_word(0, "alter") {
        let at = (1..count).find(|at| !word(*at, &["online", "ignore"]))?;
        piece.is_word(at, "table").then_some(at + 1)?
    } else if piece.is_word(0, "create") {
        let index = (1..count.min(5)).find(|at| piece.is_word(*at, "index"))?;
        let on = (index..count).find(|at| piece.is_word(*at, "on"))?;
        on + 1
    } else {
        return None;
    };
    while word(at, &BETWEEN) {
        at += 1;
    }
    let is_name = |at: usize| {
        let token = piece.tokens.get(at)?;
        matches!(token.kind, Kind::Word | Kind::Quoted).then_some(())
    };
    let start = at;
    is_name(at)?;
    at += 1;
    while at < count && piece.of(&piece.tokens[at]) == "." {
        is_name(at + 1)?;
        at += 2;
    }
    Some(start..at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(engine: Engine, sql: &str, expect: Option<&str>) {
        let statements = crate::read(engine, sql);
        let around = statements[0].around.as_ref();
        let shown = around.map(|around| around.of("COPY"));
        assert_eq!(shown.as_deref(), expect, "{sql}");
    }

    #[test]
    fn the_same_statement_of_another_table() {
        let pg = |sql: &str, expect: Option<&str>| check(Engine::PostgreSql, sql, expect);
        pg(
            "ALTER TABLE ONLY app.users ADD COLUMN a text DEFAULT 'app.users', ADD b int;",
            Some("ALTER TABLE ONLY COPY ADD COLUMN a text DEFAULT 'app.users', ADD b int"),
        );
        pg(
            "create unique index i on \"Users\" using btree (lower(name)) where a > 1.5",
            Some("create unique index i on COPY using btree (lower(name)) where a > 1.5"),
        );
        pg("ALTER TABLE users ADD a app.mood", None);
        pg("ALTER TABLE users ADD CHECK (app.f(a))", None);
        pg(
            "ALTER TABLE users RENAME TO people",
            Some("ALTER TABLE COPY RENAME TO people"),
        );
        pg("DROP TABLE users", None);
        pg("DROP INDEX i", None);
        pg("CREATE TABLE users (a int)", None);
        pg("DO $$ ALTER TABLE users $$", None);
        let my = |sql: &str, expect: Option<&str>| check(Engine::MySql, sql, expect);
        my(
            "ALTER TABLE `shop`.`or``ders` ADD COLUMN a INT, ALGORITHM=INSTANT",
            Some("ALTER TABLE COPY ADD COLUMN a INT, ALGORITHM=INSTANT"),
        );
        my(
            "CREATE FULLTEXT INDEX i ON t (a) COMMENT 'on t'",
            Some("CREATE FULLTEXT INDEX i ON COPY (a) COMMENT 'on t'"),
        );
        my("ALTER TABLE t /*! ADD a INT */", None);
        my(
            "CREATE INDEX `on` ON t (a)",
            Some("CREATE INDEX `on` ON COPY (a)"),
        );
    }
}
