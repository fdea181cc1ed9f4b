package servers

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// KafkaOptions say how many brokers to run. Each is a controller too.
type KafkaOptions struct {
	Brokers int      // 1 or 3
	Extra   []string // lines of server.properties that win over ours: log.retention.ms=1000
}

const (
	kafkaHeap = "512m" // 256m is full after some hundred topics, as tests make them
	// kafkaClusterID is what KRaft wants: 22 characters of base64url.
	kafkaClusterID = "cGl4ZWx3YWxsLXN0YWNrLQ"
)

// serverProperties is the configuration of the i-th broker of a cluster.
func serverProperties(i int, ports, controllers []int, dir string, extra []string) string {
	voters := make([]string, len(ports))
	for k := range voters {
		voters[k] = fmt.Sprintf("%d@%s:%d", k+1, loopback, controllers[k])
	}
	copies := len(ports)
	return settings([]string{
		"process.roles=broker,controller",
		fmt.Sprintf("node.id=%d", i+1),
		"controller.quorum.voters=" + strings.Join(voters, ","),
		fmt.Sprintf("listeners=PLAINTEXT://%s:%d,CONTROLLER://%s:%d", loopback, ports[i], loopback, controllers[i]),
		"controller.listener.names=CONTROLLER",
		"listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
		"log.dirs=" + dir,
		fmt.Sprintf("default.replication.factor=%d", copies),
		fmt.Sprintf("min.insync.replicas=%d", copies/2+1),
		fmt.Sprintf("offsets.topic.replication.factor=%d", copies),
		fmt.Sprintf("transaction.state.log.replication.factor=%d", copies),
		fmt.Sprintf("transaction.state.log.min.isr=%d", copies/2+1),
		"offsets.topic.num.partitions=4",
		"transaction.state.log.num.partitions=4",
		"group.initial.rebalance.delay.ms=0",
		"auto.create.topics.enable=false",
	}, extra, "=")
}

// startKafka starts the brokers side by side.
func startKafka(ctx context.Context, o Options) ([]*Server, error) {
	v, err := newJVM(ctx, &o, Kafka, kafkaHeap)
	if err != nil {
		return nil, err
	}
	n := o.Kafka.Brokers
	all, ports, controllers := make([]*Server, n), make([]int, n), make([]int, n)
	for i := range all {
		if ports[i], err = freePort(loopback); err != nil {
			return nil, err
		}
		if controllers[i], err = freePort(loopback); err != nil {
			return nil, err
		}
		all[i] = o.newServer(Kafka, i, loopback, ports[i])
	}
	for i, s := range all {
		if err := s.makeDir(); err != nil {
			return all[:i], err
		}
		conf := filepath.Join(s.Dir, "server.properties")
		if err := writeFile(conf, serverProperties(i, ports, controllers, filepath.Join(s.Dir, "data"), o.Kafka.Extra)); err != nil {
			return all, err
		}
		s.Args = v.command([]string{"-Dorg.slf4j.simpleLogger.showDateTime=true"}, "kafka.Kafka", conf)
	}
	if err := formatKafka(ctx, v, all); err != nil {
		return all, err
	}
	return all, launchAll(all)
}

// formatKafka makes the folders ready, all at once: each takes a JVM's start.
func formatKafka(ctx context.Context, v jvm, all []*Server) error {
	results := make(chan error)
	for _, s := range all {
		go func() {
			args := v.command(nil, "kafka.tools.StorageTool", "format", "-t", kafkaClusterID, "-c", filepath.Join(s.Dir, "server.properties"))
			out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
			if err != nil {
				err = fmt.Errorf("%s cannot be formatted: %w:\n%s", s.Name, err, out)
			}
			results <- err
		}()
	}
	var errs []error
	for range all {
		errs = append(errs, <-results)
	}
	return errors.Join(errs...)
}

func launchAll(all []*Server) error {
	for _, s := range all {
		if err := s.Launch(); err != nil {
			return err
		}
	}
	return nil
}

// knowAll returns nil when each broker knows all of them.
func knowAll(ctx context.Context, all []*Server) error {
	for _, s := range all {
		brokers, err := kafkaBrokers(ctx, s.Address)
		if err != nil {
			return err
		}
		if len(brokers) < len(all) {
			return fmt.Errorf("%s knows %d of %d brokers", s.Name, len(brokers), len(all))
		}
	}
	return nil
}

// probeKafka asks a broker for the brokers that serve: it is one of them only
// when the controllers have let it in.
func (s *Server) probeKafka(ctx context.Context) error {
	brokers, err := kafkaBrokers(ctx, s.Address)
	if err != nil {
		return err
	}
	for _, b := range brokers {
		if fmt.Sprintf("%s:%d", b.Host, b.Port) == s.Address {
			return nil
		}
	}
	return fmt.Errorf("%s is not among the %d brokers that serve", s.Name, len(brokers))
}

func kafkaBrokers(ctx context.Context, addr string) (kadm.BrokerDetails, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RequestRetries(0))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	meta, err := kadm.NewClient(client).BrokerMetadata(ctx)
	return meta.Brokers, err
}
