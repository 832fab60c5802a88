// `service ls`.
import type { ServiceView } from '../../proto/gen/tsswarm/v1/control.ts'
import { PortSpec_Protocol } from '../../proto/gen/tsswarm/v1/objects.ts'
import { runTime } from '../../proto/spec/cron-schedule.ts'
import { shortId } from './human.ts'
import { familiarImage } from './image-name.ts'
import type { ListView, Row } from './list-format.ts'
import { naturalCompare } from './natural.ts'
import { publishedText } from './port-text.ts'

const protocolNames: Readonly<Record<number, string>> = {
  [PortSpec_Protocol.UDP]: 'udp',
  [PortSpec_Protocol.SCTP]: 'sctp',
}

/** As Docker's client writes them, where it has them. */
const modeWords = {
  replicated: 'replicated',
  global: 'global',
  replicatedJob: 'replicated job',
  globalJob: 'global job',
  cron: 'cron',
} as const

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
      Mode: modeWords[view.service?.spec?.mode?.$case ?? 'replicated'],
      Replicas: replicas(view),
      Image: familiarImage(view.service?.spec?.task?.container?.image ?? '', true),
      Ports: ports(view),
    }))
}

function nameOf(view: ServiceView): string {
  return view.service?.spec?.name ?? ''
}

/** Of jobs also how far they are, as Docker's client says it. */
function replicas(view: ServiceView): string {
  const most = view.service?.spec?.task?.placement?.maxReplicasPerNode ?? 0
  const counts = `${view.runningTasks}/${view.desiredTasks}`
  const { completedTasks, desiredTasks } = view
  const mode = view.service?.spec?.mode
  if (mode?.$case === 'replicatedJob') {
    return `${counts} (${completedTasks}/${mode.value.completions} completed)`
  }
  if (mode?.$case === 'cron') {
    return `${counts} (${view.nextRunMs === 0 ? 'no next run' : `next ${runTime(view.nextRunMs)}`})`
  }
  if (mode?.$case === 'globalJob') {
    return `${counts} (${completedTasks}/${desiredTasks + completedTasks} completed)`
  }
  return most > 0 ? `${counts} (max ${most} per node)` : counts
}

/** Docker lists ports of the routing mesh only; those of the hosts are listed with the tasks. */
function ports({ service }: ServiceView): string {
  // What they were given, in the order in which they were asked for.
  const wished = (service?.spec?.task?.ports ?? []).filter(({ mode }) => mode !== 'host')
  return (service?.endpoint?.ports ?? [])
    .map(({ publishedPort, targetPort, protocol }, i) => {
      const published = publishedText(wished[i]?.bindAddress ?? '', publishedPort)
      return `${published}->${targetPort}/${protocolNames[protocol] ?? 'tcp'}`
    })
    .join(', ')
}
