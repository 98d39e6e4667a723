//! What columns become where a statement defines them anew: is there a text that the new character set lacks a letter of,
//! and do two rows get the same key of a unique index that were apart before?

use std::time::Duration;

use dbop_database::answer::{Answer, unknown};
use dbop_model::dependent::{Retyped, RowsProbed};
use dbop_model::operation::{IndexKind, IndexPart};
use dbop_model::table::{ColumnFacts, ColumnName, IndexFacts, TableFacts};

use super::Look;
use super::ask::unasked;
use super::duplicates::{computed, statement};
use super::fits::{Kind, Type};
use super::parse::Located;
use crate::query::{name, qualified};

/// Character sets that can say whatever any other can, and those that can of Unicode's first 65536 letters.
const SAY_ALL: [&str; 5] = ["gb18030", "utf16", "utf16le", "utf32", "utf8mb4"];
const SAY_FIRST: [&str; 3] = ["ucs2", "utf8", "utf8mb3"];

const NOTHING_FOUND: RowsProbed = RowsProbed {
    found: false,
    took: Duration::ZERO,
};

/// What text is written in afterwards.
struct Letters {
    charset: String,
    /// `None`: the one that the character set has by itself.
    collation: Option<String>,
}

/// What becomes of values of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Becomes {
    /// Those that are apart stay so.
    Apart,
    /// What this expression gives.
    This(String),
    /// It is not followed.
    NotKnown,
}

impl Look<'_> {
    pub(super) async fn unsayable(
        &self,
        table: &Located,
        facts: &TableFacts,
        text: &Retyped,
    ) -> Answer<RowsProbed> {
        let to = self.letters(table, text).await?;
        let mut conditions = Vec::new();
        for (column, old) in of_text(facts, text) {
            let quoted = name(column.as_str()).map_err(unasked)?;
            let value = format!("dbop_row.{quoted}");
            conditions.extend(lost(&value, old, &to.charset));
        }
        if conditions.is_empty() {
            return Ok(NOTHING_FOUND);
        }
        let from = qualified(&table.database, table.name.name()).map_err(unasked)?;
        self.exists(&format!(
            "{from} AS dbop_row WHERE {}",
            conditions.join(" OR ")
        ))
        .await
    }

    pub(super) async fn alike(
        &self,
        table: &Located,
        facts: &TableFacts,
        to: &Retyped,
    ) -> Answer<RowsProbed> {
        let read;
        let indexes = match facts.indexes.known() {
            Some(indexes) => indexes,
            None => {
                read = self.indexes(table).await?;
                &read
            }
        };
        let mut whole = NOTHING_FOUND;
        let is_unique = |index: &&IndexFacts| index.primary || index.kind == IndexKind::Unique;
        for index in indexes.iter().filter(is_unique) {
            let Some(parts) = self.parts_after(table, facts, index, to).await? else {
                continue;
            };
            let sql = statement(table, &parts, false).map_err(unasked)?;
            let (rows, took) = self.probe(&sql).await?;
            whole.took += took;
            whole.found |= !rows.is_empty();
            if whole.found {
                break;
            }
        }
        Ok(whole)
    }

    /// The parts of a key as they become; `None`: keys that are apart stay so.
    async fn parts_after(
        &self,
        table: &Located,
        facts: &TableFacts,
        index: &IndexFacts,
        to: &Retyped,
    ) -> Answer<Option<Vec<String>>> {
        let (mut parts, mut changes) = (Vec::new(), false);
        for part in &index.key.parts {
            let (IndexPart::Column(column) | IndexPart::Prefix(column, _)) = part else {
                parts.push(computed(facts, part)?);
                continue;
            };
            let old = facts
                .columns
                .get(column)
                .filter(|old| is_meant(to, column, old));
            let becomes = match old {
                None => Becomes::Apart,
                Some(old) => {
                    let quoted = name(column.as_str()).map_err(unasked)?;
                    let letters = match Type::read(&old.sql_type).map(|of| of.kind()) {
                        Some(Kind::Text | Kind::Bytes | Kind::Enum) => {
                            Some(self.letters(table, to).await?)
                        }
                        _ => None,
                    };
                    let value = format!("dbop_row.{quoted}");
                    becomes(&value, old, to.sql_type.as_deref(), letters.as_ref())
                }
            };
            parts.push(match (becomes, part) {
                (Becomes::Apart, _) => computed(facts, part)?,
                (Becomes::This(value), IndexPart::Prefix(_, length)) => {
                    changes = true;
                    format!("LEFT({value}, {length})")
                }
                (Becomes::This(value), _) => {
                    changes = true;
                    value
                }
                (Becomes::NotKnown, _) => {
                    return unknown(format!(
                        "which values of {column} become the same is not followed"
                    ));
                }
            });
        }
        Ok(changes.then_some(parts))
    }

    async fn letters(&self, table: &Located, to: &Retyped) -> Answer<Letters> {
        let folded = |text: &Option<String>| text.as_ref().map(|text| text.to_ascii_lowercase());
        let (charset, collation) = (folded(&to.charset), folded(&to.collation));
        let plain = |text: &String| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let is_name = |text: &Option<String>| text.iter().all(plain);
        let leaves_open = |text: &Option<String>| text.as_deref() == Some("default");
        if !is_name(&charset) || !is_name(&collation) || leaves_open(&charset) {
            return unknown("which character set it gets");
        }
        let of_collation = collation
            .as_deref()
            .filter(|name| !name.starts_with("uca1400"));
        let of_collation = of_collation.and_then(|name| name.split('_').next());
        if let Some(charset) = charset.or_else(|| of_collation.map(str::to_owned)) {
            return Ok(Letters { charset, collation });
        }
        let storage = self.storage(table).await?;
        match storage.charset {
            Some(charset) => Ok(Letters {
                charset,
                collation: collation.or(storage.collation),
            }),
            None => unknown("which character set the table has"),
        }
    }
}

