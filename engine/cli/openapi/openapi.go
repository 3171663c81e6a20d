// Package libopenapi stands in for the library of that name in the Pulumi command line that is built here.
//
// Only `pulumi cloud api` uses it: it reads the description of Pulumi Cloud's own HTTP API and shows it. Compiling the
// library takes a fifth of the whole build, on each machine that cannot download Pulumi. This pulumi has no
// use for Pulumi Cloud; asked for that description, it says that it cannot read it. Types and signatures are those which
// that command is compiled against.
package libopenapi

import (
	"errors"

	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"
)

// ErrLeftOut is what every document is answered with.
var ErrLeftOut = errors.New("this pulumi was built without `pulumi cloud api`; use one from https://www.pulumi.com/docs/install/")

// Document is a description that was read.
type Document interface {
	BuildV3Model() (*DocumentModel[v3.Document], error)
}

// DocumentModel holds what a description says.
type DocumentModel[T any] struct {
	Model T
}

// NewDocument reads no description: ErrLeftOut.
func NewDocument([]byte) (Document, error) {
	return nil, ErrLeftOut
}
