// What can befall a cluster. Each fault strikes, is healed, and then says whether it truly struck.
import type { Choices } from '../support/linearizability/choices.ts'
import type { Cluster } from './cluster.ts'
import type { Host } from './host.ts'

export interface FaultContext {
  readonly cluster: Cluster
  readonly choices: Choices
}

export interface Struck {
  /** On whom, and how. */
  readonly text: string
  readonly heal: () => Promise<void>
  /** After all is healed. False: it had no effect that could be seen. */
  readonly isProven: () => Promise<boolean>
}

type Strike = (context: FaultContext) => Promise<Struck>

const jumpMaxSeconds = 3 * 24 * 3600

/** To add a fault, add it here. */
export const faults = {
  'kill-leader': (context) => kill([leaderOf(context)]),
  'kill-others': (context) => kill(othersOf(context, 1 + context.choices.below(2))),
  'kill-all': ({ cluster }) => kill(cluster.members),
  'stop-leader': (context) => stop([leaderOf(context)]),
  'stop-others': (context) => stop(othersOf(context, 1 + context.choices.below(2))),
  'cut-halves': async (context) => {
    const shuffled = context.choices.shuffled(context.cluster.members)
    const smaller = 1 + context.choices.below(Math.floor((shuffled.length - 1) / 2))
    return await cut(context, shuffled.slice(0, smaller), shuffled.slice(smaller), 'both ways')
  },
  'cut-leader': async (context) => {
    const leader = leaderOf(context)
    return await cut(context, [leader], othersOf(context), 'both ways')
  },
  'cut-leader-deaf': async (context) =>
    await cut(context, othersOf(context), [leaderOf(context)], 'one way'),
  'cut-leader-mute': async (context) =>
    await cut(context, [leaderOf(context)], othersOf(context), 'one way'),
  'cut-one-way': async (context) => {
    const shuffled = context.choices.shuffled(context.cluster.members)
    const at = 1 + context.choices.below(shuffled.length - 1)
    return await cut(context, shuffled.slice(0, at), shuffled.slice(at), 'one way')
  },
  'slow-disk': slowDisk,
  'clock-jump': clockJump,
  transfer,
  replace,
  compact,
} as const satisfies Readonly<Record<string, Strike>>

export type FaultKind = keyof typeof faults

export const faultKinds = Object.keys(faults) as readonly FaultKind[]

/** Without a known leader, whoever. */
function leaderOf({ cluster, choices }: FaultContext): Host {
  return cluster.leader() ?? choices.of(cluster.members)
}

function othersOf(context: FaultContext, count?: number): readonly Host[] {
  const leader = context.cluster.leader()
  const others = context.cluster.members.filter((host) => host !== leader)
  return context.choices.shuffled(others).slice(0, count)
}

function names(hosts: readonly Host[]): string {
  return hosts.map(({ id, number }) => id ?? `host ${number}`).join(' ')
}

async function kill(hosts: readonly Host[]): Promise<Struck> {
  const text = names(hosts)
  const processes = hosts.map(({ process }) => process)
  await Promise.all(hosts.map((host) => host.kill()))
  return {
    text,
    heal: async () => {
      await Promise.all(hosts.map((host) => host.start()))
    },
    isProven: async () => processes.some((process) => process?.isGone === true),
  }
}

async function stop(hosts: readonly Host[]): Promise<Struck> {
  const text = names(hosts)
  const processes = hosts.flatMap(({ process }) => (process === undefined ? [] : [process]))
  for (const process of processes) process.signal('SIGSTOP')
  let wereStopped = false
  return {
    text,
    heal: async () => {
      wereStopped = processes.some(({ isStopped }) => isStopped)
      for (const process of processes) process.signal('SIGCONT')
    },
    isProven: async () => wereStopped,
  }
}

