// `node inspect --pretty`.
import type { NodeView } from '../../proto/gen/tsswarm/v1/control.ts'
import type { Node, NodeCondition } from '../../proto/gen/tsswarm/v1/objects.ts'
import { genericText } from '../../proto/objects/index.ts'
import { binarySize, cpuCount, isoTime } from './human.ts'
import { managerStatus, nodeAvailability, nodeStatus } from './node-list.ts'
import { mapLines } from './pretty.ts'

export function prettyNode(view: NodeView): string {
  const { node } = view
  if (node === undefined) return ''
  const { description } = node
  const lines = [
    `ID:\t\t\t${node.id}`,
    ...(node.spec?.name ? [`Name:\t\t\t${node.spec.name}`] : []),
    ...mapLines('Labels:', node.spec?.labels ?? {}),
    `Hostname:              \t${description?.hostname ?? ''}`,
    `Joined at:             \t${isoTime(node.meta?.createdAtMs ?? 0)}`,
    'Status:',
    ` State:\t\t\t${nodeStatus(view)}`,
    ...(node.stateMessage === '' ? [] : [` Message:\t\t${node.stateMessage}`]),
    ` Availability:         \t${nodeAvailability(view)}`,
    ` Address:\t\t${node.address}`,
    ...managerLines(view),
    ...(description?.conditions ?? []).map(problemLine),
    'Platform:',
    ` Operating System:\t${description?.platform?.os ?? ''}`,
    ` Architecture:\t\t${description?.platform?.architecture ?? ''}`,
    ...resourceLines(node),
    `Engine Version:\t\t${description?.engineVersion ?? ''}`,
    ...runtimeLines(description?.runtimes ?? []),
    ...mapLines('Engine Labels:', description?.engineLabels ?? {}),
  ]
  return `${lines.join('\n')}\n`
}

function runtimeLines(runtimes: readonly string[]): readonly string[] {
  return runtimes.length === 0 ? [] : [`Runtimes:\t\t${runtimes.join(', ')}`]
}

function problemLine({ code, message }: NodeCondition): string {
  return `Problem:\t\t${code === '' ? '' : `${code}: `}${message}`
}

function managerLines(view: NodeView): readonly string[] {
  const manager = view.node?.manager
  if (manager === undefined) return []
  const status = managerStatus(view)
  return [
    'Manager Status:',
    ` Address:\t\t${manager.address}`,
    ` Raft Status:\t\t${status === 'Leader' ? 'Reachable' : status}`,
    ` Leader:\t\t${view.leader ? 'Yes' : 'No'}`,
  ]
}

function resourceLines(node: Node): readonly string[] {
  const resources = node.description?.resources
  return [
    'Resources:',
    ` CPUs:\t\t\t${cpuCount(resources?.nanoCpus ?? 0)}`,
    ` Memory:\t\t${binarySize(resources?.memoryBytes ?? 0)}`,
    ...(resources?.generic ?? []).map((one) => ` Generic:\t\t${genericText(one)}`),
  ]
}
