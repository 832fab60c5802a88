// A host that is part of a swarm: its agent, its certificate, and its manager as long as its role asks for one.
import { rm } from 'node:fs/promises'
import type { UnaryHandler } from '../../manager/rpc/adapter.ts'
import { SwarmError } from '../../proto/errors.ts'
import type { GetJoinTokensResponse } from '../../proto/gen/tsswarm/v1/control.ts'
import type { SessionConfig } from '../../proto/gen/tsswarm/v1/dispatcher.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import { newId } from '../../proto/lib/ids.ts'
import { childController, runAll } from '../../proto/lib/lifecycle.ts'
import type { Logger } from '../../proto/lib/log.ts'
import type { Random } from '../../proto/lib/random.ts'
import { type NodeRole, nodeId } from '../../proto/objects/index.ts'
import type { TaskSpec } from '../../proto/spec/service-spec.ts'
import { type Agent, createAgent } from '../../worker/agent.ts'
import type { ContainerNetwork } from '../../worker/executor/network-attacher.ts'
import type { IdentityStore } from '../../worker/identity/identity-store.ts'
import { renewalLoop } from '../../worker/identity/renewal.ts'
import { localNetworkId } from '../../worker/network/network-state.ts'
import { grpcSessionTransport } from '../../worker/session-grpc.ts'
import { openStateFile } from '../../worker/state-file.ts'
import { controlPort, formatHostPort, localAddress, parseHostPort } from './addresses.ts'
import type { DaemonConfig } from './config.ts'
import { describeHost } from './describe-host.ts'
import type { Engine } from './engine.ts'
import { type DaemonPaths, daemonPaths } from './host-paths.ts'
import type { ManagerPart } from './manager-part.ts'
import { removeSwarmState, type SwarmState, writeSwarmState } from './swarm-state.ts'

export interface NodeDeps {
  readonly config: DaemonConfig
  readonly engine: Engine
  readonly identity: IdentityStore
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** Starts the manager of this node; `raftId` is new when it just became one. */
  readonly startManager: (state: SwarmState, raftId: string) => Promise<ManagerPart>
  /** A part failed for good: the daemon must end. */
  readonly onFailure: (err: unknown) => void
}

const clearMs = 30_000

/** Every container is on its host's local network; its ports are in host mode. */
function containerNetwork(spec: TaskSpec): ContainerNetwork {
  const ports = spec.ports.map(({ protocol, targetPort, publishedPort, bindAddress }) => ({
    protocol,
    targetPort,
    publishedPort,
    bindAddress,
  }))
  const local = { networkId: localNetworkId, addresses: [], aliases: [] }
  return { kind: 'attached', endpoints: [local], ports }
}

export class NodeRuntime {
  readonly #deps: NodeDeps
  readonly #paths: DaemonPaths
  readonly #controller = childController().controller
  #state: SwarmState
  #agent: Agent | undefined
  #running: Promise<void> = Promise.resolve()
  #manager: ManagerPart | undefined
  #roleChange: Promise<void> = Promise.resolve()
  #wantedRole: NodeRole | undefined

  constructor(deps: NodeDeps, state: SwarmState, manager?: ManagerPart) {
    this.#deps = deps
    this.#paths = daemonPaths(deps.config)
    this.#state = state
    this.#manager = manager
    if (manager !== undefined) this.#watchManager(manager)
  }

  /** Adopts containers, then runs agent, renewal and, when the certificate says so, the manager. */
  async start(): Promise<void> {
    const { identity, log, onFailure } = this.#deps
    this.#agent = await this.#createAgent()
    const agent = this.#agent
    identity.onChange(() => this.#followRole())
    await this.#applyRole()
    this.#running = runAll(this.#controller.signal, [
      { name: 'agent', run: agent.run },
      { name: 'certificate', run: this.#renewal() },
    ]).catch((err: unknown) => {
      log.fatal({ err }, 'the agent ended')
      onFailure(err)
    })
  }

  manager(): ManagerPart | undefined {
    return this.#manager
  }

  state(): SwarmState {
    return this.#state
  }

  clusterId(): string {
    return this.#deps.identity.certificate().clusterId
  }