async function cut(
  { cluster: { network } }: FaultContext,
  from: readonly Host[],
  to: readonly Host[],
  way: 'one way' | 'both ways',
): Promise<Struck> {
  const text = `${names(from)} ${way === 'one way' ? '-/->' : '</>'} ${names(to)}`
  const senders = from.map(({ number }) => number)
  const receivers = to.map(({ number }) => number)
  const dropped = async (): Promise<number> => {
    const counts = await Promise.all(
      [...senders, ...receivers].map((host) => network.dropped(host)),
    )
    return counts.reduce((sum, count) => sum + count, 0)
  }
  const before = await dropped()
  await network.cut(senders, receivers)
  if (way === 'both ways') await network.cut(receivers, senders)
  return {
    text,
    heal: async () => {
      await network.heal(senders, receivers)
      if (way === 'both ways') await network.heal(receivers, senders)
    },
    isProven: async () => (await dropped()) > before,
  }
}

async function slowDisk(context: FaultContext): Promise<Struck> {
  const { choices, cluster } = context
  const delayMs = Math.round(choices.of([50, 200, 800, 2000]) * choices.between(0.7, 1.3))
  const others = othersOf(context, choices.below(cluster.members.length))
  const hosts = choices.below(2) === 0 || others.length === 0 ? [leaderOf(context)] : others
  const delayed = (): number => hosts.reduce((sum, { disk }) => sum + disk.delayed, 0)
  const before = delayed()
  for (const { disk } of hosts) disk.delay(delayMs)
  return {
    text: `${names(hosts)}: ${delayMs} ms a flush`,
    heal: async () => {
      for (const { disk } of hosts) disk.delay(0)
    },
    isProven: async () => delayed() > before,
  }
}

async function clockJump({ choices, cluster }: FaultContext): Promise<Struck> {
  const hosts = choices
    .shuffled(cluster.members)
    .slice(0, 1 + choices.below(cluster.members.length))
  const direction = choices.of([-1, 1])
  const seconds = Math.round(direction * choices.of([60, 3600, jumpMaxSeconds]))
  for (const host of hosts) host.setClock(seconds)
  let isSeen = false
  return {
    text: `${names(hosts)}: ${seconds} s`,
    heal: async () => {
      const offsets = await Promise.all(
        hosts.map(async (host) => {
          const state = await host.state(2000).catch(() => undefined)
          return state === undefined ? 0 : (state.wallMs - Date.now()) / 1000
        }),
      )
      isSeen = offsets.some((offset) => Math.abs(offset - seconds) < 10)
      for (const host of hosts) host.setClock(0)
    },
    isProven: async () => isSeen,
  }
}

async function transfer(context: FaultContext): Promise<Struck> {
  const { choices } = context
  const leader = leaderOf(context)
  const to = choices.below(2) === 0 ? choices.of(othersOf(context)).id : undefined
  const outcome = leader.order({ kind: 'transfer', to }).catch(() => undefined)
  return {
    text: `${leader.id} -> ${to ?? 'whoever has most'}`,
    heal: async () => {},
    isProven: async () =>
      ((await outcome) as { readonly kind: string } | undefined)?.kind === 'done',
  }
}

async function replace({ choices, cluster }: FaultContext): Promise<Struck> {
  const old = choices.of(cluster.members)
  const isJoint = choices.below(2) === 0
  const text = `${old.id}, ${isJoint ? 'jointly' : 'step by step'}`
  let failure: unknown
  // It goes on through other faults, and has to end when all are healed.
  const replaced = cluster.replace(old, isJoint).catch((err) => {
    failure = err
  })
  return {
    text,
    heal: async () => {},
    isProven: async () => {
      await replaced
      if (failure !== undefined) throw failure
      return true
    },
  }
}

async function compact({ choices, cluster }: FaultContext): Promise<Struck> {
  const hosts = choices.shuffled(cluster.members).slice(0, 1 + choices.below(3))
  const taken = hosts.map(async (host) => {
    await host.order({ kind: 'compact' }).catch(() => undefined)
    return (await host.state().catch(() => undefined))?.snapshotIndex ?? 0
  })
  return {
    text: names(hosts),
    heal: async () => {},
    isProven: async () => (await Promise.all(taken)).some((index) => index > 0),
  }
}
