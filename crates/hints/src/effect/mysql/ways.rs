//! From forms to the way that a whole statement goes: by the table's shape, beside other actions, and as it is asked for.

use dbop_model::operation::{Algorithm, Locking};

use super::classify;
use super::forms::{C, C0, Form, I, Like, P, R, ROWS, RS, Way};
use super::{pinned, words};
use crate::case::Case;
use crate::effect::{Part, Refusal};

/// What of a table decides besides the form.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    /// Is it of a storage engine that has no other way than to copy?
    pub(super) copied: bool,
    pub(super) fulltext: bool,
    pub(super) compressed: bool,
    pub(super) redundant: bool,
    pub(super) partitioned: bool,
    /// Has it a stored generated column?
    pub(super) stored: bool,
    /// Has it a virtual column that an index is over?
    pub(super) virtual_indexed: bool,
    /// Are there so many instant versions that there cannot be another? `None`: that is not known.
    pub(super) versions_full: Option<bool>,
    /// Does a change of another table change rows here, so that MariaDB cannot copy while writes go on?
    pub(super) cascades: bool,
}

/// What one statement takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) way: Way,
    /// Is every row read?
    pub(super) scan: bool,
    /// Which of the parts makes it so.
    pub(super) worst: usize,
}

/// How a statement of these parts is done, as it asks for it; `None`: a part is of no known form.
///
/// # Errors
/// The server cannot do it as it is asked for.
pub(super) fn whole(
    case: &Case<'_>,
    like: Like,
    parts: &[(usize, &Part<Form>)],
    shape: &Shape,
) -> Result<Option<Whole>, Refusal> {
    let Some((cheapest, scan, worst)) = combine(like, parts, shape) else {
        return Ok(None);
    };
    let way = asked_for(case, like, parts, shape, cheapest)?;
    Ok(Some(Whole {
        way,
        scan: scan || way.rebuild,
        worst,
    }))
}

/// How a form is done on a table of a shape. `alone`: no other action of the statement forbids INSTANT.
fn way_of(like: Like, form: Form, shape: &Shape, alone: bool) -> Option<(Way, bool)> {
    let row = ROWS.iter().find(|row| row.form == form)?;
    let (now, later) = (row.ways[like as usize], row.late[like as usize]);
    let mariadb = matches!(like, Like::MariaDb10 | Like::MariaDb11);
    if shape.copied {
        return Some(match like {
            _ if keeps_rows(form, mariadb) => (I, false),
            Like::MariaDb11 => (C0, true),
            _ => (C, true),
        });
    }
    // Lengths of this row format have always room for two bytes, and every column for NULL.
    let roomy = matches!(form, Form::LongerAcross | Form::Nullable);
    if roomy && mariadb && shape.redundant && alone {
        return Some((I, false));
    }
    // MariaDB computes generated columns anew where a value may have become another.
    let computes = match form {
        Form::NotNull | Form::NotNullLoose => shape.stored || shape.virtual_indexed,
        Form::DropColumnAmongVirtual => shape.virtual_indexed,
        _ => false,
    };
    if computes && mariadb {
        let copied = if like == Like::MariaDb10 || shape.cascades {
            C
        } else {
            C0
        };
        return Some((copied, true));
    }
    let rebuilds = later.rebuild && later.algorithm == Algorithm::InPlace;
    let not_instant = !alone
        || (rebuilds
            && (shape.fulltext
                || shape.compressed
                || shape.versions_full == Some(true)
                || (mariadb && shape.virtual_indexed)))
        || (form == Form::AddColumnVirtual && mariadb && shape.partitioned);
    let mut way = if now == I && not_instant { later } else { now };
    if way.rebuild && way.algorithm == Algorithm::InPlace {
        // InnoDB builds FULLTEXT indexes anew only while writes wait, and MySQL not in place at all; MariaDB computes
        // indexed virtual columns anew in the same way.
        match like {
            Like::MySql8 | Like::MySql9 if shape.fulltext => way = C,
            Like::MariaDb10 | Like::MariaDb11 if shape.fulltext || shape.virtual_indexed => {
                way = RS
            }
            _ => {}
        }
    }
    if way == C0 && shape.cascades {
        way = C;
    }
    Some((way, row.scan || way.rebuild))
}

/// What needs no copy even where the storage engine has no other way.
fn keeps_rows(form: Form, mariadb: bool) -> bool {
    match form {
        Form::RenameColumn
        | Form::RenameTable
        | Form::Default
        | Form::EnumAppended
        | Form::Catalogue => true,
        Form::ChangeVirtual | Form::DropCheck => mariadb,
        _ => false,
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
    let instant: Vec<bool> = each.iter().map(|(way, _)| *way == I).collect();
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
        for (at, ((way, _), (_, part))) in each.iter_mut().zip(parts).enumerate() {
            // Of a partitioned table, MySQL adds it instantly or by a copy.
            if is_virtual(part) && instant[at] && !copied && !rebuilt && !shape.partitioned {
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
    let algorithm = statement
        .algorithm
        .or(by_index.then_some(Algorithm::InPlace))
        .or_else(|| case.algorithm().known().copied().flatten());
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
