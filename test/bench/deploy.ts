// How long it takes until containers run: 50 replicas on five hosts, 200 on one, a single one, and what a plain listing
// costs as typed. Real daemons, containers and command lines on fresh clusters. Not the scheduler alone (scheduler.ts).
import {
  type BenchClient,
  type BenchCluster,
  removeServices,
  rounds,
  seen,
  timed,
} from './cluster.ts'
import { type Measurement, measurement } from './figures.ts'
import { type BenchContext, type BenchResult, sideBySide } from './side-by-side.ts'

export interface DeployBenchOptions {
  /** Rounds of 50 replicas. Default 3. */
  readonly manyRounds?: number
  /** Rounds of 200 replicas. Default 1. */
  readonly denseRounds?: number
  /** Rounds of what is quick. Default 5. */
  readonly quickRounds?: number
}

/** Measures on fresh clusters of three managers and two workers. */
export async function runDeployBench(
  context: BenchContext,
  options: DeployBenchOptions = {},
): Promise<BenchResult> {
  const { manyRounds = 3, denseRounds = 1, quickRounds = 5 } = options
  return await sideBySide('deploy', { managers: 3, workers: 2 }, context, async (cluster, tell) => {
    // The first container of a host mounts the image; that is done before anything is measured.
    await deploy(cluster, 'warm', 5)
    for (const each of await measureQuick(cluster, quickRounds)) tell(each)
    const many = await rounds(manyRounds, () => deploy(cluster, 'many', 50))
    tell(measurement('50 replicas on 5 hosts, command to all running', 1_500, many))
    const onOne = ['--constraint', 'node.hostname==w1']
    const dense = await rounds(denseRounds, () => deploy(cluster, 'dense', 200, onOne))
    tell(measurement('200 replicas on one host, command to all running', 5_000, dense))
  })
}

async function measureQuick(cluster: BenchCluster, count: number): Promise<readonly Measurement[]> {
  const bare = [process.execPath, '-e', '0']
  const requested = await rounds(count, () => requestOne(cluster))
  const typed = await rounds(count, () => typeOne(cluster))
  const listed = await rounds(count, () => timed(() => cluster.type('m1', 'service', 'ls')))
  const started = await rounds(count, () => timed(() => cluster.run('m1', ...bare)))
  return [
    measurement('one container, request received to running', 60, requested),
    measurement('one container as typed, to running', 260, typed),
    measurement('service ls as typed', 150, listed),
    measurement('bare Node as typed, for comparison', undefined, started),
  ]
}

/** As `create`; then the service is removed. */
async function deploy(
  cluster: BenchCluster,
  name: string,
  replicas: number,
  flags: readonly string[] = [],
): Promise<number> {
  const ms = await create(cluster, name, replicas, flags)
  await removeServices(cluster, name)
  return ms
}

/** Types `service create` and looks until a manager tells that all run; ms. */
export async function create(
  cluster: BenchCluster,
  name: string,
  replicas: number,
  flags: readonly string[] = [],
): Promise<number> {
  const named = ['--detach', '--name', name, '--replicas', String(replicas)]
  const args = ['service', 'create', ...named, ...cluster.createFlags, ...flags, 'lab/hello']
  return await cluster.onHost('m1', (client) =>
    timed(async () => {
      await cluster.type('m1', ...args)
      await untilRunning(client, name, replicas)
    }),
  )
}

async function typeOne(cluster: BenchCluster): Promise<number> {
  const ms = await timed(() => cluster.typeOne('typed'))
  await cluster.removeOne('typed')
  return ms
}

async function requestOne(cluster: BenchCluster): Promise<number> {
  const ms = await createOne(cluster, 'one')
  await removeServices(cluster, 'one')
  return ms
}

/** By way of the API, without the start of a process; ms until it runs. */
export async function createOne(cluster: BenchCluster, name: string): Promise<number> {
  return await cluster.onHost('m1', (client) =>
    timed(async () => {
      await client.createService(name, 1)
      await untilRunning(client, name, 1)
    }),
  )
}

/** Looks every 5 ms at one, every 20 ms at many: the looking shall not be what takes the time. */
async function untilRunning(client: BenchClient, name: string, replicas: number): Promise<void> {
  await seen(
    `${replicas} tasks of ${name} run`,
    replicas === 1 ? 5 : 20,
    async () => (await client.runningCount(name)) === replicas,
  )
}
