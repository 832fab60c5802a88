// The agent of a node, composed: database, tasks, reports, session and logs. Not for identity and certificates
// (identity/) nor for how it reaches managers (session-grpc.ts).

import type { SessionConfig } from '../proto/gen/tsswarm/v1/dispatcher.ts'
import type { Clock } from '../proto/lib/clock.ts'
import { childController, type Loop, runAll } from '../proto/lib/lifecycle.ts'
import type { Logger } from '../proto/lib/log.ts'
import type { Random } from '../proto/lib/random.ts'
import { isSameValue } from '../proto/lib/same-value.ts'
import type {
  Assignments,
  AssignmentUpdate,
  NetworkId,
  NodeDescription,
  NodeId,
} from '../proto/objects/index.ts'
import { applyAssignmentUpdate } from './assignments.ts'
import type { HostFacts } from './container-config.ts'
import { type DiagnosisTransport, type NodeDiagnosis, serveDiagnosis } from './diagnosis-server.ts'
import type { Executor } from './executor/executor.ts'
import { type LogTransport, serveLogs } from './log-server.ts'
import { untilFollowed } from './overlay-follower.ts'
import { PayloadStore } from './payload-store.ts'
import {
  type OverlayProgress,
  runSessions,
  type SessionTransport,
  type UpdateOutcome,
} from './session.ts'
import { openStateDb, type StateDb } from './state-db.ts'
import type { StateFile } from './state-file.ts'
import type { ManagerAddress } from './state-records.ts'
import { StatusReporter } from './status-reporter.ts'
import type { ContainerStreams } from './streams/container-streams.ts'
import { type StreamsTransport, serveStreams } from './streams/stream-server.ts'
import { TaskManager } from './task-manager.ts'

export interface AgentDeps {
  readonly nodeId: NodeId
  readonly executor: Executor
  readonly transport: SessionTransport & LogTransport
  readonly stateFile: StateFile
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** What the host is like now; asked every 20 s, and after each change of which onDescription tells. */
  readonly describe: () => NodeDescription
  /** Calls the listener when describe has more to say than before; the result ends that. */
  readonly onDescription?: (listener: () => void) => () => void
  /** The networks of a task's container. */
  readonly network: HostFacts['network']
  /** Whether a container waits on its ports; absent: as if it did. */
  readonly isListening?: HostFacts['isListening']
  readonly networkProber?: HostFacts['networkProber']
  /** Whether programs can use SCTP on this node; absent: they can. */
  readonly hasSctp?: HostFacts['hasSctp']
  /** How far this node followed the overlay; absent: it has none. */
  readonly overlay?: OverlayProgress
  /** What managers may ask about the network of this node; absent: nothing. */
  readonly diagnosis?: { readonly transport: DiagnosisTransport; readonly node: NodeDiagnosis }
  /** What managers may do in the containers of this node; absent: nothing. */
  readonly streams?: { readonly transport: StreamsTransport; readonly containers: ContainerStreams }
  /** Address without port under which others reach this node now. */
  readonly advertiseAddress: () => string
  /** Where to begin when the database knows no managers. */
  readonly managers: readonly ManagerAddress[]
  /** Calls the listener when connections are to be made anew: another certificate, another address; the result ends that. */
  readonly onRenewal?: (listener: () => void) => () => void
  /** The networks that the tasks of this node are on; told at the start and after each change of assignments. */
  readonly onNetworks?: (networks: ReadonlySet<NetworkId>) => void
  /** A session with a manager began. */
  readonly onSession?: () => void
  /** What the cluster tells this node: its role, the managers, the roots. */
  readonly onConfig?: (config: SessionConfig) => void
  /** How many containers are made or started at once; default 4. */
  readonly startsMax?: number
}

/** A daemon that is stopped in order is expected back within this time; until then its tasks are left to it. */
const restartMs = 15_000

/** More than a cluster has, some of them out of date. */
const managersMax = 64

