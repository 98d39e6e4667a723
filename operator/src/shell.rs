//! What touches the machine itself: the clock, its randomness, the TLS provider, the log.
//!
//! Small adapters behind the engine's ports; nothing here decides anything.

use std::io::{self, Write};
use std::time::Duration;

use async_trait::async_trait;
use dbop_engine::{Clock, Entropy};
use dbop_model::visible;
use jiff::Timestamp;
use tracing::subscriber::set_global_default;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::cli::LogFormat;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the shell's clock: others get it handed in"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }
}

/// The operating system's randomness, by way of aws-lc's generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        // A password of anything but randomness must never be made, so there is no going on from here.
        assert!(
            aws_lc_rs::rand::fill(bytes).is_ok(),
            "the operating system gives no randomness; no password can be made"
        );
    }
}

/// Makes aws-lc the TLS provider of the process: the first thing that a program does.
pub fn install_tls() {
    // It fails only where one was installed before, and then there is one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// The variable that everybody knows, with levels by target: `info,dbop_engine=debug`.
const LOG_VARIABLE: &str = "RUST_LOG";

/// Why the log cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("'{filter}' is no log level: {reason}")]
pub struct LogError {
    /// What was given.
    pub filter: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Sends the log to a writer. `level` goes before the environment's `RUST_LOG`. Without either it is what was
/// done; where it is to be `quiet`, it is warnings, except those of steps that failed, which commands show by
/// themselves.
///
/// # Errors
/// [`LogError`] where the level or the filter does not parse.
pub fn install_log<W>(
    level: Option<&str>,
    quiet: bool,
    format: LogFormat,
    writer: W,
) -> Result<(), LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // What kube says of each failed request is said by whoever made it, with the object's name.
    const QUIET: &str = "warn,dbop_engine::worker=error,kube_client=off";
    const DEFAULT: &str = "info,kube_client=off";
    let environment = std::env::var(LOG_VARIABLE).ok();
    let wanted = level.or(environment.as_deref().filter(|text| !text.is_empty()));
    let wanted = wanted.unwrap_or(if quiet { QUIET } else { DEFAULT });
    let filter: Targets = wanted.parse().map_err(|error: ParseError| LogError {
        filter: wanted.to_owned(),
        reason: error.to_string(),
    })?;
    // An embedder that has a subscriber keeps it. Records of the `log` crate are not collected: drivers write
    // whole statements there.
    let _ = set_global_default(subscriber(filter, format, writer));
    Ok(())
}

fn subscriber<W>(filter: Targets, format: LogFormat, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let log = tracing_subscriber::fmt::layer().with_writer(Harmless { writer, format });
    let all = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Text => Box::new(all.with(log.with_ansi(false))),
        LogFormat::Json => Box::new(all.with(log.json())),
    }
}

/// The last look at an event of the log, whatever went into it: one line, and no terminal does anything but show it.
///
/// tracing-subscriber 0.3.23 lets line breaks in messages through, and marks of direction; its JSON, DEL and C1 too.
struct Harmless<W> {
    writer: W,
    format: LogFormat,
}

impl<'w, W: MakeWriter<'w>> MakeWriter<'w> for Harmless<W> {
    type Writer = Harmless<W::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        Harmless {
            writer: self.writer.make_writer(),
            format: self.format,
        }
    }

    fn make_writer_for(&'w self, of: &Metadata<'_>) -> Self::Writer {
        Harmless {
            writer: self.writer.make_writer_for(of),
            format: self.format,
        }
    }
}

impl<W: Write> Write for Harmless<W> {
    /// Takes one event, whole, as the layer writes it: what of it ends the line is its last character.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let line = match self.format {
            LogFormat::Text => visible::line(line),
            LogFormat::Json => visible::json(line),
        };
        // In one write, so that lines of several threads do not mix.
        self.writer.write_all(format!("{line}\n").as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Writes all of it, or says why not; a reader that has gone away is no failure of the command.
pub(crate) fn write_out(to: &mut dyn Write, text: &str) -> io::Result<()> {
    match to.write_all(text.as_bytes()).and_then(|()| to.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Keeps what is written. Clones see the same.
    #[derive(Clone, Default)]
    pub(crate) struct Tape(Arc<Mutex<Vec<u8>>>);

    impl Write for Tape {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Tape {
        pub(crate) fn take(&self) -> String {
            String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
        }
    }
}

#[cfg(test)]
mod tests {
    use dbop_model::visible::hostile;

    use super::testing::Tape;
    use super::*;

    #[test]
    fn randomness_differs() {
        let (mut one, mut two) = ([0; 32], [0; 32]);
        SystemEntropy.fill(&mut one);
        SystemEntropy.fill(&mut two);
        assert_ne!(one, two);
    }

    /// The lines of the log of one event, which tells a text in every way in which ours do.
    fn logged(format: LogFormat, text: &str) -> Vec<String> {
        let tape = Tape::default();
        let writer = tape.clone();
        let subscriber = subscriber("info".parse().unwrap(), format, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(error = %text, debug = ?text, plain = text, "no sample: {text}");
        });
        let log = tape.take();
        let log = log.strip_suffix('\n').expect("a line has an end");
        log.split('\n').map(str::to_owned).collect()
    }

    #[test]
    fn an_event_of_the_log_is_one_harmless_line_whatever_it_tells() {
        for text in hostile::texts() {
            let lines = logged(LogFormat::Text, &text);
            let [line] = lines.as_slice() else {
                panic!("{} lines: {lines:?}", lines.len())
            };
            assert_eq!(hostile::harm(line), "", "{line}");
            assert!(line.contains(" WARN database_operator::shell"), "{line}");
        }
        let [line] = &logged(LogFormat::Text, "a shop")[..] else {
            panic!("one line")
        };
        let end = r#"no sample: a shop error=a shop debug="a shop" plain="a shop""#;
        assert!(line.ends_with(end), "{line}");
    }

    #[test]
    fn an_event_in_json_is_one_harmless_line_and_loses_nothing() {
        for text in hostile::texts() {
            let lines = logged(LogFormat::Json, &text);
            let [line] = lines.as_slice() else {
                panic!("{} lines: {lines:?}", lines.len())
            };
            assert_eq!(hostile::harm(line), "", "{line}");
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            let fields = &event["fields"];
            assert_eq!(fields["message"], format!("no sample: {text}"));
            assert_eq!(
                (&fields["error"], &fields["plain"]),
                (&text.as_str().into(), &text.as_str().into())
            );
        }
    }

    #[test]
    fn a_level_that_is_none_is_named() {
        let error = install_log(Some("=="), true, LogFormat::Text, io::sink).unwrap_err();
        assert!(
            error.to_string().starts_with("'==' is no log level: "),
            "{error}"
        );
    }
}
