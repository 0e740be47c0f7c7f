// The generator of the Grafana dashboards, with Grafana's schema as Go types. A module of its own: nothing else needs them.
module merchstore.io/merchstore/tools/dashboards

go 1.26.0

require github.com/grafana/grafana-foundation-sdk/go v0.0.22
