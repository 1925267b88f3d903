//go:build tools

// Package kubescore names the program that go.mod and go.sum pin, so that `go mod tidy` keeps it.
package kubescore

import _ "github.com/zegl/kube-score/cmd/kube-score"
