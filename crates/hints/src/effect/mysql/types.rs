//! Types of MySQL and MariaDB (InnoDB): what a change from one to another costs.
//!
//! Lengths count in bytes: characters times the widest character of the character set. Up to 255 bytes the length of a
//! value takes one byte, beyond that two, and a change across that line writes every row anew.

use dbop_model::Engine;

/// What a change of type does to the values that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It is the same type.
    Same,
    /// A longer VARCHAR or VARBINARY whose lengths take as many bytes as before.
    Longer,
    /// A longer one whose lengths take two bytes, where the old longest value has so many bytes.
    Across(u32),
    /// Values appended to an ENUM or SET that is not larger for it.
    Appended,
    /// Anything else: every row is converted.
    Converted,
    /// One of the types cannot be read.
    Unread,
}

/// What a server writes where a column that cannot hold NULL has no default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Implicit {
    /// 0, an empty text, the first of a list.
    Value,
    /// 0000-00-00, which a strict server refuses unless it takes zero dates.
    ZeroDate,
    /// There is none.
    None,
}

/// A type as it reads once spelling is out of the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Type {
    base: String,
    /// `varchar(20)`: 20; `decimal(10,2)`: 10 and 2.
    numbers: Vec<u32>,
    /// Of an ENUM or SET.
    values: Vec<String>,
    /// `unsigned`, `zerofill`.
    flags: Vec<String>,
}

/// Other spellings of a type (MySQL 8.4 manual, section 13.9).
const NAMES: &[(&str, &str)] = &[
    ("bool", "tinyint"),
    ("boolean", "tinyint"),
    ("character varying", "varchar"),
    ("character", "char"),
    ("dec", "decimal"),
    ("fixed", "decimal"),
    ("numeric", "decimal"),
    ("double precision", "double"),
    ("real", "double"),
    ("float4", "float"),
    ("float8", "double"),
    ("int1", "tinyint"),
    ("int2", "smallint"),
    ("int3", "mediumint"),
    ("int4", "int"),
    ("int8", "bigint"),
    ("integer", "int"),
    ("long", "mediumtext"),
    ("long varchar", "mediumtext"),
    ("middleint", "mediumint"),
];

/// Types whose number in parentheses is only how they are displayed.
const INTEGERS: [&str; 6] = ["tinyint", "smallint", "mediumint", "int", "bigint", "year"];

/// The largest first number in a type's parentheses.
const LIMITS: [(&str, u32); 9] = [
    ("binary", 255),
    ("bit", 64),
    ("char", 255),
    ("datetime", 6),
    ("decimal", 65),
    ("double", 255),
    ("float", 255),
    ("time", 6),
    ("timestamp", 6),
];

/// Types of text, which have a character set.
const TEXTS: [&str; 8] = [
    "char",
    "varchar",
    "tinytext",
    "text",
    "mediumtext",
    "longtext",
    "enum",
    "set",
];

