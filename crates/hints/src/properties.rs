//! What holds of any statements on any server, whatever the facts: properties, over the whole vocabulary.

use proptest::prelude::*;

use dbop_model::finding::{HintPolicy, Verdict};
use dbop_model::operation::{
    Algorithm, Column, Constraint, ConstraintKind, Dropping, Filling, Index, IndexKind, IndexPart,
    Locking, Operation, PartitionVerb, Partitioning, ServerDefault, Statement, TableChange,
    TableOptions, Validity,
};
use dbop_model::table::{TableFactsSet, TableName, TableState};
use dbop_model::{Engine, Fact, ServerInfo};

use crate::judge;
use crate::testing::{NOW, column, facts_of, large, name, other, present, server};

fn any_server() -> impl Strategy<Value = ServerInfo> {
    prop_oneof![
        (14_u32..20).prop_map(server),
        prop_oneof![Just((8, 0)), Just((8, 4)), Just((9, 7)), Just((5, 7))]
            .prop_map(|(major, minor)| other(Engine::MySql, major, minor)),
        prop_oneof![Just((10, 6)), Just((11, 4)), Just((11, 8)), Just((12, 0))]
            .prop_map(|(major, minor)| other(Engine::MariaDb, major, minor)),
    ]
}

fn table() -> impl Strategy<Value = TableName> {
    "[ab]".prop_map(|text| text.parse().unwrap())
}

fn any_column() -> impl Strategy<Value = Column> {
    (
        "(c|d|id|email|phone)",
        any::<Option<bool>>(),
        "(text|serial|odd_type|int|varchar\\(20\\)|enum\\('a'\\))?",
        "(now\\(\\)|f\\(\\)|3|\\(1 \\+ 2\\))?",
        any::<(bool, bool)>(),
        prop::option::of(prop_oneof![
            Just(ConstraintKind::Unique),
            Just(ConstraintKind::Check),
            Just(ConstraintKind::ForeignKey),
        ]),
    )
        .prop_map(
            |(text, nullable, sql_type, default, (placed, redefined), kind)| {
                let mut column = column(&text);
                column.nullable = nullable;
                column.sql_type = sql_type.parse().ok();
                let default = Some(default.as_str()).filter(|text| !text.is_empty());
                column.default = ServerDefault::new(None, default).unwrap();
                column.placed = placed;
                column.redefined = redefined;
                column.constraints = kind
                    .map(|kind| Constraint::new(kind, vec![name(&text)]).unwrap())
                    .into_iter()
                    .collect();
                column
            },
        )
}

fn any_constraint() -> impl Strategy<Value = Constraint> {
    (
        prop_oneof![
            Just(ConstraintKind::Unique),
            Just(ConstraintKind::PrimaryKey),
            Just(ConstraintKind::NotNull),
            Just(ConstraintKind::Check),
            Just(ConstraintKind::ForeignKey),
            Just(ConstraintKind::Exclude),
        ],
        "(id|email|phone)",
        prop_oneof![
            Just(Validity::AllRows),
            Just(Validity::NewRows),
            Just(Validity::NoRow)
        ],
        any::<bool>(),
    )
        .prop_map(|(kind, column, validity, with_index)| {
            let mut constraint = Constraint::new(kind, vec![name(&column)]).unwrap();
            constraint.validity = validity;
            constraint.name = Some(name("k"));
            constraint.using_index = with_index.then(|| name("i"));
            constraint.references = Some("b".parse().unwrap());
            constraint
        })
}

fn any_change() -> impl Strategy<Value = TableChange> {
    let partition = || "a_1".parse().unwrap();
    prop_oneof![
        Just(TableChange::ValidateConstraint { name: name("k") }),
        any::<bool>().prop_map(|cascade| TableChange::Truncate { cascade }),
        Just(TableChange::Rebuild),
        any::<bool>().prop_map(|logged| TableChange::SetLogged { logged }),
        Just(TableChange::Move),
        any::<(bool, bool)>()
            .prop_map(|(online, by_name)| TableChange::Reindex { online, by_name }),
        Just(TableChange::RenameIndex { to: name("j") }),
        Just(TableChange::RenameConstraint {
            from: name("k"),
            to: name("l")
        }),
        Just(TableChange::AttachPartition {
            partition: partition(),
            bound: Some("DEFAULT".to_owned()),
        }),
        Just(TableChange::CreatePartition {
            partition: partition(),
            bound: None,
        }),
        any::<bool>().prop_map(move |online| TableChange::DetachPartition {
            partition: partition(),
            online
        }),
        Just(TableChange::Trigger),
        any_dropping().prop_map(|dropping| TableChange::DropTrigger {
            name: name("tr"),
            dropping
        }),
        Just(TableChange::Filling {
            column: name("email"),
            change: Filling::AddIdentity
        }),
        Just(TableChange::Parameters),
        Just(TableChange::ConvertCharset {
            charset: "utf8mb4".to_owned(),
            collation: None,
        }),
        Just(TableChange::Catalogue),
        any::<(bool, bool)>().prop_map(|(hidden, if_exists)| TableChange::HideIndex {
            name: name("i"),
            hidden,
            if_exists,
        }),
        any::<bool>().prop_map(|if_exists| TableChange::RenameOwnIndex {
            from: name("i"),
            to: name("j"),
            if_exists,
        }),
        any::<bool>().prop_map(|or_there| TableChange::CreateTrigger {
            name: "tr".parse().unwrap(),
            or_there,
        }),
        any_dropping().prop_map(|dropping| TableChange::DropNamedTrigger { dropping }),
        Just(TableChange::Template),
        Just(TableChange::Options),
        any::<bool>().prop_map(|add| TableChange::Versioning { add }),
        any::<bool>().prop_map(|enable| TableChange::Keys { enable }),
        Just(TableChange::DefaultCharset {
            charset: Some("latin1".to_owned()),
            collation: Some("utf8mb4_bin".to_owned()),
        }),
        Just(TableChange::Engine {
            engine: "MyISAM".to_owned()
        }),
        Just(TableChange::Partitioning(Partitioning::new(
            PartitionVerb::By
        ))),
        Just(TableChange::Partitioning(Partitioning::new(
            PartitionVerb::Exchange
        ))),
        Just(TableChange::RowSecurity),
    ]
}

