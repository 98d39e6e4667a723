//! Bounds of partitions: which meet, and which a CHECK implies.

use std::cmp::Ordering;

pub(crate) fn is_default(bound: &str) -> bool {
    bound.trim().eq_ignore_ascii_case("default")
}

/// Which rows are a partition's.
#[derive(Debug, Clone, PartialEq)]
enum Bound {
    Default,
    List(Vec<Value>),
    Range(Vec<Value>, Vec<Value>),
    Hash { modulus: u64, remainder: u64 },
}

/// One value of a bound.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Min,
    Number(f64),
    /// A text, or a date and time as the server orders them.
    Text(String),
    Null,
    Max,
}

/// Would some row be in both? `None`: the bounds cannot be compared here.
pub(crate) fn meet(one: &str, two: &str) -> Option<bool> {
    match (read(one)?, read(two)?) {
        (Bound::Default, Bound::Default) => Some(true),
        (Bound::Default, _) | (_, Bound::Default) => Some(false),
        (Bound::List(one), Bound::List(two)) => Some(one.iter().any(|value| two.contains(value))),
        (Bound::Range(from, to), Bound::Range(other_from, other_to)) => {
            let before = |one: &[Value], two: &[Value]| Some(order(one, two)? == Ordering::Less);
            Some(before(&from, &other_to)? && before(&other_from, &to)?)
        }
        (
            Bound::Hash { modulus, remainder },
            Bound::Hash {
                modulus: other,
                remainder: rest,
            },
        ) => {
            // The one modulus divides the other.
            let smaller = modulus.min(other);
            (smaller > 0).then(|| remainder % smaller == rest % smaller)
        }
        _ => None,
    }
}

/// Which of two bounds is the lower one, values separated by commas; `None`: they cannot be compared here.
pub(crate) fn compare(one: &str, two: &str) -> Option<Ordering> {
    let (one, two) = (values(one)?, values(two)?);
    order(&one, &two)
}

/// Have two lists a value in common?
pub(crate) fn share(one: &str, two: &str) -> bool {
    match (values(one), values(two)) {
        (Some(one), Some(two)) => one.iter().any(|value| two.contains(value)),
        _ => false,
    }
}

fn order(one: &[Value], two: &[Value]) -> Option<Ordering> {
    for (one, two) in one.iter().zip(two) {
        let ordering = match (one, two) {
            (Value::Min, Value::Min) | (Value::Max, Value::Max) => return Some(Ordering::Equal),
            (Value::Min, _) | (_, Value::Max) => Ordering::Less,
            (Value::Max, _) | (_, Value::Min) => Ordering::Greater,
            (Value::Number(one), Value::Number(two)) => one.partial_cmp(two)?,
            (Value::Text(one), Value::Text(two)) if is_date(one) && is_date(two) => one.cmp(two),
            (Value::Text(one), Value::Text(two)) if one == two => Ordering::Equal,
            // How texts are ordered, their collation says.
            _ => return None,
        };
        if ordering != Ordering::Equal {
            return Some(ordering);
        }
    }
    Some(Ordering::Equal)
}

/// `2026-01-01`, and what may stand behind it.
fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 10
        && bytes[..10].iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

fn read(bound: &str) -> Option<Bound> {
    if is_default(bound) {
        return Some(Bound::Default);
    }
    let upper = bound.to_ascii_uppercase();
    let lists: Vec<&str> = parentheses(bound)?;
    match lists.as_slice() {
        [from, to] if upper.contains("FROM") => Some(Bound::Range(values(from)?, values(to)?)),
        [hash] if upper.contains("MODULUS") => {
            let number = |word: &str| {
                let at = hash.to_ascii_uppercase().find(word)? + word.len();
                let rest = hash[at..].trim_start();
                let end = rest.find(|c: char| !c.is_ascii_digit());
                rest[..end.unwrap_or(rest.len())].parse().ok()
            };
            Some(Bound::Hash {
                modulus: number("MODULUS")?,
                remainder: number("REMAINDER")?,
            })
        }
        [list] => Some(Bound::List(values(list)?)),
        _ => None,
    }
}