impl Type {
    /// Reads one; `None`: it is not understood.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let (name, inside, after) = match text.find('(') {
            None => (text.to_lowercase(), "", ""),
            Some(open) => {
                let close = closing(text, open)?;
                let name = text[..open].trim().to_lowercase();
                (name, &text[open + 1..close], text[close + 1..].trim())
            }
        };
        let mut words: Vec<String> = name.split_whitespace().map(str::to_owned).collect();
        words.extend(after.to_lowercase().split_whitespace().map(str::to_owned));
        let is_flag = |word: &String| matches!(word.as_str(), "unsigned" | "zerofill" | "signed");
        let mut flags: Vec<String> = words.iter().filter(|w| is_flag(w)).cloned().collect();
        flags.retain(|flag| flag != "signed");
        flags.sort();
        words.retain(|word| !is_flag(word));
        let name = words.join(" ");
        let base = NAMES
            .iter()
            .find(|(spelling, _)| *spelling == name)
            .map_or(name, |(_, base)| (*base).to_owned());
        if base.is_empty() || base.contains(|c: char| !c.is_ascii_alphanumeric() && c != ' ') {
            return None;
        }
        let (numbers, values) = if base == "enum" || base == "set" {
            (Vec::new(), values(inside)?)
        } else if INTEGERS.contains(&base.as_str()) || inside.is_empty() {
            (Vec::new(), Vec::new())
        } else {
            let numbers: Result<Vec<u32>, _> = inside
                .split(',')
                .map(|number| number.trim().parse())
                .collect();
            (numbers.ok()?, Vec::new())
        };
        let numbers = match (base.as_str(), numbers.as_slice()) {
            ("char" | "binary" | "bit", []) => vec![1],
            ("decimal", []) => vec![10, 0],
            ("decimal", [precision]) => vec![*precision, 0],
            ("datetime" | "timestamp" | "time", [0]) => Vec::new(),
            _ => numbers,
        };
        Some(Self {
            base,
            numbers,
            values,
            flags,
        })
    }

    /// Has it a character set?
    pub(crate) fn is_text(&self) -> bool {
        TEXTS.contains(&self.base.as_str())
    }

    /// Its name, whatever the spelling.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Characters or bytes that it holds by its length.
    pub(crate) fn characters(&self) -> Option<u64> {
        let has_length = matches!(
            self.base.as_str(),
            "char" | "varchar" | "binary" | "varbinary"
        );
        self.numbers
            .first()
            .filter(|_| has_length)
            .map(|n| u64::from(*n))
    }

    /// Bytes of a character set's widest character.
    pub(crate) fn widest(charset: Option<&str>) -> Option<u32> {
        widest(charset?)
    }

    /// Are its values shapes?
    pub(crate) fn is_geometry(&self) -> bool {
        self.implicit_value() == Implicit::None
    }

    /// Can a foreign key lead from the one to the other, as far as types say?
    pub(crate) fn is_alike(&self, other: &Self) -> bool {
        let is_text = |of: &Self| matches!(of.base.as_str(), "char" | "varchar");
        (self.base == other.base || is_text(self) && is_text(other)) && self.flags == other.flags
    }

    /// Why no type can be so long, where none can (MySQL 8.4 manual, chapter 13; errors 1074, 1097, 1425 to 1427, 1439).
    pub(super) fn beyond_limits(&self, engine: Engine) -> Option<String> {
        let (first, second) = (self.numbers.first(), self.numbers.get(1));
        let base = self.base.as_str();
        let needs_length = matches!(base, "varchar" | "varbinary" | "nvarchar");
        if needs_length && first.is_none() {
            return Some("it needs a length".to_owned());
        }
        if base == "set" && self.values.len() > 64 {
            return Some("a SET holds 64 values at most".to_owned());
        }
        let twice =
            (1..self.values.len()).find(|at| self.values[..*at].contains(&self.values[*at]));
        if let Some(at) = twice {
            return Some(format!("{} stands in it twice", self.values[at]));
        }
        let most = LIMITS.iter().find(|(name, _)| *name == base);
        if let (Some((_, most)), Some(number)) = (most, first)
            && number > most
        {
            return Some(format!("{number} is more than {most}"));
        }
        let scale = second.filter(|_| base == "decimal");
        let (digits, scale) = (first?, scale?);
        let scale_most = if engine == Engine::MySql { 30 } else { 38 };
        if scale > &scale_most {
            return Some(format!("{scale} is more than {scale_most}"));
        }
        (scale > digits).then(|| format!("{scale} digits of {digits} cannot be a fraction"))
    }

    /// Is it a number?
    pub(super) fn is_number(&self) -> bool {
        INTEGERS[..5].contains(&self.base.as_str())
            || matches!(self.base.as_str(), "float" | "double")
    }

    /// Is it a TEXT or a BLOB, of which a row holds a pointer?
    pub(super) fn is_long(&self) -> bool {
        ["text", "blob"].iter().any(|end| self.base.ends_with(end))
    }

    /// Can it have no constant as its default (MySQL)?
    pub(super) fn has_no_literal_default(&self) -> bool {
        self.is_long() || self.base == "json" || self.implicit_value() == Implicit::None
    }

    /// The smallest and the largest number; of a DECIMAL, what its digits hold.
    pub(super) fn range(&self) -> Option<(f64, f64)> {
        let unsigned = self.flags.iter().any(|flag| flag != "signed");
        let bits = match self.base.as_str() {
            "tinyint" => 8,
            "smallint" => 16,
            "mediumint" => 24,
            "int" => 32,
            "bigint" => 64,
            "decimal" => {
                let [digits, scale] = self.numbers.as_slice() else {
                    return None;
                };
                let limit = 10_f64.powi(i32::try_from(digits.saturating_sub(*scale)).ok()?);
                let most = limit * (1.0 - f64::EPSILON);
                return Some((if unsigned { 0.0 } else { -most }, most));
            }
            _ => return None,
        };
        Some(if unsigned {
            (0.0, 2_f64.powi(bits) - 1.0)
        } else {
            (-(2_f64.powi(bits - 1)), 2_f64.powi(bits - 1) - 1.0)
        })
    }

    /// Is it a day, perhaps with its time?
    pub(super) fn is_date(&self) -> bool {
        matches!(self.base.as_str(), "date" | "datetime" | "timestamp")
    }

    /// Digits of a second that it keeps, where it is a moment.
    pub(super) fn second_digits(&self) -> Option<u32> {
        matches!(self.base.as_str(), "datetime" | "timestamp")
            .then(|| self.numbers.first().copied().unwrap_or(0))
    }

    /// The values of an ENUM or SET, without their quotes.
    pub(super) fn list(&self) -> Option<Vec<String>> {
        let plain = |value: &String| value.trim_matches('\'').replace("''", "'");
        self.is_list()
            .then(|| self.values.iter().map(plain).collect())
    }

    /// The values that a text of such a list names: of a SET several, perhaps none.
    pub(super) fn named<'a>(&self, text: &'a str) -> Vec<&'a str> {
        match self.base.as_str() {
            "set" if text.is_empty() => Vec::new(),
            "set" => text.split(',').collect(),
            _ => vec![text],
        }
    }

    /// Characters that a CHAR or VARCHAR holds.
    pub(super) fn letters(&self) -> Option<u64> {
        let is = matches!(self.base.as_str(), "char" | "varchar");
        self.numbers.first().filter(|_| is).map(|n| u64::from(*n))
    }

    /// Bytes of a row that it takes at most, of what can be long.
    pub(super) fn row_bytes(&self, charset: Option<&str>) -> Option<u64> {
        let length = u64::from(*self.numbers.first()?);
        match self.base.as_str() {
            "varbinary" | "binary" => Some(length),
            "varchar" | "char" => Some(length * u64::from(widest(charset?)?)),
            _ => None,
        }
    }

    /// Is it a list of values?
    pub(crate) fn is_list(&self) -> bool {
        matches!(self.base.as_str(), "enum" | "set")
    }

    /// Does a conversion of the table make a larger type of it, so that as many characters fit as before (MySQL 8.4
    /// manual, section 15.1.9, CONVERT TO)?
    pub(super) fn grows(&self, old: Option<&str>, new: Option<&str>) -> bool {
        let widest = |charset: Option<&str>| charset.and_then(widest);
        matches!(self.base.as_str(), "tinytext" | "text" | "mediumtext")
            && widest(old) < widest(new)
    }

    /// What the server invents for it (measured; MySQL alone).
    pub(super) fn implicit_value(&self) -> Implicit {
        const GEOMETRIES: [&str; 9] = [
            "geometry",
            "point",
            "linestring",
            "polygon",
            "multipoint",
            "multilinestring",
            "multipolygon",
            "geometrycollection",
            "geomcollection",
        ];
        match self.base.as_str() {
            "date" | "datetime" => Implicit::ZeroDate,
            base if GEOMETRIES.contains(&base) => Implicit::None,
            _ => Implicit::Value,
        }
    }

    /// The longest value in bytes, of a VARCHAR or VARBINARY.
    fn bytes(&self, charset: Option<&str>) -> Option<u32> {
        let [length] = self.numbers.as_slice() else {
            return None;
        };
        match self.base.as_str() {
            "varbinary" => Some(*length),
            "varchar" => Some(length.saturating_mul(widest(charset?)?)),
            _ => None,
        }
    }
}

