{{- define "trit.name" -}}
{{- $name := printf "%s-trit" .Release.Name }}
{{- if contains "trit" .Release.Name }}{{ $name = .Release.Name }}{{ end }}
{{- $name | trunc 53 | trimSuffix "-" }}
{{- end }}

{{- define "trit.selector" -}}
app.kubernetes.io/name: trit
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "trit.labels" -}}
{{ include "trit.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "trit.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "trit.container" -}}
image: {{ include "trit.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
volumeMounts:
  - name: models
    mountPath: /models
  - name: tmp
    mountPath: /tmp
{{- end }}

{{- /* A volume that one pod can have at a time: a second pod would wait for it for ever. */ -}}
{{- define "trit.strategy" -}}
{{- if ne .Values.strategy "auto" }}{{ .Values.strategy }}
{{- else if and .Values.persistence.enabled (hasPrefix "ReadWriteOnce" .Values.persistence.accessMode) }}Recreate
{{- else }}RollingUpdate{{ end }}
{{- end }}
