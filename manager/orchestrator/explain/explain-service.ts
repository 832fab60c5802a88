// Why a service is as it is: what it still waits for, and its tasks that do not run, those that say the same taken together.
import {
  isActive,
  isTerminal,
  isUpdating,
  placeOf,
  type Service,
  type Task,
  TaskState,
} from '../../../proto/objects/index.ts'
import type { TaskExplanation } from '../../../scheduler/explain.ts'
import { waitsFor } from '../dependencies.ts'
import { policyOf } from '../policy.ts'
import type { ServiceView } from '../service-view.ts'
import { slotsOf } from '../slot.ts'
import { cronFindings } from './cron-findings.ts'
import { explainTask } from './explain-task.ts'
import { type Finding, spanText } from './finding.ts'
import { dependencyFinding, type HasPayload, missingPayloads } from './needs.ts'

export interface ServiceSituation {
  readonly service: Service
  /** With all of its tasks. */
  readonly view: ServiceView
  readonly nowMs: number
  /** How many tasks are to run. */
  readonly wanted: number
  /** What the scheduler says of a task that waits for a node. */
  readonly placementOf: (task: Task) => TaskExplanation | undefined
  readonly hasPayload: HasPayload
  /** Of which the schedules of cron services speak. */
  readonly wallMs: number
}

export interface GroupFinding extends Finding {
  /** Tasks it is about, by name; empty: the service itself. */
  readonly tasks: readonly string[]
}

/** More tasks than these are not looked at: they mostly say the same. */
const tasksMax = 1_000
const ofTasks: ReadonlySet<Finding['code']> = new Set([
  'PENDING',
  'ADDRESSES',
  'FAILED',
  'RETRIES',
  'GIVEN_UP',
  'WAITS',
  'DEPENDENCY',
  'HEALTH',
  'NODE_LOST',
  'DRAINS',
])

/** The service first, then its tasks by slot. */
export function explainService(situation: ServiceSituation): readonly GroupFinding[] {
  const own = [
    stateOf(situation),
    ...cronFindings(situation.service, situation.wallMs),
    ...updateOf(situation),
    ...rebalanceOf(situation),
    ...dependencyOf(situation),
    ...payloadsOf(situation),
  ]
  const groups = new Map<string, { readonly finding: Finding; readonly tasks: string[] }>()
  for (const task of troubled(situation)) {
    const { view, nowMs, placementOf, hasPayload, service } = situation
    const placement = placementOf(task)
    const findings = explainTask({ task, view, nowMs, placement, hasPayload })
    for (const finding of findings.filter(({ code }) => ofTasks.has(code))) {
      const key = groupKey(finding)
      const group = groups.get(key) ?? { finding, tasks: [] }
      groups.set(key, group)
      group.tasks.push(`${service.spec.name}.${placeOf(task)}`)
    }
  }
  return [
    ...own.map((finding) => ({ ...finding, tasks: [] })),
    ...[...groups.values()].map(({ finding, tasks }) => ({ ...finding, tasks })),
  ]
}

/** Ids and times in a text tell tasks apart that have the same trouble. */
function groupKey({ code, text, causes, refusals }: Finding): string {
  const plain = text.replaceAll(/\b[0-9a-z]{25}\b|\b\d+ (s|min|h|d)\b/g, '*')
  return JSON.stringify([code, plain, causes, refusals])
}

function stateOf({ service, view, wanted }: ServiceSituation): Finding {
  const running = view.tasks.filter(
    (task) => task.state === TaskState.RUNNING && isActive(task),
  ).length
  return {
    code: 'STATE',
    text: `${running} of ${wanted} tasks of ${service.spec.name} are running`,
  }
}

function updateOf(situation: ServiceSituation): readonly Finding[] {
  const { service, nowMs } = situation
  const { updateStatus } = service
  if (updateStatus === undefined || updateStatus.state.endsWith('completed')) return []
  const since = spanText(nowMs - updateStatus.startedAtMs)
  const text = `its update began ${since} ago and is ${updateStatus.state}: ${updateStatus.message}`
  if (isUpdating(service)) return [{ code: 'UPDATE', text, causes: paceOf(situation) }]
  const remedy = `change the service again, or "tsswarm service rollback ${service.spec.name}"`
  return [{ code: 'UPDATE', text, remedy }]
}

/** How far it is, and when the next tasks are due. */
function paceOf({ service, view, nowMs }: ServiceSituation): readonly string[] {
  const { specVersion } = service
  const { parallelism, delayMs } = policyOf(service)
  const heads = slotsOf(view.tasks).map(({ head }) => head)
  const updated = heads.filter((head) => head.specVersion === specVersion)
  if (updated.length >= heads.length) return []
  const pace = parallelism === 0 ? 'all at once' : `${parallelism} at a time`
  const delay = delayMs === 0 ? '' : `, ${spanText(delayMs)} between`
  const far = `${updated.length} of ${heads.length} tasks are of the new specification: ${pace}${delay}`
  const running = updated.filter(({ state }) => state === TaskState.RUNNING)
  const ends = running.map(({ ranAtMs }) => ranAtMs + delayMs).filter((atMs) => atMs > nowMs)
  const nextMs = Math.min(...ends)
  const isWaiting = running.length === updated.length && ends.length > 0
  return isWaiting ? [far, `the update delay is over in ${spanText(nextMs - nowMs)}`] : [far]
}

function rebalanceOf({ service, nowMs }: ServiceSituation): readonly Finding[] {
  const { rebalance } = service
  if (rebalance === undefined) return []
  const since = spanText(nowMs - rebalance.startedAtMs)
  const text = `its tasks are being spread anew since ${since}, ${rebalance.moved} were moved`
  return [{ code: 'REBALANCE', text }]
}

/** An update that waits; tasks that wait say so themselves. */
function dependencyOf({ view }: ServiceSituation): readonly Finding[] {
  if (view.tasks.some((task) => isActive(task) && task.waitsFor !== '')) return []
  const why = waitsFor(view)
  return why === '' ? [] : [dependencyFinding(why, view)]
}

function payloadsOf({ service, hasPayload }: ServiceSituation): readonly Finding[] {
  return missingPayloads(service.spec.task, service, hasPayload)
}

/** The heads of slots that do not run, and tasks that take long to stop. */
function troubled({ view }: ServiceSituation): readonly Task[] {
  const tasks: Task[] = []
  for (const { head, tasks: all } of slotsOf(view.tasks)) {
    if (head.state !== TaskState.RUNNING || !isActive(head)) tasks.push(head)
    for (const task of all) {
      if (task !== head && !isTerminal(task.state) && task.nodeId !== undefined) tasks.push(task)
    }
    if (tasks.length >= tasksMax) break
  }
  return tasks
}
