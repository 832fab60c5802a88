// Carrying out a plan with its revision noted in the stack's history: what `stack deploy` and `stack rollback` do.
import { SwarmError } from '../../../proto/errors.ts'
import type { Client } from '../../client.ts'
import type { CommandContext } from '../../context.ts'
import {
  carryOut,
  type PlannedStack,
  type TakenStep,
  type TouchedService,
  waitForServices,
} from './deploy-stack.ts'
import { beginRevision, type OpenRevision, type Origin } from './history.ts'

export interface RecordedOptions {
  readonly quiet: boolean
  readonly waits: boolean
  /** 0: no limit. */
  readonly timeoutMs: number
}

/** The exit code: 0 at once, or as waitForServices. Errors: as carryOut. */
export async function carryOutRecorded(
  ctx: CommandContext,
  client: Client,
  planned: PlannedStack,
  { origin, quiet, waits, timeoutMs }: RecordedOptions & { readonly origin: Origin },
): Promise<number> {
  const revision = await beginRevision(ctx, client, planned.plan, origin)
  const options = { quiet, taken: [], revision }
  const touched = await carryOutNoted(ctx, client, planned, options)
  if (!waits) return 0
  const failures: string[] = []
  const code = await waitForServices(ctx, client, touched, { quiet, timeoutMs, failures })
  if (code === 1) await revision.ended('failed', failures.join('; '))
  return code
}

/** carryOut, and how it ended is noted. Errors: as carryOut. */
export async function carryOutNoted(
  ctx: CommandContext,
  client: Client,
  planned: PlannedStack,
  options: {
    readonly quiet: boolean
    readonly taken: TakenStep[]
    readonly revision: OpenRevision
  },
): Promise<readonly TouchedService[]> {
  const { revision } = options
  try {
    const touched = await carryOut(ctx, client, planned, options)
    await revision.ended('deployed')
    return touched
  } catch (err) {
    if (err instanceof SwarmError) await revision.ended('failed', err.message)
    throw err
  }
}
