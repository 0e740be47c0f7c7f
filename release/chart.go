package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"sigs.k8s.io/yaml"
)

const (
	chartFolder = "charts/merchstore"

	chartConfigType  types.MediaType = "application/vnd.cncf.helm.config.v1+json"
	chartContentType types.MediaType = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
)

// publishChart pushes the chart in the form that Helm pulls. `helm push` itself puts the time of its
// file into the manifest, whose digest would then be a different one every time.
func (r *release) publishChart(ctx context.Context) error {
	chart := filepath.Join(r.work, "merchstore")
	if err := os.CopyFS(chart, os.DirFS(chartFolder)); err != nil {
		return fmt.Errorf("copy the chart: %w", err)
	}
	if err := r.edit(chart); err != nil {
		return err
	}
	archive, err := r.pack(ctx, chart)
	if err != nil {
		return err
	}
	description, err := os.ReadFile(filepath.Join(chart, "Chart.yaml")) //nolint:gosec // of this repository
	if err != nil {
		return fmt.Errorf("read the chart's description: %w", err)
	}
	config, err := yaml.YAMLToJSON(description)
	if err != nil {
		return fmt.Errorf("read the chart's description: %w", err)
	}
	return r.pushChart(static.NewLayer(config, chartConfigType), static.NewLayer(archive, chartContentType))
}

func (r *release) pushChart(config, content v1.Layer) error {
	tag, err := r.reference("merchstore")
	if err != nil {
		return err
	}
	raw, err := r.chartManifest(config, content)
	if err != nil {
		return err
	}
	digest, _, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	if err := r.checkUnused(tag, digest); err != nil {
		return err
	}
	for _, layer := range []v1.Layer{config, content} {
		if err := remote.WriteLayer(tag.Context(), layer, r.options...); err != nil {
			return fmt.Errorf("push a part of %s: %w", tag, err)
		}
	}
	if err := remote.Put(tag, manifest(raw), r.options...); err != nil {
		return fmt.Errorf("push %s: %w", tag, err)
	}
	r.add(artifact{name: "merchstore", digest: tag.Digest(digest.String())})
	return nil
}

func (r *release) chartManifest(config, content v1.Layer) ([]byte, error) {
	configured, err := partial.Descriptor(config)
	if err != nil {
		return nil, err
	}
	archive, err := partial.Descriptor(content)
	if err != nil {
		return nil, err
	}
	return json.Marshal(v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		Config:        *configured,
		Layers:        []v1.Descriptor{*archive},
		Annotations:   r.labels("merchstore"),
	})
}

// manifest is pushed unchanged.
type manifest []byte

func (m manifest) RawManifest() ([]byte, error) { return m, nil }

func (m manifest) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

// edit sets the version and the images of the chart and its subcharts.
func (r *release) edit(chart string) error {
	// The chart's own versions and those of its dependencies, not those in annotations.
	version := replacement{`(?m)^((?:    )?(?:version|appVersion): ).*$`, "${1}" + r.Version}
	for file, replacements := range map[string][]replacement{
		"Chart.yaml":                        append(r.annotations(), version),
		"README.md":                         {{`oci://REGISTRY`, "oci://" + r.Registry}, r.row("api"), r.row("db"), r.row("logging")},
		"charts/operator/Chart.yaml":        {version},
		"charts/infrastructure/Chart.yaml":  {version},
		"values.yaml":                       {r.image("api"), r.image("db"), r.image("logging")},
		"charts/operator/values.yaml":       {r.image("operator")},
		"charts/operator/README.md":         {r.row("operator")},
		"charts/infrastructure/values.yaml": {r.image("loadgen")},
		"charts/infrastructure/README.md":   {r.row("loadgen")},
	} {
		if err := replace(filepath.Join(chart, file), replacements); err != nil {
			return err
		}
	}
	return os.Remove(filepath.Join(chart, "Chart.lock")) // contains the versions of a checkout
}

// annotations sets the source, and the images as pods name them.
func (r *release) annotations() []replacement {
	edits := []replacement{{`https://merchstore\.io/merchstore`, r.Source}}
	for _, program := range programs {
		edits = append(edits, replacement{
			`"merchstore/` + program + `:dev"`,
			fmt.Sprintf(`"%s/%s:%s@%s"`, r.Registry, program, r.Version, r.digest(program)),
		})
	}
	return edits
}

// image sets a program's image in the values, by digest.
func (r *release) image(program string) replacement {
	return replacement{
		`(?s)repository: merchstore/` + program + `\n(.*?)digest: ""`,
		"repository: " + r.Registry + "/" + program + "\n${1}digest: " + r.digest(program),
	}
}

// row sets a program's image in the table of values.
func (r *release) row(program string) replacement {
	return replacement{
		`(?s)"merchstore/` + program + `"(.*?image\.digest \| string \| .)""`,
		`"` + r.Registry + "/" + program + `"${1}"` + r.digest(program) + `"`,
	}
}

func (r *release) digest(program string) string {
	i := slices.IndexFunc(r.artifacts, func(a artifact) bool { return a.name == program })
	return r.artifacts[i].digest.DigestStr()
}

// replacement is a regular expression, and what replaces its matches. Unlike a YAML encoder it keeps
// the layout of comments, which are the documentation of values.
type replacement struct{ old, new string }

func replace(file string, replacements []replacement) error {
	content, err := os.ReadFile(file) //nolint:gosec // of this repository
	if err != nil {
		return fmt.Errorf("edit the chart: %w", err)
	}
	for _, r := range replacements {
		old := regexp.MustCompile(r.old)
		if !old.Match(content) {
			return fmt.Errorf("edit the chart: %s has nothing that matches %s", file, old)
		}
		content = old.ReplaceAll(content, []byte(r.new))
	}
	return os.WriteFile(file, content, 0o644) //nolint:gosec // a released file is public
}

// pack lets Helm validate and archive a chart, and repeats the archive with a fixed order and time.
func (r *release) pack(ctx context.Context, chart string) ([]byte, error) {
	if _, err := output(ctx, "helm", "package", chart, "--destination", r.work); err != nil {
		return nil, err
	}
	file := "merchstore-" + r.Version + ".tgz"
	packed, err := os.ReadFile(filepath.Join(r.work, file)) //nolint:gosec // written by helm package
	if err != nil {
		return nil, fmt.Errorf("read the chart: %w", err)
	}
	archive, err := repack(packed, r.time)
	if err != nil {
		return nil, fmt.Errorf("archive the chart again: %w", err)
	}
	return archive, r.write(file, archive)
}

// repack returns a compressed archive with the same files in the order of their names, all with the
// same time. Helm packs subcharts in a different order each time.
func repack(archive []byte, when time.Time) ([]byte, error) {
	in, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, err
	}
	type file struct {
		*tar.Header

		content []byte
	}
	var files []file
	for from := tar.NewReader(in); ; {
		header, err := from.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(from)
		if err != nil {
			return nil, err
		}
		header.ModTime = when
		files = append(files, file{header, content})
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.Name, b.Name) })
	var buffer bytes.Buffer
	out := gzip.NewWriter(&buffer)
	to := tar.NewWriter(out)
	for _, f := range files {
		if err := to.WriteHeader(f.Header); err != nil {
			return nil, err
		}
		if _, err := to.Write(f.content); err != nil {
			return nil, err
		}
	}
	err = errors.Join(to.Close(), out.Close())
	return buffer.Bytes(), err
}
