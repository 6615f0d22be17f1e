{{- define "suite.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "suite.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "suite.selectorLabels" -}}
app.kubernetes.io/name: {{ include "suite.name" .context }}
app.kubernetes.io/instance: {{ .context.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "suite.labels" -}}
{{ include "suite.selectorLabels" . }}
app.kubernetes.io/version: {{ .context.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .context.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .context.Chart.Name .context.Chart.Version | replace "+" "_" }}
{{- with .context.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "suite.image" -}}
{{- $registry := .Values.global.imageRegistry -}}
{{- printf "%s%s:%s" (ternary (print $registry "/") "" (not (empty $registry))) .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}

{{- define "suite.secretName" -}}
{{- default (include "suite.fullname" .) .Values.auth.existingSecret -}}
{{- end -}}

{{- define "suite.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "suite.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Hooks run before the chart's own ServiceAccount, Secret and ConfigMap exist, so they use none of them. */}}
{{- define "suite.hookPod" -}}
restartPolicy: Never
automountServiceAccountToken: false
containers:
  - name: hook
    image: {{ include "suite.image" .context | quote }}
    args: {{ .args | toJson }}
    securityContext:
      {{- include "suite.securityContext" . | nindent 6 }}
    resources:
      {{- toYaml .context.Values.resources | nindent 6 }}
{{- end -}}

{{- define "suite.securityContext" -}}
allowPrivilegeEscalation: false
runAsNonRoot: true
runAsUser: 1001
capabilities:
  drop: [ALL]
{{- end -}}
