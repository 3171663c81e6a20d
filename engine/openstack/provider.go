package main

import (
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	shim "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim"
	sdkv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
	"github.com/terraform-provider-openstack/terraform-provider-openstack/openstack"
)

// Limits of the names that Pulumi makes up for resources that are given none: Neutron and Nova take 255 characters.
const (
	autoNameMaxLength = 255
	autoNameSeparator = "-"
)

// environmentDefaults are the provider settings that the npm package too fills from the environment. All the others
// (password, auth URL, ...) are read from OS_* by the Terraform provider itself, and so never become inputs in the
// state.
var environmentDefaults = map[string]string{
	"allow_reauth":  "OS_ALLOW_REAUTH",
	"cloud":         "OS_CLOUD",
	"delayed_auth":  "OS_DELAYED_AUTH",
	"endpoint_type": "OS_ENDPOINT_TYPE",
	"insecure":      "OS_INSECURE",
	"region":        "OS_REGION_NAME",
	"swauth":        "OS_SWAUTH",
	"use_octavia":   "OS_USE_OCTAVIA",
}

// fieldOverrides are the properties that the npm package names or shapes differently from the bridge's rules.
var fieldOverrides = map[string]map[string]tfbridge.SchemaInfo{
	// A list, although the provider takes one item at most.
	"openstack_compute_servergroup_v2": {
		"policies": {MaxItemsOne: tfbridge.False()},
	},
	// Both spellings exist in Terraform; the plural rule would give them one name.
	"openstack_networking_subnet_v2": {
		"allocation_pool":  {Name: "allocationPools"},
		"allocation_pools": {Name: "allocationPoolsCollection"},
	},
	"openstack_orchestration_stack_v1": {
		"outputs": {Name: "StackOutputs"},
	},
}

// providerInfo maps every resource and data source of the Terraform provider to the tokens of the npm package.
func providerInfo() (tfbridge.ProviderInfo, error) {
	upstream := sdkv2.NewProvider(openstack.Provider())
	info := tfbridge.ProviderInfo{
		P:           upstream,
		Name:        packageName,
		Version:     packageVersion,
		Config:      map[string]*tfbridge.SchemaInfo{},
		Resources:   map[string]*tfbridge.ResourceInfo{},
		DataSources: map[string]*tfbridge.DataSourceInfo{},
	}
	for setting, variable := range environmentDefaults {
		info.Config[setting] = &tfbridge.SchemaInfo{Default: &tfbridge.DefaultInfo{EnvVars: []string{variable}}}
	}

	var failure error
	upstream.ResourcesMap().Range(func(name string, resource shim.Resource) bool {
		token, err := resourceToken(name)
		if err != nil {
			failure = err
			return false
		}
		info.Resources[name] = &tfbridge.ResourceInfo{Tok: token, Fields: resourceFields(name, resource)}
		return true
	})
	upstream.DataSourcesMap().Range(func(name string, _ shim.Resource) bool {
		token, err := functionToken(name)
		if err != nil {
			failure = err
			return false
		}
		info.DataSources[name] = &tfbridge.DataSourceInfo{Tok: token}
		return true
	})
	return info, failure
}

// resourceFields gives the overrides of a resource's properties: other names, and names made up by Pulumi where the
// program gives none.
func resourceFields(name string, resource shim.Resource) map[string]*tfbridge.SchemaInfo {
	fields := map[string]*tfbridge.SchemaInfo{}
	for field, override := range fieldOverrides[name] {
		fields[field] = &override
	}
	if schema, ok := resource.Schema().GetOk("name"); ok && (schema.Optional() || schema.Required()) {
		fields["name"] = tfbridge.AutoName("name", autoNameMaxLength, autoNameSeparator)
	}
	return fields
}
