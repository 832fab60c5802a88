// What an action would do to tasks, for people and for programs.
import type { PlannedTask, PlanResponse } from '../../proto/gen/tsswarm/v1/control.ts'
import { shortId } from './human.ts'
import { alignTable } from './table.ts'

export function planText({ tasks, kept, cut }: PlanResponse): string {
  const rows = tasks.map((task) =>
    [task.name, task.kind, nodeOf(task, 'from'), nodeOf(task, 'to')].join('\t'),
  )
  const table = rows.length === 0 ? '' : alignTable(['TASK\tACTION\tFROM\tTO', ...rows])
  const end = cut ? 'It does not come to rest within a day: this is how far it gets.\n' : ''
  return `${table}${unplaceable(tasks)}${summary(tasks, kept)}${end}`
}

function nodeOf(task: PlannedTask, end: 'from' | 'to'): string {
  const [id, hostname] =
    end === 'from' ? [task.fromNodeId, task.fromHostname] : [task.toNodeId, task.toHostname]
  return hostname || (id === '' ? '-' : shortId(id))
}

function summary(tasks: readonly PlannedTask[], kept: number): string {
  const counts = new Map<string, number>()
  for (const { kind } of tasks) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  const words = [...counts].map(([kind, count]) => `${count} ${kind}`)
  const stay = kept === 1 ? '1 task stays as it is' : `${kept} tasks stay as they are`
  return `${[...words, stay].join(', ')}. Nothing was changed.\n`
}

/** Tasks of one service mostly find no node for the same reasons: said once. */
function unplaceable(tasks: readonly PlannedTask[]): string {
  const groups = new Map<string, { readonly first: PlannedTask; readonly names: string[] }>()
  for (const task of tasks) {
    if (task.kind !== 'unplaceable') continue
    const key = JSON.stringify([task.summary, task.refusals])
    const group = groups.get(key) ?? { first: task, names: [] }
    groups.set(key, group)
    group.names.push(task.name)
  }
  return [...groups.values()].map(({ first, names }) => reasons(first, names)).join('')
}

function reasons({ summary, refusals }: PlannedTask, names: readonly string[]): string {
  const rows = refusals.map((one) =>
    [one.hostname || shortId(one.nodeId), one.filter, one.reason].join('\t'),
  )
  const table = rows.length === 0 ? '' : alignTable(['NODE\tFILTER\tREASON', ...rows])
  return `${names.join(', ')}: ${summary}\n${table.replace(/^(?=.)/gm, '  ')}`
}

/** In the spelling of `inspect`. */
export function planJson({ tasks, kept, cut }: PlanResponse) {
  return {
    Tasks: tasks.map((task) => ({
      Name: task.name,
      Service: task.serviceName,
      Action: task.kind,
      From: { NodeID: task.fromNodeId, Hostname: task.fromHostname },
      To: { NodeID: task.toNodeId, Hostname: task.toHostname },
      Summary: task.summary,
      Refusals: task.refusals.map((one) => ({
        NodeID: one.nodeId,
        Hostname: one.hostname,
        Filter: one.filter,
        Reason: one.reason,
      })),
    })),
    Kept: kept,
    Cut: cut,
  }
}
