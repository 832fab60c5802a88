// Why a node takes tasks or takes none, what is left of it, and what its tasks are about.
import {
  isActive,
  isTerminal,
  type Node,
  type Task,
  TaskState,
  taskStateName,
} from '../../../proto/objects/index.ts'
import type { NodeEntry } from '../../../scheduler/cluster-index.ts'
import { freeGeneric } from '../../../scheduler/generic.ts'
import { orphanAfterMs } from '../node-tasks.ts'
import { type Finding, spanText } from './finding.ts'

export interface NodeSituation {
  readonly node: Node
  /** All with its id. */
  readonly tasks: readonly Task[]
  /** As the scheduler counts it. */
  readonly entry: NodeEntry | undefined
  readonly nowMs: number
}

/** The most important first. */
export function explainNode(situation: NodeSituation): readonly Finding[] {
  return [
    stateOf(situation),
    ...availabilityOf(situation),
    ...conditionsOf(situation),
    ...resourcesOf(situation),
    ...tasksOf(situation),
  ]
}

function stateOf({ node, nowMs }: NodeSituation): Finding {
  const since = spanText(nowMs - node.stateAtMs)
  const why = node.stateMessage === '' ? '' : `: ${node.stateMessage}`
  const text = `the node is ${node.state} since ${since}${why}`
  if (node.state === 'ready') return { code: 'STATE', text }
  const orphaned = spanText(node.stateAtMs + orphanAfterMs - nowMs)
  const causes =
    node.state === 'down'
      ? [`its tasks were replaced elsewhere; they are given up for good in ${orphaned}`]
      : ['it is not heard of since the leader changed, and takes no new tasks until it is']
  return { code: 'STATE', text, causes, remedy: 'start its daemon, or see what it logs' }
}

function availabilityOf({ node }: NodeSituation): readonly Finding[] {
  const { availability } = node.spec
  if (availability === 'active') return []
  const effect =
    availability === 'drain'
      ? 'it takes no new tasks, and those it had move elsewhere'
      : 'it keeps its tasks and takes no new ones'
  const name = node.description?.hostname || node.id
  const remedy = `"tsswarm node update --availability active ${name}"`
  return [{ code: 'AVAILABILITY', text: `its availability is ${availability}: ${effect}`, remedy }]
}

function conditionsOf({ node }: NodeSituation): readonly Finding[] {
  return (node.description?.conditions ?? []).map(({ code, message }) => ({
    code: 'CONDITION' as const,
    text: code === '' ? message : `${code}: ${message}`,
  }))
}

function resourcesOf({ node, entry }: NodeSituation): readonly Finding[] {
  const resources = node.description?.resources
  if (resources === undefined || entry === undefined) return []
  const cpus = (nano: number): string => String(Math.round(nano / 1e7) / 100)
  const mib = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`
  const { nanoCpus, memoryBytes, generic = [] } = resources
  const parts = [
    `${cpus(entry.reservedNanoCpus)} of ${cpus(nanoCpus)} CPUs`,
    `${mib(entry.reservedMemoryBytes)} of ${mib(memoryBytes)} memory`,
    ...generic.map(({ kind, count }) => {
      const held = count - freeGeneric(node.description, entry.generic, kind)
      return `${held} of ${count} ${kind}`
    }),
  ]
  return [{ code: 'RESOURCES', text: `reserved: ${parts.join(', ')}` }]
}

function tasksOf({ tasks }: NodeSituation): readonly Finding[] {
  const counts = new Map<string, number>()
  const leaving: Task[] = []
  for (const task of tasks) {
    if (isTerminal(task.state)) continue
    if (isActive(task)) {
      const name = taskStateName(task.state)
      counts.set(name, (counts.get(name) ?? 0) + 1)
    } else leaving.push(task)
  }
  const words = [...counts].map(([name, count]) => `${count} ${name}`)
  const failed = tasks.filter(
    ({ state }) => state === TaskState.FAILED || state === TaskState.REJECTED,
  )
  const newest = failed.sort((a, b) => b.appliedAtMs - a.appliedAtMs).slice(0, 3)
  return [
    { code: 'TASKS', text: `its tasks: ${words.join(', ') || 'none'}` },
    ...(leaving.length === 0
      ? []
      : [
          {
            code: 'STOPS' as const,
            text: `${leaving.length} more are to stop and are still there`,
          },
        ]),
    ...(newest.length === 0
      ? []
      : [
          {
            code: 'FAILED' as const,
            text: `${failed.length} of the tasks it is remembered for failed here`,
            causes: newest.map(({ id, err }) => `${id}: ${err}`),
          },
        ]),
  ]
}
