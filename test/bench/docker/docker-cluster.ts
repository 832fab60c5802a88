// Docker's side of a benchmark: a swarm of dockerd on hosts of their own, laid out as a lab's hosts are. Made of the
// docker.io package of this machine; installs nothing, and nothing of it is in the machine's own network namespace.
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { removeCgroups } from '../../../cli/lab/cgroups.ts'
import { buildHelloImage } from '../../../cli/lab/hello-image.ts'
import { unmountBelow } from '../../../cli/lab/mounts.ts'
import { killLeftovers, pidsBelow } from '../../../cli/lab/processes.ts'
import {
  type CutDirection,
  chooseSubnet,
  createTopology,
  cutHost,
  healHost,
  hostAddress,
  inHost,
  type LabNetwork,
  removeTopology,
} from '../../../cli/lab/topology.ts'
import { SwarmError } from '../../../proto/errors.ts'
import { systemClock, wait } from '../../../proto/lib/clock.ts'
import { runCommand } from '../../../proto/lib/command.ts'
import { cgroupVersion, readStats } from '../../../worker/executor/container/cgroups.ts'
import { type BenchClient, type BenchCluster, type ClusterSize, seen } from '../cluster.ts'
import { timesOf } from '../process-times.ts'
import { DockerApi } from './docker-api.ts'
import { dockerClient, isWhole, parseNodes } from './docker-client.ts'
import {
  type DockerHost,
  dockerSocket,
  killDockerd,
  signalDockerd,
  startDockerd,
  startDockerHost,
} from './docker-host.ts'

/** What dockerd leaves behind when it is killed. */
const programs: ReadonlySet<string> = new Set([
  'dockerd',
  'docker',
  'containerd',
  'containerd-shim-runc-v2',
  'runc',
  'docker-proxy',
  'docker-init',
])

/** Those that live while containers do; runc and the like are waited for by them. */
const askedForTimes: ReadonlySet<string> = new Set([
  'dockerd',
  'containerd',
  'containerd-shim-runc-v2',
])

/** The package's own client, not one that was put before it on the path. */
const packaged = '/usr/bin/docker'

/** Version of the Docker that can be measured here; undefined when dockerd, docker or containerd is not on the path. */
export async function installedDocker(): Promise<string | undefined> {
  const programs = [['dockerd'], ['containerd'], [dockerProgram()]]
  const [daemon, ...others] = await Promise.all(
    programs.map((program) => runCommand([...program, '--version'])),
  )
  if (daemon?.code !== 0 || others.some(({ code }) => code !== 0)) return undefined
  return /version ([^\s,]+)/.exec(daemon.stdout)?.[1] ?? 'of unknown version'
}

export class DockerCluster implements BenchCluster {
  readonly side = 'docker'
  /** There is no registry to ask for the image's digest. */
  readonly createFlags = ['--no-resolve-image']
  readonly #lab: string
  readonly #directory: string
  readonly #size: ClusterSize
  readonly #hosts: readonly string[]
  readonly #namesById = new Map<string, string>()
  #network: LabNetwork | undefined
  #ended = false

  constructor(name: string, size: ClusterSize) {
    this.#lab = `peer-${name}`
    this.#directory = `/tmp/tsswarm-bench-${this.#lab}`
    this.#size = size
    const numbered = (letter: string, count: number): readonly string[] =>
      Array.from({ length: count }, (_, at) => `${letter}${at + 1}`)
    this.#hosts = [...numbered('m', size.managers), ...numbered('w', size.workers)]
  }

  /** All that its programs are told of is below it. */
  get directory(): string {
    return this.#directory
  }

