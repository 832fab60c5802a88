// How soon containers run on a single node, and what their start costs it: one that is asked for, and two hundred. A manager that is
// the node as well. More hosts: deploy.ts; how many fit on one: density.ts.
import { type BenchCluster, removeServices, rounds } from './cluster.ts'
import { create, createOne } from './deploy.ts'
import { type Measurement, measurement } from './figures.ts'
import { type BenchContext, type BenchResult, sideBySide } from './side-by-side.ts'

const many = 200
const manyRoundsMax = 3

/** `--tries=N`: rounds of a single container, default 15, and of 200, of which there are three at most. */
export async function runStartBench(context: BenchContext): Promise<BenchResult> {
  const size = { managers: 1, workers: 0 }
  return await sideBySide('start', size, context, async (cluster, tell) => {
    // The first container of a host mounts the image; that is done before anything is measured.
    await create(cluster, 'warm', 2)
    await removeServices(cluster, 'warm')
    const tries = context.tries ?? 15
    const one = await rounds(tries, () => started(cluster, 'one', () => createOne(cluster, 'one')))
    for (const each of told('one container, request received to running', 60, 1, one)) tell(each)
    const all = await rounds(Math.min(tries, manyRoundsMax), () =>
      started(cluster, 'many', () => create(cluster, 'many', many)),
    )
    const what = `${many} replicas on one host, command to all running`
    for (const each of told(what, 5_000, many, all)) tell(each)
  })
}

interface Started {
  readonly ms: number
  readonly cpuMs: number
}

/** Starts what `start` starts, with the CPU time of the host meanwhile, and removes it. */
async function started(
  cluster: BenchCluster,
  name: string,
  start: () => Promise<number>,
): Promise<Started> {
  const before = await cluster.cpuMs('m1')
  const ms = await start()
  const cpuMs = (await cluster.cpuMs('m1')) - before
  await removeServices(cluster, name)
  return { ms, cpuMs }
}

function told(
  what: string,
  goalMs: number,
  containers: number,
  all: readonly Started[],
): readonly Measurement[] {
  const each = all.map(({ cpuMs }) => cpuMs / containers)
  const clock = all.map(({ ms }) => ms)
  return [
    measurement(what, goalMs, clock),
    measurement(`${what}: processor time of each`, undefined, each),
  ]
}
