// A cluster of several hosts on this machine: hosts are network namespaces with a daemon, a state directory, a cgroup and an
// address each. Not the network itself (topology.ts).
import { createReadStream, existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SwarmError } from '../../proto/errors.ts'
import { ControlService } from '../../proto/gen/tsswarm/v1/control.ts'
import { DaemonService } from '../../proto/gen/tsswarm/v1/daemon.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import { newId } from '../../proto/lib/ids.ts'
import { childController } from '../../proto/lib/lifecycle.ts'
import type { Random } from '../../proto/lib/random.ts'
import { type Client, connectClient } from '../client.ts'
import { listNodes } from '../lists.ts'
import { removeCgroups } from './cgroups.ts'
import { buildHelloImage, helloImageName } from './hello-image.ts'
import {
  hostNames,
  hostPaths,
  type LabRecord,
  type LabRoots,
  labRunDir,
  labStateDir,
  listLabs,
  readLab,
  removeLabFiles,
  writeLab,
} from './lab-record.ts'
import { unmountBelow } from './mounts.ts'
import {
  endProcess,
  killLeftovers,
  labPrograms,
  lastLines,
  runningPid,
  startDetached,
} from './processes.ts'
import {
  pushArchive,
  type RegistryPlace,
  registryFiles,
  registryPort,
  startRegistry,
} from './registry.ts'
import {
  chooseSubnet,
  createTopology,
  hostAddress,
  inHost,
  type LabNetwork,
  removeTopology,
  topologyExists,
} from './topology.ts'

const defaultReadyMs = 60_000

/** What the lab takes from outside: where its files are, clock, randomness, how daemons are started. */
export interface LabDeps {
  readonly roots: LabRoots
  readonly clock: Clock
  readonly random: Random
  readonly signal: AbortSignal
  /** How this very program is started: node and the script. */
  readonly program: readonly string[]
  /** Tells the user what is going on. */
  readonly progress: (line: string) => void
  /** How long daemons, registry and nodes may each take to be ready; default 60,000. */
  readonly readyMs?: number
  /** More variables for the daemons, as for libfaketime. */
  readonly daemonEnv?: Readonly<Record<string, string>>
  /** Done when the hosts have their network, before any daemon: firewalls, further addresses. */
  readonly prepare?: (record: LabRecord) => Promise<void>
  /** Argv put before the daemon of a host, in that host's network namespace; it must become the daemon by exec. */
  readonly daemonPrefix?: (host: string) => readonly string[]
}

/** The namespaces and addresses of a lab, as its record says. */
export function labNetwork(record: LabRecord): LabNetwork {
  return { lab: record.name, subnet: record.subnet, hosts: hostNames(record) }
}

/** Makes a lab with a running cluster. On failure what was made is removed again. Errors: ALREADY_EXISTS, CANCELLED. */
export async function labUp(
  deps: LabDeps,
  wish: Pick<LabRecord, 'name' | 'managers' | 'workers'>,
): Promise<LabRecord> {
  if (readLab(deps.roots, wish.name) !== undefined || topologyExists(wish.name)) {
    throw new SwarmError(
      'ALREADY_EXISTS',
      `lab ${wish.name} exists already: remove it with \`tsswarm lab down --name ${wish.name}\`, or choose another --name`,
    )
  }
  const taken = listLabs(deps.roots).map(({ subnet }) => subnet)
  const subnet = await chooseSubnet(wish.name, taken)
  const record: LabRecord = { ...wish, subnet, createdAtMs: deps.clock.wallMs() }
  writeLab(deps.roots, record)
  const { controller, release } = childController(deps.signal)
  try {
    await build({ ...deps, signal: controller.signal }, record)
  } catch (err) {
    const isInterrupted = deps.signal.aborted
    deps.progress(`lab up ${isInterrupted ? 'interrupted' : 'failed'}: removing what was made`)
    // What waits for the other hosts would go on until its time is over.
    controller.abort()
    await labDown(deps, wish.name)
    throw isInterrupted ? new SwarmError('CANCELLED', 'interrupted', { cause: err }) : err
  } finally {
    release()
  }
  return record
}

