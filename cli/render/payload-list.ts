// `secret ls`, `config ls`, their history and `inspect --pretty`, in docker's layouts.
import type { PayloadView } from '../../proto/gen/tsswarm/v1/control.ts'
import type { Payload } from '../../proto/gen/tsswarm/v1/objects.ts'
import type { PayloadKind } from '../../proto/spec/payload-spec.ts'
import { ago, isoTime } from './human.ts'
import type { ListView, Row } from './list-format.ts'
import { naturalCompare } from './natural.ts'
import { mapLines } from './pretty.ts'

/** Docker has a column for the driver of secrets alone. */
export function payloadListView(kind: PayloadKind): ListView {
  const driver = kind === 'secret' ? '{{.Driver}}\t' : ''
  return {
    heads: {
      ID: 'ID',
      Name: 'NAME',
      Driver: 'DRIVER',
      Version: 'VERSION',
      CreatedAt: 'CREATED',
      UpdatedAt: 'UPDATED',
      Labels: 'LABELS',
    },
    table: `{{.ID}}\t{{.Name}}\t${driver}{{.CreatedAt}}\t{{.UpdatedAt}}`,
    quietField: 'ID',
  }
}

/** By name. */
export function payloadRows(views: readonly PayloadView[], nowMs: number): readonly Row[] {
  return views
    .flatMap(({ payload }) => payload ?? [])
    .sort((a, b) => naturalCompare(a.spec?.name ?? '', b.spec?.name ?? ''))
    .map(({ id, meta, spec, revision }) => ({
      ID: id,
      Name: spec?.name ?? '',
      Driver: '',
      Version: String(revision),
      CreatedAt: ago(meta?.createdAtMs ?? 0, nowMs),
      UpdatedAt: ago(meta?.updatedAtMs ?? 0, nowMs),
      Labels: labelsOf(spec?.labels ?? {}),
    }))
}

export const historyView: ListView = {
  heads: {
    Version: 'VERSION',
    ID: 'ID',
    CreatedAt: 'CREATED',
    Services: 'SERVICES',
    Tasks: 'TASKS',
    Present: 'PRESENT',
  },
  table: '{{.Version}}\t{{.ID}}\t{{.CreatedAt}}\t{{.Present}}\t{{.Tasks}}\t{{.Services}}',
  quietField: 'ID',
}

/** The newest first. */
export function historyRows(views: readonly PayloadView[], nowMs: number): readonly Row[] {
  return [...views]
    .sort((a, b) => (b.payload?.revision ?? 0) - (a.payload?.revision ?? 0))
    .map(({ payload, present, services, tasks }) => ({
      Version: String(payload?.revision ?? 0),
      ID: payload?.id ?? '',
      CreatedAt: ago(payload?.meta?.createdAtMs ?? 0, nowMs),
      Services: [...services].sort().join(','),
      Tasks: String(tasks),
      Present: present ? '*' : '',
    }))
}

/** Of a config with its data. */
export function prettyPayload(kind: PayloadKind, { id, meta, spec, revision }: Payload): string {
  const lines = [
    `ID:\t\t\t${id}`,
    `Name:\t\t\t${spec?.name ?? ''}`,
    ...mapLines('Labels:', spec?.labels ?? {}),
    `Version:               \t${revision}`,
    `Created at:            \t${isoTime(meta?.createdAtMs ?? 0)}`,
    `Updated at:            \t${isoTime(meta?.updatedAtMs ?? 0)}`,
    ...(kind === 'config' ? ['Data:', Buffer.from(spec?.data ?? []).toString()] : []),
  ]
  return `${lines.join('\n')}\n`
}

function labelsOf(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(',')
}
