// Pulumi's command plugin, written against the published schema of @pulumi/command: resources that run commands here
// or over SSH, and that copy files to remote hosts.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"

	"vmpool.invalid/engine/command/local"
	"vmpool.invalid/engine/command/remote"
)

const (
	packageName = "command"
	// packageVersion is the version of @pulumi/command that this plugin stands in for.
	packageVersion = "1.2.1"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "pulumi-resource-command:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	provider, err := infer.NewProviderBuilder().
		WithDisplayName("Command").
		WithDescription("Runs commands and copies files, here and over SSH.").
		WithLicense("Apache-2.0").
		WithResources(
			infer.Resource(&local.Command{}),
			infer.Resource(&remote.Command{}),
			infer.Resource(&remote.CopyToRemote{}),
			infer.Resource(&remote.CopyFile{}),
		).
		WithFunctions(infer.Function(&local.Run{})).
		Build()
	if err != nil {
		return err
	}
	provider.Diff = replaceOnTriggers(provider.Diff)
	return provider.Run(ctx, packageName, packageVersion)
}

// replaceOnTriggers turns a change of any element of `triggers` into a replacement. The npm package asks the engine
// for the same (replaceOnChanges: triggers[*]); here it also holds for programs in other languages.
func replaceOnTriggers(
	diff func(context.Context, p.DiffRequest) (p.DiffResponse, error),
) func(context.Context, p.DiffRequest) (p.DiffResponse, error) {
	return func(ctx context.Context, request p.DiffRequest) (p.DiffResponse, error) {
		response, err := diff(ctx, request)
		if err != nil {
			return response, err
		}
		for path, change := range response.DetailedDiff {
			if path != "triggers" && !strings.HasPrefix(path, "triggers[") {
				continue
			}
			switch change.Kind {
			case p.Add:
				change.Kind = p.AddReplace
			case p.Delete:
				change.Kind = p.DeleteReplace
			case p.Update:
				change.Kind = p.UpdateReplace
			}
			response.DetailedDiff[path] = change
		}
		return response, nil
	}
}
