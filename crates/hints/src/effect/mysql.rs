//! What MySQL and MariaDB (InnoDB) do, as a table of data: the cheapest algorithm, and what others may do meanwhile.
//!
//! Measured on MySQL 8.0.46, 8.4.10 and 9.7.4 and on MariaDB 10.6.23, 10.11.19, 11.4.5 and 11.8.9, by trying ALGORITHM
//! and LOCK from the cheapest up. Versions between measured ones that agree are taken to be alike; others are Unknown.

mod classify;
mod columns;
mod types;

use dbop_model::finding::{Effect, Lock};
use dbop_model::operation::{Algorithm, Locking};
use dbop_model::{Engine, Fact, ServerInfo, Why};

pub(crate) use classify::without_implicit_value;

use crate::case::Case;
use crate::effect::{Class, Form as AnyForm, Part, Prediction, Refusal, instant};

/// The forms of operations that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// ADD COLUMN without a default, or with one that is the same for every row.
    AddColumn,
    /// ADD COLUMN with a default in parentheses that is the same for every row.
    AddColumnConstant,
    /// ADD COLUMN with a default that is computed for every row.
    AddColumnComputed,
    /// ADD COLUMN of a virtual generated column.
    AddColumnVirtual,
    /// ADD COLUMN of a stored generated column.
    AddColumnStored,
    /// ADD COLUMN with AUTO_INCREMENT.
    AddColumnNumbered,
    /// ADD COLUMN with UNIQUE.
    AddColumnUnique,
    /// ADD COLUMN with CHECK.
    AddColumnCheck,
    /// ADD COLUMN with REFERENCES.
    AddColumnReferences,
    /// DROP COLUMN that no index is over.
    DropColumn,
    /// DROP COLUMN that goes with an index over it alone.
    DropColumnOwnIndex,
    /// DROP COLUMN that is part of an index of several.
    DropColumnIndexed,
    /// DROP COLUMN of a virtual generated column.
    DropColumnVirtual,
    /// ADD COLUMN with FIRST or AFTER to a table that has a virtual generated column.
    AddColumnAmongVirtual,
    /// DROP COLUMN of a table that has a virtual generated column.
    DropColumnAmongVirtual,
    /// MODIFY with FIRST or AFTER.
    Reorder,
    /// RENAME COLUMN.
    RenameColumn,
    /// Another default, another comment, or nothing new.
    Default,
    /// NULL to NOT NULL, where a NULL is refused.
    NotNull,
    /// NULL to NOT NULL, where a NULL becomes a value that the server invents.
    NotNullLoose,
    /// NOT NULL to NULL.
    Nullable,
    /// Another type, a shorter VARCHAR, another character set.
    Convert,
    /// A longer VARCHAR whose lengths take as many bytes.
    Longer,
    /// A longer VARCHAR whose lengths take two bytes, and took one of at most 127.
    LongerShort,
    /// From utf8mb3 to utf8mb4, no index over it.
    Charset,
    /// The same, with an index over it.
    CharsetIndexed,
    /// Another collation, no index over it.
    Collation,
    /// Another collation, an index over it.
    CollationIndexed,
    /// Values appended to an ENUM or SET.
    EnumAppended,
    /// ADD INDEX, ADD UNIQUE.
    AddIndex,
    /// ADD INDEX over an expression.
    AddIndexComputed,
    /// The first FULLTEXT index.
    AddFulltextFirst,
    /// Another FULLTEXT index.
    AddFulltext,
    /// A SPATIAL index.
    AddSpatial,
    /// DROP INDEX.
    DropIndex,
    /// ADD PRIMARY KEY.
    AddPrimaryKey,
    /// DROP PRIMARY KEY, no new one beside it.
    DropPrimaryKey,
    /// ADD FOREIGN KEY, checked.
    ForeignKey,
    /// ADD FOREIGN KEY with foreign_key_checks off.
    ForeignKeyUnchecked,
    /// DROP FOREIGN KEY.
    DropForeignKey,
    /// ADD CHECK.
    Check,
    /// ADD CHECK that is not enforced.
    CheckUnenforced,
    /// DROP CONSTRAINT of a CHECK.
    DropCheck,
    /// FORCE, ENGINE=InnoDB, ROW_FORMAT, OPTIMIZE TABLE.
    Rebuild,
    /// RENAME INDEX, COMMENT, the default character set, the next number.
    Catalogue,
    /// RENAME, DROP, TRUNCATE TABLE, triggers: a metadata lock for an instant.
    Metadata,
    /// Anything on a table of the same migration.
    NewTable,
}

