//! `DROP`: what others need, and what is not there.

use super::reasons::{literal, part_is_there, parts_of, reason};
use super::words::{arguments, name, part, routine, split};
use crate::split::Piece;

/// Drops without CASCADE, of what others need.
pub(super) fn of(piece: &Piece<'_>, asked: &mut Vec<String>) {
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