/// Bytes of a character set's widest character (`information_schema.CHARACTER_SETS.MAXLEN`); `None`: not known here.
fn widest(charset: &str) -> Option<u32> {
    match charset {
        "utf8mb4" | "utf16" | "utf16le" | "utf32" | "gb18030" => Some(4),
        "utf8" | "utf8mb3" | "ujis" | "eucjpms" => Some(3),
        "big5" | "gbk" | "sjis" | "cp932" | "euckr" | "gb2312" | "ucs2" => Some(2),
        "latin1" | "latin2" | "latin5" | "latin7" | "ascii" | "binary" | "cp1250" | "cp1251"
        | "cp1256" | "cp1257" | "cp850" | "cp852" | "cp866" | "greek" | "hebrew" | "koi8r"
        | "koi8u" | "tis620" | "macroman" | "macce" | "keybcs2" | "armscii8" | "geostd8"
        | "dec8" | "hp8" | "swe7" => Some(1),
        _ => None,
    }
}

/// Where the parenthesis that opens at `open` closes, quotes observed.
fn closing(text: &str, open: usize) -> Option<usize> {
    let mut quoted = false;
    for (at, c) in text.char_indices().skip_while(|(at, _)| *at < open) {
        match c {
            '\'' => quoted = !quoted,
            ')' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// The values of `'a','it''s'`, as they are written.
fn values(inside: &str) -> Option<Vec<String>> {
    let (mut values, mut value, mut quoted) = (Vec::new(), String::new(), false);
    for c in inside.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                value.push(c);
            }
            ',' if !quoted => values.push(std::mem::take(&mut value).trim().to_owned()),
            _ => value.push(c),
        }
    }
    if quoted {
        return None;
    }
    values.push(value.trim().to_owned());
    Some(values)
}

