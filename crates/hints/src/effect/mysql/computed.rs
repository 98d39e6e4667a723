//! What no CHECK, generated column or default may hold (MySQL 8.4 manual, sections 15.1.20.6, 15.1.20.8 and 13.6; MariaDB,
//! Generated Columns and CONSTRAINT; errors 1054, 1901, 3102, 3109, 3763, 3770, 3812 to 3818).
//!
//! Which functions are refused where was measured on MySQL 9.7 and MariaDB 11.4. Of functions that are not in the table,
//! and of expressions that are not understood, nothing is said here.

use dbop_model::operation::{Column, Filled, Operation, ServerDefault, SqlType};
use dbop_model::table::{ColumnName, Generated, TableFacts};
use dbop_model::{Engine, Fact, Why};

use super::Form;
use super::functions;
use crate::case::Case;
use crate::effect::Class;
use crate::expression;
use crate::steps::ColumnStanding;

/// Where an expression stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// A CHECK of the table, or of a column, to which MySQL lets it be about nothing else.
    Check { of: Option<&'a ColumnName> },
    /// A generated column.
    Generated(Generated),
    /// A default in parentheses.
    Default,
}

/// Functions of the clock, of chance and of the session, whose value is another one tomorrow.
const CHANGING: [&str; 28] = [
    "connection_id",
    "curdate",
    "current_date",
    "current_role",
    "current_time",
    "current_timestamp",
    "current_user",
    "curtime",
    "database",
    "localtime",
    "localtimestamp",
    "now",
    "rand",
    "random_bytes",
    "schema",
    "session_user",
    "sys_guid",
    "sysdate",
    "system_user",
    "unix_timestamp",
    "user",
    "utc_date",
    "utc_time",
    "utc_timestamp",
    "uuid",
    "uuid_short",
    "uuid_v4",
    "version",
];
/// What MySQL lets into a CHECK all the same.
const CHANGING_IN_CHECKS: [&str; 2] = ["random_bytes", "sysdate"];
/// What hangs on the session's language or time zone, as MariaDB sees it.
const OF_SESSIONS: [&str; 4] = ["date_format", "dayname", "from_unixtime", "monthname"];
/// Functions that have left MySQL 9.
const HASHES: [&str; 3] = ["md5", "sha", "sha1"];
/// Functions that no definition can call.
const NOWHERE: [&str; 15] = [
    "benchmark",
    "found_rows",
    "get_lock",
    "icu_version",
    "is_free_lock",
    "is_used_lock",
    "last_insert_id",
    "load_file",
    "master_pos_wait",
    "name_const",
    "release_all_locks",
    "release_lock",
    "row_count",
    "sleep",
    "values",
];
/// Functions over several rows.
const OF_ROWS: [&str; 16] = [
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "count",
    "group_concat",
    "json_arrayagg",
    "json_objectagg",
    "max",
    "min",
    "row_number",
    "std",
    "stddev",
    "sum",
    "var_pop",
    "variance",
];

impl Place<'_> {
    fn words(self) -> &'static str {
        match self {
            Place::Check { .. } => "a CHECK",
            Place::Generated(_) => "a generated column",
            Place::Default => "a default",
        }
    }

    /// Does a server refuse what gives another value tomorrow there?
    fn is_lasting(self, engine: Engine) -> bool {
        match self {
            Place::Check { .. } | Place::Generated(Generated::Stored) => true,
            Place::Generated(Generated::Virtual) => engine == Engine::MySql,
            Place::Default => false,
        }
    }

    /// Does it refuse the number that the server counts there?
    fn is_before_numbering(self, engine: Engine) -> bool {
        !(engine == Engine::MariaDb && self == Place::Generated(Generated::Virtual))
    }
}

