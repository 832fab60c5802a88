// `service ps` and `node ps`: tasks by name, the newest of a slot first, its history below with `\_`.
import type { TaskView } from '../../proto/gen/tsswarm/v1/control.ts'
import { PortSpec_Protocol } from '../../proto/gen/tsswarm/v1/objects.ts'
import { isTaskState, taskStateName } from '../../proto/objects/task-state.ts'
import { failingText, healthLog, healthMark } from './health-words.ts'
import { ago, shortId } from './human.ts'
import { familiarImage } from './image-name.ts'
import { type ListView, type Row, renderList } from './list-format.ts'
import { naturalCompare } from './natural.ts'
import { publishedText } from './port-text.ts'

export const taskListView: ListView = {
  heads: {
    ID: 'ID',
    Name: 'NAME',
    Image: 'IMAGE',
    Node: 'NODE',
    DesiredState: 'DESIRED STATE',
    CurrentState: 'CURRENT STATE',
    Error: 'ERROR',
    Ports: 'PORTS',
    Networks: 'NETWORKS',
    Health: 'HEALTH',
    HealthLog: 'LAST FAILED PROBE',
  },
  table:
    '{{.ID}}\t{{.Name}}\t{{.Image}}\t{{.Node}}\t{{.DesiredState}}\t{{.CurrentState}}\t{{.Error}}\t{{.Ports}}',
  quietField: 'ID',
}

export interface TaskListFlags {
  readonly format: string | undefined
  readonly quiet: boolean
  readonly 'no-trunc': boolean
  readonly 'no-resolve': boolean
  readonly nowMs: number
  /** By id; absent: ids are shown. */
  readonly networkNames?: ReadonlyMap<string, string>
}

/** The text of a list of tasks. Errors: INVALID_ARGUMENT on a bad template. */
export function renderTasks(tasks: readonly TaskView[], flags: TaskListFlags): string {
  const rows = taskRows(tasks, {
    nowMs: flags.nowMs,
    // Programs get whole ids.
    truncate: !flags['no-trunc'] && !(flags.quiet && flags.format === undefined),
    resolve: !flags['no-resolve'],
    networkNames: (flags['no-resolve'] ? undefined : flags.networkNames) ?? new Map(),
    indent: (flags.format ?? 'table').startsWith('table'),
  })
  return renderList(taskListView, rows, flags)
}

export interface TaskListOptions {
  readonly nowMs: number
  readonly truncate: boolean
  /** Names instead of ids. */
  readonly resolve: boolean
  /** By id. */
  readonly networkNames: ReadonlyMap<string, string>
  /** Indent the history of a slot, for tables; templates get plain names. */
  readonly indent: boolean
}

const errorCharactersMax = 30

export function taskRows(tasks: readonly TaskView[], options: TaskListOptions): readonly Row[] {
  let previous = ''
  return sortTasks(tasks).map((view) => {
    const name = taskName(view, options.resolve)
    const indented = options.indent && name === previous ? ` \\_ ${name}` : name
    previous = name
    return taskRow(view, indented, options)
  })
}

/** By service, by slot, newest first. */
export function sortTasks(tasks: readonly TaskView[]): readonly TaskView[] {
  return [...tasks].sort(
    (a, b) =>
      naturalCompare(a.serviceName, b.serviceName) ||
      naturalCompare(a.task?.serviceId ?? '', b.task?.serviceId ?? '') ||
      (a.task?.slot ?? 0) - (b.task?.slot ?? 0) ||
      naturalCompare(a.task?.forNodeId ?? '', b.task?.forNodeId ?? '') ||
      (b.task?.meta?.createdAtMs ?? 0) - (a.task?.meta?.createdAtMs ?? 0) ||
      (b.task?.meta?.version ?? 0) - (a.task?.meta?.version ?? 0),
  )
}

/** "web.1", or with ids "<service id>.1"; of a task without slot "web.<node id>". */
export function taskName(view: TaskView, resolve: boolean): string {
  const service = resolve && view.serviceName !== '' ? view.serviceName : view.task?.serviceId
  return `${service ?? ''}.${view.task?.forNodeId || (view.task?.slot ?? 0)}`
}

function taskRow(view: TaskView, name: string, options: TaskListOptions): Row {
  const { task } = view
  const id = task?.id ?? ''
  const node = options.resolve && view.nodeHostname !== '' ? view.nodeHostname : task?.nodeId
  return {
    ID: options.truncate ? shortId(id) : id,
    Name: name,
    Image: familiarImage(view.spec?.container?.image ?? '', options.truncate),
    Node: node ?? '',
    DesiredState: stateWord(task?.desiredState ?? 0),
    CurrentState: `${stateWord(task?.state ?? 0)} ${agoWords(task?.stateAtMs ?? 0, options.nowMs)}${healthMark(task)}`,
    Error: errorText(
      task?.err || waitText(task?.waitsFor ?? '') || failingText(task),
      options.truncate,
    ),
    Ports: hostPorts(view),
    Networks: networksOf(view, options.networkNames),
    Health: task?.health?.state ?? '',
    HealthLog: healthLog(task?.health, options.nowMs),
  }
}

function agoWords(atMs: number, nowMs: number): string {
  return ago(atMs, nowMs).toLowerCase()
}

/** "Running". */
export function stateWord(state: number): string {
  const name = isTaskState(state) ? taskStateName(state) : 'unknown'
  return `${name[0]?.toUpperCase() ?? ''}${name.slice(1)}`
}

function waitText(waitsFor: string): string {
  return waitsFor === '' ? '' : `waits for ${waitsFor}`
}

function errorText(err: string, truncate: boolean): string {
  if (err === '') return ''
  const text = err.replaceAll('\n', ' ')
  const cut =
    truncate && text.length > errorCharactersMax
      ? `${text.slice(0, errorCharactersMax - 1)}…`
      : text
  return `"${cut}"`
}

/** "back=10.0.1.5" for each network that it has an address on; with "+" those that it was connected to while it ran. */
function networksOf(view: TaskView, names: ReadonlyMap<string, string>): string {
  return (view.task?.attachments ?? [])
    .filter(({ addresses }) => addresses.length > 0)
    .map(({ networkId, addresses, connection }) => {
      const mark = connection === undefined ? '' : '+'
      return `${mark}${names.get(networkId) ?? networkId}=${addresses.join('|')}`
    })
    .join(',')
}

/** "*:8080->80/tcp" for each port the task holds on its host. */
function hostPorts(view: TaskView): string {
  const specs = (view.spec?.ports ?? []).filter(({ mode }) => mode === 'host')
  return (view.task?.hostPorts ?? [])
    .map((held) => {
      const [protocol = '', published = ''] = held.split('/')
      const at = specs.findIndex(
        (port) =>
          (port.protocol === PortSpec_Protocol.UDP ? 'udp' : 'tcp') === protocol &&
          (port.publishedPort === 0 || port.publishedPort === Number(published)),
      )
      // Each once: one number may be published at several addresses.
      const [spec] = at < 0 ? [] : specs.splice(at, 1)
      const target = spec === undefined ? '' : `->${spec.targetPort}`
      return `${publishedText(spec?.bindAddress ?? '', published)}${target}/${protocol}`
    })
    .join(',')
}
