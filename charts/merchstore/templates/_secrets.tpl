{{- /* The value of a Secret's key: that of the cluster, otherwise a random one. It is stored in
       .Values, so that a rendering uses one value. Takes dict "root" $ "name" "jwt" "key" "keys"
       "prefix" "k1:". */}}
{{- define "merchstore.generated" -}}
{{- $generated := get .root.Values "generated" | default dict }}
{{- $id := printf "%s/%s" .name .key }}
{{- if not (hasKey $generated $id) }}
  {{- $secret := lookup "v1" "Secret" .root.Release.Namespace (include "merchstore.name" .) }}
  {{- $value := dig "data" .key "" $secret | b64dec }}
  {{- if not $value }}
    {{- include "merchstore.mayGenerate" . }}
    {{- $value = print .prefix (randAlphaNum .length) }}
  {{- end }}
  {{- $_ := set $generated $id $value }}
  {{- $_ := set .root.Values "generated" $generated }}
{{- end }}
{{- get $generated $id }}
{{- end }}

{{- /* Fails if the cluster's Secrets cannot be looked up, because each rendering would then make new
       ones. Every cluster has the namespace default; the other can be read with less permissions. */}}
{{- define "merchstore.mayGenerate" -}}
{{- if not (or (eq (toString .root.Values.global.generateSecrets) "true") (lookup "v1" "Namespace" "" .root.Release.Namespace) (lookup "v1" "Namespace" "" "default")) }}
  {{- printf "the Secret %s cannot be looked up (helm template, Argo CD, --dry-run=client), so each rendering would make another: name one of your own in %s.existingSecret, or set global.generateSecrets to true if this is not going to be applied" (include "merchstore.name" .) .name | fail }}
{{- end }}
{{- end }}

{{- define "merchstore.jwt.keys" -}}
{{ include "merchstore.generated" (dict "root" . "name" "jwt" "key" "keys" "prefix" "k1:" "length" 48) }}
{{- end }}

{{- define "merchstore.admin.password" -}}
{{ include "merchstore.generated" (dict "root" . "name" "admin" "key" "password" "prefix" "" "length" 20) }}
{{- end }}

{{- define "merchstore.jwt.secret" -}}
{{ .Values.jwt.existingSecret | default (include "merchstore.name" (dict "root" . "name" "jwt")) }}
{{- end }}

{{- define "merchstore.admin.secret" -}}
{{ .Values.admin.existingSecret | default (include "merchstore.name" (dict "root" . "name" "admin")) }}
{{- end }}

{{- define "merchstore.database.secret" -}}
{{- with .Values.database.existingSecret }}{{ . }}{{ else }}{{ include "infrastructure.postgresql.appSecret" .Subcharts.infrastructure }}{{ end }}
{{- end }}

{{- /* The Secret with the URL for the role that owns the tables, and its key. */}}
{{- define "merchstore.migrations.secret" -}}
{{- with .Values.database.existingSecret }}{{ $.Values.database.migrations.existingSecret | default . }}
{{- else }}{{ include "infrastructure.postgresql.secret" .Subcharts.infrastructure }}{{ end }}
{{- end }}

{{- define "merchstore.migrations.key" -}}
{{ empty .Values.database.migrations.existingSecret | ternary (include "merchstore.database.key" .) .Values.database.migrations.key }}
{{- end }}

{{- define "merchstore.database.key" -}}
{{ ne .Values.database.existingSecret "" | ternary .Values.database.key "url" }}
{{- end }}

{{- /* The Secret with the cache's URL, or "" if there is no cache. */}}
{{- define "merchstore.cache.secret" -}}
{{- if .Values.cache.existingSecret }}{{ .Values.cache.existingSecret }}
{{- else if include "merchstore.includes" (dict "root" . "name" "valkey") }}{{ include "infrastructure.valkey.secret" .Subcharts.infrastructure }}{{ end }}
{{- end }}

{{- define "merchstore.cache.key" -}}
{{ ne .Values.cache.existingSecret "" | ternary .Values.cache.key "url" }}
{{- end }}

