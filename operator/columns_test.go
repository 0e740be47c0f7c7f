package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/test/controlplane"
	"merchstore.io/merchstore/test/database"
)

// table returns the names of the columns and the cells of the only object, as kubectl get requests
// them from the API server.
func (c *cluster) table(resource string) (columns, cells []string) {
	c.t.Helper()
	config := controlplane.Shared(c.t).Config()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		c.t.Fatal(err)
	}
	url := config.Host + "/apis/merchstore.io/v1alpha1/namespaces/" + c.namespace + "/" + resource
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
	resp, err := client.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	var table metav1.Table
	if err := json.Unmarshal(answer, &table); err != nil || len(table.Rows) != 1 {
		c.t.Fatalf("%v: %s", err, answer)
	}
	for i, column := range table.ColumnDefinitions {
		if column.Priority == 0 { // others are shown only with -o wide
			columns = append(columns, column.Name)
			cells = append(cells, fmt.Sprint(table.Rows[0].Cells[i]))
		}
	}
	return columns, cells
}

func (c *cluster) wantTable(resource string, columns, cells []string) {
	c.t.Helper()
	gotColumns, gotCells := c.table(resource)
	if !slices.Equal(gotColumns, columns) {
		c.t.Errorf("the columns of %s are %q, want %q", resource, gotColumns, columns)
	}
	if age := len(gotCells) - 1; age < 0 || gotCells[age] == "" || gotCells[age] == "<nil>" || !slices.Equal(gotCells[:age], cells) {
		c.t.Errorf("the cells of %s are %q, want %q and an age", resource, gotCells, cells)
	}
}

func TestPrinterColumns(t *testing.T) {
	t.Parallel()
	topics := []string{"Name", "Topic", "Partitions", "Replicas", "Ready", "Reason", "Age"}
	schemas := []string{"Name", "Version", "Pending", "Ready", "Reason", "Age"}
	c := newCluster(t)
	c.operate()
	topic := c.topic("orders", func(t *v1alpha1.KafkaTopic) { t.Spec.Partitions = 3 })
	c.must(topic)
	c.awaitTopic(topic, true, v1alpha1.ReasonAsDeclared)
	s := c.awaitVersion(c.declared(database.Empty(t), up(table)), 1)

	c.wantTable("kafkatopics", topics, []string{"orders", topic.Topic(), "3", "1", "True", "AsDeclared"})
	c.wantTable("databaseschemas", schemas, []string{s.Name, "1", "0", "True", "UpToDate"})

	// Problems are visible in the default columns.
	change(c, topic, func(t *v1alpha1.KafkaTopic) { t.Spec.Paused = true })
	c.awaitTopic(topic, false, v1alpha1.ReasonPaused)
	c.edit(up(table, "DROP TABLE a"))
	c.awaitSchema(s, false, v1alpha1.ReasonApprovalRequired)
	c.wantTable("kafkatopics", topics, []string{"orders", topic.Topic(), "3", "1", "False", "Paused"})
	c.wantTable("databaseschemas", schemas, []string{s.Name, "1", "1", "False", "ApprovalRequired"})
}