export interface AgentStatus {
  /** The manager it has a session with. */
  readonly manager: ManagerAddress | undefined
  /** Why the last attempt or session ended; undefined while one is open. */
  readonly failure: unknown
  readonly managers: readonly ManagerAddress[]
  /** Task statuses that no manager has confirmed yet. */
  readonly unconfirmed: number
}

export interface Agent {
  /** Until the signal aborts; containers live on. */
  readonly run: Loop
  status(): AgentStatus
  /** Managers to try besides those it knows, until a session says better. */
  learnManagers(managers: readonly ManagerAddress[]): void
  /** Stops and removes all task containers, while `run` is running. For leaving the cluster. */
  clear(signal: AbortSignal): Promise<void>
}

/** An agent that has adopted what runs on this host. Errors: RESOURCE_EXHAUSTED, INTERNAL (database), the executor's. */
export async function createAgent(deps: AgentDeps): Promise<Agent> {
  const db = await openStateDb(deps.stateFile, deps.log)
  const agent = new RunningAgent(deps, db)
  await agent.adopt()
  return agent
}

class RunningAgent implements Agent {
  readonly #deps: AgentDeps
  readonly #db: StateDb
  readonly #reporter: StatusReporter
  readonly #tasks: TaskManager
  readonly #payloads = new PayloadStore()
  #assignments: Assignments
  #managers: readonly ManagerAddress[]
  #manager: ManagerAddress | undefined
  #failure: unknown
  /** Ends what is served to the manager of the session beside it. */
  #endServing: () => void = () => {}
  readonly #leaving = childController().controller