/// What a column's own definition computes it by, where the server refuses that.
pub(super) fn refused_column(
    case: &Case<'_>,
    facts: &TableFacts,
    column: &Column,
) -> Option<Class<Form>> {
    let computed = column.sql_type.as_ref().and_then(|sql_type| {
        let how = match sql_type.filled() {
            Filled::Stored => Generated::Stored,
            _ => Generated::Virtual,
        };
        Some((sql_type.computed()?, Place::Generated(how)))
    });
    if let Some((text, place)) = computed {
        return refused_clauses(case, column)
            .or_else(|| refused(case, facts, place, text))
            .or_else(|| refused_order(case, column, text));
    }
    match &column.default {
        ServerDefault::Expression(text) => refused(case, facts, Place::Default, text),
        ServerDefault::NotSaid | ServerDefault::Absent | ServerDefault::Present => None,
    }
}

/// A generated column over one that the same statement defines only behind it.
fn refused_order(case: &Case<'_>, column: &Column, text: &str) -> Option<Class<Form>> {
    let found = expression::mysql::read(text)?;
    let added = case.step.statement.operations.iter();
    let added = added.filter_map(|operation| match operation {
        Operation::AddColumn { columns, .. } => Some(columns),
        _ => None,
    });
    let behind = added
        .flatten()
        .skip_while(|other| other.name != column.name)
        .skip(1);
    let mut computed = behind.filter(|other| {
        let sql_type = other.sql_type.as_ref();
        sql_type.is_some_and(|sql_type| sql_type.computed().is_some()) && !other.placed
    });
    let other = computed.find(|other| {
        let mut read = found.columns.iter();
        read.any(|name| name.eq_ignore_ascii_case(other.name.as_str()))
    })?;
    Some(Class::refused(
        format!(
            "{} is computed from {}, which is computed itself and comes later (errors 3107, 4029)",
            column.name, other.name
        ),
        "put it behind the other one",
    ))
}

/// Clauses that have no place beside `AS (...)`.
fn refused_clauses(case: &Case<'_>, column: &Column) -> Option<Class<Form>> {
    let name = &column.name;
    let refused = |what: &str| {
        Some(Class::refused(
            format!("{name} is computed from other columns, and takes no {what} (error 1064)"),
            format!("leave {what} out"),
        ))
    };
    if column.default != ServerDefault::NotSaid {
        return refused("DEFAULT");
    }
    if case.server.engine == Engine::MariaDb {
        match column.nullable {
            Some(false) => return refused("NOT NULL"),
            Some(true) => return refused("NULL"),
            None => {}
        }
    }
    None
}

