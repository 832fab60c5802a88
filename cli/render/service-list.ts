// `service ls`.
import type { ServiceView } from '../../proto/gen/tsswarm/v1/control.ts'
import { shortId } from './human.ts'
import { familiarImage } from './image-name.ts'
import type { ListView, Row } from './list-format.ts'
import { naturalCompare } from './natural.ts'

export const serviceListView: ListView = {
  heads: {
    ID: 'ID',
    Name: 'NAME',
    Mode: 'MODE',
    Replicas: 'REPLICAS',
    Image: 'IMAGE',
    Ports: 'PORTS',
  },
  table: '{{.ID}}\t{{.Name}}\t{{.Mode}}\t{{.Replicas}}\t{{.Image}}\t{{.Ports}}',
  quietField: 'ID',
}

/** By name. */
export function serviceRows(services: readonly ServiceView[]): readonly Row[] {
  return [...services]
    .sort((a, b) => naturalCompare(nameOf(a), nameOf(b)))
    .map((view) => ({
      ID: shortId(view.service?.id ?? ''),
      Name: nameOf(view),
      Mode: view.service?.spec?.mode?.$case ?? '',
      Replicas: replicas(view),
      Image: familiarImage(view.service?.spec?.task?.container?.image ?? '', true),
      Ports: ports(view),
    }))
}

function nameOf(view: ServiceView): string {
  return view.service?.spec?.name ?? ''
}

function replicas(view: ServiceView): string {
  const most = view.service?.spec?.task?.placement?.maxReplicasPerNode ?? 0
  const counts = `${view.runningTasks}/${view.desiredTasks}`
  return most > 0 ? `${counts} (max ${most} per node)` : counts
}

/** Docker lists ports of the routing mesh only; those of the hosts are listed with the tasks. */
function ports(view: ServiceView): string {
  return (view.service?.spec?.task?.ports ?? [])
    .filter((port) => port.mode !== 'host')
    .map((port) => `*:${port.publishedPort}->${port.targetPort}`)
    .join(', ')
}
