// tsswarm stack plan
import { defineCommand } from '../command.ts'
import { bool, choice } from '../flags.ts'
import { renderStackPlan } from '../render/stack-plan.ts'
import { composeFlags, loadProject } from '../stack/run/compose-files.ts'
import { plannedStack } from '../stack/run/deploy-stack.ts'
import { resolveImageFlag } from '../stack/run/stack-images.ts'
import { stackName } from '../stack/stack-spec.ts'

export const command = defineCommand({
  name: 'stack plan',
  summary: 'Show what "stack deploy" would do',
  description:
    'Changes nothing. Every network, secret, config and service with what would become of it: created, changed (field by field, and whether its ' +
    'tasks are replaced), removed, or left alone. The deployment takes exactly these steps, unless somebody changes the swarm in between.',
  args: { usage: 'STACK', min: 1, max: 1, completes: 'stacks' },
  flags: {
    ...composeFlags,
    format: choice('Format output: table or json', ['table', 'json'], { shown: 'table' }),
    prune: bool('Remove services of the stack that the files do not have any more'),
    'resolve-image': resolveImageFlag,
  },
  examples: [
    { what: 'Before a deployment', command: 'tsswarm stack plan -c compose.yml shop' },
    {
      what: 'For a program, a line a step',
      command: 'tsswarm stack plan -c compose.yml --format json shop',
    },
  ],
  run: async (ctx, { flags, args }) => {
    const name = stackName(args[0] ?? '')
    const project = await loadProject(ctx, flags)
    const client = await ctx.connect()
    const { plan } = await plannedStack(ctx, client, project, {
      name,
      prunes: flags.prune,
      resolveImage: flags['resolve-image'] ?? 'always',
    })
    const isJson = flags.format === 'json'
    const lines = plan.steps.map((step) => `${JSON.stringify(step)}\n`)
    ctx.stdout.write(isJson ? lines.join('') : renderStackPlan(plan.steps))
    return 0
  },
})
