// How much one TCP stream from container to container carries: over the overlay as it is, over the same path without any
// rule of nft, over the wire below, with a thousand other nodes known, and over Docker's overlay.
import { median, rounded } from '../raft/rounds.ts'
import { type Stream, stream, type Way } from './load.ts'
import { inTurn, ratio, spread } from './rounds.ts'
import { hostWay, overlayWay, type StreamWorld } from './worlds.ts'

export interface ThroughputFigure {
  readonly path: string
  /** Gb/s, median of the rounds. */
  readonly gigabits: number
  /** Of both ends, a gigabyte. */
  readonly cpuSeconds: number
  readonly ofWithoutNft: number | undefined
  readonly goalOfWithoutNft?: number
  /** Of the wire with the same MTU. */
  readonly ofWire: number | undefined
  readonly ofDocker: number | undefined
  readonly roundsGigabits: string
}

export interface ThroughputWorlds {
  readonly ours: StreamWorld
  readonly withoutNft: StreamWorld
  readonly manyPeers: StreamWorld
  /** On a wire with an MTU of 9,000. */
  readonly jumbo: StreamWorld
  readonly docker: Way | undefined
}

const wire = 'from host to host'
const plain = 'VXLAN without nft'
const overlay = 'overlay'
const docker = "Docker's overlay"
const jumboWire = 'from host to host, MTU 9,000'
const jumbo = 'overlay, MTU 8,950'
const peers = 'overlay, 1,000 nodes known'
const goals: ReadonlyMap<string, number> = new Map([overlay, peers].map((name) => [name, 0.9]))

export async function measureThroughput(
  worlds: ThroughputWorlds,
  count: number,
  signal: AbortSignal,
): Promise<readonly ThroughputFigure[]> {
  const ways: readonly (readonly [string, Way | undefined])[] = [
    [wire, hostWay(worlds.ours)],
    [plain, overlayWay(worlds.withoutNft)],
    [overlay, overlayWay(worlds.ours)],
    [peers, overlayWay(worlds.manyPeers)],
    [docker, worlds.docker],
    [jumboWire, hostWay(worlds.jumbo)],
    [jumbo, overlayWay(worlds.jumbo)],
  ]
  const sides = ways.flatMap(([name, way]) =>
    way === undefined ? [] : [{ name, measure: () => stream(way) }],
  )
  const results = await inTurn(sides, count, signal)
  return throughputFigures(results)
}

/** Pure. */
export function throughputFigures(
  results: ReadonlyMap<string, readonly Stream[]>,
): readonly ThroughputFigure[] {
  const gigabits = (name: string): readonly number[] | undefined =>
    results.get(name)?.map((one) => one.gigabits)
  return [...results].map(([path, rounds]) => {
    const own = rounds.map((one) => one.gigabits)
    const goal = goals.get(path)
    return {
      path,
      gigabits: rounded(median(own)),
      cpuSeconds: rounded(median(rounds.map((one) => one.cpuSeconds))),
      ofWithoutNft: path === jumbo || path === jumboWire ? undefined : ratio(own, gigabits(plain)),
      ...(goal !== undefined && { goalOfWithoutNft: goal }),
      ofWire: ratio(own, gigabits(path === jumbo ? jumboWire : wire)),
      ofDocker: ratio(own, gigabits(docker)),
      roundsGigabits: spread(own),
    }
  })
}