/// Is a column among those that become others? Of `CONVERT TO` those that have a character set.
fn is_meant(to: &Retyped, column: &ColumnName, old: &ColumnFacts) -> bool {
    match &to.column {
        Some(one) => one == column,
        None => old.charset.is_some(),
    }
}

/// Columns that become text of other letters. Of an ENUM rows hold places.
fn of_text<'a>(
    facts: &'a TableFacts,
    to: &'a Retyped,
) -> impl Iterator<Item = (&'a ColumnName, &'a ColumnFacts)> {
    let is_text = |old: &ColumnFacts| {
        let kind = Type::read(&old.sql_type).map(|of| of.kind());
        matches!(kind, Some(Kind::Text | Kind::Bytes))
    };
    facts
        .columns
        .iter()
        .filter(move |(column, old)| is_meant(to, column, old) && is_text(old))
}

/// The condition that a text meets of which a letter gets lost; `None`: none can.
fn lost(value: &str, old: &ColumnFacts, to: &str) -> Option<String> {
    let Some(from) = old.charset.as_deref() else {
        // Bytes that are no text in the character set.
        return Some(format!(
            "NOT (CAST(CONVERT({value} USING {to}) AS BINARY) <=> CAST({value} AS BINARY))"
        ));
    };
    let says_more = SAY_ALL.contains(&from);
    if from == to
        || from == "ascii"
        || SAY_ALL.contains(&to)
        || (SAY_FIRST.contains(&to) && !says_more)
    {
        return None;
    }
    let as_written = |value: &str| format!("CONVERT({value} USING utf8mb4) COLLATE utf8mb4_bin");
    Some(format!(
        "{} <> {}",
        as_written(&format!("CONVERT({value} USING {to})")),
        as_written(value)
    ))
}

/// What becomes of values of `value`, a column of a type, in a new one.
fn becomes(
    value: &str,
    old: &ColumnFacts,
    new: Option<&str>,
    letters: Option<&Letters>,
) -> Becomes {
    let new = new.unwrap_or(&old.sql_type);
    let (Some(from), Some(to)) = (Type::read(&old.sql_type), Type::read(new)) else {
        return Becomes::NotKnown;
    };
    let this = |text: String| Becomes::This(text);
    let digits = to.number(0, 0);
    match (from.kind(), to.kind()) {
        (Kind::Integer, Kind::Integer | Kind::Decimal | Kind::Text | Kind::Bytes | Kind::Enum)
        | (Kind::Decimal, Kind::Text | Kind::Bytes)
        | (Kind::Text | Kind::Bytes, Kind::Bytes)
        | (Kind::Enum, Kind::Enum | Kind::Text | Kind::Integer)
        | (Kind::Date, Kind::Text | Kind::Integer) => Becomes::Apart,
        (Kind::Integer, Kind::Float) if from.base == "bigint" || to.base == "float" => {
            Becomes::NotKnown
        }
        (Kind::Integer, Kind::Float) => Becomes::Apart,
        (Kind::Decimal | Kind::Float, Kind::Integer) => this(format!("ROUND({value})")),
        (Kind::Decimal, Kind::Decimal) if from.number(1, 0) <= to.number(1, 0) => Becomes::Apart,
        (Kind::Decimal | Kind::Float, Kind::Decimal) => {
            this(format!("ROUND({value}, {})", to.number(1, 0)))
        }
        (Kind::Float, Kind::Float) if from.base == to.base => Becomes::Apart,
        (Kind::Text, Kind::Integer) => this(format!("ROUND(CAST({value} AS DECIMAL(65, 10)))")),
        (Kind::Text, Kind::Decimal) => this(format!(
            "ROUND(CAST({value} AS DECIMAL(65, 20)), {})",
            to.number(1, 0)
        )),
        (Kind::Text, Kind::Float) => this(format!("({value} + 0.0e0)")),
        (Kind::Text, Kind::Date) if to.base == "date" => this(format!("CAST({value} AS DATE)")),
        (Kind::Text, Kind::Date) => this(format!("CAST({value} AS DATETIME({digits}))")),
        (Kind::Text | Kind::Bytes, Kind::Text | Kind::Enum) => match letters {
            Some(letters) => text_becomes(value, old, &from, &to, letters),
            None => Becomes::NotKnown,
        },
        (Kind::Date, Kind::Date) if to.base == "date" && from.base != "date" => {
            this(format!("DATE({value})"))
        }
        (Kind::Date, Kind::Date) if to.base != "date" && digits < from.number(0, 0) => {
            this(format!("CAST({value} AS DATETIME({digits}))"))
        }
        (Kind::Date, Kind::Date) => Becomes::Apart,
        (Kind::Date, Kind::Other) if to.base == "time" => {
            this(format!("CAST({value} AS TIME({digits}))"))
        }
        (Kind::Date, Kind::Other) if to.base == "year" => this(format!("YEAR({value})")),
        (Kind::Other, Kind::Other)
            if from.base == to.base && from.number(0, 0) <= to.number(0, 0) =>
        {
            Becomes::Apart
        }
        _ => Becomes::NotKnown,
    }
}

