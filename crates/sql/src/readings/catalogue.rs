//! Questions for PostgreSQL's catalogue that a statement raises: is there already what it makes, is in use what it drops,
//! is there what it rests on?
//!
//! Each is a query of the catalogue alone, whose rows are reasons why the server refuses the statement. What the words do
//! not plainly say raises none.

mod expressions;
mod indexed;

use dbop_model::operation::Operation;

use crate::lex::Kind;
use crate::split::Piece;

/// The questions of a statement as one query; `None`: it raises none.
pub(super) fn of(piece: &Piece<'_>, operations: &[Operation]) -> Option<String> {
    let mut asked = Vec::new();
    if piece.is_word(0, "create") {
        created(piece, &mut asked);
    } else if piece.is_word(0, "drop") {
        dropped(piece, &mut asked);
    } else if piece.is_word(0, "alter") {
        altered(piece, operations, &mut asked);
    } else if piece.are_words(0, &["refresh", "materialized", "view", "concurrently"]) {
        refreshed(piece, &mut asked);
    } else if piece.is_word(0, "cluster") {
        clustered(piece, &mut asked);
    }
    if !asked.is_empty()
        || ["create", "alter"]
            .iter()
            .any(|word| piece.is_word(0, word))
    {
        tablespaces(piece, &mut asked);
        indexed::of(piece, operations, &mut asked);
        expressions::of(piece, operations, &mut asked);
    }
    of_new(piece, operations, &mut asked);
    (!asked.is_empty()).then(|| asked.join(" UNION ALL "))
}

/// Keys that name a column twice, and columns that a new table would inherit with another type.
fn of_new(piece: &Piece<'_>, operations: &[Operation], asked: &mut Vec<String>) {
    for open in 2..piece.tokens.len() {
        let is_key = ["unique", "key", "distinct"]
            .iter()
            .any(|word| piece.is_word(open - 1, word))
            && !piece.is_word(open - 2, "foreign");
        if !is_key || piece.written(open) != "(" {
            continue;
        }
        let Some(end) = piece.closing(open) else {
            continue;
        };
        let columns: Vec<String> = split(piece, open + 1, end)
            .iter()
            .filter_map(|(from, _)| part(piece, *from))
            .collect();
        let twice = (1..columns.len()).find(|at| columns[..*at].contains(&columns[*at]));
        if let Some(at) = twice {
            let message = format!("column \"{}\" appears twice in a key", columns[at]);
            asked.push(reason("42701", &message, "true"));
        }
    }
    for operation in operations {
        let Operation::CreateTable { columns, .. } = operation else {
            continue;
        };
        let parents = find(piece, 1, "inherits").filter(|at| piece.written(at + 1) == "(");
        let Some((open, end)) = parents.and_then(|at| Some((at + 1, piece.closing(at + 1)?)))
        else {
            continue;
        };
        for (from, _) in split(piece, open + 1, end) {
            let Some((parent, _)) = name(piece, from) else {
                continue;
            };
            for column in columns {
                let Some(sql_type) = &column.sql_type else {
                    continue;
                };
                let name = column.name.as_str();
                let condition = format!(
                    "{} <> pg_catalog.to_regtype({})::pg_catalog.oid",
                    expressions::type_of(&parent, name),
                    literal(sql_type.name())
                );
                let message = format!(
                    "column \"{name}\" has another type in \"{}\", from which it is inherited",
                    parent.name
                );
                asked.push(reason("42804", &message, &condition));
            }
        }
    }
}

/// A name as the catalogue has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    schema: Option<String>,
    name: String,
}

impl Name {
    /// Of a relation or a type, for the functions that look one up.
    fn whole(&self) -> String {
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        match &self.schema {
            Some(schema) => literal(&format!("{}.{}", quoted(schema), quoted(&self.name))),
            None => literal(&quoted(&self.name)),
        }
    }

    /// The number of the relation of that name.
    fn relation(&self) -> String {
        format!("pg_catalog.to_regclass({})::pg_catalog.oid", self.whole())
    }

    fn ty(&self) -> String {
        format!("pg_catalog.to_regtype({})::pg_catalog.oid", self.whole())
    }

