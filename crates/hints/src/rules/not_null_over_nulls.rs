//! `not-null-over-nulls`: a column becomes NOT NULL while rows hold NULL, or by a scan of a large table.
//!
//! PostgreSQL reads the whole table under ACCESS EXCLUSIVE to be sure, unless a valid CHECK proves it (manual, ALTER
//! TABLE, SET NOT NULL); a CHECK that is NOT VALID proves nothing. MySQL writes it anew while writes go on. A MySQL that
//! is not strict, and only that, makes a value of a NULL instead of failing.

use std::collections::BTreeSet;

use dbop_model::finding::{Evidence, Finding, Verdict};
use dbop_model::operation::{ConstraintKind, Operation};
use dbop_model::table::{ColumnFacts, ColumnName, FactRequest, TableFacts};
use dbop_model::{Engine, Fact, Why};

use crate::case::{Case, unknown};
use crate::effect::postgresql::proof_in_migration;
use crate::judge::{advice, large_table};
use crate::rules::Rule;
use crate::rules::not_null_without_default::has_value;
use crate::size::{Size, age_in_words};
use crate::steps::{ColumnStanding, Standing, Step};

pub(crate) const RULE: Rule = Rule {
    id: "not-null-over-nulls",
    title: "A column becomes NOT NULL while rows hold NULL, or by a scan of a large table",
    page: &crate::pages::NOT_NULL_OVER_NULLS,
    wants,
    judge,
};

fn wants(step: &Step<'_>, wanted: &mut BTreeSet<FactRequest>) {
    for name in step.operation.becoming_not_null() {
        for table in step.tables() {
            wanted.insert(FactRequest::Table(table.clone()));
            wanted.insert(FactRequest::Size(table.clone()));
            wanted.insert(FactRequest::AnyRow(table.clone()));
            for column in step.column_names(name) {
                wanted.insert(FactRequest::Nulls {
                    table: table.clone(),
                    column,
                });
            }
        }
    }
}

fn judge(case: &Case<'_>) -> Vec<Finding> {
    let columns = case.step.operation.becoming_not_null().into_iter();
    match &case.standing {
        Standing::Missing | Standing::New => Vec::new(),
        Standing::Unknown(why) => columns.take(1).map(|_| case.unseen(RULE.id, why)).collect(),
        Standing::Present(facts) => columns
            .filter_map(|column| judge_column(case, facts, column))
            .collect(),
    }
}

/// What is known of the NULLs that SET NOT NULL would meet.
enum Nulls {
    /// There is one.
    Some(Evidence),
    /// There is none, and the server has to read every row to see it.
    None(Evidence),
    /// It cannot be said.
    Unknown(Why),
}

