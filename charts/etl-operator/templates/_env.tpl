{{/*
Configuration of the operator. A value that is not set leaves its variable out,
so that "unset" has one spelling.
*/}}
{{- define "etl-operator.env" -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- if .Values.leaderElection.enabled }}
- name: ETL_LEASE_NAME
  value: {{ include "etl-operator.fullname" . | quote }}
{{- end }}
- name: ETL_CLUSTER_ID
  value: {{ include "etl-operator.clusterId" . | quote }}
{{- with .Values.watchNamespaces }}
- name: ETL_WATCH_NAMESPACES
  value: {{ join "," . | quote }}
{{- end }}
{{ include "etl-operator.workerEnv" . }}
{{- include "etl-operator.storeEnv" . }}
- name: ETL_CONCURRENCY
  value: {{ .Values.concurrency | int | quote }}
- name: ETL_API_REQUESTS_PER_SECOND
  value: {{ .Values.api.requestsPerSecond | int | quote }}
- name: ETL_API_BURST
  value: {{ .Values.api.burst | int | quote }}
- name: ETL_LOG
  value: {{ .Values.logging.level | quote }}
- name: ETL_LOG_FORMAT
  value: {{ .Values.logging.format | quote }}
{{- end -}}

{{/* What the operator puts into worker pods. */}}
{{- define "etl-operator.workerEnv" -}}
{{- with .Values.worker -}}
- name: ETL_WORKER_IMAGE
  value: {{ include "etl-operator.image" (dict "root" $ "image" .image "registry" $.Values.image.registry) | quote }}
- name: ETL_WORKER_IMAGE_PULL_POLICY
  value: {{ .image.pullPolicy | quote }}
- name: ETL_WORKER_SERVICE_ACCOUNT
  value: {{ .serviceAccount.name | quote }}
{{- if .resources }}
- name: ETL_WORKER_RESOURCES
  value: {{ include "etl-operator.resourcesJson" .resources | quote }}
{{- end }}
{{- with .nodeSelector }}
- name: ETL_WORKER_NODE_SELECTOR
  value: {{ toJson . | quote }}
{{- end }}
{{- with .tolerations }}
- name: ETL_WORKER_TOLERATIONS
  value: {{ toJson . | quote }}
{{- end }}
{{- with .priorityClassName }}
- name: ETL_WORKER_PRIORITY_CLASS
  value: {{ . | quote }}
{{- end }}
{{- with .queueName }}
- name: ETL_WORKER_QUEUE
  value: {{ . | quote }}
{{- end }}
- name: ETL_WORKER_ENCODER
  value: {{ .encoder | quote }}
{{- with .credentialsSecretName }}
- name: ETL_WORKER_CREDENTIALS_SECRET
  value: {{ . | quote }}
{{- end }}
{{- end -}}
{{- end -}}

{{/* Where the stores are. */}}
{{- define "etl-operator.storeEnv" -}}
{{- $vars := list
  (list "ETL_AWS_REGION" .Values.aws.region)
  (list "ETL_AWS_ENDPOINT_URL" .Values.aws.endpointUrl)
  (list "ETL_EXPECTED_BUCKET_OWNER" .Values.aws.expectedBucketOwner)
  (list "ETL_LEDGER_TABLE" .Values.ledger.tableName)
  (list "ETL_LEDGER_ENDPOINT_URL" .Values.ledger.endpointUrl)
-}}
{{- range $vars }}
{{- if index . 1 }}
- name: {{ index . 0 | quote }}
  value: {{ index . 1 | quote }}
{{- end }}
{{- end }}
{{- if .Values.ledger.tableName }}
- name: ETL_LEDGER_WRITES_PER_SECOND
  value: {{ int .Values.ledger.writesPerSecond | quote }}
- name: ETL_LEDGER_WRITE_BURST
  value: {{ int .Values.ledger.writeBurst | quote }}
- name: ETL_LEDGER_REPAIR_INTERVAL_SECONDS
  value: {{ int .Values.ledger.repairIntervalSeconds | quote }}
{{- end }}
{{- with .Values.ledger.credentialsSecretName }}
{{- range $key := list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" }}
- name: {{ $key | quote }}
  valueFrom:
    secretKeyRef:
      name: {{ $.Values.ledger.credentialsSecretName | quote }}
      key: {{ $key }}
{{- end }}
{{- end }}
{{- end -}}
