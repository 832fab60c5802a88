// tsswarm swarm reconnect
import { SwarmError } from '../../proto/errors.ts'
import { DaemonService } from '../../proto/gen/tsswarm/v1/daemon.ts'
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  name: 'swarm reconnect',
  summary: 'Find managers again that have moved to other addresses',
  description:
    'One manager that moves is found by the others without this. When so many have moved at once that no leader is left, run ' +
    'this on one manager and name present addresses of others: each of them learns where all are, and they go on. Give ' +
    'enough of them that more than half of all managers are connected, this one included.\n\n' +
    'On a worker it says where managers are now, in case all that it knew have moved.\n\n' +
    'Managers prove by their certificate who they are. Fails when an address is not that of a manager of this swarm, or no ' +
    'leader is found.',
  args: { usage: 'HOST[:PORT] [HOST[:PORT]...]', min: 1, max: 64 },
  flags: {},
  examples: [
    {
      what: 'On the first of three managers whose addresses were all changed',
      command: 'tsswarm swarm reconnect 192.168.7.12 192.168.7.13',
    },
    { what: 'On a worker', command: 'tsswarm swarm reconnect 192.168.7.11:2377' },
  ],
  run: async (ctx, { args }) => {
    const client = await ctx.connect()
    const failed: string[] = []
    const request = { addresses: [...args] }
    let end: SwarmError | undefined
    for await (const step of client.stream(DaemonService.reconnectSwarm, [request])) {
      const { address, nodeId, error, found } = step
      if (address === '') {
        if (error !== '') end = new SwarmError('NO_LEADER', error)
        else ctx.stdout.write(`Connected: ${found} answers for the swarm.\n`)
      } else if (error === '') {
        ctx.stdout.write(`${address}: manager ${nodeId}\n`)
      } else {
        ctx.stdout.write(`${address}: ${error}\n`)
        failed.push(address)
      }
    }
    if (end !== undefined) throw end
    if (failed.length === 0) return 0
    throw new SwarmError(
      'UNAVAILABLE',
      `no manager of this swarm was found at ${failed.join(', ')}; the others are connected`,
    )
  },
})
