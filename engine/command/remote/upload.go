package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/pkg/sftp"
)

// withSFTP runs work over an SFTP connection, which ends with ctx.
func withSFTP(ctx context.Context, connection Connection, work func(*sftp.Client) error) error {
	ssh, err := connection.dial(ctx)
	if err != nil {
		return err
	}
	defer ssh.Close()
	stop := context.AfterFunc(ctx, func() { _ = ssh.Client.Close() })
	defer stop()
	client, err := sftp.NewClient(ssh.Client, sftp.UseConcurrentWrites(true))
	if err != nil {
		return fmt.Errorf("starting SFTP on %s: %w", connection.Host, err)
	}
	defer client.Close()
	if err := work(client); err != nil {
		if ctx.Err() != nil {
			return cancelled(ctx)
		}
		return fmt.Errorf("copying to %s: %w", connection.Host, err)
	}
	return nil
}

// upload copies a local file or directory. As published:
//
//	source | target is a directory | target is missing | target is a file
//	file   | target/file           | target            | replaced
//	dir    | target/dir            | target/dir        | error
//	dir/   | what is in it         | what is in it     | error
func upload(client *sftp.Client, source, target string) error {
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	there, err := stat(client, target)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		if there != nil && there.IsDir() {
			target = path.Join(target, filepath.Base(source))
		}
		return uploadFile(client, source, target)
	}
	if !strings.HasSuffix(source, "/") {
		target = path.Join(target, filepath.Base(source))
	}
	return uploadTree(client, source, target)
}

func uploadTree(client *sftp.Client, source, target string) error {
	return fs.WalkDir(os.DirFS(source), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := path.Join(target, name)
		if entry.IsDir() {
			return makeDirectory(client, to)
		}
		return uploadFile(client, filepath.Join(source, filepath.FromSlash(name)), to)
	})
}

func uploadFile(client *sftp.Client, source, target string) error {
	file, err := os.Open(source)
	if err != nil {
		return err
	}
	defer file.Close()
	return write(client, file, target)
}

func uploadText(client *sftp.Client, text, target string) error {
	there, err := stat(client, target)
	if err != nil {
		return err
	}
	if there != nil && there.IsDir() {
		return fmt.Errorf("%s is a directory: a text needs the path of a file", target)
	}
	return write(client, strings.NewReader(text), target)
}

func write(client *sftp.Client, content io.Reader, target string) error {
	if err := makeDirectory(client, path.Dir(target)); err != nil {
		return err
	}
	file, err := client.Create(target)
	if err != nil {
		return fmt.Errorf("creating %s: %w", target, err)
	}
	_, err = file.ReadFrom(content)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", target, err)
	}
	return nil
}

// makeDirectory makes a directory and the missing ones above it.
func makeDirectory(client *sftp.Client, directory string) error {
	there, err := stat(client, directory)
	if err != nil {
		return err
	}
	if there != nil {
		if !there.IsDir() {
			return fmt.Errorf("%s exists and is not a directory", directory)
		}
		return nil
	}
	if err := client.MkdirAll(directory); err != nil {
		return fmt.Errorf("creating the directory %s: %w", directory, err)
	}
	return nil
}

// stat looks at a remote path; nil if there is nothing.
func stat(client *sftp.Client, target string) (fs.FileInfo, error) {
	info, err := client.Stat(target)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking at %s: %w", target, err)
	}
	return info, nil
}