  constructor(deps: AgentDeps, db: StateDb) {
    const { clock, random, log, executor, startsMax } = deps
    this.#deps = deps
    this.#db = db
    this.#reporter = new StatusReporter(clock)
    this.#assignments = db.restored.assignments
    this.#managers = db.restored.managers.length > 0 ? db.restored.managers : deps.managers
    const { hostname, platform } = deps.describe()
    const { nodeId, network, isListening, networkProber, hasSctp, overlay } = deps
    this.#tasks = new TaskManager({
      executor,
      db,
      reporter: this.#reporter,
      clock,
      random,
      log,
      host: {
        nodeId,
        hostname,
        os: platform.os,
        architecture: platform.architecture,
        network,
        ...(isListening && { isListening }),
        ...(networkProber && { networkProber }),
        ...(hasSctp && { hasSctp }),
        payloads: this.#payloads,
        ...(overlay && { untilFollowed: (signal) => untilFollowed(overlay, clock, signal) }),
      },
      ...(startsMax === undefined ? {} : { startsMax }),
    })
  }

  adopt(): Promise<void> {
    return this.#tasks.adopt()
  }

  readonly run: Loop = async (signal) => {
    this.#tellNetworks()
    await runAll(signal, [
      { name: 'tasks', run: (inner) => this.#tasks.run(inner) },
      { name: 'session', run: (inner) => this.#runSessions(inner) },
    ])
    await this.#db.close()
  }

  status(): AgentStatus {
    return {
      manager: this.#manager,
      failure: this.#failure,
      managers: this.#managers,
      unconfirmed: this.#reporter.openCount,
    }
  }

  learnManagers(managers: readonly ManagerAddress[]): void {
    const addresses = new Set(managers.map(({ address }) => address))
    const others = this.#managers.filter(({ address }) => !addresses.has(address))
    this.#setManagers([...managers, ...others].slice(0, managersMax))
  }

  async clear(signal: AbortSignal): Promise<void> {
    // Without a session nothing new is assigned.
    this.#leaving.abort()
    await this.#tasks.clear(signal)
  }

  async #runSessions(ending: AbortSignal): Promise<void> {
    const { controller, release } = childController(ending)
    const { signal } = controller
    const leave = (): void => controller.abort()
    this.#leaving.signal.addEventListener('abort', leave, { once: true })
    const { transport, clock, random, log, nodeId, advertiseAddress, describe } = this.#deps
    await runSessions(
      {
        transport,
        clock,
        random,
        log,
        nodeId,
        advertiseAddress,
        describe,
        ...(this.#deps.onDescription && { onDescription: this.#deps.onDescription }),
        ...(this.#deps.onRenewal && { onRenewal: this.#deps.onRenewal }),
        ...(this.#deps.overlay && { overlay: this.#deps.overlay }),
        graceMs: () => (this.#leaving.signal.aborted ? 0 : restartMs),
        reporter: this.#reporter,
        managers: () => this.#managers,
        applied: () => this.#assignments.stamp,
        onConfig: (config) => this.#configure(config),
        onUpdate: (update) => this.#update(update),
        onPayload: (payload) => this.#payloads.receive(payload),
        onSession: (manager) => this.#onSession(manager, signal),
        onFailure: (err) => {
          this.#failure = err
        },
      },
      signal,
    )
    this.#endServing()
    release()
  }

  #configure(config: SessionConfig): void {
    if (config.managers.length > 0) this.#setManagers(config.managers)
    this.#deps.onConfig?.(config)
  }

  #setManagers(managers: readonly ManagerAddress[]): void {
    if (isSameValue(managers, this.#managers)) return
    this.#managers = managers
    this.#db.saveManagers(managers).catch((err: unknown) => this.#notSaved(err))
  }

  async #update(update: AssignmentUpdate): Promise<UpdateOutcome> {
    // What comes while the session says goodbye is for whoever comes after.
    if (this.#leaving.signal.aborted) return 'ignored'
    const result = applyAssignmentUpdate(this.#assignments, update)
    if (result.kind !== 'applied') {
      const fields = { index: update.stamp.index, known: this.#assignments.stamp?.index }
      this.#deps.log.warn({ ...fields, result: result.kind }, 'assignments not applied')
      // A set that is too old: its manager cannot serve this node. An old increment merely came twice.
      return result.kind === 'stale' && update.kind === 'changes' ? 'ignored' : 'reopen'
    }
    this.#assignments = result.assignments
    // At once: what another session is sent from now on must not be taken for what this update does not name.
    this.#payloads.keepOnly(update.payloadIds ?? [])
    this.#tellNetworks()
    // On disk before it is acted upon: a restarted daemon knows every container it made.
    await this.#db.saveAssignments(result.assignments).catch((err: unknown) => this.#notSaved(err))
    if (this.#leaving.signal.aborted) return 'ignored'
    this.#tasks.apply(result.assignments, update.kind === 'set')
    return 'applied'
  }

  #tellNetworks(): void {
    const attachments = [...this.#assignments.tasks.values()].flatMap((task) => task.attachments)
    const held = attachments.filter(({ connection }) => connection?.phase !== 'failed')
    this.#deps.onNetworks?.(new Set(held.map((one) => one.networkId)))
  }

  #onSession(manager: ManagerAddress | undefined, signal: AbortSignal): void {
    this.#manager = manager
    this.#endServing()
    if (manager === undefined) return
    this.#failure = undefined
    this.#deps.onSession?.()
    const { controller, release } = childController(signal)
    this.#endServing = () => {
      controller.abort()
      release()
    }
    const { transport, clock, random, log, executor } = this.#deps
    const source = {
      hasContainer: (id: Parameters<TaskManager['hasContainer']>[0]) =>
        this.#tasks.hasContainer(id),
      containerReady: this.#tasks.containerReady.bind(this.#tasks),
      logs: executor.logs.bind(executor),
    }
    serveLogs({ transport, source, clock, random, log }, manager, controller.signal).catch(
      (err: unknown) => log.warn({ err }, 'log streams ended'),
    )
    const { diagnosis, streams } = this.#deps
    if (streams !== undefined) {
      serveStreams({ ...streams, clock, random, log }, manager, controller.signal).catch(
        (err: unknown) => log.warn({ err }, 'streams into containers ended'),
      )
    }
    if (diagnosis === undefined) return
    const asked = { transport: diagnosis.transport, diagnosis: diagnosis.node, clock, random, log }
    serveDiagnosis(asked, manager, controller.signal).catch((err: unknown) =>
      log.warn({ err }, 'diagnosis streams ended'),
    )
  }

  #notSaved(err: unknown): void {
    this.#deps.log.error({ err }, 'agent database not written')
  }
}
