//! The node: how containerd, the kubelet and kube-proxy are set up to run Pods on this machine.
//!
//! Everything of it lies in the cluster's folder or in [`RUN`], so that the end of a cluster finds
//! all of it. Each setting that is not obvious says what fails without it. What this changes on the
//! machine, and how that is undone, is in `machine.rs`.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::component::Spec;
use super::control::{BRIDGE_ADDRESS, NODE, show};
use super::image::{Image, PAUSE};
use super::state::State;
use crate::workspace::capture;

/// Sockets and what containers run on: a short path, because a socket's path has 108 bytes at most.
pub(crate) const RUN: &str = "/run/dbop-node";
/// The lock of the one node that a machine has at a time.
pub(crate) const LOCK: &str = "/run/dbop-node.lock";
/// The control group above all Pods.
pub(crate) const CGROUP: &str = "dbop-node";
/// The bridge that Pods are on.
pub(crate) const BRIDGE: &str = "dbop0";
/// The bridge's own hardware address: any that nobody was given by a maker.
const BRIDGE_MAC: &str = "0a:58:0a:58:00:01";
/// The addresses of Pods and of the bridge.
pub(crate) const PODS: &str = "10.88.0.0/16";
/// The name of the Pods' network.
pub(crate) const NETWORK: &str = "dbop";
/// Where Debian has the plugins of Pods' networks; others have them in [`PLUGINS_ELSEWHERE`].
pub(crate) const PLUGINS: &str = "/usr/lib/cni";
/// Where everybody else has them.
pub(crate) const PLUGINS_ELSEWHERE: &str = "/opt/cni/bin";
/// containerd's namespace of Kubernetes.
const NAMESPACE: &str = "k8s.io";

/// Writes the files that the node's components read.
pub(crate) fn write_files(state: &State) -> Result<()> {
    std::fs::create_dir_all(state.folder().join("network"))
        .context("a folder for the network cannot be created")?;
    state.write("containerd.toml", &containerd_settings(state, plugins()))?;
    state.write("network/10-dbop.conflist", &network_settings(state))?;
    state.write("kubelet.yaml", &kubelet_settings(state, free_port()?))?;
    state.write("kube-proxy.yaml", &proxy_settings(state))
}

/// The folder of network plugins.
pub(crate) fn plugins() -> &'static str {
    match Path::new(PLUGINS).join("bridge").is_file() {
        true => PLUGINS,
        false => PLUGINS_ELSEWHERE,
    }
}

/// The container runtime.
pub(crate) fn containerd(state: &State) -> Spec {
    Spec {
        name: "containerd",
        program: "containerd".into(),
        arguments: vec![
            format!("--config={}", show(&state.folder().join("containerd.toml"))),
            "--log-level=warn".to_owned(),
        ],
    }
}

/// What starts and watches Pods.
pub(crate) fn kubelet(program: &Path, state: &State) -> Spec {
    let folder = state.folder();
    Spec {
        name: "kubelet",
        program: program.to_owned(),
        arguments: vec![
            "kubelet".to_owned(),
            format!("--config={}", show(&folder.join("kubelet.yaml"))),
            format!(
                "--kubeconfig={}",
                show(&state.keys().join("kubelet.kubeconfig"))
            ),
            format!("--root-dir={}", show(&folder.join("kubelet"))),
            format!("--cert-dir={}", show(&state.keys())),
            format!("--hostname-override={NODE}"),
            format!("--node-ip={BRIDGE_ADDRESS}"),
        ],
    }
}

/// What makes the addresses of services work.
pub(crate) fn proxy(program: &Path, state: &State) -> Spec {
    Spec {
        name: "kube-proxy",
        program: program.to_owned(),
        arguments: vec![
            "kube-proxy".to_owned(),
            format!("--config={}", show(&state.folder().join("kube-proxy.yaml"))),
            format!("--hostname-override={NODE}"),
        ],
    }
}

/// A command of containerd's own tool.
fn ctr() -> Command {
    let mut command = Command::new("ctr");
    command.args(["--address", &socket(), "--namespace", NAMESPACE]);
    command
}

/// Whether containerd answers.
pub(crate) fn containerd_answers() -> bool {
    capture(ctr().arg("version")).is_ok()
}

/// Loads an archive of images.
pub(crate) fn load(archive: &Path) -> Result<()> {
    capture(ctr().args(["images", "import"]).arg(archive))
        .map(drop)
        .with_context(|| format!("{} cannot be loaded", archive.display()))
}

/// Makes and loads the images that every node has: what holds Pods open, and a shell.
pub(crate) fn load_images(state: &State, pause: &Path) -> Result<()> {
    for image in [Image::pause(pause), Image::shell()?] {
        let archive = state.folder().join("image.tar");
        image.write(&archive)?;
        load(&archive)?;
        std::fs::remove_file(&archive).context("an archive cannot be removed")?;
    }
    Ok(())
}

