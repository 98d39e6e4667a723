//! What PostgreSQL does, as a table of data: lock, rewrite, scan per form.
//!
//! Measured on PostgreSQL 14.23, 15.18 and 18.4 (`pg_locks`, and the rewriting and verifying messages of
//! `client_min_messages = debug1`); the manual's page on ALTER TABLE says the same.

mod classify;
mod columns;
mod types;

use std::ops::RangeInclusive;

use dbop_model::finding::{Effect, Lock};
use dbop_model::{Fact, ServerInfo, Why};

pub(crate) use classify::wants;
pub(crate) use columns::proof_in_migration;

use crate::case::Case;
use crate::effect::{Class, Form as AnyForm, Part, Prediction, Refusal};

/// The forms of operations that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Anything on a table of the same migration.
    NewTable,
    /// ADD COLUMN that only changes the catalogue.
    AddColumn,
    /// ADD COLUMN with a default that is computed for every row.
    AddColumnVolatile,
    /// ADD COLUMN of serial or identity.
    AddColumnNumbered,
    /// ADD COLUMN of a stored generated column.
    AddColumnStored,
    /// ADD COLUMN of a domain with constraints.
    AddColumnDomain,
    /// ADD COLUMN with UNIQUE or PRIMARY KEY.
    AddColumnUnique,
    /// ADD COLUMN with CHECK.
    AddColumnCheck,
    /// ADD COLUMN with REFERENCES and no default: every value is NULL.
    AddColumnReferences,
    /// ADD COLUMN with REFERENCES and a default, which is looked up for every row.
    AddColumnReferencesDefault,
    /// DROP and RENAME COLUMN, defaults, DROP NOT NULL, RENAME, owner, row security: the catalogue alone.
    Catalogue,
    /// SET NOT NULL, where nothing proves it.
    SetNotNull,
    /// SET NOT NULL, where a valid CHECK proves it (PostgreSQL 12 and later), or where it is so already.
    SetNotNullProven,
    /// A type whose values are stored alike.
    TypeSame,
    /// Stored alike, but sorted in another way: indexes are built anew.
    TypeReindexed,
    /// Stored alike, but CHECKs over the column are held against every row again.
    TypeChecked,
    /// Stored in another way.
    TypeRewritten,
    /// ADD CHECK.
    Check,
    /// ADD CHECK, NOT NULL or FOREIGN KEY of columns, that holds for new rows only or for none.
    Unchecked,
    /// ADD FOREIGN KEY.
    ForeignKey,
    /// ADD FOREIGN KEY that holds for new rows only or for none.
    ForeignKeyUnchecked,
    /// ADD UNIQUE, EXCLUDE or PRIMARY KEY with an index of its own.
    IndexConstraint,
    /// The same with an index that is there.
    IndexConstraintReady,
    /// ADD PRIMARY KEY with an index that is there, over a column that may hold NULL.
    PrimaryKeyReadyNullable,
    /// VALIDATE CONSTRAINT.
    Validate,
    /// VALIDATE CONSTRAINT of a valid one.
    Validated,
    /// CREATE INDEX.
    CreateIndex,
    /// CREATE INDEX on no rows: ON ONLY, or IF NOT EXISTS and it does.
    CreateIndexNothing,
    /// CREATE INDEX CONCURRENTLY.
    CreateIndexConcurrently,
    /// DROP INDEX, DROP CONSTRAINT.
    DropIndex,
    /// DROP INDEX CONCURRENTLY.
    DropIndexConcurrently,
    /// REINDEX: whoever plans a query wants the index that is locked.
    Reindex,
    /// REINDEX CONCURRENTLY.
    ReindexConcurrently,
    /// TRUNCATE, DROP TABLE: files are replaced or removed, whatever their size.
    Truncate,
    /// CLUSTER, VACUUM FULL, SET UNLOGGED, SET TABLESPACE.
    Rewrite,
    /// ATTACH PARTITION: the partition is read and shut meanwhile, the parent is not.
    Attach,
    /// CREATE TABLE ... PARTITION OF, of the parent.
    CreatePartition,
    /// Either of these beside a default partition with rows, which is read for those that are not its own any more.
    BesideDefault,
    /// DETACH PARTITION.
    Detach,
    /// DETACH PARTITION CONCURRENTLY, storage parameters, statistics targets.
    Parameters,
    /// Triggers.
    Trigger,
}

