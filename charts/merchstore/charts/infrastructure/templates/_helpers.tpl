{{- /* Most of these take dict "root" $ "name" "postgresql", or the name of another server. */}}

{{- /* What the names of all objects begin with. Takes $. */}}
{{- define "infrastructure.fullname" -}}
{{ .Values.fullnameOverride | default (list .Release.Name .Values.nameOverride | compact | join "-") }}
{{- end }}

{{- define "infrastructure.storeName" -}}
{{ .Values.storeName | default .Release.Name }}
{{- end }}

{{- define "infrastructure.name" -}}
{{ include "infrastructure.fullname" .root }}-{{ .name }}
{{- end }}

{{- define "infrastructure.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
{{- end }}

{{- define "infrastructure.labels" -}}
{{- merge (include "infrastructure.selector" . | fromYaml) (dict
      "app.kubernetes.io/part-of" "merchstore"
      "app.kubernetes.io/managed-by" .root.Release.Service
      "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version)
    ) .root.Values.global.commonLabels | toYaml }}
{{- end }}

{{- /* The value of a Secret's key: that of the cluster, otherwise a random one. It is stored in
       .Values, so that a rendering uses one value. */}}
{{- define "infrastructure.generated" -}}
{{- $generated := get .root.Values "generated" | default dict }}
{{- $id := printf "%s/%s" .name .key }}
{{- if not (hasKey $generated $id) }}
  {{- $secret := lookup "v1" "Secret" .root.Release.Namespace (include "infrastructure.name" .) }}
  {{- $value := dig "data" .key "" $secret | b64dec }}
  {{- if not $value }}
    {{- include "infrastructure.mayGenerate" . }}
    {{- $value = randAlphaNum 32 }}
  {{- end }}
  {{- $_ := set $generated $id $value }}
  {{- $_ := set .root.Values "generated" $generated }}
{{- end }}
{{- get $generated $id }}
{{- end }}

{{- /* Fails if the cluster's Secrets cannot be looked up, because each rendering would then make new
       ones. Every cluster has the namespace default; the other can be read with less permissions. */}}
{{- define "infrastructure.mayGenerate" -}}
{{- if not (or (eq (toString .root.Values.global.generateSecrets) "true") (lookup "v1" "Namespace" "" .root.Release.Namespace) (lookup "v1" "Namespace" "" "default")) }}
  {{- printf "the Secret %s cannot be looked up (helm template, Argo CD, --dry-run=client), so each rendering would make another: name one of your own in %s%s.existingSecret, or set global.generateSecrets to true if this is not going to be applied" (include "infrastructure.name" .) (.root.Chart.IsRoot | ternary "" "infrastructure.") (.name | replace "-" ".") | fail }}
{{- end }}
{{- end }}

{{- /* A server's password as it is written in a URL. urlquery writes a space as +. */}}
{{- define "infrastructure.urlPassword" -}}
{{ include "infrastructure.generated" . | urlquery | replace "+" "%20" }}
{{- end }}

{{- /* The URL of the store's database for the role that owns it, and for that of the DB service. */}}
{{- define "infrastructure.postgresql.url" -}}
{{- $password := include "infrastructure.urlPassword" (dict "root" . "name" "postgresql" "key" "password") }}
{{- printf "postgres://merchstore:%s@%s-postgresql:5432/merchstore%s" $password (include "infrastructure.fullname" .) (.Values.tls.enabled | ternary "" "?sslmode=disable") }}
{{- end }}

{{- define "infrastructure.postgresql.appURL" -}}
{{- $password := include "infrastructure.urlPassword" (dict "root" . "name" "postgresql-app" "key" "password") }}
{{- printf "postgres://merchstore_app:%s@%s-postgresql:5432/merchstore%s" $password (include "infrastructure.fullname" .) (.Values.tls.enabled | ternary "" "?sslmode=disable") }}
{{- end }}

{{- define "infrastructure.postgresql.appSecret" -}}
{{ .Values.postgresql.app.existingSecret | default (printf "%s-postgresql-app" (include "infrastructure.fullname" .)) }}
{{- end }}

{{- define "infrastructure.postgresql.secret" -}}
{{ .Values.postgresql.existingSecret | default (printf "%s-postgresql" (include "infrastructure.fullname" .)) }}
{{- end }}

{{- define "infrastructure.valkey.url" -}}
{{- $password := include "infrastructure.urlPassword" (dict "root" . "name" "valkey" "key" "password") }}
{{- printf "%s://:%s@%s-valkey:6379/0" (.Values.tls.enabled | ternary "rediss" "redis") $password (include "infrastructure.fullname" .) }}
{{- end }}

{{- define "infrastructure.valkey.secret" -}}
{{ .Values.valkey.existingSecret | default (printf "%s-valkey" (include "infrastructure.fullname" .)) }}
{{- end }}

{{- define "infrastructure.kafka.secret" -}}
{{ .Values.kafka.existingSecret | default (printf "%s-kafka" (include "infrastructure.fullname" .)) }}
{{- end }}

{{- define "infrastructure.kafka.bootstrapServers" -}}
{{ include "infrastructure.fullname" . }}-kafka:9092
{{- end }}

{{- define "infrastructure.statefulSet" -}}
{{- $values := get .root.Values .name -}}
{{- $replicas := get $values "brokers" | default 1 | int -}}
replicas: {{ $replicas }}
revisionHistoryLimit: {{ .root.Values.revisionHistoryLimit }}
{{- if gt $replicas 1 }}
podManagementPolicy: Parallel # no broker is ready before most of them run
{{- end }}
serviceName: {{ include "infrastructure.name" . }}
selector:
  matchLabels: {{- include "infrastructure.selector" . | nindent 4 }}
{{- if dig "persistence" "enabled" false $values }}
persistentVolumeClaimRetentionPolicy:
  whenScaled: Retain
  whenDeleted: {{ .root.Values.global.keepData | ternary "Retain" "Delete" }}
volumeClaimTemplates:
  - metadata:
      name: data
      labels: {{- include "infrastructure.selector" . | nindent 8 }}
    spec:
      accessModes: [ReadWriteOnce]
      {{- with $values.persistence.storageClass }}
      storageClassName: {{ . | quote }}
      {{- end }}
      resources:
        requests:
          storage: {{ $values.persistence.size }}
{{- end }}
{{- end }}

{{- /* It also takes "labels" and "annotations". */}}
{{- define "infrastructure.podMetadata" -}}
{{- $values := get .root.Values .name -}}
labels: {{- merge (include "infrastructure.selector" . | fromYaml) (.labels | default dict) ($values.podLabels | default dict) .root.Values.global.commonLabels | toYaml | nindent 2 }}
{{- with mergeOverwrite (.annotations | default dict) ($values.podAnnotations | default dict) }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "infrastructure.serviceAccountName" -}}
{{- $account := (get .root.Values .name).serviceAccount | default dict -}}
{{ $account.name | default (dig "create" true $account | ternary (include "infrastructure.name" .) "default") | quote }}
{{- end }}

{{- /* Parts of all pods. It also takes "token": whether the pod calls the API server. */}}
{{- define "infrastructure.pod" -}}
{{- $values := get .root.Values .name -}}
automountServiceAccountToken: {{ .token | default false }}
enableServiceLinks: false
serviceAccountName: {{ include "infrastructure.serviceAccountName" . }}
terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds | default 60 }}
securityContext: {{- $values.podSecurityContext | default dict | mergeOverwrite (deepCopy .root.Values.podSecurityContext) | toYaml | nindent 2 }}
{{- with .root.Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ kindIs "string" . | ternary (toString .) (get (kindIs "map" . | ternary . dict) "name") | quote }}
  {{- end }}
{{- end }}
{{- range $field := list "affinity" "nodeSelector" "priorityClassName" "tolerations" "topologySpreadConstraints" }}
{{- with get $values $field }}
{{ $field }}: {{ toJson . }}
{{- end }}
{{- end }}
{{- end }}

