//! The door of a PostgreSQL server: a TCP proxy that hears every statement, knows which process says it, and can be
//! closed. It reads the protocol only as far as that takes: connections are without TLS.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::now;

/// A message longer than this is none.
const MESSAGE_MAX: usize = 1 << 24;
/// The request to speak TLS, which is answered by one byte.
const TLS_REQUEST: u32 = 80_877_103;

/// A statement that came through.
#[derive(Debug, Clone)]
pub struct Said {
    /// The process that said it.
    pub pid: i32,
    /// The statement.
    pub text: String,
    /// When, in microseconds of this machine's clock.
    pub at: i64,
}

impl Said {
    /// Whether it changes anything.
    #[must_use]
    pub fn is_write(&self) -> bool {
        const WORDS: [&str; 11] = [
            "CREATE", "ALTER", "DROP", "GRANT", "REVOKE", "COMMENT", "REASSIGN", "INSERT",
            "UPDATE", "DELETE", "DO ",
        ];
        let text = self.text.trim_start();
        WORDS.iter().any(|word| text.starts_with(word))
    }
}

/// When somebody was connected.
#[derive(Debug, Clone)]
struct Visit {
    pid: i32,
    /// Has a statement come through? Before that nobody is logged in.
    has_said: bool,
    /// When the server ended it, where it was the server.
    ended_by_server: Option<i64>,
}

type Hook = Box<dyn FnMut(&Said) -> bool + Send>;

#[derive(Default)]
struct Shared {
    said: Mutex<Vec<Said>>,
    visits: Mutex<BTreeMap<u64, Visit>>,
    /// When somebody came, whether they were let in or not.
    came: Mutex<Vec<i64>>,
    hook: Mutex<Option<Hook>>,
    /// Closed: those who come are turned away at once.
    closed: AtomicBool,
    /// Closed, and those who come hear nothing at all.
    silent: AtomicBool,
    shut: watch::Sender<u64>,
}

