//! Does a statement shut readers or writers out of a large table? The judge that the large-table rules share.

use dbop_model::Fact;
use dbop_model::finding::{Effect, Evidence, Finding, Verdict};
use dbop_model::table::TableFacts;

use crate::case::{Case, unknown};
use crate::judge::advice;
use crate::size::{Size, in_words, per_second_in_words, weigh};
use crate::steps::Standing;

/// Judges an operation by its predicted effect and the table's size. `what` names the operation as a clause: "adding
/// users.code".
pub(crate) fn judge(case: &Case<'_>, rule: &str, what: &str) -> Vec<Finding> {
    let facts = match &case.standing {
        Standing::Missing | Standing::New => return Vec::new(),
        Standing::Unknown(why) => return vec![case.unseen(rule, why)],
        Standing::Present(facts) => facts,
    };
    if case.prediction.refused.is_some() {
        return Vec::new();
    }
    let finding = |verdict, claim: String| Finding {
        evidence: evidence(case, facts),
        effect: case.prediction.effect.known().cloned(),
        ..case.finding(rule, verdict, claim)
    };
    if case.is_empty() {
        let claim = format!("{what}: the table has no row");
        return vec![Finding {
            evidence: vec![case.seen_empty()],
            ..finding(Verdict::Clean, claim)
        }];
    }
    let why = &case.prediction.why;
    vec![match &case.prediction.effect {
        Fact::Known(effect) if is_harmless(Some(effect)) => {
            finding(Verdict::Clean, format!("{what}: {why}"))
        }
        Fact::Known(effect) => match size(case, facts) {
            Size::Small => {
                let claim = format!("{what}: {why}, but the table is small");
                finding(Verdict::Clean, claim)
            }
            Size::Large => Finding {
                advice: advice::of(case),
                ..finding(
                    Verdict::Blocks,
                    format!("{what}: {why}, so {}", consequence(effect)),
                )
            },
            Size::Unknown(unseen) => Finding {
                advice: advice::of(case),
                ..finding(
                    unknown(&unseen),
                    format!("{what}: {why}, and how large the table is cannot be seen: {unseen}"),
                )
            },
        },
        Fact::Unknown(undecided) if is_harmless(case.prediction.worst.as_ref()) => finding(
            Verdict::Clean,
            format!("{what}: nobody waits even at the worst, though {undecided}"),
        ),
        Fact::Unknown(undecided) => match size(case, facts) {
            Size::Small => {
                let claim = format!("{what}: even a rewrite is short, the table is small");
                finding(Verdict::Clean, claim)
            }
            Size::Large | Size::Unknown(_) => Finding {
                advice: case.prediction.say.map(str::to_owned).into_iter().collect(),
                ..finding(
                    unknown(undecided),
                    format!("{what}: what it does to the table is not known: {undecided}"),
                )
            },
        },
    }]
}

/// Does nobody wait for it, however large the table is?
fn is_harmless(effect: Option<&Effect>) -> bool {
    effect.is_some_and(|effect| !effect.blocks_reads && !effect.blocks_writes)
}

/// "the whole large table is written anew", with who waits where it is not everybody.
fn consequence(effect: &Effect) -> &'static str {
    match (effect.rewrite, effect.blocks_reads) {
        (true, true) => "the whole large table is written anew",
        (true, false) => "the whole large table is written anew while writes wait",
        (false, true) => "the whole large table is scanned",
        (false, false) => "the whole large table is read while writes wait",
    }
}

/// The largest of the table and the others that the work is over.
pub(crate) fn size(case: &Case<'_>, facts: &TableFacts) -> Size {
    let own = if case.is_empty() {
        Size::Small
    } else {
        weigh(facts, case.policy)
    };
    case.prediction.also.iter().fold(own, |largest, table| {
        match (largest, case.facts_of(table)) {
            (Size::Large, _) => Size::Large,
            (largest, None) => largest,
            (largest, Some(facts)) if facts.any_row.is_known_and(|any| !any) => largest,
            (largest, Some(facts)) => match weigh(facts, case.policy) {
                Size::Small => largest,
                other => other,
            },
        }
    })
}

/// The sizes that the verdict rests on, and the rate of writes where it was measured.
pub(crate) fn evidence(case: &Case<'_>, facts: &TableFacts) -> Vec<Evidence> {
    let mut evidence: Vec<Evidence> = in_words(facts)
        .map(|(value, source)| case.seen(value, source))
        .into_iter()
        .collect();
    for table in &case.prediction.also {
        if let Some((value, source)) = case.facts_of(table).and_then(in_words) {
            evidence.push(case.seen(format!("{table}: {value}"), source));
        }
    }
    if let Some(rate) = facts.writes.known() {
        evidence.push(case.seen(per_second_in_words(rate.per_second), rate.source));
    }
    evidence
}