struct Row {
    form: Form,
    majors: RangeInclusive<u32>,
    lock: Lock,
    rewrite: bool,
    scan: bool,
    /// Are readers and writers shut out as long as it works? As the lock says, but for two.
    shut: Shut,
}

enum Shut {
    /// Whom the lock stops, where it works.
    AsLocked,
    /// Readers, too: of a REINDEX, since every plan locks every index (manual, REINDEX).
    Both,
    /// Nobody for longer than an instant.
    Nobody,
}

/// Later versions are taken to be like the last one measured.
const LATER: u32 = u32::MAX;
/// The versions that were measured.
const MEASURED: RangeInclusive<u32> = 14..=LATER;

const fn row(form: Form, lock: Lock, rewrite: bool, scan: bool) -> Row {
    let (majors, shut) = (MEASURED, Shut::AsLocked);
    Row {
        form,
        majors,
        lock,
        rewrite,
        scan,
        shut,
    }
}

const AEL: Lock = Lock::AccessExclusive;
const SRE: Lock = Lock::ShareRowExclusive;
const SHARE: Lock = Lock::Share;
const SUE: Lock = Lock::ShareUpdateExclusive;

#[rustfmt::skip]
const ROWS: &[Row] = &[
    //  form                                  lock   rewrite scan
    row(Form::NewTable,                       AEL,   false,  false),
    row(Form::AddColumn,                      AEL,   false,  false),
    row(Form::AddColumnVolatile,              AEL,   true,   true),
    row(Form::AddColumnNumbered,              AEL,   true,   true),
    row(Form::AddColumnStored,                AEL,   true,   true),
    row(Form::AddColumnDomain,                AEL,   true,   true),
    row(Form::AddColumnUnique,                AEL,   false,  true),
    row(Form::AddColumnCheck,                 AEL,   false,  true),
    row(Form::AddColumnReferences,            AEL,   false,  false),
    row(Form::AddColumnReferencesDefault,     AEL,   false,  true),
    row(Form::Catalogue,                      AEL,   false,  false),
    row(Form::SetNotNull,                     AEL,   false,  true),
    row(Form::SetNotNullProven,               AEL,   false,  false),
    row(Form::TypeSame,                       AEL,   false,  false),
    row(Form::TypeReindexed,                  AEL,   false,  true),
    row(Form::TypeChecked,                    AEL,   false,  true),
    row(Form::TypeRewritten,                  AEL,   true,   true),
    row(Form::Check,                          AEL,   false,  true),
    row(Form::Unchecked,                      AEL,   false,  false),
    row(Form::ForeignKey,                     SRE,   false,  true),
    row(Form::ForeignKeyUnchecked,            SRE,   false,  false),
    row(Form::IndexConstraint,                AEL,   false,  true),
    row(Form::IndexConstraintReady,           AEL,   false,  false),
    row(Form::PrimaryKeyReadyNullable,        AEL,   false,  true),
    row(Form::Validate,                       SUE,   false,  true),
    row(Form::Validated,                      SUE,   false,  false),
    row(Form::CreateIndex,                    SHARE, false,  true),
    row(Form::CreateIndexNothing,             SHARE, false,  false),
    row(Form::CreateIndexConcurrently,        SUE,   false,  true),
    row(Form::DropIndex,                      AEL,   false,  false),
    row(Form::DropIndexConcurrently,          SUE,   false,  false),
    Row { shut: Shut::Both, ..row(Form::Reindex, SHARE, false, true) },
    row(Form::ReindexConcurrently,            SUE,   false,  true),
    Row { shut: Shut::Nobody, ..row(Form::Truncate, AEL, true, false) },
    row(Form::Rewrite,                        AEL,   true,   true),
    row(Form::Attach,                         SUE,   false,  false),
    row(Form::CreatePartition,                AEL,   false,  false),
    row(Form::BesideDefault,                  AEL,   false,  true),
    row(Form::Detach,                         AEL,   false,  false),
    row(Form::Parameters,                     SUE,   false,  false),
    row(Form::Trigger,                        SRE,   false,  false),
];

