package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Kind says which program a Server is, and so how to ask whether it works.
type Kind string

const (
	Redis     Kind = "redis"
	Kafka     Kind = "kafka"
	Cassandra Kind = "cassandra"
)

var titles = map[Kind]string{Redis: "Redis", Kafka: "Apache Kafka", Cassandra: "Apache Cassandra"}

// A Server is one process that listens on one address. It is plain data, so that
// another process can go on with a server that the first one left running. Its
// methods may be called by one goroutine at a time.
type Server struct {
	Kind    Kind
	Name    string   // unique in its Stack: redis-1, kafka-3
	Address string   // where clients connect: 127.0.0.1:port
	Dir     string   // its configuration, data and log
	Args    []string // the whole command line; what is changed here holds from the next start
	Env     []string // added to the environment
	Tied    bool     // dies with the process that started it
	Process int      // the process of the last start
	Started string   // when that one began, in the kernel's ticks: a PID alone may be somebody else's by now
}

// Addr returns where clients connect.
func (s *Server) Addr() string { return s.Address }

// PID returns the process of the last start.
func (s *Server) PID() int { return s.Process }

// Log returns the path of the file with everything the server ever printed.
func (s *Server) Log() string { return filepath.Join(s.Dir, "log") }

// Running reports whether the process is there, be it paused.
func (s *Server) Running() bool {
	started, ok := began(s.Process)
	return ok && started == s.Started
}

// makeDir makes the folder of a server that never ran. One that is there has the
// data of another, or another that still runs.
func (s *Server) makeDir() error {
	if err := os.Mkdir(s.Dir, 0o755); err != nil {
		return fmt.Errorf("the folder of %s has to be a new one: %w", s.Name, err)
	}
	return os.Mkdir(filepath.Join(s.Dir, "data"), 0o755)
}

// Launch starts the process and does not wait until it answers.
func (s *Server) Launch() error {
	if s.Running() {
		return fmt.Errorf("%s runs already, as process %d", s.Name, s.Process)
	}
	out, err := os.OpenFile(s.Log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(s.Args[0], s.Args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.Dir, out, out
	cmd.Env = append(os.Environ(), s.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C is for us; we tell the servers ourselves
	if s.Tied {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
		err = launchTied(cmd)
	} else {
		err = cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("%s does not start: %w", s.Name, err)
	}
	s.Process = cmd.Process.Pid
	s.Started, _ = began(s.Process)
	go cmd.Wait() // so that it does not stay behind as a zombie
	return nil
}

// Ready waits until the server answers as one that works. It gives up when the
// process ends or the context does, and says what the log said last.
func (s *Server) Ready(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.probe(ctx)
		if err == nil {
			return nil
		}
		if !s.Running() {
			return fmt.Errorf("%s ended while it started; its log ends with:\n%s", s.Name, s.Tail(15))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer (%w); its log ends with:\n%s", s.Name, err, s.Tail(15))
		case <-tick.C:
		}
	}
}

// Restart starts the server again on the same port with the same data and waits
// until it answers. One that still runs is killed first.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Kill(); err != nil {
		return err
	}
	if err := s.Launch(); err != nil {
		return err
	}
	return s.Ready(ctx)
}

// Kill ends the process with SIGKILL and returns when it is gone.
func (s *Server) Kill() error { return s.end(syscall.SIGKILL, 10*time.Second) }

// Stop asks the process to end, and kills it after ten seconds.
func (s *Server) Stop() error {
	s.Continue() // a paused process hears nothing
	if err := s.end(syscall.SIGTERM, 10*time.Second); err == nil {
		return nil
	}
	return s.Kill()
}

// Pause stops the process where it is (SIGSTOP): connections stay open, nothing
// is answered. The signal reaches one thread after the other, so it waits for all.
func (s *Server) Pause() error {
	if err := s.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for began := time.Now(); !stopped(s.Process); time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			return fmt.Errorf("%s does not stop", s.Name)
		}
	}
	return nil
}

// stopped reports whether every thread of pid stands still, see proc(5).
func stopped(pid int) bool {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue // it has ended
		}
		_, fields, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')')+1:]), " ")
		if state := fields[:min(1, len(fields))]; state != "T" && state != "t" && state != "Z" && state != "X" {
			return false
		}
	}
	return len(tasks) > 0
}

// Continue lets a paused process go on.
func (s *Server) Continue() error { return s.signal(syscall.SIGCONT) }

// Tail returns the last lines of the log.
func (s *Server) Tail(lines int) string {
	text, err := os.ReadFile(s.Log())
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func (s *Server) signal(sig syscall.Signal) error {
	if !s.Running() {
		return fmt.Errorf("%s does not run", s.Name)
	}
	return syscall.Kill(s.Process, sig)
}

func (s *Server) end(sig syscall.Signal, within time.Duration) error {
	if !s.Running() {
		return nil
	}
	if err := syscall.Kill(s.Process, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("%s cannot be ended: %w", s.Name, err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(within); s.Running(); <-tick.C {
		if time.Now().After(end) {
			return fmt.Errorf("%s (process %d) does not end", s.Name, s.Process)
		}
	}
	return nil
}

// began returns when a process started, and false when it is gone.
func began(pid int) (started string, ok bool) {
	if pid <= 0 {
		return "", false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", false
	}
	// The name, in parentheses, may hold anything. State is the first field after it, the
	// eighteenth is the number of threads, the twentieth the start time.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 {
		return "", false
	}
	// A zombie waits for its parent. But while other threads are ending, its sockets and
	// files are still open, and whoever starts it again would meet them. (The folder of its
	// threads may end early while they do.)
	if threads, _ := strconv.Atoi(fields[17]); (fields[0] == "Z" || fields[0] == "X") && threads <= 1 {
		return "", false
	}
	return fields[19], true
}

// tied is the thread that starts the servers that die with us: the kernel takes
// the end of the starting thread for the end of the parent, and threads of ours
// end whenever a goroutine returns with its thread locked.
var tied struct {
	once sync.Once
	jobs chan func()
}

func launchTied(cmd *exec.Cmd) error {
	tied.once.Do(func() {
		tied.jobs = make(chan func())
		go func() {
			runtime.LockOSThread()
			for job := range tied.jobs {
				job()
			}
		}()
	})
	result := make(chan error)
	tied.jobs <- func() { result <- cmd.Start() }
	return <-result
}
