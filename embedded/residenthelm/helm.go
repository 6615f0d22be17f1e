// Helm that stays: Helm's own command, with this file in place of its cmd/helm/helm.go.
//
// A tenth of a second of each call of Helm's is the start of its process, the connection to the API server, and what
// that server can do, asked anew. `helm resident` does one call after another in one process, each by the very command
// that `helm` is: the same arguments, the same words, the same exit codes. One line of JSON on standard input is a call
// (`request`), one on standard output its end (`answer`). It does one at a time, so whoever kills it kills that call alone.
// Without `resident` it is Helm as it always is.

package main // import "helm.sh/helm/v3/cmd/helm"

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
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

// Of the call that is being done; Helm's commands look here.
var (
	settings      = cli.New()
	configuration *action.Configuration
	remembered    *memories
)

// request is one call. Stdin are the values, so that they are in no argument.
type request struct {
	Args  []string `json:"args"`
	Stdin string   `json:"stdin"`
}

// answer is how a call ended.
type answer struct {
	Code int    `json:"code"`
	Out  string `json:"out"`
	Err  string `json:"err"`
}

func init() {
	log.SetFlags(log.Lshortfile)
}

func main() {
	// What Kubernetes notes as the manager of fields, whatever this program is called.
	kube.ManagedFieldsManager = "helm"
	cobra.OnInitialize(connect)
	if len(os.Args) == 2 && os.Args[1] == "resident" {
		remembered = &memories{}
		serve()
		return
	}
	os.Exit(run(os.Args[1:]))
}

// run does what `helm` does with these arguments, and returns its exit code.
func run(args []string) int {
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
		getter = remembered.of(getter)
	}
	if err := configuration.Init(getter, settings.Namespace(), os.Getenv("HELM_DRIVER"), debug); err != nil {
		log.Fatal(err)
	}
	configuration.SetHookOutputFunc(hookOutputWriter)
}

// serve does calls until there are no more, or until it is told to go.
func serve() {
	calls, answers := bufio.NewReader(os.Stdin), json.NewEncoder(os.Stdout)
	told := obey()
	for {
		line, err := calls.ReadBytes('\n')
		if err != nil {
			return
		}
		var asked request
		if err := json.Unmarshal(line, &asked); err != nil {
			log.Fatalf("not a call: %v", err)
		}
		if err := answers.Encode(do(asked, told)); err != nil || told.goes.Load() {
			return
		}
	}
}

// orders say what a TERM means now.
type orders struct {
	patient atomic.Bool // The command ends by itself on TERM: it notes in its release that it did.
	goes    atomic.Bool
}

// obey has TERM do what it does to the command that runs: an install and an upgrade hear it once they have begun to
// write, so they are told until they do; anything else is over at once.
func obey() *orders {
	told := &orders{}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	go func() {
		<-signals
		told.goes.Store(true)
		for told.patient.Load() {
			time.Sleep(50 * time.Millisecond)
			_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
		}
		os.Exit(128 + int(syscall.SIGTERM))
	}()
	return told
}

// do plays one call with standard streams of its own.
func do(asked request, told *orders) answer {
	in, out, errs := os.Stdin, os.Stdout, os.Stderr
	defer func() { os.Stdin, os.Stdout, os.Stderr = in, out, errs }()
	written, said := &capture{}, &capture{}
	os.Stdin, os.Stdout, os.Stderr = given(asked.Stdin), written.open(), said.open()
	log.SetOutput(&heard{captured: os.Stderr, real: errs})
	defer log.SetOutput(errs)
	told.patient.Store(len(asked.Args) > 0 && (asked.Args[0] == "upgrade" || asked.Args[0] == "install"))
	code := run(asked.Args)
	_ = os.Stdin.Close()
	ended := answer{Code: code, Out: written.close(), Err: said.close()}
	if !told.goes.Load() {
		told.patient.Store(false)
	}
	return ended
}

// heard is the log of a call. Its last word before the process ends, by log.Fatal, gets into no answer, so all but
// what is said for debugging is said to who started the process, too.
type heard struct{ captured, real io.Writer }

func (h *heard) Write(line []byte) (int, error) {
	if !bytes.Contains(line, []byte("[debug]")) {
		_, _ = h.real.Write(line)
	}
	return h.captured.Write(line)
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

// memories are what one call leaves for the next of the same cluster: what its API server can do, which is asked anew
// where a kind is not known, and wherever Helm itself wants it anew. Connections are kept by client-go.
type memories struct {
	key    string
	found  discovery.CachedDiscoveryInterface
	mapper meta.RESTMapper
}

func (m *memories) of(getter genericclioptions.RESTClientGetter) genericclioptions.RESTClientGetter {
	return &rememberingGetter{RESTClientGetter: getter, memories: m}
}

// about has memories of the cluster that the configuration is for.
func (m *memories) about(config *rest.Config) error {
	key := fmt.Sprintf("%s %s %x %s", config.Host, config.CAFile, config.CAData, config.TLSClientConfig.ServerName)
	if m.key == key {
		return nil
	}
	own := rest.CopyConfig(config)
	// What there is, is the same for all: only the rights differ.
	own.Impersonate = rest.ImpersonationConfig{}
	own.QPS, own.Burst = -1, 0
	client, err := discovery.NewDiscoveryClientForConfig(own)
	if err != nil {
		return err
	}
	found := memory.NewMemCacheClient(client)
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(found)
	m.key, m.found = key, found
	m.mapper = restmapper.NewShortcutExpander(mapper, found, func(text string) { warning("%s", text) })
	return nil
}

// rememberingGetter is Helm's way to the cluster for one call.
type rememberingGetter struct {
	genericclioptions.RESTClientGetter
	memories *memories
	once     sync.Once
	config   *rest.Config
	err      error
}

func (g *rememberingGetter) ToRESTConfig() (*rest.Config, error) {
	g.once.Do(func() {
		if g.config, g.err = g.RESTClientGetter.ToRESTConfig(); g.err == nil {
			g.err = g.memories.about(g.config)
		}
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
	return g.memories.found, nil
}

func (g *rememberingGetter) ToRESTMapper() (meta.RESTMapper, error) {
	if _, err := g.ToRESTConfig(); err != nil {
		return nil, err
	}
	return g.memories.mapper, nil
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
	return log.Writer()
}
