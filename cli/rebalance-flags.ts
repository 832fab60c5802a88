// --rebalance of `swarm init` and `swarm update`.
import { defaultRebalance, type RebalancePolicy } from '../proto/spec/cluster-spec.ts'
import { choice, type Flags, type FlagValues, integer } from './flags.ts'
import { defined } from './service/defined.ts'

export const rebalanceFlags = {
  rebalance: choice(
    'Whether tasks move by themselves onto nodes with few of their service: off or gradual',
    ['off', 'gradual'],
    { shown: 'off' },
  ),
  'rebalance-moves': integer(
    'Tasks that may be on the move at the same time',
    { min: 1, max: 100 },
    { shown: '1' },
  ),
} satisfies Flags

export function rebalanceOf(
  flags: FlagValues<typeof rebalanceFlags>,
  current: RebalancePolicy = defaultRebalance,
): RebalancePolicy {
  const { rebalance: mode, 'rebalance-moves': movesMax } = flags
  return { ...current, ...defined({ mode, movesMax }) }
}
