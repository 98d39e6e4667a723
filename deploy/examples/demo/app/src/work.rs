//! What the application does all day: a session that stays, and visitors who come and go.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::release::{Release, name_of};
use crate::shop::{Customer, Place, Shop};
use crate::tally::Tally;

/// The pause between two queries of the session that stays: a few hundred in a second.
const PAUSE: Duration = Duration::from_millis(2);
/// The pause between two visitors.
const VISIT_EVERY: Duration = Duration::from_millis(250);
/// The pause after a failure.
const FAILURE_PAUSE: Duration = Duration::from_millis(200);
/// Numbers of rows are drawn from this many; the search from there on finds one.
const IDS: u64 = 150_000;

/// Works until `stop` says so, and until all sessions are closed.
pub(crate) async fn start(
    release: &'static Release,
    uri: &str,
    tally: Arc<Tally>,
    stop: watch::Receiver<bool>,
) {
    let Some(place) = Place::read(uri, release) else {
        tally.failure("the Secret's uri cannot be read");
        return;
    };
    let visitors = visit(release, place.clone(), Arc::clone(&tally), stop.clone());
    tokio::join!(stay(release, place, tally, stop), visitors);
}

/// One session, for as long as it lasts.
async fn stay(
    release: &'static Release,
    place: Place,
    tally: Arc<Tally>,
    stop: watch::Receiver<bool>,
) {
    let mut numbers = Numbers::new();
    while !*stop.borrow() {
        match log_in(&place, release, &tally).await {
            Ok(mut shop) => {
                let outcome = serve(&mut shop, release, &mut numbers, &tally, &stop).await;
                shop.close().await;
                let Err(error) = outcome else {
                    return;
                };
                tally.failure(&error);
            }
            Err(error) => tally.failure(&format!("login: {error}")),
        }
        tokio::time::sleep(FAILURE_PAUSE).await;
    }
}

/// Somebody logs in, reads one customer, and leaves.
async fn visit(
    release: &'static Release,
    place: Place,
    tally: Arc<Tally>,
    stop: watch::Receiver<bool>,
) {
    let mut numbers = Numbers::new();
    while !*stop.borrow() {
        match log_in(&place, release, &tally).await {
            Ok(mut shop) => {
                match shop.read(numbers.id()).await {
                    Ok(customer) => check(customer, &tally),
                    Err(error) => tally.failure(&error),
                }
                shop.close().await;
            }
            Err(error) => tally.failure(&format!("login: {error}")),
        }
        tokio::time::sleep(VISIT_EVERY).await;
    }
}

/// Adds, renames and reads customers, one in ten, three and six.
async fn serve(
    shop: &mut Shop,
    release: &Release,
    numbers: &mut Numbers,
    tally: &Tally,
    stop: &watch::Receiver<bool>,
) -> Result<(), String> {
    let (number, user) = shop.whoami().await?;
    tally.session(number, user);
    while !*stop.borrow() {
        match numbers.next() % 10 {
            0 => {
                let email = format!("{}-{:016x}@example.com", release.name, numbers.next());
                check(shop.add(&email).await?, tally);
                tally.added();
            }
            1..4 => check(shop.rename(numbers.id()).await?, tally),
            _ => check(shop.read(numbers.id()).await?, tally),
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// The name in a row must be the one that was written last. No row is right as well: the table
/// begins empty.
fn check(customer: Option<Customer>, tally: &Tally) {
    let Some(customer) = customer else {
        tally.query();
        return;
    };
    let expected = name_of(&customer.email, customer.revision);
    if customer.name.as_ref() == Some(&expected) {
        tally.query();
    } else {
        let found = customer.name.as_deref().unwrap_or("NULL");
        tally.failure(&format!(
            "customer {} is called {found}, and not {expected}",
            customer.id
        ));
    }
}

async fn log_in(place: &Place, release: &Release, tally: &Tally) -> Result<Shop, String> {
    let shop = place.log_in(release).await?;
    tally.login();
    Ok(shop)
}

/// A stream of numbers without pattern (Marsaglia's xorshift64), good enough to pick customers.
struct Numbers(u64);

impl Numbers {
    /// Each starts anywhere: two Pods are both process 1 of their own.
    fn new() -> Numbers {
        Numbers(RandomState::new().build_hasher().finish() | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn id(&mut self) -> i64 {
        i64::try_from(self.next() % IDS).unwrap_or_default()
    }
}
