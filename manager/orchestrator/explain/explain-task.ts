// Why a task is as it is: pending, failed, made anew, waiting or stopping. Reads the picture that the decisions read, and says what
// they go by; decides nothing.
import {
  isActive,
  isDraining,
  isTerminal,
  type Task,
  type TaskReason,
  TaskState,
  taskStateName,
} from '../../../proto/objects/index.ts'
import { restartPolicyOf, shouldRestart, successorAtMs } from '../restart.ts'
import type { ServiceView } from '../service-view.ts'
import { isOnLostNode } from '../slot.ts'
import { type Finding, nodeText, spanText } from './finding.ts'
import { nameOf, remedyOfExit, remedyOfRefusals } from './remedies.ts'
import { slotOf, type TaskSituation } from './task-situation.ts'
import { delayText, graceOf, waitsOf } from './task-waits.ts'

/** The most important first. */
export function explainTask(situation: TaskSituation): readonly Finding[] {
  const { task } = situation
  return [
    stateOf(situation),
    ...placementOf(situation),
    ...failureOf(situation),
    ...waitsOf(situation),
    ...stopOf(situation),
    ...madeOf(situation),
    ...nodeLossOf(situation),
  ].filter((finding) => finding.code !== 'PENDING' || isActive(task))
}

function stateOf({ task, view, nowMs }: TaskSituation): Finding {
  const node = nodeText(task.nodeId, task.nodeId && view.node(task.nodeId))
  const since = spanText(nowMs - task.appliedAtMs)
  const wish =
    task.desiredState === task.state ? '' : `, wanted ${taskStateName(task.desiredState)}`
  return { code: 'STATE', text: `${taskStateName(task.state)} on ${node} for ${since}${wish}` }
}

function placementOf({ task, placement, view }: TaskSituation): readonly Finding[] {
  if (task.nodeId !== undefined || !isActive(task)) return []
  if (task.state === TaskState.NEW) {
    const text = task.err || 'it waits for its addresses on networks'
    return [{ code: 'ADDRESSES', text }]
  }
  if (placement === undefined) return []
  const { summary, refusals } = placement
  const remedy = refusals.length === 0 ? undefined : remedyOfRefusals(refusals, view)
  return [{ code: 'PENDING', text: summary, refusals, ...(remedy !== undefined && { remedy }) }]
}

function failureOf(situation: TaskSituation): readonly Finding[] {
  const { task, view } = situation
  const slot = slotOf(situation)
  const failed = slot.tasks.filter(hasFailed)
  const last = hasFailed(task) ? task : failed.at(-1)
  if (last === undefined || (last !== task && task.state === TaskState.RUNNING)) return []
  const findings: Finding[] = [failure(last, task, situation)]
  const same = failed.filter(({ specVersion }) => specVersion === last.specVersion)
  if (same.length > 1) {
    const text = `${same.length} of the last ${slot.tasks.length} tasks of this slot failed`
    findings.push({ code: 'RETRIES', text, causes: distinct(same.map((one) => one.err)) })
  }
  const isLast = slot.head === task && isTerminal(task.state)
  if (isLast && view.service !== undefined) {
    findings.push(...(shouldRestart(slot, task, view) ? nextOf(situation) : [givenUp(task, view)]))
  }
  return findings
}

/** A task that failed while its own start was delayed is followed once that is over. */
function nextOf({ task, view, nowMs }: TaskSituation): readonly Finding[] {
  const atMs = successorAtMs(task, view)
  if (atMs <= nowMs) return []
  const text = `its slot gets the next task in ${spanText(atMs - nowMs)}: ${delayText(task, view)}`
  return [{ code: 'WAITS', text }]
}

function failure(last: Task, task: Task, { view, nowMs }: TaskSituation): Finding {
  const where = nodeText(last.nodeId, last.nodeId && view.node(last.nodeId))
  const step = last.state === TaskState.REJECTED ? 'could not be started' : 'failed'
  const who = last === task ? 'it' : `the task before it (${last.id})`
  const stage = last.message === '' ? '' : `, while ${last.message}`
  const ago = spanText(nowMs - last.appliedAtMs)
  const text = `${who} ${step} on ${where} ${ago} ago${stage}: ${last.err || exitText(last)}`
  const isProgram = last.state === TaskState.FAILED && last.exitCode !== undefined
  const remedy = isProgram || last.health?.state === 'unhealthy' ? remedyOfExit(last.id) : undefined
  return { code: 'FAILED', text, causes: exitCauses(last), ...(remedy !== undefined && { remedy }) }
}

