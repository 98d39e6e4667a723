//! A plan for people: the layout of its lines.

use super::{HintsView, PlanView, Retire, Step, What};
use crate::render::text::{COLUMNS, counted, labelled, width, wrap};

/// Columns before the text of a step's parts.
const INDENT: usize = 5;
/// Columns of a part's label.
const LABEL: usize = 9;

/// The lines of a plan, without a newline at the end.
pub(super) fn lines(plan: &PlanView) -> Vec<String> {
    let mut lines = wrap("", "  ", &headline(plan), COLUMNS);
    if let Some(stop) = &plan.blocked
        && plan.steps.is_empty()
    {
        lines.push(String::new());
        lines.extend(wrap("  blocked: ", "           ", &stop.text, COLUMNS));
    }
    for (index, step) in plan.steps.iter().enumerate() {
        lines.push(String::new());
        step_lines(index + 1, step, &mut lines);
    }
    for report in &plan.reports {
        lines.push(String::new());
        lines.extend(report.split('\n').map(str::to_owned));
    }
    if let Some(stop) = &plan.blocked
        && plan.has_steps()
    {
        lines.push(String::new());
        lines.extend(wrap("then blocked: ", "  ", &stop.text, COLUMNS));
    }
    if let Some(stop) = &plan.waits {
        lines.push(String::new());
        lines.extend(wrap("waits: ", "  ", &stop.text, COLUMNS));
    }
    lines.push(String::new());
    lines.extend(wrap("", "", &closing(plan), COLUMNS));
    lines
}

fn headline(plan: &PlanView) -> String {
    let PlanView {
        name,
        server,
        address,
        desired,
        ..
    } = plan;
    let whose = format!("{name} ({server}, {address})");
    let from = plan.current.as_deref().unwrap_or("empty");
    match (plan.path.len(), &plan.current) {
        (0, Some(current)) if plan.ahead => {
            format!("{whose}: at {current}, newer than desired {desired} and compatible with it")
        }
        (0, Some(current)) if current == desired => format!("{whose}: at {current}, at rest"),
        (0, Some(current)) => format!("{whose}: at {current}, desired {desired}"),
        (0, None) => match &plan.version {
            Some(version) => format!("{whose}: at version {version}, desired {desired}"),
            None => format!("{whose}: desired {desired}"),
        },
        (1, Some(current)) if &plan.path[0] == current => {
            format!("{whose}: at {current}, whose run did not complete")
        }
        (n, _) => format!("{whose}: {from} -> {desired}, {}", counted(n, "migration")),
    }
}

fn step_lines(number: usize, step: &Step, lines: &mut Vec<String>) {
    let head = format!("{number:>3}. ");
    let under = " ".repeat(INDENT);
    match &step.what {
        What::Migration {
            migration,
            from,
            hints,
            ..
        } => {
            let right = match from {
                _ if step.blocked => "BLOCKED".to_owned(),
                Some(from) => format!("Job, from {from}, as migrator"),
                None => "Job, from the empty database, as migrator".to_owned(),
            };
            let gap = COLUMNS
                .saturating_sub(width(&head) + width(migration) + width(&right))
                .max(2);
            lines.push(format!("{head}{migration}{}{right}", " ".repeat(gap)));
            hints_lines(hints, lines);
        }
        What::Credentials => lines.push(format!("{head}credentials")),
        What::Other { action, because } => {
            lines.extend(wrap(
                &head,
                &under,
                &format!("{action}: {because}"),
                COLUMNS,
            ));
        }
    }
    for retire in &step.retire {
        lines.extend(retire_lines(retire));
    }
    for create in &step.create {
        let text = format!(
            "credential {} -> Secret {}",
            create.migration, create.secret
        );
        lines.extend(labelled(INDENT, "create", LABEL, &text));
    }
}

fn retire_lines(retire: &Retire) -> Vec<String> {
    let what = format!("credential {}   ", retire.migration);
    let first = format!("{:INDENT$}{:<LABEL$}{what}", "", "retire");
    let next = " ".repeat(width(&first));
    match &retire.used_by {
        Some(who) => wrap(&first, &next, &format!("WAITS: {who}"), COLUMNS),
        None => wrap(&first, &next, &retire.note, COLUMNS),
    }
}

fn hints_lines(hints: &HintsView, lines: &mut Vec<String>) {
    let mut label = "hints";
    let mut part = |text: &str, lines: &mut Vec<String>| {
        lines.extend(labelled(INDENT, label, LABEL, text));
        label = "";
    };
    match hints {
        HintsView::No { because } => part(&format!("not judged: {because}"), lines),
        HintsView::WhenReached {
            operations,
            because,
        } => {
            for operation in operations {
                part(&operation.operation, lines);
            }
            part(because, lines);
        }
        HintsView::Now { operations } if operations.is_empty() => {
            part("it says that it does nothing to the schema", lines);
        }
        HintsView::Now { operations } => {
            for operation in operations {
                part(&operation.operation, lines);
                let not_judged = operation
                    .not_judged
                    .iter()
                    .map(|why| format!("not judged: {why}"));
                for said in operation
                    .findings
                    .iter()
                    .map(|one| one.text.clone())
                    .chain(not_judged)
                {
                    lines.extend(labelled(INDENT + LABEL + 2, "", 0, &said));
                }
            }
        }
    }
}

fn closing(plan: &PlanView) -> String {
    if plan.steps.is_empty() {
        return match (&plan.blocked, &plan.waits) {
            (None, None) => "Nothing to do.".to_owned(),
            _ => "Nothing has been changed.".to_owned(),
        };
    }
    let mut text = "Nothing has been changed. ".to_owned();
    let blocked = plan.steps.first().is_some_and(|step| step.blocked);
    text.push_str(&match (&plan.waits, &plan.first_step_waits_for) {
        _ if blocked && plan.blocked.is_some() => {
            "Step 1 cannot start before the findings are resolved or accepted.".to_owned()
        }
        (Some(_), None) => "Step 1 cannot start before that.".to_owned(),
        (_, Some(what)) => format!("Step 1 can start when {what}."),
        (None, None) => "Step 1 can start now.".to_owned(),
    });
    if plan.path.len() > 1 && plan.has_steps() {
        text.push_str(" Later migrations are judged again when they are reached.");
    }
    text
}
