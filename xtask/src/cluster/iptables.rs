//! Reads the output of `iptables-save` and says how to remove what a node has added: pure text.
//!
//! Ours are the chains of kube-proxy, the kubelet and the network plugins that were not there
//! before, and the rules of other chains that lead into them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// What the names of chains begin with that a node adds.
const PREFIXES: [&str; 2] = ["KUBE-", "CNI-"];

/// The tables and chains in the output of `iptables-save`.
pub(crate) fn chains(saved: &str) -> Vec<(&str, &str)> {
    let mut table = "";
    let mut chains = Vec::new();
    for line in saved.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = name;
        } else if let Some(rest) = line.strip_prefix(':') {
            chains.extend(rest.split(' ').next().map(|chain| (table, chain)));
        }
    }
    chains
}

/// The input of `iptables-restore --noflush` that removes all that was not there before.
pub(crate) fn undo(saved: &str, before: &BTreeSet<(&str, &str)>) -> String {
    let ours: BTreeSet<(&str, &str)> = chains(saved)
        .into_iter()
        .filter(|(_, name)| PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
        .filter(|chain| !before.contains(chain))
        .collect();
    let tables: BTreeSet<&str> = ours.iter().map(|(table, _)| *table).collect();
    let mut undo = String::new();
    for table in tables {
        let names: BTreeSet<&str> = ours
            .iter()
            .filter(|(of, _)| *of == table)
            .map(|(_, name)| *name)
            .collect();
        let mut lines = vec![format!("*{table}")];
        lines.extend(rules_into(saved, table, &names));
        // Chains lead into each other: all are emptied before one is removed.
        lines.extend(names.iter().map(|name| format!("-F {name}")));
        lines.extend(names.iter().map(|name| format!("-X {name}")));
        lines.push("COMMIT".to_owned());
        let _ = writeln!(undo, "{}", lines.join("\n"));
    }
    undo
}

/// The removal of each rule of another chain that leads into one of these.
fn rules_into(saved: &str, table: &str, ours: &BTreeSet<&str>) -> Vec<String> {
    let mut inside = false;
    let mut rules = Vec::new();
    for line in saved.lines() {
        if let Some(name) = line.strip_prefix('*') {
            inside = name == table;
        }
        let Some(rule) = line.strip_prefix("-A ").filter(|_| inside) else {
            continue;
        };
        let words: Vec<&str> = rule.split(' ').collect();
        let leads = words
            .windows(2)
            .any(|pair| matches!(pair[0], "-j" | "-g") && ours.contains(pair[1]));
        if leads && !ours.contains(words[0]) {
            rules.push(format!("-D {rule}"));
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAVED: &str = r#"# Generated
*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:CNI-old - [0:0]
:CNI-1a - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-X - [0:0]
:MINE - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A PREROUTING -j MINE
-A POSTROUTING -s 10.88.1.2/32 -j CNI-1a
-A POSTROUTING -j CNI-old
-A KUBE-SERVICES -j KUBE-SVC-X
COMMIT
*filter
:INPUT ACCEPT [0:0]
COMMIT
"#;

    #[test]
    fn what_was_there_before_stays() {
        let before = BTreeSet::from([("nat", "CNI-old")]);
        let expected = r#"*nat
-D PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-D POSTROUTING -s 10.88.1.2/32 -j CNI-1a
-F CNI-1a
-F KUBE-SERVICES
-F KUBE-SVC-X
-X CNI-1a
-X KUBE-SERVICES
-X KUBE-SVC-X
COMMIT
"#;
        assert_eq!(undo(SAVED, &before), expected);
    }

    #[test]
    fn nothing_of_ours_needs_no_undoing() {
        let before = chains(SAVED).into_iter().collect();
        assert_eq!(undo(SAVED, &before), "");
        assert_eq!(undo("", &BTreeSet::new()), "");
    }
}