#[cfg(test)]
mod tests {
    use dbop_model::finding::HintPolicy;
    use dbop_model::operation::{
        Constraint, ConstraintKind, Index, IndexKind, Operation, Statement, TableChange,
    };
    use dbop_model::table::{Settings, TableFactsSet, TableState};
    use dbop_model::{Engine, ServerInfo};

    use super::*;
    use crate::testing::{
        NOW, facts_of, findings_on, headed, large, name, other, present, server, unknown,
    };

    fn index(kind: IndexKind) -> Operation {
        Operation::CreateIndex {
            table: "users".parse().unwrap(),
            index: Index::new(kind, vec![name("email")]),
        }
    }

    fn foreign_key() -> Operation {
        let mut constraint =
            Constraint::new(ConstraintKind::ForeignKey, vec![name("email")]).unwrap();
        constraint.references = Some("other".parse().unwrap());
        Operation::AddConstraint {
            table: "users".parse().unwrap(),
            constraint,
        }
    }

    #[track_caller]
    fn check(
        rule: &str,
        server: &ServerInfo,
        operation: &Operation,
        table: TableFacts,
        expect: &str,
    ) -> Vec<String> {
        let statements = [Statement::from(operation.clone())];
        let found = findings_on(rule, server, &statements, table, &HintPolicy::default());
        assert_eq!(headed(&found), expect);
        found
            .into_iter()
            .flat_map(|finding| finding.advice)
            .collect()
    }

    #[test]
    fn the_size_decides_where_writers_wait() {
        let rule = "blocking-index-large-table";
        let (pg, plain) = (server(18), index(IndexKind::Plain));
        let why =
            "index on users(email): without CONCURRENTLY, writes wait until the index is built";
        let advice = check(
            rule,
            &pg,
            &plain,
            large(),
            &format!("BLOCKS: {why}, so the whole large table is read while writes wait"),
        );
        assert_eq!(
            advice,
            [
                "build it while writes go on, outside of a transaction: CREATE INDEX CONCURRENTLY \
                 users_email_idx ON users (email);"
            ]
        );
        check(
            rule,
            &pg,
            &plain,
            present(),
            &format!("CLEAN: {why}, but the table is small"),
        );
        let unsized_table = TableFacts {
            rows: unknown("permission denied"),
            ..present()
        };
        check(
            rule,
            &pg,
            &plain,
            unsized_table,
            &format!(
                "UNKNOWN: {why}, and how large the table is cannot be seen: permission denied"
            ),
        );
        let empty = TableFacts {
            any_row: Fact::Known(false),
            ..large()
        };
        check(
            rule,
            &pg,
            &plain,
            empty,
            "CLEAN: index on users(email): the table has no row",
        );
        for engine in [other(Engine::MySql, 8, 4), other(Engine::MariaDb, 10, 11)] {
            check(
                rule,
                &engine,
                &plain,
                large(),
                "CLEAN: index on users(email): the index is built while writes go on",
            );
        }
    }

    #[test]
    fn the_way_out_is_a_command_for_this_table_and_change() {
        let advice = check(
            "blocking-index-large-table",
            &other(Engine::MySql, 8, 0),
            &index(IndexKind::Spatial),
            large(),
            "BLOCKS: index on users(email): a SPATIAL index is built while writes wait, so the whole \
             large table is read while writes wait",
        );
        assert_eq!(
            advice,
            [
                "MYSQL_PWD=\"$DBA_OP_PASSWORD\" pt-online-schema-change --execute --force \
                 --recursion-method=none --no-version-check --alter 'ADD SPATIAL INDEX `users_email_idx` (`email`)' \
                 \"h=$DBA_OP_HOST,P=$DBA_OP_PORT,u=$DBA_OP_USERNAME,D=$DBA_OP_DATABASE,t=users\"",
                "printf '[client]\\npassword=${DBA_OP_PASSWORD}\\n' | gh-ost --conf=/dev/stdin --execute \
                 --allow-on-master --assume-rbr --assume-master-host=\"$DBA_OP_HOST:$DBA_OP_PORT\" \
                 --ok-to-drop-table --initially-drop-socket-file \
                 $(case \"$DBA_OP_CONNECTION_STRING\" in *=DISABLED) ;; *) echo --ssl --ssl-allow-insecure;; esac) \
                 --replica-server-id=\"$(printf %s \"$DBA_OP_DATABASE\" | cksum | cut -d' ' -f1)\" \
                 --host=\"$DBA_OP_HOST\" --port=\"$DBA_OP_PORT\" --user=\"$DBA_OP_USERNAME\" \
                 --database=\"$DBA_OP_DATABASE\" --table='users' \
                 --alter='ADD SPATIAL INDEX `users_email_idx` (`email`)'",
                "gh-ost, from 1.1.8 on, works once a person has let the migrator see the server's metadata locks, and \
                 read its binary log, which holds the changes of every database there (deploy/examples/gh-ost)",
            ]
        );
    }

