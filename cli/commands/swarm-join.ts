// tsswarm swarm join
import { DaemonService } from '../../proto/gen/tsswarm/v1/daemon.ts'
import { NodeRole } from '../../proto/gen/tsswarm/v1/objects.ts'
import { newId } from '../../proto/lib/ids.ts'
import { availabilityFlag, availabilityOf, dataPathFlag, listenFlags } from '../address-flags.ts'
import { absentClusterFlag } from '../cluster-flags.ts'
import { defineCommand } from '../command.ts'
import { text } from '../flags.ts'
import { usage } from '../parse-args.ts'

const defaultPort = 2377

export const command = defineCommand({
  name: 'swarm join',
  summary: 'Join a swarm as a node and/or manager',
  description:
    'The token decides whether this host becomes a worker or a manager, and pins the swarm it belongs to.',
  args: { usage: 'HOST:PORT', min: 1, max: 1 },
  flags: {
    ...listenFlags,
    availability: availabilityFlag,
    'data-path-addr': dataPathFlag,
    token: text('Token for entry into the swarm'),
  },
  absent: absentClusterFlag,
  examples: [
    {
      what: 'As "tsswarm swarm join-token worker" prints it on a manager',
      command: 'tsswarm swarm join --token SWMTKN-1-... 192.168.1.10:2377',
    },
  ],
  run: async (ctx, { flags, args }) => {
    const [remote = ''] = args
    if (flags.token === undefined || flags.token === '') {
      throw usage(
        'a join token is needed: run "tsswarm swarm join-token worker" on a manager and pass it with --token',
      )
    }
    const client = await ctx.connect()
    const { role } = await client.call(
      DaemonService.joinSwarm,
      {
        requestId: newId(ctx.random),
        token: flags.token,
        remoteAddresses: [withPort(remote)],
        advertiseAddress: flags['advertise-addr'] ?? '',
        listenAddress: flags['listen-addr'] ?? '',
        dataPathAddress: flags['data-path-addr'] ?? '',
        availability: availabilityOf(flags.availability),
      },
      { retry: false, timeoutMs: 60_000 },
    )
    const word = role === NodeRole.MANAGER ? 'manager' : 'worker'
    ctx.stdout.write(`This node joined a swarm as a ${word}.\n`)
    return 0
  },
})

function withPort(address: string): string {
  const bare = /^\[[^\]]+\]$/.test(address) || /^[^:]+$/.test(address)
  return bare ? `${address}:${defaultPort}` : address
}
