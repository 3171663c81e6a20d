package local

import (
	"context"

	"github.com/pulumi/pulumi-go-provider/infer"
)

// Run is the function command:local:run, which runs a command in every preview and update.
type Run struct{}

// RunArgs are its inputs.
type RunArgs struct {
	Settings
	Command string `pulumi:"command"`
}

// RunResult is what it returns: its inputs, and what the command left.
type RunResult struct {
	RunArgs
	Results
}

// Annotate describes the function in the schema.
func (r *Run) Annotate(a infer.Annotator) {
	a.Describe(&r, "Runs a command on the machine where Pulumi runs, in every preview and update.")
}

// Annotate describes the inputs in the schema.
func (r *RunArgs) Annotate(a infer.Annotator) {
	a.Describe(&r.Command, "The command to run.")
}

// Invoke runs the command.
func (*Run) Invoke(
	ctx context.Context, req infer.FunctionRequest[RunArgs],
) (infer.FunctionResponse[RunResult], error) {
	results, err := run(ctx, req.Input.Command, req.Input.Settings, nil)
	return infer.FunctionResponse[RunResult]{Output: RunResult{RunArgs: req.Input, Results: results}}, err
}
