//! `lint`: manifests and the chain of migrations, judged without a database.

use dbop_api::{DatabaseMigration, ManagedDatabase};
use serde::Serialize;

use super::directory::{Directory, passed_over};
use super::{Console, Done, Exit};
use crate::cli::LintArgs;
use crate::render::Failure;
use crate::render::text::{COLUMNS, wrap};

#[derive(Serialize)]
struct Result {
    problems: Vec<Wrong>,
    databases: usize,
    migrations: usize,
    /// Documents of other kinds.
    skipped: Vec<String>,
}

#[derive(Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
struct Wrong {
    /// `file:line`, where it is known.
    place: Option<String>,
    problem: String,
    way_out: String,
}

pub(super) fn run(args: &LintArgs, console: Console) -> Done {
    let directory = Directory::open(&args.dir, None)?;
    let manifests = &directory.manifests;
    let databases: Vec<ManagedDatabase> = manifests
        .databases
        .values()
        .map(|one| one.object.clone())
        .collect();
    let migrations: Vec<DatabaseMigration> = manifests
        .migrations
        .values()
        .map(|one| one.object.clone())
        .collect();
    let mut problems: Vec<Wrong> = manifests
        .problems
        .iter()
        .map(|problem| Wrong {
            place: Some(directory.path.join(problem.place()).display().to_string()),
            problem: problem.text.clone(),
            way_out: problem.way_out.clone(),
        })
        .collect();
    // What is missing may stand in a file that cannot be read.
    let all_read = manifests
        .problems
        .iter()
        .all(|problem| problem.object.is_some());
    let chain = match all_read {
        true => dbop_api::lint(&databases, &migrations),
        false => Vec::new(),
    };
    for refusal in chain {
        let problem = refusal.headline();
        // What reading a manifest has found, the chain need not tell again.
        if problems.iter().all(|known| known.problem != problem) {
            let place = None;
            problems.push(Wrong {
                place,
                problem,
                way_out: refusal.way_out,
            });
        }
    }
    let result = Result {
        problems,
        databases: databases.len(),
        migrations: migrations.len(),
        skipped: manifests
            .skipped
            .iter()
            .map(|one| passed_over(&directory.path, one))
            .collect(),
    };
    console.result(&for_people(&result), &result)?;
    Ok(if result.problems.is_empty() {
        Exit::Done
    } else {
        Exit::Blocked
    })
}

fn for_people(result: &Result) -> String {
    let mut lines: Vec<String> = Vec::new();
    for wrong in &result.problems {
        let mut failure = Failure::new(wrong.problem.clone());
        if !wrong.way_out.is_empty() {
            failure = failure.or(wrong.way_out.clone());
        }
        if let Some(place) = &wrong.place {
            failure = failure.or(format!("in {place}"));
        }
        lines.push(failure.to_string());
    }
    lines.extend(
        result
            .skipped
            .iter()
            .flat_map(|skipped| wrap("note: ", "      ", skipped, COLUMNS)),
    );
    let of = format!(
        "{}, {}",
        counted(result.databases, "database"),
        counted(result.migrations, "migration")
    );
    lines.push(match result.problems.len() {
        0 => format!("nothing is wrong: {of}"),
        n => format!("{}: {of}", counted(n, "problem")),
    });
    lines.join("\n")
}

fn counted(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}
