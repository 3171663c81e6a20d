package main

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
)

// modules maps the service part of a Terraform name to the module of the npm package, where the two differ.
var modules = map[string]string{
	"db": "database",
	"fw": "firewall",
	"lb": "loadbalancer",
}

// compounds lists the words that Terraform runs together and the npm package spells as several.
var compounds = map[string]string{
	"addressscope":    "address_scope",
	"clustertemplate": "cluster_template",
	"floatingip":      "floating_ip",
	"ipsec":           "ip_sec",
	"l7policy":        "l7_policy",
	"l7rule":          "l7_rule",
	"loadbalancer":    "load_balancer",
	"nodegroup":       "node_group",
	"portforwarding":  "port_forwarding",
	"quotaset":        "quota_set",
	"recordset":       "record_set",
	"secgroup":        "sec_group",
	"securityservice": "security_service",
	"servergroup":     "server_group",
	"sharenetwork":    "share_network",
	"subnetpool":      "subnet_pool",
	"tempurl":         "temp_url",
}

// versionedResources are the resources whose npm name keeps the API version. There is no rule behind it: it depends
// on when each was added to the npm package.
var versionedResources = setOf(
	"blockstorage_qos_association_v3", "blockstorage_qos_v3", "blockstorage_volume_attach_v2",
	"blockstorage_volume_type_access_v3", "blockstorage_volume_type_v3", "blockstorage_volume_v1",
	"blockstorage_volume_v2", "compute_aggregate_v2", "compute_quotaset_v2", "fw_group_v2", "fw_policy_v2",
	"fw_rule_v2", "identity_ec2_credential_v3", "identity_endpoint_v3", "identity_group_v3", "identity_service_v3",
	"identity_user_membership_v3", "keymanager_container_v1", "keymanager_order_v1", "keymanager_secret_v1",
	"lb_l7policy_v2", "lb_l7rule_v2", "lb_member_v1", "lb_monitor_v1", "lb_pool_v1", "networking_portforwarding_v2",
	"networking_quota_v2", "networking_rbac_policy_v2", "orchestration_stack_v1",
)

// versionedFunctions are the data sources whose npm name keeps the API version.
var versionedFunctions = setOf(
	"blockstorage_availability_zones_v3", "blockstorage_snapshot_v2", "blockstorage_snapshot_v3",
	"blockstorage_volume_v2", "blockstorage_volume_v3", "compute_aggregate_v2", "compute_hypervisor_v2",
	"compute_instance_v2", "compute_limits_v2", "compute_quotaset_v2", "networking_quota_v2",
	"networking_subnet_ids_v2",
)

// oddResources and oddFunctions are module and member of the names that follow no rule at all (some are slips of the
// npm package that can no longer be changed).
var oddResources = map[string][2]string{
	"blockstorage_quotaset_v2": {"blockstorage", "QuoteSetV2"},
	"blockstorage_quotaset_v3": {"blockstorage", "QuoteSetV3"},
	"objectstorage_object_v1":  {"objectstorage", "ContainerObject"},
}

var oddFunctions = map[string][2]string{
	"blockstorage_quotaset_v3":               {"blockstorage", "getQuotasetV3"},
	"dns_zone_v2":                            {"dns", "getDnsZone"},
	"fw_group_v2":                            {"index", "getFwGroupV2"},
	"fw_policy_v2":                           {"index", "getFwPolicyV2"},
	"fw_rule_v2":                             {"index", "getFwRuleV2"},
	"sharedfilesystem_availability_zones_v2": {"sharedfilesystem", "getAvailbilityZones"},
}

// resourceToken gives the npm package's token of a Terraform resource:
// "openstack_networking_secgroup_rule_v2" is "openstack:networking/secGroupRule:SecGroupRule".
func resourceToken(terraformName string) (tokens.Type, error) {
	name := strings.TrimPrefix(terraformName, "openstack_")
	if odd, ok := oddResources[name]; ok {
		return tokens.Type(token(odd[0], odd[1])), nil
	}
	module, member, err := split(name, versionedResources[name])
	if err != nil {
		return "", err
	}
	return tokens.Type(token(module, member)), nil
}

// functionToken gives the npm package's token of a Terraform data source:
// "openstack_compute_flavor_v2" is "openstack:compute/getFlavor:getFlavor".
func functionToken(terraformName string) (tokens.ModuleMember, error) {
	name := strings.TrimPrefix(terraformName, "openstack_")
	if odd, ok := oddFunctions[name]; ok {
		return tokens.ModuleMember(token(odd[0], odd[1])), nil
	}
	module, member, err := split(name, versionedFunctions[name])
	if err != nil {
		return "", err
	}
	return tokens.ModuleMember(token(module, "get"+member)), nil
}

// split takes "networking_secgroup_rule_v2" apart into "networking" and "SecGroupRule" ("SecGroupRuleV2" with its
// version kept).
func split(name string, keepVersion bool) (module, member string, err error) {
	service, rest, ok := strings.Cut(name, "_")
	at := strings.LastIndex(rest, "_v")
	if !ok || at < 0 {
		return "", "", fmt.Errorf("the provider's name %q is not of the form service_thing_vN: "+
			"add it to the odd names in tokens.go", name)
	}
	module = service
	if renamed, ok := modules[service]; ok {
		module = renamed
	}
	member = pascal(rest[:at])
	if keepVersion {
		member += strings.ToUpper(rest[at+1:])
	}
	return module, member, nil
}

func token(module, member string) string {
	return "openstack:" + module + "/" + lowerFirst(member) + ":" + member
}

func pascal(words string) string {
	var out strings.Builder
	for _, word := range strings.Split(words, "_") {
		if parts, ok := compounds[word]; ok {
			out.WriteString(pascal(parts))
			continue
		}
		out.WriteString(upperFirst(word))
	}
	return out.String()
}

func upperFirst(s string) string {
	r, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[size:]
}

func lowerFirst(s string) string {
	r, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToLower(r)) + s[size:]
}

func setOf(names ...string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}
