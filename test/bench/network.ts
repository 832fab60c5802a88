// What overlay networks cost: throughput and connections beside the same path without us, a change of one task, and the
// time from a task's health to traffic. Docker's overlay is measured beside the throughput where it is installed.
import { cpus, loadavg } from 'node:os'
import { DockerCluster, installedDocker } from './docker/docker-cluster.ts'
import { LabCluster } from './lab-cluster.ts'
import { measureChanges } from './network/changes.ts'
import { measureConnections } from './network/connections.ts'
import { dockerWay } from './network/docker-overlay.ts'
import { ConnectionLoad, isIperfInstalled, type Way } from './network/load.ts'
import { measureThroughput, type ThroughputFigure } from './network/throughput.ts'
import { measureTraffic } from './network/traffic.ts'
import {
  aStreamWorld,
  type StreamWorld,
  type StreamWorldOptions,
  withoutNft,
} from './network/worlds.ts'
import { type BenchContext, interruptible, onCluster, throwIfAborted } from './side-by-side.ts'

/** Single streams differ by a tenth. */
const streamRounds = 30
const connectionRounds = 18
const trafficTries = 50
const manyPeers = 1_000

/** Errors: FAILED_PRECONDITION without cc, CANCELLED by a signal when what was made is removed. */
export async function runNetworkBench(context: BenchContext): Promise<object> {
  const machine = { cpus: cpus().length, load: Number((loadavg()[0] ?? 0).toFixed(1)) }
  const load = new ConnectionLoad()
  try {
    await load.build()
    return await interruptible(async (signal) => {
      const planes = await measurePlanes(context, load, signal)
      throwIfAborted(signal)
      const changes = await measureChanges(signal)
      const traffic = await onCluster(
        new LabCluster('network', { managers: 3, workers: 2 }),
        signal,
        ({ lab }) => measureTraffic(lab, load, context.tries ?? trafficTries, signal),
      )
      return { machine, ...planes, changes, traffic }
    })
  } finally {
    load.remove()
  }
}

async function measurePlanes(
  context: BenchContext,
  load: ConnectionLoad,
  signal: AbortSignal,
): Promise<object> {
  const made: StreamWorld[] = []
  const make = async (options: StreamWorldOptions = {}): Promise<StreamWorld> => {
    throwIfAborted(signal)
    const world = await aStreamWorld(options)
    made.push(world)
    return world
  }
  try {
    const ours = await make()
    const worlds = {
      ours,
      withoutNft: await withoutNft(await make()),
      manyPeers: await make({ peers: manyPeers }),
      jumbo: await make({ wireMtu: 9_000 }),
    }
    const withDocker = await besideDocker(context, signal, (docker) =>
      measureThroughput({ ...worlds, docker }, context.tries ?? streamRounds, signal),
    )
    const connections = await measureConnections(
      { direct: await make(), byVip: ours },
      load,
      context.tries === undefined ? connectionRounds : 2 * context.tries,
      signal,
    )
    return { ...withDocker, connections }
  } finally {
    for (const { world } of made) await world.dispose()
  }
}

/** Measures with Docker's overlay beside, or without it and says why. */
async function besideDocker(
  { peer }: BenchContext,
  signal: AbortSignal,
  measure: (docker: Way | undefined) => Promise<readonly ThroughputFigure[]>,
): Promise<{ readonly peer: string; readonly throughput: readonly ThroughputFigure[] | string }> {
  if (!(await isIperfInstalled())) {
    return { peer: 'not measured', throughput: 'iperf3 is not installed (apt-get install iperf3)' }
  }
  const version = peer ? await installedDocker() : undefined
  if (version === undefined) {
    const why = peer ? 'not installed (apt-get install docker.io)' : 'left out (--no-peer)'
    return { peer: why, throughput: await measure(undefined) }
  }
  try {
    const cluster = new DockerCluster('network', { managers: 1, workers: 1 })
    const throughput = await onCluster(cluster, signal, async () =>
      measure(await dockerWay(cluster)),
    )
    return { peer: `Docker ${version}`, throughput }
  } catch (err) {
    throwIfAborted(signal)
    const why = err instanceof Error ? err.message : String(err)
    return { peer: `Docker ${version}, not measured: ${why}`, throughput: await measure(undefined) }
  }
}