fn any_dropping() -> impl Strategy<Value = Dropping> {
    any::<(bool, bool)>().prop_map(|(if_exists, cascade)| Dropping { if_exists, cascade })
}

fn any_index() -> impl Strategy<Value = Index> {
    (
        prop_oneof![
            Just(IndexKind::Plain),
            Just(IndexKind::Unique),
            Just(IndexKind::Fulltext),
            Just(IndexKind::Spatial)
        ],
        "(id|email|phone)",
        any::<(bool, bool, bool)>(),
    )
        .prop_map(|(kind, column, (online, computed, named))| {
            let mut index = Index::new(kind, vec![name(&column)]).with_online(online);
            if computed {
                index.parts = vec![IndexPart::Expression(format!("lower({column})"))];
            }
            index.name = named.then(|| name("i"));
            index.if_not_exists = named;
            index
        })
}

fn any_operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => (table(), any_column())
            .prop_map(|(t, c)| Operation::add_column(t, vec![c]).unwrap()),
        4 => (table(), any_column()).prop_map(|(t, c)| {
            Operation::alter_column(t, vec![c.with_nullable(false)]).unwrap()
        }),
        2 => (table(), any_index()).prop_map(|(table, index)| Operation::CreateIndex { table, index }),
        2 => (table(), any_constraint())
            .prop_map(|(table, constraint)| Operation::AddConstraint { table, constraint }),
        1 => (table(), any_constraint(), any_dropping())
            .prop_map(|(table, constraint, dropping)| Operation::DropConstraint { table, constraint, dropping }),
        2 => (table(), any_change())
            .prop_map(|(table, change)| Operation::ChangeTable { table, change }),
        1 => (table(), any::<bool>(), any::<bool>(), any_dropping()).prop_map(|(table, by_name, online, dropping)| {
            Operation::DropIndex { table, by_name, name: None, columns: Vec::new(), online, dropping }
        }),
        1 => (table(), "(id|email|x)", any_dropping()).prop_map(|(table, column, dropping)| {
            Operation::DropColumn { table, columns: vec![name(&column)], dropping }
        }),
        1 => (table(), any::<bool>())
            .prop_map(|(table, if_not_exists)| Operation::CreateTable { table, if_not_exists, columns: Vec::new(), complete: false, options: TableOptions::default() }),
        1 => (table(), any_dropping())
            .prop_map(|(table, dropping)| Operation::DropTable { table, dropping }),
        1 => (table(), any::<bool>())
            .prop_map(|(table, or_there)| Operation::CreateView { table, or_there }),
        1 => (table(), any_dropping())
            .prop_map(|(table, dropping)| Operation::DropView { table, dropping }),
        1 => (table(), table()).prop_map(|(table, to)| Operation::RenameTable { table, to }),
        1 => (table(), "[cd]", "[cd]").prop_map(|(table, from, to)| {
            Operation::RenameColumn { table, from: name(&from), to: name(&to), if_exists: false }
        }),
    ]
}

fn any_statement() -> impl Strategy<Value = Statement> {
    let algorithm = prop_oneof![
        Just(Algorithm::Instant),
        Just(Algorithm::InPlace),
        Just(Algorithm::Copy)
    ];
    let locking = prop_oneof![
        Just(Locking::None),
        Just(Locking::Shared),
        Just(Locking::Exclusive)
    ];
    (
        prop::collection::vec(any_operation(), 0..3),
        prop::option::weighted(0.2, algorithm),
        prop::option::weighted(0.2, locking),
        prop::option::of(0_u32..2),
        prop::option::of(Just(1_u32)),
    )
        .prop_map(|(mut operations, algorithm, locking, transaction, line)| {
            // It is a statement of its own, and names no table.
            let alone = operations.iter().position(drops_named_trigger);
            if let Some(at) = alone {
                operations = vec![operations.swap_remove(at)];
            }
            Statement {
                line,
                operations,
                algorithm,
                locking,
                transaction,
                ..Statement::default()
            }
        })
}

