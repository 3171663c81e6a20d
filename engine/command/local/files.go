package local

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/gobwas/glob"
	"github.com/pulumi/pulumi-go-provider/infer/types"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// gather fills in the assets and the archive that the settings ask for.
func gather(settings Settings, results *Results) error {
	dir := "."
	if settings.Dir != nil && *settings.Dir != "" {
		dir = *settings.Dir
	}
	if settings.AssetPaths != nil {
		paths, err := matching(dir, *settings.AssetPaths)
		if err != nil {
			return err
		}
		assets := make(map[string]types.AssetOrArchive, len(paths))
		for _, path := range paths {
			asset, err := resource.NewPathAsset(filepath.Join(dir, path))
			if err != nil {
				return err
			}
			assets[path] = types.AssetOrArchive{Asset: asset}
		}
		results.Assets = &assets
	}
	if settings.ArchivePaths != nil {
		paths, err := matching(dir, *settings.ArchivePaths)
		if err != nil {
			return err
		}
		members := make(map[string]any, len(paths))
		for _, path := range paths {
			asset, err := resource.NewPathAsset(filepath.Join(dir, path))
			if err != nil {
				return err
			}
			members[path] = asset
		}
		archive, err := resource.NewAssetArchive(members)
		if err != nil {
			return err
		}
		results.Archive = archive
	}
	return nil
}

// matching lists the files below dir (relative, with slashes) that the globs choose. A glob that starts with `!`
// takes out what those before it chose; a later one may choose it again.
func matching(dir string, patterns []string) ([]string, error) {
	type rule struct {
		glob    glob.Glob
		include bool
	}
	rules := make([]rule, 0, len(patterns))
	for _, pattern := range patterns {
		body, exclude := strings.CutPrefix(pattern, "!")
		compiled, err := glob.Compile(body, '/')
		if err != nil {
			return nil, fmt.Errorf("the glob %q cannot be read: %w", pattern, err)
		}
		rules = append(rules, rule{glob: compiled, include: !exclude})
	}

	var chosen []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		relative, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		relative = filepath.ToSlash(relative)
		include := false
		for _, rule := range rules {
			if rule.include != include && rule.glob.Match(relative) {
				include = rule.include
			}
		}
		if include {
			chosen = append(chosen, relative)
		}
		return nil
	})
	return chosen, err
}
