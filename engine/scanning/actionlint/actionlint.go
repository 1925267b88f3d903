//go:build tools

// Package actionlint names the program that go.mod and go.sum pin, so that `go mod tidy` keeps it.
package actionlint

import _ "github.com/rhysd/actionlint/cmd/actionlint"
