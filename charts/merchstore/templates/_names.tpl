{{- /* Most of these take the workload: dict "root" $ "name" "api" "values" .Values.api. */}}

{{- /* What the names of all objects begin with. Takes $. */}}
{{- define "merchstore.fullname" -}}
{{ .Values.fullnameOverride | default (list .Release.Name .Values.nameOverride | compact | join "-") }}
{{- end }}

{{- define "merchstore.name" -}}
{{ include "merchstore.fullname" .root }}-{{ .name }}
{{- end }}

{{- define "merchstore.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
{{- end }}

{{- define "merchstore.labels" -}}
{{- merge (include "merchstore.selector" . | fromYaml) (dict
      "app.kubernetes.io/version" .root.Chart.AppVersion
      "app.kubernetes.io/part-of" "merchstore"
      "app.kubernetes.io/managed-by" .root.Release.Service
      "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version)
    ) .root.Values.global.commonLabels | toYaml }}
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
