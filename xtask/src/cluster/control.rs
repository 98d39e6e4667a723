//! The control plane: how etcd, the API server and the controllers are started.
//!
//! The command lines are pure functions of the folder and the ports, so that a component can be
//! stopped and started again as it was. What runs Pods is in `node.rs`.

use std::net::TcpListener;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::Form;
use super::component::Spec;
use super::state::State;

/// The node's name, and the one of the kubelet's user.
pub(crate) const NODE: &str = "dbop";
/// The addresses of services; the first one is the API server's.
const SERVICES: &str = "10.96.0.0/24";
/// The API server's address in [`SERVICES`].
const API_SERVICE: &str = "10.96.0.1";
/// The machine's address on the bridge that Pods are on.
pub(crate) const BRIDGE_ADDRESS: &str = "10.88.0.1";

/// Who asked for what, and what came of it: enough to count requests and to compare them with the
/// rules of RBAC. Only the end of a request is written.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted, Panic]
rules: [{level: Metadata}]
";
/// In megabytes: the log of a long measurement stays one file.
const AUDIT_LOG_MAX: u32 = 4096;

/// The ports of one control plane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    api: u16,
    etcd: u16,
    etcd_peer: u16,
}

impl Ports {
    /// Three that are free now.
    pub(crate) fn free() -> Result<Ports> {
        let mut listeners = Vec::new();
        for _ in 0..3 {
            let listener = TcpListener::bind(("127.0.0.1", 0));
            listeners.push(listener.context("127.0.0.1 has no free port")?);
        }
        let port = |index: usize| -> Result<u16> {
            let address = listeners[index].local_addr();
            Ok(address.context("a port cannot be read")?.port())
        };
        Ok(Ports {
            api: port(0)?,
            etcd: port(1)?,
            etcd_peer: port(2)?,
        })
    }

    /// The API server's URL for people and tests.
    pub(crate) fn server(self) -> String {
        format!("https://127.0.0.1:{}", self.api)
    }
}

/// The arguments of `pki`: where the keys go, and what they are for.
pub(crate) fn keys(state: &State, form: Form, ports: Ports) -> Vec<String> {
    let mut arguments = vec![
        "pki".to_owned(),
        show(&state.keys()),
        ports.server(),
        NODE.to_owned(),
        "127.0.0.1".to_owned(),
        API_SERVICE.to_owned(),
    ];
    if form == Form::Node {
        arguments.push(BRIDGE_ADDRESS.to_owned());
    }
    arguments
}

/// Writes the files that the control plane reads.
pub(crate) fn write_files(state: &State) -> Result<()> {
    state.write("audit-policy.yaml", AUDIT_POLICY)
}

/// The database of the API server. It is thrown away, so it need not survive a power cut.
pub(crate) fn etcd(program: &Path, state: &State, ports: Ports) -> Spec {
    let keys = state.keys();
    let client = format!("https://127.0.0.1:{}", ports.etcd);
    let peer = format!("http://127.0.0.1:{}", ports.etcd_peer);
    Spec {
        name: "etcd",
        program: program.to_owned(),
        arguments: vec![
            "etcd".to_owned(),
            format!("--data-dir={}", show(&state.folder().join("etcd"))),
            "--name=default".to_owned(),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
            "--client-cert-auth".to_owned(),
            format!("--trusted-ca-file={}", show(&keys.join("ca.crt"))),
            format!("--cert-file={}", show(&keys.join("etcd.crt"))),
            format!("--key-file={}", show(&keys.join("etcd.key"))),
            "--unsafe-no-fsync".to_owned(),
            // Measurements write more than the two gigabytes that are the default.
            "--quota-backend-bytes=8589934592".to_owned(),
            "--auto-compaction-mode=periodic".to_owned(),
            "--auto-compaction-retention=5m".to_owned(),
            "--log-level=warn".to_owned(),
        ],
    }
}

/// The API server, with RBAC, an audit log, and admission as it is by default.
pub(crate) fn api_server(program: &Path, state: &State, form: Form, ports: Ports) -> Spec {
    let keys = state.keys();
    let key = |name: &str| show(&keys.join(name));
    let mut arguments = vec![
        "kube-apiserver".to_owned(),
        format!("--secure-port={}", ports.api),
        format!("--etcd-servers=https://127.0.0.1:{}", ports.etcd),
        format!("--etcd-cafile={}", key("ca.crt")),
        format!("--etcd-certfile={}", key("kube-apiserver-client.crt")),
        format!("--etcd-keyfile={}", key("kube-apiserver-client.key")),
        format!("--client-ca-file={}", key("ca.crt")),
        format!("--tls-cert-file={}", key("kube-apiserver.crt")),
        format!("--tls-private-key-file={}", key("kube-apiserver.key")),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        "--allow-privileged=true".to_owned(),
        format!("--service-cluster-ip-range={SERVICES}"),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", key("service-accounts.pub")),
        format!(
            "--service-account-signing-key-file={}",
            key("service-accounts.key")
        ),
        format!(
            "--audit-policy-file={}",
            show(&state.folder().join("audit-policy.yaml"))
        ),
        format!("--audit-log-path={}", show(&state.audit_log())),
        format!("--audit-log-maxsize={AUDIT_LOG_MAX}"),
    ];
    match form {
        Form::Node => arguments.extend([
            // Pods come from the bridge, people from the loopback; both bring a credential.
            "--bind-address=0.0.0.0".to_owned(),
            format!("--advertise-address={BRIDGE_ADDRESS}"),
            format!(
                "--kubelet-client-certificate={}",
                key("kube-apiserver-client.crt")
            ),
            format!("--kubelet-client-key={}", key("kube-apiserver-client.key")),
            // Else `kubectl logs` would look for the node's name in DNS.
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
        ]),
        Form::Light | Form::Kind => arguments.extend([
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            // Without Pods nobody asks for the service, and a loopback address may not be in it.
            "--endpoint-reconciler-type=none".to_owned(),
        ]),
    }
    Spec {
        name: "kube-apiserver",
        program: program.to_owned(),
        arguments,
    }
}

/// The controllers: Jobs, Deployments, service accounts, garbage collection.
pub(crate) fn controllers(program: &Path, state: &State) -> Spec {
    let keys = state.keys();
    let key = |name: &str| show(&keys.join(name));
    Spec {
        name: "kube-controller-manager",
        program: program.to_owned(),
        arguments: vec![
            "kube-controller-manager".to_owned(),
            format!("--kubeconfig={}", key("kube-controller-manager.kubeconfig")),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
            "--use-service-account-credentials".to_owned(),
            format!("--root-ca-file={}", key("ca.crt")),
            format!(
                "--service-account-private-key-file={}",
                key("service-accounts.key")
            ),
            format!("--cluster-signing-cert-file={}", key("ca.crt")),
            format!("--cluster-signing-key-file={}", key("ca.key")),
            // Tests with thousands of objects must not wait for the controllers' manners.
            "--kube-api-qps=500".to_owned(),
            "--kube-api-burst=1000".to_owned(),
        ],
    }
}

/// The scheduler: one node, so it has little to choose from.
pub(crate) fn scheduler(program: &Path, state: &State) -> Spec {
    let kubeconfig = state.keys().join("kube-scheduler.kubeconfig");
    Spec {
        name: "kube-scheduler",
        program: program.to_owned(),
        arguments: vec![
            "kube-scheduler".to_owned(),
            format!("--kubeconfig={}", show(&kubeconfig)),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
        ],
    }
}

/// A path as an argument.
pub(crate) fn show(path: &Path) -> String {
    path.display().to_string()
}