fn drops_named_trigger(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::ChangeTable {
            change: TableChange::DropNamedTrigger { .. },
            ..
        }
    )
}

fn any_statements() -> impl Strategy<Value = Vec<Statement>> {
    prop::collection::vec(any_statement(), 1..5)
}

/// What the migration itself drops is not there for certain.
fn drops(statements: &[Statement]) -> bool {
    let mut operations = statements.iter().flat_map(|s| &s.operations);
    operations.any(|operation| {
        matches!(
            operation,
            Operation::DropTable { .. } | Operation::DropView { .. }
        )
    })
}

fn creates(statements: &[Statement]) -> bool {
    let mut operations = statements.iter().flat_map(|s| &s.operations);
    operations.any(|operation| {
        matches!(
            operation,
            Operation::CreateTable { .. } | Operation::CreateView { .. }
        )
    })
}

proptest! {
    /// With no fact known at all, no operation is ever called clean, unless nothing of today's database can matter
    /// to it (every table in question was made by the same migration).
    #[test]
    fn nothing_known_is_never_clean(server in any_server(), statements in any_statements()) {
        let nothing = TableFactsSet::new(NOW);
        let judgement = judge(&server, &statements, &nothing, &HintPolicy::default(), NOW);
        prop_assert!(
            creates(&statements) || judgement.findings.iter().all(|f| f.verdict != Verdict::Clean)
        );
        if !creates(&statements) && !drops(&statements) {
            prop_assert!(
                judgement.predicted.iter().all(|p| matches!(p.effect, Fact::Unknown(_))),
                "{:?}", judgement.predicted
            );
        }
    }

    /// A table that is proven empty never stops or delays a migration.
    #[test]
    fn an_empty_table_is_never_reported(server in any_server(), statements in any_statements()) {
        let mut empty = present();
        empty.any_row = Fact::Known(false);
        let facts = facts_of(&statements, empty);
        let judgement = judge(&server, &statements, &facts, &HintPolicy::default(), NOW);
        for finding in &judgement.findings {
            // What the server refuses, it refuses of empty tables, too.
            let refused = ["missing-object", "refused-by-catalogue", "refused-statement", "pinned-algorithm"];
            prop_assert!(
                finding.verdict == Verdict::Clean || refused.contains(&finding.rule.as_str()),
                "{finding:?}"
            );
        }
    }

    /// Every fact that a rule reads was asked for: none is unknown because nobody looked.
    #[test]
    fn what_is_read_was_asked_for(server in any_server(), statements in any_statements()) {
        let facts = facts_of(&statements, large());
        prop_assert!(
            facts.tables.values().all(|t| matches!(t, Fact::Known(TableState::Present(_))))
        );
        let judgement = judge(&server, &statements, &facts, &HintPolicy::default(), NOW);
        for finding in &judgement.findings {
            prop_assert!(!format!("{finding:?}").contains("not looked"), "{finding:?}");
        }
        for predicted in &judgement.predicted {
            prop_assert!(!format!("{predicted:?}").contains("not looked"), "{predicted:?}");
        }
    }

    /// A prediction for every operation, in order.
    #[test]
    fn every_operation_is_predicted(server in any_server(), statements in any_statements()) {
        let facts = facts_of(&statements, present());
        let judgement = judge(&server, &statements, &facts, &HintPolicy::default(), NOW);
        let expect: Vec<String> = statements
            .iter()
            .flat_map(|s| s.told())
            .map(ToString::to_string)
            .collect();
        let got: Vec<String> = judgement.predicted.into_iter().map(|p| p.operation).collect();
        prop_assert_eq!(got, expect);
    }

    /// Who is shut out of a large table is reported, unless the statement fails or somebody accepts it.
    #[test]
    fn a_large_table_is_never_blocked_in_silence(
        server in any_server(),
        statement in any_statement()
    ) {
        let facts = facts_of(std::slice::from_ref(&statement), large());
        let judgement = judge(&server, std::slice::from_ref(&statement), &facts, &HintPolicy::default(), NOW);
        // Of a table that the statement makes itself nobody is shut out.
        let makes = |table: &TableName| statement.operations.iter().any(|operation| {
            matches!(operation, Operation::CreateTable { table: made, .. } if made == table)
        });
        for predicted in &judgement.predicted {
            let blocks = match &predicted.effect {
                Fact::Known(effect) => effect.blocks_reads || effect.blocks_writes,
                Fact::Unknown(_) => true,
            };
            if blocks && !makes(&predicted.table) {
                prop_assert!(
                    judgement.findings.iter().any(|f| f.stops() || f.waits()),
                    "{predicted:?}: {:?}", judgement.findings
                );
            }
        }
    }
}
