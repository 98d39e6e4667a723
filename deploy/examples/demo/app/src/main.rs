//! The shop: an application that knows its own release and the Secret of that release, and nothing
//! of the operator.
//!
//! `shop-app v2 DIR` waits until DIR/uri exists, as a Pod waits for a Secret that it mounts. Then it
//! adds, changes and reads customers until SIGTERM: on one session that stays, and by a visitor who
//! logs in anew again and again. Whatever is refused, and every name that is not the one written
//! last, counts as failed. It deliberately retries nothing: a query that failed has failed.

mod release;
mod shop;
mod tally;
mod work;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::release::Release;
use crate::tally::Tally;

/// How often the Secret is looked for: somebody may watch.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How often the tally is printed.
const TELL_EVERY: Duration = Duration::from_millis(200);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [release, secret] = arguments.as_slice() else {
        eprintln!("usage: shop-app RELEASE SECRET_DIRECTORY, such as: shop-app v1 secrets/shop-v1");
        return ExitCode::from(2);
    };
    let Some(release) = Release::named(release) else {
        eprintln!("error: the shop has no release {release}; there are v1 to v5");
        return ExitCode::from(2);
    };
    match serve(release, Path::new(secret)).await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Works until SIGTERM or Ctrl-C; how many queries and logins failed.
async fn serve(release: &'static Release, secret: &Path) -> std::io::Result<u64> {
    let stop = stop_on_signal()?;
    let tally = Arc::new(Tally::default());
    let uri_file = secret.join("uri");
    if !uri_file.exists() {
        say(&format!(
            "waits for its Secret, {}",
            name_of(secret).display()
        ))?;
    }
    let Some(uri) = read_when_there(&uri_file, stop.clone()).await? else {
        return Ok(0);
    };
    let work = work::start(release, &uri, Arc::clone(&tally), stop.clone());
    let telling = tokio::spawn(tell(Arc::clone(&tally), stop));
    work.await;
    // Whoever reads the tally may be gone, and the work is done all the same.
    telling.abort();
    let _ = say(&format!("{tally} ended=true"));
    Ok(tally.failed())
}

fn stop_on_signal() -> std::io::Result<watch::Receiver<bool>> {
    let (sender, receiver) = watch::channel(false);
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        sender.send_replace(true);
        // Kept open, so that a receiver that waits for the end sees no end of the channel.
        sender.closed().await;
    });
    Ok(receiver)
}

/// The file's text once it is there; nothing when the end comes first.
async fn read_when_there(
    file: &Path,
    stop: watch::Receiver<bool>,
) -> std::io::Result<Option<String>> {
    while !*stop.borrow() {
        match tokio::fs::read_to_string(file).await {
            Ok(text) => return Ok(Some(text.trim().to_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(None)
}

/// Prints the tally again and again. Where nobody reads it any more the program ends: it belongs to
/// whoever started it.
async fn tell(tally: Arc<Tally>, stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        tokio::time::sleep(TELL_EVERY).await;
        if say(&tally.to_string()).is_err() {
            std::process::exit(1);
        }
    }
}

/// One line for whoever started the program.
fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

fn name_of(path: &Path) -> PathBuf {
    path.file_name()
        .map_or_else(|| path.to_path_buf(), PathBuf::from)
}
