package local

import (
	"context"

	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// idRandomBytes is the length of a resource's id, as in the published plugin.
const idRandomBytes = 8

// Command is the resource command:local:Command.
type Command struct{}

// CommandArgs are its inputs.
type CommandArgs struct {
	Settings
	Create   *string `pulumi:"create,optional"`
	Update   *string `pulumi:"update,optional"`
	Delete   *string `pulumi:"delete,optional"`
	Triggers *[]any  `pulumi:"triggers,optional" provider:"replaceOnChanges"`
}

// CommandState is what the state keeps of it.
type CommandState struct {
	CommandArgs
	Results
}

// Annotate describes the resource in the schema.
func (c *Command) Annotate(a infer.Annotator) {
	a.Describe(&c, "A command run on the machine where Pulumi runs.")
}

// Annotate describes the inputs in the schema.
func (c *CommandArgs) Annotate(a infer.Annotator) {
	a.Describe(&c.Create, "Command to run when the resource is created, and when its inputs change and there is no update.")
	a.Describe(&c.Update, "Command to run when the inputs change.")
	a.Describe(&c.Delete, "Command to run when the resource is deleted.")
	a.Describe(&c.Triggers, "Values of any kind: when one changes, the resource is replaced.")
}

// WireDependencies lets secrets flow: the output of a command that was given a secret is secret.
func (*Command) WireDependencies(f infer.FieldSelector, args *CommandArgs, state *CommandState) {
	same := func(out, in any) { f.OutputField(out).DependsOn(f.InputField(in).Secret()) }
	same(&state.Create, &args.Create)
	same(&state.Update, &args.Update)
	same(&state.Delete, &args.Delete)
	same(&state.Triggers, &args.Triggers)
	same(&state.Interpreter, &args.Interpreter)
	same(&state.Dir, &args.Dir)
	same(&state.Environment, &args.Environment)
	same(&state.Stdin, &args.Stdin)
	same(&state.Logging, &args.Logging)
	same(&state.AssetPaths, &args.AssetPaths)
	same(&state.ArchivePaths, &args.ArchivePaths)
	same(&state.AddPreviousOutputInEnv, &args.AddPreviousOutputInEnv)
	for _, result := range []any{&state.Stdout, &state.Stderr, &state.Assets, &state.Archive} {
		for _, source := range []any{
			&args.Create, &args.Update, &args.Environment, &args.Stdin, &args.Interpreter, &args.Dir,
		} {
			same(result, source)
		}
	}
}

// Create runs the create command, if there is one. In a preview nothing runs.
func (*Command) Create(
	ctx context.Context, req infer.CreateRequest[CommandArgs],
) (infer.CreateResponse[CommandState], error) {
	id, err := resource.NewUniqueHex(req.Name, idRandomBytes, 0)
	if err != nil {
		return infer.CreateResponse[CommandState]{}, err
	}
	state := CommandState{CommandArgs: req.Inputs}
	if !req.DryRun && req.Inputs.Create != nil {
		state.Results, err = run(ctx, *req.Inputs.Create, req.Inputs.Settings, nil)
	}
	return infer.CreateResponse[CommandState]{ID: id, Output: state}, err
}

// Update runs the update command, or else the create command. In a preview nothing runs.
func (*Command) Update(
	ctx context.Context, req infer.UpdateRequest[CommandArgs, CommandState],
) (infer.UpdateResponse[CommandState], error) {
	state := CommandState{CommandArgs: req.Inputs, Results: req.State.Results}
	command := req.Inputs.Update
	if command == nil {
		command = req.Inputs.Create
	}
	if req.DryRun || command == nil {
		return infer.UpdateResponse[CommandState]{Output: state}, nil
	}
	var err error
	state.Results, err = run(ctx, *command, req.Inputs.Settings, &req.State.Results)
	return infer.UpdateResponse[CommandState]{Output: state}, err
}

// Delete runs the delete command, if there is one.
func (*Command) Delete(
	ctx context.Context, req infer.DeleteRequest[CommandState],
) (infer.DeleteResponse, error) {
	if req.State.Delete == nil {
		return infer.DeleteResponse{}, nil
	}
	// Files are not gathered after a delete: there is nobody left to receive them.
	settings := req.State.Settings
	settings.AssetPaths, settings.ArchivePaths = nil, nil
	_, err := run(ctx, *req.State.Delete, settings, &req.State.Results)
	return infer.DeleteResponse{}, err
}
