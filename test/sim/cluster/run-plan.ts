// What a run is about, drawn from its seed: how many hosts, which clients with what kinds of services, how long things go wrong. Most runs are
// short and about one thing, so that very many fit; every 80th is long and about everything.
import { SimRandom } from 'raft-ts/testing'
import type { DependencySpec, UpdatePolicy } from '../../../proto/spec/service-spec.ts'
import type { FaultKind } from './faults.ts'

export type SimMode = 'replicated' | 'global' | 'replicated-job' | 'global-job' | 'cron'

export interface ClientPlan {
  readonly name: string
  /** Of its services, one after another. */
  readonly modes: readonly SimMode[]
  /** Its first service stays: another client's depends on it. */
  readonly isKept?: boolean
  readonly dependsOn?: DependencySpec
  /** Each slot has a volume. */
  readonly hasVolumes?: boolean
  /** Containers are asked for their health; left out: those of every third service. */
  readonly isAsked?: boolean
  /** How its tasks are replaced, with programs that fail now and then; left out: stop-first, and on whatever fails. */
  readonly update?: Pick<UpdatePolicy, 'order' | 'failureAction'>
}

export interface RunPlan {
  readonly managers: number
  readonly workers: number
  readonly clients: readonly ClientPlan[]
  /** How long faults come. */
  readonly faultsMs: number
  /** Between faults. */
  readonly pauseMs: number
  /** A fault that comes oftener than others. */
  readonly favours?: FaultKind
  /** Workers that join while things go wrong. */
  readonly joins: number
  /** Tasks move to where few are. */
  readonly isRebalanced: boolean
}

export type RunLength = 'short' | 'long'

const longEach = 80

const serving: readonly SimMode[] = ['replicated', 'replicated', 'global', 'replicated-job']
const jobs: readonly SimMode[] = ['replicated-job', 'global-job']

/** A service that stays and one that waits for it, by all conditions. */
function pairs(condition: DependencySpec['condition']): readonly ClientPlan[] {
  const modes: readonly SimMode[] =
    condition === 'completed_successfully' ? ['replicated-job'] : ['replicated']
  return [
    { name: 'base', modes, isKept: true, isAsked: condition === 'healthy' },
    { name: 'c2', modes: ['replicated'], dependsOn: { service: nameOf('base', 1), condition } },
  ]
}

type Theme = Pick<RunPlan, 'clients' | 'favours'> & Partial<RunPlan>

function updated(
  order: UpdatePolicy['order'],
  failureAction: UpdatePolicy['failureAction'],
  modes: readonly SimMode[] = ['replicated'],
): ClientPlan {
  return { name: 'c5', modes, update: { order, failureAction } }
}

const themes: readonly Theme[] = [
  { clients: [{ name: 'c1', modes: serving }] },
  { clients: [{ name: 'c1', modes: ['replicated', 'global'], isAsked: true }] },
  { clients: [{ name: 'c2', modes: jobs }] },
  { clients: [{ name: 'c1', modes: ['cron'] }], favours: 'clocks-leap' },
  { clients: [{ name: 'c1', modes: ['cron'] }], favours: 'kill-leader' },
  { clients: pairs('started') },
  { clients: pairs('healthy') },
  { clients: pairs('completed_successfully') },
  { clients: [{ name: 'c1', modes: ['replicated'], hasVolumes: true }] },
  { clients: [{ name: 'c1', modes: ['replicated'], hasVolumes: true }], favours: 'cut-off' },
  { clients: [updated('stop-first', 'rollback')] },
  { clients: [updated('start-first', 'rollback')], favours: 'kill-leader' },
  { clients: [updated('start-first', 'pause', ['replicated', 'global'])] },
  { clients: [updated('stop-first', 'pause', ['replicated', 'global'])], favours: 'kill-leader' },
  { clients: [{ name: 'c1', modes: ['replicated', 'global'] }], joins: 2 },
  { clients: [updated('start-first', 'continue')], joins: 2, isRebalanced: true },
]

const everything: readonly ClientPlan[] = [
  { name: 'c1', modes: serving },
  { name: 'c3', modes: ['cron', ...jobs] },
  { name: 'c4', modes: ['replicated'], hasVolumes: true },
  updated('start-first', 'rollback'),
  ...pairs('healthy'),
]

/** The same for the same seed. */
export function planOf(seed: number, length?: RunLength): RunPlan {
  // Its own stream: what is drawn here shifts nothing in the run.
  const random = SimRandom.named(seed, 'plan')
  const isLong = length === undefined ? seed % longEach === 0 : length === 'long'
  if (isLong) return longPlan(random)
  const theme = random.pick(themes)
  return {
    joins: 0,
    isRebalanced: false,
    clients: everything,
    ...theme,
    managers: 3,
    workers: random.below(3),
    faultsMs: random.between(3_000, 6_000),
    pauseMs: random.between(300, 1_500),
  }
}

function longPlan(random: SimRandom): RunPlan {
  const pauseMs = random.between(500, 4_000)
  const size = { managers: 3, workers: 3, faultsMs: 20_000, pauseMs }
  return { ...size, joins: 1, isRebalanced: random.chance(0.5), clients: everything }
}

/** Of a client's service, counted from 1. */
export function nameOf(client: string, round: number): string {
  return `${client}-${round}`
}
