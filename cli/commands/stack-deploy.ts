// tsswarm stack deploy
import { defineCommand } from '../command.ts'
import { bool, duration, triBool } from '../flags.ts'
import { usage } from '../parse-args.ts'
import { deployAtomically } from '../stack/run/atomic.ts'
import { composeFlags, loadProject } from '../stack/run/compose-files.ts'
import { plannedStack } from '../stack/run/deploy-stack.ts'
import { carryOutRecorded } from '../stack/run/recorded.ts'
import { resolveImageFlag } from '../stack/run/stack-images.ts'
import { stackName } from '../stack/stack-spec.ts'

export const command = defineCommand({
  name: 'stack deploy',
  summary: 'Deploy a new stack or update an existing stack',
  description:
    'Creates and updates the networks, secrets, configs and services of the files; what is as the files say is left alone, so that a second ' +
    'deployment replaces no task. Everything wrong with the files is said before anything changes, with file, line and column.\n' +
    'Returns at once unless --wait is given. Then it ends with 0 when all services that changed have converged, with 1 and the reasons when some ' +
    'cannot, and with 124 when --timeout is over; the stack stays as it is then, ' +
    'or with --atomic goes back to what it was.\n' +
    'Images are pinned to the digest that the registry has for their tag, and tasks go to nodes of the platforms that it has: a tag that has moved on replaces them. ' +
    'With --with-registry-auth tasks pull with your logins for the registries of their images; without it services keep the credentials they have.',
  args: { usage: 'STACK', min: 1, max: 1, completes: 'stacks' },
  flags: {
    ...composeFlags,
    atomic: bool('Wait, and bring the whole stack back when a service cannot converge'),
    detach: triBool('Exit immediately instead of waiting for the services to converge', {
      short: 'd',
      shown: 'true',
    }),
    prune: bool('Remove services of the stack that the files do not have any more'),
    quiet: bool('Suppress progress output', { short: 'q' }),
    'resolve-image': resolveImageFlag,
    timeout: duration('With --wait: how long to wait at most (ms|s|m|h)'),
    wait: bool('Wait until all services that changed have converged'),
    'with-registry-auth': bool('Let tasks pull with your logins for the registries of images'),
  },
  examples: [
    { what: 'A stack', command: 'tsswarm stack deploy -c compose.yml shop' },
    {
      what: 'In a pipeline: wait, and know how it ended',
      command: 'tsswarm stack deploy -c compose.yml --wait --timeout 5m shop',
    },
    {
      what: 'All or nothing',
      command: 'tsswarm stack deploy -c compose.yml --atomic --timeout 5m shop',
    },
    {
      what: 'With what differs in production, without services that are gone from the files',
      command: 'tsswarm stack deploy -c compose.yml -c production.yml --prune shop',
    },
  ],
  run: async (ctx, { flags, args }) => {
    const name = stackName(args[0] ?? '')
    const mustWait = flags.wait || flags.atomic
    if (mustWait && flags.detach === true) {
      throw usage(`--${flags.atomic ? 'atomic' : 'wait'} and --detach exclude each other`)
    }
    const waits = mustWait || flags.detach === false
    if (!waits && flags.timeout !== undefined) throw usage('--timeout goes with --wait')
    const project = await loadProject(ctx, flags)
    const client = await ctx.connect()
    const planned = await plannedStack(ctx, client, project, {
      name,
      prunes: flags.prune,
      resolveImage: flags['resolve-image'] ?? 'always',
      sendsAuth: flags['with-registry-auth'],
    })
    const { quiet, timeout: timeoutMs = 0 } = flags
    if (flags.atomic) return await deployAtomically(ctx, client, planned, { quiet, timeoutMs })
    const origin = { stack: name, kind: 'deploy', rollbackTo: 0 } as const
    return await carryOutRecorded(ctx, client, planned, { origin, quiet, waits, timeoutMs })
  },
})
