//! `plan`: what would happen now, step by step, without writing anything anywhere.

use dbop_engine::worker::Plan;
use dbop_engine::{Clock, Engine, Worker};
use dbop_model::{DatabaseSpec, Fact, ObjectRef};
use jiff::Timestamp;
use serde::Serialize;

use super::directory::Directory;
use super::{Console, Done, Exit, cluster, complain, engine};
use crate::cli::PlanArgs;
use crate::render::Failure;
use crate::render::plan::{PlanView, build};
use crate::shell::SystemClock;

#[derive(Serialize)]
struct Result {
    databases: Vec<PlanView>,
    errors: Vec<Wrong>,
}

#[derive(Serialize)]
struct Wrong {
    database: String,
    error: String,
}

pub(super) async fn run(args: PlanArgs, console: Console) -> Done {
    let (engine, databases) = match &args.place.local {
        Some(local) => {
            let directory = Directory::open(local, args.place.state.as_deref())?;
            let databases = directory.databases(&args.databases)?;
            (engine::engine(directory.platform.clone()), databases)
        }
        None => {
            let objects = cluster::Objects::of(&args.place).await?;
            let databases = objects.databases(&args.databases).await?;
            let platform = engine::looking(&objects.cluster, args.cluster_id).await?;
            (engine::engine(platform), databases.into_keys().collect())
        }
    };
    let mut result = Result {
        databases: Vec::new(),
        errors: Vec::new(),
    };
    let mut failures = Vec::new();
    for id in databases {
        match plan(&engine, &id).await {
            Ok(view) => result.databases.push(view),
            Err(failure) => {
                result.errors.push(Wrong {
                    database: id.to_string(),
                    error: failure.what.clone(),
                });
                failures.push(failure);
            }
        }
    }
    let texts: Vec<String> = result.databases.iter().map(ToString::to_string).collect();
    if !texts.is_empty() || console.output() == crate::cli::Output::Json {
        console.result(&texts.join("\n\n"), &result)?;
    }
    failures.iter().for_each(complain);
    Ok(exit(&result))
}

async fn plan(engine: &Engine, id: &ObjectRef) -> std::result::Result<PlanView, Failure> {
    let mut worker = Worker::new(engine.clone(), id.clone());
    let about = |text: &str| Failure::about(&format!("ManagedDatabase {id}"), text);
    let plan = worker
        .plan()
        .await
        .map_err(|error| about(&error.to_string()))?;
    let plan = plan.ok_or_else(|| about("it is gone since it was found"))?;
    view(&plan, SystemClock.now())
}

/// A plan needs a database that answers.
fn view(plan: &Plan, now: Timestamp) -> std::result::Result<PlanView, Failure> {
    match &plan.facts.database {
        Fact::Known(database) => Ok(build(plan, &database.server, now)),
        Fact::Unknown(why) => Err(unreachable(&plan.desired.database, &why.to_string())),
    }
}

/// A database that cannot be reached or logged in to, and where its DSN is.
pub(super) fn unreachable(spec: &DatabaseSpec, why: &str) -> Failure {
    let place = format!("Secret {}, {}", spec.dsn.secret, spec.dsn.keys);
    // The engine's words name the Secret in brackets at their end; here it gets a line of its own.
    let object = format!("ManagedDatabase {}", spec.id);
    match why.strip_suffix(&format!(" (DSN from {place})")) {
        Some(text) => {
            Failure::new(format!("{object}: {text}")).or(format!("the DSN is read from {place}"))
        }
        None => Failure::about(&object, why),
    }
}

/// The worst of all databases.
fn exit(result: &Result) -> Exit {
    let any = |which: fn(&PlanView) -> bool| result.databases.iter().any(which);
    if !result.errors.is_empty() {
        Exit::Failed
    } else if any(|plan| plan.blocked.is_some()) {
        Exit::Blocked
    } else if any(PlanView::has_steps) || any(|plan| plan.waits.is_some()) {
        Exit::Steps
    } else {
        Exit::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::plan::Stop;
    use dbop_plan::{example, forecast};

    fn plan_of(count: usize) -> PlanView {
        let (desired, facts) = (example::desired(count).unwrap(), example::facts().unwrap());
        let now = Timestamp::UNIX_EPOCH;
        let forecast = forecast::forecast(&desired, &facts, &Default::default(), now);
        let judgements = Default::default();
        view(
            &Plan {
                desired,
                facts,
                judgements,
                forecast,
            },
            now,
        )
        .unwrap()
    }

    #[track_caller]
    fn check(change: fn(&mut PlanView), errors: usize, expect: Exit) {
        let mut second = plan_of(2);
        change(&mut second);
        let mut rest = plan_of(2);
        rest.steps.clear();
        let wrong = || Wrong {
            database: "a/b".to_owned(),
            error: "x".to_owned(),
        };
        let errors = (0..errors).map(|_| wrong()).collect();
        assert_eq!(
            exit(&Result {
                databases: vec![rest, second],
                errors
            }),
            expect
        );
    }

    #[test]
    fn the_worst_database_gives_the_exit_status() {
        check(|plan| plan.steps.clear(), 0, Exit::Done);
        check(|_| {}, 0, Exit::Steps);
        check(|plan| plan.blocked = stop(), 0, Exit::Blocked);
        check(|plan| plan.blocked = stop(), 1, Exit::Failed);
        fn stop() -> Option<Stop> {
            Some(Stop {
                reason: "x",
                text: String::new(),
            })
        }
    }

    #[test]
    fn an_unreachable_database_is_told_with_its_secret() {
        let spec = example::desired(1).unwrap().database;
        let why = "cannot reach db.shop:5432: refused (DSN from Secret shop/shop-admin, key dsn)";
        assert_eq!(
            unreachable(&spec, why).to_string(),
            "error: ManagedDatabase shop/shop: cannot reach db.shop:5432: refused\n       \
             the DSN is read from Secret shop/shop-admin, key dsn"
        );
    }
}
