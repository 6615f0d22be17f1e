// Helm that stays: Helm's own command, with this file in place of its cmd/helm/helm.go.
//
// A tenth of a second of each call of Helm's is the start of its process and the connection to the API server.
// `helm resident` does one call after another in one process, each by the very command that `helm` is: the same arguments,
// the same words, the same exit codes. One line of JSON on standard input is a call (`request`), one on standard output its
// end (`answer`). It does one at a time, so whoever kills it kills that call alone. What a call leaves for the next is its
// connection, and what the API server can do, which is asked anew wherever Helm asks anew. Without `resident` it is Helm.

package main // import "helm.sh/helm/v3/cmd/helm"

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/cli"
	"helm.sh/helm/v3/pkg/kube"
)

// Of the call that is being done; Helm's commands look here for the first.
var (
	settings      = cli.New()
	configuration *action.Configuration
)

// Of a process that stays; nil in one that does not.
var (
	remembered *memories
	standing   *orders
)

// request is one call. Stdin are the values, so that they are in no argument.
type request struct {
	Args  []string `json:"args"`
	Stdin string   `json:"stdin"`
}

// answer is how a call ended. After the last, the process ends.
type answer struct {
	Code int    `json:"code"`
	Out  string `json:"out"`
	Err  string `json:"err"`
	Last bool   `json:"last"`
}

func init() {
	log.SetFlags(log.Lshortfile)
}

func main() {
	// What Kubernetes notes as the manager of fields, whatever this program is called.
	kube.ManagedFieldsManager = "helm"
	cobra.OnInitialize(connect)
	if len(os.Args) == 2 && os.Args[1] == "resident" {
		serve()
		return
	}
	os.Exit(run(os.Args[1:]))
}

// run does what `helm` does with these arguments, and returns its exit code.
func run(args []string) int {
	// Helm looks there, too, for whether a plugin is meant.
	os.Args = append([]string{os.Args[0]}, args...)
	settings = cli.New()
	configuration = new(action.Configuration)
	cmd, err := newRootCmd(configuration, os.Stdout, args)
	if err != nil {
		warning("%+v", err)
		return 1
	}
	cmd.SetArgs(args)
	if err := cmd.Execute(); err != nil {
		debug("%+v", err)
		if failed, ok := err.(pluginError); ok {
			return failed.code
		}
		return 1
	}
	return 0
}

// connect runs before each command does, once its flags are known.
func connect() {
	getter := settings.RESTClientGetter()
	if remembered != nil {
		getter = &rememberingGetter{RESTClientGetter: getter, memories: remembered}
	}
	if err := configuration.Init(getter, settings.Namespace(), os.Getenv("HELM_DRIVER"), debug); err != nil {
		log.Fatal(err)
	}
	configuration.SetHookOutputFunc(hookOutputWriter)
}

// serve does calls until there are no more, or until it is told to go.
func serve() {
	remembered, standing = &memories{}, &orders{}
	standing.obey()
	environment := os.Environ()
	said := heard()
	calls, answers := bufio.NewReader(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		line, err := calls.ReadBytes('\n')
		if err != nil {
			return
		}
		var asked request
		if err := json.Unmarshal(line, &asked); err != nil {
			log.Fatalf("not a call: %v", err)
		}
		// Helm's plugins are told of a call by its environment, of which no other call shall hear.
		os.Clearenv()
		for _, each := range environment {
			name, value, _ := strings.Cut(each, "=")
			_ = os.Setenv(name, value)
		}
		ended := do(asked, said)
		if err := answers.Encode(ended); err != nil || ended.Last {
			return
		}
	}
}

