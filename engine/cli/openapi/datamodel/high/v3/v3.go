// Package v3 has what a description says of calls.
package v3

import (
	"github.com/pb33f/libopenapi/datamodel/high/base"
	"github.com/pb33f/libopenapi/orderedmap"
	"go.yaml.in/yaml/v4"
)

// Document is a whole description.
type Document struct {
	Info       *base.Info
	Paths      *Paths
	Components *Components
}

// Components are the schemas that have names.
type Components struct {
	Schemas *orderedmap.Map[string, *base.SchemaProxy]
}

// Paths are the places of calls.
type Paths struct {
	PathItems *orderedmap.Map[string, *PathItem]
}

// PathItem has the calls of one place.
type PathItem struct {
	Get, Post, Put, Delete, Patch, Head *Operation
}

// Operation is a call.
type Operation struct {
	OperationId          string
	Tags                 []string
	Summary, Description string
	Parameters           []*Parameter
	RequestBody          *RequestBody
	Responses            *Responses
	Deprecated           *bool
	Extensions           *orderedmap.Map[string, *yaml.Node]
}

// Parameter is one of a call's.
type Parameter struct {
	Name, In, Description string
	Required              *bool
	Schema                *base.SchemaProxy
}

// RequestBody is what a call sends.
type RequestBody struct {
	Content *orderedmap.Map[string, *MediaType]
}

// Responses are the answers to a call.
type Responses struct {
	Codes   *orderedmap.Map[string, *Response]
	Default *Response
}

// Response is an answer.
type Response struct {
	Description string
	Content     *orderedmap.Map[string, *MediaType]
}

// MediaType is the content of one type.
type MediaType struct {
	Schema *base.SchemaProxy
}
