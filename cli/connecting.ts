// Waiting until a running task is on a network that it was connected to, or off it.
import { taskFromProto } from '../proto/codec/task.ts'
import { hasCode, SwarmError } from '../proto/errors.ts'
import { ControlService, type TaskView } from '../proto/gen/tsswarm/v1/control.ts'
import { wait } from '../proto/lib/clock.ts'
import { isTerminal, type Task, type TaskAttachment } from '../proto/objects/index.ts'
import type { Client } from './client.ts'
import { incomplete } from './common.ts'
import type { CommandContext } from './context.ts'

const pollMs = 100
/** Longer than a node is waited for that does not let go (5 s), and than a node waits for news of a network (10 s). */
const waitMs = 20_000

export interface Subject {
  readonly taskId: string
  readonly networkId: string
  /** As the user named them. */
  readonly task: string
  readonly network: string
}

/** Errors: FAILED_PRECONDITION with why it did not come about, DEADLINE_EXCEEDED with what it waits for. */
export async function untilConnected(
  ctx: CommandContext,
  client: Client,
  subject: Subject,
): Promise<void> {
  const what = `task "${subject.task}" is not connected to network "${subject.network}"`
  await until(ctx, client, subject, {
    isDone: (task, attachment) => {
      if (task === undefined || isTerminal(task.state)) {
        throw new SwarmError('FAILED_PRECONDITION', `${what}: it has ended meanwhile`)
      }
      const { connection } = attachment ?? {}
      if (connection === undefined) {
        throw new SwarmError('FAILED_PRECONDITION', `${what}: it was disconnected meanwhile`)
      }
      if (connection.phase === 'failed') {
        throw new SwarmError('FAILED_PRECONDITION', `${what}: ${connection.err}`)
      }
      return connection.phase === 'connected'
    },
    late: (view, attachment) => {
      const wait = attachment?.connection?.err || waitsForNode(view)
      return `${what} yet: ${wait}. It goes on by itself; "tsswarm network disconnect" takes it back`
    },
  })
}

/** Errors: DEADLINE_EXCEEDED with what it waits for. */
export async function untilDisconnected(
  ctx: CommandContext,
  client: Client,
  subject: Subject,
): Promise<void> {
  await until(ctx, client, subject, {
    isDone: (task, attachment) =>
      task === undefined || isTerminal(task.state) || attachment === undefined,
    late: (view) =>
      `task "${subject.task}" is still on network "${subject.network}": ${waitsForNode(view)}. It goes on by itself`,
  })
}

interface Goal {
  readonly isDone: (task: Task | undefined, attachment: TaskAttachment | undefined) => boolean
  readonly late: (view: TaskView | undefined, attachment: TaskAttachment | undefined) => string
}

async function until(
  ctx: CommandContext,
  client: Client,
  { taskId, networkId }: Subject,
  goal: Goal,
): Promise<void> {
  const endMs = ctx.clock.monotonicMs() + waitMs
  while (true) {
    const view = await findTask(client, taskId)
    if (view !== undefined && view.task === undefined) throw incomplete('task')
    const task = view?.task === undefined ? undefined : taskFromProto(view.task)
    const attachment = task?.attachments.find((one) => one.networkId === networkId)
    if (goal.isDone(task, attachment)) return
    if (ctx.clock.monotonicMs() > endMs) {
      throw new SwarmError('DEADLINE_EXCEEDED', goal.late(view, attachment))
    }
    await wait(ctx.clock, pollMs, ctx.signal)
    if (ctx.signal.aborted) throw new SwarmError('CANCELLED', 'interrupted; it goes on by itself')
  }
}

/** Undefined: it was removed. */
async function findTask(client: Client, reference: string): Promise<TaskView | undefined> {
  try {
    return (await client.call(ControlService.getTask, { reference })).task
  } catch (err) {
    if (hasCode(err, 'NOT_FOUND')) return undefined
    throw err
  }
}

function waitsForNode(view: TaskView | undefined): string {
  return `its node ${view?.nodeHostname ?? ''} has not answered`
}
