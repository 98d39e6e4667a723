//! Questions for the catalogue of MySQL and MariaDB that a statement raises, and what its words alone make certain.
//!
//! As of PostgreSQL: a query of the catalogue whose rows are reasons why the server refuses the statement.

use dbop_model::Engine;

use crate::lex::Kind;
use crate::split::Piece;

/// Functions that give another value each time (MySQL 8.4 manual, section 15.1.20.6).
const VARYING: [&str; 16] = [
    "now",
    "current_timestamp",
    "current_date",
    "current_time",
    "curdate",
    "curtime",
    "localtime",
    "localtimestamp",
    "sysdate",
    "utc_date",
    "utc_time",
    "utc_timestamp",
    "rand",
    "uuid",
    "connection_id",
    "current_user",
];

/// The questions of a statement as one query; `None`: it raises none.
pub(super) fn of(engine: Engine, piece: &Piece<'_>) -> Option<String> {
    let mut asked = Vec::new();
    if piece.is_word(0, "create") {
        created(piece, &mut asked);
    } else if piece.is_word(0, "drop") {
        dropped(piece, &mut asked);
    } else if piece.is_word(0, "call") {
        called(piece, &mut asked);
    } else if piece.is_word(0, "grant") {
        granted(piece, &mut asked);
    }
    if ["database", "schema"]
        .iter()
        .any(|word| piece.is_word(1, word))
    {
        charsets(piece, &mut asked);
    }
    if piece.is_word(0, "create") || piece.is_word(0, "alter") {
        for (from, to) in columns(piece) {
            column(piece, from, to, &mut asked);
        }
        if piece.is_word(0, "create") {
            of_new(engine, piece, &mut asked);
        }
        exchanged(piece, &mut asked);
        if engine == Engine::MySql {
            of_mysql(piece, &mut asked);
        }
    }
    (!asked.is_empty()).then(|| asked.join(" UNION ALL "))
}

/// A string that means the same in every `sql_mode`; `None`: it does not.
fn literal(text: &str) -> Option<String> {
    (!text.contains('\\')).then(|| format!("'{}'", text.replace('\'', "''")))
}

fn reason(code: &str, message: &str, condition: &str) -> Option<String> {
    let message = literal(message)?;
    Some(format!(
        "SELECT '{code}', {message} FROM DUAL WHERE {condition}"
    ))
}

fn part(piece: &Piece<'_>, at: usize) -> Option<String> {
    let token = piece.tokens.get(at)?;
    let written = piece.of(token);
    match token.kind {
        Kind::Word => Some(written.to_owned()),
        Kind::Quoted => {
            let inner = written.strip_prefix('`')?.strip_suffix('`')?;
            Some(inner.replace("``", "`"))
        }
        _ => None,
    }
}

/// The database as a value, the name, and the place behind it.
fn name(piece: &Piece<'_>, at: usize) -> Option<(String, String, usize)> {
    let first = part(piece, at)?;
    if piece.written(at + 1) != "." {
        return Some(("DATABASE()".to_owned(), first, at + 1));
    }
    Some((literal(&first)?, part(piece, at + 2)?, at + 3))
}

fn is_there(catalogue: &str, schema: &str, column: &str, of: &(String, String)) -> Option<String> {
    Some(format!(
        "EXISTS (SELECT 1 FROM information_schema.{catalogue} x WHERE x.{schema} = {} AND x.{column} = {})",
        of.0,
        literal(&of.1)?
    ))
}

fn routine(kind: &str, of: &(String, String)) -> Option<String> {
    Some(format!(
        "EXISTS (SELECT 1 FROM information_schema.routines x WHERE x.routine_schema = {} AND x.routine_name = {} \
         AND x.routine_type = '{}')",
        of.0,
        literal(&of.1)?,
        kind.to_uppercase()
    ))
}

