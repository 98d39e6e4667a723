//! TLS modes against a server that speaks MySQL's first two messages and TLS, and nothing after: what counts is
//! whether the handshake is accepted. The certificates are those of the PostgreSQL backend's test; they name
//! `localhost` and are valid for a hundred years.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, which is its use"
)]

use std::sync::Arc;

use dbop_database::{Connector, DatabaseError, Target};
use dbop_model::TlsMode;
use dbop_mysql::MySql;
use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const CA: &str = include_str!("../../postgres/tests/tls/ca.pem");
/// Another CA that calls itself the same.
const OTHER_CA: &str = include_str!("../../postgres/tests/tls/other-ca.pem");
const SERVER: &str = include_str!("../../postgres/tests/tls/server.pem");
const SERVER_KEY: &str = include_str!("../../postgres/tests/tls/server.key");

/// Capabilities, low half: long passwords, a database's name, protocol 4.1, authentication in two parts.
const CAPABILITIES: u16 = 0x0001 | 0x0008 | 0x0200 | 0x8000;
const SSL: u16 = 0x0800;
/// `SSLRequest`: a header of 4 bytes and 32 of its own.
const SSL_REQUEST_BYTES: usize = 36;

fn packet(sequence: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = u32::try_from(body.len()).unwrap().to_le_bytes().to_vec();
    packet[3] = sequence;
    packet.extend(body);
    packet
}

fn greeting(speaks_tls: bool) -> Vec<u8> {
    let low = CAPABILITIES | if speaks_tls { SSL } else { 0 };
    let mut body = vec![10];
    body.extend(b"8.4.0\0");
    body.extend([1, 0, 0, 0]);
    body.extend(b"12345678\0");
    body.extend(low.to_le_bytes());
    body.extend([45, 2, 0]);
    // High half: plugins.
    body.extend(0x0008_u16.to_le_bytes());
    body.push(21);
    body.extend([0; 10]);
    body.extend(b"123456789012\0");
    body.extend(b"caching_sha2_password\0");
    packet(0, &body)
}

/// A server that takes TLS (or says that it does not) and tells whether a client's login came through it. Gives
/// its port.
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
            socket.write_all(&greeting(speaks_tls)).await.unwrap();
            let mut request = [0; SSL_REQUEST_BYTES];
            if !speaks_tls || socket.read_exact(&mut request).await.is_err() {
                continue;
            }
            if let Ok(mut tls) = acceptor.accept(socket).await {
                let mut header = [0; 4];
                if tls.read_exact(&mut header).await.is_ok() {
                    // 1040, too many connections: the client got as far as asking for a session.
                    let mut body = vec![255];
                    body.extend(1040_u16.to_le_bytes());
                    body.extend(b"#08004through TLS");
                    let _ = tls.write_all(&packet(3, &body)).await;
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
        dsn: format!("mysql://admin:x@{host}:{port}/shop").into(),
        tls: Some(mode),
        ca_certificate: ca.map(str::to_owned),
    };
    let mysql = MySql::new(|| Timestamp::UNIX_EPOCH);
    match mysql.connect(&target).await {
        Err(error) => error,
        Ok(_) => panic!("this server lets nobody in"),
    }
}

#[tokio::test]
async fn each_mode_checks_what_it_says() {
    let port = server(true).await;
    use Outcome::{Refused, Through};
    use TlsMode::{Require, VerifyCa, VerifyFull};
    let cases = [
        ("localhost", Require, None, Through),
        ("127.0.0.1", Require, None, Through),
        ("localhost", Require, Some(OTHER_CA), Through),
        ("localhost", VerifyCa, Some(CA), Through),
        ("127.0.0.1", VerifyCa, Some(CA), Through),
        (
            "localhost",
            VerifyCa,
            Some(OTHER_CA),
            Refused("certificate"),
        ),
        (
            "127.0.0.1",
            VerifyCa,
            Some(OTHER_CA),
            Refused("certificate"),
        ),
        ("localhost", VerifyFull, Some(CA), Through),
        (
            "127.0.0.1",
            VerifyFull,
            Some(CA),
            Refused("not valid for name"),
        ),
        (
            "localhost",
            VerifyFull,
            Some(OTHER_CA),
            Refused("certificate"),
        ),
        (
            "localhost",
            VerifyFull,
            None,
            Refused("connection.tls.caSecret"),
        ),
        (
            "localhost",
            VerifyCa,
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
        &Outcome::Refused("speaks none"),
        "a server without TLS",
    );
}