/// How a server does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Way {
    algorithm: Algorithm,
    rebuild: bool,
    locking: Locking,
}

const fn way(algorithm: Algorithm, rebuild: bool, locking: Locking) -> Way {
    Way {
        algorithm,
        rebuild,
        locking,
    }
}

/// INSTANT.
const I: Way = way(Algorithm::Instant, false, Locking::None);
/// In place, no row written anew.
const P: Way = way(Algorithm::NoCopy, false, Locking::None);
/// The same, no writes meanwhile.
const PS: Way = way(Algorithm::NoCopy, false, Locking::Shared);
/// In place, every row written anew.
const R: Way = way(Algorithm::InPlace, true, Locking::None);
/// The same, no writes meanwhile.
const RS: Way = way(Algorithm::InPlace, true, Locking::Shared);
/// Copied row by row, no writes meanwhile.
const C: Way = way(Algorithm::Copy, true, Locking::Shared);
/// Copied while writes go on (MariaDB 11.2 and later).
const C0: Way = way(Algorithm::Copy, true, Locking::None);

/// Columns of the table: servers that do everything alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Like {
    /// MySQL 8.0 to 8.4.
    MySql8 = 0,
    /// MySQL 9.0 to 9.7.
    MySql9 = 1,
    /// MariaDB 10.6 to 11.1.
    MariaDb10 = 2,
    /// MariaDB 11.2 to 11.8.
    MariaDb11 = 3,
}

struct Row {
    form: Form,
    /// Per [`Like`], where nothing stands in the way.
    ways: [Way; 4],
    /// Where INSTANT is not to be had: for this table, or beside another action of the statement.
    late: [Way; 4],
    /// Is the table read, though no row is written?
    scan: bool,
}

const fn row(form: Form, ways: [Way; 4]) -> Row {
    let (late, scan) = ([P; 4], false);
    Row {
        form,
        ways,
        late,
        scan,
    }
}

const fn late(row: Row, late: [Way; 4]) -> Row {
    Row { late, ..row }
}

const fn scan(row: Row) -> Row {
    Row { scan: true, ..row }
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    //                                MySQL 8  9   MariaDB 10  11
    late(row(Form::AddColumn,           [I,  I,  I,  I ]), [R; 4]),
    late(row(Form::AddColumnConstant,   [C,  C,  I,  I ]), [R; 4]),
    row(Form::AddColumnComputed,        [C,  C,  C,  C0]),
    late(row(Form::AddColumnVirtual,    [I,  I,  I,  I ]), [C, C, C, C0]),
    row(Form::AddColumnStored,          [C,  C,  C,  C0]),
    row(Form::AddColumnNumbered,        [RS, RS, RS, RS]),
    row(Form::AddColumnUnique,          [R,  R,  R,  R ]),
    late(row(Form::AddColumnCheck,      [C,  C,  I,  I ]), [R; 4]),
    row(Form::AddColumnReferences,      [I,  C,  C,  C0]),
    late(row(Form::DropColumn,          [I,  I,  I,  I ]), [R; 4]),
    late(row(Form::DropColumnOwnIndex,  [R,  R,  P,  P ]), [R; 4]),
    row(Form::DropColumnIndexed,        [R,  R,  R,  R ]),
    row(Form::DropColumnVirtual,        [I,  I,  I,  I ]),
    late(row(Form::AddColumnAmongVirtual,  [I,  I,  C,  C0]), [R; 4]),
    late(row(Form::DropColumnAmongVirtual, [I,  I,  C,  C0]), [R; 4]),
    late(row(Form::Reorder,             [R,  R,  I,  I ]), [R; 4]),
    row(Form::RenameColumn,             [I,  I,  I,  I ]),
    row(Form::Default,                  [I,  I,  I,  I ]),
    row(Form::NotNull,                  [R,  R,  R,  R ]),
    row(Form::NotNullLoose,             [C,  C,  R,  R ]),
    row(Form::Nullable,                 [R,  R,  R,  R ]),
    row(Form::Convert,                  [C,  C,  C,  C0]),
    row(Form::Longer,                   [P,  P,  I,  I ]),
    row(Form::LongerShort,              [C,  C,  I,  I ]),
    row(Form::Charset,                  [P,  P,  I,  I ]),
    row(Form::CharsetIndexed,           [C,  C,  I,  I ]),
    row(Form::Collation,                [P,  P,  I,  I ]),
    scan(row(Form::CollationIndexed,    [C,  C,  P,  P ])),
    row(Form::EnumAppended,             [I,  I,  I,  I ]),
    scan(row(Form::AddIndex,            [P,  P,  P,  P ])),
    scan(row(Form::AddIndexComputed,    [PS, PS, PS, PS])),
    row(Form::AddFulltextFirst,         [RS, RS, RS, RS]),
    scan(row(Form::AddFulltext,         [PS, PS, PS, PS])),
    scan(row(Form::AddSpatial,          [PS, PS, PS, PS])),
    row(Form::DropIndex,                [P,  P,  P,  P ]),
    row(Form::AddPrimaryKey,            [R,  R,  R,  R ]),
    row(Form::DropPrimaryKey,           [C,  C,  C,  C0]),
    row(Form::ForeignKey,               [C,  C,  C,  C0]),
    row(Form::ForeignKeyUnchecked,      [P,  P,  P,  P ]),
    row(Form::DropForeignKey,           [P,  P,  I,  I ]),
    row(Form::Check,                    [C,  C,  C,  C0]),
    row(Form::CheckUnenforced,          [I,  I,  C,  C0]),
    row(Form::DropCheck,                [I,  I,  I,  I ]),
    row(Form::Rebuild,                  [R,  R,  R,  R ]),
    row(Form::Catalogue,                [P,  P,  I,  I ]),
];