{{- /* An image in global.imageRegistry, which replaces the image's. Takes list $ IMAGE. */}}
{{- define "infrastructure.registry" -}}
{{- $registry := (first .).Values.global.imageRegistry }}
{{- empty $registry | ternary (last .) (regexReplaceAll "^(localhost/|[^/]+[.:][^/]*/)?" (last .) (print $registry "/")) }}
{{- end }}

{{- define "infrastructure.container" -}}
{{- $values := get .root.Values .name -}}
{{- if kindIs "string" $values.image -}}
image: {{ include "infrastructure.registry" (list .root $values.image) }}
imagePullPolicy: {{ $values.pullPolicy }}
{{- else }}{{ with $values.image -}}
image: {{ include "infrastructure.registry" (list $.root .repository) }}:{{ .tag | default $.root.Values.global.imageTag | default $.root.Chart.AppVersion }}{{ with .digest }}@{{ . }}{{ end }}
imagePullPolicy: {{ .pullPolicy }}
{{- end }}{{ end }}
securityContext: {{- $values.securityContext | default dict | mergeOverwrite (deepCopy .root.Values.securityContext) | toYaml | nindent 2 }}
resources: {{- toYaml (.resources | default $values.resources) | nindent 2 }}
{{- with $values.extraEnvFrom }}
envFrom: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* The sum of a Secret that is not this chart's. Pods are replaced when it changes. Also takes "secret". */}}
{{- define "infrastructure.existingSum" -}}
{{- (lookup "v1" "Secret" .root.Release.Namespace .secret).data | toJson | sha256sum }}
{{- end }}

