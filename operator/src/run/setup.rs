//! What `run` has to know before it begins: what is missing in the cluster, who it is, where it is reached.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use dbop_engine::Entropy as _;
use dbop_kubernetes::Settings;
use dbop_kubernetes::access::{self, Cluster, Place};
use dbop_kubernetes::election::Seat;
use dbop_kubernetes::rbac::NAME;
use tokio::net::UdpSocket;

use crate::cli::RunArgs;
use crate::commands::cluster::failure;
use crate::render::Failure;
use crate::shell::SystemEntropy;

/// The port of the Service, where the environment does not name it.
const SERVICE_PORT: u16 = 8080;
/// Random bytes in an identity: two processes of one Pod have different ones.
const IDENTITY_BYTES: usize = 4;
/// Finding the way to the API server is a look into a table, and at most a question to the name server.
const ROUTE_TIMEOUT: Duration = Duration::from_secs(2);

/// Looks whether the cluster has what it takes, and puts the settings together.
pub(super) async fn settings(args: &RunArgs, cluster: &Cluster) -> Result<Settings, Failure> {
    // Reviews pass a closed gate: nothing is written before a lease is held.
    let client = cluster.looking().map_err(|e| failure(&e))?;
    cluster.answers(&client).await.map_err(|e| failure(&e))?;
    let place = Place {
        namespaces: &args.namespaces,
        own: namespace(args, cluster),
        lease: &args.lease_name,
        id_is_given: args.cluster_id.is_some(),
    };
    access::check(&client, &place)
        .await
        .map_err(|e| failure(&e))?;
    let id = match &args.cluster_id {
        Some(id) => id.clone(),
        None => access::cluster_id(&client).await.map_err(|e| failure(&e))?,
    };
    Ok(Settings {
        cluster: id,
        instance: instance(),
        jobs_max: args.max_jobs.map(Into::into),
        jobs_per_server_max: args.max_jobs_per_server.map(Into::into),
        push_address: Some(push_address(args, cluster, |name| std::env::var(name).ok())),
    })
}

/// Our place in the election.
pub(super) async fn seat(args: &RunArgs, cluster: &Cluster) -> Seat {
    let mut random = [0; IDENTITY_BYTES];
    SystemEntropy.fill(&mut random);
    let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    Seat {
        namespace: namespace(args, cluster).to_owned(),
        name: args.lease_name.clone(),
        identity: format!("{}_{random}", instance()),
        address: own_address(args.listen, cluster).await,
    }
}

fn namespace<'a>(args: &'a RunArgs, cluster: &'a Cluster) -> &'a str {
    args.lease_namespace
        .as_deref()
        .unwrap_or_else(|| cluster.namespace())
}

/// The Pod's name, which is its host's.
fn instance() -> String {
    let of_environment = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
    let of_host = || {
        let text = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    of_environment("POD_NAME")
        .or_else(|| of_environment("HOSTNAME"))
        .or_else(of_host)
        .unwrap_or_else(|| NAME.to_owned())
}

/// Where migrations push to: what was said, else our Service.
fn push_address(
    args: &RunArgs,
    cluster: &Cluster,
    environment: impl Fn(&str) -> Option<String>,
) -> String {
    if let Some(address) = &args.push_address {
        return address.clone();
    }
    let host = environment("DATABASE_OPERATOR_SERVICE_HOST");
    let port = environment("DATABASE_OPERATOR_SERVICE_PORT");
    match (host, port) {
        // A host that is an IPv6 address stands in brackets before a port.
        (Some(host), Some(port)) if host.contains(':') => format!("[{host}]:{port}"),
        (Some(host), Some(port)) => format!("{host}:{port}"),
        _ => format!("{NAME}.{}.svc:{SERVICE_PORT}", namespace(args, cluster)),
    }
}

/// Where other replicas reach us: the address that faces the API server, which faces them too. `None`: it cannot
/// be told, and pushes to a replica that does not lead stay there.
async fn own_address(listen: SocketAddr, cluster: &Cluster) -> Option<String> {
    if !listen.ip().is_unspecified() {
        return Some(listen.to_string());
    }
    let server = cluster.server_address()?;
    let found = tokio::time::timeout(ROUTE_TIMEOUT, facing(server)).await;
    let address = found.ok()??;
    Some(SocketAddr::new(address, listen.port()).to_string())
}

/// The address of ours from which this server is reached. Nothing is sent.
async fn facing(server: (String, u16)) -> Option<IpAddr> {
    let server = tokio::net::lookup_host(server).await.ok()?.next()?;
    let any: IpAddr = match server {
        SocketAddr::V4(_) => [0, 0, 0, 0].into(),
        SocketAddr::V6(_) => [0_u16; 8].into(),
    };
    let socket = UdpSocket::bind((any, 0)).await.ok()?;
    socket.connect(server).await.ok()?;
    Some(socket.local_addr().ok()?.ip())
}
