// What it costs a node when one task of a service comes or goes: from the daemon's state to the kernel, with more and more
// services known, and with containers of this node's own.
import { nodeId } from '../../../proto/objects/ids.ts'
import type { NetworkView, TaskEndpoint } from '../../../proto/objects/overlay.ts'
import { createSpawnHelper } from '../../../worker/executor/spawn/spawn-helper.ts'
import { aNetwork, aServiceEndpoint, aTaskEndpoint, aView } from '../../support/overlay-builders.ts'
import { createOverlayWorld, joinNetworks, type OverlayWorld } from '../../support/overlay-world.ts'
import { median, quantile, rounded } from '../raft/rounds.ts'

export interface ChangeFigure {
  readonly services: number
  readonly containers: number
  /** From the daemon's knowledge to the kernel's, median and 99th of a hundred. */
  readonly ms: number
  readonly p99Ms: number
  /** Processor time of the daemon's process, of one change. */
  readonly cpuMs: number
  /** Of the fewest services without containers. */
  readonly ofFewest: number
}

const serviceCounts: readonly number[] = [10, 100, 1_000]
const tasksPerService = 5
const containerCount = 200
const changes = 200

export async function measureChanges(signal: AbortSignal): Promise<readonly ChangeFigure[]> {
  // As in a daemon: a fork of a small process.
  const helper = createSpawnHelper()
  const world = await createOverlayWorld({ runOften: helper.run })
  try {
    const rows: Omit<ChangeFigure, 'ofFewest'>[] = []
    // The network is held for a container of its own, as it would be.
    await world.tell([viewOf(1)], { to: [1] })
    await join(world, 0)
    for (const services of serviceCounts) rows.push(await measure(world, services, 0, signal))
    for (let made = 1; made <= containerCount && !signal.aborted; made++) await join(world, made)
    for (const services of serviceCounts) {
      rows.push(await measure(world, services, containerCount, signal))
    }
    const fewest = rows[0]?.ms ?? Number.NaN
    return rows.map((row) => ({ ...row, ofFewest: rounded(row.ms / fewest) }))
  } finally {
    await world.dispose()
    await helper.close()
  }
}

async function join(world: OverlayWorld, number: number): Promise<void> {
  const address = `10.5.${64 + (number >> 8)}.${number & 255}`
  await joinNetworks(world, { id: `local.${number}`, on: 1, networks: [[5, `${address}/16`]] })
}

async function measure(
  world: OverlayWorld,
  services: number,
  containers: number,
  signal: AbortSignal,
): Promise<Omit<ChangeFigure, 'ofFewest'>> {
  let view = viewOf(services)
  await world.tell([view], { to: [1] })
  const node = world.node(1).network
  const times: number[] = []
  const began = process.cpuUsage()
  for (let change = 0; change < changes && !signal.aborted; change++) {
    view = changed(view, (change * 7) % view.tasks.length)
    const fromMs = performance.now()
    const state = { nodeId: nodeId('n1'), paths: world.paths, views: [view] }
    await node.setOverlay(state, { epoch: 2, index: change })
    times.push(performance.now() - fromMs)
  }
  const { user, system } = process.cpuUsage(began)
  return {
    services,
    containers,
    ms: rounded(median(times)),
    p99Ms: rounded(quantile(times, 0.99)),
    cpuMs: rounded((user + system) / 1_000 / changes),
  }
}

/** One task more serves, or one less; all else is the same object. */
function changed(view: NetworkView, which: number): NetworkView {
  const turn = (task: TaskEndpoint): TaskEndpoint => ({ ...task, isServing: !task.isServing })
  return { ...view, tasks: view.tasks.map((task, at) => (at === which ? turn(task) : task)) }
}

function viewOf(count: number): NetworkView {
  const numbers = Array.from({ length: count }, (_, at) => at)
  return aView(aNetwork(5, { subnets: ['10.5.0.0/16'] }), {
    services: numbers.map((number) =>
      aServiceEndpoint(`s${number}`, { vips: [`10.5.${128 + (number >> 8)}.${number & 255}`] }),
    ),
    tasks: numbers.flatMap((number) =>
      Array.from({ length: tasksPerService }, (_, slot) => {
        const at = number * tasksPerService + slot
        const address = `10.5.${1 + (at >> 8)}.${at & 255}`
        return aTaskEndpoint(`s${number}.${slot}`, 2 + (slot % 2), [address])
      }),
    ),
  })
}