  /** host:port at which others reach this node's manager. */
  controlAddress(): string {
    const { port } = parseHostPort(this.#state.listenAddress, controlPort, 'listen address')
    return formatHostPort({ host: this.#state.advertiseHost, port })
  }

  /** Empty on a worker. */
  async workerJoinToken(): Promise<string> {
    const handler = this.#manager?.control['getJoinTokens'] as UnaryHandler | undefined
    if (handler === undefined) return ''
    const caller = {
      kind: 'local-admin',
      nodeId: nodeId(this.#deps.identity.certificate().nodeId),
    } as const
    const tokens = await handler(caller, {} as never, this.#controller.signal)
    return (tokens as GetJoinTokensResponse).worker
  }

  agentFailure(): unknown {
    return this.#agent?.status().failure
  }

  /** Ends agent and manager; containers go on. */
  async stop(): Promise<void> {
    this.#controller.abort()
    await this.#running
    await this.#roleChange
    const manager = this.#manager
    this.#manager = undefined
    await manager?.stop()
  }

  /** Stops and removes all task containers, ends, and forgets the membership. */
  async leave(): Promise<void> {
    const { signal } = this.#controller
    const timer = this.#deps.clock.setTimer(clearMs, () => this.#controller.abort())
    await this.#agent?.clear(signal)
    timer.cancel()
    removeSwarmState(this.#paths.swarmState)
    await this.stop()
    await rm(this.#paths.swarm, { recursive: true, force: true })
  }

  #createAgent(): Promise<Agent> {
    const { config, engine, identity, clock, random, log } = this.#deps
    return createAgent({
      nodeId: nodeId(identity.certificate().nodeId),
      executor: engine.executor,
      transport: grpcSessionTransport({
        identity: () => identity.current(),
        dial: (address) => this.#dial(address),
      }),
      onRenewal: (listener) => identity.onChange(listener),
      stateFile: openStateFile(this.#paths.tasks),
      clock,
      random,
      log: log.child({ part: 'agent' }),
      describe: () => describeHost(config),
      network: containerNetwork,
      advertiseAddress: this.#state.advertiseHost,
      managers: this.#state.managers,
      onConfig: (received) => this.#onConfig(received),
    })
  }

  /** Its own manager is reached directly: behind address translation a host cannot reach what it advertises. */
  #dial(address: string): string {
    const isOwn = this.#manager !== undefined && address === this.controlAddress()
    return isOwn ? localAddress(this.#state.listenAddress) : address
  }

  #renewal(): (signal: AbortSignal) => Promise<void> {
    const { identity, clock, random, log } = this.#deps
    return renewalLoop({
      identity,
      wantedRole: () => this.#wantedRole,
      managers: () => this.#state.managers.map(({ address }) => this.#dial(address)),
      clock,
      random,
      log: log.child({ part: 'certificate' }),
    })
  }

  #onConfig(received: SessionConfig): void {
    this.#wantedRole = received.role === 1 ? 'manager' : 'worker'
    const managers = received.managers.map(({ nodeId: id, address }) => ({ nodeId: id, address }))
    const peers = this.#manager?.peers() ?? this.#state.peers
    this.#save({ ...this.#state, managers, peers })
  }

  #save(state: SwarmState): void {
    if (JSON.stringify(state) === JSON.stringify(this.#state)) return
    this.#state = state
    writeSwarmState(this.#paths.swarmState, state)
  }

  #followRole(): void {
    this.#roleChange = this.#roleChange
      .then(() => this.#applyRole())
      .catch((err: unknown) => this.#deps.onFailure(err))
  }

  /** Brings the manager into line with the certificate. */
  async #applyRole(): Promise<void> {
    const { identity, random, log, startManager } = this.#deps
    const { role } = identity.certificate()
    if (role === 'manager' && this.#manager === undefined && !this.#controller.signal.aborted) {
      const raftId = this.#state.raftId ?? newId(random)
      this.#save({ ...this.#state, raftId })
      log.info({ raftId }, 'this node is a manager')
      this.#manager = await startManager(this.#state, raftId)
      this.#watchManager(this.#manager)
    }
    if (role === 'worker' && this.#manager !== undefined) {
      log.info({}, 'this node is a manager no more')
      const manager = this.#manager
      this.#manager = undefined
      await manager.stop()
      await rm(this.#paths.raft, { recursive: true, force: true })
      const { raftId: _, ...rest } = this.#state
      this.#save({ ...rest, peers: [] })
    }
  }

  #watchManager(manager: ManagerPart): void {
    manager.closed.catch((err: unknown) => {
      if (this.#manager === manager) {
        this.#deps.onFailure(
          new SwarmError('INTERNAL', 'the manager of this node ended by itself', { cause: err }),
        )
      }
    })
  }
}
