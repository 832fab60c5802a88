// How many connections a second a client makes, one after the other, to the tasks of a service on another node: by the
// service's virtual address, and directly. In a world each: where one client does both, a connection may find its ports taken
// by one of the other kind that has just ended, and is given others.
import type { ChildProcess } from 'node:child_process'
import { median, rounded } from '../raft/rounds.ts'
import { type ConnectionLoad, untilListening } from './load.ts'
import { inTurn, ratio, spread } from './rounds.ts'
import { backends, type StreamWorld, vip } from './worlds.ts'

export interface ConnectionFigure {
  readonly to: string
  /** Median of the rounds. */
  readonly perSecond: number
  readonly ofDirect: number | undefined
  readonly goalOfDirect?: number
  readonly roundsPerSecond: string
}

const connectionsPerRound = 3_000
const direct = 'the tasks, directly'
const goalOfDirect = 0.9

export async function measureConnections(
  worlds: { readonly direct: StreamWorld; readonly byVip: StreamWorld },
  load: ConnectionLoad,
  count: number,
  signal: AbortSignal,
): Promise<readonly ConnectionFigure[]> {
  const servers = [
    ...(await startServers(worlds.direct, load)),
    ...(await startServers(worlds.byVip, load)),
  ]
  const rate =
    ({ client }: StreamWorld, addresses: readonly string[]) =>
    () =>
      load.rate(client, connectionsPerRound, addresses)
  const sides = [
    { name: direct, measure: rate(worlds.direct, backends) },
    { name: 'its virtual address', measure: rate(worlds.byVip, [vip]) },
  ]
  try {
    return connectionFigures(await inTurn(sides, count, signal))
  } finally {
    for (const server of servers) server.kill('SIGKILL')
  }
}

async function startServers(
  { world, servers }: StreamWorld,
  load: ConnectionLoad,
): Promise<readonly ChildProcess[]> {
  const started = servers.map((enter) => world.bench.daemon(load.server(enter)))
  for (const enter of servers) await untilListening(enter)
  return started
}

/** Pure. */
export function connectionFigures(
  results: ReadonlyMap<string, readonly number[]>,
): readonly ConnectionFigure[] {
  return [...results].map(([to, rates]) => ({
    to,
    perSecond: Math.round(median(rates)),
    ofDirect: to === direct ? undefined : ratio(rates, results.get(direct)),
    ...(to !== direct && { goalOfDirect }),
    roundsPerSecond: spread(rates.map(rounded)),
  }))
}
