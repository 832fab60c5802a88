// Our side of a benchmark: a cluster on a fresh lab (cli/lab), by way of its API and its command line.
import { setMaxListeners } from 'node:events'
import { existsSync } from 'node:fs'
import { untilReady, withDaemon } from '../../cli/lab/lab.ts'
import type { CutDirection } from '../../cli/lab/topology.ts'
import { listNodes, listServices, listTasks } from '../../cli/lists.ts'
import { serviceSpecToProto } from '../../proto/codec/service.ts'
import { SwarmError } from '../../proto/errors.ts'
import { ControlService, type CreateServiceRequest } from '../../proto/gen/tsswarm/v1/control.ts'
import { DaemonService } from '../../proto/gen/tsswarm/v1/daemon.ts'
import { NodeState, TaskState } from '../../proto/gen/tsswarm/v1/objects.ts'
import { newId } from '../../proto/lib/ids.ts'
import { systemRandom } from '../../proto/lib/random.ts'
import { serviceSpec } from '../../proto/spec/service-spec.ts'
import { cgroupVersion, readStats } from '../../worker/executor/container/cgroups.ts'
import { TestLab } from '../support/test-lab.ts'
import {
  type BenchClient,
  type BenchCluster,
  type ClusterSize,
  removeServices,
  seen,
} from './cluster.ts'
import { pidsInGroup } from './host-memory.ts'
import { childrenOf, timesOf } from './process-times.ts'

/** A client of one daemon, as withDaemon hands it out. */
type LabClient = Parameters<Parameters<typeof withDaemon>[3]>[0]

export class LabCluster implements BenchCluster {
  readonly side = 'tsswarm'
  readonly createFlags = []
  readonly #name: string
  readonly #size: ClusterSize
  #lab: TestLab | undefined
  #ended = false

  constructor(name: string, size: ClusterSize) {
    this.#name = name
    this.#size = size
  }

  /** For what the benchmarks do not need. Errors: CANCELLED when it is not up. */
  get lab(): TestLab {
    return this.#running()
  }

