//! From an operation on PostgreSQL to its forms: what it is by its text, and by what the catalogue says of the table.

use std::collections::BTreeSet;

use dbop_model::operation::{
    Column, Constraint, ConstraintKind, Filled, Operation, ServerDefault, TableChange, Validity,
};
use dbop_model::table::{
    ConstraintFacts, FactRequest, IndexFacts, TableFacts, TableKind, Volatility,
};
use dbop_model::{Fact, ServerInfo, Why};

use super::Form;
use super::types::{self, Change};
use crate::case::Case;
use crate::effect::{Class, ON_NEW_TABLE, Part};
use crate::expression;
use crate::steps::{ColumnStanding, Standing, Step};

/// PostgreSQL 18 brought virtual generated columns, and made them the default form; constraints that are not
/// enforced; NOT NULL constraints that are not valid; and foreign keys of partitioned tables that are not valid.
const FIRST_WITH_VIRTUAL: u32 = 18;

/// The facts that only this classifier needs.
pub(crate) fn wants(step: &Step<'_>, wanted: &mut BTreeSet<FactRequest>) {
    let columns = match step.operation {
        Operation::AddColumn { columns, .. } | Operation::AlterColumn { columns, .. } => columns,
        _ => return,
    };
    for column in columns {
        for table in step.tables() {
            let altered = matches!(step.operation, Operation::AlterColumn { .. });
            let sql_type = column.sql_type.as_ref().map(|t| t.name());
            if let Some(sql_type) = sql_type.filter(|_| altered).or(looked_up(column)) {
                let (table, sql_type) = (table.clone(), sql_type.to_owned());
                wanted.insert(FactRequest::Type { table, sql_type });
            }
            if let ServerDefault::Expression(text) = &column.default {
                let functions = expression::read(text)
                    .map(|e| e.functions)
                    .unwrap_or_default();
                wanted.extend(
                    functions
                        .into_iter()
                        .map(|function| FactRequest::Volatility {
                            table: table.clone(),
                            function,
                        }),
                );
            }
        }
    }
}

/// The type of a column, where what it is matters: it does not where the column is filled by the type.
fn looked_up(column: &Column) -> Option<&str> {
    column
        .sql_type
        .as_ref()
        .filter(|t| t.filled() == Filled::No)
        .map(|t| t.name())
}

/// The forms of an operation.
pub(super) fn classify(case: &Case<'_>) -> Class<Form> {
    let facts = match (&case.standing, case.step.operation) {
        (Standing::New, _) | (_, Operation::CreateTable { .. }) => {
            return Class::one(Form::NewTable, ON_NEW_TABLE);
        }
        (Standing::Missing, Operation::DropIndex { by_name: true, .. }) => {
            return index_of_its_own(case);
        }
        (Standing::Missing, _) => {
            return Class::Undecided(
                Why::new(format!("there is no table {}", case.table())),
                None,
            );
        }
        (Standing::Unknown(why), _) => return Class::Undecided(why.clone(), None),
        (Standing::Present(facts), _) => facts,
    };
    if facts.kind == TableKind::Other {
        let why = format!("{} is a view or a foreign table", case.table());
        return Class::Undecided(Why::new(why), None);
    }
    let catalogue = |why: &str| Class::one(Form::Catalogue, why);
    match case.step.operation {
        Operation::AddColumn { columns, .. } => {
            together(columns.iter().map(|column| add_column(case, facts, column)))
        }
        Operation::AlterColumn { columns, .. } => together(
            columns
                .iter()
                .map(|column| alter_column(case, facts, column)),
        ),
        Operation::CreateIndex { .. } => create_index(case, facts),
        Operation::DropIndex { online, .. } => drop_index(case, *online),
        Operation::AddConstraint { constraint, .. } => add_constraint(case, facts, constraint),
        Operation::DropConstraint { .. } => Class::one(
            Form::DropIndex,
            "dropping a constraint only changes the catalogue",
        ),
        Operation::DropColumn { .. } => catalogue("dropping a column only changes the catalogue"),
        Operation::RenameColumn { .. } | Operation::RenameTable { .. } => {
            catalogue("a rename only changes the catalogue")
        }
        Operation::DropTable { .. } => catalogue("dropping a table reads none of its rows"),
        Operation::ChangeTable { change, .. } => change_table(case, facts, change),
        Operation::CreateTable { .. } => Class::one(Form::NewTable, ON_NEW_TABLE),
    }
}

