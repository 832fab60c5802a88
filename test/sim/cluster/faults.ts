// A fault script: drawn from the seed before the run begins, so that it can be printed and read.
import type { SimRandom } from 'raft-ts/testing'
import { calmDisk } from 'raft-ts/testing'
import { calmLinks } from './links.ts'
import type { RunPlan } from './run-plan.ts'
import type { SimCluster } from './sim-cluster.ts'
import type { SimHost } from './sim-host.ts'

export interface Fault {
  readonly atMs: number
  /** How long it lasts; 0: it is over at once. */
  readonly forMs: number
  readonly kind: FaultKind
  readonly host: string
}

interface FaultDef {
  readonly weight: number
  readonly lastsMs: readonly [number, number]
  readonly begin: (cluster: SimCluster, host: SimHost) => void
  readonly end: (cluster: SimCluster, host: SimHost) => void
}

const heal = (cluster: SimCluster): void => cluster.links.healAll()
const nothing = (): void => {}

const kinds = {
  kill: {
    weight: 4,
    lastsMs: [20, 4_000],
    begin: (_, host) => host.kill(),
    end: (_, host) => host.start(),
  },
  'power-off': {
    weight: 2,
    lastsMs: [100, 5_000],
    begin: (_, host) => host.powerOff(),
    end: (_, host) => host.start(),
  },
  'kill-leader': {
    weight: 2,
    lastsMs: [20, 4_000],
    begin: (cluster, host) => (cluster.leader() ?? host).kill(),
    end: (cluster) => cluster.startAll(),
  },
  'power-off-managers': {
    weight: 0.7,
    lastsMs: [100, 1_000],
    begin: ({ hosts }) => {
      for (const host of hosts) if (host.isManager) host.powerOff()
    },
    end: (cluster) => cluster.startAll(),
  },
  pause: {
    weight: 2,
    lastsMs: [100, 6_000],
    begin: (_, host) => host.pause(),
    end: (_, host) => host.resume(),
  },
  'cut-off': {
    weight: 3,
    lastsMs: [200, 8_000],
    begin: (cluster, host) => {
      for (const other of cluster.hosts) cutBoth(cluster, host.name, other.name)
    },
    end: heal,
  },
  'cut-one-way': {
    weight: 1,
    lastsMs: [200, 6_000],
    begin: (cluster, host) => {
      for (const other of cluster.hosts) {
        if (other !== host) cluster.links.cut(host.name, other.name)
      }
    },
    end: heal,
  },
  'cut-some': {
    weight: 2,
    lastsMs: [200, 6_000],
    begin: (cluster) => {
      for (const one of cluster.hosts) {
        for (const other of cluster.hosts) {
          if (one !== other && cluster.random.chance(0.25)) cluster.links.cut(one.name, other.name)
        }
      }
    },
    end: heal,
  },
  'bad-network': {
    weight: 2,
    lastsMs: [500, 5_000],
    begin: ({ links, random }) => {
      links.weather = {
        delayMs: [1, random.between(5, 80)],
        losing: random.between(0, 0.2),
        reordering: 0.1,
        reorderMs: 100,
      }
    },
    end: ({ links }) => {
      links.weather = calmLinks
    },
  },
  'slow-disk': {
    weight: 1,
    lastsMs: [500, 4_000],
    begin: ({ random }, host) => {
      host.disk.weather = { ...calmDisk, syncMs: [1, random.between(5, 200)] }
    },
    end: (_, host) => {
      host.disk.weather = calmDisk
    },
  },
  'failing-disk': {
    weight: 0.5,
    lastsMs: [200, 1_500],
    begin: (_, host) => {
      host.disk.weather = { ...calmDisk, failing: 0.02 }
    },
    end: (_, host) => {
      host.disk.weather = calmDisk
    },
  },
  'containers-end': {
    weight: 3,
    lastsMs: [0, 0],
    begin: ({ random }, { containers }) => {
      for (const { id } of containers.list()) if (random.chance(0.5)) containers.exit(id, 1)
    },
    end: nothing,
  },
  renewal: {
    weight: 2,
    lastsMs: [0, 0],
    begin: (_, host) => host.renew(),
    end: nothing,
  },
  transfer: {
    weight: 1,
    lastsMs: [0, 0],
    begin: (cluster) => {
      const leader = cluster.leader()
      leader?.place?.process.run(() => void leader.manager?.raft.transferLeadership())
    },
    end: nothing,
  },
  'clock-off': {
    weight: 1,
    lastsMs: [1_000, 8_000],
    begin: (cluster, host) => {
      const { random } = cluster
      cluster.setClock(host, random.between(0.95, 1.05), random.between(-3_600_000, 3_600_000))
    },
    end: (_, host) => host.setClock(1, 0),
  },
  /** As of virtual machines that were asleep. */
  'clocks-leap': {
    weight: 1.5,
    lastsMs: [0, 0],
    begin: (cluster) => cluster.leap(cluster.random.below(3), cluster.random.between(50, 1_500)),
    end: nothing,
  },
} as const satisfies Readonly<Record<string, FaultDef>>

export type FaultKind = keyof typeof kinds

const table = Object.entries(kinds) as readonly (readonly [FaultKind, FaultDef])[]
const weightSum = table.reduce((sum, [, { weight }]) => sum + weight, 0)

/** About one fault each `pauseMs` until `faultsMs`; all are over by then. */
export function drawScript(
  random: SimRandom,
  hosts: readonly string[],
  { pauseMs, faultsMs: endMs, favours }: Pick<RunPlan, 'pauseMs' | 'faultsMs' | 'favours'>,
): readonly Fault[] {
  const script: Fault[] = []
  const next = (): number => random.between(0.2 * pauseMs, 1.8 * pauseMs)
  for (let atMs = next(); atMs < endMs; atMs += next()) {
    const [kind, { lastsMs }] = draw(random, favours)
    const forMs = Math.min(random.between(lastsMs[0], lastsMs[1]), endMs - atMs)
    script.push({ atMs, forMs, kind, host: random.pick(hosts) ?? '' })
  }
  return script
}

/** Puts the script on the calendar. */
export function schedule(cluster: SimCluster, script: readonly Fault[]): void {
  for (const fault of script) {
    const host = cluster.host(fault.host)
    const { begin, end }: FaultDef = kinds[fault.kind]
    cluster.world.after(fault.atMs, () => {
      cluster.log.info(fault, 'fault')
      begin(cluster, host)
    })
    cluster.world.after(fault.atMs + fault.forMs, () => end(cluster, host))
  }
}

function draw(random: SimRandom, favours?: FaultKind): readonly [FaultKind, FaultDef] {
  if (favours !== undefined && random.chance(0.4)) return [favours, kinds[favours]]
  let left = random.float() * weightSum
  const drawn = table.find(([, { weight }]) => {
    left -= weight
    return left < 0
  })
  if (drawn === undefined) throw new Error('the weights of faults do not add up')
  return drawn
}

function cutBoth(cluster: SimCluster, one: string, other: string): void {
  if (one === other) return
  cluster.links.cut(one, other)
  cluster.links.cut(other, one)
}
