// Package engine names the Pulumi engine as what this module is for, so that go.mod and go.sum pin all of it.
package engine

import _ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