/// Makes the bridge that Pods are on, with the machine's address.
pub(crate) fn make_bridge() -> Result<()> {
    let ip = |arguments: &[&str]| capture(Command::new("ip").args(arguments));
    ensure!(
        !Path::new("/sys/class/net").join(BRIDGE).exists(),
        "there is a network interface {BRIDGE} already that is not ours to use"
    );
    // Without an address of its own a bridge has the lowest of its ports: it would change as Pods come and go,
    // and Pods that remember the old one lose this machine for ten seconds.
    let add = [
        "link", "add", BRIDGE, "address", BRIDGE_MAC, "type", "bridge",
    ];
    ip(&add)?;
    ip(&[
        "address",
        "add",
        &format!("{BRIDGE_ADDRESS}/16"),
        "dev",
        BRIDGE,
    ])?;
    ip(&["link", "set", BRIDGE, "up"])?;
    Ok(())
}

fn socket() -> String {
    format!("{RUN}/containerd.sock")
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((BRIDGE_ADDRESS, 0)).context("the bridge has no free port")?;
    let address = listener.local_addr().context("a port cannot be read")?;
    Ok(address.port())
}

fn containerd_settings(state: &State, plugins: &str) -> String {
    let folder = show(state.folder());
    let socket = socket();
    // `restrict_oom_score_adj`: without it runc fails with "can't get final child's PID from pipe"
    // where we may not lower that score.
    format!(
        r#"version = 2
root = "{folder}/containerd"
state = "{RUN}/containerd"
[grpc]
address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
path = "{folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
stream_server_address = "127.0.0.1"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{folder}/network"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
Root = "{RUN}/runc"
"#
    )
}

fn network_settings(state: &State) -> String {
    let folder = show(state.folder());
    format!(
        r#"{{
  "cniVersion": "0.4.0",
  "name": "{NETWORK}",
  "plugins": [
    {{
      "type": "bridge", "bridge": "{BRIDGE}",
      "isGateway": true, "ipMasq": true, "hairpinMode": true,
      "ipam": {{
        "type": "host-local", "dataDir": "{folder}/addresses",
        "ranges": [[{{"subnet": "{PODS}", "rangeStart": "10.88.1.0", "gateway": "{BRIDGE_ADDRESS}"}}]],
        "routes": [{{"dst": "0.0.0.0/0"}}]
      }}
    }},
    {{"type": "portmap", "capabilities": {{"portMappings": true}}}}
  ]
}}
"#
    )
}

fn kubelet_settings(state: &State, port: u16) -> String {
    let folder = show(state.folder());
    let keys = show(&state.keys());
    let socket = socket();
    // No eviction and no collection of images because a developer's disk is nearly full: an image
    // that was loaded cannot be pulled again.
    format!(
        r#"apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: /{CGROUP}
failSwapOn: false
enforceNodeAllocatable: []
localStorageCapacityIsolation: false
containerRuntimeEndpoint: unix://{socket}
address: {BRIDGE_ADDRESS}
port: {port}
healthzPort: 0
tlsCertFile: {keys}/kubelet-server.crt
tlsPrivateKeyFile: {keys}/kubelet-server.key
authentication:
  anonymous: {{enabled: false}}
  webhook: {{enabled: true}}
  x509: {{clientCAFile: {keys}/ca.crt}}
authorization: {{mode: Webhook}}
podLogsDir: {folder}/pod-logs
volumePluginDir: {folder}/volume-plugins
evictionHard: {{memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%}}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
kubeAPIQPS: 500
kubeAPIBurst: 1000
maxPods: 250
"#
    )
}

fn proxy_settings(state: &State) -> String {
    let keys = show(&state.keys());
    // No sysctl is touched, and services answer on the bridge alone. `masqueradeAll`: where the
    // kernel does not show iptables what crosses a bridge, an answer from Pod to Pod would get lost.
    format!(
        r#"apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {{kubeconfig: {keys}/kube-proxy.kubeconfig}}
mode: iptables
clusterCIDR: {PODS}
healthzBindAddress: ""
metricsBindAddress: ""
nodePortAddresses: [{PODS}]
iptables: {{masqueradeAll: true, localhostNodePorts: false}}
conntrack: {{maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::{Cache, random_hex};

    #[test]
    fn everything_of_a_node_lies_where_its_end_looks_for_it() {
        let name = format!("dbop-node-test-{}", random_hex(8).unwrap());
        let cache = Cache::at(std::env::temp_dir().join(name)).unwrap();
        let state = State::of(&cache, "n").unwrap();
        let folder = show(state.folder());
        let settings = [
            containerd_settings(&state, "/plugins"),
            network_settings(&state),
            kubelet_settings(&state, 1),
            proxy_settings(&state),
        ];
        for path in settings
            .iter()
            .flat_map(|text| text.split(['"', ' ', '\n', ',', '}']))
            .map(|word| word.trim_start_matches("unix://"))
            .filter(|word| word.starts_with('/'))
        {
            let known = [folder.as_str(), RUN, "/dbop-node", "/plugins"];
            assert!(known.iter().any(|known| path.starts_with(known)), "{path}");
        }
        std::fs::remove_dir_all(cache.entry("")).unwrap();
    }
}
