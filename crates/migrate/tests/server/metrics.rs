//! What arrives at a gateway: a tiny one, in the test.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use crate::support::{Files, Scratch, run, servers};

/// A request: its first line and its body.
type Seen = Arc<Mutex<Vec<(String, String)>>>;

/// Listens on a free port and answers every request with `status`.
async fn gateway(status: &'static str) -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let seen = Seen::default();
    let requests = seen.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let (mut first, mut length) = (String::new(), 0);
            stream.read_line(&mut first).await.unwrap();
            loop {
                let mut header = String::new();
                stream.read_line(&mut header).await.unwrap();
                let header = header.trim().to_ascii_lowercase();
                if header.is_empty() {
                    break;
                }
                if let Some(value) = header.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.unwrap();
            let body = String::from_utf8(body).unwrap();
            requests
                .lock()
                .unwrap()
                .push((first.trim().to_owned(), body));
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, seen)
}

fn value(body: &str, name: &str) -> f64 {
    let line = body
        .lines()
        .find(|line| line.starts_with(&format!("{name} ")))
        .unwrap();
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

#[tokio::test]
async fn progress_and_outcome_arrive() {
    for server in servers() {
        let database = Scratch::new(&server, "push").await;
        let files = Files::customers(server.kind, "push", 400, "-- dbop:pause 50ms\n");
        run(&database.dsn, &files.dir, &[("DBA_OP_TARGET_VERSION", "2")])
            .await
            .ok();
        let (address, seen) = gateway("202 Accepted").await;
        let variables = [
            ("DBA_OP_PROMETHEUS_PUSH_GATEWAY_ADDR", address.as_str()),
            ("DBA_OP_JOB_ID", "shop-3-ab12"),
            ("DBA_OP_LABEL_DATABASE", "shop/customers"),
            ("DBA_OP_LABEL_MIGRATION", "v3"),
        ];
        let done = run(&database.dsn, &files.dir, &variables).await;
        assert_eq!(done.ok().err, "");
        let requests = std::mem::take(&mut *seen.lock().unwrap());
        let path = "PUT /metrics/job/dbop-migrate/job_id/shop-3-ab12\
                    /database@base64/c2hvcC9jdXN0b21lcnM/migration/v3 HTTP/1.1";
        assert!(
            requests.iter().all(|(first, _)| first == path),
            "{requests:?}"
        );
        let all = |name: &str| -> Vec<f64> {
            requests.iter().map(|(_, body)| value(body, name)).collect()
        };
        let percent = all("migration_completion_percent");
        assert!(percent.is_sorted(), "{percent:?}");
        assert!(
            percent.iter().filter(|p| **p > 0.0 && **p < 1.0).count() >= 2,
            "{percent:?}"
        );
        assert_eq!(percent.last(), Some(&1.0));
        let items = all("migration_items_complete_total");
        assert!(items.is_sorted(), "{items:?}");
        assert_eq!(items.last(), Some(&400.0));
        let complete = all("migration_complete_total");
        assert_eq!(complete.iter().sum::<f64>(), 1.0, "{complete:?}");
        assert_eq!(complete.last(), Some(&1.0));
        assert_eq!(all("migration_failed_total").iter().sum::<f64>(), 0.0);

        files.write("0004_wrong.sql", "SELECT nothing");
        run(&database.dsn, &files.dir, &variables)
            .await
            .failed(1, &["0004_wrong.sql failed"]);
        let (_, last) = seen.lock().unwrap().last().cloned().unwrap();
        assert_eq!(value(&last, "migration_failed_total"), 1.0);
        assert_eq!(value(&last, "migration_complete_total"), 0.0);
    }
}

#[tokio::test]
async fn a_gateway_that_fails_is_one_warning() {
    let (refusing, seen) = gateway("500 Internal Server Error").await;
    for server in servers() {
        for (case, address) in [
            ("down", "127.0.0.1:1"),
            ("refusing", &refusing),
            ("odd", "x"),
        ] {
            let database = Scratch::new(&server, "silent").await;
            let files = Files::customers(server.kind, "silent", 50, "");
            let variables = [("DBA_OP_PROMETHEUS_PUSH_GATEWAY_ADDR", address)];
            let done = run(&database.dsn, &files.dir, &variables).await;
            assert_eq!(done.ok().err.lines().count(), 1, "{case}: {}", done.err);
            assert!(done.err.starts_with("warning: "), "{}", done.err);
        }
    }
    assert!(
        seen.lock().unwrap().len() >= 4,
        "the outcome is tried again"
    );
}

#[tokio::test]
async fn bad_input_counts_as_failed() {
    let files = Files::new("push-input");
    let (address, seen) = gateway("200 OK").await;
    let variables = [("DBA_OP_PROMETHEUS_PUSH_GATEWAY_ADDR", address.as_str())];
    run("nonsense", &files.dir, &variables)
        .await
        .failed(2, &["DBA_OP_CONNECTION_STRING"]);
    let (_, last) = seen.lock().unwrap().last().cloned().unwrap();
    assert_eq!(value(&last, "migration_failed_total"), 1.0);
}
