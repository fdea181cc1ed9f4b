// Command build bundles the page: TypeScript and CSS from src in, dist out.
//
//	src/net/worker.ts -> dist/worker-HASH.js
//	src/main.ts       -> dist/main-HASH.js     (knows the worker's name)
//	src/style.css     -> dist/style-HASH.css
//	src/mark.svg      -> dist/mark-HASH.svg, and drawn: dist/icon-192-HASH.png ...
//	src/i18n/de.json  -> dist/de-HASH.json     (and each other language but English)
//	src/index.html    -> dist/index.html       (knows all of them)
//	src/manifest.webmanifest, src/offline/sw.ts -> dist/manifest.webmanifest, dist/sw.js  (as well)
//
// The same source gives the same bytes on every machine; with -check nothing is
// written, and a difference from what is there is exit 1. It says how large a first
// visit is, and is exit 1 where that is too much.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/evanw/esbuild/pkg/api"
)

func main() {
	check := flag.Bool("check", false, "write nothing, compare dist with what the source gives")
	dir := flag.String("dir", ".", "folder of the page: src and dist are in it")
	flag.Parse()
	if err := run(*dir, *check); err != nil {
		fmt.Fprintln(os.Stderr, "web/build:", err)
		os.Exit(1)
	}
}

func run(dir string, check bool) error {
	made, err := build(filepath.Join(dir, "src"))
	if err != nil {
		return err
	}
	size, err := firstVisit(made)
	if err != nil {
		return err
	}
	fmt.Printf("web/build: a first visit is %d bytes with brotli, of %d\n", size, firstVisitMax)
	if size > firstVisitMax {
		return errors.New("that is too much")
	}
	dist := filepath.Join(dir, "dist")
	if check {
		return compare(dist, made)
	}
	if err := os.RemoveAll(dist); err != nil {
		return err
	}
	if err := os.MkdirAll(dist, 0o755); err != nil {
		return err
	}
	for name, body := range made {
		if err := os.WriteFile(filepath.Join(dist, name), body, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// firstVisitMax is what a slow network should have to carry.
const firstVisitMax = 90_000

// firstVisit returns how many bytes of made a first visit takes, as the server
// compresses them: the page, what it names, and the largest language.
func firstVisit(made map[string][]byte) (sum int, err error) {
	language := 0
	for name, body := range made {
		var packed bytes.Buffer
		w := brotli.NewWriterLevel(&packed, 9) // as the server does
		if _, err := w.Write(body); err != nil {
			return 0, err
		}
		if err := w.Close(); err != nil {
			return 0, err
		}
		switch filepath.Ext(name) {
		case ".png": // only systems show icons
		case ".json":
			language = max(language, packed.Len())
		default:
			sum += packed.Len()
		}
	}
	return sum + language, nil
}

// build returns the files of dist by name.
func build(src string) (map[string][]byte, error) {
	made := map[string][]byte{}
	names := map[string]string{} // main.js -> main-HASH.js
	add := func(name string, body []byte) {
		ext := filepath.Ext(name)
		names[name] = strings.TrimSuffix(name, ext) + "-" + digest(body) + ext
		made[names[name]] = body
	}
	mark, err := os.ReadFile(filepath.Join(src, "mark.svg"))
	if err != nil {
		return nil, err
	}
	add("mark.svg", bytes.TrimSpace(mark))
	if err := addIcons(filepath.Join(src, "mark.svg"), add); err != nil {
		return nil, err
	}
	style, err := bundle(filepath.Join(src, "style.css"), nil)
	if err != nil {
		return nil, err
	}
	add("style.css", style)
	worker, err := bundle(filepath.Join(src, "net", "worker.ts"), nil)
	if err != nil {
		return nil, err
	}
	add("worker.js", worker)
	locales, err := filepath.Glob(filepath.Join(src, "i18n", "*.json"))
	if err != nil {
		return nil, err
	}
	urls := map[string]string{}
	for _, path := range locales {
		tag := strings.TrimSuffix(filepath.Base(path), ".json")
		if tag == "en" { // in the page's bundle
			continue
		}
		texts, err := compact(path)
		if err != nil {
			return nil, err
		}
		add(tag+".json", texts)
		urls[tag] = "/assets/" + names[tag+".json"]
	}
	where, err := json.Marshal(urls)
	if err != nil {
		return nil, err
	}
	page, err := bundle(filepath.Join(src, "main.ts"), map[string]string{"workerURL": `"/assets/` + names["worker.js"] + `"`, "localeURLs": string(where)})
	if err != nil {
		return nil, err
	}
	add("main.js", page)

	for _, name := range []string{"index.html", "manifest.webmanifest"} {
		if made[name], err = fillIn(filepath.Join(src, name), names); err != nil {
			return nil, err
		}
	}
	made["sw.js"], err = serviceWorker(src, made, names)
	return made, err
}

func addIcons(path string, add func(name string, body []byte)) error {
	mark, err := readMark(path)
	if err != nil {
		return err
	}
	for _, side := range []int{192, 512} {
		for name, maskable := range map[string]bool{"icon": false, "maskable": true} {
			body, err := mark.draw(side, maskable)
			if err != nil {
				return err
			}
			add(fmt.Sprintf("%s-%d.png", name, side), body)
		}
	}
	return nil
}

// fillIn returns a file with the URLs of the files that it names as {{name}}.
func fillIn(path string, names map[string]string) ([]byte, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for name, hashed := range names {
		body = bytes.ReplaceAll(body, []byte("{{"+name+"}}"), []byte("/assets/"+hashed))
	}
	if bytes.Contains(body, []byte("{{")) {
		return nil, fmt.Errorf("%s names a file that is not built", path)
	}
	return body, nil
}

// serviceWorker bundles the worker that keeps the page for a time without the
// network. It knows what belongs to this build, all but the icons, which only
// systems show.
func serviceWorker(src string, made map[string][]byte, names map[string]string) ([]byte, error) {
	assets := []string{}
	for name, hashed := range names {
		if filepath.Ext(name) != ".png" {
			assets = append(assets, "/assets/"+hashed)
		}
	}
	sort.Strings(assets)
	list, err := json.Marshal(assets)
	if err != nil {
		return nil, err
	}
	build := digest(append(list, made["index.html"]...))
	return bundle(filepath.Join(src, "offline", "sw.ts"), map[string]string{
		"buildName": `"` + build + `"`, "assetURLs": string(list), "mainURL": `"/assets/` + names["main.js"] + `"`,
	})
}

// compact returns the JSON of a file without its spaces.
func compact(path string) ([]byte, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Compact(&out, body); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return out.Bytes(), nil
}

func bundle(entry string, define map[string]string) ([]byte, error) {
	result := api.Build(api.BuildOptions{
		EntryPoints:       []string{entry},
		Bundle:            true,
		Format:            api.FormatESModule,
		Target:            api.ES2022,
		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		MinifySyntax:      true,
		Charset:           api.CharsetUTF8,
		LegalComments:     api.LegalCommentsNone,
		Define:            define,
		Outdir:            "out", // names only; nothing is written
	})
	if len(result.Errors) > 0 {
		return nil, errors.New(strings.Join(api.FormatMessages(result.Errors, api.FormatMessagesOptions{}), "\n"))
	}
	if len(result.OutputFiles) != 1 {
		return nil, fmt.Errorf("%s gives %d files, want 1", entry, len(result.OutputFiles))
	}
	return result.OutputFiles[0].Contents, nil
}

func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:5]))
}

// compare reports each file of dist that is not what made says.
func compare(dist string, made map[string][]byte) error {
	var wrong []string
	entries, err := os.ReadDir(dist)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if made[e.Name()] == nil {
			wrong = append(wrong, e.Name()+" is not made by the source")
		}
	}
	for name, want := range made {
		if have, err := os.ReadFile(filepath.Join(dist, name)); err != nil || !bytes.Equal(have, want) {
			wrong = append(wrong, name+" is missing or differs")
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	sort.Strings(wrong)
	return fmt.Errorf("dist is not what src gives; run go generate ./edge/web\n  %s", strings.Join(wrong, "\n  "))
}
