//! TLS modes against a server that speaks PostgreSQL's first two messages and TLS, and nothing after: what
//! counts is whether the handshake is accepted. The certificates beside are for this test alone; they name
//! `localhost` and are valid for a hundred years.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, which is its use"
)]

use std::sync::Arc;

use dbop_database::{Connector, DatabaseError, Target};
use dbop_model::TlsMode;
use dbop_postgres::Postgres;
use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const CA: &str = include_str!("tls/ca.pem");
/// Another CA that calls itself the same.
const OTHER_CA: &str = include_str!("tls/other-ca.pem");
const SERVER: &str = include_str!("tls/server.pem");
const SERVER_KEY: &str = include_str!("tls/server.key");

/// `SSLRequest`: its length and its code (PostgreSQL manual, section 53.7).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// A server that takes TLS (or says that it does not) and tells whether a client's startup message came
/// through it. Gives its port.
async fn server(speaks_tls: bool) -> u16 {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let certificates = CertificateDer::pem_slice_iter(SERVER.as_bytes())
        .collect::<Result<_, _>>()
        .unwrap();
    let key = PrivateKeyDer::from_pem_slice(SERVER_KEY.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = [0; 8];
            if socket.read_exact(&mut request).await.is_err() || request != SSL_REQUEST {
                continue;
            }
            if !speaks_tls {
                socket.write_all(b"N").await.unwrap();
                continue;
            }
            socket.write_all(b"S").await.unwrap();
            if let Ok(mut tls) = acceptor.accept(socket).await {
                let mut length = [0; 4];
                if tls.read_exact(&mut length).await.is_ok() {
                    // 57P03 cannot_connect_now: the client got as far as asking for a session.
                    let body = b"SFATAL\0C57P03\0Mthrough TLS\0\0";
                    let mut message = vec![b'E'];
                    message.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
                    message.extend(body);
                    let _ = tls.write_all(&message).await;
                    let _ = tls.shutdown().await;
                }
            }
        }
    });
    port
}

enum Outcome {
    Through,
    Refused(&'static str),
}

#[track_caller]
fn judge(error: &DatabaseError, expect: &Outcome, what: &str) {
    match (expect, error) {
        (Outcome::Through, DatabaseError::NotNow { reason, .. }) => {
            assert_eq!(reason, "through TLS", "{what}");
        }
        (Outcome::Refused(says), DatabaseError::Tls { reason, .. }) => {
            assert!(reason.contains(says), "{what}: {reason}");
        }
        _ => panic!("{what}: {error:?}"),
    }
}

async fn tried(host: &str, port: u16, mode: TlsMode, ca: Option<&str>) -> DatabaseError {
    let target = Target {
        dsn: format!("postgresql://admin:x@{host}:{port}/shop").into(),
        tls: Some(mode),
        ca_certificate: ca.map(str::to_owned),
    };
    let postgres = Postgres::new(|| Timestamp::UNIX_EPOCH);
    match postgres.connect(&target).await {
        Err(error) => error,
        Ok(_) => panic!("this server lets nobody in"),
    }
}

#[tokio::test]
async fn each_mode_checks_what_it_says() {
    let port = server(true).await;
    use Outcome::{Refused, Through};
    let cases = [
        ("localhost", TlsMode::Require, None, Through),
        ("127.0.0.1", TlsMode::Require, None, Through),
        ("localhost", TlsMode::Require, Some(OTHER_CA), Through),
        ("localhost", TlsMode::VerifyCa, Some(CA), Through),
        ("127.0.0.1", TlsMode::VerifyCa, Some(CA), Through),
        (
            "localhost",
            TlsMode::VerifyCa,
            Some(OTHER_CA),
            Refused("certificate"),
        ),
        (
            "127.0.0.1",
            TlsMode::VerifyCa,
            Some(OTHER_CA),
            Refused("certificate"),
        ),
        ("localhost", TlsMode::VerifyFull, Some(CA), Through),
        (
            "127.0.0.1",
            TlsMode::VerifyFull,
            Some(CA),
            Refused("not valid for name"),
        ),
        (
            "localhost",
            TlsMode::VerifyFull,
            Some(OTHER_CA),
            Refused("certificate"),
        ),
        (
            "localhost",
            TlsMode::VerifyFull,
            None,
            Refused("connection.tls.caSecret"),
        ),
        (
            "localhost",
            TlsMode::VerifyCa,
            Some("not PEM"),
            Refused("holds no certificate"),
        ),
    ];
    for (host, mode, ca, expect) in cases {
        let error = tried(host, port, mode, ca).await;
        let kind = match ca {
            None => "no CA",
            Some(OTHER_CA) => "another CA",
            Some(_) => "a CA",
        };
        judge(&error, &expect, &format!("{mode:?} to {host} with {kind}"));
    }
}

#[tokio::test]
async fn there_is_no_falling_back_to_plain_text() {
    let port = server(false).await;
    let error = tried("localhost", port, TlsMode::Require, None).await;
    judge(
        &error,
        &Outcome::Refused("does not support TLS"),
        "a server without TLS",
    );
}