fn created(piece: &Piece<'_>, asked: &mut Vec<String>) {
    let known = [
        "procedure",
        "function",
        "sequence",
        "event",
        "database",
        "schema",
        "trigger",
    ];
    let found = (1..piece.tokens.len().min(10)).find_map(|at| {
        known
            .iter()
            .find(|word| piece.is_word(at, word))
            .map(|word| (at, *word))
    });
    let Some((at, kind)) = found else {
        return;
    };
    let passes = piece.are_words(at + 1, &["if", "not", "exists"]) || piece.is_word(1, "or");
    let at = if piece.is_word(at + 1, "if") {
        at + 4
    } else {
        at + 1
    };
    let Some((database, bare, behind)) = name(piece, at) else {
        return;
    };
    let of = (database, bare.clone());
    if kind == "trigger" {
        triggered(piece, behind, asked);
    }
    if kind == "database" || kind == "schema" {
        // Rights on all databases are nothing that the catalogue tells of another login.
        let message = "whether the migration's login may make databases is not looked up";
        asked.extend(reason("unknown", message, "TRUE"));
    }
    if passes {
        return;
    }
    let (code, there) = match kind {
        "procedure" | "function" => {
            // A function of a library is none of the catalogue's (SONAME).
            let of_library = (behind..piece.tokens.len()).any(|at| piece.is_word(at, "soname"));
            ("1304", (!of_library).then(|| routine(kind, &of)).flatten())
        }
        "event" => ("1537", is_there("events", "event_schema", "event_name", &of)),
        "sequence" => (
            "1050",
            is_there("tables", "table_schema", "table_name", &of),
        ),
        "database" | "schema" => (
            "1007",
            literal(&bare).map(|name| {
                format!(
                    "EXISTS (SELECT 1 FROM information_schema.schemata x WHERE x.schema_name = {name})"
                )
            }),
        ),
        _ => return,
    };
    let message = format!("{kind} `{bare}` is there already");
    if let Some(there) = there.and_then(|there| reason(code, &message, &there)) {
        asked.insert(0, there);
    }
}

/// Columns of the row that a trigger is about.
fn triggered(piece: &Piece<'_>, from: usize, asked: &mut Vec<String>) {
    let last = piece.tokens.len();
    let Some(on) = (from..last).find(|at| piece.is_word(*at, "on")) else {
        return;
    };
    let Some((database, table, behind)) = name(piece, on + 1) else {
        return;
    };
    let of = (database, table);
    for at in behind..last {
        let row = piece.is_word(at, "new") || piece.is_word(at, "old");
        if !row || piece.written(at + 1) != "." {
            continue;
        }
        let Some(column) = part(piece, at + 2) else {
            continue;
        };
        let (Some(there), Some(table), Some(named)) = (
            is_there("tables", "table_schema", "table_name", &of),
            literal(&of.1),
            literal(&column),
        ) else {
            continue;
        };
        let condition = format!(
            "{there} AND NOT EXISTS (SELECT 1 FROM information_schema.columns x WHERE x.table_schema = {} \
             AND x.table_name = {table} AND x.column_name = {named})",
            of.0
        );
        let message = format!("Unknown column `{column}` in `{}`", of.1);
        asked.extend(reason("1054", &message, &condition));
    }
}

fn dropped(piece: &Piece<'_>, asked: &mut Vec<String>) {
    let kind = piece.written(1).to_lowercase();
    if piece.is_word(2, "if") {
        return;
    }
    let Some((database, bare, _)) = name(piece, 2) else {
        return;
    };
    let of = (database, bare);
    let there = match kind.as_str() {
        "procedure" | "function" => routine(&kind, &of),
        "event" => is_there("events", "event_schema", "event_name", &of),
        "sequence" => {
            let there = is_there("tables", "table_schema", "table_name", &of);
            let message = format!("{kind} `{}` does not exist", of.1);
            asked.extend(there.and_then(|there| reason("4091", &message, &format!("NOT {there}"))));
            return;
        }
        _ => return,
    };
    asked.extend(unseen(&kind, &of.1, there));
}

