//go:build !linux

package main

import "github.com/spf13/cobra"

// nodeCommand gives nothing: Pods run on Linux alone.
func nodeCommand(string) *cobra.Command { return nil }