fn judge_column(case: &Case<'_>, facts: &TableFacts, column: &ColumnName) -> Option<Finding> {
    let what = format!("NOT NULL on {}.{column}", case.table());
    let effect = case.prediction.effect.known().cloned();
    let finding = |verdict, claim: String, evidence: Vec<Evidence>| Finding {
        evidence,
        effect: effect.clone(),
        ..case.finding(RULE.id, verdict, claim)
    };
    // No NULL is met; what else the statement does to a large table has to be known all the same.
    let no_null = |claim: String, evidence: Evidence| match &effect {
        Some(effect) if !effect.blocks_reads && !effect.blocks_writes => {
            Some(finding(Verdict::Clean, claim, vec![evidence]))
        }
        _ => large_table::judge(case, RULE.id, &what).into_iter().next(),
    };
    if case.prediction.refused.is_some() {
        return None;
    }
    let nulls = match case.step.column(column, facts) {
        // `missing-object` says so.
        ColumnStanding::Missing => return None,
        ColumnStanding::Present(_, catalogue) if !catalogue.nullable => {
            let seen = case.seen("declared NOT NULL", "the catalogue");
            return no_null(format!("{what}: it is already"), seen);
        }
        _ if facts.any_row.is_known_and(|any| !any) => {
            let claim = format!("{what}: the table has no row");
            return Some(finding(Verdict::Clean, claim, vec![case.seen_empty()]));
        }
        ColumnStanding::Present(
            _,
            ColumnFacts {
                proven_not_null_by: Some(check),
                ..
            },
        ) => {
            let seen = case.seen(format!("the valid constraint {check}"), "the catalogue");
            return no_null(
                format!("{what}: {check} proves it, so nothing is scanned"),
                seen,
            );
        }
        _ if proof_in_migration(case, column).is_some() => {
            let seen = case.seen(
                "a CHECK that this migration validates before",
                "the operations",
            );
            let claim = format!("{what}: a CHECK of this migration proves it");
            return no_null(claim, seen);
        }
        ColumnStanding::Present(name, _) => probed(case, facts, &name),
        ColumnStanding::Added(added) if has_value(added) => {
            let value = "this migration adds it with a value for every row";
            Nulls::None(case.seen(value, "the operation"))
        }
        ColumnStanding::Added(_) => Nulls::Unknown(Why::new(
            "this migration adds the column, and its operations do not say what it writes there",
        )),
    };
    let size = large_table::evidence(case, facts);
    let is_key = is_primary_key(case.step.operation);
    Some(match nulls {
        Nulls::Some(seen) if replaces_nulls(case) => Finding {
            advice: fill_first(case, column),
            ..finding(
                Verdict::ImplicitValue,
                format!(
                    "{what}: at least one row holds NULL, and the server makes a value of it, since \
                     sql_mode is not strict"
                ),
                [seen].into_iter().chain(size).collect(),
            )
        },
        Nulls::Some(seen) => Finding {
            advice: fill_first(case, column),
            ..finding(
                Verdict::WillFail,
                format!("{what}: at least one row holds NULL"),
                [seen].into_iter().chain(size).collect(),
            )
        },
        Nulls::Unknown(why) => Finding {
            advice: prove_or_probe(case, column),
            ..finding(
                unknown(&why),
                format!("{what}: whether a row holds NULL is not known: {why}"),
                size,
            )
        },
        // The rule about constraints says what building the key does.
        Nulls::None(_) if is_key => return None,
        Nulls::None(seen) => {
            let evidence = [seen].into_iter().chain(size).collect();
            let blocks = effect
                .as_ref()
                .map(|effect| effect.blocks_reads || effect.blocks_writes);
            let scanned = match case.server.engine {
                Engine::PostgreSql => "the whole large table is scanned",
                Engine::MySql | Engine::MariaDb => "the whole large table is written anew",
            };
            let (verdict, claim) = match (large_table::size(case, facts), blocks) {
                (_, Some(false)) => (Verdict::Clean, format!("{what}: no row holds NULL")),
                (Size::Small, _) => (
                    Verdict::Clean,
                    format!("{what}: no row holds NULL, and the scan is short"),
                ),
                (Size::Large, Some(true)) => (
                    Verdict::Blocks,
                    format!("{what}: no row holds NULL, but {scanned}"),
                ),
                (Size::Unknown(why), Some(true)) => (
                    unknown(&why),
                    format!(
                        "{what}: no row holds NULL, but how large the table is cannot be seen: {why}"
                    ),
                ),
                (Size::Large | Size::Unknown(_), None) => {
                    let why = undecided(case);
                    let claim = format!(
                        "{what}: no row holds NULL, but what it does to the table is not known: {why}"
                    );
                    (unknown(&why), claim)
                }
            };
            let advice = if verdict == Verdict::Clean {
                Vec::new()
            } else {
                prove_first(case, column)
            };
            Finding {
                advice,
                ..finding(verdict, claim, evidence)
            }
        }
    })
}

fn is_primary_key(operation: &Operation) -> bool {
    matches!(operation, Operation::AddConstraint { constraint, .. }
        if constraint.kind() == ConstraintKind::PrimaryKey)
}

/// Does the server make a value of a NULL rather than fail?
fn replaces_nulls(case: &Case<'_>) -> bool {
    case.server.engine != Engine::PostgreSql && case.strict().is_known_and(|strict| !strict)
}

fn undecided(case: &Case<'_>) -> Why {
    match &case.prediction.effect {
        Fact::Unknown(why) => why.clone(),
        Fact::Known(_) => Why::new("it was not looked at"),
    }
}

fn probed(case: &Case<'_>, facts: &TableFacts, column: &ColumnName) -> Nulls {
    match facts.nulls_in(column) {
        Fact::Unknown(why) => Nulls::Unknown(why),
        Fact::Known(probe) => {
            let source = format!("a bounded probe of {}", age_in_words(probe.took));
            if probe.found {
                Nulls::Some(case.seen("a row that holds NULL", source))
            } else {
                Nulls::None(case.seen("no row that holds NULL", source))
            }
        }
    }
}

