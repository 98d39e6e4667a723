//! Trials: which statements a server may try on an empty copy of their table, and what comes of it.
//!
//! A copy has no row, no foreign key and no history, so a trial can say that a statement is dearer than predicted, or
//! refused whatever the data are; cheaper it makes it only where nothing of what a copy lacks makes it dear.

use std::collections::BTreeMap;

use dbop_model::finding::{Effect, Lock};
use dbop_model::operation::{
    Algorithm, Column, Constraint, ConstraintKind, Filled, IndexPart, Locking, Operation,
    ServerDefault, Statement, TableChange, Validity,
};
use dbop_model::table::{TableFacts, TableFactsSet, TableKind, TableName};
use dbop_model::trial::{Attempt, Trial};
use dbop_model::{Engine, Fact, ServerInfo};

use crate::case::Case;
use crate::effect::Refusal;
use crate::steps::{Standing, Step, walk};

/// Statements of one migration that are tried: each takes a server a few milliseconds.
const ATTEMPTS_MAX: usize = 50;

/// The statements that are worth a trial and safe to try, in their order. `facts` are those of
/// [`facts_wanted`](crate::facts_wanted).
///
/// Only statements that SQL gives, about one table that is there: what several statements do to a table is tried one
/// after the other, and where one of them cannot be tried, those after it are not.
pub fn trials_wanted(
    server: &ServerInfo,
    statements: &[Statement],
    facts: &TableFactsSet,
) -> Vec<Attempt> {
    let mut by_statement: BTreeMap<usize, Vec<Step<'_>>> = BTreeMap::new();
    for step in walk(statements) {
        by_statement.entry(step.at).or_default().push(step);
    }
    let mut closed: Vec<TableName> = Vec::new();
    let mut attempts = Vec::new();
    for (at, statement) in statements.iter().enumerate() {
        if statement.unread.is_some() || attempts.len() == ATTEMPTS_MAX {
            break;
        }
        let Some(steps) = by_statement.get(&at) else {
            continue;
        };
        let tables = || steps.iter().map(|step| step.operation.table());
        let is_open = !tables().any(|table| closed.iter().any(|other| other.may_be(table)));
        match attempt(server, at, statement, steps, facts) {
            Some(attempt) if is_open => attempts.push(attempt),
            _ => {
                let others = steps.iter().flat_map(|step| step.others());
                closed.extend(tables().chain(others).cloned());
            }
        }
    }
    attempts
}