    /// With a tree for an answer the tool knows of no rows, and copies all of them at once.
    #[test]
    fn pt_online_schema_change_is_told_how_explain_is_to_answer() {
        let statements = [Statement::from(index(IndexKind::Spatial))];
        let facts = facts_of(&statements, large());
        for (engine, major, minor, is_told) in [
            (Engine::MariaDb, 11, 4, false),
            (Engine::MySql, 8, 0, false),
            (Engine::MySql, 8, 4, true),
            (Engine::MySql, 9, 7, true),
        ] {
            let server = other(engine, major, minor);
            let judgement = crate::judge(&server, &statements, &facts, &HintPolicy::default(), NOW);
            let mut advice = judgement.findings.into_iter().flat_map(|f| f.advice);
            let command = advice.find(|way| way.contains("pt-online-schema-change --execute"));
            let told = command
                .unwrap()
                .contains("--set-vars explain_format=TRADITIONAL");
            assert_eq!(told, is_told, "{engine} {major}.{minor}");
        }
    }

    /// gh-ost follows the server's log: without one of whole rows it is no way out. Nor is it on MariaDB, where its swap
    /// loses a write.
    #[test]
    fn gh_ost_is_advised_where_it_can_work() {
        #[track_caller]
        fn check(server: &ServerInfo, settings: Fact<Settings>, needs: Option<&str>) {
            let statements = [Statement::from(index(IndexKind::Spatial))];
            let mut facts = facts_of(&statements, large());
            facts.settings = settings;
            let judgement = crate::judge(server, &statements, &facts, &HintPolicy::default(), NOW);
            let advice = judgement.findings.into_iter().flat_map(|f| f.advice);
            let (commands, words): (Vec<String>, Vec<String>) = advice
                .filter(|way| way.contains("gh-ost"))
                .partition(|way| way.contains("--execute"));
            assert_eq!(words.first().map(String::as_str), needs);
            assert_eq!(commands.len(), words.len());
        }
        let with = Settings {
            logs_whole_rows: true,
            ..Settings::default()
        };
        const NEEDS: &str = "gh-ost, from 1.1.8 on, works once a person has let the migrator see the server's \
                             metadata locks, and read its binary log, which holds the changes of every database there \
                             (deploy/examples/gh-ost)";
        for (engine, major, minor, needs) in [
            (Engine::MariaDb, 11, 4, None),
            (Engine::MySql, 8, 0, Some(NEEDS)),
            (Engine::MySql, 9, 7, Some(NEEDS)),
        ] {
            let server = other(engine, major, minor);
            check(&server, Fact::Known(with.clone()), needs);
            check(&server, Fact::Known(Settings::default()), None);
            check(&server, unknown("permission denied"), None);
        }
    }

    /// Each row of the table is looked up in the other one, by its key: how large that is does not matter.
    #[test]
    fn a_foreign_key_takes_as_long_as_the_table_that_refers_is_large() {
        let statements = [Statement::from(foreign_key())];
        let mut facts: TableFactsSet = facts_of(&statements, present());
        let verdict = |facts: &TableFactsSet| {
            let judgement =
                crate::judge(&server(18), &statements, facts, &HintPolicy::default(), NOW);
            let of = judgement
                .findings
                .into_iter()
                .find(|f| f.rule == "constraint-large-table");
            of.unwrap()
        };
        assert_eq!(verdict(&facts).verdict, Verdict::Clean);
        facts.tables.insert(
            "other".parse().unwrap(),
            Fact::Known(TableState::Present(Box::new(large()))),
        );
        assert_eq!(verdict(&facts).verdict, Verdict::Clean);
        facts.tables.insert(
            "users".parse().unwrap(),
            Fact::Known(TableState::Present(Box::new(large()))),
        );
        let finding = verdict(&facts);
        assert_eq!(finding.verdict, Verdict::Blocks);
        assert_eq!(
            finding.advice,
            [
                "add it for new rows, which takes an instant: ALTER TABLE users ADD CONSTRAINT \
                 users_email_fkey FOREIGN KEY (email) REFERENCES other NOT VALID; then, in another \
                 transaction, while reads and writes go on: ALTER TABLE users VALIDATE CONSTRAINT \
                 users_email_fkey;"
            ]
        );
    }

    #[test]
    fn families() {
        let pg = server(18);
        let truncate = Operation::ChangeTable {
            table: "users".parse().unwrap(),
            change: TableChange::Truncate { cascade: false },
        };
        check(
            "table-rewrite",
            &pg,
            &truncate,
            large(),
            "CLEAN: changeTable users truncate: its files are replaced, whatever their size",
        );
        let bigint = crate::testing::column("email").with_type("bigint".parse().unwrap());
        let change = Operation::alter_column("users".parse().unwrap(), vec![bigint]).unwrap();
        check(
            "alter-column-rewrite",
            &pg,
            &change,
            large(),
            "BLOCKS: changing users.email: from text to bigint: every value is stored anew, so the \
             whole large table is written anew",
        );
    }
}
