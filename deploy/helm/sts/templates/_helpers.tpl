{{- define "sts.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{ else }}{{ printf "%s-sts" (.Release.Name | trunc 48 | trimSuffix "-") }}{{ end }}
{{- end }}

{{- define "sts.selector" -}}
app.kubernetes.io/name: sts
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "sts.labels" -}}
{{ include "sts.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "sts.image" -}}
{{- $repository := required "image.repository: say where the image is" .Values.image.repository -}}
{{- if .Values.image.digest }}{{ $repository }}@{{ .Values.image.digest }}{{ else }}{{ $repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* The name of the port that serves the metrics beyond the pod; empty if none does. */}}
{{- define "sts.metricsPort" -}}
{{- if .Values.metrics.enabled }}{{ ternary "metrics" "admin" (ne .Values.metrics.listen "") }}{{ end -}}
{{- end }}

{{- define "sts.metricsNumber" -}}
{{- if .Values.metrics.listen }}{{ .Values.metrics.listen | splitList ":" | last }}{{ else }}9090{{ end -}}
{{- end }}

{{/* sts.yaml: what the values say, and what the chart knows. */}}
{{- define "sts.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- range $key := list "listen" "tls" "admin" "metrics" "data_dir" "store" "accounts" -}}
{{- if hasKey $config $key }}{{ fail (printf "config.%s: the chart sets it; remove it" $key) }}{{ end -}}
{{- end -}}
{{- $_ := required "config.issuer: the URL that clients and verifiers reach the server at" $config.issuer -}}
{{- if not $config.behind_tls_proxy -}}
{{- $_ := unset $config "behind_tls_proxy" -}}
{{- if not .Values.tls.secretName }}{{ fail "somebody must end TLS: set tls.secretName, or config.behind_tls_proxy to the addresses of the ingress controller" }}{{ end -}}
{{- end -}}
{{- $_ := set $config "listen" "0.0.0.0:8080" -}}
{{- $_ := set $config "data_dir" "/var/lib/sts/data" -}}
{{- if .Values.accounts }}{{ $_ := set $config "accounts" "/etc/sts/accounts/*.yaml" }}{{ end -}}
{{- if .Values.tls.secretName }}{{ $_ := set $config "tls" (dict "cert_file" "/etc/sts/tls/tls.crt" "key_file" "/etc/sts/tls/tls.key") }}{{ end -}}
{{- if eq (include "sts.metricsPort" .) "metrics" }}{{ $_ := set $config "metrics" (dict "listen" .Values.metrics.listen) }}{{ end -}}
{{- if eq (include "sts.metricsPort" .) "admin" }}{{ $_ := set $config "admin" (dict "listen" "0.0.0.0:9090" "tls" (dict "cert_file" "/etc/sts/admin-tls/tls.crt" "key_file" "/etc/sts/admin-tls/tls.key")) }}{{ end -}}
{{- if .Values.redis.url -}}
{{- $store := dict "url" .Values.redis.url -}}
{{- with .Values.redis.username }}{{ $_ := set $store "username" . }}{{ end -}}
{{- if .Values.redis.passwordSecret.name }}{{ $_ := set $store "password_file" "/etc/sts/redis/password" }}{{ end -}}
{{- if .Values.redis.caSecret.name }}{{ $_ := set $store "ca_file" "/etc/sts/redis/ca.crt" }}{{ end -}}
{{- with .Values.redis.shards }}{{ $_ := set $store "shards" (int .) }}{{ end -}}
{{- $_ := set $config "store" $store -}}
{{- end -}}
{{- if .Values.keys.existingClaim -}}
{{- $signing := deepCopy (default dict $config.signing) -}}
{{- $_ := set $signing "keys_dir" "/var/lib/sts-keys/keys" -}}
{{- $_ := set $config "signing" $signing -}}
{{- end -}}
{{- with .Values.keys.sealSecret -}}
{{- if .name -}}
{{- $signing := deepCopy (default dict $config.signing) -}}
{{- $_ := set $signing "store" "redis" -}}
{{- $_ := set $signing "seal_key_file" (ternary (list "/etc/sts/keys/seal" "/etc/sts/keys/previous") "/etc/sts/keys/seal" (ne .previousKey "")) -}}
{{- $_ := set $config "signing" $signing -}}
{{- end -}}
{{- end -}}
{{- toYaml $config -}}
{{- end }}

{{/* What would go wrong only later is refused now. */}}
{{- define "sts.validate" -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.redis.url) }}{{ fail "replicas: the embedded store is a file of one process; set redis.url for more than one replica" }}{{ end -}}
{{- $sealed := .Values.keys.sealSecret.name -}}
{{- if and (gt (int .Values.replicas) 1) (not $sealed) (not .Values.keys.existingClaim) }}{{ fail "keys: replicas share their signing keys; name a Secret in keys.sealSecret, or a ReadWriteMany claim in keys.existingClaim" }}{{ end -}}
{{- if and $sealed (not .Values.redis.url) }}{{ fail "keys.sealSecret: the signing keys are sealed in Redis; set redis.url" }}{{ end -}}
{{- if and .Values.metrics.enabled (not .Values.metrics.tlsSecretName) (not .Values.metrics.listen) }}{{ fail "metrics.listen: give the metrics a listener, such as 0.0.0.0:9464; or name a Secret in metrics.tlsSecretName, since the admin listener leaves the pod only with TLS" }}{{ end -}}
{{- if and .Values.metrics.listen .Values.metrics.tlsSecretName }}{{ fail "metrics.listen: the metrics have a listener of their own, or are on the admin listener of metrics.tlsSecretName; not both" }}{{ end -}}
{{- if has (include "sts.metricsNumber" .) (list "8080" "9090") | and .Values.metrics.listen }}{{ fail "metrics.listen: the ports 8080 and 9090 are those of other listeners" }}{{ end -}}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.enabled) }}{{ fail "metrics.serviceMonitor.enabled needs metrics.enabled" }}{{ end -}}
{{- if and .Values.metrics.enabled .Values.networkPolicy.enabled (not .Values.metrics.from) }}{{ fail "metrics.from: name who may reach the listener with the metrics, such as the namespace of Prometheus" }}{{ end -}}
{{- range $key := list "keys_dir" "store" "seal_key_file" -}}
{{- if hasKey (default dict $.Values.config.signing) $key }}{{ fail (printf "config.signing.%s: the chart sets it; use keys.sealSecret or keys.existingClaim" $key) }}{{ end -}}
{{- end -}}
{{- end }}

{{- define "sts.probe" -}}
{{- $root := index . 0 -}}
{ path: {{ index . 1 }}, port: http, scheme: {{ ternary "HTTPS" "HTTP" (ne $root.Values.tls.secretName "") }} }
{{- end }}