/// The door; it is gone when this is dropped.
pub struct Door {
    shared: Arc<Shared>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Door {
    /// Opens one before this server.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn open(server: (String, u16)) -> Door {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener.expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let shared: Arc<Shared> = Arc::default();
        let of_all = shared.clone();
        let task = tokio::spawn(async move {
            let mut visitors = tokio::task::JoinSet::new();
            let mut nth = 0;
            while let Ok((stream, peer)) = listener.accept().await {
                nth += 1;
                visitors.spawn(of_all.clone().receive(nth, stream, peer, server.clone()));
                while visitors.try_join_next().is_some() {}
            }
        });
        Door {
            shared,
            address,
            task,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections; whoever comes is turned away.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        self.shared.shut.send_modify(|count| *count += 1);
    }

    /// Lets people in again.
    pub fn reopen(&self) {
        self.shared.closed.store(false, Ordering::SeqCst);
        self.shared.silent.store(false, Ordering::SeqCst);
        self.shared.shut.send_modify(|count| *count += 1);
    }

    /// Whoever comes hears nothing, as of a machine that is off.
    pub fn fall_silent(&self) {
        self.shared.silent.store(true, Ordering::SeqCst);
        self.close();
    }

    /// What was said so far.
    #[must_use]
    pub fn said(&self) -> Vec<Said> {
        locked(&self.shared.said).clone()
    }

    /// When somebody came, let in or not, in microseconds of this machine's clock.
    #[must_use]
    pub fn came(&self) -> Vec<i64> {
        locked(&self.shared.came).clone()
    }

    /// How many sessions this process has. A connection on which nothing was said yet is none: whoever was stopped
    /// while logging in holds nothing, and the server ends that by `authentication_timeout`.
    #[must_use]
    pub fn open_of(&self, pid: i32) -> usize {
        let visits = locked(&self.shared.visits);
        visits
            .values()
            .filter(|visit| visit.pid == pid && visit.has_said && visit.ended_by_server.is_none())
            .count()
    }

    /// When the server ended connections of this process.
    #[must_use]
    pub fn ended_by_server(&self, pid: i32) -> Vec<i64> {
        let visits = locked(&self.shared.visits);
        let of = visits.values().filter(|visit| visit.pid == pid);
        of.filter_map(|visit| visit.ended_by_server).collect()
    }

    /// Calls this for each statement *before* it goes to the server, until it gives true.
    pub fn listen(&self, hook: impl FnMut(&Said) -> bool + Send + 'static) {
        *locked(&self.shared.hook) = Some(Box::new(hook));
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    async fn receive(
        self: Arc<Self>,
        nth: u64,
        stream: TcpStream,
        peer: SocketAddr,
        server: (String, u16),
    ) {
        locked(&self.came).push(now());
        let mut shut = self.shut.subscribe();
        if self.silent.load(Ordering::SeqCst) {
            let _ = shut.changed().await;
            return;
        }
        if self.closed.load(Ordering::SeqCst) {
            return;
        }
        let pid = process_of(peer.port()).unwrap_or_default();
        let Ok(inside) = TcpStream::connect(server).await else {
            return;
        };
        // Small messages go back and forth.
        let _ = (stream.set_nodelay(true), inside.set_nodelay(true));
        let visit = Visit {
            pid,
            has_said: false,
            ended_by_server: None,
        };
        locked(&self.visits).insert(nth, visit);
        let (from_client, to_client) = stream.into_split();
        let (from_server, to_server) = inside.into_split();
        let by_server = tokio::select! {
            () = self.hear(nth, pid, from_client, to_server) => false,
            () = pass(from_server, to_client) => true,
            _ = shut.changed() => false,
        };
        let mut visits = locked(&self.visits);
        if by_server {
            if let Some(visit) = visits.get_mut(&nth) {
                visit.ended_by_server = Some(now());
            }
        } else {
            visits.remove(&nth);
        }
    }

    /// Passes what the client says, one message after the other.
    async fn hear(&self, nth: u64, pid: i32, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut is_started = false;
        loop {
            let mut message = Vec::new();
            if is_started {
                let Ok(kind) = from.read_u8().await else {
                    return;
                };
                message.push(kind);
            }
            let Ok(length) = from.read_u32().await else {
                return;
            };
            let size = length as usize;
            if !(4..MESSAGE_MAX).contains(&size) {
                return;
            }
            message.extend(length.to_be_bytes());
            let begin = message.len();
            message.resize(begin + size - 4, 0);
            if from.read_exact(&mut message[begin..]).await.is_err() {
                return;
            }
            let body = &message[begin..];
            if is_started {
                self.note(nth, pid, message[0], body);
            } else {
                let code = body.first_chunk().copied().map(u32::from_be_bytes);
                is_started = code != Some(TLS_REQUEST);
            }
            if to.write_all(&message).await.is_err() {
                return;
            }
        }
    }

    fn note(&self, nth: u64, pid: i32, kind: u8, body: &[u8]) {
        let mut parts = body.split(|byte| *byte == 0);
        let text = match kind {
            b'Q' => parts.next(),
            // Its name comes first.
            b'P' => parts.nth(1),
            _ => None,
        };
        let Some(text) = text else { return };
        if let Some(visit) = locked(&self.visits).get_mut(&nth) {
            visit.has_said = true;
        }
        let said = Said {
            pid,
            text: String::from_utf8_lossy(text).into_owned(),
            at: now(),
        };
        let mut hook = locked(&self.hook);
        if hook.as_mut().is_some_and(|hook| hook(&said)) {
            *hook = None;
        }
        drop(hook);
        locked(&self.said).push(said);
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    // Either end may go.
    let _ = tokio::io::copy(&mut from, &mut to).await;
}

/// Which process of this machine has this local port.
fn process_of(port: u16) -> Option<i32> {
    let wanted = format!(":{port:04X}");
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    let inode = table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let local = fields.get(1)?;
        (local.ends_with(&wanted) && fields.get(9) != Some(&"0"))
            .then(|| fields.get(9).map(|inode| (*inode).to_owned()))?
    })?;
    let socket = format!("socket:[{inode}]");
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .find(|pid: &i32| has_open(*pid, &socket))
}

fn has_open(pid: i32, socket: &str) -> bool {
    let folder = Path::new("/proc").join(pid.to_string()).join("fd");
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files
        .filter_map(|file| std::fs::read_link(file.path()).ok())
        .any(|link| link.as_os_str() == socket)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
