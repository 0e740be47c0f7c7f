package kafkatopic

import (
	"context"
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"merchstore.io/merchstore/operator/api/v1alpha1"
)

// candidate returns a KafkaTopic of topic "orders" that was created age seconds after the first.
func candidate(name string, age int, change ...func(*v1alpha1.KafkaTopic)) v1alpha1.KafkaTopic {
	t := v1alpha1.KafkaTopic{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop", UID: types.UID(name), CreationTimestamp: metav1.Unix(int64(age), 0)},
		Spec:       v1alpha1.KafkaTopicSpec{TopicName: "orders"},
	}
	for _, f := range change {
		f(&t)
	}
	return t
}

func seen(t *v1alpha1.KafkaTopic)      { t.Status.ClusterID = "cluster" }
func holding(t *v1alpha1.KafkaTopic)   { t.Status.ClusterID, t.Status.TopicID = "cluster", "id" }
func elsewhere(t *v1alpha1.KafkaTopic) { t.Status.ClusterID, t.Status.TopicID = "another", "id" }
func paused(t *v1alpha1.KafkaTopic)    { t.Spec.Paused = true }
func waiting(t *v1alpha1.KafkaTopic)   { t.Finalizers = []string{finalizer} }
func cannotReach(t *v1alpha1.KafkaTopic) {
	newScope(t).setProblem(&problem{v1alpha1.ReasonUnreachable, "down"})
}

func leaving(t *v1alpha1.KafkaTopic) {
	now := metav1.Now()
	t.DeletionTimestamp = &now
}

func TestResolveOwner(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		self   v1alpha1.KafkaTopic
		others []v1alpha1.KafkaTopic
		want   ownership
		winner string
	}{
		"alone":                                     {candidate("b", 2), nil, owned, ""},
		"the list contains the object itself":       {candidate("b", 2), []v1alpha1.KafkaTopic{candidate("b", 2, holding)}, owned, ""},
		"an older one":                              {candidate("b", 2), []v1alpha1.KafkaTopic{candidate("a", 1, seen)}, conflict, "a"},
		"a younger one":                             {candidate("b", 2), []v1alpha1.KafkaTopic{candidate("a", 3, seen)}, owned, ""},
		"one of the same age with a lower name":     {candidate("b", 2), []v1alpha1.KafkaTopic{candidate("a", 2, seen)}, conflict, "a"},
		"one of the same age with a higher name":    {candidate("a", 2), []v1alpha1.KafkaTopic{candidate("b", 2, seen)}, owned, ""},
		"the oldest of several":                     {candidate("c", 3), []v1alpha1.KafkaTopic{candidate("b", 2, seen), candidate("a", 1, seen)}, conflict, "a"},
		"a younger owner":                           {candidate("a", 1), []v1alpha1.KafkaTopic{candidate("b", 2, holding)}, conflict, "b"},
		"an older one, but the object is the owner": {candidate("b", 2, holding), []v1alpha1.KafkaTopic{candidate("a", 1, seen)}, owned, ""},
		"an older one of unknown cluster, but the object is the owner": {candidate("b", 2, holding), []v1alpha1.KafkaTopic{candidate("a", 1)}, owned, ""},
		"two owners, which is not expected":                            {candidate("b", 2, holding), []v1alpha1.KafkaTopic{candidate("a", 1, holding)}, conflict, "a"},
		"an older one of unknown cluster":                              {candidate("b", 2), []v1alpha1.KafkaTopic{candidate("a", 1)}, undecided, ""},
		"a younger one of unknown cluster":                             {candidate("b", 2), []v1alpha1.KafkaTopic{candidate("a", 3)}, owned, ""},
		"an older one with unreachable Kafka":                          {candidate("b", 2), []v1alpha1.KafkaTopic{candidate("a", 1, cannotReach)}, owned, ""},
		"an older one that can no longer reach the cluster": {
			candidate("b", 2), []v1alpha1.KafkaTopic{candidate("a", 1, seen, cannotReach)}, owned, "",
		},
		"an owner that can no longer reach the cluster": {
			candidate("b", 2), []v1alpha1.KafkaTopic{candidate("a", 1, holding, cannotReach)}, conflict, "a",
		},
		"an older one of unknown cluster, and an owner": {candidate("b", 2), []v1alpha1.KafkaTopic{candidate("a", 1), candidate("c", 3, holding)}, conflict, "c"},
		"an older one in another cluster":               {candidate("b", 2), []v1alpha1.KafkaTopic{candidate("a", 1, elsewhere)}, owned, ""},
		"an older one, of an object from another cluster": {
			candidate("b", 2, elsewhere), []v1alpha1.KafkaTopic{candidate("a", 1, seen)}, conflict, "a",
		},
		"an older one with another topic": {
			candidate("b", 2), []v1alpha1.KafkaTopic{candidate("a", 1, holding, func(t *v1alpha1.KafkaTopic) { t.Spec.TopicName = "x" })}, owned, "",
		},
		"an older one that is paused":                  {candidate("b", 2), []v1alpha1.KafkaTopic{candidate("a", 1, seen, paused)}, owned, ""},
		"a paused owner":                               {candidate("b", 2), []v1alpha1.KafkaTopic{candidate("a", 1, holding, paused)}, conflict, "a"},
		"a deleted owner":                              {candidate("b", 2), []v1alpha1.KafkaTopic{candidate("a", 1, holding, leaving)}, owned, ""},
		"a deleted owner that deletes its topic first": {candidate("b", 2), []v1alpha1.KafkaTopic{candidate("a", 1, holding, leaving, waiting)}, conflict, "a"},
	} {
		got, winner := resolveOwner(&tt.self, tt.others, "cluster")
		name := name
		if got != tt.want || (winner != nil) != (tt.winner != "") || winner != nil && winner.Name != tt.winner {
			t.Errorf("%s: %v %v, want %v %q", name, got, winner, tt.want, tt.winner)
		}
	}
}

func TestKeyedMutex(t *testing.T) {
	t.Parallel()
	var m keyedMutex
	unlock, err := m.lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	other, err := m.lock(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	other()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := m.lock(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("locked twice: %v", err)
	}
	got := make(chan error)
	go func() {
		unlock, err := m.lock(t.Context(), "a")
		if err == nil {
			unlock()
		}
		got <- err
	}()
	unlock()
	if err := <-got; err != nil {
		t.Fatal(err)
	}
}
