// A host that is part of a swarm: its agent, its certificate, and its manager as long as its role asks for one.

import { rm } from 'node:fs/promises'
import type { UnaryHandler } from '../../manager/rpc/adapter.ts'
import type { BusStatus } from '../../proto/bus/bus-client.ts'
import { SwarmError } from '../../proto/errors.ts'
import type { GetJoinTokensResponse } from '../../proto/gen/tsswarm/v1/control.ts'
import type { ReconnectSwarmProgress, SwarmRecovery } from '../../proto/gen/tsswarm/v1/daemon.ts'
import type { SessionConfig } from '../../proto/gen/tsswarm/v1/dispatcher.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import { runCommand } from '../../proto/lib/command.ts'
import { newId } from '../../proto/lib/ids.ts'
import { childController, runAll } from '../../proto/lib/lifecycle.ts'
import type { Logger } from '../../proto/lib/log.ts'
import type { Random } from '../../proto/lib/random.ts'
import { isSameValue } from '../../proto/lib/same-value.ts'
import {
  boundConditions,
  type NodeCondition,
  type NodeRole,
  networkId,
  nodeId,
} from '../../proto/objects/index.ts'
import { type Agent, createAgent } from '../../worker/agent.ts'
import type { NodeDiagnosis } from '../../worker/diagnosis-server.ts'
import type { IdentityStore } from '../../worker/identity/identity-store.ts'
import { renewalLoop } from '../../worker/identity/renewal.ts'
import { hasSctp } from '../../worker/kernel-sctp.ts'
import { isListening } from '../../worker/listening-ports.ts'
import { localNetworkId } from '../../worker/network/network-state.ts'
import { networkOfTask } from '../../worker/network-of-task.ts'
import { OverlayFollower } from '../../worker/overlay-follower.ts'
import { grpcSessionTransport } from '../../worker/session-grpc.ts'
import { openStateFile } from '../../worker/state-file.ts'
import type { ManagerAddress } from '../../worker/state-records.ts'
import { systemProbes } from '../host/requirements.ts'
import { AddressWatch } from './address-watch.ts'
import {
  controlPort,
  formatHostPort,
  interfaceAddresses,
  localAddress,
  parseHostPort,
} from './addresses.ts'
import type { Advertised } from './advertise.ts'
import type { StartManager } from './daemon.ts'
import { describeHost } from './describe-host.ts'
import type { Engine } from './engine.ts'
import { type DaemonPaths, daemonPaths } from './host-paths.ts'
import type { LiveSettings } from './live-settings.ts'
import type { ManagerPart } from './manager-part.ts'
import { itself, type Place } from './membership.ts'
import { NodeBus } from './node-bus.ts'
import { nodeDiagnosis } from './node-diagnosis.ts'
import { reconnectNode } from './reconnect-node.ts'
import { recoveryRefusal, recoveryReport } from './recovery.ts'
import { removeSwarmState, type SwarmState, writeSwarmState } from './swarm-state.ts'

export interface NodeDeps {
  readonly live: LiveSettings
  readonly engine: Engine
  readonly identity: IdentityStore
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** Starts the manager of this node; `raftId` is new when it just became one. */
  readonly startManager: (
    start: Pick<StartManager, 'state' | 'raftId' | 'onMoved'>,
  ) => Promise<ManagerPart>
  /** A part failed for good: the daemon must end. */
  readonly onFailure: (err: unknown) => void
}

type NodeTransport = ReturnType<typeof grpcSessionTransport>

const clearMs = 30_000
/** How often in its life a daemon starts its manager anew because the Raft log was damaged: more is no accident. */
const repairsMax = 3

export class NodeRuntime {
  readonly #deps: NodeDeps
  readonly #paths: DaemonPaths
  readonly #controller = childController().controller
  #state: SwarmState
  #agent: Agent | undefined
  #bus: NodeBus | undefined
  #overlay: OverlayFollower | undefined
  #running: Promise<void> = Promise.resolve()
  #manager: ManagerPart | undefined
  #roleChange: Promise<void> = Promise.resolve()
  #wantedRole: NodeRole | undefined
  readonly #addresses: AddressWatch
  /** How often this node has moved, and who wants to know. */
  #moves = 0
  readonly #onMove = new Set<() => void>()
  #repairs = 0

