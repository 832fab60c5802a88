// How long it takes until containers run: 50 replicas on five hosts, 200 on one, a single one, and what a plain listing
// costs as typed. Real daemons, containers and command line on a fresh lab. Not the scheduler alone (scheduler.ts).
import { ControlService } from '../../proto/gen/tsswarm/v1/control.ts'
import type { TestLab } from '../support/test-lab.ts'
import {
  createRequest,
  figure,
  type LabBenchResult,
  type LabClient,
  type LabFigure,
  onFreshLab,
  onHost,
  removeServices,
  rounds,
  seen,
  timed,
} from './lab-bench.ts'

export interface DeployBenchOptions {
  /** Rounds of 50 replicas. Default 3. */
  readonly manyRounds?: number
  /** Rounds of 200 replicas. Default 1. */
  readonly denseRounds?: number
  /** Rounds of what is quick. Default 5. */
  readonly quickRounds?: number
}

/** Measures on a fresh lab of three managers and two workers. */
export async function runDeployBench(options: DeployBenchOptions = {}): Promise<LabBenchResult> {
  const { manyRounds = 3, denseRounds = 1, quickRounds = 5 } = options
  return await onFreshLab('deploy', { managers: 3, workers: 2 }, async (lab) => {
    // The first container of a host mounts the image; that is done before anything is measured.
    await deploy(lab, 'warm', 5)
    const quick = await measureQuick(lab, quickRounds)
    const many = await rounds(manyRounds, () => deploy(lab, 'many', 50))
    const onOne = ['--constraint', 'node.hostname==w1']
    const dense = await rounds(denseRounds, () => deploy(lab, 'dense', 200, onOne))
    return [
      figure('50 replicas on 5 hosts, command to all running', 1_500, many),
      figure('200 replicas on one host, command to all running', 5_000, dense),
      ...quick,
    ]
  })
}

async function measureQuick(lab: TestLab, count: number): Promise<readonly LabFigure[]> {
  const requested = await rounds(count, () => requestOne(lab))
  const typed = await rounds(count, () => deploy(lab, 'typed', 1))
  const listed = await rounds(count, () => timed(() => lab.cli('m1', 'service', 'ls')))
  const bare = [process.execPath, '-e', '0']
  const started = await rounds(count, () => timed(() => lab.run('m1', ...bare)))
  return [
    figure('one container, request received to running', 60, requested),
    figure('one container as typed, to running', 260, typed),
    figure('tsswarm service ls as typed', 150, listed),
    figure('bare Node as typed, for comparison', undefined, started),
  ]
}

/** Types `service create` and looks until a manager tells that all run. */
async function deploy(
  lab: TestLab,
  name: string,
  replicas: number,
  flags: readonly string[] = [],
): Promise<number> {
  const create = ['service', 'create', '--detach', '--name', name, '--replicas', String(replicas)]
  const ms = await onHost(lab, 'm1', (client) =>
    timed(async () => {
      await lab.cli('m1', ...create, ...flags, 'lab/hello')
      await untilRunning(client, name, replicas)
    }),
  )
  await removeServices(lab, name)
  return ms
}

/** The same by way of the API, without the start of a process. */
async function requestOne(lab: TestLab): Promise<number> {
  const ms = await onHost(lab, 'm1', (client) =>
    timed(async () => {
      await client.call(ControlService.createService, createRequest('one', 1))
      await untilRunning(client, 'one', 1)
    }),
  )
  await removeServices(lab, 'one')
  return ms
}

/** Looks every 5 ms at one, every 20 ms at many: the looking shall not be what takes the time. */
async function untilRunning(client: LabClient, reference: string, replicas: number): Promise<void> {
  await seen(`${replicas} tasks of ${reference} run`, replicas === 1 ? 5 : 20, async () => {
    const { service } = await client.call(ControlService.getService, { reference })
    return service?.runningTasks === replicas
  })
}