/// Do valid conditions and NOT NULL imply a bound, so that the server attaches a partition without reading it (manual,
/// ALTER TABLE, ATTACH PARTITION)? `by` is the key as the server writes it, `RANGE (id)`; conditions are those of CHECKs,
/// as the server writes them. What is not followed here implies nothing.
pub(crate) fn implied(by: &str, bound: &str, conditions: &[&str], not_null: bool) -> bool {
    let Some((_, key)) = by.split_once(" (") else {
        return false;
    };
    let key = key.strip_suffix(')').unwrap_or(key);
    let terms: Vec<(String, &str, Value)> = conditions
        .iter()
        .flat_map(|condition| condition.split(" AND "))
        .filter_map(term)
        .collect();
    let own = || terms.iter().filter(|(column, ..)| column == key);
    let stated = conditions
        .iter()
        .flat_map(|condition| condition.split(" AND "))
        .any(|term| bare(term) == format!("{key} IS NOT NULL"));
    if !(not_null || stated)
        || conditions
            .iter()
            .any(|condition| condition.contains(" OR "))
    {
        return false;
    }
    match read(bound) {
        Some(Bound::Range(from, to)) => {
            let ([from], [to]) = (from.as_slice(), to.as_slice()) else {
                return false;
            };
            let compare = |one: &Value, two: &Value| {
                order(std::slice::from_ref(one), std::slice::from_ref(two))
            };
            let from_holds = *from == Value::Min
                || own().any(|(_, operator, value)| {
                    matches!(*operator, ">=" | ">" | "=")
                        && matches!(
                            compare(value, from),
                            Some(Ordering::Greater | Ordering::Equal)
                        )
                });
            let to_holds = *to == Value::Max
                || own().any(|(_, operator, value)| match *operator {
                    "<" => matches!(compare(value, to), Some(Ordering::Less | Ordering::Equal)),
                    "<=" | "=" => compare(value, to) == Some(Ordering::Less),
                    _ => false,
                });
            from_holds && to_holds
        }
        Some(Bound::List(values)) => {
            own().any(|(_, operator, value)| *operator == "=" && values.contains(value))
        }
        _ => false,
    }
}

/// Without the parentheses around it.
fn bare(term: &str) -> &str {
    term.trim().trim_matches(['(', ')']).trim()
}

/// `column operator value`, of a condition as the server writes it.
fn term(text: &str) -> Option<(String, &'static str, Value)> {
    let text = bare(text);
    for operator in [">=", "<=", "<>", "=", ">", "<"] {
        let Some((column, constant)) = text.split_once(&format!(" {operator} ")) else {
            continue;
        };
        let constant = constant
            .split_once("::")
            .map_or(constant, |(value, _)| value);
        return Some((column.to_owned(), operator, value(constant)?));
    }
    None
}

/// What stands in the outermost parentheses, each.
fn parentheses(text: &str) -> Option<Vec<&str>> {
    let (mut found, mut open, mut depth, mut quoted) = (Vec::new(), 0, 0_usize, false);
    for (at, c) in text.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            _ if quoted => {}
            '(' => {
                if depth == 0 {
                    open = at + 1;
                }
                depth += 1;
            }
            ')' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    found.push(&text[open..at]);
                }
            }
            _ => {}
        }
    }
    (depth == 0 && !quoted).then_some(found)
}

fn values(list: &str) -> Option<Vec<Value>> {
    let (mut parts, mut start, mut quoted) = (Vec::new(), 0, false);
    for (at, c) in list.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            ',' if !quoted => {
                parts.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&list[start..]);
    parts.into_iter().map(value).collect()
}

/// The day that MySQL counts as 1970-01-01.
const EPOCH_DAYS: f64 = 719_528.0;

/// What functions of MySQL give for a date that is written out: by these, tables are split into months and days.
fn computed(text: &str) -> Option<f64> {
    let (function, rest) = text.split_once('(')?;
    let inside = rest.trim().strip_suffix(')')?.trim();
    let date = inside.strip_prefix('\'')?.strip_suffix('\'')?;
    let date: jiff::civil::Date = date.get(..10)?.parse().ok()?;
    match function.trim().to_ascii_uppercase().as_str() {
        "TO_DAYS" => {
            let epoch = jiff::civil::date(1970, 1, 1);
            let days = epoch.until(date).ok()?.get_days();
            Some(EPOCH_DAYS + f64::from(days))
        }
        "YEAR" => Some(f64::from(date.year())),
        _ => None,
    }
}

