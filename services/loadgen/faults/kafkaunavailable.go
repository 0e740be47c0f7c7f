package faults

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// replicasAnnotation stores the number of brokers. It is set before Kafka is scaled down, and
// removed after it is scaled up again.
const replicasAnnotation = "merchstore.io/replicas-before-fault"

type kafkaUnavailable struct {
	kubectl
	log logf
}

func newKafkaUnavailable(_ Settings, k kubectl, log logf) injector { return kafkaUnavailable{k, log} }

func (i kafkaUnavailable) statefulSet() string { return "statefulset/" + i.release + "-kafka" }

func (i kafkaUnavailable) component() string { return "kafka" }

func (i kafkaUnavailable) inject(ctx context.Context, duration time.Duration) error {
	replicas, _, err := i.replicas(ctx)
	if err != nil {
		return err
	}
	if replicas == 0 {
		return fmt.Errorf("%s has no replicas to remove", i.statefulSet())
	}
	if _, err := i.run(ctx, "annotate", i.statefulSet(), fmt.Sprintf("%s=%d", replicasAnnotation, replicas), "--overwrite"); err != nil {
		return err
	}
	if _, err := i.run(ctx, "scale", i.statefulSet(), "--replicas=0"); err != nil {
		return err
	}
	i.log("scaled %s from %d to 0", i.statefulSet(), replicas)
	wait(ctx, duration)
	return nil
}

func (i kafkaUnavailable) recover(ctx context.Context) error {
	_, before, err := i.replicas(ctx)
	if err != nil {
		return err
	}
	if before > 0 {
		if _, err := i.run(ctx, "scale", i.statefulSet(), fmt.Sprintf("--replicas=%d", before)); err != nil {
			return err
		}
		i.log("scaled %s back to %d", i.statefulSet(), before)
		if _, err := i.run(ctx, "annotate", i.statefulSet(), replicasAnnotation+"-"); err != nil {
			return err
		}
	}
	return i.awaitReady(ctx, i.component())
}

// replicas returns the number of replicas now and before the fault, the latter 0 without a fault.
func (i kafkaUnavailable) replicas(ctx context.Context) (now, before int, err error) {
	out, err := i.run(ctx, "get", i.statefulSet(),
		`--output=jsonpath={.spec.replicas}/{.metadata.annotations.merchstore\.io/replicas-before-fault}`)
	if err != nil {
		return 0, 0, err
	}
	spec, annotation, _ := strings.Cut(out, "/")
	if now, err = strconv.Atoi(spec); err == nil && annotation != "" {
		before, err = strconv.Atoi(annotation)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("parse replicas of %s: %w", i.statefulSet(), err)
	}
	return now, before, nil
}
