package main

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"

	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	shim "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim"
)

// The Pulumi package schema, as far as this plugin states it: names, types, what is required, what is secret. It is
// derived from the very mapping that the plugin runs with, so that the two cannot differ.
type (
	packageSpec struct {
		Name      string                  `json:"name"`
		Version   string                  `json:"version"`
		Meta      metaSpec                `json:"meta"`
		Config    configSpec              `json:"config"`
		Types     map[string]objectSpec   `json:"types"`
		Provider  resourceSpec            `json:"provider"`
		Resources map[string]resourceSpec `json:"resources"`
		Functions map[string]functionSpec `json:"functions"`
	}
	metaSpec struct {
		ModuleFormat string `json:"moduleFormat"`
	}
	configSpec struct {
		Variables map[string]propertySpec `json:"variables"`
	}
	objectSpec struct {
		Type       string                  `json:"type,omitempty"`
		Properties map[string]propertySpec `json:"properties,omitempty"`
		Required   []string                `json:"required,omitempty"`
	}
	resourceSpec struct {
		objectSpec
		InputProperties map[string]propertySpec `json:"inputProperties,omitempty"`
		RequiredInputs  []string                `json:"requiredInputs,omitempty"`
		StateInputs     *objectSpec             `json:"stateInputs,omitempty"`
		Deprecation     string                  `json:"deprecationMessage,omitempty"`
	}
	functionSpec struct {
		Inputs      *objectSpec `json:"inputs,omitempty"`
		Outputs     *objectSpec `json:"outputs,omitempty"`
		Deprecation string      `json:"deprecationMessage,omitempty"`
	}
	typeSpec struct {
		Type                 string    `json:"type,omitempty"`
		Ref                  string    `json:"$ref,omitempty"`
		Items                *typeSpec `json:"items,omitempty"`
		AdditionalProperties *typeSpec `json:"additionalProperties,omitempty"`
	}
	propertySpec struct {
		typeSpec
		DefaultInfo          *defaultSpec `json:"defaultInfo,omitempty"`
		Secret               bool         `json:"secret,omitempty"`
		WillReplaceOnChanges bool         `json:"willReplaceOnChanges,omitempty"`
		Deprecation          string       `json:"deprecationMessage,omitempty"`
	}
	defaultSpec struct {
		Environment []string `json:"environment"`
	}
)

// direction tells which side of a resource a property list is for.
type direction int

const (
	inputs direction = iota
	outputs
	state
)

type schemaBuilder struct {
	types map[string]objectSpec
}

// packageSchema answers GetSchema for the mapping.
func packageSchema(info tfbridge.ProviderInfo) ([]byte, error) {
	b := &schemaBuilder{types: map[string]objectSpec{}}
	spec := packageSpec{
		Name: info.Name, Version: info.Version,
		// "compute/instance" is a member of the module "compute".
		Meta:      metaSpec{ModuleFormat: "(.*)(?:/[^/]*)"},
		Resources: map[string]resourceSpec{}, Functions: map[string]functionSpec{},
	}

	config := info.P.Schema()
	settings := b.object("config", "", config, info.Config, inputs)
	spec.Config.Variables = settings.Properties
	spec.Provider = resourceSpec{
		objectSpec:      b.object("", "Provider", config, info.Config, inputs),
		InputProperties: settings.Properties,
		RequiredInputs:  settings.Required,
	}

	for name, resource := range info.Resources {
		tf, ok := info.P.ResourcesMap().GetOk(name)
		if !ok {
			return nil, fmt.Errorf("the Terraform provider has no resource %q", name)
		}
		module, member := splitToken(string(resource.Tok))
		in := b.object(module, member, tf.Schema(), resource.Fields, inputs)
		known := b.object(module, member+"State", tf.Schema(), resource.Fields, state)
		spec.Resources[string(resource.Tok)] = resourceSpec{
			objectSpec:      b.object(module, member, tf.Schema(), resource.Fields, outputs),
			InputProperties: in.Properties,
			RequiredInputs:  in.Required,
			StateInputs:     &known,
			Deprecation:     tf.DeprecationMessage(),
		}
	}

	for name, function := range info.DataSources {
		tf, ok := info.P.DataSourcesMap().GetOk(name)
		if !ok {
			return nil, fmt.Errorf("the Terraform provider has no data source %q", name)
		}
		module, member := splitToken(string(function.Tok))
		in := b.object(module, member, tf.Schema(), function.Fields, inputs)
		out := b.object(module, member, tf.Schema(), function.Fields, outputs)
		out.Properties["id"] = propertySpec{typeSpec: typeSpec{Type: "string"}}
		out.Required = sorted(append(out.Required, "id"))
		spec.Functions[string(function.Tok)] = functionSpec{
			Inputs: &in, Outputs: &out, Deprecation: tf.DeprecationMessage(),
		}
	}

	spec.Types = b.types
	return json.Marshal(spec)
}

