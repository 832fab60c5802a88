// Reads the data planes of hosts and waits until they are as the store says.
import { systemClock, wait } from '../../proto/lib/clock.ts'
import { runCommand } from '../../proto/lib/command.ts'
import { differences, picturesOf } from '../support/churn/compare.ts'
import { kernelFacts } from '../support/churn/kernel-facts.ts'
import { LoadMeter } from '../support/load-meter.ts'
import type { ChurnCluster } from './cluster.ts'
import type { Watcher } from './watcher.ts'

/** What became so less than this ago may still be on its way. */
const settledMs = 1_000
const picturesMs = 10_000
/** Pictures are looked for this often. */
const lookAgainMs = 20
const gap = '\u0000'

/** A line of answer each. */
const questions = [
  'route show table main',
  'route show table local',
  'neigh show nud permanent',
  'link show type vxlan',
]
const script = [
  `printf '${questions.join('\\n')}\\n' | ip -4 -j -batch -`,
  'bridge -j fdb show',
  'nft -j list table inet tsswarm',
].join(`; printf '\\000'; `)

export interface Look {
  /** When the last kernel was read, on the wall clock. */
  readonly atMs: number
  /** `HOST: lacks FACT`. */
  readonly differences: readonly string[]
}

export interface Heal {
  readonly what: string
  /** From the end of the fault to the reading by which every kernel had been right, and stayed so; undefined: never. */
  readonly tookMs: number | undefined
  readonly looks: number
  /** Runnable threads for each processor of this machine meanwhile, at least 1. */
  readonly load: number
  /** What was wrong last. */
  readonly last: readonly string[]
}

export function dataPlaneOf(cluster: ChurnCluster, host: string): string {
  return `${cluster.lab.paths(host).runDir}/network/dataplane.netns`
}

export async function readKernel(
  cluster: ChurnCluster,
  host: string,
): Promise<ReadonlySet<string>> {
  const argv = ['nsenter', `--net=${dataPlaneOf(cluster, host)}`, 'sh', '-c', script]
  const { stdout } = await runCommand(argv)
  const [answers = '', fdb = '', nft = ''] = stdout.split(gap)
  const [routes = '', own = '', neighbours = '', links = ''] = answers.split('\n')
  return kernelFacts({ routes, own, neighbours, fdb, nft, links })
}

export async function look(
  cluster: ChurnCluster,
  watcher: Watcher,
  hosts: readonly string[],
): Promise<Look> {
  const readings = await Promise.all(
    hosts.map(async (host) => {
      const fromMs = systemClock.wallMs()
      const facts = await readKernel(cluster, host)
      return { host, facts, moment: { fromMs, toMs: systemClock.wallMs() } }
    }),
  )
  const atMs = Math.max(...readings.map(({ moment }) => moment.toMs))
  const endsAtMs = systemClock.monotonicMs() + picturesMs
  while (true) {
    const found = readings.map(({ host, facts, moment }) => {
      const pictures = picturesOf(moment, settledMs, watcher.pictures)
      if (pictures === undefined) return undefined
      const wrong = differences(facts, pictures, cluster.nodeId(host))
      return wrong.map((text) => `${host}: ${text}`)
    })
    const whole = found.filter((one) => one !== undefined)
    if (whole.length === found.length) return { atMs, differences: whole.flat() }
    if (systemClock.monotonicMs() > endsAtMs) {
      return { atMs, differences: ['no manager tells what should be'] }
    }
    await wait(systemClock, lookAgainMs)
  }
}

/**
 * Looks until all these kernels are right; at most for `withinMs`. `sinceMs`: when the fault ended, on the wall clock. Those that
 * were right are not looked at until the others are; then a last look must find all of them right.
 */
export async function untilEqual(
  cluster: ChurnCluster,
  watcher: Watcher,
  {
    what,
    hosts,
    sinceMs,
    withinMs,
    signal,
  }: {
    readonly what: string
    readonly hosts: readonly string[]
    readonly sinceMs: number
    readonly withinMs: number
    readonly signal?: AbortSignal
  },
): Promise<Heal> {
  const load = new LoadMeter()
  let last: readonly string[] = []
  let wrong = hosts
  let rightAtMs: number | undefined
  try {
    for (let looks = 1; ; looks++) {
      if (signal?.aborted === true) throw new Error('interrupted')
      const beganMs = systemClock.monotonicMs()
      const asked = wrong.length === 0 ? hosts : wrong
      const { atMs, differences: found } = await look(cluster, watcher, asked)
      const heal = { what, looks, load: load.mean }
      wrong = asked.filter((host) => found.some((text) => text.startsWith(`${host}:`)))
      if (found.length === 0) {
        rightAtMs ??= atMs
        if (asked.length === hosts.length) return { ...heal, tookMs: rightAtMs - sinceMs, last }
        continue
      }
      rightAtMs = undefined
      last = found
      if (atMs - sinceMs > withinMs) return { ...heal, tookMs: undefined, last }
      // As long as the look took: looking without a pause would take from the daemons the time in which they mend.
      await wait(systemClock, systemClock.monotonicMs() - beganMs)
    }
  } finally {
    load.stop()
  }
}