/// Routines and events are shown to those alone who may run or change them (MySQL 8.4 manual, section 28.3.30): one that
/// is not seen may be there.
fn unseen(kind: &str, name: &str, there: Option<String>) -> Option<String> {
    let message = format!("{kind} `{name}` is not there, or not shown to this login");
    reason("unknown", &message, &format!("NOT {}", there?))
}

fn called(piece: &Piece<'_>, asked: &mut Vec<String>) {
    let Some((database, bare, _)) = name(piece, 1) else {
        return;
    };
    let of = (database, bare);
    asked.extend(unseen("procedure", &of.1, routine("procedure", &of)));
}

/// `GRANT SELECT ON t TO ...`: only the right to create a table goes without one.
fn granted(piece: &Piece<'_>, asked: &mut Vec<String>) {
    let Some(on) = (1..piece.tokens.len()).find(|at| piece.is_word(*at, "on")) else {
        return;
    };
    if (1..on).any(|at| piece.is_word(at, "create") || piece.is_word(at, "all")) {
        return;
    }
    let at = if piece.is_word(on + 1, "table") {
        on + 2
    } else {
        on + 1
    };
    let Some((database, bare, behind)) = name(piece, at) else {
        return;
    };
    if !piece.is_word(behind, "to") {
        return;
    }
    let of = (database, bare);
    let message = format!("table `{}` does not exist", of.1);
    let there = is_there("tables", "table_schema", "table_name", &of);
    asked.extend(there.and_then(|there| reason("1146", &message, &format!("NOT {there}"))));
}

fn charsets(piece: &Piece<'_>, asked: &mut Vec<String>) {
    for at in 2..piece.tokens.len() {
        let (behind, code, catalogue, column, what) = if piece.are_words(at, &["character", "set"])
        {
            (
                at + 2,
                "1115",
                "character_sets",
                "character_set_name",
                "character set",
            )
        } else if piece.is_word(at, "collate") {
            (at + 1, "1273", "collations", "collation_name", "collation")
        } else {
            continue;
        };
        let behind = if piece.written(behind) == "=" {
            behind + 1
        } else {
            behind
        };
        let Some(name) = part(piece, behind).filter(|name| !name.eq_ignore_ascii_case("default"))
        else {
            continue;
        };
        let Some(named) = literal(&name) else {
            continue;
        };
        // MariaDB lists collations of several character sets by the end of their names.
        let condition = format!(
            "NOT EXISTS (SELECT 1 FROM information_schema.{catalogue} x WHERE x.{column} = {named} \
             OR {named} LIKE CONCAT('%', x.{column}))"
        );
        let message = format!("Unknown {what}: `{name}`");
        asked.extend(reason(code, &message, &condition));
    }
}

/// Reference systems and tablespaces.
fn of_mysql(piece: &Piece<'_>, asked: &mut Vec<String>) {
    for at in 2..piece.tokens.len() {
        if piece.is_word(at, "srid")
            && piece
                .tokens
                .get(at + 1)
                .is_some_and(|t| t.kind == Kind::Number)
        {
            let number = piece.written(at + 1);
            if number.chars().all(|c| c.is_ascii_digit()) {
                let condition = format!(
                    "NOT EXISTS (SELECT 1 FROM information_schema.st_spatial_reference_systems x WHERE x.srs_id = {number})"
                );
                let message = format!("there is no spatial reference system {number}");
                asked.extend(reason("3548", &message, &condition));
            }
        }
        let sets = piece.is_word(at, "tablespace")
            && !piece.is_word(at - 1, "discard")
            && !piece.is_word(at - 1, "import");
        if !sets || !(1..3).any(|at| piece.is_word(at, "table")) {
            continue;
        }
        let behind = if piece.written(at + 1) == "=" {
            at + 2
        } else {
            at + 1
        };
        if let Some(space) = part(piece, behind)
            && !space.starts_with("innodb_")
            && let Some(named) = literal(&space)
        {
            let condition = format!(
                "NOT EXISTS (SELECT 1 FROM information_schema.innodb_tablespaces x WHERE x.name = {named})"
            );
            let message = format!("tablespace `{space}` does not exist");
            asked.extend(reason("3510", &message, &condition));
        }
    }
}

