{{- define "sip-router.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* One resource; takes a list: the top, the kind, the item. */}}
{{- define "sip-router.resource" -}}
{{- $top := index . 0 }}
{{- $item := index . 2 }}
apiVersion: siprouter.dev/v1alpha1
kind: {{ index . 1 }}
metadata:
  name: {{ $item.name | quote }}
  namespace: {{ $top.Release.Namespace | quote }}
  labels: {{- merge (deepCopy (default dict $item.labels)) (fromYaml (include "sip-router.labels" $top)) | toYaml | nindent 4 }}
  {{- with merge (deepCopy (default dict $item.annotations)) (deepCopy $top.Values.commonAnnotations) }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec: {{- toYaml $item.spec | nindent 2 }}
{{- end }}

{{/* Where the operator's pods are. */}}
{{- define "sip-router.operator" -}}
namespaceSelector:
  matchLabels:
    kubernetes.io/metadata.name: {{ .Values.networkPolicy.operatorNamespace | quote }}
podSelector:
  matchLabels: {{- toYaml .Values.networkPolicy.operatorLabels | nindent 4 }}
{{- end }}