    /// The schema in which it is made.
    fn namespace(&self) -> String {
        let name = match &self.schema {
            Some(schema) => literal(schema),
            None => "pg_catalog.current_schema()".to_owned(),
        };
        format!("(SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = {name})")
    }
}

/// A string that means the same whatever `standard_conforming_strings` is.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// A reason, where a condition holds.
fn reason(code: &str, message: &str, condition: &str) -> String {
    format!(
        "(SELECT {}::pg_catalog.text, {}::pg_catalog.text WHERE {condition})",
        literal(code),
        literal(message)
    )
}

/// One part of a name, as the catalogue has it.
fn part(piece: &Piece<'_>, at: usize) -> Option<String> {
    let token = piece.tokens.get(at)?;
    let written = piece.of(token);
    match token.kind {
        Kind::Word => Some(written.to_lowercase()),
        Kind::Quoted => {
            let inner = written.strip_prefix('"')?.strip_suffix('"')?;
            Some(inner.replace("\"\"", "\""))
        }
        _ => None,
    }
}

/// A name and the place behind it.
fn name(piece: &Piece<'_>, at: usize) -> Option<(Name, usize)> {
    let first = part(piece, at)?;
    if piece.written(at + 1) != "." {
        let name = Name {
            schema: None,
            name: first,
        };
        return Some((name, at + 1));
    }
    let second = part(piece, at + 2)?;
    let name = Name {
        schema: Some(first),
        name: second,
    };
    (piece.written(at + 3) != ".").then_some((name, at + 3))
}

/// A string's value; only plain ones.
fn string(piece: &Piece<'_>, at: usize) -> Option<String> {
    let token = piece.tokens.get(at)?;
    let inner = piece.of(token).strip_prefix('\'')?.strip_suffix('\'')?;
    (token.kind == Kind::Text && !inner.contains('\\')).then(|| inner.replace("''", "'"))
}

/// The place of a word outside of parentheses.
fn find(piece: &Piece<'_>, from: usize, word: &str) -> Option<usize> {
    outside(piece, from)
        .into_iter()
        .find(|at| piece.is_word(*at, word))
}

/// The places outside of parentheses.
fn outside(piece: &Piece<'_>, from: usize) -> Vec<usize> {
    let mut depth = 0_usize;
    let mut places = Vec::new();
    for at in from..piece.tokens.len() {
        match piece.written(at) {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ if depth == 0 => places.push(at),
            _ => {}
        }
    }
    places
}

/// The parts between commas, of what stands between two places.
fn split(piece: &Piece<'_>, from: usize, to: usize) -> Vec<(usize, usize)> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_usize, from);
    for at in from..to {
        match piece.written(at) {
            "(" | "[" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            "," if depth == 0 => {
                parts.push((start, at));
                start = at + 1;
            }
            _ => {}
        }
    }
    if start < to {
        parts.push((start, to));
    }
    parts
}

