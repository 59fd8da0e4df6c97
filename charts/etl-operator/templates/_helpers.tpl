{{/* Name of the chart, or its override. */}}
{{- define "etl-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Name of the release's own objects. */}}
{{- define "etl-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "etl-operator.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Labels of a selector: they can never change, so nothing that does is in here. */}}
{{- define "etl-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "etl-operator.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: operator
{{- end -}}

{{/* Labels of every object but the selector's own. Takes (dict "root" $ "component" NAME). */}}
{{- define "etl-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: {{ include "etl-operator.name" .root | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: etl-operator
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end -}}

{{/* Service account of the operator. */}}
{{- define "etl-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "etl-operator.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name must be set when serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Image reference. Takes (dict "root" $ "image" VALUES "registry" FALLBACK). */}}
{{- define "etl-operator.image" -}}
{{- $repository := .image.repository -}}
{{- with default .registry .image.registry -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) $repository -}}
{{- end -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .root.Chart.AppVersion .image.tag) -}}
{{- end -}}
{{- end -}}

{{/*
ResourceRequirements as JSON with every quantity a string: in JSON a quantity
has to be one, while in a values file `cpu: 2` is a number.
*/}}
{{- define "etl-operator.resourcesJson" -}}
{{- $out := dict -}}
{{- range $kind, $quantities := . -}}
{{- $strings := dict -}}
{{- range $name, $value := $quantities -}}
{{- if and (kindIs "float64" $value) (eq (floor $value) $value) -}}
{{- $_ := set $strings $name ($value | int64 | toString) -}}
{{- else -}}
{{- $_ := set $strings $name (toString $value) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $out $kind $strings -}}
{{- end -}}
{{- toJson $out -}}
{{- end -}}

{{/* The identity of the cluster, or a message that says what to do. */}}
{{- define "etl-operator.clusterId" -}}
{{- required "clusterId must be set: a name for this cluster that is unique among all clusters sharing the buckets or the ledger table, for example --set clusterId=prod-eu" .Values.clusterId -}}
{{- end -}}

{{/*
What the operator may do, and all of it. Owner references are set without
blockOwnerDeletion, which would take one right more.
*/}}
{{- define "etl-operator.rules" -}}
- apiGroups: [etl-operator.io]
  resources: [etljobs]
  # delete: spec.ttlSecondsAfterFinished
  verbs: [list, watch, delete]
- apiGroups: [etl-operator.io]
  resources: [etljobs/status]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
# Why a child Job could not create its pods stands only in its events.
- apiGroups: [""]
  resources: [events]
  verbs: [list]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end -}}
