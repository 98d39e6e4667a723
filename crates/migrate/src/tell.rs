//! What a run tells a person, as plain lines, and how a person tells a run to stop.
//!
//! It deliberately has no levels and no timestamps: a line is worth reading or it is not written,
//! and whoever collects the output adds the time.

use std::time::Duration;

use tokio::sync::watch;

/// Takes the lines of a run. No line holds a secret.
pub trait Tell {
    /// Something that went as it should.
    fn say(&self, line: &str);
    /// Something that a person should know, and that does not end the run.
    fn warn(&self, line: &str);
}

/// Tells a run to stop.
#[derive(Debug, Clone)]
pub struct Stopper {
    sender: watch::Sender<bool>,
}

/// The run's side of a [`Stopper`].
#[derive(Debug, Clone)]
pub struct Stop {
    receiver: watch::Receiver<bool>,
}

impl Default for Stopper {
    fn default() -> Self {
        Self {
            sender: watch::Sender::new(false),
        }
    }
}

impl Stopper {
    /// The side that a run gets.
    #[must_use]
    pub fn stop(&self) -> Stop {
        Stop {
            receiver: self.sender.subscribe(),
        }
    }

    /// Asks for the end; asking twice changes nothing.
    pub fn ask(&self) {
        self.sender.send_replace(true);
    }
}

impl Stop {
    /// Whether the end has been asked for.
    #[must_use]
    pub fn asked(&self) -> bool {
        *self.receiver.borrow()
    }

    /// Comes back when the end is asked for; never, if nobody can ask any more.
    pub async fn wait(&self) {
        let mut receiver = self.receiver.clone();
        if receiver.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits for `pause`, or shorter if the end is asked for.
    pub(crate) async fn sleep(&self, pause: Duration) {
        tokio::select! {
            () = self.wait() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// A count as people read it: `128,400`.
#[must_use]
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration as people read it: `12 ms`, `3.4 s`, `12 min 5 s`.
#[must_use]
pub(crate) fn spoken(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{:.1} s", duration.as_secs_f64()),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(128_400), "128,400");
        assert_eq!(grouped(1_000_000), "1,000,000");
        assert_eq!(spoken(Duration::from_millis(12)), "12 ms");
        assert_eq!(spoken(Duration::from_millis(3_440)), "3.4 s");
        assert_eq!(spoken(Duration::from_secs(725)), "12 min 5 s");
    }
}