fn created(piece: &Piece<'_>, asked: &mut Vec<String>) {
    let mut at = 1;
    let mut replaces = false;
    if piece.are_words(1, &["or", "replace"]) {
        (at, replaces) = (3, true);
    }
    while ["temp", "temporary", "unlogged", "constraint", "trusted"]
        .iter()
        .any(|word| piece.is_word(at, word))
    {
        at += 1;
    }
    let temporary = (1..at).any(|at| piece.is_word(at, "temp") || piece.is_word(at, "temporary"));
    let kind = piece.written(at).to_lowercase();
    at += 1;
    let passes = piece.are_words(at, &["if", "not", "exists"]);
    if passes {
        at += 3;
    }
    let fresh = !replaces && !passes && !temporary;
    let Some((named, behind)) = name(piece, at) else {
        return;
    };
    let bare = &named.name;
    let mut there = |code: &str, what: &str, condition: String| {
        if fresh {
            let message = format!("{what} \"{bare}\" is there already");
            asked.push(reason(code, &message, &condition));
        }
    };
    let global = |catalogue: &str, column: &str| {
        format!(
            "EXISTS (SELECT FROM pg_catalog.{catalogue} x WHERE x.{column} = {})",
            literal(bare)
        )
    };
    let within = |catalogue: &str, column: &str, space: &str| {
        format!(
            "EXISTS (SELECT FROM pg_catalog.{catalogue} x WHERE x.{column} = {} AND x.{space} = {})",
            literal(bare),
            named.namespace()
        )
    };
    match kind.as_str() {
        "type" | "domain" => there(
            "42710",
            "type",
            format!(
                "EXISTS (SELECT FROM pg_catalog.pg_type x WHERE x.typname = {} AND x.typnamespace = {} \
                 AND x.typisdefined AND x.typelem = 0::pg_catalog.oid)",
                literal(bare),
                named.namespace()
            ),
        ),
        "sequence" => {
            there(
                "42P07",
                "relation",
                within("pg_class", "relname", "relnamespace"),
            );
            owned(piece, behind, asked);
        }
        "schema" if bare != "authorization" => {
            there("42P06", "schema", global("pg_namespace", "nspname"));
        }
        "role" | "user" | "group" => there("42710", "role", global("pg_roles", "rolname")),
        "publication" => there("42710", "publication", global("pg_publication", "pubname")),
        "extension" => {
            there("42710", "extension", global("pg_extension", "extname"));
            let lacking = format!(
                "NOT {} AND NOT {}",
                global("pg_extension", "extname"),
                global("pg_available_extensions", "name")
            );
            let message = format!("extension \"{bare}\" is not installed on the server");
            asked.push(reason("0A000", &message, &lacking));
        }
        "statistics" if !piece.is_word(at, "on") => there(
            "42710",
            "statistics object",
            within("pg_statistic_ext", "stxname", "stxnamespace"),
        ),
        "function" | "procedure" => {
            let arguments = arguments(piece, behind);
            if let Some(arguments) = arguments {
                let condition = format!(
                    "EXISTS (SELECT FROM pg_catalog.pg_proc x WHERE x.pronamespace = {} AND x.oid = {})",
                    named.namespace(),
                    routine(&named, &arguments)
                );
                there("42723", &kind, condition);
            }
        }
        "trigger" | "policy" | "rule" => {
            let word = if kind == "rule" { "to" } else { "on" };
            let table = (behind..piece.tokens.len())
                .find(|at| piece.is_word(*at, word))
                .and_then(|at| name(piece, at + 1));
            if let Some((table, _)) = table {
                let (catalogue, column, of) = parts_of(&kind);
                let condition = part_is_there(catalogue, column, of, bare, &table);
                there("42710", &kind, condition);
            }
        }
        _ => {}
    }
}

/// Where what belongs to a table is listed: the catalogue, its name there, its table.
fn parts_of(kind: &str) -> (&'static str, &'static str, &'static str) {
    match kind {
        "trigger" => ("pg_trigger", "tgname", "tgrelid"),
        "policy" => ("pg_policy", "polname", "polrelid"),
        _ => ("pg_rewrite", "rulename", "ev_class"),
    }
}

fn part_is_there(catalogue: &str, column: &str, of: &str, name: &str, table: &Name) -> String {
    format!(
        "EXISTS (SELECT FROM pg_catalog.{catalogue} x WHERE x.{column} = {} AND x.{of} = {})",
        literal(name),
        table.relation()
    )
}

/// A sequence's owner.
fn owned(piece: &Piece<'_>, from: usize, asked: &mut Vec<String>) {
    let Some(at) = (from..piece.tokens.len()).find(|at| piece.are_words(*at, &["owned", "by"]))
    else {
        return;
    };
    if piece.is_word(at + 2, "none") {
        return;
    }
    let parts: Option<Vec<String>> = (at + 2..piece.tokens.len())
        .step_by(2)
        .map(|at| part(piece, at))
        .collect();
    let table = match parts.as_deref() {
        Some([table, column]) => (None, table, column),
        Some([schema, table, column]) => (Some(schema.clone()), table, column),
        _ => return,
    };
    let (schema, table, column) = table;
    let table = Name {
        schema,
        name: table.clone(),
    };
    lacks_column(&table, column, asked);
}