// do plays one call with standard streams of its own.
func do(asked request, said *hearing) answer {
	in, out := os.Stdin, os.Stdout
	defer func() { os.Stdin, os.Stdout = in, out }()
	written := &capture{}
	os.Stdin, os.Stdout = given(asked.Stdin), written.open()
	standing.begin(asked.Args)
	code := run(asked.Args)
	standing.end()
	_ = os.Stdin.Close()
	// A connection to a chart's repository would be kept for ever, and one by a kubeconfig's proxy for each client.
	last := standing.goes.Load() || remembered.proxied || fetches(asked.Args)
	return answer{Code: code, Out: written.close(), Err: said.soFar(), Last: last}
}

func fetches(args []string) bool {
	for _, each := range args {
		if each == "--repo" || strings.HasPrefix(each, "oci://") {
			return true
		}
	}
	return false
}

// orders say what a TERM means now. A command of Helm's that installs or upgrades hears it itself, once it has begun to
// write, and notes in its release that it was ended; anything else is over at once.
type orders struct {
	hears   atomic.Bool // The command is one that hears.
	writing atomic.Bool // It has begun.
	goes    atomic.Bool // It was told.
}

func (o *orders) begin(args []string) {
	o.writing.Store(false)
	o.hears.Store(len(args) > 0 && (args[0] == "upgrade" || args[0] == "install"))
}

func (o *orders) end() {
	o.hears.Store(false)
}

func (o *orders) obey() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	go func() {
		<-signals
		o.goes.Store(true)
		if !o.hears.Load() || !o.writing.Load() {
			signal.Reset(syscall.SIGTERM)
			_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
		}
	}()
}

// RoundTripper of a call: the first request that is no question begins what is to be noted when it is ended.
type noting struct{ http.RoundTripper }

func (n noting) RoundTrip(asked *http.Request) (*http.Response, error) {
	if asked.Method != http.MethodGet {
		standing.writing.Store(true)
	}
	return n.RoundTripper.RoundTrip(asked)
}

// hearing collects what is said on standard error, on one and the same file as long as the process lives: whoever
// remembers that file, as client-go's credential plugins do, may go on to use it.
type hearing struct {
	lock    sync.Mutex
	content bytes.Buffer
	more    *sync.Cond
}

// endOfCall is written behind what a call said.
const endOfCall = "\x00end of call\x00"

func heard() *hearing {
	reading, writing := pipe()
	h := &hearing{}
	h.more = sync.NewCond(&h.lock)
	// The last word before the process ends, by log.Fatal, gets into no answer.
	log.SetOutput(io.MultiWriter(writing, &fatal{os.Stderr}))
	os.Stderr = writing
	go func() {
		some := make([]byte, 1<<16)
		for {
			count, err := reading.Read(some)
			h.lock.Lock()
			h.content.Write(some[:count])
			h.more.Broadcast()
			h.lock.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return h
}

// soFar is what was said since it was asked for last.
func (h *hearing) soFar() string {
	_, _ = io.WriteString(os.Stderr, endOfCall)
	h.lock.Lock()
	defer h.lock.Unlock()
	for !bytes.Contains(h.content.Bytes(), []byte(endOfCall)) {
		h.more.Wait()
	}
	said, rest, _ := bytes.Cut(h.content.Bytes(), []byte(endOfCall))
	told := string(said)
	h.content = *bytes.NewBuffer(append([]byte(nil), rest...))
	return told
}

// fatal passes on what is said of the process's end, and nothing of what Helm and its hooks log.
type fatal struct{ real io.Writer }

func (f *fatal) Write(line []byte) (int, error) {
	if !settings.Debug {
		_, _ = f.real.Write(line)
	}
	return len(line), nil
}

// given is a file from which a text is read.
func given(text string) *os.File {
	reading, writing := pipe()
	go func() {
		_, _ = io.WriteString(writing, text)
		_ = writing.Close()
	}()
	return reading
}

// capture is a file whose content is kept in memory.
type capture struct {
	writing *os.File
	content strings.Builder
	whole   sync.WaitGroup
}

func (c *capture) open() *os.File {
	reading, writing := pipe()
	c.writing = writing
	c.whole.Add(1)
	go func() {
		_, _ = io.Copy(&c.content, reading)
		_ = reading.Close()
		c.whole.Done()
	}()
	return writing
}

func (c *capture) close() string {
	_ = c.writing.Close()
	c.whole.Wait()
	return c.content.String()
}

func pipe() (*os.File, *os.File) {
	reading, writing, err := os.Pipe()
	if err != nil {
		log.Fatal(err)
	}
	return reading, writing
}

// memories are what one call leaves for the next of the same cluster and the same credentials.
type memories struct {
	key     string
	found   discovery.CachedDiscoveryInterface
	proxied bool
}

// about has memories of the cluster that the configuration is for.
func (m *memories) about(config *rest.Config) error {
	m.proxied = config.Proxy != nil
	key := keyOf(config)
	if m.key == key {
		return nil
	}
	own := rest.CopyConfig(config)
	// What there is, is the same for all: only the rights differ.
	own.Impersonate = rest.ImpersonationConfig{}
	own.QPS = -1
	client, err := discovery.NewDiscoveryClientForConfig(own)
	if err != nil {
		return err
	}
	m.key, m.found = key, memory.NewMemCacheClient(client)
	return nil
}

// keyOf is another for another cluster or other credentials. It is never shown.
func keyOf(config *rest.Config) string {
	tls := config.TLSClientConfig
	exec, _ := json.Marshal(config.ExecProvider)
	auth, _ := json.Marshal(config.AuthProvider)
	parts := []string{
		config.Host, config.APIPath, config.Username, config.Password, config.BearerToken, config.BearerTokenFile,
		fmt.Sprint(tls.Insecure, config.Proxy != nil), tls.ServerName, tls.CertFile, tls.KeyFile, tls.CAFile,
		string(tls.CertData), string(tls.KeyData), string(tls.CAData), string(exec), string(auth),
	}
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(parts, "\x00"))))
}