function exitText({ exitCode }: Task): string {
  return exitCode === undefined ? 'no reason was told' : `exit code ${exitCode}`
}

const signalBase = 128
const signals: Readonly<Record<number, string>> = {
  6: 'SIGABRT: the program aborted itself',
  9: 'SIGKILL: out of memory, killed by hand, or still there after its stop grace period',
  11: 'SIGSEGV: the program crashed',
  15: 'SIGTERM: somebody asked the program to end',
}

function exitCauses({ exitCode }: Task): readonly string[] {
  if (exitCode === undefined || exitCode === 0) return []
  if (exitCode === 126) return ['exit code 126: the command is there but cannot be run']
  if (exitCode === 127) return ['exit code 127: the command was not found']
  const signal = signals[exitCode - signalBase]
  return signal === undefined ? [] : [`exit code ${exitCode} stands for ${signal}`]
}

function givenUp(task: Task, view: ServiceView): Finding {
  const { condition, maxAttempts } = restartPolicyOf(task, view)
  const isPolicy = condition === 'none' || task.state === TaskState.COMPLETE
  const why = isPolicy
    ? `its restart condition is ${condition}`
    : `all ${maxAttempts} restarts of its restart policy are used up`
  return {
    code: 'GIVEN_UP',
    text: `its slot gets no further task: ${why}`,
    remedy: `change the service, or "tsswarm service update --force ${nameOf(view)}", to start anew`,
  }
}

function stopOf(situation: TaskSituation): readonly Finding[] {
  const { task, view } = situation
  if (isActive(task) || isTerminal(task.state)) return []
  const after = slotOf(situation).tasks.find((other) => other.startAfterTaskId === task.id)
  const why = task.err || reasonToStop(task, after, view)
  return [
    {
      code: 'STOPS',
      text: `it is to stop: ${why}`,
      causes: isDraining(task) ? [] : graceOf(task, view),
    },
    ...(isDraining(task)
      ? [
          {
            code: 'DRAINS',
            text: 'it still serves until every node leads connections elsewhere, a few seconds at most',
          } as const,
        ]
      : []),
  ]
}

function reasonToStop(task: Task, after: Task | undefined, view: ServiceView): string {
  if (task.desiredState === TaskState.REMOVE) {
    return view.service === undefined ? 'its service was removed' : 'its service was scaled down'
  }
  return after === undefined ? 'another task takes its place' : `${reasonText(after.reason)}`
}

const reasons: Readonly<Record<TaskReason, string>> = {
  '': 'for a reason that was not noted',
  new: 'its slot was empty: the service was created or scaled up',
  update: 'the service was updated',
  rollback: 'the service went back to its previous specification',
  failure: 'the task before it failed',
  ended: 'the task before it ended',
  'node-down': 'the node of the task before it was down',
  'node-removed': 'the node of the task before it was removed',
  drain: 'the node of the task before it was drained',
  constraint: 'the node of the task before it no longer met a constraint',
  resources: 'the node of the task before it no longer had what was reserved',
  rebalance: 'another node had fewer tasks of the service',
}

function reasonText(reason: TaskReason): string {
  return reasons[reason]
}

/** Why it was made, with the tasks before it. */
function madeOf(situation: TaskSituation): readonly Finding[] {
  const { task, view } = situation
  const before = slotOf(situation).tasks
  const earlier = before.slice(0, before.indexOf(task)).reverse()
  const causes = earlier.slice(0, 3).map((one) => {
    const node = nodeText(one.nodeId, one.nodeId && view.node(one.nodeId))
    const err = one.err === '' ? '' : `: ${one.err}`
    return `${one.id} (${taskStateName(one.state)} on ${node})${err}`
  })
  return [{ code: 'MADE', text: `it was made because ${reasonText(task.reason)}`, causes }]
}

function nodeLossOf({ task, view }: TaskSituation): readonly Finding[] {
  if (isTerminal(task.state) || task.nodeId === undefined) return []
  const node = view.node(task.nodeId)
  if (node?.state === 'unknown') {
    const text = 'its node was not heard of since the leader changed: what is told of it may be old'
    return [{ code: 'NODE_LOST', text }]
  }
  if (!isOnLostNode(task, view) || node?.state === 'ready') return []
  const text =
    node === undefined
      ? 'its node was removed from the swarm'
      : 'its node is down: the task may still run there, and is stopped when the node is back'
  return [{ code: 'NODE_LOST', text }]
}

function hasFailed({ state }: Task): boolean {
  return state === TaskState.FAILED || state === TaskState.REJECTED
}

function distinct(texts: readonly string[]): readonly string[] {
  return [...new Set(texts.filter((text) => text !== ''))]
}