fn fill_first(case: &Case<'_>, column: &ColumnName) -> Vec<String> {
    let dialect = case.dialect();
    let (table, column) = (dialect.table(case.table()), dialect.column(column));
    vec![
        format!(
            "fill the rows that hold NULL, in batches; so many there are: SELECT count(*) FROM \
             {table} WHERE {column} IS NULL;"
        ),
        "or have the migration fill them in an earlier step, and accept the finding".to_owned(),
    ]
}

fn prove_first(case: &Case<'_>, column: &ColumnName) -> Vec<String> {
    match case.server.engine {
        Engine::PostgreSql => vec![advice::prove_not_null(case, column)],
        Engine::MySql | Engine::MariaDb => advice::of(case),
    }
}

fn prove_or_probe(case: &Case<'_>, column: &ColumnName) -> Vec<String> {
    let mut advice = match case.server.engine {
        Engine::PostgreSql => prove_first(case, column),
        Engine::MySql | Engine::MariaDb => Vec::new(),
    };
    advice.push("or raise hints.probeTimeout, if it was the probe that took too long".to_owned());
    advice
}

#[cfg(test)]
mod tests {
    use dbop_model::finding::HintPolicy;
    use dbop_model::operation::{Column, Constraint, ServerDefault};
    use dbop_model::table::RowEstimate;
    use dbop_model::table::RowSource;

    use super::*;
    use crate::testing::{
        add, check, column, facts_of, findings, findings_on, large, name, other, present, rows,
        statements, unknown, users,
    };

    const ID: &str = RULE.id;

    fn not_null(column_name: &str) -> Operation {
        let column = column(column_name).with_nullable(false);
        Operation::alter_column("users".parse().unwrap(), vec![column]).unwrap()
    }

    #[test]
    fn no_null_clears_nothing_else_that_the_statement_does() {
        use dbop_model::Engine;
        let verdicts = |server, operation: Operation| -> Vec<Verdict> {
            let policy = HintPolicy::default();
            let statements = statements(&[operation]);
            let found = findings_on(ID, &server, &statements, large(), &policy);
            found.iter().map(|finding| finding.verdict).collect()
        };
        // It copies the table, since the column's characters change.
        let collated = Column {
            collation: Some("utf8mb4_bin".to_owned()),
            charset: Some("latin1".to_owned()),
            ..column("id").with_nullable(false)
        };
        let collated = Operation::alter_column(users(), vec![collated]).unwrap();
        let mysql = other(Engine::MySql, 8, 4);
        assert_eq!(verdicts(mysql.clone(), collated), [Verdict::Blocks]);
        assert_eq!(verdicts(mysql, not_null("id")), [Verdict::Clean]);
        // What a server does that nobody measured is not known.
        let unknown = Verdict::Unknown {
            looking_again_helps: false,
        };
        let later = other(Engine::MariaDb, 12, 0);
        assert_eq!(verdicts(later, not_null("id")), [unknown]);
    }

    fn proven() -> TableFacts {
        let mut facts = large();
        let email = facts.columns.get_mut(&name("email")).unwrap();
        email.proven_not_null_by = Some("email_not_null".to_owned());
        facts
            .nulls
            .insert(name("email"), unknown("the probe took longer than 5 s"));
        facts
    }

    #[test]
    fn nulls_make_it_fail_on_any_table() {
        for table in [present(), large()] {
            check(
                ID,
                &[not_null("phone")],
                &table,
                "WillFail: NOT NULL on users.phone: at least one row holds NULL",
            );
        }
        let columns = vec![name("email"), name("phone")];
        let constraint = Constraint::new(ConstraintKind::NotNull, columns).unwrap();
        check(
            ID,
            &[Operation::AddConstraint {
                table: "users".parse().unwrap(),
                constraint,
            }],
            &present(),
            "Clean: NOT NULL on users.email: no row holds NULL, and the scan is short\n\
             WillFail: NOT NULL on users.phone: at least one row holds NULL",
        );
    }

    #[test]
    fn without_nulls_the_size_decides() {
        check(
            ID,
            &[not_null("email")],
            &present(),
            "Clean: NOT NULL on users.email: no row holds NULL, and the scan is short",
        );
        check(
            ID,
            &[not_null("email")],
            &large(),
            "Blocks: NOT NULL on users.email: no row holds NULL, but the whole large table is \
             scanned",
        );
        let unsized_table = TableFacts {
            rows: unknown("permission denied"),
            ..present()
        };
        check(
            ID,
            &[not_null("email")],
            &unsized_table,
            "Unknown: NOT NULL on users.email: no row holds NULL, but how large the table is \
             cannot be seen: permission denied",
        );
        let source = RowSource::PlannerGuess;
        let guessed = Fact::Known(RowEstimate {
            rows: 400_000,
            source,
            age: None,
        });
        check(
            ID,
            &[not_null("email")],
            &TableFacts {
                rows: guessed,
                ..present()
            },
            "Unknown: NOT NULL on users.email: no row holds NULL, but how large the table is \
             cannot be seen: the table was never analysed, and a guess of 400 k rows can be off by \
             a factor of 3",
        );
    }