  constructor(deps: NodeDeps, state: SwarmState, manager?: ManagerPart) {
    this.#deps = deps
    this.#paths = daemonPaths(deps.live.current())
    this.#state = state
    this.#manager = manager
    if (manager !== undefined) this.#watchManager(manager)
    this.#addresses = new AddressWatch({
      state: () => this.#state,
      addresses: interfaceAddresses,
      settle: (next) => this.#save({ ...this.#state, ...next }),
      move: (next) => this.#inTurn(() => this.#move(next)),
      clock: deps.clock,
      log: deps.log.child({ part: 'address' }),
    })
  }

  /** Adopts containers, then runs agent, renewal and, when the certificate says so, the manager. */
  async start(): Promise<void> {
    const { identity, log, onFailure } = this.#deps
    await this.#addresses.look(true)
    const transport = this.#transport()
    const overlay = this.#createFollower()
    this.#overlay = overlay
    this.#agent = await this.#createAgent(transport, overlay)
    const agent = this.#agent
    this.#bus = this.#createBus({ agent, transport, overlay })
    identity.onChange(() => this.#followRole())
    await this.#applyRole()
    this.#running = runAll(this.#controller.signal, [
      { name: 'agent', run: agent.run },
      { name: 'certificate', run: this.#renewal() },
      { name: 'address', run: this.#addresses.run },
      { name: 'overlay', run: overlay.run },
      ...this.#bus.loops,
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

  /** Where it hears the bus, or why it does not. */
  busStatus(): BusStatus {
    return this.#bus?.status() ?? { server: undefined, failure: undefined }
  }

  /** What does not work here, and what to do about it. */
  conditions(): readonly NodeCondition[] {
    const message = this.#manager?.busProblem()
    const bus = message === undefined ? [] : [{ code: 'BUS_DOWN', message } satisfies NodeCondition]
    return boundConditions([...bus, ...this.#deps.engine.conditions.list()])
  }

  agentFailure(): unknown {
    return this.#agent?.status().failure
  }

  /** What is to be kept of where the other managers are. */
  keepMoved(moved: SwarmState['moved']): void {
    this.#save({ ...this.#state, moved })
  }

  /**
   * Makes the manager of this node the only one, with what it knows; agent and containers go on. A daemon that is killed
   * meanwhile goes on with it when it starts. Errors: NOT_A_MANAGER, FAILED_PRECONDITION, those of starting a manager.
   */
  recover(isForced: boolean, place: Place): Promise<SwarmRecovery> {
    return this.#inTurn(() => this.#recover(isForced, place))
  }

  /** Makes use of where managers are said to be. Errors: INVALID_ARGUMENT. */
  async *reconnect(
    addresses: readonly string[],
    signal: AbortSignal,
  ): AsyncGenerator<ReconnectSwarmProgress, void, undefined> {
    await this.#addresses.look(true)
    const { identity, clock } = this.#deps
    const deps = { manager: this.#manager, agent: this.#agent, identity, clock }
    yield* reconnectNode(deps, addresses, signal)
  }

  /** Ends agent and manager; containers go on. */
  async stop(): Promise<void> {
    this.#controller.abort()
    await this.#running
    await this.#roleChange
    await this.#stopManager()
  }

  /** Stops and removes all task containers, ends, and forgets the membership. */
  async leave(): Promise<void> {
    const { signal } = this.#controller
    const timer = this.#deps.clock.setTimer(clearMs, () => this.#controller.abort())
    await this.#agent?.clear(signal)
    timer.cancel()
    removeSwarmState(this.#paths.swarmState)
    await this.stop()
    await this.#overlay?.forget()
    await rm(this.#paths.swarm, { recursive: true, force: true })
  }

  #transport(): NodeTransport {
    return grpcSessionTransport({
      identity: () => this.#deps.identity.current(),
      dial: (manager) => this.#dial(manager),
      generation: () => this.#moves,
    })
  }

  #createFollower(): OverlayFollower {
    const { engine, identity, clock, log } = this.#deps
    const follower = new OverlayFollower({
      nodeId: nodeId(identity.certificate().nodeId),
      network: engine.network,
      resolver: engine.resolver,
      clock,
      log: log.child({ part: 'overlay' }),
    })
    engine.onResolved((stamp) => follower.resolverReached(stamp), this.#controller.signal)
    return follower
  }

  #createBus(parts: {
    readonly agent: Agent
    readonly transport: NodeTransport
    readonly overlay: OverlayFollower
  }): NodeBus {
    const { agent, transport, overlay } = parts
    const { identity, clock, random, log } = this.#deps
    return new NodeBus({
      identity,
      nodeId: nodeId(identity.certificate().nodeId),
      managers: () => agent.status().managers,
      dial: (manager) => this.#dial(manager),
      sessionManager: () => agent.status().manager,
      transport,
      follow: (now) => overlay.follow(now),
      confirm: (id, at, until) => overlay.confirm(id, at, until),
      clock,
      random,
      log: log.child({ part: 'bus' }),
    })
  }

  #createAgent(transport: NodeTransport, overlay: OverlayFollower): Promise<Agent> {
    const { live, engine, identity, clock, random, log } = this.#deps
    return createAgent({
      nodeId: nodeId(identity.certificate().nodeId),
      executor: engine.executor,
      transport,
      onRenewal: (listener) => {
        const ignoreRenewal = identity.onChange(listener)
        this.#onMove.add(listener)
        return () => {
          ignoreRenewal()
          this.#onMove.delete(listener)
        }
      },
      stateFile: openStateFile(this.#paths.tasks),
      clock,
      random,
      log: log.child({ part: 'agent' }),
      describe: () => {
        const { dataPathAddress } = this.#state
        const slotVolumes = engine.slotVolumes.list()
        return {
          ...describeHost(
            live.current(),
            dataPathAddress,
            this.conditions(),
            engine.network.subnet(),
          ),
          runtimes: engine.runtimes,
          ...(slotVolumes.length > 0 && { slotVolumes }),
        }
      },
      onDescription: (listener) => {
        const tellers = [engine.conditions, engine.slotVolumes, live]
        const ends = tellers.map((teller) => teller.onChange(listener))
        return () => {
          for (const end of ends) end()
        }
      },
      network: (task, spec) => networkOfTask(task, spec, localNetworkId),
      isListening,
      networkProber: engine.prober,
      hasSctp: () => hasSctp(runCommand),
      overlay,
      diagnosis: { transport, node: this.#diagnosis() },
      streams: { transport, containers: engine.streams },
      advertiseAddress: () => this.#state.advertiseHost,
      managers: this.#state.managers,
      onNetworks: (networks) => this.#bus?.holdForTasks(networks),
      onSession: () => this.#bus?.renew(),
      onConfig: (received) => this.#onConfig(received),
    })
  }

  #diagnosis(): NodeDiagnosis {
    const { network, volumes } = this.#deps.engine
    const { diagnosis } = network
    return nodeDiagnosis({
      network: diagnosis,
      volumes,
      probes: systemProbes(),
      vxlanPort: () => diagnosis.vxlanPort(),
      isManager: () => this.#manager !== undefined,
      peers: () => network.peers(),
    })
  }

  /** Its own manager is reached directly: behind address translation a host cannot reach what it advertises. */
  #dial({ nodeId: id, address }: ManagerAddress): string {
    const self = this.#deps.identity.certificate().nodeId
    const isOwn = this.#manager !== undefined && (id === self || address === this.controlAddress())
    return isOwn ? localAddress(this.#state.listenAddress) : address
  }

  #renewal(): (signal: AbortSignal) => Promise<void> {
    const { identity, clock, random, log } = this.#deps
    return renewalLoop({
      identity,
      wantedRole: () => this.#wantedRole,
      managers: () => this.#state.managers.map((manager) => this.#dial(manager)),
      clock,
      random,
      log: log.child({ part: 'certificate' }),
    })
  }

  #onConfig(received: SessionConfig): void {
    this.#wantedRole = received.role === 1 ? 'manager' : 'worker'
    const ingress = received.ingressNetworkId
    this.#bus?.holdAnyway(new Set(ingress === '' ? [] : [networkId(ingress)]))
    const managers = received.managers.map(({ nodeId: id, address }) => ({ nodeId: id, address }))
    const peers = this.#manager?.peers() ?? this.#state.peers
    this.#save({ ...this.#state, managers, peers })
  }

  #save(state: SwarmState): void {
    if (isSameValue(state, this.#state)) return
    this.#state = state
    writeSwarmState(this.#paths.swarmState, state)
  }

  #followRole(): void {
    this.#roleChange = this.#roleChange
      .then(() => this.#applyRole())
      .catch((err: unknown) => this.#deps.onFailure(err))
  }

  /** Runs fn when the changes to the manager before it are done. */
  async #inTurn<T>(fn: () => Promise<T>): Promise<T> {
    const result = this.#roleChange.then(fn)
    this.#roleChange = result.then(
      () => {},
      () => {},
    )
    return await result
  }

  /** Brings the manager into line with the certificate. */
  async #applyRole(): Promise<void> {
    const { identity, log } = this.#deps
    const { role } = identity.certificate()
    if (role === 'manager' && this.#manager === undefined && !this.#controller.signal.aborted) {
      await this.#startManager()
    }
    if (role === 'worker' && this.#manager !== undefined) {
      log.info({}, 'this node is a manager no more')
      await this.#stopManager()
      await rm(this.#paths.raft, { recursive: true, force: true })
      const { raftId: _, ...rest } = this.#state
      this.#save({ ...rest, peers: [], moved: [], lostRaftIds: [] })
    }
  }

  async #startManager(): Promise<void> {
    const { identity, random, log, startManager } = this.#deps
    const raftId = this.#state.raftId ?? newId(random)
    this.#save({ ...this.#state, raftId })
    log.info({ raftId }, 'this node is a manager')
    const onMoved: StartManager['onMoved'] = (moved) => this.keepMoved(moved)
    const manager = await startManager({ state: this.#state, raftId, onMoved })
    if (this.#state.recovery !== undefined) {
      const { recovery: _, ...rest } = this.#state
      this.#save({ ...rest, managers: [itself(identity.certificate().nodeId, rest)] })
    }
    this.#manager = manager
    this.#watchManager(manager)
  }

  async #stopManager(): Promise<void> {
    const manager = this.#manager
    this.#manager = undefined
    await manager?.stop()
  }

  async #recover(isForced: boolean, place: Place): Promise<SwarmRecovery> {
    const { random, log, onFailure } = this.#deps
    const manager = this.#manager
    if (manager === undefined) {
      throw new SwarmError(
        'NOT_A_MANAGER',
        'this node is not a swarm manager: the swarm can only be recovered from a manager, which has its state',
      )
    }
    const standing = await manager.standing()
    if (standing.isAlone) return recoveryReport(standing, undefined)
    const refusal = recoveryRefusal(standing, isForced)
    if (refusal !== undefined) throw refusal
    const lostRaftIds = [...new Set([...this.#state.lostRaftIds, ...standing.others])]
    const recovery = { id: newId(random) }
    log.warn({ ...recovery, lostRaftIds }, 'this manager is made the only one')
    // From here on there is no way back: a daemon that dies goes on with it.
    const isSame = place.advertiseHost === this.#state.advertiseHost
    const advertiseHome = isSame ? this.#state.advertiseHome : undefined
    const forgotten = { peers: [], moved: [] }
    this.#save({ ...this.#state, ...place, advertiseHome, ...forgotten, lostRaftIds, recovery })
    try {
      await this.#stopManager()
      await this.#startManager()
    } catch (err) {
      onFailure(err)
      throw err
    }
    return recoveryReport(standing, this.#manager?.recovered)
  }

  async #move(next: Advertised): Promise<void> {
    const { onFailure } = this.#deps
    const isRebound = next.listenAddress !== this.#state.listenAddress
    this.#save({ ...this.#state, ...next })
    this.#moves += 1
    try {
      if (!isRebound) this.#manager?.readdress(this.#state)
      else if (this.#manager !== undefined) {
        await this.#stopManager()
        await this.#startManager()
      }
    } catch (err) {
      onFailure(err)
    }
    for (const listener of [...this.#onMove]) listener()
  }

  #watchManager(manager: ManagerPart): void {
    manager.closed.catch((err: unknown) => {
      if (this.#manager !== manager) return
      if (this.#isRepairable(err)) {
        this.#repair(manager, err)
        return
      }
      this.#deps.onFailure(
        new SwarmError('INTERNAL', 'the manager of this node ended by itself', { cause: err }),
      )
    })
  }

  /** Opening the log again repairs it, when there are others to repair it from. */
  #isRepairable(err: unknown): boolean {
    const isDamage = err instanceof SwarmError && err.code === 'DATA_LOSS'
    return isDamage && this.#repairs < repairsMax && this.#state.peers.length > 1
  }

  #repair(manager: ManagerPart, err: unknown): void {
    const { log, onFailure } = this.#deps
    this.#repairs += 1
    log.error({ err }, 'the manager met damaged data: starting it anew')
    this.#manager = undefined
    this.#roleChange = this.#roleChange
      .then(() => manager.stop())
      .catch((stopErr: unknown) => log.warn({ err: stopErr }, 'the damaged manager is stopped'))
      .then(() => this.#applyRole())
      .catch(onFailure)
  }
}
