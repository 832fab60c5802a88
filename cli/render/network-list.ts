// `network ls`.
import type { Network } from '../../proto/gen/tsswarm/v1/objects.ts'
import { scopeOf } from '../../proto/spec/network-spec.ts'
import { isoTime, shortId } from './human.ts'
import type { ListView, Row } from './list-format.ts'
import { naturalCompare } from './natural.ts'

export const networkListView: ListView = {
  heads: {
    ID: 'NETWORK ID',
    Name: 'NAME',
    Driver: 'DRIVER',
    Scope: 'SCOPE',
    IPv6: 'IPV6',
    Internal: 'INTERNAL',
    Labels: 'LABELS',
    CreatedAt: 'CREATED AT',
  },
  table: '{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}',
  quietField: 'ID',
}

/** By name. */
export function networkRows(networks: readonly Network[], isWhole: boolean): readonly Row[] {
  return [...networks]
    .sort((a, b) => naturalCompare(a.spec?.name ?? '', b.spec?.name ?? ''))
    .map(({ id, meta, spec, subnets }) => ({
      ID: isWhole ? id : shortId(id),
      Name: spec?.name ?? '',
      Driver: spec?.driver ?? '',
      Scope: scopeOf({ driver: spec?.driver || 'overlay' }),
      IPv6: String(subnets.length > 1),
      Internal: String(spec?.internal ?? false),
      Labels: labelsOf(spec?.labels ?? {}),
      CreatedAt: isoTime(meta?.createdAtMs ?? 0),
    }))
}

function labelsOf(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(',')
}
