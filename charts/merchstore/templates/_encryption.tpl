{{- /* How a service is called in certificates; docs/decisions/0025-certificates-from-the-operator.md.
       Takes the workload. */}}
{{- define "merchstore.encryption.uri" -}}
spiffe://merchstore.io/{{ .root.Release.Namespace }}/{{ .root.Release.Name }}/{{ .name }}
{{- end }}

{{- /* What has a certificate, as JSON. */}}
{{- define "merchstore.certificates" -}}
{{- $names := .Values.encryption.enabled | ternary (list "api" "db" "logging") list }}
{{- range list "postgresql" "kafka" "valkey" }}
  {{- if include "merchstore.encrypts" (dict "root" $ "name" .) }}{{ $names = append $names . }}{{ end }}
{{- end }}
{{- toJson $names }}
{{- end }}

{{- /* "true" if the infrastructure's named server uses TLS. */}}
{{- define "merchstore.encrypts" -}}
{{- if and (include "merchstore.includes" .) .root.Values.infrastructure.tls.enabled }}true{{ end }}
{{- end }}

{{- /* The Secret with the authority of PostgreSQL's certificate; "" if it is not verified. */}}
{{- define "merchstore.database.authority" -}}
{{- if include "merchstore.encrypts" (dict "root" . "name" "postgresql") }}{{ include "infrastructure.name" (dict "root" .Subcharts.infrastructure "name" "postgresql") }}-tls
{{- else }}{{ .Values.database.tls.existingSecret }}{{ end }}
{{- end }}

{{- define "merchstore.encryption.config" }}
{{- if .root.Values.encryption.enabled }}
TLS_DIR: /tls
{{- with get (dict "db" (list "api" "logging") "logging" (list "api" "db")) .name }}
{{- $callers := list }}
{{- range . }}{{ $callers = append $callers (include "merchstore.encryption.uri" (dict "root" $.root "name" .)) }}{{ end }}
TLS_CALLERS: {{ $callers | join "," | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- define "merchstore.encryption.mount" -}}
{{- if .root.Values.encryption.enabled -}}
- {name: tls, mountPath: /tls, readOnly: true}
{{- end }}
{{- end }}

{{- define "merchstore.encryption.volume" -}}
{{- if .root.Values.encryption.enabled -}}
- name: tls
  secret:
    secretName: {{ include "merchstore.name" . }}-tls
    items: # until the Secret has all of them, pods wait
      - {key: tls.crt, path: tls.crt}
      - {key: tls.key, path: tls.key}
      - {key: ca.crt, path: ca.crt}
{{- end }}
{{- end }}

{{- /* The protocol of a gRPC port, for meshes and proxies. */}}
{{- define "merchstore.encryption.appProtocol" -}}
{{- if not .Values.encryption.enabled }}, appProtocol: kubernetes.io/h2c{{ end }}
{{- end }}
