// `node ls`.
import type { NodeView } from '../../proto/gen/tsswarm/v1/control.ts'
import { NodeAvailability, NodeState } from '../../proto/gen/tsswarm/v1/objects.ts'
import type { ListView, Row } from './list-format.ts'
import { naturalCompare } from './natural.ts'

export const nodeListView: ListView = {
  heads: {
    ID: 'ID',
    Self: false,
    Hostname: 'HOSTNAME',
    Status: 'STATUS',
    Availability: 'AVAILABILITY',
    ManagerStatus: 'MANAGER STATUS',
    EngineVersion: 'ENGINE VERSION',
    Address: 'ADDRESS',
  },
  table:
    '{{.ID}} {{if .Self}}*{{else}} {{end}}\t{{.Hostname}}\t{{.Status}}\t{{.Availability}}\t{{.ManagerStatus}}\t{{.EngineVersion}}',
  quietField: 'ID',
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
    }))
}

/** What nodes say does not work there, one line each. */
export function nodeProblems(nodes: readonly NodeView[]): readonly string[] {
  return nodes.flatMap((view) =>
    (view.node?.description?.problems ?? []).map((text) => `node ${hostname(view)}: ${text}`),
  )
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