/// Which column of the table a server is in; `None`: it was never measured, nor lies between two that agree.
fn like(server: &ServerInfo) -> Option<Like> {
    match (server.engine, server.major, server.minor) {
        (Engine::MySql, 8, _) => Some(Like::MySql8),
        (Engine::MySql, 9, _) => Some(Like::MySql9),
        (Engine::MariaDb, 10, 6..) | (Engine::MariaDb, 11, 0..=1) => Some(Like::MariaDb10),
        (Engine::MariaDb, 11, _) => Some(Like::MariaDb11),
        _ => None,
    }
}

/// How often columns can be added or dropped instantly before MySQL has to rebuild the table (64 up to 9.0).
fn row_versions_max(server: &ServerInfo) -> u32 {
    match (server.engine, server.major, server.minor) {
        // MariaDB had no limit up to 300.
        (Engine::MariaDb, ..) => u32::MAX,
        (_, ..=8, _) | (_, 9, 0) => 64,
        _ => 255,
    }
}

/// What of a table decides besides the form.
struct Shape {
    fulltext: bool,
    compressed: bool,
    /// Are there so many instant versions that there cannot be another?
    versions_full: bool,
    /// Does a change of another table change rows here, so that MariaDB cannot copy while writes go on?
    cascades: bool,
}

/// How a form is done on a table of a shape. `alone`: no other action of the statement forbids INSTANT.
fn way_of(like: Like, form: Form, shape: &Shape, alone: bool) -> Option<(Way, bool)> {
    let row = ROWS.iter().find(|row| row.form == form)?;
    let (now, later) = (row.ways[like as usize], row.late[like as usize]);
    let not_instant = !alone
        || (later.rebuild
            && later.algorithm == Algorithm::InPlace
            && (shape.fulltext || shape.compressed || shape.versions_full));
    let mut way = if now == I && not_instant { later } else { now };
    if shape.fulltext && way.rebuild && way.algorithm == Algorithm::InPlace {
        // InnoDB builds FULLTEXT indexes anew only while writes wait, and MySQL not in place at all.
        way = match like {
            Like::MySql8 | Like::MySql9 => C,
            Like::MariaDb10 | Like::MariaDb11 => RS,
        };
    }
    if way == C0 && shape.cascades {
        way = C;
    }
    Some((way, row.scan || way.rebuild))
}

