// Command kube is every part of a Kubernetes control plane and node in one file. The name it is called by, or else its
// first argument, says which: one link instead of six, and a quarter of the disk.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	kubectlcli "k8s.io/kubectl/pkg/cmd"
)

func main() {}