/** Removes everything of the lab; also what a crash left of it. Returns whether there was such a lab or files of one. */
export async function labDown(deps: LabDeps, name: string): Promise<boolean> {
  const wasThere = [labRunDir(deps.roots, name), labStateDir(deps.roots, name)].some(existsSync)
  const record = readLab(deps.roots, name)
  const hosts = record === undefined ? [] : hostNames(record)
  await Promise.all(
    hosts.map((host) =>
      endProcess(hostPaths(deps.roots, name, host).pidFile, 'SIGKILL', deps.clock),
    ),
  )
  // Containers and their monitors name the lab's directories in their arguments.
  for (let rounds = 0; rounds < 50; rounds++) {
    const killed =
      killLeftovers(labRunDir(deps.roots, name), labPrograms) +
      killLeftovers(labStateDir(deps.roots, name), labPrograms) +
      removeCgroups(`tsswarm-lab-${name}`)
    if (killed === 0) break
    await wait(deps.clock, 20)
  }
  await removeTopology(name)
  await unmountBelow([labRunDir(deps.roots, name), labStateDir(deps.roots, name)])
  removeLabFiles(deps.roots, name)
  return wasThere
}

/** The disk is that of the machine: how full it is says nothing of the lab. */
const labEnv = { TSSWARM_IMAGE_GC_HIGH: 'off' }

/** Starts the daemon of a host; resolves when it answers. No-op when it runs. */
export async function startHost(deps: LabDeps, record: LabRecord, host: string): Promise<void> {
  const paths = hostPaths(deps.roots, record.name, host)
  if (runningPid(paths.pidFile) !== undefined) return
  const registry = `${hostAddress(labNetwork(record), 'registry')}:${registryPort}`
  const flags = [
    ['--state-dir', paths.stateDir],
    ['--run-dir', paths.runDir],
    ['--hostname', host],
    ['--cgroup-parent', paths.cgroupParent],
    ['--insecure-registry', registry],
    ['--group', 'root'],
  ].flat()
  rmSync(paths.socket, { force: true })
  const prefix = deps.daemonPrefix?.(host) ?? []
  const argv = inHost(record.name, host, [...prefix, ...deps.program, 'daemon', ...flags])
  startDetached(argv, paths, { ...labEnv, ...process.env, ...deps.daemonEnv })
  await withDaemon(deps, record, host, (client) => client.call(DaemonService.info, {}))
}

/** SIGTERM (`stop`) or SIGKILL (`kill`) to the daemon of a host; its containers go on. */
export async function endHost(
  deps: LabDeps,
  record: LabRecord,
  host: string,
  signalName: 'SIGTERM' | 'SIGKILL',
): Promise<void> {
  await endProcess(hostPaths(deps.roots, record.name, host).pidFile, signalName, deps.clock)
}

/** Runs fn with a client of the host's daemon, which is given a while to come up. */
export async function withDaemon<T>(
  deps: LabDeps,
  record: LabRecord,
  host: string,
  fn: (client: Client) => Promise<T>,
): Promise<T> {
  const { clock, random, signal, readyMs = defaultReadyMs } = deps
  const paths = hostPaths(deps.roots, record.name, host)
  const endsAtMs = clock.monotonicMs() + readyMs
  while (true) {
    try {
      const options = { clock, random, signal, callTimeoutMs: readyMs }
      const client = await connectClient({ ...options, socketPath: paths.socket })
      try {
        return await fn(client)
      } finally {
        client.close()
      }
    } catch (err) {
      const down = err instanceof SwarmError && err.code === 'DAEMON_NOT_RUNNING'
      if (!down || clock.monotonicMs() > endsAtMs || signal.aborted) throw err
      if (existsSync(paths.pidFile) && runningPid(paths.pidFile) === undefined) {
        throw new SwarmError(
          'UNAVAILABLE',
          `the daemon of ${host} ended at its start:\n${lastLines(paths.logFile, 12)}`,
          { cause: err },
        )
      }
      await wait(clock, 20, signal)
    }
  }
}

async function build(deps: LabDeps, record: LabRecord): Promise<void> {
  const hosts = hostNames(record)
  deps.progress(`network: ${hosts.length} hosts in 10.${record.subnet.join('.')}.0/24`)
  await createTopology(labNetwork(record))
  await deps.prepare?.(record)
  const archive = join(labStateDir(deps.roots, record.name), 'hello.tar')
  const registry = registryPlace(deps.roots, record)
  startRegistry(registry)
  writeFileSync(archive, await buildHelloImage())
  deps.progress(`daemons: ${hosts.join(' ')}`)
  await Promise.all(hosts.map((host) => startHost(deps, record, host)))
  await Promise.all([
    formCluster(deps, record),
    publish(deps, registry, archive),
    ...hosts.map((host) => loadImage(deps, record, host, archive)),
  ])
  deps.progress('waiting for all nodes to be ready')
  await untilReady(deps, record)
}

