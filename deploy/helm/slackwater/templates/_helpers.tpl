{{/* What the gateway and the sidecar have in common. */}}

{{/* The name of all objects. */}}
{{- define "slackwater.fullname" -}}
{{- $values := include "slackwater.values" . | fromYaml -}}
{{- if $values.fullnameOverride -}}
{{- $values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains "slackwater" .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-slackwater" (.Release.Name | trunc 41 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{/* This chart's values, in its own templates and in those of a chart that has it as a dependency. */}}
{{- define "slackwater.values" -}}
{{- if eq .Chart.Name "slackwater" -}}
{{- toYaml .Values -}}
{{- else if not (hasKey .Values "slackwater") -}}
{{- fail "there are no values of slackwater; list it in the dependencies of Chart.yaml, without an alias" -}}
{{- else if .Values.slackwater.gateway.enabled -}}
{{- fail "slackwater.gateway.enabled: this chart has the sidecar, and would get a gateway too; set it to false in values.yaml" -}}
{{- else -}}
{{- toYaml .Values.slackwater -}}
{{- end -}}
{{- end -}}

{{- define "slackwater.selectorLabels" -}}
app.kubernetes.io/name: slackwater
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* What Helm wants to know of an object. */}}
{{- define "slackwater.helmLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "slackwater.labels" -}}
{{ include "slackwater.selectorLabels" . }}
{{ include "slackwater.helmLabels" . }}
{{- end -}}

{{- define "slackwater.image" -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag }}
{{- end -}}
{{- end -}}

{{/* The data of a ConfigMap: `values` are the chart's, `own` the gateway's or the sidecar's. */}}
{{- define "slackwater.data" -}}
{{- if eq (int .own.port) (int .own.adminPort) -}}
{{- fail (printf "%s.adminPort: %d is the port of bots too; give the two different ports" .name (int .own.port)) -}}
{{- end -}}
{{- if hasKey .own.config "listen" -}}
{{- fail (printf "%s.config.listen: it follows from %s.port; set that, and delete this key" .name .name) -}}
{{- end -}}
admin-host: {{ ternary .values.metrics.host "127.0.0.1" .values.metrics.enabled | quote }}
admin-port: {{ int .own.adminPort | quote }}
slackwater.yaml: |
  {{- merge (dict "listen" (printf "%s:%d" .host (int .own.port))) (.more | default dict) .own.config | toYaml | nindent 2 }}
{{- end -}}

{{/* What is the same in both containers: `name` is that of the ConfigMap. */}}
{{- define "slackwater.env" -}}
- name: SLACKWATER_CONFIG
  value: /etc/slackwater/slackwater.yaml
# Where operators connect.
- name: ADMIN_HOST
  valueFrom:
    configMapKeyRef:
      name: {{ .name }}
      key: admin-host
- name: ADMIN_PORT
  valueFrom:
    configMapKeyRef:
      name: {{ .name }}
      key: admin-port
- name: SLACKWATER_ADMIN_LISTEN
  value: $(ADMIN_HOST):$(ADMIN_PORT)
{{- with .own.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Commands and not HTTP, because the kubelet does not reach the pod's loopback. No livenessProbe: a container that
ends is started again without one, and one that is killed because its node is busy takes all the calls with it that it
holds. */}}
{{- define "slackwater.probes" -}}
startupProbe:
  exec:
    command: [slackwater, status, --ready]
  periodSeconds: 1
  timeoutSeconds: 5
  failureThreshold: 60
readinessProbe:
  exec:
    command: [slackwater, status, --ready]
  periodSeconds: {{ . }}
  timeoutSeconds: 5
{{- end -}}

{{/* The volume of the configuration: the whole directory, since a file by subPath would not be seen to change. */}}
{{- define "slackwater.configVolume" -}}
configMap:
  name: {{ . }}
  items:
    - key: slackwater.yaml
      path: slackwater.yaml
{{- end -}}

{{/* How the gateway's replicas share their limits: what the configuration says, or the chart's own server. */}}
{{- define "slackwater.shared" -}}
{{- $own := .Values.gateway -}}
{{- $shared := $own.config.shared | default dict -}}
{{- if hasKey $shared "ordinal" -}}
{{- fail "gateway.config.shared.ordinal: each pod has its own; delete this key" -}}
{{- end -}}
{{- if not .Values.redis.enabled -}}
{{- toYaml $shared -}}
{{- else if $shared.redis -}}
{{- fail "gateway.config.shared.redis: redis.enabled brings a server of its own; use one of the two" -}}
{{- else -}}
{{- $most := ternary $own.autoscaling.maxReplicas $own.replicas $own.autoscaling.enabled -}}
{{- $redis := printf "redis://slackwater@%s-redis:6379/0" (include "slackwater.fullname" .) -}}
{{- /* One more during an update. */ -}}
{{- $chart := dict "redis" $redis "password" "${REDIS_PASSWORD}" "replicas" (add1 (int $most)) -}}
{{- merge (dict) $shared $chart | toYaml -}}
{{- end -}}
{{- end -}}

{{/* `redis`, `parts` or nothing. */}}
{{- define "slackwater.sharedBy" -}}
{{- $shared := include "slackwater.shared" . | fromYaml -}}
{{- if $shared.redis -}}redis{{- else if $shared.replicas -}}parts{{- end -}}
{{- end -}}

{{- define "slackwater.claim" -}}
accessModes: [ReadWriteOncePod]
{{- with .storageClassName }}
storageClassName: {{ . }}
{{- end }}
resources:
  requests:
    storage: {{ .size }}
{{- end -}}

{{- define "slackwater.redisLabels" -}}
app.kubernetes.io/name: slackwater-redis
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "slackwater.redisPassword" -}}
- name: REDIS_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ .Values.redis.secret }}
      key: password
{{- end -}}