/// Where the columns stand that a statement defines: in the parentheses of a new table, behind the words of ALTER TABLE.
fn columns(piece: &Piece<'_>) -> Vec<(usize, usize)> {
    let Some(table) = (1..4).find(|at| piece.is_word(*at, "table")) else {
        return Vec::new();
    };
    let last = piece.tokens.len();
    let alters = piece.is_word(0, "alter");
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_usize, alters.then_some(table + 2));
    let level = usize::from(!alters);
    for at in table + 1..last {
        match piece.written(at) {
            "(" => {
                depth += 1;
                if depth == level && start.is_none() {
                    start = Some(at + 1);
                }
            }
            ")" => {
                depth = depth.saturating_sub(1);
                if depth < level {
                    parts.extend(start.map(|start| (start, at)));
                    return parts;
                }
            }
            "," if depth == level => {
                parts.extend(start.map(|start| (start, at)));
                start = Some(at + 1);
            }
            _ => {}
        }
    }
    parts.extend(start.filter(|_| alters).map(|start| (start, last)));
    parts
}

/// What one column's definition says that no server takes.
fn column(piece: &Piece<'_>, from: usize, to: usize, asked: &mut Vec<String>) {
    let has = |words: &[&str]| (from..to).find(|at| piece.are_words(*at, words));
    let temporal =
        (from..to).any(|at| piece.is_word(at, "timestamp") || piece.is_word(at, "datetime"));
    let renewed = ["current_timestamp", "now", "localtime", "localtimestamp"]
        .iter()
        .any(|value| has(&["on", "update", value]).is_some());
    if renewed && !temporal && has(&["alter"]).is_none() {
        let message = "ON UPDATE is for columns of type TIMESTAMP or DATETIME alone";
        asked.extend(reason("1294", message, "TRUE"));
    }
    let Some(check) = has(&["check"]).filter(|at| piece.written(at + 1) == "(") else {
        return;
    };
    let mut depth = 0_usize;
    for at in check + 1..to {
        match piece.written(at) {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            break;
        }
        let varies =
            VARYING.iter().any(|word| piece.is_word(at, word)) && piece.written(at - 1) != ".";
        let is_function = piece.written(at + 1) == "(" || piece.written(at).starts_with("current_");
        if varies && is_function {
            let message = format!("{} cannot be in a CHECK", piece.written(at));
            asked.extend(reason("3814", &message, "TRUE"));
        }
    }
}

