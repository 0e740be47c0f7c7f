package faults

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// replicasAnnotation stores the number of brokers. It is set before Kafka is scaled down, and
// removed after it is scaled up again.
const replicasAnnotation = "merchstore.io/replicas-before-fault"

func injectKafkaUnavailable(ctx context.Context, k kubectl) error {
	kafka := k.kafka()
	replicas, _, err := k.kafkaReplicas(ctx)
	if err != nil {
		return err
	}
	if replicas == 0 {
		return fmt.Errorf("%s has no replicas to remove", kafka)
	}
	if _, err := k.run(ctx, "annotate", kafka, fmt.Sprintf("%s=%d", replicasAnnotation, replicas), "--overwrite"); err != nil {
		return err
	}
	if _, err := k.run(ctx, "scale", kafka, "--replicas=0"); err != nil {
		return err
	}
	k.log("scaled %s from %d to 0", kafka, replicas)
	wait(ctx, k.Duration)
	return nil
}

func recoverKafkaUnavailable(ctx context.Context, k kubectl) error {
	kafka := k.kafka()
	_, before, err := k.kafkaReplicas(ctx)
	if err != nil {
		return err
	}
	if before > 0 {
		if _, err := k.run(ctx, "scale", kafka, fmt.Sprintf("--replicas=%d", before)); err != nil {
			return err
		}
		k.log("scaled %s back to %d", kafka, before)
		if _, err := k.run(ctx, "annotate", kafka, replicasAnnotation+"-"); err != nil {
			return err
		}
	}
	return k.awaitReady(ctx, "kafka")
}

// kafka returns the name of the StatefulSet.
func (k kubectl) kafka() string { return "statefulset/" + k.Release + "-kafka" }

// kafkaReplicas returns the number of replicas now and before the fault, the latter 0 without a fault.
func (k kubectl) kafkaReplicas(ctx context.Context) (now, before int, err error) {
	out, err := k.run(ctx, "get", k.kafka(),
		`--output=jsonpath={.spec.replicas}/{.metadata.annotations.merchstore\.io/replicas-before-fault}`)
	if err != nil {
		return 0, 0, err
	}
	spec, annotation, _ := strings.Cut(out, "/")
	if now, err = strconv.Atoi(spec); err == nil && annotation != "" {
		before, err = strconv.Atoi(annotation)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("parse replicas of %s: %w", k.kafka(), err)
	}
	return now, before, nil
}
