// tsswarm swarm init
import { DaemonService, type SwarmRecovery } from '../../proto/gen/tsswarm/v1/daemon.ts'
import { newId } from '../../proto/lib/ids.ts'
import { availabilityFlag, availabilityOf, dataPathFlag, listenFlags } from '../address-flags.ts'
import {
  absentClusterFlag,
  addressFlags,
  clusterFlags,
  newClusterSpecOf,
} from '../cluster-flags.ts'
import { defineCommand, noArguments } from '../command.ts'
import { bool, type FlagValues } from '../flags.ts'
import { usage } from '../parse-args.ts'
import { recoveryText } from '../render/recovery.ts'

const flags = {
  ...clusterFlags,
  ...addressFlags,
  ...listenFlags,
  'data-path-addr': dataPathFlag,
  availability: availabilityFlag,
  'force-new-cluster': bool('Make a swarm of this manager alone, with the state it has'),
  force: bool('With --force-new-cluster: also while more than half of the managers can be reached'),
}

export const command = defineCommand({
  name: 'swarm init',
  summary: 'Initialize a swarm',
  description:
    'This host becomes the first manager, and runs tasks too unless it is drained.\n\n' +
    '--force-new-cluster recovers a swarm that has lost more than half of its managers: run on one that is left, it makes ' +
    'that one the only manager. Services and nodes stay, containers go on; what only the lost managers knew is ' +
    'gone, and they must not come back with their old state.',
  args: noArguments,
  flags,
  absent: absentClusterFlag,
  examples: [
    { what: 'On a host with one address', command: 'tsswarm swarm init' },
    { what: 'On a host with several', command: 'tsswarm swarm init --advertise-addr 192.168.1.10' },
    {
      what: 'With subnets of its own for networks',
      command:
        'tsswarm swarm init --default-addr-pool 10.20.0.0/16 --default-addr-pool-mask-length 26',
    },
    {
      what: 'On the manager that is left of three',
      command: 'tsswarm swarm init --force-new-cluster',
    },
  ],
  run: async (ctx, given) => {
    const isRecovery = given.flags['force-new-cluster']
    checkTogether(given.flags)
    const client = await ctx.connect()
    const answer = await client.call(
      DaemonService.initSwarm,
      {
        requestId: newId(ctx.random),
        advertiseAddress: given.flags['advertise-addr'] ?? '',
        listenAddress: given.flags['listen-addr'] ?? '',
        dataPathAddress: given.flags['data-path-addr'] ?? '',
        availability: availabilityOf(given.flags.availability),
        spec: isRecovery ? undefined : newClusterSpecOf(given.flags),
        forceNewCluster: isRecovery,
        force: given.flags.force,
      },
      // A long log is applied anew.
      { retry: false, timeoutMs: isRecovery ? 120_000 : 60_000 },
    )
    ctx.stdout.write(answer.recovery === undefined ? begun(answer) : recovered(answer))
    return 0
  },
})

/** Errors: USAGE. */
function checkTogether(given: FlagValues<typeof flags>): void {
  if (!given['force-new-cluster']) {
    if (given.force) throw usage('--force goes with --force-new-cluster only')
    return
  }
  const settings = [
    'availability',
    'data-path-addr',
    ...Object.keys(clusterFlags),
    ...Object.keys(addressFlags),
  ] as const
  const isGiven = (value: unknown): boolean =>
    Array.isArray(value) ? value.length > 0 : value !== undefined
  const name = settings.find((one) => isGiven(given[one as keyof typeof given]))
  if (name === undefined) return
  throw usage(`--force-new-cluster keeps the settings of the swarm: leave out --${name}`)
}

interface Answer {
  readonly nodeId: string
  readonly workerJoinToken: string
  readonly advertiseAddress: string
  readonly recovery: SwarmRecovery | undefined
}

function begun({ nodeId, workerJoinToken, advertiseAddress }: Answer): string {
  return (
    `Swarm initialized: current node (${nodeId}) is now a manager.\n\n` +
    'To add a worker to this swarm, run the following command:\n\n' +
    `    tsswarm swarm join --token ${workerJoinToken} ${advertiseAddress}\n\n` +
    "To add a manager to this swarm, run 'tsswarm swarm join-token manager' and follow the instructions.\n\n"
  )
}

function recovered({ nodeId, recovery }: Answer): string {
  return recovery === undefined ? '' : recoveryText(nodeId, recovery)
}
