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
{{- end -}}

{{/* Items of `volumes`. */}}
{{- define "slackwater.volumes" -}}
{{- $values := include "slackwater.values" . | fromYaml -}}
- name: slackwater-config
  {{- include "slackwater.configVolume" (include "slackwater.fullname" .) | nindent 2 }}
- name: slackwater-state
  emptyDir:
    sizeLimit: {{ $values.sidecar.stateSizeLimit }}
{{- end -}}

{{/* The ConfigMap, one for all sidecars of the release. */}}
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
{{- end -}}
