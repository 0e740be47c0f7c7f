{{- /* Most of these take the workload: dict "root" $ "name" "api" "values" .Values.api. */}}

{{- define "merchstore.name" -}}
{{ .root.Release.Name }}-{{ .name }}
{{- end }}

{{- define "merchstore.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{- define "merchstore.labels" -}}
{{ include "merchstore.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: merchstore
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- /* Names and labels of an object. All objects have them, so bad values are found whichever is rendered first. */}}
{{- define "merchstore.metadata" -}}
{{- include "merchstore.validate" .root -}}
name: {{ include "merchstore.name" . }}
labels: {{- include "merchstore.labels" . | nindent 2 }}
{{- end }}

{{- /* "true" if the infrastructure chart brings the PostgreSQL or Kafka that is named: dict "root" $ "name" "kafka". */}}
{{- define "merchstore.brings" -}}
{{- $infrastructure := .root.Values.infrastructure }}
{{- if and $infrastructure.enabled (dig .name "enabled" false $infrastructure) }}true{{ end }}
{{- end }}
