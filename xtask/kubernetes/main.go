// One binary that is a whole Kubernetes for tests: the first argument names the component.
//
// No package registry holds a kube-apiserver, but its source is a Go module like any other. The
// components are linked as they are; nothing of them is changed. `pki` makes the certificates and
// kubeconfigs that they know each other by (pki.go). cargo xtask cluster builds and runs this.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "name a component: etcd, kube-apiserver, kubectl, pki, ...")
		os.Exit(2)
	}
	os.Args = os.Args[1:]
	var command *cobra.Command
	switch os.Args[0] {
	case "etcd":
		etcdmain.Main(os.Args)
		return
	case "pki":
		if err := makeKeys(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "pki:", err)
			os.Exit(1)
		}
		return
	case "kube-apiserver":
		command = apiserver.NewAPIServerCommand()
	case "kube-controller-manager":
		command = controllers.NewControllerManagerCommand()
	case "kube-scheduler":
		command = scheduler.NewSchedulerCommand()
	case "kubectl":
		command = kubectl.NewDefaultKubectlCommand()
	default:
		command = nodeCommand(os.Args[0])
	}
	if command == nil {
		fmt.Fprintln(os.Stderr, "unknown component", os.Args[0])
		os.Exit(2)
	}
	os.Exit(cli.Run(command))
}
