{{/* What the pods of all workloads share: metadata, identity and one container. Takes context, component, resources, port. */}}
{{- define "suite.podMetadata" -}}
labels:
  {{- include "suite.labels" . | nindent 2 }}
annotations:
  checksum/config: {{ include (print .context.Template.BasePath "/configmap.yaml") .context | sha256sum }}
  {{- with .context.Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "suite.container" -}}
name: {{ .component }}
image: {{ include "suite.image" .context | quote }}
imagePullPolicy: {{ .context.Values.image.pullPolicy }}
args: [{{ .component }}]
securityContext:
  {{- include "suite.securityContext" . | nindent 2 }}
envFrom:
  - configMapRef:
      name: {{ include "suite.fullname" .context }}
env:
  - name: SUITE_PASSWORD
    valueFrom:
      secretKeyRef:
        name: {{ include "suite.secretName" .context }}
        key: password
{{- with .port }}
ports:
  - name: main
    containerPort: {{ . }}
readinessProbe:
  tcpSocket: {port: main}
livenessProbe:
  tcpSocket: {port: main}
  initialDelaySeconds: 10
{{- end }}
resources:
  {{- toYaml .resources | nindent 2 }}
{{- end -}}
