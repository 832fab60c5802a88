// Live convergence of a service: lines that are redrawn on a terminal, and plain lines elsewhere. Only words; the waiting
// is in converge.ts.
import type { WatchServiceResponse } from '../../proto/gen/tsswarm/v1/control.ts'
import type { Service, Task } from '../../proto/gen/tsswarm/v1/objects.ts'
import {
  isTaskState,
  isTerminal,
  TaskState,
  taskStateName,
} from '../../proto/objects/task-state.ts'
import { runTime } from '../../proto/spec/cron-schedule.ts'
import type { Output } from '../context.ts'
import { type Waiting, waitingOf } from './job-progress.ts'
import { naturalCompare } from './natural.ts'

/** Above this many replicas only the sum is shown. */
const barsMax = 20
const barWidth = 50
/** Of more failed slots than these only the number is told. */
const reasonsMax = 5

/** One line of progress; the same key is the same line. */
export interface ProgressLine {
  readonly key: string
  readonly text: string
  /** Where lines are not redrawn the line is written again only when this is another one; absent: the text. */
  readonly about?: string
}

/** Redraws lines in place on a terminal; elsewhere writes those that changed and are not bars. */
export class ProgressDisplay {
  readonly #output: Output
  #drawn: readonly ProgressLine[] = []

  constructor(output: Output) {
    this.#output = output
  }

  show(lines: readonly ProgressLine[]): void {
    if (this.#output.isTerminal) this.#redraw(lines)
    else this.#print(lines)
    this.#drawn = lines
  }

  #redraw(lines: readonly ProgressLine[]): void {
    const up = this.#drawn.length === 0 ? '' : `\x1b[${this.#drawn.length}A`
    const most = Math.max(this.#output.columns - 1, 20)
    const body = lines.map((line) => `\r\x1b[2K${line.text.slice(0, most)}\n`).join('')
    this.#output.write(`${up}${body}\x1b[J`)
  }

  #print(lines: readonly ProgressLine[]): void {
    for (const line of lines) {
      if (line.key.startsWith('slot ')) continue
      const before = this.#drawn.find((drawn) => drawn.key === line.key)
      const isNew = (before?.about ?? before?.text) !== (line.about ?? line.text)
      if (isNew) this.#output.write(`${line.text}\n`)
    }
  }
}

/** How far a service is, counted over its present generation of tasks. */
export interface Convergence {
  readonly waiting: Waiting
  readonly wanted: number
  /** Of a job: those that ended well. */
  readonly running: number
  /** By place. */
  readonly slots: readonly SlotProgress[]
}

export interface SlotProgress {
  /** The number of the slot, or the id of the node of tasks without slot. */
  readonly slot: number | string
  readonly state: TaskState
  /** Why it does not run, or why its task before did not. */
  readonly err: string
  /** Its task ended and is followed by no other. */
  readonly isGivenUp: boolean
}

/** What an answer of the watch says about a service's convergence. */
export function convergenceOf(update: WatchServiceResponse): Convergence {
  const service = update.service?.service
  const waiting = waitingOf(update)
  const wanted = waiting.kind === 'completed' ? waiting.total : (update.service?.desiredTasks ?? 0)
  const own = update.tasks
    .flatMap(({ task }) => (task === undefined ? [] : [task]))
    .filter((task) => isOfRun(task, waiting, service))
  const givenUp = new Set<Place>([...update.givenUpSlots, ...update.givenUpNodes])
  const bySlot = new Map<Place, SlotProgress>()
  for (const task of own.sort((a, b) => rank(a) - rank(b))) {
    const isOver = task.desiredState > TaskState.COMPLETE
    // What was stopped on purpose says nothing about the slot; what failed does, until its successor is made.
    if (isOver && (task.desiredState === TaskState.REMOVE || !isEnded(task))) continue
    const slot = placeOf(task)
    const state = isTaskState(task.state) ? task.state : TaskState.NEW
    const err = task.err === '' ? lastError(own, slot) : task.err
    bySlot.set(slot, { slot, state, err, isGivenUp: givenUp.has(slot) })
  }
  const slots = [...bySlot.values()].sort((a, b) => naturalCompare(String(a.slot), String(b.slot)))
  const running =
    waiting.kind === 'completed' ? update.service?.completedTasks : update.currentRunningTasks
  return { waiting, wanted, running: Math.min(running ?? 0, wanted), slots }
}

/** Of the present run of a job, or of the present spec. */
function isOfRun(task: Task, waiting: Waiting, service: Service | undefined): boolean {
  if (waiting.kind === 'completed') return task.jobIteration === waiting.iteration
  return task.specHash === service?.specHash
}

type Place = SlotProgress['slot']

function placeOf({ forNodeId, slot }: Task): Place {
  return forNodeId === '' ? slot : forNodeId
}

/** What is wanted comes after what is not, what is further along after what is less so, then the later one. */
function rank(task: Task): number {
  const isOver = task.desiredState > TaskState.COMPLETE
  return isOver ? (task.meta?.createdAtMs ?? 0) : 2 ** 50 + task.state
}

function isEnded(task: Task): boolean {
  return isTaskState(task.state) && isTerminal(task.state)
}

/** Why the slot's last task ended, while its replacement is not running. */
function lastError(tasks: readonly Task[], slot: Place): string {
  let latest = { atMs: -1, err: '' }
  for (const task of tasks) {
    if (placeOf(task) !== slot || task.err === '' || task.stateAtMs < latest.atMs) continue
    latest = { atMs: task.stateAtMs, err: task.err }
  }
  return latest.err
}