  /** Errors: FAILED_PRECONDITION before `npm run build`. */
  async up(): Promise<void> {
    if (!existsSync('dist/tsswarm.js')) {
      throw new SwarmError(
        'FAILED_PRECONDITION',
        `benchmark ${this.#name}: dist/tsswarm.js is missing: run \`npm run build\` first, in the repository`,
      )
    }
    this.#lab = await TestLab.up(`b-${this.#name}`, this.#size)
    // Every open call listens to it, and the benchmarks bound their calls themselves.
    setMaxListeners(0, this.#lab.deps.signal)
  }

  async down(): Promise<void> {
    this.#ended = true
    // A lab that did not come up has removed itself.
    await this.#lab?.down()
  }

  onHost<T>(host: string, fn: (client: BenchClient) => Promise<T>): Promise<T> {
    const { deps, record } = this.#running()
    return withDaemon(deps, record, host, (client) => fn(benchClient(client)))
  }

  async type(host: string, ...args: readonly string[]): Promise<void> {
    await this.#running().cli(host, ...args)
  }

  async run(host: string, ...argv: readonly string[]): Promise<void> {
    await this.#running().run(host, ...argv)
  }

  address(host: string): string {
    return this.#running().address(host)
  }

  async taskPid(host: string, service: string): Promise<number> {
    const views = await this.#running().taskViews('m1', service)
    const found = views.find(
      ({ task, nodeHostname }) => nodeHostname === host && task?.state === TaskState.RUNNING,
    )
    if (found?.task !== undefined) return found.task.pid
    throw new SwarmError('NOT_FOUND', `no task of ${service} runs on ${host}`)
  }

  async cpuMs(host: string): Promise<number> {
    const lab = this.#running()
    const pid = lab.pid(host)
    if (pid === undefined) throw new SwarmError('NOT_FOUND', `the daemon of ${host} does not run`)
    const { cgroupParent } = lab.paths(host)
    // The spawn helper and all that it runs are in that group.
    const grouped = new Set(pidsInGroup(`${cgroupParent}/`))
    const { cpuUsageNanos } = await readStats(cgroupVersion(), cgroupParent)
    const others = childrenOf(pid).filter((child) => !grouped.has(child))
    const times = [pid, ...others].map((each) => timesOf(each))
    return times.reduce(
      (sum, each) => sum + (each?.ownMs ?? 0) + (each?.waitedMs ?? 0),
      cpuUsageNanos / 1_000_000,
    )
  }

  async typeOne(name: string): Promise<void> {
    await this.onHost('m1', async (client) => {
      await this.type('m1', 'service', 'create', '--detach', '--name', name, 'lab/hello')
      await seen(`${name} runs`, 5, async () => (await client.runningCount(name)) === 1)
    })
  }

  removeOne(name: string): Promise<void> {
    return removeServices(this, name)
  }

  isIdle(): Promise<boolean> {
    const { deps, record } = this.#running()
    return withDaemon(deps, record, 'm1', async (client) => {
      const tasks = await listTasks(client)
      return tasks.length === 0
    })
  }

  kill(host: string): Promise<void> {
    return this.#running().kill(host)
  }

  async restart(host: string): Promise<void> {
    const lab = this.#running()
    await lab.start(host)
    // A daemon answers before its manager part does.
    await lab.until(`${host} is a manager again`, () =>
      withDaemon(lab.deps, lab.record, host, (client) => listNodes(client)),
    )
    await untilReady(lab.deps, lab.record)
  }

  cut(host: string, direction?: CutDirection): Promise<void> {
    return this.#running().cut(host, direction)
  }

  async heal(host: string): Promise<void> {
    const lab = this.#running()
    await lab.heal(host)
    await untilReady(lab.deps, lab.record)
  }

  async pause(host: string): Promise<void> {
    this.#running().signal(host, 'SIGSTOP')
  }

  async resume(host: string): Promise<void> {
    const lab = this.#running()
    lab.signal(host, 'SIGCONT')
    await untilReady(lab.deps, lab.record)
  }

  /** Whoever still measures while it is taken down must not start anything again. */
  #running(): TestLab {
    if (this.#lab !== undefined && !this.#ended) return this.#lab
    throw new SwarmError('CANCELLED', `the lab of benchmark ${this.#name} is not up`)
  }
}

function benchClient(client: LabClient): BenchClient {
  const nodes = async () => (await listNodes(client)).nodes
  return {
    createService: async (name, replicas, { once = false, timeoutMs = 10_000 } = {}) => {
      const options = once ? { retry: false, timeoutMs } : {}
      await client.call(ControlService.createService, createRequest(name, replicas), options)
    },
    removeService: async (reference) => {
      const request = { requestId: newId(systemRandom), reference }
      await client.call(ControlService.removeService, request)
    },
    serviceNames: async () => {
      const services = await listServices(client)
      return services.map(({ service }) => service?.spec?.name ?? '')
    },
    runningCount: async (reference) => {
      const { service } = await client.call(ControlService.getService, { reference })
      return service?.runningTasks ?? 0
    },
    updateState: async (reference) => {
      const { service } = await client.call(ControlService.getService, { reference })
      return service?.service?.updateStatus?.state
    },
    runningHosts: async () => {
      const tasks = await listTasks(client)
      return tasks
        .filter(({ task }) => task?.state === TaskState.RUNNING)
        .filter(({ task }) => task?.desiredState === TaskState.RUNNING)
        .map(({ nodeHostname }) => nodeHostname)
    },
    downHosts: async () =>
      (await nodes())
        .filter(({ node }) => node?.state === NodeState.DOWN)
        .map(({ node }) => node?.description?.hostname ?? ''),
    leader: async () => (await nodes()).find(({ leader }) => leader)?.node?.description?.hostname,
    leads: async () => {
      const { nodeId, leaderNodeId } = await client.call(DaemonService.info, {}, { retry: false })
      return leaderNodeId === nodeId
    },
  }
}

/** A request for a service of lab/hello, with a request id of its own. */
function createRequest(name: string, replicas: number): CreateServiceRequest {
  const spec = serviceSpec.parse({
    name,
    mode: { kind: 'replicated', replicas },
    task: { container: { image: 'lab/hello' } },
  })
  return { requestId: newId(systemRandom), spec: serviceSpecToProto(spec) }
}
