{{- /* Parts of all workloads. Each takes the workload, see _names.tpl. */}}

{{- define "merchstore.deployment" -}}
{{- if not (dig "autoscaling" "enabled" false .values) }}
replicas: {{ .values.replicas }}
{{- end }}
revisionHistoryLimit: {{ .root.Values.revisionHistoryLimit }}
{{- if ne .name "api" }}
minReadySeconds: {{ .root.Values.minReadySeconds }}
{{- end }}
strategy:
  rollingUpdate:
    # Start new pods before stopping old ones. A quarter at a time: with minReadySeconds, one by one
    # would take many pods longer than helm waits.
    maxSurge: 25%
    maxUnavailable: 0
selector:
  matchLabels: {{- include "merchstore.selector" . | nindent 4 }}
{{- end }}

{{- define "merchstore.podMetadata" -}}
{{- $labels := include "merchstore.selector" . | fromYaml | merge (dict "app.kubernetes.io/part-of" "merchstore") }}
{{- range .clients }}
  {{- $_ := set $labels (printf "merchstore.io/%s-client" .) "true" }} {{- /* the infrastructure chart's network policies select it */}}
{{- end -}}
labels: {{- merge $labels (.values.podLabels | default dict) .root.Values.global.commonLabels | toYaml | nindent 2 }}
annotations: {{- mergeOverwrite (include "merchstore.podAnnotations" . | fromYaml) (.values.podAnnotations | default dict) | toYaml | nindent 2 }}
{{- end }}

{{- define "merchstore.podAnnotations" -}}
{{- if not (include "merchstore.prometheusOperator" .root) }}
prometheus.io/scrape: "true"
prometheus.io/port: "9090"
prometheus.io/path: /metrics
{{- end }}
# Pods are replaced if one of these changes.
checksum/config: {{ include "merchstore.config" . | sha256sum }}
checksum/secrets: {{ include (printf "merchstore.%s.secrets" .name) .root | sha256sum }}
{{- end }}

{{- define "merchstore.serviceAccount" -}}
{{ dig "serviceAccount" "name" "" .values | default (dig "serviceAccount" "create" true .values | ternary (include "merchstore.name" .) "default") | quote }}
{{- end }}

{{- define "merchstore.pod" -}}
serviceAccountName: {{ include "merchstore.serviceAccount" . }}
automountServiceAccountToken: false
enableServiceLinks: false # their variables would look like settings
terminationGracePeriodSeconds: {{ .values.terminationGracePeriodSeconds | default (add .root.Values.shutdown.drainDelaySeconds .root.Values.shutdown.timeoutSeconds 5) }}
securityContext: {{- .values.podSecurityContext | default dict | mergeOverwrite (deepCopy .root.Values.podSecurityContext) | toYaml | nindent 2 }}
{{- if not .values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range .root.Values.spreadOver }}
  - topologyKey: {{ . | quote }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "merchstore.selector" $ | nindent 8 }}
    matchLabelKeys: [pod-template-hash] # do not count the old pods of a rolling update
  {{- end }}
{{- end }}
{{- with .root.Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ kindIs "string" . | ternary (toString .) (get (kindIs "map" . | ternary . dict) "name") | quote }}
  {{- end }}
{{- end }}
{{- range $field := list "affinity" "nodeSelector" "priorityClassName" "tolerations" "topologySpreadConstraints" }}
{{- with get $.values $field }}
{{ $field }}: {{ toJson . }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Liveness does not depend on readiness: a restart does not help a DB service whose database is
       unavailable. */}}
{{- define "merchstore.container" -}}
{{ include "merchstore.image" . }}
envFrom:
  - configMapRef:
      name: {{ include "merchstore.name" . }}
  {{- with .values.extraEnvFrom }}{{ toYaml . | nindent 2 }}{{ end }}
startupProbe:
  httpGet: {path: /healthz, port: ops}
  periodSeconds: 1
  failureThreshold: 60
{{- if .root.Values.livenessProbes }}
livenessProbe:
  httpGet: {path: /healthz, port: ops}
  timeoutSeconds: 3
{{- end }}
resources: {{- toYaml .values.resources | nindent 2 }}
{{- end }}

{{- /* The image, and the container's security context. */}}
{{- define "merchstore.image" -}}
{{- with .values.image -}}
image: {{ include "merchstore.registry" (list $.root .repository) }}:{{ .tag | default $.root.Values.global.imageTag | default $.root.Chart.AppVersion }}{{ with .digest }}@{{ . }}{{ end }}
imagePullPolicy: {{ .pullPolicy }}
{{- end }}
securityContext: {{- .values.securityContext | default dict | mergeOverwrite (deepCopy .root.Values.securityContext) | toYaml | nindent 2 }}
{{- end }}

{{- /* An image in global.imageRegistry, which replaces the image's. Takes list $ IMAGE. */}}
{{- define "merchstore.registry" -}}
{{- $registry := (first .).Values.global.imageRegistry }}
{{- empty $registry | ternary (last .) (regexReplaceAll "^(localhost/|[^/]+[.:][^/]*/)?" (last .) (print $registry "/")) }}
{{- end }}

{{- /* Also takes "goShare": GOMEMLIMIT as a percentage of the memory limit, so that Go collects
       garbage before the kernel kills the process. */}}
{{- define "merchstore.env" -}}
{{- $limit := .values.resources.limits.memory }}
{{- $mib := hasSuffix "Gi" $limit | ternary (mul 1024 (trimSuffix "Gi" $limit | int)) (trimSuffix "Mi" $limit | int) -}}
- name: GOMEMLIMIT
  value: {{ printf "%dMiB" (div (mul .goShare $mib) 100) }}
{{- with .root.Values.tracing }}
{{- if and .endpoint .headersSecret }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom:
    secretKeyRef: {name: {{ .headersSecret | quote }}, key: headers}
{{- end }}
{{- end }}
{{- end }}

{{- define "merchstore.podName" -}}
- name: POD_NAME
  valueFrom:
    fieldRef: {fieldPath: metadata.name}
{{- end }}

{{- define "merchstore.config" -}}
{{- /* gRPC clients learn of a shutdown at once, on their connection; the API's clients when the
       Service changes. */}}
DRAIN_DELAY: "{{ eq .name "api" | ternary .root.Values.shutdown.drainDelaySeconds 0 }}s"
SHUTDOWN_TIMEOUT: "{{ .root.Values.shutdown.timeoutSeconds }}s"
{{- include (printf "merchstore.%s.config" .name) .root }}
{{- include "merchstore.encryption.config" . }}
{{- with .root.Values.tracing }}
{{- if .endpoint }}
OTEL_EXPORTER_OTLP_ENDPOINT: {{ .endpoint | quote }}
OTEL_TRACES_SAMPLER_ARG: {{ .sampleRatio | quote }}
{{- end }}
{{- end }}
{{- range $name, $value := .values.settings }}
{{ $name }}: {{ kindIs "string" $value | ternary $value (toJson $value) | quote }}
{{- end }}
{{- end }}
