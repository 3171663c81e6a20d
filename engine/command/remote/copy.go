package remote

import (
	"context"
	"fmt"
	"os"

	"github.com/pkg/sftp"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi-go-provider/infer/types"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// CopyToRemote is the resource command:remote:CopyToRemote.
type CopyToRemote struct{}

// CopyToRemoteArgs are its inputs.
type CopyToRemoteArgs struct {
	Connection Connection           `pulumi:"connection" provider:"secret"`
	Source     types.AssetOrArchive `pulumi:"source"`
	RemotePath string               `pulumi:"remotePath"`
	Triggers   *[]any               `pulumi:"triggers,optional" provider:"replaceOnChanges"`
}

// CopyToRemoteState is what the state keeps of it.
type CopyToRemoteState struct {
	CopyToRemoteArgs
}

// Annotate describes the resource in the schema.
func (c *CopyToRemote) Annotate(a infer.Annotator) {
	a.Describe(&c, "A file, a text or a directory copied to another host over SFTP.")
}

// Annotate describes the inputs in the schema.
func (c *CopyToRemoteArgs) Annotate(a infer.Annotator) {
	a.Describe(&c.Connection, "How to reach the host.")
	a.Describe(&c.Source, "FileAsset, StringAsset or FileArchive to copy. Archives are not unpacked.")
	a.Describe(&c.RemotePath, "Where it goes. Missing parent directories are made. A file or directory goes into a "+
		"directory that exists; a file replaces a file that exists.")
	a.Describe(&c.Triggers, "Values of any kind: when one changes, the resource is replaced.")
}

// Check refuses sources that cannot be copied.
func (*CopyToRemote) Check(
	ctx context.Context, req infer.CheckRequest,
) (infer.CheckResponse[CopyToRemoteArgs], error) {
	args, failures, err := infer.DefaultCheck[CopyToRemoteArgs](ctx, req.NewInputs)
	response := infer.CheckResponse[CopyToRemoteArgs]{Inputs: args, Failures: failures}
	if err != nil || len(failures) > 0 {
		return response, err
	}
	source := args.Source
	unknown := req.NewInputs.Get("source").HasComputed()
	ok := (source.Asset != nil && (source.Asset.IsPath() || source.Asset.IsText())) ||
		(source.Archive != nil && source.Archive.IsPath())
	if !ok && !unknown {
		response.Failures = append(response.Failures, p.CheckFailure{
			Property: "source", Reason: "it must be a FileAsset, a StringAsset or a FileArchive of a local path",
		})
	}
	return response, nil
}

// Create copies. In a preview nothing is connected to.
func (*CopyToRemote) Create(
	ctx context.Context, req infer.CreateRequest[CopyToRemoteArgs],
) (infer.CreateResponse[CopyToRemoteState], error) {
	id, err := resource.NewUniqueHex("", idRandomBytes, 0)
	if err == nil && !req.DryRun {
		err = copySource(ctx, req.Inputs)
	}
	return infer.CreateResponse[CopyToRemoteState]{ID: id, Output: CopyToRemoteState{req.Inputs}}, err
}

// Update copies again when the content or the place is another one; other changes (a new key in the connection) need
// no copy. In a preview nothing is connected to.
func (*CopyToRemote) Update(
	ctx context.Context, req infer.UpdateRequest[CopyToRemoteArgs, CopyToRemoteState],
) (infer.UpdateResponse[CopyToRemoteState], error) {
	var err error
	changed := contentHash(req.Inputs.Source) != contentHash(req.State.Source) ||
		req.Inputs.RemotePath != req.State.RemotePath ||
		req.Inputs.Connection.Host != req.State.Connection.Host
	if changed && !req.DryRun {
		err = copySource(ctx, req.Inputs)
	}
	return infer.UpdateResponse[CopyToRemoteState]{Output: CopyToRemoteState{req.Inputs}}, err
}

func contentHash(source types.AssetOrArchive) string {
	switch {
	case source.Asset != nil:
		return source.Asset.Hash
	case source.Archive != nil:
		return source.Archive.Hash
	default:
		return ""
	}
}

func copySource(ctx context.Context, args CopyToRemoteArgs) error {
	return withSFTP(ctx, args.Connection, func(client *sftp.Client) error {
		switch source := args.Source; {
		case source.Asset != nil && source.Asset.IsText():
			return uploadText(client, source.Asset.Text, args.RemotePath)
		case source.Asset != nil:
			return upload(client, source.Asset.Path, args.RemotePath)
		default:
			return upload(client, source.Archive.Path, args.RemotePath)
		}
	})
}

// CopyFile is the resource command:remote:CopyFile, which CopyToRemote replaces.
type CopyFile struct{}

// CopyFileArgs are its inputs.
type CopyFileArgs struct {
	Connection Connection `pulumi:"connection" provider:"secret"`
	LocalPath  string     `pulumi:"localPath" provider:"replaceOnChanges"`
	RemotePath string     `pulumi:"remotePath" provider:"replaceOnChanges"`
	Triggers   *[]any     `pulumi:"triggers,optional" provider:"replaceOnChanges"`
}

// CopyFileState is what the state keeps of it.
type CopyFileState struct {
	CopyFileArgs
}

// Annotate describes the resource in the schema.
func (c *CopyFile) Annotate(a infer.Annotator) {
	a.Describe(&c, "A local file copied to another host.")
	a.Deprecate(&c, "Use CopyToRemote instead.")
}

// Annotate describes the inputs in the schema.
func (c *CopyFileArgs) Annotate(a infer.Annotator) {
	a.Describe(&c.Connection, "How to reach the host.")
	a.Describe(&c.LocalPath, "The file to copy.")
	a.Describe(&c.RemotePath, "Where it goes.")
	a.Describe(&c.Triggers, "Values of any kind: when one changes, the resource is replaced.")
}

// Create copies. In a preview nothing is connected to.
func (*CopyFile) Create(
	ctx context.Context, req infer.CreateRequest[CopyFileArgs],
) (infer.CreateResponse[CopyFileState], error) {
	id, err := resource.NewUniqueHex("", idRandomBytes, 0)
	if err == nil && !req.DryRun {
		err = withSFTP(ctx, req.Inputs.Connection, func(client *sftp.Client) error {
			info, err := os.Stat(req.Inputs.LocalPath)
			if err != nil {
				return err
			}
			if info.IsDir() {
				return fmt.Errorf("%s is a directory: use CopyToRemote", req.Inputs.LocalPath)
			}
			return uploadFile(client, req.Inputs.LocalPath, req.Inputs.RemotePath)
		})
	}
	return infer.CreateResponse[CopyFileState]{ID: id, Output: CopyFileState{req.Inputs}}, err
}
