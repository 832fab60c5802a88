// Exit codes of commands that tell by 1 that they found something: what failed must differ from that.
import { SwarmError } from '../proto/errors.ts'
import type { CommandContext } from './context.ts'

export const troubleExit = 2

/** The code that `run` gives; 2 with the error on stderr where it fails. A wrong command line and Ctrl-C stay what they are. */
export async function withTroubleExit(
  ctx: CommandContext,
  run: () => Promise<number>,
): Promise<number> {
  try {
    return await run()
  } catch (err) {
    const isOwn = err instanceof SwarmError && err.code !== 'USAGE' && err.code !== 'INTERNAL'
    if (!isOwn || ctx.signal.aborted) throw err
    ctx.stderr.write(`Error: ${err.message}\n`)
    return troubleExit
  }
}