fn attempt(
    server: &ServerInfo,
    at: usize,
    statement: &Statement,
    steps: &[Step<'_>],
    facts: &TableFactsSet,
) -> Option<Attempt> {
    let around = statement.around.clone()?;
    let first = steps.first()?;
    // Of a table that was renamed before there is no copy under its new name.
    let [table] = first.tables() else { return None };
    let Standing::Present(present) = first.standing(facts) else {
        return None;
    };
    let fits =
        |step: &Step<'_>| step.is_same_table(first) && is_tried(server.engine, step.operation);
    if table != first.operation.table()
        || present.kind != TableKind::Ordinary
        || !steps.iter().all(fits)
    {
        return None;
    }
    // Where it was found: the trial's session looks nothing up by a path.
    let found = present.schema.as_deref().or(table.schema());
    Some(Attempt {
        statement: at,
        table: TableName::new(found, table.name()).ok()?,
        around,
        expressions: steps
            .iter()
            .flat_map(|step| expressions(step.operation))
            .collect(),
        pinned: statement.algorithm.is_some() || statement.locking.is_some(),
    })
}

/// Does a copy tell what an operation does? It bears no name of an index or of a constraint for certain, and no foreign
/// key.
fn is_tried(engine: Engine, operation: &Operation) -> bool {
    let postgres = engine == Engine::PostgreSql;
    match operation {
        Operation::AddColumn { columns, .. } | Operation::AlterColumn { columns, .. } => columns
            .iter()
            .flat_map(|column| &column.constraints)
            .all(is_tried_constraint),
        Operation::DropColumn { .. } | Operation::RenameColumn { .. } => true,
        // CONCURRENTLY is for itself, and no part of a transaction that is taken back.
        Operation::CreateIndex { index, .. } => !postgres || !(index.online || index.only),
        Operation::AddConstraint { constraint, .. } => is_tried_constraint(constraint),
        Operation::ChangeTable { change, .. } => {
            !postgres
                && matches!(
                    change,
                    TableChange::Rebuild | TableChange::ConvertCharset { .. }
                )
        }
        Operation::DropIndex { .. }
        | Operation::DropConstraint { .. }
        | Operation::CreateTable { .. }
        | Operation::DropTable { .. }
        | Operation::CreateView { .. }
        | Operation::DropView { .. }
        | Operation::RenameTable { .. } => false,
    }
}

fn is_tried_constraint(constraint: &Constraint) -> bool {
    let kind = match constraint.kind() {
        ConstraintKind::Unique | ConstraintKind::PrimaryKey | ConstraintKind::NotNull => true,
        // What is not known cannot be judged harmless.
        ConstraintKind::Check => constraint.expression.is_some(),
        ConstraintKind::ForeignKey | ConstraintKind::Exclude => false,
    };
    kind && constraint.kind_said
        && constraint.using_index.is_none()
        && constraint.references.is_none()
        && constraint.validity == Validity::AllRows
}

/// What a server may compute of an operation.
fn expressions(operation: &Operation) -> Vec<String> {
    let of_constraint = |constraint: &Constraint| constraint.expression.clone();
    let of_column = |column: &Column| {
        let default = match &column.default {
            ServerDefault::Expression(text) => Some(text.clone()),
            ServerDefault::NotSaid | ServerDefault::Absent | ServerDefault::Present => None,
        };
        let computed = column.sql_type.as_ref().filter(|sql_type| {
            use Filled::{Stored, StoredOrVirtual, Virtual};
            matches!(sql_type.filled(), Stored | Virtual | StoredOrVirtual)
        });
        let computed = computed.map(|sql_type| sql_type.as_str().to_owned());
        let mut all: Vec<String> = [default, computed, column.using.clone()]
            .into_iter()
            .flatten()
            .collect();
        all.extend(column.constraints.iter().filter_map(of_constraint));
        all
    };
    match operation {
        Operation::AddColumn { columns, .. } | Operation::AlterColumn { columns, .. } => {
            columns.iter().flat_map(of_column).collect()
        }
        Operation::CreateIndex { index, .. } => {
            let parts = index.parts.iter().filter_map(|part| match part {
                IndexPart::Expression(text) => Some(text.clone()),
                IndexPart::Column(_) | IndexPart::Prefix(..) => None,
            });
            parts.chain(index.predicate.clone()).collect()
        }
        Operation::AddConstraint { constraint, .. } => {
            of_constraint(constraint).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// Makes of the trials what they say about the predictions.
pub(crate) fn apply(cases: &mut [Case<'_>]) {
    let mut told = None;
    for case in cases {
        let (Some(Fact::Known(trial)), Some(facts)) = (case.trial(), case.present()) else {
            continue;
        };
        match trial {
            // Of a statement with several operations one finding is enough.
            Trial::Refused { code, message } => {
                if told != Some(case.step.at) && case.prediction.refused.is_none() {
                    told = Some(case.step.at);
                    case.prediction.refused = Some(Refusal {
                        pinned: false,
                        why: format!("the server refuses it: {message} ({code})"),
                        advice: vec!["change the statement as the server's words say".to_owned()],
                    });
                    case.prediction.tried = true;
                }
            }
            // What does not get so far for another reason is said already.
            Trial::Done { .. } if case.prediction.refused.is_some() => {}
            Trial::Done {
                algorithm,
                locking,
                rewrites,
            } => {
                let said = match (algorithm, rewrites) {
                    (Some(algorithm), _) => {
                        let locking = locking.unwrap_or(Locking::None);
                        by_algorithm(case, facts, *algorithm, locking)
                    }
                    (None, Some(true)) => rewritten(case),
                    (None, _) => None,
                };
                if let Some(effect) = said {
                    case.prediction.effect = Fact::Known(effect);
                    case.prediction.why =
                        "the server did so with an empty copy of the table".to_owned();
                    case.prediction.tried = true;
                }
            }
        }
    }
}

/// PostgreSQL gave the copy new files: it does so with the table, under ACCESS EXCLUSIVE (manual, ALTER TABLE, Notes).
fn rewritten(case: &Case<'_>) -> Option<Effect> {
    let is_news = case
        .prediction
        .effect
        .known()
        .is_none_or(|effect| !effect.rewrite);
    is_news.then_some(Effect {
        lock: Lock::AccessExclusive,
        algorithm: None,
        rewrite: true,
        scan: true,
        blocks_reads: true,
        blocks_writes: true,
        duration: None,
    })
}

/// `None`: it is as predicted, or the copy lacks what makes the table's change dear.
fn by_algorithm(
    case: &Case<'_>,
    facts: &TableFacts,
    algorithm: Algorithm,
    locking: Locking,
) -> Option<Effect> {
    let said = (algorithm, locking);
    let predicted = case.prediction.effect.known().and_then(|effect| {
        let Lock::Metadata(locking) = effect.lock else {
            return None;
        };
        Some((effect.algorithm?, locking))
    });
    let counts = match predicted {
        None => true,
        Some(predicted) if said < predicted => is_like_its_copy(facts),
        Some(predicted) => said > predicted,
    };
    counts.then_some(Effect {
        lock: Lock::Metadata(locking),
        algorithm: Some(algorithm),
        rewrite: algorithm >= Algorithm::InPlace,
        scan: algorithm != Algorithm::Instant,
        blocks_reads: locking == Locking::Exclusive,
        blocks_writes: locking != Locking::None,
        duration: None,
    })
}

/// Has a table nothing that its copy lacks: no foreign key, and no column that was added or dropped at once?
fn is_like_its_copy(facts: &TableFacts) -> bool {
    let no_foreign_key = facts.constraints.is_known_and(|all| {
        all.iter()
            .all(|constraint| constraint.kind != ConstraintKind::ForeignKey)
    });
    let no_history = facts
        .storage
        .is_known_and(|storage| storage.row_versions.is_none_or(|versions| versions == 0));
    no_foreign_key && no_history
}

#[cfg(test)]
mod tests {
    use dbop_model::Why;
    use dbop_model::finding::{HintPolicy, Verdict};
    use dbop_model::operation::{Around, Dropping, Index, IndexKind};
    use dbop_model::table::{ConstraintFacts, Storage};

    use super::*;
    use crate::judge;
    use crate::testing::{
        NOW, add, column, default, facts_of, headed, large, name, other, present, server, typed,
        users,
    };

    /// As SQL gives it.
    fn said(operation: Operation) -> Statement {
        Statement {
            line: Some(1),
            around: Some(Around {
                before: "ALTER TABLE ".to_owned(),
                after: " ...".to_owned(),
            }),
            ..Statement::from(operation)
        }
    }

    fn index(online: bool) -> Operation {
        Operation::CreateIndex {
            table: users(),
            index: Index::new(IndexKind::Plain, vec![name("email")]).with_online(online),
        }
    }

    fn drop_constraint() -> Operation {
        let constraint = Constraint::new(ConstraintKind::Unique, vec![name("email")]).unwrap();
        Operation::DropConstraint {
            table: users(),
            constraint,
            dropping: Dropping::default(),
        }
    }

    #[track_caller]
    fn check_wanted(
        server: &ServerInfo,
        statements: &[Statement],
        table: TableFacts,
        expect: &[usize],
    ) {
        let facts = facts_of(statements, table);
        let wanted = trials_wanted(server, statements, &facts);
        let wanted: Vec<usize> = wanted.iter().map(|attempt| attempt.statement).collect();
        assert_eq!(wanted, expect, "{statements:?}");
    }

    #[test]
    fn only_what_sql_says_of_one_table_that_is_there_is_tried() {
        let (pg, my) = (server(18), other(Engine::MySql, 9, 7));
        let add = |name: &str| said(add(typed(name, "int")));
        check_wanted(&pg, &[add("a"), add("b")], present(), &[0, 1]);
        check_wanted(&pg, &[Statement::from(index(false))], present(), &[]);
        check_wanted(&pg, &[said(index(true)), add("a")], present(), &[]);
        check_wanted(&my, &[said(index(true)), add("a")], present(), &[0, 1]);
        let partitioned = TableFacts {
            kind: TableKind::Partitioned,
            ..present()
        };
        check_wanted(&pg, &[add("a")], partitioned, &[]);
        // What cannot be tried leaves the table as nobody knows for those after it.
        check_wanted(
            &pg,
            &[add("a"), said(drop_constraint()), add("b")],
            present(),
            &[0],
        );
        let unread = Statement {
            unread: Some("it may do anything".to_owned()),
            ..Statement::default()
        };
        check_wanted(&pg, &[add("a"), unread, add("b")], present(), &[0]);
        let rename = Operation::RenameTable {
            table: users(),
            to: "people".parse().unwrap(),
        };
        let on_people =
            said(Operation::add_column("people".parse().unwrap(), vec![column("x")]).unwrap());
        check_wanted(&pg, &[said(rename), on_people], present(), &[]);
    }

    #[test]
    fn what_a_server_would_compute_is_told() {
        let of = |operation: Operation| expressions(&operation);
        let filled = add(default(
            typed("a", "int GENERATED ALWAYS AS (b + 1) STORED"),
            "f(1)",
        ));
        assert_eq!(
            of(filled),
            ["f(1)", "int GENERATED ALWAYS AS (b + 1) STORED"]
        );
        let mut partial = Index::new(IndexKind::Plain, Vec::new());
        partial.parts = vec![IndexPart::Expression("lower(a)".to_owned())];
        partial.predicate = Some("b > g(2)".to_owned());
        let partial = Operation::CreateIndex {
            table: users(),
            index: partial,
        };
        assert_eq!(of(partial), ["lower(a)", "b > g(2)"]);
    }

    /// What stands against one statement whose trial came to this, and its effect.
    fn judged(
        server: &ServerInfo,
        operation: Operation,
        table: TableFacts,
        trial: Option<Fact<Trial>>,
    ) -> (String, String, Vec<String>) {
        let statements = [said(operation)];
        let mut facts = facts_of(&statements, table);
        facts.trials.extend(trial.map(|trial| (0, trial)));
        let judgement = judge(server, &statements, &facts, &HintPolicy::default(), NOW);
        let mut against = judgement.findings;
        against.retain(|finding| finding.verdict != Verdict::Clean);
        let effect = match &judgement.predicted[0].effect {
            Fact::Known(effect) => effect.to_string(),
            Fact::Unknown(why) => why.to_string(),
        };
        (headed(&against), effect, judgement.not_tried)
    }

    fn done(algorithm: Algorithm, locking: Locking) -> Option<Fact<Trial>> {
        Some(Fact::Known(Trial::Done {
            algorithm: Some(algorithm),
            locking: Some(locking),
            rewrites: None,
        }))
    }

    #[test]
    fn a_refusal_is_said_in_the_servers_own_words() {
        let refused = Fact::Known(Trial::Refused {
            code: "42804".to_owned(),
            message: "column \"a\" cannot be cast automatically".to_owned(),
        });
        let add = || add(typed("a", "int"));
        let (against, _, _) = judged(&server(18), add(), present(), Some(refused));
        assert_eq!(
            against,
            "WILL FAIL: addColumn users.a int: the server refuses it: column \"a\" cannot be cast automatically (42804)"
        );
        let (against, _, not_tried) = judged(&server(18), add(), present(), None);
        assert_eq!((against.as_str(), not_tried.len()), ("", 0));
    }

    #[test]
    fn what_could_not_be_tried_is_told_and_stops_nothing() {
        let why = Fact::Unknown(Why::new("no copy can be made"));
        let without = judged(&server(18), add(typed("a", "int")), present(), None);
        let with = judged(&server(18), add(typed("a", "int")), present(), Some(why));
        assert_eq!((&with.0, &with.1), (&without.0, &without.1));
        assert_eq!(with.2, ["line 1: no copy can be made"]);
    }

    #[test]
    fn new_files_are_a_rewrite() {
        let new_files = |rewrites| {
            Some(Fact::Known(Trial::Done {
                algorithm: None,
                locking: None,
                rewrites: Some(rewrites),
            }))
        };
        let add = || add(typed("a", "int"));
        let (against, effect, _) = judged(&server(18), add(), large(), new_files(true));
        assert!(effect.contains("rewrites the table"), "{effect}");
        assert!(against.starts_with("BLOCKS: "), "{against}");
        let as_predicted = judged(&server(18), add(), large(), None);
        assert_eq!(
            judged(&server(18), add(), large(), new_files(false)),
            as_predicted
        );
    }

    #[test]
    fn a_dearer_way_counts_and_a_cheaper_one_where_the_copy_lacks_nothing() {
        let mysql = other(Engine::MySql, 9, 7);
        let add = || add(typed("a", "int"));
        let effect = |table: TableFacts, trial| judged(&mysql, add(), table, trial).1;
        let instant = "ALGORITHM=INSTANT, LOCK=NONE, no rewrite, no scan";
        assert_eq!(effect(large(), None), instant);
        assert_eq!(
            effect(large(), done(Algorithm::Instant, Locking::None)),
            instant
        );
        let copied = effect(large(), done(Algorithm::Copy, Locking::Shared));
        assert!(
            copied.starts_with("ALGORITHM=COPY, LOCK=SHARED, rewrites the table"),
            "{copied}"
        );

        // 255 instant changes: the table has no room for another, and its copy has.
        let storage = Storage {
            engine: "InnoDB".to_owned(),
            row_versions: Some(255),
            ..Storage::default()
        };
        let full = || TableFacts {
            storage: Fact::Known(storage.clone()),
            ..large()
        };
        let predicted = effect(full(), None);
        assert_ne!(predicted, instant);
        assert_eq!(
            effect(full(), done(Algorithm::Instant, Locking::None)),
            predicted
        );
    }

    #[test]
    fn a_copy_has_no_foreign_key() {
        let key = ConstraintFacts {
            name: name("fk"),
            kind: ConstraintKind::ForeignKey,
            columns: vec![name("id")],
            condition: None,
            validated: true,
            other: None,
            incoming: true,
            cascades: true,
            sets_null: false,
        };
        assert!(is_like_its_copy(&present()));
        let referred = TableFacts {
            constraints: Fact::Known(vec![key]),
            ..present()
        };
        assert!(!is_like_its_copy(&referred));
        assert!(
            !is_like_its_copy(&TableFacts::new(TableKind::Ordinary)),
            "not known"
        );
    }
}
