//! What the demo's acts find out and hand to the proof, and how the operator's words and numbers are read.

use std::time::Duration;

/// Customers that are there when the rename begins.
pub(super) const CUSTOMERS: u64 = 150_000;

/// A step that waited for an application.
pub(super) struct Waited {
    /// The migration that could not start.
    pub(super) migration: String,
    /// What was in the way.
    pub(super) holder: String,
    /// How the operator named it.
    pub(super) named: String,
    /// From when the operator said so until it went on.
    pub(super) took: Duration,
}

/// What the acts have to prove.
pub(super) struct Seen {
    /// The logins of applications before the rename.
    pub(super) logins_before: Vec<String>,
    /// What waited, in order.
    pub(super) waits: Vec<Waited>,
    /// What the server said to the first release's password afterwards.
    pub(super) refusal: String,
    /// Queries of the shop during the backfill, and how long that took.
    pub(super) backfill: (u64, Duration),
}

/// Rows, and rows with a wrong name.
pub(super) fn counts(line: &str) -> Option<(u64, u64)> {
    let value = |key: &str| -> Option<u64> {
        let word = line.split(' ').find_map(|word| word.strip_prefix(key))?;
        word.parse().ok()
    };
    Some((value("rows=")?, value("wrong=")?))
}

/// The release that the operator's words ask for: "deploy the application of v3 first".
pub(super) fn release_to_deploy(message: &str) -> Option<String> {
    let rest = message.split_once("deploy the application of ")?.1;
    Some(rest.split(' ').next()?.to_owned())
}

/// The migration that waits: "its code cannot live with v4: deploy".
pub(super) fn next_migration(message: &str) -> Option<String> {
    let rest = message.split_once("code cannot live with ")?.1;
    Some(rest.split(':').next()?.to_owned())
}

/// Those of a server's logins, a line each, that are applications'.
pub(super) fn of_applications(logins: &str) -> Vec<String> {
    let of_shop = logins.lines().filter(|login| login.starts_with("shop_v"));
    of_shop.map(str::to_owned).collect()
}

/// `128,400`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_words_say_what_to_do() {
        let words = "credential v2 is still used by a session (pid 7, user u, from 127.0.0.1); its \
                     code cannot live with v4: deploy the application of v3 first";
        assert_eq!(release_to_deploy(words).as_deref(), Some("v3"));
        assert_eq!(next_migration(words).as_deref(), Some("v4"));
        assert_eq!(release_to_deploy("migration v4 is running"), None);
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(grouped(200_000), "200,000");
        assert_eq!(grouped(12), "12");
    }

    #[test]
    fn counts_are_read() {
        assert_eq!(
            counts("rows=200543 wrong=0 columns=full_name"),
            Some((200_543, 0))
        );
        assert_eq!(counts("error"), None);
    }
}
