// Live convergence of a service: lines that are redrawn on a terminal, and plain lines elsewhere. Only words; the waiting
// is in converge.ts.
import type { WatchServiceResponse } from '../../proto/gen/tsswarm/v1/control.ts'
import { isTaskState, TaskState, taskStateName } from '../../proto/objects/task-state.ts'
import type { Output } from '../context.ts'

/** Above this many replicas only the sum is shown. */
const barsMax = 20
const barWidth = 50

/** One line of progress; the same key is the same line. */
export interface ProgressLine {
  readonly key: string
  readonly text: string
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
      if (before?.text !== line.text) this.#output.write(`${line.text}\n`)
    }
  }
}

/** How far a service is, counted over its present generation of tasks. */
export interface Convergence {
  readonly wanted: number
  readonly running: number
  readonly slots: readonly SlotProgress[]
}

export interface SlotProgress {
  readonly slot: number
  readonly state: TaskState
  readonly err: string
}

/** What an answer of the watch says about a service's convergence. */
export function convergenceOf(update: WatchServiceResponse): Convergence {
  const service = update.service?.service
  const wanted = update.service?.desiredTasks ?? 0
  const bySlot = new Map<number, SlotProgress>()
  for (const { task } of update.tasks) {
    if (task === undefined) continue
    if (task.specHash !== service?.specHash || task.desiredState > TaskState.COMPLETE) continue
    const state = isTaskState(task.state) ? task.state : TaskState.NEW
    const known = bySlot.get(task.slot)
    if (known !== undefined && state <= known.state) continue
    const err = task.err === '' ? lastError(update, task.slot) : task.err
    bySlot.set(task.slot, { slot: task.slot, state, err })
  }
  const slots = [...bySlot.values()].sort((a, b) => a.slot - b.slot)
  return { wanted, running: Math.min(update.currentRunningTasks, wanted), slots }
}

/** Why the slot's last task ended, while its replacement is not running. */
function lastError(update: WatchServiceResponse, slot: number): string {
  let latest = { atMs: -1, err: '' }
  for (const { task } of update.tasks) {
    if (task?.slot !== slot || task.err === '' || task.stateAtMs < latest.atMs) continue
    latest = { atMs: task.stateAtMs, err: task.err }
  }
  return latest.err
}

/** The lines of a convergence that is not there yet. */
export function progressLines(convergence: Convergence): readonly ProgressLine[] {
  const { running, wanted, slots } = convergence
  const overall = {
    key: 'overall',
    text: `overall progress: ${running} out of ${wanted} tasks`,
  }
  if (wanted > barsMax) return [overall, ...errorLines(slots)]
  const bars = Array.from({ length: wanted }, (_, i): ProgressLine => {
    const slot = slots[i]
    const label = `${i + 1}/${wanted}:`.padEnd(`${wanted}/${wanted}: `.length)
    return {
      key: `${isFailing(slot) ? 'error' : 'slot'} ${i + 1}`,
      text: `${label}${slotText(slot)}`,
    }
  })
  return [overall, ...bars]
}

function errorLines(slots: readonly SlotProgress[]): readonly ProgressLine[] {
  const failing = slots.filter(isFailing)
  const [first] = failing
  if (first === undefined) return []
  return [{ key: 'error', text: `${failing.length} tasks not running: ${first.err}` }]
}

/** Does not run, and there is a word on why. */
function isFailing(slot: SlotProgress | undefined): boolean {
  return slot !== undefined && slot.err !== '' && slot.state < TaskState.RUNNING
}

function slotText(slot: SlotProgress | undefined): string {
  if (slot === undefined) return ''
  const word = taskStateName(slot.state).padEnd(10)
  if (isFailing(slot)) return `${word} ${slot.err}`
  return `${word}${bar(slot.state)}`
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
  const at = Math.max(steps.indexOf(state), 0)
  const filled = Math.round((at / (steps.length - 1)) * barWidth)
  if (filled >= barWidth) return `[${'='.repeat(barWidth)}>]`
  return `[${'='.repeat(filled)}>${' '.repeat(barWidth - filled)}]`
}
