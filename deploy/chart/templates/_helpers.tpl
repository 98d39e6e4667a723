{{- define "database-operator.labels" -}}
app.kubernetes.io/name: database-operator
{{- end }}

{{- define "database-operator.subject" -}}
subjects:
- kind: ServiceAccount
  name: database-operator
  namespace: {{ .Release.Namespace }}
{{- end }}

{{- /* A Role or ClusterRole and what binds it: a dict of root, kind, name, namespace, rules. */ -}}
{{- define "database-operator.role" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "database-operator.labels" .root | nindent 4 }}
{{ .rules }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}Binding
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "database-operator.labels" .root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ .kind }}
  name: {{ .name }}
{{ include "database-operator.subject" .root }}
{{- end }}
