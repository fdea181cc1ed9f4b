package deploy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pixelwall/core/coretest"
)

// name is the host that the files name; the certificate is for it.
const name = "pixelwall.example.org"

// A kind is one of the proxies that we have a file for.
type kind struct {
	name string // of the program
	file string
	idle string // the line of the file that bounds a silent WebSocket; none for Caddy
	// reuses says that an upgrade may come over a connection that served HTTP
	// before. Caddy keeps connections for upgrades apart, as Go's transport does.
	reuses bool
	run    func(t *testing.T, p *proxy, config string) *process
}

var kinds = []kind{
	{"nginx", "nginx.conf", "proxy_read_timeout 75s;", true, runNginx},
	{"haproxy", "haproxy.cfg", "timeout tunnel 75s", true, runHAProxy},
	{"caddy", "Caddyfile", "", false, runCaddy},
}

// A proxy runs before a server and speaks TLS.
type proxy struct {
	t      *testing.T
	kind   kind
	to     string // address of the server
	dir    string // for its files
	secure string // port of https
	plain  string // port of http
	roots  *x509.CertPool
}

// eachProxy runs test for each proxy that this machine has, or of those only
// that are named.
func eachProxy(t *testing.T, test func(t *testing.T, k kind), only ...string) {
	if testing.Short() {
		t.Skip("it starts real proxies")
	}
	for _, k := range kinds {
		if len(only) > 0 && !slices.Contains(only, k.name) {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			if _, err := exec.LookPath(k.name); err != nil {
				if os.Getenv("CI") == "true" {
					t.Fatalf("%s is missing (Debian: apt-get install %s)", k.name, k.name)
				}
				t.Skipf("%s is missing (Debian: apt-get install %s)", k.name, k.name)
			}
			test(t, k)
		})
	}
}

// before starts a proxy of kind k before the server at to, and waits until it
// serves. more are changes of its file: old, new, old, new …
func (k kind) before(t *testing.T, to string, more ...string) *proxy {
	t.Helper()
	p := &proxy{t: t, kind: k, to: to, dir: t.TempDir(), secure: freePort(t), plain: freePort(t)}
	p.certify()
	running := k.run(t, p, edit(t, readFile(t, k.file), more...))
	v := p.visitor("127.0.0.1")
	coretest.Eventually(t, k.name+" serves", func() bool {
		select {
		case <-running.done:
			t.Fatalf("%s ended: %v", k.name, running.err)
		default:
		}
		res, err := v.client.Get(p.url("/livez"))
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == 200
	})
	return p
}

func (p *proxy) url(path string) string { return p.origin() + path }

func (p *proxy) origin() string { return "https://" + net.JoinHostPort(name, p.secure) }

// edit changes parts of a file. A part that is not there is a mistake: the test
// would run something else than what it means to.
func edit(t *testing.T, text string, changes ...string) string {
	t.Helper()
	for i := 0; i < len(changes); i += 2 {
		if !strings.Contains(text, changes[i]) {
			t.Fatalf("the file has no %q", changes[i])
		}
		text = strings.ReplaceAll(text, changes[i], changes[i+1])
	}
	return text
}

func (p *proxy) write(file, text string) string {
	p.t.Helper()
	path := filepath.Join(p.dir, file)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// certify makes a certificate of name: chain.pem, key.pem, and both in both.pem.
func (p *proxy) certify() {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		p.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		p.t.Fatal(err)
	}
	chain := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	keyText := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	p.write("chain.pem", chain)
	p.write("key.pem", keyText)
	p.write("both.pem", chain+keyText)
	p.roots = x509.NewCertPool()
	p.roots.AppendCertsFromPEM([]byte(chain))
}

func (p *proxy) tls() *tls.Config { return &tls.Config{RootCAs: p.roots, ServerName: name} }

func runNginx(t *testing.T, p *proxy, config string) *process {
	site := p.write("site.conf", edit(t, config,
		"127.0.0.1:8080", p.to,
		"listen 80;", "listen 127.0.0.1:"+p.plain+";",
		"listen 443 ", "listen 127.0.0.1:"+p.secure+" ",
		"/etc/letsencrypt/live/"+name+"/fullchain.pem", filepath.Join(p.dir, "chain.pem"),
		"/etc/letsencrypt/live/"+name+"/privkey.pem", filepath.Join(p.dir, "key.pem"),
		"/var/cache/nginx/pixelwall", filepath.Join(p.dir, "cache"),
	))
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // the folders of a test are for their owner only
	}
	temp := ""
	for _, what := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temp += fmt.Sprintf("%s_temp_path %s;\n", what, filepath.Join(p.dir, what))
	}
	main := p.write("nginx.conf", fmt.Sprintf("%s\nworker_processes 2;\npid %s;\nerror_log stderr;\nevents { worker_connections 500; }\nhttp {\naccess_log off;\n%sinclude %s;\n}\n",
		user, filepath.Join(p.dir, "pid"), temp, site))
	return start(t, nil, nil, "nginx", "-e", "stderr", "-p", p.dir, "-c", main, "-g", "daemon off;")
}

func runHAProxy(t *testing.T, p *proxy, config string) *process {
	if os.Geteuid() != 0 {
		config = edit(t, config, "\tuser haproxy\n", "", "\tgroup haproxy\n", "")
	}
	path := p.write("haproxy.cfg", edit(t, config,
		"127.0.0.1:8080", p.to,
		"bind :80\n", "bind 127.0.0.1:"+p.plain+"\n",
		"bind :443 ", "bind 127.0.0.1:"+p.secure+" ",
		"/etc/haproxy/pixelwall.pem", filepath.Join(p.dir, "both.pem"),
	))
	return start(t, nil, nil, "haproxy", "-db", "-f", path)
}

func runCaddy(t *testing.T, p *proxy, config string) *process {
	path := p.write("Caddyfile", fmt.Sprintf("{\n\tadmin off\n\thttp_port %s\n\thttps_port %s\n\tdefault_bind 127.0.0.1\n}\n", p.plain, p.secure)+edit(t, config,
		"127.0.0.1:8080", p.to,
		"\n"+name+" {", fmt.Sprintf("\n%s {\n\ttls %s %s\n", name, filepath.Join(p.dir, "chain.pem"), filepath.Join(p.dir, "key.pem")),
	))
	return start(t, nil, []string{"HOME=" + p.dir, "XDG_DATA_HOME=" + p.dir, "XDG_CONFIG_HOME=" + p.dir},
		"caddy", "run", "--adapter", "caddyfile", "--config", path)
}
