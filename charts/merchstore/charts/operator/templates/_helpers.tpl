{{- define "operator.name" -}}
{{ .Release.Name }}-operator
{{- end }}

{{- define "operator.selector" -}}
app.kubernetes.io/name: operator
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "operator.labels" -}}
{{ include "operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: merchstore
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* The namespaces to watch, as JSON. */}}
{{- define "operator.namespaces" -}}
{{ .Values.watchNamespaces | default (list .Release.Namespace) | uniq | toJson }}
{{- end }}

{{- define "operator.image" -}}
{{- with .Values.image -}}
{{ .repository }}:{{ .tag | default $.Values.global.imageTag | default $.Chart.AppVersion }}{{ with .digest }}@{{ . }}{{ end }}
{{- end }}
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
