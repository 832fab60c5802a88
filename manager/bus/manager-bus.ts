// The bus of one manager: its nats-server, kept in line with the nodes that the store has, and its own connection, over which the leader
// speaks. Everything works without it, only slower (docs/decisions/0053-bus.md).
import { BusClient, type BusServer } from '../../proto/bus/bus-client.ts'
import { splitAddress } from '../../proto/bus/host-port.ts'
import { busPorts, busRoutePortOffset } from '../../proto/bus/ports.ts'
import { clusterSubjects } from '../../proto/bus/subjects.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import type { NamedLoop } from '../../proto/lib/lifecycle.ts'
import type { Logger } from '../../proto/lib/log.ts'
import type { Random } from '../../proto/lib/random.ts'
import type { IdentitySource, Node, NodeId } from '../../proto/objects/index.ts'
import type { KnownManager } from '../membership/address-book.ts'
import type { ReplicatedStore } from '../store/replicated-store.ts'
import type { Change, Commit } from '../store/store.ts'
import type { BusListen, BusPlan } from './nats-config.ts'
import { NatsServer } from './nats-server.ts'

const defaultSilentMs = 10_000

export interface ManagerBusDeps {
  readonly nodeId: NodeId
  readonly clusterId: string
  readonly store: ReplicatedStore
  /** All managers, this one too, where they are now. */
  readonly managers: () => readonly KnownManager[]
  /** host:port of this manager's control API. */
  readonly listenAddress: string
  /** Of the server's own, in memory. */
  readonly directory: string
  readonly identity: IdentitySource
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** A server that runs and cannot be connected to for this long hangs; default 10 s. */
  readonly silentMs?: number
}

export interface ManagerBus {
  /** What keeps it going. */
  readonly loops: readonly NamedLoop[]
  readonly client: BusClient
  /** Managers are somewhere else. */
  moved(): void
  /** What is wrong with it and what to do; undefined: nothing, or it has just begun. */
  problem(): string | undefined
}

export function createManagerBus(deps: ManagerBusDeps): ManagerBus {
  const { nodeId: self, store, identity } = deps
  const listen = listenOf(deps.listenAddress)
  const server = new NatsServer({
    ...deps,
    identity: () => identity.current(),
    plan: () => planOf(deps, listen),
  })
  const client = new BusClient({
    ...deps,
    isDeafToItself: true,
    servers: () => serversOf(deps, listen, server.status().kind === 'running'),
  })
  // Keeps the interest of this server in every subject alive among the others. When nats-server (2.9) puts out a node that is no more,
  // it forgets to tell the others of later readers of the same subject, but for this one, which is never put out.
  client.subscribe(clusterSubjects, () => {})
  const follow = async (signal: AbortSignal): Promise<void> => {
    const stops = [
      store.onCommit((commit) => concernsBus(commit) && server.changed()),
      identity.onChange(() => server.changed()),
    ]
    await server.run(signal)
    for (const stop of stops) stop()
  }
  return {
    loops: [
      { name: 'bus server', run: follow },
      { name: 'bus connection', run: client.run },
      { name: 'bus watchdog', run: (signal) => watchOver(deps, { server, client }, signal) },
    ],
    client,
    moved: () => server.changed(),
    problem: () => problemOf(server, listen, self),
  }
}

/** A process that is there and does nothing, as one that was stopped, would keep the leader from being heard. */
async function watchOver(
  { clock, silentMs = defaultSilentMs }: ManagerBusDeps,
  { server, client }: { readonly server: NatsServer; readonly client: BusClient },
  signal: AbortSignal,
): Promise<void> {
  let well = clock.monotonicMs()
  while (!signal.aborted) {
    await wait(clock, silentMs / 10, signal)
    const isSilent = server.status().kind === 'running' && !client.isConnected
    if (!isSilent) well = clock.monotonicMs()
    if (clock.monotonicMs() - well < silentMs) continue
    server.giveUp()
    well = clock.monotonicMs()
  }
}

function listenOf(listenAddress: string): BusListen | undefined {
  const at = splitAddress(listenAddress) ?? { host: '0.0.0.0', port: portOf(listenAddress) }
  const ports = busPorts(at.port)
  return ports && { host: at.host, clientPort: ports.client, routePort: ports.route }
}

/** Of an address without a host: `:2377`. */
function portOf(address: string): number {
  return Number(/:(\d+)$/.exec(address)?.[1] ?? 0)
}

function planOf(deps: ManagerBusDeps, listen: BusListen | undefined): BusPlan | undefined {
  const { nodeId: self, clusterId, store } = deps
  const members = store.view((tx) => [...tx.all('nodes')].map(({ id, role }) => ({ id, role })))
  const isIn = members.some(({ id, role }) => id === self && role === 'manager')
  if (listen === undefined || !isIn) return undefined
  const managers = deps.managers().flatMap(({ nodeId: id, info }) => {
    const at = splitAddress(info.address)
    const ports = at && busPorts(at.port)
    return at === undefined || ports === undefined
      ? []
      : [{ id, host: at.host, routePort: ports.route }]
  })
  return { self, clusterId, listen, members, managers }
}

/**
 * Its own server as long as that runs, reached directly: behind address translation a host cannot reach what it advertises. Else
 * those of the others.
 */
function serversOf(
  deps: ManagerBusDeps,
  listen: BusListen | undefined,
  isRunning: boolean,
): readonly BusServer[] {
  const { nodeId: self } = deps
  if (isRunning && listen !== undefined) {
    return [{ nodeId: self, host: localHost(listen.host), port: listen.clientPort }]
  }
  return deps.managers().flatMap(({ nodeId: id, info }) => {
    const at = splitAddress(info.address)
    const ports = at && busPorts(at.port)
    if (id === self || at === undefined || ports === undefined) return []
    return [{ nodeId: id, host: at.host, port: ports.client }]
  })
}

function localHost(host: string): string {
  if (host === '::') return '::1'
  return host === '' || host === '0.0.0.0' ? '127.0.0.1' : host
}

function concernsBus(commit: Commit | undefined): boolean {
  return commit === undefined || commit.changes.some(changesMember)
}

function changesMember(change: Change): boolean {
  if (change.table !== 'nodes') return false
  return change.kind !== 'update' || memberText(change.old) !== memberText(change.object)
}

function memberText({ id, role, manager }: Node): string {
  return `${id} ${role} ${manager?.address}`
}

function problemOf(
  server: NatsServer,
  listen: BusListen | undefined,
  self: NodeId,
): string | undefined {
  if (listen === undefined) {
    return `manager ${self} has no bus: its control port is too high, the bus would listen ${busRoutePortOffset} above; choose another with --listen-addr`
  }
  const status = server.status()
  if (status.kind !== 'down') return undefined
  return `the bus of this manager does not run (changes reach nodes through other managers, or more slowly): ${status.reason}`
}