/// A table that is there without a column.
fn lacks_column(table: &Name, column: &str, asked: &mut Vec<String>) {
    let condition = format!(
        "{} IS NOT NULL AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute x WHERE x.attrelid = {} \
         AND x.attname = {} AND NOT x.attisdropped)",
        table.relation(),
        table.relation(),
        literal(column)
    );
    let message = format!("column \"{column}\" of \"{}\" does not exist", table.name);
    asked.push(reason("42703", &message, &condition));
}

/// The types of a routine's arguments, as they are written; `None`: they cannot be told from their names.
fn arguments(piece: &Piece<'_>, open: usize) -> Option<String> {
    const MODES: [&str; 4] = ["in", "out", "inout", "variadic"];
    if piece.written(open) != "(" {
        return None;
    }
    let end = piece.closing(open)?;
    let mut types = Vec::new();
    for (from, to) in split(piece, open + 1, end) {
        let mut words: Vec<&str> = (from..to).map(|at| piece.written(at)).collect();
        let value = words
            .iter()
            .position(|word| word.eq_ignore_ascii_case("default") || *word == "=" || *word == ":");
        words.truncate(value.unwrap_or(words.len()));
        if words.first()?.eq_ignore_ascii_case("out") {
            continue;
        }
        if MODES.iter().any(|mode| words[0].eq_ignore_ascii_case(mode)) {
            words.remove(0);
        }
        let signs = words
            .iter()
            .skip(1)
            .any(|word| *word == "." || *word == "(");
        match words.as_slice() {
            _ if signs => return None,
            [_] | [_, "[", "]"] => types.push(words.concat()),
            [_, one] | [_, one, "[", "]"] if !is_second(one) => {
                types.push(words[1..].concat());
            }
            _ => return None,
        }
    }
    Some(types.join(", "))
}

/// Is it the second word of a type's name?
fn is_second(word: &str) -> bool {
    ["precision", "varying", "with", "without"]
        .iter()
        .any(|one| word.eq_ignore_ascii_case(one))
}

fn routine(named: &Name, arguments: &str) -> String {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let name = match &named.schema {
        Some(schema) => format!("{}.{}", quoted(schema), quoted(&named.name)),
        None => quoted(&named.name),
    };
    let whole = literal(&format!("{name}({arguments})"));
    format!("pg_catalog.to_regprocedure({whole})::pg_catalog.oid")
}