{{- /* A container that runs a command at its start, and when the certificate or its authority was
       renewed. Also takes "command", "more": lines of the container, and "resources". */}}
{{- define "infrastructure.reload" -}}
{{- if .root.Values.tls.enabled -}}
initContainers:
  - name: reload
    restartPolicy: Always # it runs beside the server
    {{- $small := dict "requests" (dict "cpu" "5m" "memory" "8Mi") "limits" (dict "memory" "64Mi") }}
    {{- include "infrastructure.container" (merge (dict "resources" (.resources | default $small)) .) | nindent 4 }}
    command: [/bin/sh, -c]
    args:
      - |
        trap 'exit 0' TERM
        last=
        while :; do
          now=$(cat /tls/tls.crt /tls/ca.crt)
          if [ "$now" = "$last" ] || { {{ .command }} & wait $! && last=$now; }; then pause=60; else pause=5; fi
          sleep $pause & wait
        done
    {{- .more | nindent 4 }}
{{- end }}
{{- end }}

{{- define "infrastructure.tlsMount" -}}
{{- if .root.Values.tls.enabled -}}
- {name: tls, mountPath: /tls, readOnly: true}
{{- end }}
{{- end }}

{{- define "infrastructure.tlsVolume" -}}
{{- if .root.Values.tls.enabled -}}
- name: tls
  secret:
    secretName: {{ include "infrastructure.name" . }}-tls
    defaultMode: 0440 # PostgreSQL refuses a key that all may read
    items: # until the Secret has all of them, the pod waits
      - {key: tls.crt, path: tls.crt}
      - {key: tls.key, path: tls.key}
      - {key: ca.crt, path: ca.crt}
{{- end }}
{{- end }}

{{- /* The data volume if it is not persistent, and a writable directory beside the read-only root
       file system. */}}
{{- define "infrastructure.volumes" -}}
{{- $values := get .root.Values .name -}}
- name: scratch
  emptyDir: {sizeLimit: 64Mi}
{{- with $values.persistence }}
{{- if not .enabled }}
- name: data
  emptyDir: {sizeLimit: {{ .size }}}
{{- end }}
{{- end }}
{{- with $values.extraVolumes }}{{ toYaml . | nindent 0 }}{{ end }}
{{- end }}

{{- define "infrastructure.serviceAccount" -}}
{{- $account := (get .root.Values .name).serviceAccount | default dict -}}
{{- if dig "create" true $account -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "infrastructure.serviceAccountName" . }}
  labels: {{- include "infrastructure.labels" . | nindent 4 }}
  {{- with $account.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{- end }}
{{- end }}

{{- /* GOMEMLIMIT: nine tenths of a container's memory limit. Takes the limit. */}}
{{- define "infrastructure.goMemory" -}}
{{- $mib := hasSuffix "Gi" . | ternary (mul 1024 (trimSuffix "Gi" . | int)) (trimSuffix "Mi" . | int) }}
{{- printf "%dMiB" (div (mul 9 $mib) 10) }}
{{- end }}

{{- /* The annotations by which Prometheus finds a pod; none if a PodMonitor selects it, otherwise
       it would be scraped twice. Takes $. */}}
{{- define "infrastructure.scrape" -}}
{{- $operator := toString .Values.global.prometheusOperator }}
{{- if not (or (eq $operator "true") (and (eq $operator "auto") (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1/PodMonitor"))) -}}
prometheus.io/scrape: "true"
prometheus.io/port: "9090"
prometheus.io/path: /metrics
{{- end }}
{{- end }}

{{- /* How to open Prometheus and Grafana. Takes $. */}}
{{- define "infrastructure.notes" -}}
{{- $kubectl := printf "kubectl --namespace %s" .Release.Namespace }}
{{- if .Values.prometheus.enabled }}

To open Prometheus, with metrics and alerts, at http://127.0.0.1:9090:

  {{ $kubectl }} port-forward service/{{ include "infrastructure.fullname" . }}-prometheus 9090
{{- end }}
{{- if .Values.grafana.enabled }}

To open Grafana, with dashboards, at http://127.0.0.1:3000, and to get its username and password:

  {{ $kubectl }} port-forward service/{{ include "infrastructure.fullname" . }}-grafana 3000
  {{ $kubectl }} get secret {{ .Values.grafana.existingSecret | default (printf "%s-grafana" (include "infrastructure.fullname" .)) }} --template '{{ "{{ .data.username | base64decode }} {{ .data.password | base64decode }}{{ \"\\n\" }}" }}'
{{- end }}
{{- end }}