// rememberingGetter is Helm's way to the cluster for one call.
type rememberingGetter struct {
	genericclioptions.RESTClientGetter
	memories *memories
	once     sync.Once
	config   *rest.Config
	known    *known
	err      error
}

func (g *rememberingGetter) ToRESTConfig() (*rest.Config, error) {
	g.once.Do(func() {
		if g.config, g.err = g.RESTClientGetter.ToRESTConfig(); g.err != nil {
			return
		}
		if g.err = g.memories.about(g.config); g.err != nil {
			return
		}
		g.config.Wrap(func(next http.RoundTripper) http.RoundTripper { return noting{next} })
		g.known = &known{CachedDiscoveryInterface: g.memories.found}
	})
	if g.err != nil {
		return nil, g.err
	}
	return rest.CopyConfig(g.config), nil
}

func (g *rememberingGetter) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	if _, err := g.ToRESTConfig(); err != nil {
		return nil, err
	}
	return g.known, nil
}

func (g *rememberingGetter) ToRESTMapper() (meta.RESTMapper, error) {
	if _, err := g.ToRESTConfig(); err != nil {
		return nil, err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(g.known)
	return restmapper.NewShortcutExpander(mapper, g.known, func(text string) { warning("%s", text) }), nil
}

// known is what the API server can do, as a call knows it: of before, until the call asks anew. A kind that is not known
// is such a reason, once.
type known struct {
	discovery.CachedDiscoveryInterface
	anew atomic.Bool
}

func (k *known) Fresh() bool {
	return k.anew.Load()
}

func (k *known) Invalidate() {
	k.anew.Store(true)
	k.CachedDiscoveryInterface.Invalidate()
}

// As in the file that this one replaces.

func debug(format string, v ...interface{}) {
	if settings.Debug {
		_ = log.Output(2, fmt.Sprintf("%s [debug] %s\n", time.Now().String(), fmt.Sprintf(format, v...)))
	}
}

func warning(format string, v ...interface{}) {
	fmt.Fprintf(os.Stderr, "WARNING: "+format+"\n", v...)
}

func hookOutputWriter(_, _, _ string) io.Writer {
	return os.Stderr
}
