// Pulumi's OpenStack plugin, built from public modules: the Terraform provider that @pulumi/openstack wraps, behind
// Pulumi's Terraform bridge, with the tokens and property names of the npm package.
package main

import (
	"fmt"
	"os"

	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
)

const (
	packageName = "openstack"
	// packageVersion is the version of @pulumi/openstack that this plugin stands in for.
	packageVersion = "3.15.2"
)

func main() {
	info, err := providerInfo()
	if err != nil {
		fail(err)
	}
	schema, err := packageSchema(info)
	if err != nil {
		fail(err)
	}
	tfbridge.Main(packageName, packageVersion, info, schema)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "pulumi-resource-openstack:", err)
	os.Exit(1)
}
