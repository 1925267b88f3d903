// Package services names what this module is for, so that go.mod and go.sum pin all of it.
package services

import (
	_ "github.com/coredns/coredns/coremain"
	_ "sigs.k8s.io/metrics-server/cmd/metrics-server"
)
