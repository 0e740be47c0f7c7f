{{- /* Rules that the schema cannot express. A violation fails the install with an explanation;
       otherwise it would be a crash loop later. */}}
{{- define "merchstore.validate" -}}
{{- if not (kindIs "map" .Values.encryption) }}
  {{- fail "values of an earlier version of the chart lack those that are new: use --reset-then-reuse-values instead of --reuse-values" }}
{{- end }}
{{- if hasKey .Values.ingress "host" }}{{- /* which the schema allows, so that the error is this one */}}
  {{- fail "ingress.host has become ingress.hosts, a list" }}
{{- end }}
{{- with .Values.encryption }}
  {{- if and (not (or .issuerRef.name .operator $.Values.operator.enabled)) (include "merchstore.certificates" $ | fromJsonArray) }}
    {{- fail "this release's operator is off, and encryption needs certificates: set encryption.operator to the service account of the operator that watches this namespace, or encryption.issuerRef.name, or encryption.enabled and infrastructure.tls.enabled to false" }}
  {{- end }}
{{- end }}
{{- $fullname := include "merchstore.fullname" . }}
{{- if gt (len $fullname) 40 }}
  {{- printf "the name %s has more than 40 characters: names of Services made from it would be too long" $fullname | fail }}
{{- end }}
{{- with .Subcharts.infrastructure }}
  {{- if ne $fullname (.Values.storeName | default .Release.Name) }}
    {{- printf "infrastructure.storeName must be %s as well, as nameOverride or fullnameOverride is set" $fullname | fail }}
  {{- end }}
{{- end }}
{{- $postgresql := include "merchstore.includes" (dict "root" . "name" "postgresql") }}
{{- $kafka := include "merchstore.includes" (dict "root" . "name" "kafka") }}
{{- if and $postgresql .Values.database.existingSecret }}
  {{- fail "database.existingSecret names a PostgreSQL of your own: set infrastructure.postgresql.enabled or infrastructure.enabled to false with it" }}
{{- else if not (or $postgresql .Values.database.existingSecret) }}
  {{- fail "the infrastructure's PostgreSQL is off: database.existingSecret must name a Secret with the address of yours" }}
{{- end }}
{{- $secrets := list .Values.database.existingSecret .Values.database.migrations.existingSecret .Values.database.tls.existingSecret }}
{{- range $name := list "api" "db" "logging" "operator" "kafka" "valkey" "prometheus" "grafana" "loadgen" }}
  {{- with printf "%s-%s" $fullname $name }}
    {{- if or (has (print . "-app") $secrets) (has (print . "-superuser") $secrets) (has (print . "-ca") $secrets) }}
      {{- printf "database: the Secret is that of a CloudNativePG Cluster %s, whose ServiceAccount and PodDisruptionBudget have its name, which is one of this chart's: give the Cluster another name, such as shop-pg" . | fail }}
    {{- end }}
  {{- end }}
{{- end }}
{{- if and $postgresql .Values.database.tls.existingSecret }}
  {{- fail "database.tls.existingSecret is for a PostgreSQL of your own, which database.existingSecret names" }}
{{- end }}
{{- if and $postgresql .Values.database.migrations.existingSecret }}
  {{- fail "database.migrations.existingSecret is for a PostgreSQL of your own, which database.existingSecret names" }}
{{- end }}
{{- if and $kafka .Values.kafka.existingSecret }}
  {{- fail "kafka.existingSecret names a Kafka of your own: set infrastructure.kafka.enabled or infrastructure.enabled to false with it" }}
{{- else if not (or $kafka .Values.kafka.existingSecret) }}
  {{- fail "the infrastructure's Kafka is off: kafka.existingSecret must name a Secret with the address of yours" }}
{{- end }}
{{- if and .Values.cache.existingSecret (include "merchstore.includes" (dict "root" . "name" "valkey")) }}
  {{- fail "cache.existingSecret names a Valkey or Redis of your own: set infrastructure.valkey.enabled or infrastructure.enabled to false with it" }}
{{- end }}
{{- if and $kafka (or .Values.kafka.tls.enabled .Values.kafka.sasl) }}
  {{- fail "kafka.tls and kafka.sasl are for a Kafka of your own, which kafka.existingSecret names" }}
{{- end }}
{{- with .Values.kafka.topic }}
  {{- $factor := include "merchstore.kafka.replicationFactor" $ | int }}
  {{- if gt (int (get .config "min.insync.replicas" | default 1)) $factor }}
    {{- fail "kafka.topic: min.insync.replicas is more than replicationFactor, so nothing could ever be logged" }}
  {{- end }}
  {{- if and $kafka (gt $factor (int $.Subcharts.infrastructure.Values.kafka.brokers)) }}
    {{- fail "kafka.topic.replicationFactor is more than infrastructure.kafka.brokers" }}
  {{- end }}
{{- end }}
{{- range $name := list "api" "db" }}
  {{- with (get $.Values $name).autoscaling }}
    {{- if gt (int .minReplicas) (int .maxReplicas) }}
      {{- printf "%s.autoscaling: minReplicas is more than maxReplicas" $name | fail }}
    {{- end }}
  {{- end }}
{{- end }}
{{- if and .Values.gateway.enabled (not (and .Values.gateway.className .Values.httpRoute.enabled)) }}
  {{- fail "gateway.enabled: set gateway.className, and httpRoute.enabled" }}
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) (not .Values.gateway.enabled) }}
  {{- fail "httpRoute.enabled: name your Gateways in httpRoute.parentRefs, or set gateway.enabled" }}
{{- end }}
{{- $shutdown := add .Values.shutdown.drainDelaySeconds .Values.shutdown.timeoutSeconds }}
{{- range $name := list "api" "db" "logging" }}
  {{- with (get $.Values $name).terminationGracePeriodSeconds }}
    {{- if lt (int64 .) $shutdown }}
      {{- printf "%s.terminationGracePeriodSeconds must be at least %d, the seconds of shutdown" $name $shutdown | fail }}
    {{- end }}
  {{- end }}
{{- end }}
{{- $api := .Values.api.settings }}
{{- $upload := get $api "UPLOAD_LIMIT" | default 10551296 | int }}
{{- if lt (get $api "BODY_MEMORY" | default 67108864 | int) (mul 4 $upload | int) }}
  {{- fail "api.settings: BODY_MEMORY must be at least four times UPLOAD_LIMIT" }}
{{- end }}
{{- $product := get $api "PRODUCT_BODY_LIMIT" | default 32768 | int }}
{{- if or (lt $upload $product) (lt $product (get $api "BODY_LIMIT" | default 8192 | int)) }}
  {{- fail "api.settings: UPLOAD_LIMIT must be at least PRODUCT_BODY_LIMIT, and that at least BODY_LIMIT" }}
{{- end }}
{{- $epoch := toDate "2006-01-02" "1970-01-01" }}
{{- if ($epoch | dateModify (get $api "UPLOAD_TIMEOUT" | default "2m")).Before ($epoch | dateModify (get $api "REQUEST_TIMEOUT" | default "10s")) }}
  {{- fail "api.settings: UPLOAD_TIMEOUT must be at least REQUEST_TIMEOUT" }}
{{- end }}
{{- range $name := list "db" "logging" }}
  {{- $settings := (get $.Values $name).settings }}
  {{- if lt (get $settings "GRPC_MAX_CONNECTIONS" | default 1024 | int) (get $settings "GRPC_MAX_CONNECTIONS_PER_ADDRESS" | default 16 | int) }}
    {{- printf "%s.settings: GRPC_MAX_CONNECTIONS must be at least GRPC_MAX_CONNECTIONS_PER_ADDRESS" $name | fail }}
  {{- end }}
{{- end }}
{{- $db := .Values.db.settings }}
{{- if ge (get $db "ORDER_TIMEOUT" | default "8s" | trimSuffix "s" | int) (int .Values.shutdown.timeoutSeconds) }}
  {{- fail "shutdown.timeoutSeconds must be more than db.settings.ORDER_TIMEOUT (8s), otherwise a shutdown could interrupt orders" }}
{{- end }}
{{- if $postgresql }}
  {{- $pods := ternary .Values.db.autoscaling.maxReplicas .Values.db.replicas .Values.db.autoscaling.enabled | int }}
  {{- $surge := div (add $pods 3) 4 }}
  {{- $connections := add 5 (mul (add $pods $surge) (add 3 (get $db "DB_MAX_CONNS" | default 10 | int))) }}
  {{- if gt $connections (get .Subcharts.infrastructure.Values.postgresql.settings "max_connections" | default 100 | int64) }}
    {{- printf "infrastructure.postgresql.settings.max_connections must be at least %d: up to %d pods of the DB service, and %d more during an update, use DB_MAX_CONNS + 3 each, the operator and administrators 5" $connections $pods $surge | fail }}
  {{- end }}
{{- end }}
{{- if gt (get $db "PASSWORD_CONCURRENCY" | default 2 | int) (get $db "PASSWORD_QUEUE" | default 256 | int) }}
  {{- fail "db.settings: PASSWORD_QUEUE must be at least PASSWORD_CONCURRENCY" }}
{{- end }}
{{- end }}
