{{/* The sidecar, for the templates of a chart that has this one as a dependency. README.md shows how it is used. */}}

{{/* An item of `initContainers`, to be the first: it starts before the bot and ends after it. */}}
{{- define "slackwater.sidecar" -}}
{{- $values := include "slackwater.values" . | fromYaml -}}
{{- $own := $values.sidecar -}}
- name: slackwater
  image: {{ include "slackwater.image" $values.image }}
  {{- with $values.image.pullPolicy }}
  imagePullPolicy: {{ . }}
  {{- end }}
  restartPolicy: Always
  env:
    {{- include "slackwater.env" (dict "own" $own "name" (include "slackwater.fullname" .)) | nindent 4 }}
  ports:
    - name: admin
      containerPort: {{ int $own.adminPort }}
  {{- include "slackwater.probes" 10 | nindent 2 }}
  resources:
    {{- toYaml $own.resources | nindent 4 }}
  securityContext:
    {{- $context := dict "runAsNonRoot" true "readOnlyRootFilesystem" true "allowPrivilegeEscalation" false
        "capabilities" (dict "drop" (list "ALL")) "seccompProfile" (dict "type" "RuntimeDefault") }}
    {{- mergeOverwrite $context $own.securityContext | toYaml | nindent 4 }}
  volumeMounts:
    - name: slackwater-config
      mountPath: /etc/slackwater
      readOnly: true
    - name: slackwater-state
      mountPath: /var/lib/slackwater
    {{- if $own.hostsEntry.enabled }}
    # The kubelet leaves the /etc/hosts of a container alone that has a mount there. Otherwise the proxy would find itself
    # at slack.com.
    - name: slackwater-hosts
      mountPath: /etc/hosts
      subPath: hosts
      readOnly: true
    - name: slackwater-tls
      mountPath: /etc/slackwater-tls
      readOnly: true
    {{- end }}
{{- end -}}

{{/* Items of `volumes`. */}}
{{- define "slackwater.volumes" -}}
{{- $values := include "slackwater.values" . | fromYaml -}}
- name: slackwater-config
  {{- include "slackwater.configVolume" (include "slackwater.fullname" .) | nindent 2 }}
- name: slackwater-state
  emptyDir:
    sizeLimit: {{ $values.sidecar.stateSizeLimit }}
{{- with $values.sidecar.hostsEntry }}
{{- if .enabled }}
- name: slackwater-hosts
  configMap:
    name: {{ include "slackwater.fullname" $ }}-hosts
- name: slackwater-tls
  secret:
    secretName: {{ .tlsSecret }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Fields of the pod: Slack's names lead to the sidecar, for bots whose host cannot be changed. */}}
{{- define "slackwater.hostsEntry" -}}
{{- $values := include "slackwater.values" . | fromYaml -}}
{{- $own := $values.sidecar -}}
{{- if $own.hostsEntry.enabled -}}
{{- if ne (int $own.port) 443 -}}
{{- fail (printf "sidecar.port: with sidecar.hostsEntry bots connect to port 443, and this is %d; set it to 443" (int $own.port)) -}}
{{- end -}}
{{- if not $own.config.listen_tls -}}
{{- fail "sidecar.config.listen_tls: with sidecar.hostsEntry bots speak TLS; set it to the certificate in /etc/slackwater-tls" -}}
{{- end -}}
# All containers of the pod have these in their /etc/hosts, except those that mount one of their own.
hostAliases:
  - ip: 127.0.0.1
    hostnames: [slack.com, hooks.slack.com, api.slack.com]
securityContext:
  sysctls:
    # slackwater listens on port 443 without being root.
    - name: net.ipv4.ip_unprivileged_port_start
      value: "443"
{{- end -}}
{{- end -}}

{{/* The ConfigMap, one for all sidecars of the release; another one if Slack's names lead to them. */}}
{{- define "slackwater.configMap" -}}
{{- $values := include "slackwater.values" . | fromYaml -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "slackwater.fullname" . }}
  labels:
    {{- include "slackwater.helmLabels" . | nindent 4 }}
data:
  {{- include "slackwater.data" (dict "values" $values "own" $values.sidecar "name" "sidecar" "host" "127.0.0.1") | nindent 2 }}
{{- if $values.sidecar.hostsEntry.enabled }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "slackwater.fullname" . }}-hosts
  labels:
    {{- include "slackwater.helmLabels" . | nindent 4 }}
data:
  hosts: |
    # slackwater's own /etc/hosts, without the pod's hostAliases.
    127.0.0.1 localhost
    ::1 localhost
{{- end }}
{{- end -}}