fn value(text: &str) -> Option<Value> {
    let text = text.trim();
    match text.to_ascii_uppercase().as_str() {
        "MINVALUE" => return Some(Value::Min),
        "MAXVALUE" => return Some(Value::Max),
        "NULL" => return Some(Value::Null),
        "TRUE" | "FALSE" => return Some(Value::Text(text.to_ascii_lowercase())),
        _ => {}
    }
    if let Some(number) = computed(text) {
        return Some(Value::Number(number));
    }
    if let Some(inner) = text.strip_prefix('\'').and_then(|t| t.strip_suffix('\'')) {
        let inner = inner.replace("''", "'");
        if let Ok(number) = inner.parse::<f64>() {
            return Some(Value::Number(number));
        }
        // Midnight is the beginning of the day.
        let bare = inner
            .trim_end_matches("+00")
            .trim_end_matches(" 00:00:00")
            .to_owned();
        return Some(Value::Text(bare));
    }
    text.parse().ok().map(Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(one: &str, two: &str, expect: Option<bool>) {
        assert_eq!(meet(one, two), expect, "{one} and {two}");
        assert_eq!(meet(two, one), expect, "{two} and {one}");
    }

    #[test]
    fn bounds_that_meet() {
        let range = |from: &str, to: &str| format!("FOR VALUES FROM ({from}) TO ({to})");
        check(&range("0", "10"), &range("5", "15"), Some(true));
        check(&range("0", "10"), &range("10", "20"), Some(false));
        check(&range("'0'", "'10'"), &range("9", "20"), Some(true));
        check(&range("MINVALUE", "10"), &range("-5", "0"), Some(true));
        check(&range("10", "MAXVALUE"), &range("0", "10"), Some(false));
        check(
            &range("'2026-01-01'", "'2026-02-01'"),
            &range("'2026-02-01 00:00:00'", "'2026-03-01 00:00:00'"),
            Some(false),
        );
        check(
            &range("'2026-01-01'", "'2026-02-02'"),
            &range("'2026-02-01 00:00:00'", "'2026-03-01 00:00:00'"),
            Some(true),
        );
        check(&range("1, 5", "1, 9"), &range("1, 9", "2, 0"), Some(false));
        check(&range("'a'", "'f'"), &range("'b'", "'c'"), None);
        check("DEFAULT", "DEFAULT", Some(true));
        check("DEFAULT", &range("0", "10"), Some(false));
        check(
            "FOR VALUES IN ('a', 'b')",
            "FOR VALUES IN ('b')",
            Some(true),
        );
        check("FOR VALUES IN (1)", "FOR VALUES IN (2, NULL)", Some(false));
        let hash = |m: u64, r: u64| format!("FOR VALUES WITH (modulus {m}, remainder {r})");
        check(&hash(4, 1), &hash(8, 5), Some(true));
        check(&hash(4, 1), &hash(8, 6), Some(false));
        check("FOR VALUES IN (lower('a'))", "DEFAULT", None);
    }

    #[test]
    fn bounds_in_their_order() {
        let less = Some(Ordering::Less);
        assert_eq!(compare("10", "20"), less);
        assert_eq!(compare("20", "MAXVALUE"), less);
        assert_eq!(compare("1, 5", "1, MAXVALUE"), less);
        assert_eq!(compare("739281", "TO_DAYS('2024-02-01')"), less);
        assert_eq!(
            compare("TO_DAYS('1970-01-01')", "719528"),
            Some(Ordering::Equal)
        );
        assert_eq!(compare("year('2024-02-01')", "2025"), less);
        assert_eq!(compare("UNIX_TIMESTAMP('2024-02-01')", "2025"), None);
        assert!(share("1,2", "2,3"));
        assert!(!share("'a'", "'b'"));
    }

    #[test]
    fn checks_that_imply_a_bound() {
        let bound = "FOR VALUES FROM (20000) TO (30000)";
        let check = |conditions: &[&str], not_null: bool, expect: bool| {
            let got = implied("RANGE (id)", bound, conditions, not_null);
            assert_eq!(got, expect, "{conditions:?} {not_null}");
        };
        let exact = "((id >= 20000) AND (id < 30000))";
        check(&[exact], true, true);
        check(&[exact], false, false);
        check(
            &["((id IS NOT NULL) AND (id >= 20000) AND (id < 30000))"],
            false,
            true,
        );
        check(&["(id >= 20001)", "(id <= 29999)"], true, true);
        check(&["((id >= 10000) AND (id < 30000))"], true, false);
        check(&["((id >= 20000) AND (id <= 30000))"], true, false);
        check(&["((a >= 20000) AND (a < 30000))"], true, false);
        check(&["((id >= 20000) OR (id < 30000))"], true, false);
        check(&["(a > 0)"], true, false);
        check(&[], true, false);
        let month = "FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')";
        let dates = "((at >= '2026-01-01 00:00:00'::timestamp without time zone) AND \
                     (at < '2026-02-01 00:00:00'::timestamp without time zone))";
        assert!(implied("RANGE (at)", month, &[dates], true));
        let list = "FOR VALUES IN ('a', 'b')";
        assert!(implied("LIST (kind)", list, &["(kind = 'a'::text)"], true));
        assert!(!implied("LIST (kind)", list, &["(kind = 'c'::text)"], true));
    }
}
