package main

import (
	"context"

	"github.com/spf13/cobra"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// nodeCommand gives the components that run Pods; they exist on Linux alone.
func nodeCommand(name string) *cobra.Command {
	switch name {
	case "kube-proxy":
		return proxy.NewProxyCommand()
	case "kubelet":
		// It installs a signal handler of its own: it wants a plain context.
		return kubelet.NewKubeletCommand(context.Background())
	}
	return nil
}
