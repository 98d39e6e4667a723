//! What MySQL and MariaDB do: the cheapest algorithm, and what others may do meanwhile. The table of data is in `forms`.
//!
//! Measured on MySQL 8.0.46, 8.4.10 and 9.7.4 and on MariaDB 10.6.23, 10.11.19, 11.4.5 and 11.8.9, by trying ALGORITHM
//! and LOCK from the cheapest up. Versions between measured ones that agree are taken to be alike; others are Unknown.

mod change;
mod charset;
mod classify;
mod columns;
mod computed;
mod definition;
mod forms;
mod functions;
mod known;
mod types;
mod ways;

use dbop_model::finding::{Effect, Lock};
use dbop_model::operation::{Algorithm, Locking};
use dbop_model::{Engine, Fact, ServerInfo, Why};

pub(crate) use charset::{Relettered, converted_to, relettered};
pub(crate) use classify::implicit_value;
pub(crate) use forms::Form;
pub(crate) use types::{Implicit, Type};

use crate::case::Case;
use crate::effect::{Class, Form as AnyForm, Part, Prediction, Refusal, instant};
use forms::{I, Way, like, row_versions_max};
use ways::Shape;

/// Why the server refuses an operation for itself.
pub(crate) fn refusal(case: &Case<'_>) -> Option<Refusal> {
    match classify::classify(case) {
        Class::Refused(refusal) => Some(refusal),
        Class::Forms(_) | Class::Undecided(..) => None,
    }
}

/// What one statement does to each of its operations' tables.
pub(crate) fn predict(cases: &[Case<'_>]) -> Vec<Prediction> {
    let classes: Vec<Class<Form>> = cases.iter().map(classify::classify).collect();
    (0..cases.len())
        .map(|at| statement(cases, &classes, at))
        .collect()
}

/// What the whole statement does to the table of one of its operations.
fn statement(cases: &[Case<'_>], classes: &[Class<Form>], at: usize) -> Prediction {
    let case = &cases[at];
    let mut parts: Vec<(usize, &Part<Form>)> = Vec::new();
    for (other, class) in classes.iter().enumerate() {
        if let Class::Refused(refusal) = class {
            return refused(refusal.clone(), at == other);
        }
        if !cases[other].place_is(case) {
            continue;
        }
        match class {
            Class::Undecided(why, say) => return Prediction::undecided(why.clone(), *say),
            Class::Forms(forms) => parts.extend(forms.iter().map(|part| (other, part))),
            Class::Refused(_) => {}
        }
    }
    let own: Vec<&Part<Form>> = parts
        .iter()
        .filter(|(of, _)| *of == at)
        .map(|(_, part)| *part)
        .collect();
    let forms = own.iter().map(|part| AnyForm::MySql(part.form)).collect();
    let done = |effect: Effect, why: String| Prediction {
        effect: Fact::Known(effect),
        why,
        forms,
        say: None,
        refused: None,
        also: Vec::new(),
        tried: false,
        worst: None,
    };
    // What only changes the catalogue adds nothing to what else the statement does.
    let only_catalogue = |part: &Part<Form>| {
        matches!(
            part.form,
            Form::Metadata | Form::NewTable | Form::RenameTable | Form::Truncate
        )
    };
    if let Some(part) = own.first()
        && parts.iter().all(|(_, part)| only_catalogue(part))
    {
        let exclusive = instant(Lock::Metadata(Locking::Exclusive));
        let effect = match part.form {
            Form::RenameTable => effect(case.server, I, false),
            // Its file is another one, and no row of it is read.
            Form::Truncate => Effect {
                rewrite: true,
                ..exclusive
            },
            _ => exclusive,
        };
        return done(effect, part.why.clone());
    }
    parts.retain(|(_, part)| !only_catalogue(part));
    let Some(like) = like(case.server) else {
        let why = format!("{} was never measured", case.server);
        return Prediction::undecided(Why::new(why), None);
    };
    let shape = match classify::shape(case, row_versions_max(case.server)) {
        Ok(shape) => shape,
        Err(why) => return Prediction::undecided(why, None),
    };
    let unknown = || Prediction::undecided(Why::new("it does nothing that is known"), None);
    let outcome = |full: bool| {
        let shape = Shape {
            versions_full: Some(full),
            ..shape.clone()
        };
        ways::whole(case, like, &parts, &shape)
    };
    // How many instant changes the table has had decides only where one of them is to be had.
    let whole = match (
        shape.versions_full,
        outcome(shape.versions_full == Some(true)),
    ) {
        (Some(_), whole) => whole,
        (None, whole) if whole == outcome(true) => whole,
        (None, _) => {
            let why = Why::new(
                "how often columns were added or dropped instantly is not known, and there is a \
                 limit (INNODB_TABLES.TOTAL_ROW_VERSIONS; the admin needs PROCESS to see it)",
            );
            let worst = outcome(true).ok().flatten();
            return Prediction {
                worst: worst.map(|it| effect(case.server, it.way, it.scan)),
                ..Prediction::undecided(why, Some("say ALGORITHM=INSTANT in the statement"))
            };
        }
    };
    let whole = match whole {
        Ok(Some(whole)) => whole,
        Ok(None) => return unknown(),
        Err(refusal) => return refused(refusal, true),
    };
    let (of, part) = parts[whole.worst];
    let why = if of == at {
        part.why.clone()
    } else {
        format!(
            "the same statement does {}: {}",
            cases[of].step.operation, part.why
        )
    };
    done(effect(case.server, whole.way, whole.scan), why)
}

fn refused(refusal: Refusal, own: bool) -> Prediction {
    Prediction {
        effect: Fact::Unknown(Why::new(format!("the statement fails: {}", refusal.why))),
        // The reason is said once, of the operation that it is about.
        refused: Some(refusal).filter(|_| own),
        ..Prediction::none()
    }
}

fn effect(server: &ServerInfo, way: Way, scan: bool) -> Effect {
    let algorithm = match (server.engine, way.algorithm) {
        (Engine::MariaDb, algorithm) => algorithm,
        // MySQL has no word for it.
        (_, Algorithm::NoCopy) => Algorithm::InPlace,
        (_, algorithm) => algorithm,
    };
    Effect {
        lock: Lock::Metadata(way.locking),
        algorithm: Some(algorithm),
        rewrite: way.rebuild,
        scan,
        blocks_reads: scan && way.locking == Locking::Exclusive,
        blocks_writes: scan && way.locking != Locking::None,
        duration: None,
    }
}

fn words(server: &ServerInfo, way: Way) -> String {
    let effect = effect(server, way, way.rebuild);
    let algorithm = effect.algorithm.unwrap_or(way.algorithm);
    format!("ALGORITHM={algorithm}, LOCK={}", way.locking)
}

fn pinned(why: String) -> Refusal {
    Refusal {
        pinned: true,
        why,
        advice: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
