package main

// api is the REST service.
func api() board {
	return board{
		name: "api", title: "Merch Store: API", process: "api",
		about: "The REST service: what is asked, how it is answered, and what the services behind it say.",
		rows: []row{
			{"Requests", []panel{
				lines("Requests, by route", "reqps", "Answered each second.",
					ask("{{method}} {{route}}", `sum by (method, route) (rate(http_requests_total{in}[$__rate_interval]))`)).stacked(),
				lines("Requests, by status", "reqps", "Answered each second. 4xx: clients ask wrongly; 5xx: it is us.",
					ask("{{status}}", `sum by (status) (rate(http_requests_total{in}[$__rate_interval]))`)).stacked(),
				lines("Failed requests, by route and pod", "reqps", "Answered with 5xx, each second.",
					ask("{{pod}} {{method}} {{route}}", `sum by (pod, method, route) (rate(http_requests_total{in, status=~"5.."}[$__rate_interval])) or sum by (pod, method, route) (rate(http_requests_total{in}[$__rate_interval])) * 0`),
				).limits(atMost(0.01, 1)).traces("api").runbook("MerchstoreErrorBudgetBurnsFast", "MerchstoreErrorBudgetBurnsSlowly"),
				lines("Time of requests", "s", "From the first byte read to the last one written. A dot is a request whose trace can be opened.",
					dots(quantiles(`http_request_duration_seconds{in, route!="/api/v1/logs"}`, ""))...).limits(atMost(0.256, 1)).traces("api").runbook("MerchstoreLatencyBudgetBurnsFast"),
				lines("Time of requests, by route", "s", "99 of 100 are faster.",
					dots(quantiles(`http_request_duration_seconds{in, route!="/api/v1/logs"}`, "method, route"))...).limits(atMost(0.256, 1)).traces("api").runbook("MerchstoreLatencyBudgetBurnsFast", "MerchstoreLatencyBudgetBurnsSlowly"),
				heat("Requests by the time they took", "s", "Two stripes: some are served from a cache, or some wait for something.", `http_request_duration_seconds{in, route!="/api/v1/logs"}`).traces("api"),
				lines("Being answered", "short", "Requests that are under way in each pod; readers of the live log are among them.", ask("{{pod}}", `http_requests_in_flight{in}`)),
				lines("Requests, by pod", "reqps", "One pod with much more than the others: connections are not spread evenly.",
					ask("{{pod}}", `sum by (pod) (rate(http_requests_total{in}[$__rate_interval]))`)),
				lines("Slow requests for products and orders, by pod", "percentunit", "Part of those that look at products, or are about orders, and took longer than 0.256 s.",
					ask("{{pod}}", `1 - sum by (pod) (`+shopping("bucket", `, le="0.256"`)+`) / sum by (pod) (`+shopping("count", "")+`)`),
				).limits(atMost(0.01, 0.144)).runbook("MerchstoreLatencyBudgetBurnsFast", "MerchstoreLatencyBudgetBurnsSlowly"),
			}},
			{"What the API calls", []panel{
				lines("Calls to the DB service", "reqps", "As the API saw them end, each second, by method.",
					ask("{{grpc_method}}", `sum by (grpc_method) (rate(grpc_client_handled_total{in, grpc_service="merchstore.v1.DBService"}[$__rate_interval]))`)).stacked(),
				lines("Calls to the DB service, by code", "reqps", "Unavailable and DeadlineExceeded: DB pods are away, or slow. The rest are answers that clients get, too.",
					ask("{{grpc_code}}", `sum by (grpc_code) (rate(grpc_client_handled_total{in, grpc_service="merchstore.v1.DBService"}[$__rate_interval]))`)).traces("api"),
				lines("Calls to the DB service that failed, by pod", "reqps", "For reasons that are ours, each second.",
					ask("{{pod}}", `sum by (pod) (rate(grpc_client_handled_total{in, grpc_service="merchstore.v1.DBService", grpc_code=~"Unknown|DeadlineExceeded|Internal|Unavailable|DataLoss"}[$__rate_interval])) or sum by (pod) (rate(grpc_client_handled_total{in, grpc_service="merchstore.v1.DBService"}[$__rate_interval])) * 0`)).limits(atMost(0.01, 1)),
			}},
			outbox(),
			pods(),
		},
	}
}

// shopping is how many requests a second there are for which it is promised how long they take, as the rules count them.
func shopping(series, and string) string {
	metric := "http_request_duration_seconds_" + series
	return `rate(` + metric + `{in, route=~"/api/v1/products(/:id)?", method="GET"` + and + `}[$__rate_interval]) or rate(` +
		metric + `{in, route=~"/api/v1/orders(/:id(/cancel)?)?"` + and + `}[$__rate_interval])`
}
