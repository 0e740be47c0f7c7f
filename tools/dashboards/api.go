package main

// api is the REST service.
func api() board {
	return board{
		name: "api", title: "Merch Store: API", process: "api",
		about: "The REST service: its requests, its answers, and its calls to the services behind it.",
		rows: []row{
			{"Requests", []panel{
				newTimeSeries("Requests, by route", "reqps", "Requests answered per second.",
					promQL("{{method}} {{route}}", `sum by (method, route) (rate(http_requests_total{in}[$__rate_interval]))`)).stacked(),
				newTimeSeries("Requests, by status", "reqps", "Requests answered per second. 4xx: the client is at fault; 5xx: the store is.",
					promQL("{{status}}", `sum by (status) (rate(http_requests_total{in}[$__rate_interval]))`)).stacked(),
				newTimeSeries("Failed requests, by route and pod", "reqps", "Requests answered with 5xx, per second.",
					promQL("{{pod}} {{method}} {{route}}", `sum by (pod, method, route) (rate(http_requests_total{in, status=~"5.."}[$__rate_interval])) or sum by (pod, method, route) (rate(http_requests_total{in}[$__rate_interval])) * 0`),
				).thresholds(atMost(0.01, 1)).traces("api").runbook("MerchstoreErrorBudgetBurnsFast", "MerchstoreErrorBudgetBurnsSlowly"),
				newTimeSeries("Request duration", "s", "From reading the headers to writing the last byte. A dot is a request whose trace can be opened.",
					withExemplars(quantiles(`http_request_duration_seconds{in, route!="/api/v1/logs"}`, ""))...).thresholds(atMost(0.256, 1)).traces("api").runbook("MerchstoreLatencyBudgetBurnsFast"),
				newTimeSeries("Request duration, by route", "s", "99th percentile.",
					withExemplars(quantiles(`http_request_duration_seconds{in, route!="/api/v1/logs"}`, "method, route"))...).thresholds(atMost(0.256, 1)).traces("api").runbook("MerchstoreLatencyBudgetBurnsFast", "MerchstoreLatencyBudgetBurnsSlowly"),
				newHeatmap("Distribution of request durations", "s", "Two bands mean that some requests are served from a cache, or that some wait for something.", `http_request_duration_seconds{in, route!="/api/v1/logs"}`).traces("api"),
				newTimeSeries("Requests in flight", "short", "In each pod, including the streams of the live log.", promQL("{{pod}}", `http_requests_in_flight{in}`)),
				newTimeSeries("Requests, by pod", "reqps", "If one pod has many more than the others, connections are not spread evenly.",
					promQL("{{pod}}", `sum by (pod) (rate(http_requests_total{in}[$__rate_interval]))`)),
				newTimeSeries("Slow requests for products and orders, by pod", "percentunit", "Fraction of the product reads and order requests that took longer than 0.256 s.",
					promQL("{{pod}}", `1 - sum by (pod) (`+shopping("bucket", `, le="0.256"`)+`) / sum by (pod) (`+shopping("count", "")+`)`),
				).thresholds(atMost(0.01, 0.144)).runbook("MerchstoreLatencyBudgetBurnsFast", "MerchstoreLatencyBudgetBurnsSlowly"),
			}},
			{"What the API calls", []panel{
				newTimeSeries("Calls to the DB service", "reqps", "Calls per second that ended, as the API saw them, by method.",
					promQL("{{grpc_method}}", `sum by (grpc_method) (rate(grpc_client_handled_total{in, grpc_service="merchstore.v1.DBService"}[$__rate_interval]))`)).stacked(),
				newTimeSeries("Calls to the DB service, by code", "reqps", "Unavailable and DeadlineExceeded: DB pods are unavailable or slow. The other codes become answers to clients.",
					promQL("{{grpc_code}}", `sum by (grpc_code) (rate(grpc_client_handled_total{in, grpc_service="merchstore.v1.DBService"}[$__rate_interval]))`)).traces("api"),
				newTimeSeries("Failed calls to the DB service, by pod", "reqps", "Calls per second that failed with a code that is not the client's fault.",
					promQL("{{pod}}", `sum by (pod) (rate(grpc_client_handled_total{in, grpc_service="merchstore.v1.DBService", grpc_code=~"Unknown|DeadlineExceeded|Internal|Unavailable|DataLoss"}[$__rate_interval])) or sum by (pod) (rate(grpc_client_handled_total{in, grpc_service="merchstore.v1.DBService"}[$__rate_interval])) * 0`)).thresholds(atMost(0.01, 1)),
			}},
			logQueue(),
			pods(),
		},
	}
}

// shopping returns the rate of the requests that the latency objective covers, as the rules count
// them.
func shopping(series, matchers string) string {
	metric := "http_request_duration_seconds_" + series
	return `rate(` + metric + `{in, route=~"/api/v1/products(/:id)?", method="GET"` + matchers + `}[$__rate_interval]) or rate(` +
		metric + `{in, route=~"/api/v1/orders(/:id(/cancel)?)?"` + matchers + `}[$__rate_interval])`
}