/// Drops without CASCADE, of what others need.
fn dropped(piece: &Piece<'_>, asked: &mut Vec<String>) {
    let kind = piece.written(1).to_lowercase();
    let mut at = 2;
    let passes = piece.are_words(at, &["if", "exists"]);
    if passes {
        at += 2;
    }
    let last = piece.tokens.len();
    if (at..last).any(|at| piece.is_word(at, "cascade")) {
        return;
    }
    if ["trigger", "policy", "rule"].contains(&kind.as_str()) {
        let table = piece
            .is_word(at + 1, "on")
            .then(|| name(piece, at + 2))
            .flatten();
        if let (Some(bare), Some((table, _))) = (part(piece, at), table)
            && !passes
        {
            let (catalogue, column, of) = parts_of(&kind);
            let there = part_is_there(catalogue, column, of, &bare, &table);
            let message = format!("{kind} \"{bare}\" of \"{}\" does not exist", table.name);
            let lacking = format!("{} IS NOT NULL AND NOT {there}", table.relation());
            asked.push(reason("42704", &message, &lacking));
        }
        return;
    }
    let (catalogue, mut roots) = match kind.as_str() {
        "type" | "domain" => ("pg_type", Vec::new()),
        "sequence" => ("pg_class", Vec::new()),
        "function" | "procedure" | "routine" => ("pg_proc", Vec::new()),
        "schema" => ("pg_namespace", Vec::new()),
        "extension" => ("pg_extension", Vec::new()),
        _ => return,
    };
    for (from, _) in split(piece, at, last) {
        let Some((named, behind)) = name(piece, from) else {
            return;
        };
        let number = match kind.as_str() {
            "type" | "domain" => named.ty(),
            "sequence" => named.relation(),
            "schema" => format!(
                "(SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = {})",
                literal(&named.name)
            ),
            "extension" => {
                let number = format!(
                    "(SELECT n.oid FROM pg_catalog.pg_extension n WHERE n.extname = {})",
                    literal(&named.name)
                );
                if !passes {
                    let message = format!("extension \"{}\" does not exist", named.name);
                    asked.push(reason("42704", &message, &format!("{number} IS NULL")));
                }
                number
            }
            _ if piece.written(behind) == "(" => match arguments(piece, behind) {
                Some(arguments) => routine(&named, &arguments),
                None => return,
            },
            _ => format!("pg_catalog.to_regproc({})::pg_catalog.oid", named.whole()),
        };
        roots.push(format!(
            "SELECT 'pg_catalog.{catalogue}'::pg_catalog.regclass::pg_catalog.oid, {number}"
        ));
    }
    // What goes with it (deptypes a, e, i) needs nobody either (PostgreSQL manual, section 53.18).
    asked.push(format!(
        "(WITH RECURSIVE own(class, number) AS (({}) UNION \
         SELECT d.classid, d.objid FROM pg_catalog.pg_depend d \
         JOIN own o ON d.refclassid = o.class AND d.refobjid = o.number \
         WHERE d.deptype IN ('a', 'e', 'i') AND d.objsubid = 0) \
         SELECT '2BP01'::pg_catalog.text, 'others need it: '::pg_catalog.text || a.type || ' \"' || \
         pg_catalog.array_to_string(CASE WHEN pg_catalog.array_length(a.object_names, 1) > 1 \
         THEN a.object_names[2:] ELSE a.object_names END, '\" of \"') || '\"' \
         FROM pg_catalog.pg_depend d JOIN own o ON d.refclassid = o.class AND d.refobjid = o.number, \
         LATERAL pg_catalog.pg_identify_object_as_address(d.classid, d.objid, d.objsubid) a \
         WHERE d.deptype = 'n' AND NOT EXISTS (SELECT FROM own p WHERE p.class = d.classid AND p.number = d.objid) \
         LIMIT 1)",
        roots.join(" UNION ALL ")
    ));
}

fn altered(piece: &Piece<'_>, operations: &[Operation], asked: &mut Vec<String>) {
    let kind = piece.written(1).to_lowercase();
    let mut at = 2;
    if kind == "materialized" {
        at = 3;
    }
    let passes = piece.are_words(at, &["if", "exists"]);
    if passes {
        at += 2;
    }
    if piece.is_word(at, "only") {
        at += 1;
    }
    let Some((named, behind)) = name(piece, at) else {
        return;
    };
    match kind.as_str() {
        "type" => enumerated(piece, &named, behind, asked),
        "view" | "materialized" | "index" | "sequence"
            if piece.are_words(behind, &["rename", "to"]) =>
        {
            let Some(to) = part(piece, behind + 2) else {
                return;
            };
            let condition = format!(
                "EXISTS (SELECT FROM pg_catalog.pg_class x JOIN pg_catalog.pg_class y \
                 ON x.relnamespace = y.relnamespace WHERE x.relname = {} AND y.oid = {})",
                literal(&to),
                named.relation()
            );
            let message = format!("relation \"{to}\" is there already");
            asked.push(reason("42P07", &message, &condition));
        }
        "policy" | "trigger" | "rule" if piece.is_word(behind, "on") => {
            if let Some((table, _)) = name(piece, behind + 1) {
                let (catalogue, column, of) = parts_of(&kind);
                let there = part_is_there(catalogue, column, of, &named.name, &table);
                let message = format!(
                    "{kind} \"{}\" of \"{}\" does not exist",
                    named.name, table.name
                );
                let lacking = format!("{} IS NOT NULL AND NOT {there}", table.relation());
                asked.push(reason("42704", &message, &lacking));
            }
        }
        "table" => of_table(piece, operations, &named, behind, asked),
        _ => {}
    }
}

