// `node ls`.
import type { NodeView } from '../../proto/gen/tsswarm/v1/control.ts'
import {
  NodeAvailability,
  type NodeCondition,
  NodeState,
} from '../../proto/gen/tsswarm/v1/objects.ts'
import type { ListView, Row } from './list-format.ts'
import { naturalCompare } from './natural.ts'

const nodeListView: ListView = {
  heads: {
    ID: 'ID',
    Self: false,
    Hostname: 'HOSTNAME',
    Status: 'STATUS',
    Availability: 'AVAILABILITY',
    ManagerStatus: 'MANAGER STATUS',
    EngineVersion: 'ENGINE VERSION',
    Address: 'ADDRESS',
    Problems: 'PROBLEMS',
  },
  table:
    '{{.ID}} {{if .Self}}*{{else}} {{end}}\t{{.Hostname}}\t{{.Status}}\t{{.Availability}}\t{{.ManagerStatus}}\t{{.EngineVersion}}',
  quietField: 'ID',
}

/** Docker's columns, and one more only when there is something to say in it. */
export function nodeListViewOf(rows: readonly Row[]): ListView {
  if (rows.every(({ Problems }) => Problems === '')) return nodeListView
  return { ...nodeListView, table: `${nodeListView.table}\t{{.Problems}}` }
}

const availabilities: Readonly<Record<NodeAvailability, string>> = {
  [NodeAvailability.ACTIVE]: 'Active',
  [NodeAvailability.PAUSE]: 'Pause',
  [NodeAvailability.DRAIN]: 'Drain',
}

const states: Readonly<Record<NodeState, string>> = {
  [NodeState.UNKNOWN]: 'Unknown',
  [NodeState.DOWN]: 'Down',
  [NodeState.READY]: 'Ready',
  [NodeState.DISCONNECTED]: 'Disconnected',
}

/** Numbers of control.proto's Reachability, whose module loads grpc-js. */
const reachabilities: Readonly<Record<number, string>> = {
  0: 'Unknown',
  1: 'Unreachable',
  2: 'Reachable',
}

/** By hostname. */
export function nodeRows(nodes: readonly NodeView[], selfNodeId: string): readonly Row[] {
  return [...nodes]
    .sort((a, b) => naturalCompare(hostname(a), hostname(b)) || (id(a) < id(b) ? -1 : 1))
    .map((view) => ({
      ID: id(view),
      Self: id(view) === selfNodeId,
      Hostname: hostname(view),
      Status: nodeStatus(view),
      Availability: nodeAvailability(view),
      ManagerStatus: managerStatus(view),
      EngineVersion: view.node?.description?.engineVersion ?? '',
      Address: view.node?.address ?? '',
      Problems: problemCodes(view),
    }))
}

/** What nodes say does not work there, one line each; `services`: only what these services suffer from. */
export function nodeProblems(
  nodes: readonly NodeView[],
  services?: ReadonlySet<string>,
): readonly string[] {
  return nodes.flatMap((view) =>
    conditionsOf(view)
      .filter(({ serviceId }) => services?.has(serviceId) ?? true)
      .map(({ message }) => `node ${hostname(view)}: ${message}`),
  )
}

/** How often each, such as "BUS_DOWN, PORT_TAKEN x3"; empty: none. */
function problemCodes(view: NodeView): string {
  const counts = new Map<string, number>()
  for (const { code: said } of conditionsOf(view)) {
    const code = said || 'OTHER'
    counts.set(code, (counts.get(code) ?? 0) + 1)
  }
  const texts = [...counts].map(([code, count]) => (count === 1 ? code : `${code} x${count}`))
  return texts.join(', ')
}

function conditionsOf({ node }: NodeView): readonly NodeCondition[] {
  return node?.description?.conditions ?? []
}

export function nodeStatus(view: NodeView): string {
  return states[view.node?.state ?? NodeState.UNKNOWN]
}

export function nodeAvailability(view: NodeView): string {
  return availabilities[view.node?.spec?.availability ?? NodeAvailability.ACTIVE]
}

/** "Leader", "Reachable", "Unreachable" or "Unknown"; empty for workers. */
export function managerStatus(view: NodeView): string {
  if (view.node?.manager === undefined) return ''
  return view.leader ? 'Leader' : (reachabilities[view.reachability] ?? '')
}

function hostname(view: NodeView): string {
  return view.node?.description?.hostname ?? ''
}

function id(view: NodeView): string {
  return view.node?.id ?? ''
}
