//go:build tools

// Package signing names what is built from this module: its versions stand in go.mod, their hashes in go.sum.
package signing

import _ "github.com/sigstore/cosign/v3/cmd/cosign"