fn text_becomes(
    value: &str,
    old: &ColumnFacts,
    from: &Type,
    to: &Type,
    letters: &Letters,
) -> Becomes {
    let alike = old.charset.as_deref() == Some(letters.charset.as_str())
        && letters.collation.is_some()
        && old.collation == letters.collation;
    // What is too long loses spaces at its end.
    let cut = to.holds().filter(|length| {
        let in_letters = matches!(to.base.as_str(), "char" | "varchar");
        in_letters && from.holds().is_none_or(|before| before > *length)
    });
    let pads = to.base == "char" && from.base != "char";
    if alike && cut.is_none() && !pads && to.kind() == Kind::Text {
        return Becomes::Apart;
    }
    let mut text = match old.charset.as_deref() == Some(letters.charset.as_str()) {
        true => value.to_owned(),
        false => format!("CONVERT({value} USING {})", letters.charset),
    };
    if let Some(length) = cut {
        text = format!("LEFT({text}, {length})");
    }
    if pads {
        text = format!("TRIM(TRAILING ' ' FROM {text})");
    }
    Becomes::This(match &letters.collation {
        Some(collation) => format!("{text} COLLATE {collation}"),
        // The character set's own.
        None => format!("CONVERT({text} USING {})", letters.charset),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(sql_type: &str, collation: Option<&str>) -> ColumnFacts {
        let charset = collation.and_then(|name| name.split('_').next());
        ColumnFacts {
            sql_type: sql_type.to_owned(),
            nullable: true,
            has_default: false,
            proven_not_null_by: None,
            charset: charset.map(str::to_owned),
            collation: collation.map(str::to_owned),
            generated: None,
            computed: None,
        }
    }

    #[track_caller]
    fn check(old: &str, collation: Option<&str>, new: &str, to: Option<&str>, expect: &str) {
        let letters = to.map(|collation| Letters {
            charset: collation.split('_').next().unwrap().to_owned(),
            collation: Some(collation.to_owned()),
        });
        let got = match becomes("c", &column(old, collation), Some(new), letters.as_ref()) {
            Becomes::Apart => "apart".to_owned(),
            Becomes::NotKnown => "not known".to_owned(),
            Becomes::This(text) => text,
        };
        assert_eq!(got, expect, "{old} to {new}");
    }

    #[test]
    fn values_that_become_the_same() {
        check("int", None, "bigint", None, "apart");
        check("decimal(10,2)", None, "int", None, "ROUND(c)");
        check("decimal(10,2)", None, "decimal(10,1)", None, "ROUND(c, 1)");
        check("decimal(10,2)", None, "decimal(12,2)", None, "apart");
        check(
            "datetime(6)",
            None,
            "datetime",
            None,
            "CAST(c AS DATETIME(0))",
        );
        check("datetime", None, "date", None, "DATE(c)");
        let (bin, ci) = (Some("utf8mb4_bin"), Some("utf8mb4_general_ci"));
        check("varchar(9)", bin, "varchar(9)", bin, "apart");
        check(
            "varchar(9)",
            bin,
            "varchar(9)",
            ci,
            "c COLLATE utf8mb4_general_ci",
        );
        check(
            "varchar(9)",
            bin,
            "varchar(3)",
            bin,
            "LEFT(c, 3) COLLATE utf8mb4_bin",
        );
        check(
            "varchar(9)",
            Some("latin1_bin"),
            "varchar(9)",
            bin,
            "CONVERT(c USING utf8mb4) COLLATE utf8mb4_bin",
        );
        check("point", None, "int", None, "not known");
    }

    #[test]
    fn letters_that_get_lost() {
        let lost =
            |from: Option<&str>, to: &str| lost("c", &column("varchar(9)", from), to).is_some();
        assert!(lost(Some("utf8mb4_bin"), "latin1"));
        assert!(lost(Some("utf8mb4_bin"), "utf8mb3"));
        assert!(lost(Some("utf8mb3_bin"), "ascii"));
        assert!(lost(None, "utf8mb4"), "bytes may be no text");
        assert!(!lost(Some("latin1_bin"), "utf8mb3"));
        assert!(!lost(Some("latin1_bin"), "utf8mb4"));
        assert!(!lost(Some("ascii_bin"), "latin1"));
    }
}