/// The place behind the words of a new table's column, its name, and the names in an expression of it.
fn names_within(piece: &Piece<'_>, open: usize, to: usize) -> Vec<String> {
    let mut depth = 0_usize;
    let mut names = Vec::new();
    for at in open..to {
        match piece.written(at) {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ if piece.written(at + 1) != "(" => names.extend(part(piece, at)),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

/// What the columns of a new table say of each other.
fn of_new(engine: Engine, piece: &Piece<'_>, asked: &mut Vec<String>) {
    const NO_COLUMN: [&str; 10] = [
        "check",
        "constraint",
        "key",
        "index",
        "unique",
        "primary",
        "foreign",
        "fulltext",
        "spatial",
        "period",
    ];
    let Some(table) = (1..4).find(|at| piece.is_word(*at, "table")) else {
        return;
    };
    let last = piece.tokens.len();
    let foreign = (table..last).any(|at| piece.are_words(at, &["foreign", "key"]));
    if piece.is_word(1, "temporary") && foreign {
        let message = "a temporary table cannot have a foreign key";
        asked.extend(reason("1215", message, "TRUE"));
    }
    let at = if piece.is_word(table + 1, "if") {
        table + 4
    } else {
        table + 1
    };
    if let Some((database, _, _)) =
        name(piece, at).filter(|(database, _, _)| database != "DATABASE()")
    {
        let message = "it is made in another database than the one that is connected to";
        asked.extend(reason(
            "unknown",
            message,
            &format!("DATABASE() <> {database}"),
        ));
    }
    let columns: Vec<(String, usize, usize)> = columns(piece)
        .into_iter()
        .filter(|(from, _)| !NO_COLUMN.iter().any(|word| piece.is_word(*from, word)))
        .filter_map(|(from, to)| Some((part(piece, from)?, from, to)))
        .collect();
    let computed = |(from, to): (usize, usize)| {
        (from..to).find(|at| piece.is_word(*at, "as") && piece.written(at + 1) == "(")
    };
    for (nth, (column, from, to)) in columns.iter().enumerate() {
        let is = |name: &String, other: &String| name.eq_ignore_ascii_case(other);
        if let Some(at) = computed((*from, *to)) {
            let names = names_within(piece, at + 1, *to);
            let later = columns[nth..].iter().find(|(other, from, to)| {
                computed((*from, *to)).is_some() && names.iter().any(|name| is(name, other))
            });
            if let Some((other, _, _)) = later {
                let message = format!(
                    "`{column}` cannot be made of `{other}`, which stands no place before it"
                );
                asked.extend(reason("3107", &message, "TRUE"));
            }
        }
        if engine != Engine::MySql {
            continue;
        }
        if let Some(at) = (*from..*to).find(|at| piece.is_word(*at, "check")) {
            let names = names_within(piece, at + 1, *to);
            let other = columns.iter().find(|(other, _, _)| {
                !is(other, column) && names.iter().any(|name| is(name, other))
            });
            if let Some((other, _, _)) = other {
                let message = format!("the CHECK of column `{column}` names `{other}`");
                asked.extend(reason("3813", &message, "TRUE"));
            }
        }
        let is_key = (*from..*to).any(|at| piece.are_words(at, &["primary", "key"]));
        let holds_null = (from + 1..*to).any(|at| {
            piece.is_word(at, "null")
                && !piece.is_word(at - 1, "not")
                && !piece.is_word(at - 1, "default")
        });
        if is_key && holds_null {
            let message = format!("`{column}` is of a primary key, and to hold NULL");
            asked.extend(reason("1171", &message, "TRUE"));
        }
    }
}

/// A table that is exchanged for a partition has the same columns in the same order.
fn exchanged(piece: &Piece<'_>, asked: &mut Vec<String>) {
    let last = piece.tokens.len();
    let exchange = (2..last).find(|at| piece.are_words(*at, &["exchange", "partition"]));
    let other = exchange
        .and_then(|at| (at..last).find(|at| piece.are_words(*at, &["with", "table"])))
        .and_then(|at| name(piece, at + 2));
    let (Some((other_database, other, _)), Some((database, table, _))) = (other, name(piece, 2))
    else {
        return;
    };
    let (Some(one), Some(two)) = (literal(&table), literal(&other)) else {
        return;
    };
    let there = format!(
        "EXISTS (SELECT 1 FROM information_schema.columns x WHERE x.table_schema = {other_database} AND x.table_name = {two})"
    );
    let differs = format!(
        "EXISTS (SELECT 1 FROM information_schema.columns a LEFT JOIN information_schema.columns b \
         ON b.table_schema = {other_database} AND b.table_name = {two} AND b.ordinal_position = a.ordinal_position \
         WHERE a.table_schema = {database} AND a.table_name = {one} \
         AND (b.column_name IS NULL OR b.column_name <> a.column_name))"
    );
    let message =
        format!("the columns of `{other}` are others than those of `{table}`, or in another order");
    asked.extend(reason("1736", &message, &format!("{there} AND {differs}")));
}