/// What one statement does to each of its operations' tables.
pub(crate) fn predict(cases: &[Case<'_>]) -> Vec<Prediction> {
    let classes: Vec<Class<Form>> = cases.iter().map(classify::classify).collect();
    (0..cases.len())
        .map(|at| statement(cases, &classes, at))
        .collect()
}

/// What the whole statement does to the table of one of its operations.
fn statement(cases: &[Case<'_>], classes: &[Class<Form>], at: usize) -> Prediction {
    let case = &cases[at];
    let mut parts: Vec<(usize, &Part<Form>)> = Vec::new();
    for (other, class) in classes.iter().enumerate() {
        if let Class::Refused(refusal) = class {
            return refused(refusal.clone(), at == other);
        }
        if !cases[other].place_is(case) {
            continue;
        }
        match class {
            Class::Undecided(why, say) => return Prediction::undecided(why.clone(), *say),
            Class::Forms(forms) => parts.extend(forms.iter().map(|part| (other, part))),
            Class::Refused(_) => {}
        }
    }
    let own: Vec<&Part<Form>> = parts
        .iter()
        .filter(|(of, _)| *of == at)
        .map(|(_, part)| *part)
        .collect();
    let forms = own.iter().map(|part| AnyForm::MySql(part.form)).collect();
    let done = |effect: Effect, why: String| Prediction {
        effect: Fact::Known(effect),
        why,
        forms,
        say: None,
        refused: None,
        also: Vec::new(),
        tried: false,
    };
    // What only changes the catalogue adds nothing to what else the statement does.
    let only_catalogue = |part: &Part<Form>| matches!(part.form, Form::Metadata | Form::NewTable);
    if let Some(part) = own.first()
        && parts.iter().all(|(_, part)| only_catalogue(part))
    {
        let lock = Lock::Metadata(Locking::Exclusive);
        return done(instant(lock), part.why.clone());
    }
    parts.retain(|(_, part)| !only_catalogue(part));
    let Some(like) = like(case.server) else {
        let why = format!("{} was never measured", case.server);
        return Prediction::undecided(Why::new(why), None);
    };
    let shape = match classify::shape(case, row_versions_max(case.server)) {
        Ok(shape) => shape,
        Err(why) => return Prediction::undecided(why, None),
    };
    let Some((cheapest, scan, worst)) = combine(like, &parts, &shape) else {
        return Prediction::undecided(Why::new("it does nothing that is known"), None);
    };
    let way = match asked_for(case, like, &parts, &shape, cheapest) {
        Ok(way) => way,
        Err(refusal) => return refused(refusal, true),
    };
    let (of, part) = parts[worst];
    let why = if of == at {
        part.why.clone()
    } else {
        format!(
            "the same statement does {}: {}",
            cases[of].step.operation, part.why
        )
    };
    done(effect(case.server, way, scan || way.rebuild), why)
}

fn refused(refusal: Refusal, own: bool) -> Prediction {
    Prediction {
        effect: Fact::Unknown(Why::new(format!("the statement fails: {}", refusal.why))),
        // The reason is said once, of the operation that it is about.
        refused: Some(refusal).filter(|_| own),
        ..Prediction::none()
    }
}

fn effect(server: &ServerInfo, way: Way, scan: bool) -> Effect {
    let algorithm = match (server.engine, way.algorithm) {
        (Engine::MariaDb, algorithm) => algorithm,
        // MySQL has no word for it.
        (_, Algorithm::NoCopy) => Algorithm::InPlace,
        (_, algorithm) => algorithm,
    };
    Effect {
        lock: Lock::Metadata(way.locking),
        algorithm: Some(algorithm),
        rewrite: way.rebuild,
        scan,
        blocks_reads: scan && way.locking == Locking::Exclusive,
        blocks_writes: scan && way.locking != Locking::None,
        duration: None,
    }
}

/// The way of several actions of one ALTER: the slowest that any of them needs; whether the table is read; and which
/// of the parts makes it so.
fn combine(
    like: Like,
    parts: &[(usize, &Part<Form>)],
    shape: &Shape,
) -> Option<(Way, bool, usize)> {
    let drops_key = parts.iter().any(|(_, p)| p.form == Form::DropPrimaryKey);
    let adds_key = parts.iter().any(|(_, p)| p.form == Form::AddPrimaryKey);
    let one = |part: &Part<Form>, alone: bool| {
        // A new primary key beside the old one's end is built in place.
        if part.form == Form::DropPrimaryKey && drops_key && adds_key {
            return way_of(like, Form::AddPrimaryKey, shape, alone);
        }
        way_of(like, part.form, shape, alone)
    };
    let ways = |alone: bool| -> Option<Vec<(Way, bool)>> {
        parts.iter().map(|(_, part)| one(part, alone)).collect()
    };
    let mut each = ways(true)?;
    // MariaDB cannot add a virtual column beside another change of the row's format; both cannot while rows are
    // written anew. Beside an index, it is no more work.
    let is_virtual = |part: &Part<Form>| part.form == Form::AddColumnVirtual;
    let others = parts.iter().filter(|(_, part)| !is_virtual(part));
    let copied = matches!(like, Like::MariaDb10 | Like::MariaDb11)
        && others.clone().any(|(_, part)| is_row_format(part.form))
        && others.count() < parts.len();
    if copied || each.iter().any(|(way, _)| *way != I) {
        each = ways(false)?;
        let rebuilt = each
            .iter()
            .zip(parts)
            .any(|((way, _), (_, part))| way.rebuild && !is_virtual(part));
        for ((way, _), (_, part)) in each.iter_mut().zip(parts) {
            if is_virtual(part) && !copied && !rebuilt {
                *way = P;
            }
        }
    }
    let mut whole = I;
    let (mut scan, mut worst) = (false, 0);
    for (at, (way, reads)) in each.iter().enumerate() {
        if weight(*way) > weight(each[worst].0) {
            worst = at;
        }
        whole = join(whole, *way);
        scan |= *reads;
    }
    Some((whole, scan || whole.rebuild, worst))
}

/// Does it change how rows are stored?
fn is_row_format(form: Form) -> bool {
    let row = ROWS.iter().find(|row| row.form == form);
    row.is_some_and(|row| row.late[0] == R || row.ways[0].rebuild)
}

fn join(one: Way, two: Way) -> Way {
    match (one.algorithm, two.algorithm) {
        // What is copied is copied once, whatever the others would need.
        (Algorithm::Copy, Algorithm::Copy) => Way {
            locking: one.locking.max(two.locking),
            ..one
        },
        (Algorithm::Copy, _) => one,
        (_, Algorithm::Copy) => two,
        _ => Way {
            algorithm: one.algorithm.max(two.algorithm),
            rebuild: one.rebuild || two.rebuild,
            locking: one.locking.max(two.locking),
        },
    }
}

fn weight(way: Way) -> (Locking, bool, Algorithm) {
    (way.locking, way.rebuild, way.algorithm)
}

/// The way that a statement gets which asks for an algorithm or a lock.
fn asked_for(
    case: &Case<'_>,
    like: Like,
    parts: &[(usize, &Part<Form>)],
    shape: &Shape,
    cheapest: Way,
) -> Result<Way, Refusal> {
    let statement = case.step.statement;
    let by_index = classify::asks_online(case);
    let settings = case.settings().known();
    let algorithm = statement
        .algorithm
        .or(by_index.then_some(Algorithm::InPlace))
        .or_else(|| settings.and_then(|settings| settings.algorithm));
    let locking = statement.locking.or(by_index.then_some(Locking::None));
    let is_mysql = matches!(like, Like::MySql8 | Like::MySql9);
    let mut way = cheapest;
    if let Some(algorithm) = algorithm {
        if is_mysql && algorithm == Algorithm::NoCopy {
            return Err(pinned("MySQL has no ALGORITHM=NOCOPY".to_owned()));
        }
        if algorithm == Algorithm::Copy {
            // MariaDB copies while writes go on wherever it can.
            way = if is_mysql || like == Like::MariaDb10 || shape.cascades {
                C
            } else {
                C0
            };
        } else if cheapest.algorithm > algorithm {
            return Err(pinned(format!(
                "ALGORITHM={algorithm} is not possible here: it needs {}",
                words(case.server, cheapest)
            )));
        } else if is_mysql && algorithm == Algorithm::InPlace && cheapest == I {
            // MySQL does as it is told; MariaDB takes the cheaper way all the same.
            let late = parts
                .iter()
                .filter_map(|(_, part)| way_of(like, part.form, shape, false).map(|(way, _)| way));
            way = late.fold(I, join);
            if way.algorithm == Algorithm::Copy {
                return Err(pinned("ALGORITHM=INPLACE is not possible here".to_owned()));
            }
        }
        if is_mysql && algorithm == Algorithm::Instant && locking.is_some() {
            return Err(pinned(
                "MySQL takes no LOCK beside ALGORITHM=INSTANT".to_owned(),
            ));
        }
    }
    match locking {
        Some(locking) if locking < way.locking => Err(pinned(format!(
            "LOCK={locking} is not possible here: it needs {}",
            words(case.server, way)
        ))),
        // What is over in an instant holds no lock that anybody feels.
        Some(_) if way == I => Ok(way),
        Some(locking) => Ok(Way { locking, ..way }),
        None => Ok(way),
    }
}

fn words(server: &ServerInfo, way: Way) -> String {
    let effect = effect(server, way, way.rebuild);
    let algorithm = effect.algorithm.unwrap_or(way.algorithm);
    format!("ALGORITHM={algorithm}, LOCK={}", way.locking)
}

fn pinned(why: String) -> Refusal {
    Refusal {
        pinned: true,
        why,
        advice: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
