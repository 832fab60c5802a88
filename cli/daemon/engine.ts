// This host's engine: containers, images and the local network; alive with or without a swarm.
import { join } from 'node:path'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import { type RunCommand, runCommand } from '../../proto/lib/command.ts'
import { type Loop, runAll } from '../../proto/lib/lifecycle.ts'
import type { Logger } from '../../proto/lib/log.ts'
import type { Random } from '../../proto/lib/random.ts'
import type { Stamp } from '../../proto/objects/index.ts'
import { createImagesEngine, type ImagesEngine } from '../../worker/engine/images.ts'
import { createVolumesEngine, type VolumesEngine } from '../../worker/engine/volumes.ts'
import { cgroupDirs, cgroupVersion } from '../../worker/executor/container/cgroups.ts'
import { openExecutor } from '../../worker/executor/container/open.ts'
import type { ExecutorDirs } from '../../worker/executor/container/paths.ts'
import {
  type ContainerInfo,
  type Executor,
  serviceIdLabel,
} from '../../worker/executor/executor.ts'
import { NetworkProber } from '../../worker/health/network-prober.ts'
import { type GcLimits, gcLimits } from '../../worker/image/eviction.ts'
import { ImageCollector } from '../../worker/image/image-collector.ts'
import { parseMirror } from '../../worker/image/registries-conf.ts'
import { withOwnServers } from '../../worker/network/asker-servers.ts'
import { findNamespace } from '../../worker/network/data-plane.ts'
import {
  createResolverProcess,
  type ResolverProcess,
} from '../../worker/network/dns/resolver-process.ts'
import { createNodeNetwork, type NodeNetwork } from '../../worker/network/node-network.ts'
import { type RunInside, runInsideBy } from '../../worker/network/run-inside.ts'
import { NodeConditions } from '../../worker/node-conditions.ts'
import type { ContainerStreams } from '../../worker/streams/container-streams.ts'
import type { DaemonConfig } from './config.ts'
import type { LiveSettings } from './live-settings.ts'
import { remapOf } from './userns-remap.ts'

export interface Engine {
  readonly executor: Executor
  /** What can be done in the containers that run. */
  readonly streams: ContainerStreams
  readonly images: ImagesEngine
  readonly volumes: VolumesEngine
  /** That containers here can have, the usual one first. */
  readonly runtimes: readonly string[]
  /** Names of the volumes here that belong to a slot. */
  readonly slotVolumes: SlotVolumes
  readonly network: NodeNetwork
  /** Names on the cluster's networks, for this host's containers. */
  readonly resolver: ResolverProcess
  /** Asks containers over the network how they are. */
  readonly prober: NetworkProber
  /** What does not work on this host. */
  readonly conditions: NodeConditions
  /** Calls the listener with each stamp that the resolver answers as of, until the signal aborts. */
  readonly onResolved: (listener: (stamp: Stamp) => void, signal: AbortSignal) => void
  /** Heals the network, and keeps the resolver running, until the signal aborts. */
  readonly run: Loop
  /** Lets go of everything; containers and their traffic go on. */
  close(): Promise<void>
}

export interface SlotVolumes {
  list(): readonly string[]
  /** Calls the listener after each change of the list; the result ends that. */
  onChange(listener: () => void): () => void
}

