{{- define "sip-router-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* A release named like the chart does not repeat it. Short enough for what is appended to it: -metrics, -routers, -leader. */}}
{{- define "sip-router-operator.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 55 | trimSuffix "-" }}
{{- else }}
{{- $name := include "sip-router-operator.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 55 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 55 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{/* The Deployment's selector: can never change. */}}
{{- define "sip-router-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "sip-router-operator.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "sip-router-operator.commonLabels" -}}
app.kubernetes.io/name: {{ include "sip-router-operator.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "sip-router-operator.labels" -}}
{{ include "sip-router-operator.commonLabels" . }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "sip-router-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "sip-router-operator.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "sip-router-operator.lease" -}}
{{ include "sip-router-operator.fullname" . }}
{{- end }}

{{- define "sip-router-operator.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{/* Pods of this release, as a NetworkPolicy of any namespace names them. */}}
{{- define "sip-router-operator.peer" -}}
namespaceSelector:
  matchLabels:
    kubernetes.io/metadata.name: {{ .Release.Namespace | quote }}
podSelector:
  matchLabels: {{- include "sip-router-operator.selectorLabels" . | nindent 4 }}
{{- end }}

{{/* Of the operator's pods; a value that is null is left out. The group may read a mounted certificate. */}}
{{- define "sip-router-operator.podSecurityContext" -}}
{{- $context := omit .Values.podSecurityContext "fsGroup" }}
{{- if and .Values.podSecurityContext.fsGroup (include "sip-router-operator.certificate" .) }}
{{- $context = .Values.podSecurityContext }}
{{- end }}
{{- range $key, $value := $context }}
{{- if not (kindIs "invalid" $value) }}
{{ $key }}: {{ toJson $value }}
{{- end }}
{{- end }}
{{- end }}

{{/* Secret with the certificate of the secure port; empty when there is none to mount. */}}
{{- define "sip-router-operator.certificate" -}}
{{- if .Values.metrics.secure.enabled }}{{ .Values.metrics.secure.certSecretName }}{{ end }}
{{- end }}