/// What a change does, the old column in one character set and the new one in another.
pub(super) fn change(
    old: &str,
    new: &str,
    old_charset: Option<&str>,
    new_charset: Option<&str>,
) -> Change {
    let (Some(old), Some(new)) = (Type::read(old), Type::read(new)) else {
        return Change::Unread;
    };
    if old.base != new.base || old.flags != new.flags {
        return Change::Converted;
    }
    if !old.values.is_empty() {
        return if old.values == new.values {
            Change::Same
        } else if new.values.starts_with(&old.values) && size(&old) == size(&new) {
            Change::Appended
        } else {
            Change::Converted
        };
    }
    match (old.bytes(old_charset), new.bytes(new_charset)) {
        (Some(_), Some(_)) if old.numbers > new.numbers => Change::Converted,
        (Some(from), Some(to)) if (from > 255) != (to > 255) => Change::Across(from),
        (Some(_), Some(_)) if old.numbers < new.numbers => Change::Longer,
        _ if old.numbers == new.numbers => Change::Same,
        _ if matches!(old.base.as_str(), "varchar") => Change::Unread,
        _ => Change::Converted,
    }
}

/// Does a VARCHAR become a VARBINARY that holds as many bytes, with lengths of as many bytes?
pub(super) fn as_bytes(old: &str, new: &str, charset: Option<&str>) -> bool {
    let (Some(old), Some(new)) = (Type::read(old), Type::read(new)) else {
        return false;
    };
    match (old.bytes(charset), new.bytes(None)) {
        (Some(from), Some(to)) => {
            (old.base.as_str(), new.base.as_str()) == ("varchar", "varbinary")
                && from <= to
                && (from > 255) == (to > 255)
        }
        _ => false,
    }
}

/// Bytes that a value of an ENUM or SET takes.
fn size(of: &Type) -> usize {
    match (of.base.as_str(), of.values.len()) {
        ("enum", values) => 1 + usize::from(values > 255),
        (_, values) => match values.div_ceil(8) {
            bytes @ 0..=4 => bytes,
            _ => 8,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(old: &str, new: &str, charset: &str, expect: Change) {
        let got = change(old, new, Some(charset), Some(charset));
        assert_eq!(got, expect, "{old} to {new} in {charset}");
    }

    #[test]
    fn what_a_change_does_to_values() {
        use Change::{Across, Appended, Converted, Longer, Same, Unread};
        check("int(11)", "INT", "utf8mb4", Same);
        check("int", "integer", "utf8mb4", Same);
        check("int", "int unsigned", "utf8mb4", Converted);
        check("int", "bigint", "utf8mb4", Converted);
        check("tinyint(1)", "boolean", "utf8mb4", Same);
        check("varchar(50)", "varchar(63)", "utf8mb4", Longer);
        check("varchar(50)", "varchar(64)", "utf8mb4", Across(200));
        check("varchar(30)", "varchar(64)", "utf8mb4", Across(120));
        check("varchar(50)", "varchar(255)", "latin1", Longer);
        check("varchar(50)", "varchar(256)", "latin1", Across(50));
        check("varchar(64)", "varchar(500)", "utf8mb4", Longer);
        check("varchar(50)", "varchar(10)", "utf8mb4", Converted);
        check("varchar(50)", "text", "utf8mb4", Converted);
        check("varbinary(50)", "varbinary(255)", "binary", Longer);
        check("varchar(50)", "varchar(60)", "klingon", Unread);
        check("decimal(10,0)", "numeric", "utf8mb4", Same);
        check("decimal(10,2)", "decimal(12,2)", "utf8mb4", Converted);
        check("datetime", "datetime(6)", "utf8mb4", Converted);
        check("enum('a','b')", "enum('a','b','c')", "utf8mb4", Appended);
        check("enum('a','b')", "enum('b','a')", "utf8mb4", Converted);
        check("enum('a','b')", "enum('a')", "utf8mb4", Converted);
        check("enum('a,b')", "enum('a','b')", "utf8mb4", Converted);
        let eight = "set('1','2','3','4','5','6','7','8')";
        check(eight, &eight.replace(')', ",'9')"), "utf8mb4", Converted);
        let mixed = change(
            "varchar(80)",
            "varchar(80)",
            Some("utf8mb3"),
            Some("utf8mb4"),
        );
        assert_eq!(mixed, Across(240));
        let mixed = change(
            "varchar(20)",
            "varchar(20)",
            Some("utf8mb3"),
            Some("utf8mb4"),
        );
        assert_eq!(mixed, Same);
    }
}