export interface EngineDeps {
  readonly config: DaemonConfig
  /** As SIGHUP leaves them. */
  readonly live: LiveSettings
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

/** Folders of the engine within those of the daemon. */
export function engineDirs(config: DaemonConfig): ExecutorDirs {
  return {
    stateDir: join(config.stateDir, 'engine'),
    runDir: join(config.runDir, 'engine'),
    cgroupParent: config.cgroupParent,
  }
}

/** Makes or adopts the network, then adopts what runs. Errors: HOST_UNFIT, INVALID_ARGUMENT, FAILED_PRECONDITION. */
export async function openEngine(deps: EngineDeps): Promise<Engine> {
  const forks: Forks = { run: runCommand, runInside: runInsideBy(runCommand) }
  const conditions = new NodeConditions()
  const network = openNetwork(deps, forks, conditions)
  try {
    return await startEngine(deps, { network, conditions }, forks)
  } catch (err) {
    // Its helpers would keep a process alive that has nothing to do.
    network.close()
    throw err
  }
}

/** Who forks for what is run often: this process until the executor's helper is there, which does it for less. */
interface Forks {
  run: RunCommand
  /** In the network of a container. */
  runInside: RunInside
}

function openNetwork(
  { config, clock, random, log }: EngineDeps,
  forks: Forks,
  conditions: NodeConditions,
): NodeNetwork {
  return createNodeNetwork({
    conditions,
    runDir: config.runDir,
    ...(config.localSubnet === undefined ? {} : { localSubnet: config.localSubnet }),
    run: runCommand,
    runOften: (argv, options) => forks.run(argv, options),
    runInside: (argv, options) => forks.runInside(argv, options),
    clock,
    random,
    log: log.child({ part: 'network' }),
  })
}

function dataPlaneFile({ runDir }: DaemonConfig): string {
  return join(runDir, 'network', 'dataplane.netns')
}

/** Name servers of single containers. */
function askersDir({ runDir }: DaemonConfig): string {
  return join(runDir, 'network', 'askers')
}

/** A process of its own that outlives the daemon: forked from it, as what the executor's helper forks has mounts of its own. */
function openResolver(
  { config, clock, random, log }: EngineDeps,
  onApplied: (stamp: Stamp) => void,
): ResolverProcess {
  const dir = join(config.runDir, 'network')
  return createResolverProcess({
    dir: join(dir, 'dns'),
    dataPlaneFile: dataPlaneFile(config),
    askersDir: askersDir(config),
    // Where the monitors of containers are, outside of the daemon's own group.
    cgroupDirs: cgroupDirs(cgroupVersion(), `${config.cgroupParent}/monitors`),
    run: runCommand,
    clock,
    random,
    log: log.child({ part: 'resolver' }),
    onApplied,
  })
}

async function startEngine(
  deps: EngineDeps,
  { network, conditions }: Pick<Engine, 'network' | 'conditions'>,
  forks: Forks,
): Promise<Engine> {
  const { config, clock, random, log } = deps
  const resolved = new Set<(stamp: Stamp) => void>()
  const resolver = openResolver(deps, (stamp) => {
    for (const listener of resolved) listener(stamp)
  })
  // Its sockets would keep a data plane that lost its name, with devices that are to be made anew.
  if ((await findNamespace(dataPlaneFile(config))) === undefined) await resolver.stop()
  await network.start()
  const { executor, streams, images, volumes, runtimes, helper } = await openExecutor({
    dirs: engineDirs(config),
    clock,
    random,
    log: log.child({ part: 'executor' }),
    network: withOwnServers(network, askersDir(config)),
    runtime: config.defaultRuntime,
    remap: await remapOf(config, log),
    insecureRegistries: config.insecureRegistries,
    registryMirrors: config.registryMirrors.map(parseMirror),
  })
  forks.run = (argv, options) => helper.spawn(argv, { ...options, lane: 'network' })
  forks.runInside = (argv, options) => helper.spawn(argv, { ...options, lane: 'network' })
  const collector = new ImageCollector({
    images,
    limits: () => imageLimits(deps.live.current()),
    services: async () => servicesOf(await executor.list()),
    onConditions: (found) => conditions.set('images', found),
    clock,
    log: log.child({ part: 'images' }),
  })
  const prober = new NetworkProber({ dataPlaneFile: dataPlaneFile(config), clock })
  return {
    executor,
    streams,
    images: createImagesEngine(images),
    volumes: createVolumesEngine(volumes, random),
    runtimes,
    slotVolumes: {
      list: () => volumes.slotVolumes(),
      onChange: (listener) => volumes.onSlotVolumes(listener),
    },
    network,
    resolver,
    prober,
    conditions,
    onResolved: (listener, signal) => {
      resolved.add(listener)
      signal.addEventListener('abort', () => resolved.delete(listener), { once: true })
    },
    run: (signal) =>
      runAll(signal, [
        { name: 'network', run: (inner) => network.run(inner) },
        { name: 'resolver', run: (inner) => resolver.run(inner) },
        { name: 'images', run: (inner) => collector.run(inner) },
        { name: 'peers', run: (inner) => watchPeers(network, conditions, clock, inner) },
      ]),
    close: async () => {
      await executor.close()
      prober.close()
      resolver.close()
      network.close()
    },
  }
}

/** Ids of those that have a container here, running or ended. */
function servicesOf(containers: readonly ContainerInfo[]): ReadonlySet<string> {
  return new Set(containers.flatMap(({ config }) => config.labels[serviceIdLabel] ?? []))
}

const peersMs = 2_000

/** Tells of other nodes that packets do not reach. */
async function watchPeers(
  network: NodeNetwork,
  conditions: NodeConditions,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    conditions.set('peers', network.peerConditions())
    await wait(clock, peersMs, signal)
  }
}

function imageLimits({ imageGcHigh, imageGcLow, imageGcRevisions }: DaemonConfig): GcLimits {
  return gcLimits(imageGcHigh, imageGcLow, imageGcRevisions)
}