/** Where the registry of a lab is, and its files. */
export function registryPlace(roots: LabRoots, record: LabRecord): RegistryPlace {
  return {
    lab: record.name,
    address: hostAddress(labNetwork(record), 'registry'),
    stateDir: labStateDir(roots, record.name),
    runDir: labRunDir(roots, record.name),
  }
}

async function formCluster(deps: LabDeps, record: LabRecord): Promise<void> {
  const [first = 'm1', ...others] = hostNames(record)
  const address = (host: string): string => hostAddress(labNetwork(record), host)
  deps.progress(`cluster: ${first} begins it`)
  const requestId = (): string => newId(deps.random)
  const tokens = await withDaemon(deps, record, first, async (client) => {
    await client.call(DaemonService.initSwarm, {
      requestId: requestId(),
      advertiseAddress: address(first),
      listenAddress: '',
      dataPathAddress: '',
      availability: 0,
      spec: undefined,
      forceNewCluster: false,
      force: false,
    })
    return await client.call(ControlService.getJoinTokens, {})
  })
  deps.progress(`cluster: ${others.join(' ')} join`)
  await Promise.all(
    others.map((host) =>
      withDaemon(deps, record, host, (client) =>
        client.call(DaemonService.joinSwarm, {
          requestId: requestId(),
          token: host.startsWith('m') ? tokens.manager : tokens.worker,
          remoteAddresses: [`${address(first)}:2377`],
          advertiseAddress: address(host),
          listenAddress: '',
          dataPathAddress: '',
          availability: 0,
        }),
      ),
    ),
  )
}

async function loadImage(
  deps: LabDeps,
  record: LabRecord,
  host: string,
  archive: string,
): Promise<void> {
  await withDaemon(deps, record, host, async (client) => {
    for await (const _ of client.stream(DaemonService.loadImage, chunks(archive))) {
      // Progress of a small local file is not worth showing.
    }
  })
}

async function* chunks(file: string): AsyncGenerator<{ readonly chunk: Buffer }, void, undefined> {
  for await (const chunk of createReadStream(file, { highWaterMark: 256 * 1024 })) yield { chunk }
}

async function publish(deps: LabDeps, registry: RegistryPlace, archive: string): Promise<void> {
  const endsAtMs = deps.clock.monotonicMs() + (deps.readyMs ?? defaultReadyMs)
  while (true) {
    try {
      await pushArchive(registry, archive, helloImageName)
      return
    } catch (err) {
      const dead = runningPid(registryFiles(registry).pidFile) === undefined
      if (dead || deps.clock.monotonicMs() > endsAtMs || deps.signal.aborted) throw err
      await wait(deps.clock, 100, deps.signal)
    }
  }
}

/** Until every node is ready and every manager reachable. */
export async function untilReady(deps: LabDeps, record: LabRecord): Promise<void> {
  const { readyMs = defaultReadyMs } = deps
  const endsAtMs = deps.clock.monotonicMs() + readyMs
  const [first = 'm1'] = hostNames(record)
  while (true) {
    const { nodes } = await withDaemon(deps, record, first, (client) => listNodes(client))
    const ready = nodes.filter(({ node }) => node?.state === 2)
    const reachable = nodes.filter(({ reachability }) => reachability === 2)
    if (ready.length === hostNames(record).length && reachable.length === record.managers) return
    if (deps.clock.monotonicMs() > endsAtMs || deps.signal.aborted) {
      const late = hostNames(record).filter(
        (host) => !ready.some(({ node }) => node?.description?.hostname === host),
      )
      throw new SwarmError(
        'DEADLINE_EXCEEDED',
        `only ${ready.length} of ${hostNames(record).length} nodes are ready and ${reachable.length} of ` +
          `${record.managers} managers reachable after ${readyMs / 1000} s${lastWords(deps, record, late)}`,
      )
    }
    await wait(deps.clock, 50, deps.signal)
  }
}

/** The log of a lab that failed is removed with it, so the error has its end. */
function lastWords({ roots }: LabDeps, { name }: LabRecord, hosts: readonly string[]): string {
  return hosts
    .map((host) => `\n${host}: ${lastLines(hostPaths(roots, name, host).logFile, 3)}`)
    .join('')
}