/** What becomes of a service as it is now, if nothing else happens. */
export type Outcome = 'there' | 'stuck' | 'moving'

/**
 * There: all tasks run, or ended well and are not meant to start again. Stuck: a slot gets no task any more, and all
 * others run, have given up or fail.
 */
export function outcomeOf({ running, wanted, slots, waiting }: Convergence): Outcome {
  if (waiting.kind === 'scheduled') return 'there'
  const finished = slots.filter((slot) => slot.isGivenUp && slot.state === TaskState.COMPLETE)
  if (Math.min(running + finished.length, wanted) === wanted) return 'there'
  if (failedSlots(slots).length === 0) return 'moving'
  // A task of a job that runs is still to end.
  const isOnItsWay = ({ state, err }: SlotProgress): boolean =>
    (state < TaskState.RUNNING && err === '') ||
    (waiting.kind === 'completed' && state === TaskState.RUNNING)
  return slots.some(isOnItsWay) ? 'moving' : 'stuck'
}

/** The slots that failed and get no task any more. */
export function failedSlots(slots: readonly SlotProgress[]): readonly SlotProgress[] {
  return slots.filter((slot) => slot.isGivenUp && slot.state !== TaskState.COMPLETE)
}

/** Why a service that is stuck will not come up, and how to look further. */
export function stuckText(name: string, { slots, wanted }: Convergence): string {
  const failed = failedSlots(slots)
  const reasons = failed.slice(0, reasonsMax).map(({ slot, state, err }) => {
    return `  ${name}.${slot}: ${err === '' ? `the task is ${taskStateName(state)}` : err}`
  })
  if (failed.length > reasonsMax) reasons.push(`  and ${failed.length - reasonsMax} more`)
  return [
    `service ${name}: ${failed.length} of ${wanted} tasks failed and will not be tried again (restart policy):`,
    ...reasons,
    `The service stays. See \`tsswarm service ps --no-trunc ${name}\`; mend it with \`tsswarm service update\` or remove it.`,
  ].join('\n')
}

/** The lines of a convergence that is not there yet. */
export function progressLines(convergence: Convergence): readonly ProgressLine[] {
  const { running, wanted, slots, waiting } = convergence
  if (waiting.kind === 'scheduled') return [{ key: 'overall', text: nextRunText(waiting) }]
  const overall = {
    key: 'overall',
    text:
      waiting.kind === 'completed'
        ? `job progress: ${running} out of ${wanted} complete`
        : `overall progress: ${running} out of ${wanted} tasks`,
  }
  if (wanted > barsMax) return [overall, ...errorLines(slots)]
  const bars = Array.from({ length: wanted }, (_, i): ProgressLine => {
    const slot = slots[i]
    const label = `${i + 1}/${wanted}:`.padEnd(`${wanted}/${wanted}: `.length)
    const text = `${label}${slotText(slot)}`
    if (!isFailing(slot)) return { key: `slot ${i + 1}`, text }
    return { key: `error ${i + 1}`, text, about: slot.err }
  })
  return [overall, ...bars]
}

/** The last lines, when what was waited for is there. */
export function verifiedLines(name: string, { waiting }: Convergence): readonly ProgressLine[] {
  switch (waiting.kind) {
    case 'running':
      return [{ key: 'verify', text: `verify: Service ${name} converged` }]
    case 'completed':
      return [{ key: 'verify', text: 'job complete' }]
    case 'scheduled':
      return []
  }
}

function nextRunText({ nextRunMs }: Extract<Waiting, { readonly kind: 'scheduled' }>): string {
  return nextRunMs === 0 ? 'no run is due' : `next run: ${runTime(nextRunMs)}`
}

function errorLines(slots: readonly SlotProgress[]): readonly ProgressLine[] {
  const failing = slots.filter(isFailing)
  const [first] = failing
  if (first === undefined) return []
  return [{ key: 'error', text: `${failing.length} tasks not running: ${first.err}` }]
}

/** Does not run, and there is a word on why. */
function isFailing(
  slot: SlotProgress | undefined,
): slot is SlotProgress & { readonly err: string } {
  if (slot === undefined || slot.err === '') return false
  return slot.state !== TaskState.RUNNING && slot.state !== TaskState.COMPLETE
}

function slotText(slot: SlotProgress | undefined): string {
  if (slot === undefined) return ''
  const { state, err } = slot
  const word = taskStateName(state).padEnd(10)
  return isFailing(slot) ? `${word} ${err}` : `${word}${bar(state)}`
}

const steps: readonly TaskState[] = [
  TaskState.NEW,
  TaskState.PENDING,
  TaskState.ASSIGNED,
  TaskState.ACCEPTED,
  TaskState.PREPARING,
  TaskState.READY,
  TaskState.STARTING,
  TaskState.RUNNING,
]

function bar(state: TaskState): string {
  const at = state === TaskState.COMPLETE ? steps.length - 1 : Math.max(steps.indexOf(state), 0)
  const filled = Math.round((at / (steps.length - 1)) * barWidth)
  if (filled >= barWidth) return `[${'='.repeat(barWidth)}>]`
  return `[${'='.repeat(filled)}>${' '.repeat(barWidth - filled)}]`
}
