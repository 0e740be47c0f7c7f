{{- /* Most of these take the workload: dict "root" $ "name" "api" "values" .Values.api. */}}

{{- define "merchstore.name" -}}
{{ .root.Release.Name }}-{{ .name }}
{{- end }}

{{- define "merchstore.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
{{- end }}

{{- define "merchstore.labels" -}}
{{ include "merchstore.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: merchstore
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- /* Name and labels of an object. It validates the values, because every object includes it. */}}
{{- define "merchstore.metadata" -}}
{{- include "merchstore.validate" .root -}}
name: {{ include "merchstore.name" . }}
labels: {{- include "merchstore.labels" . | nindent 2 }}
{{- end }}

{{- /* "true" if the infrastructure chart contains the named server: dict "root" $ "name" "kafka".
       */}}
{{- define "merchstore.includes" -}}
{{- $infrastructure := .root.Values.infrastructure }}
{{- if and $infrastructure.enabled (dig .name "enabled" false $infrastructure) }}true{{ end }}
{{- end }}