// object describes the property list of a resource, a function or the provider: of the inputs those that can be set,
// of the outputs all but the id, which every resource has anyway. owner names the nested types that it needs.
func (b *schemaBuilder) object(
	module, owner string, fields shim.SchemaMap, infos map[string]*tfbridge.SchemaInfo, side direction,
) objectSpec {
	return b.properties(module, owner, fields, infos, side, func(key string, field shim.Schema) bool {
		if side == inputs {
			return isInput(field, infos[key])
		}
		return key != "id"
	})
}

// properties describes those of the fields that are shown.
func (b *schemaBuilder) properties(
	module, owner string, fields shim.SchemaMap, infos map[string]*tfbridge.SchemaInfo, side direction,
	shown func(key string, field shim.Schema) bool,
) objectSpec {
	spec := objectSpec{Type: "object", Properties: map[string]propertySpec{}}
	fields.Range(func(key string, field shim.Schema) bool {
		if field.Removed() != "" || !shown(key, field) {
			return true
		}
		name := tfbridge.TerraformToPulumiNameV2(key, fields, infos)
		spec.Properties[name] = b.property(module, owner+pascal(key), field, infos[key], side)
		if isRequired(field, infos[key], side) {
			spec.Required = append(spec.Required, name)
		}
		return true
	})
	spec.Required = sorted(spec.Required)
	return spec
}

func (b *schemaBuilder) property(
	module, typeName string, field shim.Schema, info *tfbridge.SchemaInfo, side direction,
) propertySpec {
	spec := propertySpec{
		typeSpec:             b.typeOf(module, typeName, field, info, side),
		Secret:               field.Sensitive(),
		WillReplaceOnChanges: side == inputs && field.ForceNew(),
		Deprecation:          field.Deprecated(),
	}
	if info != nil && info.Default != nil && len(info.Default.EnvVars) > 0 {
		spec.DefaultInfo = &defaultSpec{Environment: info.Default.EnvVars}
	}
	return spec
}

func (b *schemaBuilder) typeOf(
	module, typeName string, field shim.Schema, info *tfbridge.SchemaInfo, side direction,
) typeSpec {
	switch field.Type() {
	case shim.TypeBool:
		return typeSpec{Type: "boolean"}
	case shim.TypeInt:
		return typeSpec{Type: "integer"}
	case shim.TypeFloat:
		return typeSpec{Type: "number"}
	case shim.TypeList, shim.TypeSet:
		element := b.element(module, typeName, field, info, side)
		if tfbridge.IsMaxItemsOne(field, info) {
			return element
		}
		return typeSpec{Type: "array", Items: &element}
	case shim.TypeMap:
		element := b.element(module, typeName, field, info, side)
		return typeSpec{Type: "object", AdditionalProperties: &element}
	case shim.TypeDynamic:
		return anyType()
	default:
		return typeSpec{Type: "string"}
	}
}

// element describes what a list, set or map holds.
func (b *schemaBuilder) element(
	module, typeName string, field shim.Schema, info *tfbridge.SchemaInfo, side direction,
) typeSpec {
	var elementInfo *tfbridge.SchemaInfo
	if info != nil {
		elementInfo = info.Elem
	}
	switch element := field.Elem().(type) {
	case shim.Schema:
		return b.typeOf(module, typeName, element, elementInfo, side)
	case shim.Resource:
		var fields map[string]*tfbridge.SchemaInfo
		if elementInfo != nil {
			fields = elementInfo.Fields
		}
		// Inputs and outputs of one block differ in what is required, so each has a type of its own.
		if side == outputs {
			typeName += "Result"
		}
		tok := "openstack:" + module + "/" + typeName + ":" + typeName
		// A nested block shows all that it has, in inputs too: a whole output can be given as an input.
		b.types[tok] = b.properties(module, typeName, element.Schema(), fields, side,
			func(string, shim.Schema) bool { return true })
		return typeSpec{Ref: "#/types/" + tok}
	default:
		return anyType()
	}
}

func anyType() typeSpec { return typeSpec{Ref: "pulumi.json#/Any"} }

func isInput(field shim.Schema, info *tfbridge.SchemaInfo) bool {
	computedOnly := info != nil && info.MarkAsComputedOnly != nil && *info.MarkAsComputedOnly
	return (field.Optional() || field.Required()) && !computedOnly
}

func isRequired(field shim.Schema, info *tfbridge.SchemaInfo, side direction) bool {
	switch side {
	case inputs:
		return field.Required() && (info == nil || info.Default == nil)
	case outputs:
		return field.Required() || field.Computed()
	default:
		return false
	}
}

// splitToken takes "openstack:compute/instance:Instance" apart into "compute" and "Instance".
func splitToken(token string) (module, member string) {
	parts := strings.Split(token, ":")
	module, _, _ = strings.Cut(parts[1], "/")
	return module, upperFirst(parts[2])
}

func sorted(names []string) []string {
	sort.Strings(names)
	return names
}
