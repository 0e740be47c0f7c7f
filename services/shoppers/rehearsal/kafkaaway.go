package rehearsal

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// before is the annotation that keeps how many brokers there were: it is there before the first is taken away, and until all are back.
const before = "merchstore.io/replicas-before-rehearsal"

type kafkaAway struct {
	kubectl
	say sayer
}

func newKafkaAway(_ Settings, k kubectl, say sayer) damage { return kafkaAway{k, say} }

func (d kafkaAway) statefulSet() string { return "statefulset/" + d.release + "-kafka" }

func (d kafkaAway) component() string { return "kafka" }

func (d kafkaAway) cause(ctx context.Context, lasts time.Duration) error {
	replicas, _, err := d.state(ctx)
	if err != nil {
		return err
	}
	if replicas == 0 {
		return fmt.Errorf("%s has no replicas: there is nothing to take away", d.statefulSet())
	}
	if _, err := d.run(ctx, "annotate", d.statefulSet(), fmt.Sprintf("%s=%d", before, replicas), "--overwrite"); err != nil {
		return err
	}
	if _, err := d.run(ctx, "scale", d.statefulSet(), "--replicas=0"); err != nil {
		return err
	}
	d.say("scaled %s from %d to 0", d.statefulSet(), replicas)
	wait(ctx, lasts)
	return nil
}

func (d kafkaAway) mend(ctx context.Context) error {
	_, wanted, err := d.state(ctx)
	if err != nil {
		return err
	}
	if wanted > 0 {
		if _, err := d.run(ctx, "scale", d.statefulSet(), fmt.Sprintf("--replicas=%d", wanted)); err != nil {
			return err
		}
		d.say("scaled %s back to %d", d.statefulSet(), wanted)
		if _, err := d.run(ctx, "annotate", d.statefulSet(), before+"-"); err != nil {
			return err
		}
	}
	return d.awaitWhole(ctx, d.component())
}

// state is how many replicas there shall be now, and how many there shall be after the rehearsal; 0 if none is under way.
func (d kafkaAway) state(ctx context.Context) (replicas, wanted int, err error) {
	said, err := d.run(ctx, "get", d.statefulSet(), `--output=jsonpath={.spec.replicas}/{.metadata.annotations.merchstore\.io/replicas-before-rehearsal}`)
	if err != nil {
		return 0, 0, err
	}
	now, then, _ := strings.Cut(said, "/")
	if replicas, err = strconv.Atoi(now); err == nil && then != "" {
		wanted, err = strconv.Atoi(then)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("understand the replicas of %s: %w", d.statefulSet(), err)
	}
	return replicas, wanted, nil
}
