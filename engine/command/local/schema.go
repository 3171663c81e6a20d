// Package local runs commands on the machine where Pulumi runs.
package local

import (
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi-go-provider/infer/types"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"vmpool.invalid/engine/command/stream"
)

// Logging is the enumeration command:local:Logging.
type Logging string

// Values lists the enumeration's members for the schema.
func (Logging) Values() []infer.EnumValue[Logging] {
	return []infer.EnumValue[Logging]{
		{Name: "Stdout", Value: Logging(stream.Stdout), Description: "Show stdout, not stderr"},
		{Name: "Stderr", Value: Logging(stream.Stderr), Description: "Show stderr, not stdout"},
		{Name: "StdoutAndStderr", Value: Logging(stream.StdoutAndStderr), Description: "Show both"},
		{Name: "None", Value: Logging(stream.None), Description: "Show neither"},
	}
}

// Settings are the inputs that the resource Command and the function run share.
type Settings struct {
	Interpreter            *[]string          `pulumi:"interpreter,optional"`
	Dir                    *string            `pulumi:"dir,optional"`
	Environment            *map[string]string `pulumi:"environment,optional"`
	Stdin                  *string            `pulumi:"stdin,optional"`
	Logging                *Logging           `pulumi:"logging,optional"`
	AssetPaths             *[]string          `pulumi:"assetPaths,optional"`
	ArchivePaths           *[]string          `pulumi:"archivePaths,optional"`
	AddPreviousOutputInEnv *bool              `pulumi:"addPreviousOutputInEnv,optional"`
}

// Annotate describes the inputs in the schema.
func (s *Settings) Annotate(a infer.Annotator) {
	a.Describe(&s.Interpreter, `Program and arguments that run the command. Default: ["/bin/sh", "-c"].`)
	a.Describe(&s.Dir, "Directory in which the command runs. It must exist.")
	a.Describe(&s.Environment, "Variables added to the command's environment.")
	a.Describe(&s.Stdin, "What the command reads from its standard input.")
	a.Describe(&s.Logging, "Which streams are shown while the command runs. Both are captured in any case.")
	a.Describe(&s.AssetPaths, "Globs, relative to dir, of files to return as assets after the command.")
	a.Describe(&s.ArchivePaths, "Globs, relative to dir, of files to return as one archive after the command.")
	a.Describe(&s.AddPreviousOutputInEnv, "Whether the output of the command before is given to the next one in "+
		"PULUMI_COMMAND_STDOUT and PULUMI_COMMAND_STDERR. Default: true.")
}

// Results are what a command leaves.
type Results struct {
	Stdout  string                           `pulumi:"stdout"`
	Stderr  string                           `pulumi:"stderr"`
	Assets  *map[string]types.AssetOrArchive `pulumi:"assets,optional"`
	Archive *resource.Archive                `pulumi:"archive,optional"`
}

// Annotate describes the outputs in the schema.
func (r *Results) Annotate(a infer.Annotator) {
	a.Describe(&r.Stdout, "What the command wrote to its standard output, less one newline at the end.")
	a.Describe(&r.Stderr, "What the command wrote to its standard error, less one newline at the end.")
	a.Describe(&r.Assets, "The files that assetPaths name, by their path relative to dir.")
	a.Describe(&r.Archive, "The files that archivePaths name.")
}
