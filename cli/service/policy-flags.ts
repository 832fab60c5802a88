// The flags of how a service is updated and how it goes back.
import { replicasMax } from '../../proto/spec/service-mode.ts'
import {
  defaultUpdatePolicy,
  type RollbackPolicy,
  type UpdatePolicy,
} from '../../proto/spec/service-spec.ts'
import { choice, duration, type Flags, type FlagValues, integer, ratio } from '../flags.ts'
import { defined } from './defined.ts'

const orders = ['stop-first', 'start-first'] as const
const tasks = { min: 0, max: replicasMax }

export const policyFlags = {
  'update-delay': duration('Delay between updates (ms|s|m|h)'),
  'update-failure-action': choice('Action on update failure: pause, continue or rollback', [
    'pause',
    'continue',
    'rollback',
  ]),
  'update-max-failure-ratio': ratio('Failure rate to tolerate during an update'),
  'update-monitor': duration('Duration after each task update to monitor for failure (ms|s|m|h)'),
  'update-order': choice('Update order: stop-first or start-first', orders),
  'update-parallelism': integer('Maximum number of tasks updated simultaneously (0 = all)', tasks),
  'rollback-delay': duration('Delay between task rollbacks (ms|s|m|h)'),
  'rollback-failure-action': choice('Action on rollback failure: pause or continue', [
    'pause',
    'continue',
  ]),
  'rollback-max-failure-ratio': ratio('Failure rate to tolerate during a rollback'),
  'rollback-monitor': duration(
    'Duration after each task rollback to monitor for failure (ms|s|m|h)',
  ),
  'rollback-order': choice('Rollback order: stop-first or start-first', orders),
  'rollback-parallelism': integer(
    'Maximum number of tasks rolled back simultaneously (0 = all)',
    tasks,
  ),
} satisfies Flags

const shown = {
  delay: '0s',
  'failure-action': 'pause',
  'max-failure-ratio': '0',
  monitor: '5s',
  order: 'stop-first',
  parallelism: '1',
}

/** The same, with the defaults in their help. */
export const newPolicyFlags: typeof policyFlags = Object.fromEntries(
  Object.entries(policyFlags).map(([name, flag]) => {
    const option = name.replace(/^(update|rollback)-/, '') as keyof typeof shown
    return [name, { ...flag, shown: shown[option] }]
  }),
) as typeof policyFlags

type PolicyFlags = FlagValues<typeof policyFlags>

/** The policies with what the flags say. */
export function changePolicies(
  current: { readonly update: UpdatePolicy; readonly rollback: RollbackPolicy },
  flags: PolicyFlags,
): { readonly update: UpdatePolicy; readonly rollback: RollbackPolicy } {
  return {
    update: {
      ...current.update,
      ...defined({
        parallelism: flags['update-parallelism'],
        delayMs: flags['update-delay'],
        monitorMs: flags['update-monitor'],
        maxFailureRatio: flags['update-max-failure-ratio'],
        order: flags['update-order'],
        failureAction: flags['update-failure-action'],
      }),
    },
    rollback: {
      ...current.rollback,
      ...defined({
        parallelism: flags['rollback-parallelism'],
        delayMs: flags['rollback-delay'],
        monitorMs: flags['rollback-monitor'],
        maxFailureRatio: flags['rollback-max-failure-ratio'],
        order: flags['rollback-order'],
        failureAction: flags['rollback-failure-action'],
      }),
    },
  }
}

export const usualPolicies = { update: defaultUpdatePolicy, rollback: defaultUpdatePolicy }