/// The values of an enumeration.
fn enumerated(piece: &Piece<'_>, ty: &Name, at: usize, asked: &mut Vec<String>) {
    let has = |value: &str| {
        format!(
            "EXISTS (SELECT FROM pg_catalog.pg_enum x WHERE x.enumtypid = {} AND x.enumlabel = {})",
            ty.ty(),
            literal(value)
        )
    };
    let is_enum = format!(
        "EXISTS (SELECT FROM pg_catalog.pg_enum x WHERE x.enumtypid = {})",
        ty.ty()
    );
    let mut lacks = |value: &str| {
        let message = format!("\"{value}\" is no value of \"{}\"", ty.name);
        let condition = format!("{is_enum} AND NOT {}", has(value));
        asked.push(reason("22023", &message, &condition));
    };
    let new = if piece.are_words(at, &["add", "value"]) {
        if let Some(beside) = (at..piece.tokens.len())
            .find(|at| piece.is_word(*at, "before") || piece.is_word(*at, "after"))
            .and_then(|at| string(piece, at + 1))
        {
            lacks(&beside);
        }
        string(piece, at + 2)
    } else if piece.are_words(at, &["rename", "value"]) {
        if let Some(old) = string(piece, at + 2) {
            lacks(&old);
        }
        string(piece, at + 4)
    } else {
        None
    };
    if let Some(new) = new {
        let message = format!("\"{new}\" is a value of \"{}\" already", ty.name);
        asked.push(reason("42710", &message, &has(&new)));
    }
}

/// Parameters of tables (PostgreSQL manual, CREATE TABLE, "Storage Parameters"), without those of autovacuum.
const PARAMETERS: [&str; 10] = [
    "fillfactor",
    "oids",
    "toast_tuple_target",
    "parallel_workers",
    "vacuum_index_cleanup",
    "vacuum_truncate",
    "vacuum_max_eager_freeze_failure_rate",
    "log_autovacuum_min_duration",
    "log_autoanalyze_min_duration",
    "user_catalog_table",
];

/// Actions of ALTER TABLE that name something beside the table's columns.
fn of_table(
    piece: &Piece<'_>,
    operations: &[Operation],
    table: &Name,
    from: usize,
    asked: &mut Vec<String>,
) {
    let adds = |name: &str| {
        operations.iter().any(|one| match one {
            Operation::AddColumn { columns, .. } => {
                columns.iter().any(|column| column.name.as_str() == name)
            }
            _ => false,
        })
    };
    for (start, _) in split(piece, from, piece.tokens.len()) {
        let words = |words: &[&str]| piece.are_words(start, words);
        let index = if words(&["cluster", "on"]) {
            part(piece, start + 2)
        } else if words(&["replica", "identity", "using", "index"]) {
            part(piece, start + 4)
        } else {
            None
        };
        if let Some(index) = index {
            lacks_index(table, &index, asked);
        }
        if (words(&["disable", "trigger"]) || words(&["enable", "trigger"]))
            && !["all", "user"]
                .iter()
                .any(|word| piece.is_word(start + 2, word))
            && let Some(trigger) = part(piece, start + 2)
        {
            let there = part_is_there("pg_trigger", "tgname", "tgrelid", &trigger, table);
            let condition = format!("{} IS NOT NULL AND NOT {there}", table.relation());
            let message = format!("trigger \"{trigger}\" of \"{}\" does not exist", table.name);
            asked.push(reason("42704", &message, &condition));
        }
        let parent = if piece.is_word(start, "inherit") {
            name(piece, start + 1)
        } else if words(&["no", "inherit"]) {
            name(piece, start + 2)
        } else {
            None
        };
        if let Some((parent, _)) = parent {
            let message = format!("relation \"{}\" does not exist", parent.name);
            let condition = format!("{} IS NULL", parent.relation());
            asked.push(reason("42P01", &message, &condition));
        }
        let column = if words(&["alter", "column"]) {
            Some(start + 2)
        } else if piece.is_word(start, "alter") && !words(&["alter", "constraint"]) {
            Some(start + 1)
        } else {
            None
        };
        if let Some(at) = column
            && ["statistics", "storage", "compression", "("]
                .iter()
                .any(|word| piece.written(at + 2).eq_ignore_ascii_case(word))
            && let Some(column) = part(piece, at).filter(|column| !adds(column))
        {
            lacks_column(table, &column, asked);
        }
        if piece.is_word(start, "set") && piece.written(start + 1) == "(" {
            parameters(piece, start + 1, asked);
        }
    }
}