  /** Errors: CANCELLED before it is up. */
  address(host: string): string {
    if (this.#network !== undefined) return hostAddress(this.#network, host)
    throw new SwarmError('CANCELLED', `Docker's side ${this.#lab} is not up`)
  }

  async taskPid(host: string, service: string): Promise<number> {
    const label = `label=com.docker.swarm.service.name=${service}`
    const [id = ''] = (await this.#output(host, 'ps', '--quiet', '--filter', label)).split('\n')
    if (id === '') throw new SwarmError('NOT_FOUND', `no task of ${service} runs on ${host}`)
    return Number(await this.#output(host, 'inspect', '--format', '{{.State.Pid}}', id))
  }

  async up(): Promise<void> {
    await this.#remove()
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 })
    const network = {
      lab: this.#lab,
      subnet: await chooseSubnet(this.#lab, []),
      hosts: this.#hosts,
    }
    await createTopology(network)
    this.#network = network
    const archive = join(this.#directory, 'hello.tar')
    writeFileSync(archive, await buildHelloImage())
    await Promise.all(
      this.#hosts.map(async (host) => {
        await startDockerHost(this.#host(host))
        await this.type(host, 'load', '--input', archive)
      }),
    )
    await this.#formSwarm(network)
    await this.#untilWhole()
    const nodes = parseNodes(await this.#get('m1', '/nodes'))
    for (const { id, host } of nodes) this.#namesById.set(id, host)
  }

  async down(): Promise<void> {
    this.#ended = true
    await this.#remove()
  }

  async onHost<T>(host: string, fn: (client: BenchClient) => Promise<T>): Promise<T> {
    const api = new DockerApi(dockerSocket(this.#host(host)))
    try {
      return await fn(dockerClient(api, this.#namesById))
    } finally {
      api.close()
    }
  }

  async type(host: string, ...args: readonly string[]): Promise<void> {
    await this.#output(host, ...args)
  }

  /** What `docker ARG…` on a host prints; throws when it fails. */
  printed(host: string, ...args: readonly string[]): Promise<string> {
    return this.#output(host, ...args)
  }

  async run(host: string, ...argv: readonly string[]): Promise<void> {
    await runCommand(inHost(this.#lab, host, argv))
  }

  async cpuMs(host: string): Promise<number> {
    const { directory, cgroupParent } = this.#host(host)
    const { cpuUsageNanos } = await readStats(cgroupVersion(), cgroupParent)
    const times = pidsBelow(directory, askedForTimes).map((pid) => timesOf(pid))
    return times.reduce(
      (sum, each) => sum + (each?.ownMs ?? 0) + (each?.waitedMs ?? 0),
      cpuUsageNanos / 1_000_000,
    )
  }

  typeOne(name: string): Promise<void> {
    return this.type('m1', 'run', '--detach', '--name', name, 'lab/hello')
  }

  removeOne(name: string): Promise<void> {
    return this.type('m1', 'rm', '--force', name)
  }

  async isIdle(): Promise<boolean> {
    const asked = this.#hosts.map((host) => this.#get(host, '/containers/json?all=1'))
    const lists = await Promise.all([this.#get('m1', '/tasks'), ...asked])
    return lists.every((list) => Array.isArray(list) && list.length === 0)
  }

  kill(host: string): Promise<void> {
    return killDockerd(this.#host(host))
  }

  async restart(host: string): Promise<void> {
    await startDockerd(this.#host(host))
    await this.#untilWhole()
  }

  cut(host: string, direction?: CutDirection): Promise<void> {
    return cutHost(this.#lab, host, direction)
  }

  async heal(host: string): Promise<void> {
    await healHost(this.#lab, host)
    await this.#untilWhole()
  }

  async pause(host: string): Promise<void> {
    signalDockerd(this.#host(host), 'SIGSTOP')
  }

  async resume(host: string): Promise<void> {
    signalDockerd(this.#host(host), 'SIGCONT')
    await this.#untilWhole()
  }

  /** Whoever still measures while it is taken down must not start anything again. */
  #host(host: string): DockerHost {
    if (this.#ended) throw new SwarmError('CANCELLED', `Docker's side ${this.#lab} is taken down`)
    const directory = join(this.#directory, host)
    const cgroupParent = `/${this.cgroup}/${host}`
    return { lab: this.#lab, host, directory, cgroupParent }
  }

  get cgroup(): string {
    return `tsswarm-bench-${this.#lab}`
  }

  async #formSwarm(network: LabNetwork): Promise<void> {
    const leader = hostAddress(network, 'm1')
    await this.type('m1', 'swarm', 'init', '--advertise-addr', leader)
    for (const host of this.#hosts.slice(1)) {
      const role = host.startsWith('m') ? 'manager' : 'worker'
      const token = (await this.#output('m1', 'swarm', 'join-token', '--quiet', role)).trim()
      const address = ['--advertise-addr', hostAddress(network, host)]
      await this.type(host, 'swarm', 'join', '--token', token, ...address, `${leader}:2377`)
    }
  }

  /** Every manager is asked: one that was killed answers again a while after its daemon does. */
  async #untilWhole(): Promise<void> {
    const { managers, workers } = this.#size
    const asked = this.#hosts.filter((host) => host.startsWith('m'))
    await seen("Docker's nodes are ready and reachable", 100, async () => {
      const answers = await Promise.allSettled(asked.map((host) => this.#get(host, '/nodes')))
      return answers.every(
        (answer) =>
          answer.status === 'fulfilled' && isWhole(parseNodes(answer.value), managers, workers),
      )
    })
  }

  async #get(host: string, path: string): Promise<unknown> {
    const api = new DockerApi(dockerSocket(this.#host(host)))
    return await api.get(path).finally(() => api.close())
  }

  async #output(host: string, ...args: readonly string[]): Promise<string> {
    const env = {
      ...process.env,
      DOCKER_HOST: `unix://${dockerSocket(this.#host(host))}`,
      DOCKER_CONFIG: join(this.#directory, 'client'),
    } as Record<string, string>
    const argv = inHost(this.#lab, host, [dockerProgram(), ...args])
    const result = await runCommand(argv, { timeoutMs: 120_000, env })
    if (result.code === 0) return result.stdout
    throw new SwarmError(
      'UNAVAILABLE',
      `${host}: docker ${args.join(' ')}: exit ${result.code}: ${result.stderr.trim()}`,
    )
  }

  /** Mounts of the hosts are in namespaces of their own, which end with the last process in them. */
  async #remove(): Promise<void> {
    for (let tries = 0; tries < 200; tries++) {
      const killed = killLeftovers(this.#directory, programs) + removeCgroups(this.cgroup)
      if (killed === 0) break
      await wait(systemClock, 20)
    }
    await removeTopology(this.#lab)
    await unmountBelow([this.#directory])
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

function dockerProgram(): string {
  return existsSync(packaged) ? packaged : 'docker'
}
