//! What a process of the application has counted, as it tells it line by line.

/// What a process of the application counted, from its last line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Queries that gave what they should.
    pub(super) queries: u64,
    /// Queries and logins that did not.
    pub(super) failed: u64,
    /// Logins.
    pub(super) logins: u64,
    /// Customers added.
    pub(super) added: u64,
    /// The server's process id of the session that stays.
    pub(super) pid: Option<u64>,
    /// Its login.
    pub(super) user: Option<String>,
    /// Whether this was its last word: it stopped in good order.
    pub(super) ended: bool,
}

impl Tally {
    /// Reads `queries=12 failed=0 logins=1 added=2 pid=4711 user=shop_v1_0a1b2c3d`.
    pub(super) fn parse(line: &str) -> Option<Tally> {
        let mut tally = Tally::default();
        for word in line.split(' ') {
            let (key, value) = word.split_once('=')?;
            match key {
                "queries" => tally.queries = value.parse().ok()?,
                "failed" => tally.failed = value.parse().ok()?,
                "logins" => tally.logins = value.parse().ok()?,
                "added" => tally.added = value.parse().ok()?,
                "pid" => tally.pid = Some(value.parse().ok()?),
                "user" => tally.user = Some(value.to_owned()),
                "ended" => tally.ended = value.parse().ok()?,
                _ => return None,
            }
        }
        Some(tally)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_is_read_and_other_lines_are_not() {
        let tally =
            Tally::parse("queries=12 failed=0 logins=3 added=2 pid=47 user=shop_v1_a").unwrap();
        assert_eq!((tally.queries, tally.logins, tally.added), (12, 3, 2));
        assert_eq!(
            (tally.pid, tally.user.as_deref()),
            (Some(47), Some("shop_v1_a"))
        );
        assert!(!tally.ended);
        assert!(Tally::parse("queries=1 ended=true").unwrap().ended);
        assert!(Tally::parse("FAILED: permission denied").is_none());
        assert!(Tally::parse("").is_none());
    }
}
