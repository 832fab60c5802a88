// What stands before each line of `service logs`: time, task and node.
import type { LogLine } from '../../proto/gen/tsswarm/v1/control.ts'
import { shortId } from './human.ts'

export interface LogPrefixOptions {
  readonly taskIds: boolean
  readonly truncate: boolean
  readonly resolve: boolean
}

/** "web.1.abcdef012345@worker-1". */
export function logPrefix(line: LogLine, options: LogPrefixOptions): string {
  const id = options.truncate ? shortId(line.taskId) : line.taskId
  const task = options.resolve ? `${line.taskName}${options.taskIds ? `.${id}` : ''}` : id
  const node =
    options.resolve && line.nodeHostname !== '' ? line.nodeHostname : shortNode(line, options)
  return `${task}@${node}`
}

function shortNode(line: LogLine, options: LogPrefixOptions): string {
  return options.truncate ? shortId(line.nodeId) : line.nodeId
}

/** RFC 3339 with nine digits: "2024-01-02T03:04:05.678901234Z". */
export function logTimestamp(line: Pick<LogLine, 'atMs' | 'atNanos'>): string {
  const rest = String(line.atNanos).padStart(6, '0')
  return new Date(line.atMs).toISOString().replace('Z', `${rest}Z`)
}

/** What --details shows: "env=prod,tier=front". Source: Docker's client, which takes the ids of node, service and task out of it. */
export function logDetails({ attributes }: Pick<LogLine, 'attributes'>): string {
  return sorted(Object.entries(attributes))
    .map(([key, value]) => `${key}=${value}`)
    .join(',')
}

/** With --raw: everything that Docker's engine tells of a line, escaped as in a query. */
export function rawDetails(
  line: Pick<LogLine, 'attributes' | 'nodeId' | 'serviceId' | 'taskId'>,
): string {
  const entries = Object.entries({
    ...line.attributes,
    'com.docker.swarm.node.id': line.nodeId,
    'com.docker.swarm.service.id': line.serviceId,
    'com.docker.swarm.task.id': line.taskId,
  })
  return sorted(entries)
    .map((pair) => pair.map(queryEscaped).join('='))
    .join(',')
}

function sorted(entries: [string, string][]): [string, string][] {
  return entries.sort(([a], [b]) => (a < b ? -1 : 1))
}

/** As Go's url.QueryEscape. */
function queryEscaped(text: string): string {
  return new URLSearchParams({ '': text })
    .toString()
    .slice(1)
    .replaceAll('*', '%2A')
    .replaceAll('%7E', '~')
}
