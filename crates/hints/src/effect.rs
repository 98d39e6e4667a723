//! What statements do on a server: which lock, rewrite and scan, and who is shut out for how long.
//!
//! Three layers: a *classifier* per engine reads an operation and the facts and names a form (`classify.rs`); a *table
//! of data* says what a form does on a version (`postgresql.rs`, `mysql.rs`); and here, what a whole statement, and a
//! transaction, makes of its forms. What cannot be decided is Unknown, never the likelier of two.

mod duration;
pub(crate) mod mysql;
pub(crate) mod postgresql;

use dbop_model::finding::{Effect, Lock};
use dbop_model::operation::Operation;
use dbop_model::table::{FactRequest, TableName};
use dbop_model::{Engine, Fact, Why};

use crate::case::Case;
use crate::steps::{Standing, Step};

/// What one operation's statement does to the operation's table.
#[derive(Debug, Clone)]
pub(crate) struct Prediction {
    /// What it does; the reason where that cannot be said.
    pub(crate) effect: Fact<Effect>,
    /// What of the statement makes it so: "its default calls random(), which gives every row its own value".
    pub(crate) why: String,
    /// The forms of this operation alone, for its advice.
    pub(crate) forms: Vec<Form>,
    /// What would let an effect be decided that is not.
    pub(crate) say: Option<&'static str>,
    /// The server refuses the statement whatever the data, before it does anything.
    pub(crate) refused: Option<Refusal>,
    /// Other tables whose size makes the work long, too.
    pub(crate) also: Vec<TableName>,
    /// Did a trial on a copy of the table say so?
    pub(crate) tried: bool,
    /// Where the effect is not known: the slowest that it can be, if that is.
    pub(crate) worst: Option<Effect>,
}

impl Prediction {
    /// Before anybody has looked.
    pub(crate) fn none() -> Self {
        Self::undecided(Why::new("it was not looked at"), None)
    }

    fn undecided(why: Why, say: Option<&'static str>) -> Self {
        Self {
            effect: Fact::Unknown(why),
            why: String::new(),
            forms: Vec::new(),
            say,
            refused: None,
            also: Vec::new(),
            tried: false,
            worst: None,
        }
    }
}

/// A form of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// PostgreSQL's.
    PostgreSql(postgresql::Form),
    /// MySQL's and MariaDB's.
    MySql(mysql::Form),
}

/// Why a server refuses a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Is it the `ALGORITHM` or `LOCK` that the statement asks for?
    pub(crate) pinned: bool,
    /// As a clause: "CONCURRENTLY cannot run inside a transaction".
    pub(crate) why: String,
    /// Ways out.
    pub(crate) advice: Vec<String>,
}

/// What a classifier says of one operation.
pub(crate) enum Class<F> {
    /// It does these, together.
    Forms(Vec<Part<F>>),
    /// It cannot be said: the missing fact, and what the operation could say instead.
    Undecided(Why, Option<&'static str>),
    /// The server refuses it.
    Refused(Refusal),
}

/// One thing that an operation does.
#[derive(Debug, Clone)]
pub(crate) struct Part<F> {
    pub(crate) form: F,
    /// Why it is of this form, as a clause.
    pub(crate) why: String,
}

impl<F> Part<F> {
    pub(crate) fn new(form: F, why: impl Into<String>) -> Self {
        let why = why.into();
        Self { form, why }
    }
}

impl<F> Class<F> {
    /// Of one form.
    pub(crate) fn one(form: F, why: impl Into<String>) -> Self {
        Class::Forms(vec![Part::new(form, why)])
    }

    /// Several as one: the first that is refused or undecided, else all forms.
    pub(crate) fn together(classes: impl Iterator<Item = Self>) -> Self {
        let (mut parts, mut undecided) = (Vec::new(), None);
        for class in classes {
            match class {
                Class::Refused(refusal) => return Class::Refused(refusal),
                Class::Undecided(why, say) => undecided = undecided.or(Some((why, say))),
                Class::Forms(more) => parts.extend(more),
            }
        }
        match undecided {
            Some((why, say)) => Class::Undecided(why, say),
            None => Class::Forms(parts),
        }
    }

