// The history of a stack as its clients write it: a revision is begun before the first step and ended after the last.
import { hasCode, SwarmError } from '../../../proto/errors.ts'
import { ControlService } from '../../../proto/gen/tsswarm/v1/control.ts'
import { newId } from '../../../proto/lib/ids.ts'
import type { StackChange, StackRevisionState } from '../../../proto/objects/stack.ts'
import type { Client } from '../../client.ts'
import { clientUser } from '../../client-user.ts'
import type { CommandContext } from '../../context.ts'
import type { StackPlan, Step } from '../plan-stack.ts'
import { changesNothing } from '../plan-stack.ts'

/** What a revision is made by. */
export interface Origin {
  readonly stack: string
  readonly kind: 'deploy' | 'rollback'
  /** 0: it is no rollback. */
  readonly rollbackTo: number
}

/** A revision that was begun. */
export interface OpenRevision {
  /**
   * deployed: all was written, and what the stack is now is kept; failed: what was kept stays; reverted: nothing is kept. May be told
   * again. That it could not be noted is a warning.
   */
  ended(state: Exclude<StackRevisionState, 'deploying'>, message?: string): Promise<void>
}

/**
 * Begins one, unless the plan changes nothing. While a manager is of a version without history, none is kept and a warning says so.
 * Errors: as Client.call.
 */
export async function beginRevision(
  ctx: CommandContext,
  client: Client,
  plan: StackPlan,
  origin: Origin,
): Promise<OpenRevision> {
  if (changesNothing(plan)) return unkept
  const request = {
    requestId: newId(ctx.random),
    ...origin,
    clientUser: clientUser(ctx.env),
    changes: plan.steps.flatMap(changeOf),
  }
  let revision: number
  try {
    revision = (await client.call(ControlService.beginStackRevision, request)).revision
  } catch (err) {
    if (!hasCode(err, 'FAILED_PRECONDITION', 'UNSUPPORTED')) throw err
    ctx.stderr.write(`Warning: the history of the stack is not kept: ${err.message}\n`)
    return unkept
  }
  const { stack } = origin
  return {
    ended: async (state, message = '') => {
      // An interrupted client has no time to tell; the revision stays as it is.
      if (ctx.signal.aborted) return
      const request = { requestId: newId(ctx.random), stack, revision, state, message }
      try {
        const { problem } = await client.call(ControlService.endStackRevision, request)
        if (problem !== '') ctx.stderr.write(`Warning: revision ${revision}: ${problem}\n`)
      } catch (err) {
        if (!(err instanceof SwarmError)) throw err
        ctx.stderr.write(`Warning: revision ${revision} is not noted as ${state}: ${err.message}\n`)
      }
    },
  }
}

const unkept: OpenRevision = { ended: async () => {} }

/** They go with what they are of. */
const ownLabel = /^labels\.com\.(docker|tsswarm)\.stack\./

function changeOf(step: Step): readonly StackChange[] {
  if (step.action === 'keep') return []
  const { action, kind, name } = step
  const changed = step.action === 'change' ? step.changes.map(({ field }) => field) : []
  const fields = changed.filter((field) => !ownLabel.test(field))
  return [{ action, kind, name, fields }]
}