    #[test]
    fn proofs_clear_it() {
        check(
            ID,
            &[not_null("id")],
            &large(),
            "Clean: NOT NULL on users.id: it is already",
        );
        check(
            ID,
            &[not_null("email")],
            &proven(),
            "Clean: NOT NULL on users.email: email_not_null proves it, so nothing is scanned",
        );
        let empty = TableFacts {
            any_row: Fact::Known(false),
            rows: rows(0),
            ..large()
        };
        check(
            ID,
            &[not_null("email")],
            &empty,
            "Clean: NOT NULL on users.email: the table has no row",
        );
        check(ID, &[add(column("email"))], &large(), "");
    }

    #[test]
    fn a_probe_without_an_answer_is_unknown() {
        let mut facts = large();
        facts
            .nulls
            .insert(name("email"), unknown("the probe took longer than 5 s"));
        let expect = "Unknown: NOT NULL on users.email: whether a row holds NULL is not known: the \
                      probe took longer than 5 s";
        check(ID, &[not_null("email")], &facts, expect);
        let found = findings(
            ID,
            18,
            &[not_null("email")],
            facts.clone(),
            &HintPolicy::default(),
        );
        assert!(found[0].stops(), "waiting does not help");
        let locked = Fact::Unknown(Why::passing("another session holds a lock"));
        facts.nulls.insert(name("email"), locked);
        let found = findings(ID, 18, &[not_null("email")], facts, &HintPolicy::default());
        assert!(found[0].waits(), "waiting helps");
    }

    #[test]
    fn columns_that_the_migration_adds() {
        let zero = ServerDefault::new(None, Some("0")).unwrap();
        check(
            ID,
            &[add(column("n").with_default(zero)), not_null("n")],
            &present(),
            "Clean: NOT NULL on users.n: no row holds NULL, and the scan is short",
        );
        check(
            ID,
            &[add(column("n")), not_null("n")],
            &present(),
            "Unknown: NOT NULL on users.n: whether a row holds NULL is not known: this migration \
             adds the column, and its operations do not say what it writes there",
        );
    }

    #[test]
    fn a_renamed_column_is_probed_under_its_name_of_today() {
        let rename = Operation::RenameColumn {
            table: "users".parse().unwrap(),
            from: name("phone"),
            to: name("mobile"),
            if_exists: false,
        };
        let operations = [rename, not_null("mobile")];
        let facts = facts_of(&statements(&operations), present());
        assert!(facts.tables.contains_key(&"users".parse().unwrap()));
        check(
            ID,
            &operations,
            &present(),
            "WillFail: NOT NULL on users.mobile: at least one row holds NULL",
        );
    }

    #[test]
    fn other_servers() {
        use dbop_model::operation::Statement;
        use dbop_model::table::Settings;

        use crate::testing::{NOW, other};

        let on = |engine, column: &str, strict| {
            let statements = [Statement::from(not_null(column))];
            let mut facts = facts_of(&statements, large());
            facts.settings = Fact::Known(Settings {
                strict,
                ..Settings::default()
            });
            let server = match engine {
                Engine::MySql => other(engine, 8, 4),
                _ => other(engine, 10, 11),
            };
            let policy = HintPolicy::default();
            let judgement = crate::judge(&server, &statements, &facts, &policy, NOW);
            let found = judgement.findings.iter().find(|f| f.rule == ID);
            found.unwrap().verdict.as_str()
        };
        // Written anew, and writes go on.
        assert_eq!(on(Engine::MySql, "email", true), "Clean");
        assert_eq!(on(Engine::MariaDb, "email", true), "Clean");
        assert_eq!(on(Engine::MySql, "email", false), "Blocks");
        assert_eq!(on(Engine::MySql, "phone", true), "WillFail");
        assert_eq!(on(Engine::MySql, "phone", false), "ImplicitValue");
        assert_eq!(on(Engine::MariaDb, "phone", true), "WillFail");
    }
}