/// Several classes as one: the first that is refused or undecided, else all forms.
fn together(classes: impl Iterator<Item = Class<Form>>) -> Class<Form> {
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

fn add_column(case: &Case<'_>, facts: &TableFacts, column: &Column) -> Class<Form> {
    if let ColumnStanding::Present(..) = case.step.column(&column.name, facts) {
        return Class::one(Form::AddColumn, "it is there already");
    }
    let mut parts = match adding(case.server, facts, column) {
        Class::Forms(parts) => parts,
        other => return other,
    };
    let has_default = matches!(
        &column.default,
        ServerDefault::Expression(text) if !expression::read(text).is_some_and(|e| e.is_null)
    ) || column.default == ServerDefault::Present;
    for constraint in &column.constraints {
        let checked = constraint.validity == Validity::AllRows;
        let part = match constraint.kind() {
            ConstraintKind::Unique | ConstraintKind::PrimaryKey | ConstraintKind::Exclude => {
                Part::new(Form::AddColumnUnique, "its unique index is built")
            }
            ConstraintKind::Check if checked => {
                Part::new(Form::AddColumnCheck, "its CHECK is held against every row")
            }
            ConstraintKind::ForeignKey if checked && has_default => Part::new(
                Form::AddColumnReferencesDefault,
                "its default is looked up in the other table for every row",
            ),
            ConstraintKind::ForeignKey => Part::new(
                Form::AddColumnReferences,
                "every value is NULL, so nothing is looked up in the other table",
            ),
            ConstraintKind::Check | ConstraintKind::NotNull => continue,
        };
        parts.push(part);
    }
    Class::Forms(parts)
}

/// How the column itself is added.
fn adding(server: &ServerInfo, facts: &TableFacts, column: &Column) -> Class<Form> {
    match column.sql_type.as_ref().map(|t| t.filled()) {
        Some(Filled::Serial) => {
            return Class::one(Form::AddColumnNumbered, "serial gives every row a number");
        }
        Some(Filled::AutoIncrement) => {
            return Class::refused(
                "PostgreSQL has no AUTO_INCREMENT",
                "write GENERATED BY DEFAULT AS IDENTITY",
            );
        }
        Some(Filled::Identity) => {
            return Class::one(Form::AddColumnNumbered, "identity gives every row a number");
        }
        Some(Filled::Stored) => {
            let why = "a stored generated column is computed for every row";
            return Class::one(Form::AddColumnStored, why);
        }
        Some(Filled::Virtual | Filled::StoredOrVirtual) if server.major >= FIRST_WITH_VIRTUAL => {
            return Class::one(Form::AddColumn, "a virtual generated column stores nothing");
        }
        Some(Filled::Virtual | Filled::StoredOrVirtual) => {
            return Class::refused(
                format!("{server} has no virtual generated columns"),
                "write STORED, or add a plain column that a trigger fills",
            );
        }
        Some(Filled::No) | None => {}
    }
    by_default(facts, column).unwrap_or_else(|| by_type(facts, column))
}

/// What the default says; `None`: it makes nothing slower than the type does.
fn by_default(facts: &TableFacts, column: &Column) -> Option<Class<Form>> {
    let text = match &column.default {
        ServerDefault::NotSaid | ServerDefault::Absent => return None,
        ServerDefault::Present => {
            return Some(Class::Undecided(
                Why::new("the operation does not say which server default the column has"),
                Some("write the default's SQL expression in the operation, as default"),
            ));
        }
        ServerDefault::Expression(text) => text,
    };
    let Some(expression) = expression::read(text) else {
        return Some(Class::Undecided(
            Why::new("the default's SQL expression is not understood"),
            Some("write the default as a constant or as plain function calls"),
        ));
    };
    let volatility = |function: &String| (function.clone(), facts.volatility_of(function));
    let known: Vec<_> = expression.functions.iter().map(volatility).collect();
    let volatile = known
        .iter()
        .find(|(_, v)| v.is_known_and(|v| *v == Volatility::Volatile));
    if let Some((function, _)) = volatile {
        let why = format!("its default calls {function}(), which gives every row its own value");
        return Some(Class::one(Form::AddColumnVolatile, why));
    }
    known.into_iter().find_map(|(function, volatility)| {
        let Fact::Unknown(why) = volatility else {
            return None;
        };
        let reason = format!("its default calls {function}(): {why}");
        let why = if why.is_passing() {
            Why::passing(reason)
        } else {
            Why::new(reason)
        };
        Some(Class::Undecided(
            why,
            Some("create the function in an earlier migration"),
        ))
    })
}

fn by_type(facts: &TableFacts, column: &Column) -> Class<Form> {
    let Some(name) = looked_up(column) else {
        return Class::Undecided(
            Why::new("the operation does not say the column's type"),
            Some("write the column's type in the operation"),
        );
    };
    let default_said = matches!(column.default, ServerDefault::Expression(_));
    match facts.type_named(name) {
        Fact::Known(known) if known.constrained_domain => Class::one(
            Form::AddColumnDomain,
            format!("the domain {name} has constraints, which are checked for every row"),
        ),
        Fact::Known(known) if known.domain_default && !default_said => Class::Undecided(
            Why::new(format!("the domain {name} has a default of its own")),
            Some("write a default in the operation"),
        ),
        Fact::Known(_) if default_said => {
            Class::one(Form::AddColumn, "its default is the same for every row")
        }
        Fact::Known(_) => Class::one(Form::AddColumn, "without a default, nothing is written"),
        Fact::Unknown(why) => {
            Class::Undecided(why, Some("create the type in an earlier migration"))
        }
    }
}

fn alter_column(case: &Case<'_>, facts: &TableFacts, column: &Column) -> Class<Form> {
    let mut parts = Vec::new();
    if column.nullable == Some(false) {
        parts.push(set_not_null(case, facts, column));
    }
    if column.nullable == Some(true) {
        let why = "dropping NOT NULL only changes the catalogue";
        parts.push(Part::new(Form::Catalogue, why));
    }
    if column.default != ServerDefault::NotSaid {
        let why = "a default for new rows only changes the catalogue";
        parts.push(Part::new(Form::Catalogue, why));
    }
    if column.sql_type.is_some() || column.collation.is_some() {
        match change_type(case, facts, column) {
            Class::Forms(more) => parts.extend(more),
            other => return other,
        }
    }
    if parts.is_empty() {
        parts.push(Part::new(Form::Catalogue, "it only changes the catalogue"));
    }
    Class::Forms(parts)
}

fn set_not_null(case: &Case<'_>, facts: &TableFacts, column: &Column) -> Part<Form> {
    let scanned = Part::new(Form::SetNotNull, "every row is looked at for NULL");
    match case.step.column(&column.name, facts) {
        ColumnStanding::Present(_, known) if !known.nullable => {
            Part::new(Form::SetNotNullProven, "it is NOT NULL already")
        }
        ColumnStanding::Present(
            _,
            dbop_model::table::ColumnFacts {
                proven_not_null_by: Some(check),
                ..
            },
        ) => Part::new(
            Form::SetNotNullProven,
            format!("{check} proves it, so nothing is scanned"),
        ),
        _ => match proof_in_migration(case, &column.name) {
            Some(name) => Part::new(
                Form::SetNotNullProven,
                format!("{name}, which this migration validates before, proves it"),
            ),
            None => scanned,
        },
    }
}

/// A CHECK that an operation before adds and has validated, and that proves a column free of NULL.
pub(crate) fn proof_in_migration(
    case: &Case<'_>,
    column: &dbop_model::table::ColumnName,
) -> Option<String> {
    let proves = |constraint: &Constraint| {
        constraint.kind() == ConstraintKind::Check
            && constraint
                .expression
                .as_deref()
                .is_some_and(|text| is_not_null_check(text, column.as_str()))
    };
    let mut made = case.step.made().iter();
    let proof = made.rfind(|made| made.validated && proves(made.constraint));
    proof.map(|made| match &made.constraint.name {
        Some(name) => name.to_string(),
        None => "a CHECK".to_owned(),
    })
}

/// Is a condition nothing but `column IS NOT NULL`, in parentheses or quotes or not?
fn is_not_null_check(condition: &str, column: &str) -> bool {
    let bare: String = condition
        .chars()
        .map(|c| if "()\"".contains(c) { ' ' } else { c })
        .collect();
    let words: Vec<&str> = bare.split_whitespace().collect();
    match words.as_slice() {
        [name, is, not, null] => {
            *name == column
                && is.eq_ignore_ascii_case("is")
                && not.eq_ignore_ascii_case("not")
                && null.eq_ignore_ascii_case("null")
        }
        _ => false,
    }
}

fn change_type(case: &Case<'_>, facts: &TableFacts, column: &Column) -> Class<Form> {
    let (name, old) = match case.step.column(&column.name, facts) {
        ColumnStanding::Present(name, old) => (name, old),
        ColumnStanding::Added(_) | ColumnStanding::Missing => {
            return Class::Undecided(
                Why::new(format!(
                    "what type {} has before is not in the catalogue",
                    column.name
                )),
                None,
            );
        }
    };
    let new_type = column
        .sql_type
        .as_ref()
        .map_or(old.sql_type.as_str(), |t| t.name());
    if column.sql_type.as_ref().map(|t| t.filled()) == Some(Filled::Serial) {
        return Class::refused(
            format!("{new_type} is no type that a column can be changed to"),
            "write integer or bigint, and set a sequence as its default",
        );
    }
    let words = format!("from {} to {new_type}", old.sql_type);
    let trivial = |using: &str| types::is_plain_cast(using, column.name.as_str(), new_type);
    let rewritten = |why: String| Class::one(Form::TypeRewritten, why);
    if column.using.as_deref().is_some_and(|using| !trivial(using)) {
        return rewritten(format!("{words}: USING computes every value"));
    }
    let utc = case.settings().as_result().map(|settings| settings.utc);
    let change = match types::change(&old.sql_type, new_type) {
        Change::InUtc => match utc {
            Ok(true) => Change::Same,
            Ok(false) => return rewritten(format!("{words}: the time zone is not UTC")),
            Err(why) => {
                let why = format!("{words}: whether the session's time zone is UTC: {why}");
                return Class::Undecided(Why::new(why), None);
            }
        },
        Change::Foreign => match facts.type_named(new_type) {
            Fact::Known(known) if known.constrained_domain => {
                let why = format!("{words}: the domain's constraints are held against every row");
                return rewritten(why);
            }
            Fact::Known(_) => {
                let why = format!("{words}: whether both are stored alike is not known");
                return Class::Undecided(
                    Why::new(why),
                    Some("say how with USING, or add a new column and fill it in batches"),
                );
            }
            Fact::Unknown(why) => return Class::Undecided(why, None),
        },
        change => change,
    };
    let sorted = column
        .collation
        .as_ref()
        .is_some_and(|collation| old.collation.as_ref() != Some(collation));
    match change {
        Change::Rewritten => rewritten(format!("{words}: every value is stored anew")),
        Change::Reindexed => kept(facts, &name, words, true),
        Change::Same | Change::InUtc | Change::Foreign => kept(facts, &name, words, sorted),
    }
}

/// Values are kept as they are: are indexes built anew, or CHECKs held against every row again?
fn kept(
    facts: &TableFacts,
    column: &dbop_model::table::ColumnName,
    words: String,
    sorted: bool,
) -> Class<Form> {
    let indexes = match &facts.indexes {
        Fact::Known(indexes) => indexes,
        Fact::Unknown(why) => return Class::Undecided(why.clone(), None),
    };
    let constraints = match &facts.constraints {
        Fact::Known(constraints) => constraints,
        Fact::Unknown(why) => return Class::Undecided(why.clone(), None),
    };
    let mut parts = vec![Part::new(
        Form::TypeSame,
        format!("{words}: values are stored alike"),
    )];
    let rebuilt = indexes.iter().find(|index| {
        if sorted {
            mentions(index, column.as_str())
        } else {
            depends(index, column.as_str())
        }
    });
    if let Some(index) = rebuilt {
        let why = format!("{words}: the index {} is built anew", index.name);
        parts.push(Part::new(Form::TypeReindexed, why));
    }
    let checked = |constraint: &&ConstraintFacts| {
        constraint.kind == ConstraintKind::Check
            && constraint.validated
            && constraint.columns.contains(column)
    };
    if let Some(check) = constraints.iter().find(checked) {
        let why = format!(
            "{words}: the CHECK {} is held against every row again",
            check.name
        );
        parts.push(Part::new(Form::TypeChecked, why));
    }
    Class::Forms(parts)
}

/// Is an index over the column, in whatever way?
fn mentions(index: &IndexFacts, column: &str) -> bool {
    let over = index.key.parts.iter().any(|part| match part {
        dbop_model::operation::IndexPart::Column(name)
        | dbop_model::operation::IndexPart::Prefix(name, _) => name.as_str() == column,
        dbop_model::operation::IndexPart::Expression(_) => false,
    });
    over || depends(index, column)
}

/// Is an index over an expression, or only some rows, of the column? It is never reused.
fn depends(index: &IndexFacts, column: &str) -> bool {
    let expression = index.key.parts.iter().any(|part| match part {
        dbop_model::operation::IndexPart::Expression(text) => text.contains(column),
        _ => false,
    });
    let predicate = index.key.predicate.as_deref();
    let over = index.key.parts.iter().any(|part| match part {
        dbop_model::operation::IndexPart::Column(name)
        | dbop_model::operation::IndexPart::Prefix(name, _) => name.as_str() == column,
        dbop_model::operation::IndexPart::Expression(text) => text.contains(column),
    });
    expression || predicate.is_some_and(|text| text.contains(column) || over)
}

fn create_index(case: &Case<'_>, facts: &TableFacts) -> Class<Form> {
    let Operation::CreateIndex { index, table } = case.step.operation else {
        return Class::Undecided(Why::new("it is no index"), None);
    };
    if index.online && case.step.statement.transaction.is_some() {
        return Class::refused(
            "CREATE INDEX CONCURRENTLY cannot run inside a transaction",
            "have the migration run it outside of a transaction, in a file of its own",
        );
    }
    if index.online && facts.kind == TableKind::Partitioned {
        return Class::refused(
            format!("{table} is partitioned, and CONCURRENTLY is refused on a partitioned table"),
            "create it ON ONLY the parent, CONCURRENTLY on each partition, and attach each \
             (ALTER INDEX ... ATTACH PARTITION)",
        );
    }
    let there = |indexes: &Vec<IndexFacts>| {
        indexes
            .iter()
            .any(|known| Some(&known.name) == index.name.as_ref())
    };
    if index.if_not_exists {
        match &facts.indexes {
            Fact::Known(indexes) if there(indexes) => {
                let why = "an index of its name is there already";
                return Class::one(Form::CreateIndexNothing, why);
            }
            Fact::Known(_) => {}
            Fact::Unknown(why) if index.name.is_some() => {
                return Class::Undecided(why.clone(), None);
            }
            Fact::Unknown(_) => {}
        }
    }
    if index.only && facts.kind == TableKind::Partitioned {
        let why = "ON ONLY the parent, it holds no row";
        return Class::one(Form::CreateIndexNothing, why);
    }
    if index.online {
        Class::one(
            Form::CreateIndexConcurrently,
            "CONCURRENTLY, it is built while reads and writes go on",
        )
    } else {
        Class::one(
            Form::CreateIndex,
            "without CONCURRENTLY, writes wait until the index is built",
        )
    }
}

fn drop_index(case: &Case<'_>, online: bool) -> Class<Form> {
    if online && case.step.statement.transaction.is_some() {
        return Class::refused(
            "DROP INDEX CONCURRENTLY cannot run inside a transaction",
            "have the migration run it outside of a transaction, in a file of its own",
        );
    }
    if online {
        Class::one(
            Form::DropIndexConcurrently,
            "CONCURRENTLY, it waits for nobody's lock",
        )
    } else {
        Class::one(
            Form::DropIndex,
            "dropping an index only changes the catalogue",
        )
    }
}

/// DROP INDEX names the index alone; its table is looked up by it.
fn index_of_its_own(case: &Case<'_>) -> Class<Form> {
    let Operation::DropIndex { online, .. } = case.step.operation else {
        return Class::Undecided(Why::new("it is no index"), None);
    };
    match case.table_of_index(case.table()) {
        Some(Fact::Unknown(why)) => Class::Undecided(why.clone(), None),
        Some(Fact::Known(_)) | None => drop_index(case, *online),
    }
}

fn add_constraint(case: &Case<'_>, facts: &TableFacts, constraint: &Constraint) -> Class<Form> {
    let partitioned = facts.kind == TableKind::Partitioned;
    let server = case.server;
    if constraint.validity == Validity::NoRow && server.major < FIRST_WITH_VIRTUAL {
        return Class::refused(
            format!("{server} has no constraints that are NOT ENFORCED"),
            "write NOT VALID",
        );
    }
    let unchecked = constraint.validity != Validity::AllRows;
    match constraint.kind() {
        ConstraintKind::NotNull if constraint.validity == Validity::NoRow => Class::refused(
            "NOT NULL cannot be NOT ENFORCED",
            "write CHECK (... IS NOT NULL) NOT ENFORCED",
        ),
        ConstraintKind::NotNull if unchecked && server.major < FIRST_WITH_VIRTUAL => {
            Class::refused(
                format!("{server} has no NOT NULL constraints that are NOT VALID"),
                "write CHECK (... IS NOT NULL) NOT VALID",
            )
        }
        ConstraintKind::NotNull if unchecked => {
            Class::one(Form::Unchecked, "NOT VALID, it holds for new rows only")
        }
        ConstraintKind::NotNull => Class::Forms(
            constraint
                .columns()
                .iter()
                .map(|name| set_not_null(case, facts, &Column::new(name.clone())))
                .collect(),
        ),
        ConstraintKind::Check if unchecked => {
            Class::one(Form::Unchecked, "it is not held against the rows of today")
        }
        ConstraintKind::Check => Class::one(Form::Check, "it is held against every row"),
        ConstraintKind::ForeignKey
            if partitioned
                && constraint.validity == Validity::NewRows
                && server.major < FIRST_WITH_VIRTUAL =>
        {
            Class::refused(
                format!("{server} refuses a foreign key that is NOT VALID on a partitioned table"),
                "add it to each partition as NOT VALID, validate each, then add it to the parent",
            )
        }
        ConstraintKind::ForeignKey if unchecked => Class::one(
            Form::ForeignKeyUnchecked,
            "it is not held against the rows of today",
        ),
        ConstraintKind::ForeignKey => Class::one(
            Form::ForeignKey,
            "every row is looked up in the other table, while writes to both wait",
        ),
        ConstraintKind::Exclude => Class::one(
            Form::IndexConstraint,
            "its index is built, and there is no way to build it while writes go on",
        ),
        ConstraintKind::Unique | ConstraintKind::PrimaryKey => {
            index_constraint(case, facts, constraint)
        }
    }
}

fn index_constraint(case: &Case<'_>, facts: &TableFacts, constraint: &Constraint) -> Class<Form> {
    if constraint.using_index.is_none() {
        return Class::one(
            Form::IndexConstraint,
            "its unique index is built under ACCESS EXCLUSIVE",
        );
    }
    if facts.kind == TableKind::Partitioned {
        return Class::refused(
            format!(
                "{} is partitioned, and USING INDEX is refused on a partitioned table",
                case.table()
            ),
            "create the unique index ON ONLY the parent and attach one built on each partition",
        );
    }
    if constraint.kind() == ConstraintKind::Unique {
        return Class::one(
            Form::IndexConstraintReady,
            "it takes an index that is there",
        );
    }
    let proven =
        |name| set_not_null(case, facts, &Column::new(name)).form == Form::SetNotNullProven;
    // The statement names the index, not its columns: those are in the catalogue or in this migration.
    let columns = index_columns(case, facts, constraint);
    match columns {
        Ok(columns) if columns.iter().cloned().all(proven) => Class::one(
            Form::IndexConstraintReady,
            "it takes an index that is there, over columns that are NOT NULL",
        ),
        Ok(_) => Class::one(
            Form::PrimaryKeyReadyNullable,
            "a column of its index may hold NULL, so every row is looked at",
        ),
        Err(why) => Class::Undecided(why, None),
    }
}

fn index_columns(
    case: &Case<'_>,
    facts: &TableFacts,
    constraint: &Constraint,
) -> Result<Vec<dbop_model::table::ColumnName>, Why> {
    let name = constraint.using_index.as_ref();
    let made = case.step.created_indexes().iter();
    if let Some(index) = made
        .rev()
        .find(|index| index.name.is_some() && index.name.as_ref() == name)
    {
        return Ok(index.columns().cloned().collect());
    }
    let indexes = facts.indexes.as_result().map_err(Clone::clone)?;
    let found = indexes.iter().find(|index| Some(&index.name) == name);
    let columns = found.map(|index| {
        index.key.parts.iter().filter_map(|part| match part {
            dbop_model::operation::IndexPart::Column(name) => Some(name.clone()),
            _ => None,
        })
    });
    match columns {
        Some(columns) => Ok(columns.collect()),
        None => Ok(constraint.columns().to_vec()),
    }
}

fn change_table(case: &Case<'_>, facts: &TableFacts, change: &TableChange) -> Class<Form> {
    match change {
        TableChange::ValidateConstraint { name } => {
            let valid = facts.constraints.is_known_and(|constraints| {
                constraints.iter().any(|c| c.name == *name && c.validated)
            });
            if valid {
                Class::one(Form::Validated, "the constraint is valid already")
            } else {
                let why = "every row is looked at, while reads and writes go on";
                Class::one(Form::Validate, why)
            }
        }
        TableChange::Truncate => Class::one(
            Form::Truncate,
            "its files are replaced, whatever their size",
        ),
        TableChange::Rebuild => Class::one(Form::Rewrite, "every row is written anew"),
        TableChange::SetLogged => Class::one(
            Form::Rewrite,
            "every row is written anew, to the log or without",
        ),
        TableChange::Move => Class::one(Form::Rewrite, "every row is copied"),
        TableChange::Reindex { online: true } if case.step.statement.transaction.is_some() => {
            Class::refused(
                "REINDEX CONCURRENTLY cannot run inside a transaction",
                "have the migration run it outside of a transaction, in a file of its own",
            )
        }
        TableChange::Reindex { online: true } => Class::one(
            Form::ReindexConcurrently,
            "CONCURRENTLY, indexes are built while reads and writes go on",
        ),
        TableChange::Reindex { online: false } => Class::one(
            Form::Reindex,
            "its indexes are built anew, and no query can be planned meanwhile",
        ),
        TableChange::AttachPartition { .. } => {
            Class::one(Form::Attach, "the parent itself is not read")
        }
        TableChange::DetachPartition { online: true, .. } => Class::one(
            Form::Parameters,
            "CONCURRENTLY, a partition is detached while reads and writes go on",
        ),
        TableChange::DetachPartition { online: false, .. } => {
            Class::one(Form::Detach, "detaching only changes the catalogue")
        }
        TableChange::Trigger => Class::one(Form::Trigger, "a trigger only changes the catalogue"),
        TableChange::Parameters => {
            Class::one(Form::Parameters, "parameters only change the catalogue")
        }
        TableChange::Catalogue | TableChange::RowSecurity => {
            Class::one(Form::Catalogue, "it only changes the catalogue")
        }
        TableChange::ConvertCharset { .. } | TableChange::Partitioning => Class::refused(
            "PostgreSQL has no such statement",
            "write the statement for PostgreSQL",
        ),
    }
}
