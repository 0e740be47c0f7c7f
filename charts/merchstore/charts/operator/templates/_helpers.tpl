{{- define "operator.name" -}}
{{ .Values.fullnameOverride | default (printf "%s-%s" .Release.Name (.Values.nameOverride | default "operator")) }}
{{- end }}

{{- define "operator.selector" -}}
app.kubernetes.io/name: operator
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "operator.labels" -}}
{{- merge (include "operator.selector" . | fromYaml) (dict
      "app.kubernetes.io/version" .Chart.AppVersion
      "app.kubernetes.io/part-of" "merchstore"
      "app.kubernetes.io/managed-by" .Release.Service
      "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version)
    ) .Values.global.commonLabels | toYaml }}
{{- end }}

{{- define "operator.podLabels" -}}
{{- merge (include "operator.selector" . | fromYaml) (dict
      "app.kubernetes.io/part-of" "merchstore"
      "merchstore.io/postgresql-client" "true"
      "merchstore.io/kafka-client" "true"
    ) .Values.podLabels .Values.global.commonLabels | toYaml }} {{- /* the infrastructure chart's network policies select them */}}
{{- end }}

{{- define "operator.podAnnotations" -}}
{{- if not (include "operator.podMonitor" .) }}
prometheus.io/scrape: "true"
prometheus.io/port: "9090"
prometheus.io/path: /metrics
{{- end }}
checksum/config: {{ include "operator.config" . | sha256sum }}
{{- end }}

{{- define "operator.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (.Values.serviceAccount.create | ternary (include "operator.name" .) "default") }}
{{- end }}

{{- /* The namespaces to watch, as JSON. */}}
{{- define "operator.namespaces" -}}
{{ .Values.watchNamespaces | default (list .Release.Namespace) | uniq | toJson }}
{{- end }}

{{- define "operator.image" -}}
{{- with .Values.image -}}
{{ include "operator.registry" (list $ .repository) }}:{{ .tag | default $.Values.global.imageTag | default $.Chart.AppVersion }}{{ with .digest }}@{{ . }}{{ end }}
{{- end }}
{{- end }}

{{- /* An image in global.imageRegistry, which replaces the image's. Takes list $ IMAGE. */}}
{{- define "operator.registry" -}}
{{- $registry := (first .).Values.global.imageRegistry }}
{{- empty $registry | ternary (last .) (regexReplaceAll "^(localhost/|[^/]+[.:][^/]*/)?" (last .) (print $registry "/")) }}
{{- end }}

{{- /* GOMEMLIMIT: nine tenths of the container's memory limit, so that Go collects garbage before
       the kernel kills the process. */}}
{{- define "operator.goMemory" -}}
{{- $limit := .Values.resources.limits.memory }}
{{- $mib := hasSuffix "Gi" $limit | ternary (mul 1024 (trimSuffix "Gi" $limit | int)) (trimSuffix "Mi" $limit | int) }}
{{- printf "%dMiB" (div (mul 9 $mib) 10) }}
{{- end }}

{{- define "operator.config" -}}
WATCH_NAMESPACES: {{ include "operator.namespaces" . | fromJsonArray | join "," | quote }}
DRAIN_DELAY: "{{ .Values.shutdown.drainDelaySeconds }}s"
SHUTDOWN_TIMEOUT: "{{ .Values.shutdown.timeoutSeconds }}s"
{{- range $name, $value := .Values.settings }}
{{ $name }}: {{ kindIs "string" $value | ternary $value (toJson $value) | quote }}
{{- end }}
{{- end }}

{{- /* Fails if the cluster's definitions differ from this chart's. Without a cluster, it does
       nothing. */}}
{{- define "operator.checkDefinitions" -}}
{{- range $path, $_ := .Files.Glob "crds/*.yaml" }}
  {{- $ours := $.Files.Get $path | fromYaml }}
  {{- $theirs := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" $ours.metadata.name }}
  {{- if and $theirs (ne (include "operator.schemas" $ours) (include "operator.schemas" $theirs)) }}
    {{- printf "the cluster's definition %s is not this chart's, and helm does not change definitions. Run `helm show crds CHART | kubectl apply --server-side --force-conflicts -f -` first, or set checkDefinitions to false to use the cluster's" $ours.metadata.name | fail }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "operator.schemas" -}}
{{- range .spec.versions }}{{ .name }} {{ toJson .schema }} {{ toJson .selectableFields }}{{ end }}
{{- end }}

{{- /* "true" if a PodMonitor selects the pods, otherwise annotations do. With both, pods would be
       scraped twice. */}}
{{- define "operator.podMonitor" -}}
{{- $operator := toString .Values.global.prometheusOperator }}
{{- if or (eq $operator "true") (and (eq $operator "auto") (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1/PodMonitor")) }}true{{ end }}
{{- end }}
