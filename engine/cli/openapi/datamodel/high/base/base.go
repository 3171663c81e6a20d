// Package base has what a description says of values.
package base

import (
	"github.com/pb33f/libopenapi/orderedmap"
	"go.yaml.in/yaml/v4"
)

// Schema is the shape of a value.
type Schema struct {
	Type                 []string
	AllOf, OneOf, AnyOf  []*SchemaProxy
	Discriminator        *Discriminator
	Items                *DynamicValue[*SchemaProxy, bool]
	Properties           *orderedmap.Map[string, *SchemaProxy]
	AdditionalProperties *DynamicValue[*SchemaProxy, bool]
	Required             []string
	Enum                 []*yaml.Node
	Default              *yaml.Node
	Description          string
	Format, Pattern      string
	MultipleOf           *float64
	Maximum, Minimum     *float64
	MaxLength, MinLength *int64
	Nullable, ReadOnly   *bool
	Extensions           *orderedmap.Map[string, *yaml.Node]
}

// MarshalJSONInline writes a schema with what it refers to; never called, since no schema is read.
func (*Schema) MarshalJSONInline() ([]byte, error) { return nil, nil }

// GoLow returns a schema as it was written: none was.
func (*Schema) GoLow() *Low { return nil }

// Low is a schema as it was written.
type Low struct{}

// Hash tells schemas apart.
func (*Low) Hash() uint64 { return 0 }

// SchemaProxy refers to a schema.
type SchemaProxy struct{}

// Schema returns what is referred to: none is.
func (*SchemaProxy) Schema() *Schema { return nil }

// Discriminator tells which of several schemas holds.
type Discriminator struct {
	PropertyName string
	Mapping      *orderedmap.Map[string, string]
}

// DynamicValue is one of two types.
type DynamicValue[A, B any] struct {
	N int
	A A
	B B
}

// IsA says whether it is the first.
func (d *DynamicValue[A, B]) IsA() bool { return d.N == 0 }

// IsB says whether it is the second.
func (d *DynamicValue[A, B]) IsB() bool { return d.N == 1 }

// Info says which API it is.
type Info struct {
	Version string
}
