//! A listener that bounds those who connect: how many at once, and how long each may be silent.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Connections at once: a few probes, and one for each migration that runs. Each costs some kilobytes.
const CONNECTIONS_MAX: usize = 256;
/// A connection that brings nothing for so long is closed: longer than between two pushes of a migration, so
/// that its connection can stay, shorter than it takes to fill the room with those who say nothing.
const SILENT_MAX: Duration = Duration::from_secs(20);

/// A listener with bounds.
pub(super) struct Bounded {
    listener: TcpListener,
    room: Arc<Semaphore>,
}

impl Bounded {
    pub(super) async fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind(address).await?,
            room: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        })
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.listener).await;
            // Where there is no room it is closed at once: whoever it is tries again, and nobody hangs.
            if let Ok(permit) = self.room.clone().try_acquire_owned() {
                return (Connection::new(stream, permit), address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.address()
    }
}

/// A connection that is closed when nothing comes.
pub(super) struct Connection {
    stream: TcpStream,
    silence: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    fn new(stream: TcpStream, permit: OwnedSemaphorePermit) -> Self {
        Self {
            stream,
            silence: Box::pin(sleep(SILENT_MAX)),
            _permit: permit,
        }
    }

    fn heard(&mut self) {
        self.silence.as_mut().reset(Instant::now() + SILENT_MAX);
    }

    /// What the other side does not do in time, it does not do.
    fn poll_silence<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        ready!(self.silence.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(read) => {
                self.heard();
                Poll::Ready(read)
            }
            Poll::Pending => self.poll_silence(context),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(context, buffer) {
            Poll::Ready(written) => {
                self.heard();
                Poll::Ready(written)
            }
            // One who asks for everything and reads nothing.
            Poll::Pending => self.poll_silence(context),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_not_kept() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut bounded = Bounded::bind(any).await.unwrap();
        let address = bounded.address().unwrap();
        let _silent = TcpStream::connect(address).await.unwrap();
        let (mut connection, _) = bounded.accept().await;
        let begin = Instant::now();
        let error = connection.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begin.elapsed().as_secs(), SILENT_MAX.as_secs());
    }

    #[tokio::test]
    async fn when_the_room_is_full_others_are_turned_away() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut bounded = Bounded::bind(any).await.unwrap();
        bounded.room = Arc::new(Semaphore::new(1));
        let address = bounded.address().unwrap();
        let accepting = tokio::spawn(async move {
            let first = bounded.accept().await;
            let next = tokio::time::timeout(Duration::from_millis(500), bounded.accept()).await;
            assert!(next.is_err(), "there was room");
            first
        });
        let _first = TcpStream::connect(address).await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        // Closed, or reset.
        assert!(second.read_u8().await.is_err());
        accepting.await.unwrap();
    }
}
