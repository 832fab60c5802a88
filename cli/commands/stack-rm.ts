// tsswarm stack rm
import { defineCommand } from '../command.ts'
import { forEachArgument } from '../common.ts'
import { duration, triBool } from '../flags.ts'
import { nearStack } from '../stack/run/near-stack.ts'
import { removeStack } from '../stack/run/remove-stack.ts'
import { stackName } from '../stack/stack-spec.ts'

const defaultTimeoutMs = 60_000

export const command = defineCommand({
  name: 'stack rm',
  summary: 'Remove one or more stacks',
  description:
    'Services go first, then secrets and configs, then networks, which are waited for until the tasks have left them. External objects and ' +
    'volumes stay. There is no question asked first.',
  args: { usage: 'STACK [STACK...]', min: 1, max: 1_000, completes: 'stacks' },
  flags: {
    detach: triBool('Do not wait until the tasks have ended', { short: 'd', shown: 'true' }),
    timeout: duration('How long networks and tasks are waited for at most (ms|s|m|h)', {
      shown: '1m',
    }),
  },
  examples: [
    { what: 'A stack', command: 'tsswarm stack rm shop' },
    { what: 'Until nothing of it runs', command: 'tsswarm stack rm --detach=false shop' },
  ],
  run: async (ctx, { flags, args }) => {
    const client = await ctx.connect()
    return await forEachArgument(ctx, args, async (argument) => {
      const name = stackName(argument)
      const options = {
        waits: flags.detach === false,
        timeoutMs: flags.timeout ?? defaultTimeoutMs,
      }
      if (await removeStack(ctx, client, name, options)) return
      ctx.stderr.write(`Nothing found in stack: ${name}${await nearStack(client, name)}\n`)
    })
  },
})