/// Parameters of a table that no server up to 18 knows; of a later one nothing is said.
fn parameters(piece: &Piece<'_>, open: usize, asked: &mut Vec<String>) {
    let Some(end) = piece.closing(open) else {
        return;
    };
    for (from, _) in split(piece, open + 1, end) {
        let Some((parameter, _)) = name(piece, from) else {
            continue;
        };
        let known = PARAMETERS.contains(&parameter.name.as_str())
            || parameter.name.starts_with("autovacuum_");
        if parameter.schema.is_none() && !known {
            let message = format!("unrecognized parameter \"{}\"", parameter.name);
            let condition =
                "pg_catalog.current_setting('server_version_num')::pg_catalog.int4 < 190000";
            asked.push(reason("22023", &message, condition));
        }
    }
}

fn lacks_index(table: &Name, index: &str, asked: &mut Vec<String>) {
    let condition = format!(
        "{} IS NOT NULL AND NOT EXISTS (SELECT FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class y \
         ON y.oid = x.indexrelid WHERE x.indrelid = {} AND y.relname = {})",
        table.relation(),
        table.relation(),
        literal(index)
    );
    let message = format!("index \"{index}\" of \"{}\" does not exist", table.name);
    asked.push(reason("42704", &message, &condition));
}

/// `CLUSTER t USING i`.
fn clustered(piece: &Piece<'_>, asked: &mut Vec<String>) {
    let Some(at) = find(piece, 1, "using") else {
        return;
    };
    let table = name(piece, at.saturating_sub(1)).filter(|_| piece.written(at - 2) != ".");
    let qualified = (at >= 4).then(|| name(piece, at - 3)).flatten();
    let table = table.or(qualified).map(|(table, _)| table);
    if let (Some(table), Some(index)) = (table, part(piece, at + 1)) {
        lacks_index(&table, &index, asked);
    }
}

/// A view is refreshed beside its readers by a unique index over whole columns and all rows.
fn refreshed(piece: &Piece<'_>, asked: &mut Vec<String>) {
    let Some((view, _)) = name(piece, 4) else {
        return;
    };
    let of = format!("x.oid = {} AND x.relkind = 'm'", view.relation());
    let key = "EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = x.oid AND i.indisunique \
               AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL)";
    let condition =
        |what: &str| format!("EXISTS (SELECT FROM pg_catalog.pg_class x WHERE {of} AND {what})");
    let message = format!(
        "\"{}\" has no unique index over columns and all rows",
        view.name
    );
    asked.push(reason("55000", &message, &condition(&format!("NOT {key}"))));
    let message = format!("\"{}\" has never been filled", view.name);
    asked.push(reason(
        "0A000",
        &message,
        &condition("NOT x.relispopulated"),
    ));
}

/// Tablespaces, wherever one is named, and the parameters of a new table.
fn tablespaces(piece: &Piece<'_>, asked: &mut Vec<String>) {
    for at in outside(piece, 1) {
        if !piece.is_word(at, "tablespace") || at < 2 {
            continue;
        }
        if let Some(space) = part(piece, at + 1) {
            let condition = format!(
                "NOT EXISTS (SELECT FROM pg_catalog.pg_tablespace x WHERE x.spcname = {})",
                literal(&space)
            );
            let message = format!("tablespace \"{space}\" does not exist");
            asked.push(reason("42704", &message, &condition));
        }
    }
    let creates = (1..3).any(|at| piece.is_word(at, "table"));
    if piece.is_word(0, "create") && creates {
        let with = outside(piece, 1)
            .into_iter()
            .find(|at| piece.is_word(*at, "with") && piece.written(at + 1) == "(");
        if let Some(at) = with {
            parameters(piece, at + 1, asked);
        }
    }
}