/// Why the server refuses an expression where it stands, whatever the rows.
pub(super) fn refused(
    case: &Case<'_>,
    facts: &TableFacts,
    place: Place<'_>,
    text: &str,
) -> Option<Class<Form>> {
    let engine = case.server.engine;
    let found = expression::mysql::read(text)?;
    let what = place.words();
    let refused = |why: String, advice: &str| Some(Class::refused(why, advice));
    if found.queries {
        return refused(
            format!("{what} cannot look at other rows by a query"),
            "write it over the columns of one row, or use a trigger",
        );
    }
    if found.variables && (engine == Engine::MySql || place.is_lasting(engine)) {
        return refused(
            format!("{what} cannot read a variable"),
            "write the value itself",
        );
    }
    let called = |is: &dyn Fn(&str, bool) -> bool| {
        let mut calls = found.calls.iter();
        calls
            .find(|(name, has_arguments)| is(name, **has_arguments))
            .map(|(name, _)| name)
    };
    if let Some(name) = called(&|name, _| OF_ROWS.contains(&name)) {
        return refused(
            format!("{what} cannot call {name}(), which is over several rows"),
            "write it over the columns of one row",
        );
    }
    if let Some(name) = called(&|name, _| NOWHERE.contains(&name)) {
        return refused(
            format!("{what} cannot call {name}()"),
            "leave it to the application, or to a trigger",
        );
    }
    if place.is_lasting(engine)
        && let Some(name) =
            called(&|name, has_arguments| is_changing(name, has_arguments, place, engine))
    {
        return refused(
            format!("{what} cannot call {name}(), which gives another value tomorrow"),
            "leave it to the application, or to a trigger",
        );
    }
    for name in &found.columns {
        let Ok(column) = ColumnName::new(name) else {
            continue;
        };
        if is_missing(case, facts, &column) {
            return refused(
                format!("{what} is over {name}, and there is no such column (error 1054)"),
                "correct the column's name, or add the column before",
            );
        }
        if place.is_before_numbering(engine) && counts_on(case, facts, &column) {
            return refused(
                format!("{what} cannot be over {name}, which counts on (AUTO_INCREMENT)"),
                "leave the column out of it",
            );
        }
    }
    // A function that somebody made is refused; one of the server's own that is not listed is not.
    let unknown = called(&|name, _| {
        let has_left = engine == Engine::MySql && case.server.major >= 9 && HASHES.contains(&name);
        has_left || !functions::is_own(name)
    })
    .map(|name| {
        let why = format!("whether {what} may call {name}() is not known");
        Class::Undecided(Why::new(why), Some("call the server's own functions alone"))
    });
    let Place::Check { of } = place else {
        return unknown;
    };
    if engine != Engine::MySql {
        return unknown;
    }
    if let Some(of) = of
        && let Some(other) = found
            .columns
            .iter()
            .find(|name| !name.eq_ignore_ascii_case(of.as_str()))
    {
        return refused(
            format!("the CHECK of {of} is about {other}, too (error 3813)"),
            "make it a CHECK of the table: ADD CONSTRAINT ... CHECK (...)",
        );
    }
    if found.is_condition == Some(false) {
        return refused(
            "its expression is no condition by its outermost operator (error 3812)".to_owned(),
            "compare it with something: (...) = TRUE",
        );
    }
    unknown
}

/// Does a function give another value tomorrow, as a server sees it?
fn is_changing(name: &str, has_arguments: bool, place: Place<'_>, engine: Engine) -> bool {
    let in_check = matches!(place, Place::Check { .. });
    match engine {
        Engine::MySql => {
            CHANGING.contains(&name) && !(in_check && CHANGING_IN_CHECKS.contains(&name))
        }
        _ => {
            let of_a_moment = name == "unix_timestamp" && has_arguments;
            OF_SESSIONS.contains(&name) || (CHANGING.contains(&name) && !of_a_moment)
        }
    }
}

/// Does nobody have a column of this name, whatever letters it is written in?
fn is_missing(case: &Case<'_>, facts: &TableFacts, name: &ColumnName) -> bool {
    let is = |other: &ColumnName| other.as_str().to_lowercase() == name.as_str().to_lowercase();
    let made = |operation: &Operation| match operation {
        Operation::AddColumn { columns, .. } | Operation::AlterColumn { columns, .. } => {
            columns.iter().any(|column| is(&column.name))
        }
        Operation::RenameColumn { to, .. } => is(to),
        _ => false,
    };
    !facts.columns.keys().any(is)
        && !case.step.statement.operations.iter().any(made)
        && matches!(case.step.column(name, facts), ColumnStanding::Missing)
}

/// Does a column count on, or will it by this statement?
fn counts_on(case: &Case<'_>, facts: &TableFacts, name: &ColumnName) -> bool {
    let is = |other: &ColumnName| other.as_str().eq_ignore_ascii_case(name.as_str());
    let defined = case
        .step
        .statement
        .operations
        .iter()
        .filter_map(|operation| match operation {
            Operation::AddColumn { columns, .. } | Operation::AlterColumn { columns, .. } => {
                Some(columns)
            }
            _ => None,
        })
        .flatten()
        .rfind(|column| is(&column.name) && column.sql_type.is_some());
    if let Some(column) = defined {
        let filled = column.sql_type.as_ref().map(SqlType::filled);
        return matches!(filled, Some(Filled::AutoIncrement | Filled::Serial));
    }
    match &facts.storage {
        Fact::Known(storage) => storage.auto_increment.as_ref().is_some_and(is),
        Fact::Unknown(_) => false,
    }
}
