//! The oracle: what real servers do with a statement, compared with what `database-operator analyze` says of it.
//!
//! Cases are data in `tests/oracle`; the observers know nothing of predictions, and predictions come through the
//! public command alone. All of it is `cargo xtask prove oracle`; `cargo xtask test` runs a part with a printed seed.
//! `DBOP_ORACLE=observe` compares nothing; `DBOP_ORACLE_LINES=DIR` writes what was seen there, `DBOP_ORACLE_ONLY=TEXT,...`
//! takes only cases whose names have it.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod catalogue;
mod comparison;
mod lines;
mod observation;
mod on_mysql;
mod on_postgres;
mod pauses;
mod prediction;
mod squawk;

use dbop_tests::{Engine, Scratch, TestServer, is_full_proof, seed};

use catalogue::Case;
use comparison::Matrix;
use lines::Lines;
use observation::Observation;

/// Where not all is run, one case of so many is, and others with another seed.
const ONE_OF: u64 = 8;

/// A server on which cases run.
enum Observed {
    Postgres(on_postgres::Postgres),
    MySql(on_mysql::MySql),
}

impl Observed {
    async fn new(server: &TestServer) -> Observed {
        match server.engine() {
            Engine::Postgres => Observed::Postgres(on_postgres::Postgres::new(server).await),
            Engine::MariaDb | Engine::MySql => Observed::MySql(on_mysql::MySql::new(server).await),
        }
    }

    /// Makes the shape of a case, and gives the connection string by which it is judged.
    async fn prepare(&mut self, case: &Case) -> String {
        match self {
            Observed::Postgres(postgres) => postgres.prepare(case).await,
            Observed::MySql(mysql) => mysql.prepare(case).await,
        }
    }

    /// Runs a case that is prepared.
    async fn observe(&mut self, case: &Case) -> Observation {
        match self {
            Observed::Postgres(postgres) => postgres.observe(case).await,
            Observed::MySql(mysql) => mysql.observe(case).await,
        }
    }
}

/// What this run does with what it sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Writes it down.
    Observe,
    /// Compares a part of the cases, which the seed chooses.
    Slice(u64),
    /// Compares all.
    Full,
}

impl Mode {
    fn of_this_run() -> Mode {
        match std::env::var("DBOP_ORACLE") {
            Ok(mode) if mode == "observe" => Mode::Observe,
            Ok(mode) => panic!("DBOP_ORACLE is observe or not set, not {mode:?}"),
            Err(_) if is_full_proof() => Mode::Full,
            Err(_) => Mode::Slice(seed()),
        }
    }

    fn takes(self, case: &Case) -> bool {
        match self {
            Mode::Observe | Mode::Full => true,
            Mode::Slice(seed) => mixed(seed, &case.name).is_multiple_of(ONE_OF),
        }
    }
}

/// A number that depends on every bit of both (FNV-1a).
fn mixed(seed: u64, name: &str) -> u64 {
    let bytes = seed.to_le_bytes().into_iter().chain(name.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    }) >> 20
}

/// Runs the cases of each PostgreSQL, or of each other server, and tells what they came to.
async fn judge(postgres: bool) {
    dbop_tests::on_each_engine(move |server| judge_on(server, postgres)).await;
}

async fn judge_on(server: TestServer, postgres: bool) {
    if (server.engine() == Engine::Postgres) != postgres {
        return;
    }
    let mode = Mode::of_this_run();
    let family = if postgres { "postgresql" } else { "mysql" };
    let only = std::env::var("DBOP_ORACLE_ONLY").unwrap_or_default();
    let lines = Lines::of(&server).await;
    let scratch = Scratch::new("oracle");
    let mut observed = Observed::new(&server).await;
    let mut matrix = Matrix::default();
    let mut count = 0;
    for case in catalogue::cases(family, server.name(), server.major()) {
        if !mode.takes(&case) || !only.split(',').any(|one| case.name.contains(one)) {
            continue;
        }
        let dsn = observed.prepare(&case).await;
        let prediction = match mode {
            Mode::Observe => None,
            Mode::Slice(_) | Mode::Full => {
                Some(prediction::predict(&case, &dsn, scratch.path()).await)
            }
        };
        let seen = observed.observe(&case).await;
        lines.write(&case, &seen);
        if let Some(prediction) = prediction {
            matrix.add(&case, &seen, &prediction);
        }
        count += 1;
    }
    let title = lines.title(&server);
    if !postgres && !matches!(mode, Mode::Slice(_)) && only.is_empty() {
        for line in pauses::sample(&server).await {
            println!("proof: {title}: {line}");
        }
    }
    if mode == Mode::Observe {
        println!("proof: {title}: {count} cases observed");
        return;
    }
    report(&title, mode, &matrix);
}

/// The linter squawk beside `analyze`, on all cases of the newest PostgreSQL: `cargo xtask prove squawk`.
#[tokio::test]
async fn beside_squawk() {
    let server = dbop_tests::newest()
        .into_iter()
        .find(|server| server.engine() == Engine::Postgres);
    let server = server.expect("this run has a PostgreSQL");
    let mode = Mode::of_this_run();
    let scratch = Scratch::new("squawk");
    let mut observed = Observed::new(&server).await;
    let mut comparison = squawk::Comparison::default();
    for case in catalogue::cases("postgresql", server.name(), server.major()) {
        if !mode.takes(&case) {
            continue;
        }
        let dsn = observed.prepare(&case).await;
        let prediction = prediction::predict(&case, &dsn, scratch.path()).await;
        let seen = observed.observe(&case).await;
        comparison.add(&case, server.major(), &seen, &prediction);
    }
    assert!(comparison.cases() > 0, "cases were compared");
    for line in comparison.table() {
        println!("proof: {line}");
    }
    println!("proof: the cases in which one of the two is wrong:");
    println!("proof: | case | statement | the server | squawk says | analyze |");
    println!("proof: |---|---|---|---|---|");
    for line in &comparison.wrong {
        println!("proof: {line}");
    }
}

/// Says what a server's cases came to, and fails where that is not good enough.
fn report(title: &str, mode: Mode, matrix: &Matrix) {
    println!("proof: {title}: {}", matrix.summary());
    for line in matrix.table() {
        println!("proof: {line}");
    }
    for line in &matrix.wrong {
        println!("proof: {title}: {line}");
    }
    for line in &matrix.different {
        println!("proof: {title}: the effect of {line}");
    }
    let faults = matrix.faults(mode == Mode::Full);
    assert!(faults.is_empty(), "{title}: {}", faults.join("; "));
}

#[test]
fn a_slice_is_a_part_that_its_seed_chooses() {
    let cases = catalogue::cases("postgresql", "postgres-18", 18);
    let part = |seed| -> Vec<&str> {
        let mode = Mode::Slice(seed);
        let taken = cases.iter().filter(|case| mode.takes(case));
        taken.map(|case| case.name.as_str()).collect()
    };
    assert_eq!(part(1), part(1));
    assert_ne!(part(1), part(2));
    for seed in 0..20 {
        let (taken, all) = (part(seed).len() as u64, cases.len() as u64);
        assert!(
            taken * ONE_OF > all / 2,
            "seed {seed} takes {taken} of {all}"
        );
        assert!(
            taken * ONE_OF < all * 2,
            "seed {seed} takes {taken} of {all}"
        );
    }
}
