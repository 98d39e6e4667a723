//! Types of PostgreSQL between which no value is lost: nobody has to look at a row to know that all of them convert.

/// Spellings, and what `format_type` calls the type (PostgreSQL manual, table 8.1).
const NAMES: &[(&str, &str)] = &[
    ("int2", "smallint"),
    ("int", "integer"),
    ("int4", "integer"),
    ("int8", "bigint"),
    ("decimal", "numeric"),
    ("dec", "numeric"),
    ("float4", "real"),
    ("float8", "double precision"),
    ("float", "double precision"),
    ("varchar", "character varying"),
    ("char varying", "character varying"),
    ("bool", "boolean"),
    ("timestamp", "timestamp without time zone"),
    ("timestamptz", "timestamp with time zone"),
    ("time", "time without time zone"),
    ("timetz", "time with time zone"),
];

/// Does every value of the one type become one of the other by assignment? False also where it is not known; neither may
/// be a domain. Of what has lengths, only that a longer text fits.
pub fn never_fails(old: &str, new: &str) -> bool {
    let (old, old_length) = read(old);
    let (new, new_length) = read(new);
    match (new_length, old_length) {
        (Some(new_length), Some(old_length)) => {
            let texts = old == "character varying" && new == "character varying";
            return texts && old_length <= new_length;
        }
        (Some(_), None) => return false,
        (None, _) => {}
    }
    match old.as_str() {
        _ if matches!(new.as_str(), "text" | "character varying") => true,
        "smallint" => matches!(
            new.as_str(),
            "smallint" | "integer" | "bigint" | "numeric" | "real" | "double precision"
        ),
        "integer" => matches!(
            new.as_str(),
            "integer" | "bigint" | "numeric" | "real" | "double precision" | "oid"
        ),
        "bigint" => matches!(
            new.as_str(),
            "bigint" | "numeric" | "real" | "double precision"
        ),
        "real" => matches!(new.as_str(), "real" | "double precision"),
        "cidr" => matches!(new.as_str(), "cidr" | "inet"),
        "json" => false,
        // Without a length it is one of one.
        "character" | "bit" => false,
        _ => old == new,
    }
}

/// The length of a type: the only number in its parentheses.
pub fn length(sql_type: &str) -> Option<u32> {
    let (_, rest) = sql_type.split_once('(')?;
    rest.split_once(')')?.0.trim().parse().ok()
}

/// The name that the server gives a type, and what stands in its parentheses, if that is one number; a precision and a
/// scale count as a length that nothing fits.
fn read(text: &str) -> (String, Option<u32>) {
    let lower = text.trim().to_lowercase();
    let (name, length) = match (lower.find('('), lower.find(')')) {
        (Some(open), Some(close)) if open < close => {
            let name = format!("{} {}", &lower[..open], &lower[close + 1..]);
            (name, Some(length(&lower).unwrap_or(0)))
        }
        _ => (lower, None),
    };
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
    let known = NAMES.iter().find(|(spelling, _)| *spelling == name);
    (known.map_or(name, |(_, known)| (*known).to_owned()), length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_take_every_value() {
        for (old, new) in [
            ("character varying(20)", "varchar(20)"),
            ("character varying(20)", "text"),
            ("integer", "text"),
            ("integer", "bigint"),
            ("integer", "INT8"),
            ("smallint", "numeric"),
            ("timestamp without time zone", "timestamp"),
            ("numeric(10,2)", "numeric"),
        ] {
            assert!(never_fails(old, new), "{old} to {new}");
        }
        for (old, new) in [
            ("character varying(20)", "varchar(10)"),
            ("text", "varchar(10)"),
            ("bigint", "integer"),
            ("integer", "numeric(4,2)"),
            ("numeric(10,2)", "numeric(12,2)"),
            ("text", "integer"),
            ("text", "json"),
            ("json", "json"),
            ("character(5)", "char"),
            ("timestamp without time zone", "timestamptz"),
            ("integer", "app.positive"),
        ] {
            assert!(!never_fails(old, new), "{old} to {new}");
        }
    }

    #[test]
    fn lengths_of_types() {
        assert_eq!(length("varchar(20)"), Some(20));
        assert_eq!(length("numeric(4,2)"), None);
        assert_eq!(length("varchar"), None);
    }
}