{{- /* How Kafka is connected to, as JSON: "tls"; "authority", the Secret with the authority of its
       certificate; "sasl"; "secret", with username and password. */}}
{{- define "merchstore.kafka" -}}
{{- if include "merchstore.encrypts" (dict "root" . "name" "kafka") }}
{{- with .Subcharts.infrastructure }}
{{- dict "tls" true "authority" (print (include "infrastructure.name" (dict "root" . "name" "kafka")) "-tls") "sasl" "SCRAM-SHA-512" "secret" (include "infrastructure.kafka.secret" .) | toJson }}
{{- end }}
{{- else }}{{ with .Values.kafka }}
{{- dict "tls" .tls.enabled "authority" (and .tls.enabled .tls.privateAuthority | ternary .existingSecret "") "sasl" .sasl "secret" .existingSecret | toJson }}
{{- end }}{{ end }}
{{- end }}

{{- /* The content of a Secret that is not this chart's, if it can be looked up. */}}
{{- define "merchstore.existing" -}}
{{ (lookup "v1" "Secret" .root.Release.Namespace .secret).data | toJson }}
{{- end }}

{{- /* The content of a workload's secrets, for a checksum: its pods are replaced if one changes.
       */}}
{{- define "merchstore.jwt.content" -}}
{{- with .Values.jwt.existingSecret }}{{ include "merchstore.existing" (dict "root" $ "secret" .) }}
{{- else }}{{ include "merchstore.jwt.keys" . }}{{ end }}
{{- end }}

{{- define "merchstore.admin.content" -}}
{{- with .Values.admin.existingSecret }}{{ include "merchstore.existing" (dict "root" $ "secret" .) }}
{{- else }}{{ .Values.admin.username }} {{ include "merchstore.admin.password" . }}{{ end }}
{{- end }}

{{- define "merchstore.database.content" -}}
{{- with .Values.database.existingSecret }}{{ include "merchstore.existing" (dict "root" $ "secret" .) }}
{{- else with .Subcharts.infrastructure.Values.postgresql.app.existingSecret }}{{ include "merchstore.existing" (dict "root" $ "secret" .) }}
{{- else }}{{ include "infrastructure.postgresql.appURL" .Subcharts.infrastructure }}{{ end }}
{{- end }}

{{- define "merchstore.cache.content" -}}
{{- if .Values.cache.existingSecret }}{{ include "merchstore.existing" (dict "root" $ "secret" .Values.cache.existingSecret) }}
{{- else if include "merchstore.includes" (dict "root" . "name" "valkey") }}
{{- with .Subcharts.infrastructure.Values.valkey.existingSecret }}{{ include "merchstore.existing" (dict "root" $ "secret" .) }}
{{- else }}{{ include "infrastructure.valkey.url" .Subcharts.infrastructure }}{{ end }}
{{- end }}
{{- end }}

{{- define "merchstore.kafka.content" -}}
{{- if .Values.kafka.existingSecret }}{{ include "merchstore.existing" (dict "root" $ "secret" .Values.kafka.existingSecret) }}
{{- else if include "merchstore.encrypts" (dict "root" . "name" "kafka") }}
{{- with .Subcharts.infrastructure.Values.kafka.existingSecret }}{{ include "merchstore.existing" (dict "root" $ "secret" .) }}
{{- else }}{{ include "infrastructure.generated" (dict "root" .Subcharts.infrastructure "name" "kafka" "key" "password") }}{{ end }}
{{- end }}
{{- end }}

{{- define "merchstore.api.secrets" -}}
{{ include "merchstore.jwt.content" . }}
{{- end }}

{{- define "merchstore.db.secrets" -}}
{{ include "merchstore.jwt.content" . }} {{ include "merchstore.admin.content" . }} {{ include "merchstore.database.content" . }} {{ with .Values.database.tls.existingSecret }}{{ include "merchstore.existing" (dict "root" $ "secret" .) }} {{ end }}{{ include "merchstore.cache.content" . }}
{{- end }}

{{- define "merchstore.logging.secrets" -}}
{{ include "merchstore.jwt.content" . }} {{ include "merchstore.kafka.content" . }}
{{- end }}