/// What a form does on a server; `None` where it was never measured.
pub(crate) fn effect(server: &ServerInfo, form: Form) -> Option<Effect> {
    let row = ROWS
        .iter()
        .find(|row| row.form == form && row.majors.contains(&server.major))?;
    let works = row.rewrite || row.scan;
    let (reads, writes) = match row.shut {
        Shut::AsLocked => (row.lock.stops_reads(), row.lock.stops_writes()),
        Shut::Both => (true, true),
        Shut::Nobody => (false, false),
    };
    Some(Effect {
        lock: row.lock,
        algorithm: None,
        rewrite: row.rewrite,
        scan: row.scan,
        blocks_reads: works && reads,
        blocks_writes: works && writes,
        duration: None,
    })
}

/// Why the server refuses an operation for itself.
pub(crate) fn refusal(case: &Case<'_>) -> Option<Refusal> {
    match classify::classify(case) {
        Class::Refused(refusal) => Some(refusal),
        Class::Forms(_) | Class::Undecided(..) => None,
    }
}

/// What one statement does to each of its operations' tables.
pub(crate) fn predict(cases: &[Case<'_>]) -> Vec<Prediction> {
    let own: Vec<Prediction> = cases.iter().map(alone).collect();
    let refused = own.iter().find_map(|one| one.refused.clone());
    let mut together = own.clone();
    for (at, prediction) in together.iter_mut().enumerate() {
        if let Some(refused) = &refused {
            prediction.effect =
                Fact::Unknown(Why::new(format!("the statement fails: {}", refused.why)));
            continue;
        }
        for (other, theirs) in own.iter().enumerate() {
            if other != at && cases[other].place_is(&cases[at]) {
                join(prediction, theirs, &cases[other]);
            }
        }
    }
    together
}

/// One operation as if it stood alone in its statement.
fn alone(case: &Case<'_>) -> Prediction {
    let parts = match classify::classify(case) {
        Class::Undecided(why, say) => return Prediction::undecided(why, say),
        Class::Refused(refusal) => {
            return Prediction {
                refused: Some(refusal),
                ..Prediction::none()
            };
        }
        Class::Forms(parts) => parts,
    };
    let mut whole: Option<Effect> = None;
    let mut worst: Option<(Effect, &Part<Form>)> = None;
    for part in &parts {
        let Some(effect) = effect(case.server, part.form) else {
            let why = Why::new(format!("{} was never measured", case.server));
            return Prediction::undecided(why, None);
        };
        if worst
            .as_ref()
            .is_none_or(|(before, _)| weight(&effect) > weight(before))
        {
            worst = Some((effect.clone(), part));
        }
        whole = Some(match whole {
            Some(before) => merge(before, &effect),
            None => effect,
        });
    }
    let (Some(whole), Some((_, worst))) = (whole, worst) else {
        return Prediction::undecided(Why::new("it does nothing that is known"), None);
    };
    Prediction {
        effect: Fact::Known(whole),
        why: worst.why.clone(),
        forms: parts.iter().map(|p| AnyForm::PostgreSql(p.form)).collect(),
        say: None,
        refused: None,
        also: Vec::new(),
        tried: false,
        worst: None,
    }
}

/// The other operations of a statement share its lock and its pass over the table.
fn join(prediction: &mut Prediction, theirs: &Prediction, other: &Case<'_>) {
    let merged = match (&prediction.effect, &theirs.effect) {
        (Fact::Known(mine), Fact::Known(their)) => {
            if weight(their) > weight(mine) {
                prediction.why = format!(
                    "the same statement does {}: {}",
                    other.step.operation, theirs.why
                );
                prediction.also.extend(theirs.also.iter().cloned());
            }
            Fact::Known(merge(mine.clone(), their))
        }
        (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => Fact::Unknown(why.clone()),
    };
    prediction.effect = merged;
}

fn merge(one: Effect, two: &Effect) -> Effect {
    let lock = one.lock.max(two.lock);
    let (rewrite, scan) = (one.rewrite || two.rewrite, one.scan || two.scan);
    let works = scan || one.blocks_writes || two.blocks_writes;
    Effect {
        lock,
        rewrite,
        scan,
        blocks_reads: one.blocks_reads || two.blocks_reads || (works && lock.stops_reads()),
        blocks_writes: one.blocks_writes || two.blocks_writes || (works && lock.stops_writes()),
        ..one
    }
}

/// Which of two effects to name as the reason.
fn weight(effect: &Effect) -> (bool, bool, bool, bool) {
    (
        effect.blocks_reads,
        effect.blocks_writes,
        effect.rewrite,
        effect.scan,
    )
}

#[cfg(test)]
mod tests;
