// tsswarm stack rollback
import { defineCommand } from '../command.ts'
import { bool, duration } from '../flags.ts'
import { usage } from '../parse-args.ts'
import { renderStackPlan } from '../render/stack-plan.ts'
import { changesNothing } from '../stack/plan-stack.ts'
import { plannedRollback } from '../stack/run/kept-stack.ts'
import { carryOutRecorded } from '../stack/run/recorded.ts'
import { stackName } from '../stack/stack-spec.ts'

export const command = defineCommand({
  name: 'stack rollback',
  summary: 'Bring back a former revision of a stack',
  description:
    'Without a number: the last one that was deployed and is not as the present one, so that a second rollback returns. Services get the specs that they had, ' +
    'with the versions of secrets and configs of that time; those that came later are removed; networks, secrets and configs stay. ' +
    'It says what it changes, as "stack plan" does, and is a new revision itself.\n' +
    'Nothing is changed when a version of a secret or config is gone that the revision had; "stack history" tells which.\n' +
    'With --wait it ends with 0 when all services that changed have converged, with 1 and the reasons when some cannot, and with 124 when --timeout is over.',
  args: {
    usage: 'STACK [REVISION]',
    min: 1,
    max: 2,
    completes: 'stacks',
    thenCompletes: 'revisions',
  },
  flags: {
    'dry-run': bool('Only say what would change'),
    quiet: bool('Suppress progress output', { short: 'q' }),
    timeout: duration('With --wait: how long to wait at most (ms|s|m|h)'),
    wait: bool('Wait until all services that changed have converged'),
  },
  examples: [
    { what: 'What would change', command: 'tsswarm stack rollback --dry-run shop' },
    {
      what: 'The revision before, waited for',
      command: 'tsswarm stack rollback --wait --timeout 5m shop',
    },
    { what: 'A revision of "stack history"', command: 'tsswarm stack rollback shop 3' },
  ],
  run: async (ctx, { flags, args }) => {
    const stack = stackName(args[0] ?? '')
    const wanted = revisionNumber(args[1])
    if (!flags.wait && flags.timeout !== undefined) throw usage('--timeout goes with --wait')
    if (flags['dry-run'] && flags.wait) throw usage('--dry-run and --wait exclude each other')
    const client = await ctx.connect()
    const { planned, revision } = await plannedRollback(ctx, client, stack, wanted)
    const { steps } = planned.plan
    if (!flags.quiet || flags['dry-run']) {
      ctx.stdout.write(`Revision ${revision} of stack ${stack}:\n${renderStackPlan(steps)}`)
    }
    if (flags['dry-run'] || changesNothing(planned.plan)) return 0
    const origin = { stack, kind: 'rollback', rollbackTo: revision } as const
    const { quiet, wait: waits, timeout: timeoutMs = 0 } = flags
    return await carryOutRecorded(ctx, client, planned, { origin, quiet, waits, timeoutMs })
  },
})

/** 0: none was given. Errors: USAGE. */
function revisionNumber(word: string | undefined): number {
  if (word === undefined) return 0
  if (/^[1-9]\d{0,8}$/.test(word)) return Number(word)
  throw usage(`invalid revision "${word}": write a number of "tsswarm stack history"`)
}