    /// Refused for a reason of the server's grammar or rules.
    pub(crate) fn refused(why: impl Into<String>, advice: impl Into<String>) -> Self {
        Class::Refused(Refusal {
            pinned: false,
            why: why.into(),
            advice: vec![advice.into()],
        })
    }
}

/// Predicts every operation, in the order of the statements.
pub(crate) fn predict(cases: &mut [Case<'_>]) {
    let mut from = 0;
    while from < cases.len() {
        let statement = cases[from].step.at;
        let to = from
            + cases[from..]
                .iter()
                .take_while(|case| case.step.at == statement)
                .count();
        let predictions = match cases[from].server.engine {
            Engine::PostgreSql => postgresql::predict(&cases[from..to]),
            Engine::MySql | Engine::MariaDb => mysql::predict(&cases[from..to]),
        };
        for (case, prediction) in cases[from..to].iter_mut().zip(predictions) {
            case.prediction = prediction;
        }
        from = to;
    }
    crate::trial::apply(cases);
    hold_locks(cases);
    for case in cases {
        duration::estimate(case);
    }
}

/// A transaction holds every lock until its end (PostgreSQL): a lock that a statement takes for an instant lasts as
/// long as the slow statements after it, on this table and on others.
fn hold_locks(cases: &mut [Case<'_>]) {
    for later in 1..cases.len() {
        let transaction = cases[later].step.statement.transaction;
        if transaction.is_none() || cases[later].server.engine != Engine::PostgreSql {
            continue;
        }
        let Fact::Known(work) = cases[later].prediction.effect.clone() else {
            continue;
        };
        if !(work.rewrite || work.scan) || !works(&cases[later]) {
            continue;
        }
        let table = cases[later].table().clone();
        let today = cases[later].step.tables().first().unwrap_or(&table).clone();
        for earlier in 0..later {
            let held = &cases[earlier];
            if held.step.statement.transaction != transaction
                || held.step.at == cases[later].step.at
                || !matches!(held.standing, Standing::Present(_))
            {
                continue;
            }
            let Fact::Known(effect) = held.prediction.effect.clone() else {
                continue;
            };
            let same = held.place_is(&cases[later]);
            let at = if same { later } else { earlier };
            let prediction = &mut cases[at].prediction;
            let Fact::Known(changed) = &mut prediction.effect else {
                continue;
            };
            let stops = (effect.lock.stops_reads(), effect.lock.stops_writes());
            if (stops.0 && !changed.blocks_reads) || (stops.1 && !changed.blocks_writes) {
                changed.blocks_reads |= stops.0;
                changed.blocks_writes |= stops.1;
                changed.lock = changed.lock.max(effect.lock);
                if same {
                    prediction.why.push_str(&format!(
                        ", while the transaction holds {} from an earlier statement",
                        effect.lock
                    ));
                } else {
                    changed.scan = true;
                    prediction.why = format!(
                        "the transaction holds {} until its slow statement on {table} is done",
                        effect.lock
                    );
                    prediction.also.push(today.clone());
                }
            }
        }
    }
}

/// Can the work of a case be long? Not where its table is new or has no row.
fn works(case: &Case<'_>) -> bool {
    match &case.standing {
        Standing::Present(facts) => !facts.any_row.is_known_and(|any| !any),
        Standing::New | Standing::Missing | Standing::Unknown(_) => false,
    }
}

/// Why a server refuses an operation for itself, whatever else its statement does.
pub(crate) fn refusal(case: &Case<'_>) -> Option<Refusal> {
    match case.server.engine {
        Engine::PostgreSql => postgresql::refusal(case),
        Engine::MySql | Engine::MariaDb => mysql::refusal(case),
    }
}

/// What a statement on a table that the same migration creates does: nobody uses the table yet.
pub(crate) const ON_NEW_TABLE: &str = "this migration creates the table";

/// An effect that is over at once.
pub(crate) fn instant(lock: Lock) -> Effect {
    Effect {
        lock,
        algorithm: None,
        rewrite: false,
        scan: false,
        blocks_reads: false,
        blocks_writes: false,
        duration: None,
    }
}

/// The facts that predicting an operation needs.
pub(crate) fn wants(step: &Step<'_>, wanted: &mut std::collections::BTreeSet<FactRequest>) {
    if matches!(
        step.operation,
        Operation::CreateTable { .. } | Operation::CreateView { .. }
    ) {
        return;
    }
    for table in step.tables() {
        wanted.insert(FactRequest::Table(table.clone()));
        wanted.insert(FactRequest::Size(table.clone()));
        wanted.insert(FactRequest::AnyRow(table.clone()));
        wanted.insert(FactRequest::Indexes(table.clone()));
        wanted.insert(FactRequest::Constraints(table.clone()));
        wanted.insert(FactRequest::Storage(table.clone()));
    }
    for table in step.others() {
        wanted.insert(FactRequest::Table(table.clone()));
        wanted.insert(FactRequest::Size(table.clone()));
        wanted.insert(FactRequest::AnyRow(table.clone()));
    }
    if let Some(index) = step.index_named() {
        wanted.insert(FactRequest::IndexNamed(index.clone()));
    }
    postgresql::wants(step, wanted);
}
