// The daemon of a host: its engine, its local socket, and its node while it is part of a swarm.
import { rm } from 'node:fs/promises'
import type { Listener } from '../../manager/rpc/server.ts'
import { listenLocal } from '../../manager/rpc/server.ts'
import { SwarmError } from '../../proto/errors.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import type { Logger } from '../../proto/lib/log.ts'
import type { Random } from '../../proto/lib/random.ts'
import { IdentityStore } from '../../worker/identity/identity-store.ts'
import type { DaemonConfig } from './config.ts'
import { createDaemonHandlers } from './daemon-handlers.ts'
import type { Engine } from './engine.ts'
import { type DaemonPaths, daemonPaths } from './host-paths.ts'
import type { LiveSettings } from './live-settings.ts'
import { localServices } from './local-api.ts'
import type { ManagerPart } from './manager-part.ts'
import type { Founding } from './membership.ts'
import { type NodeDeps, NodeRuntime } from './node-runtime.ts'
import { readSwarmState, type SwarmState, writeSwarmState } from './swarm-state.ts'

export interface StartManager {
  readonly identity: IdentityStore
  readonly state: SwarmState
  readonly raftId: string
  /** Set for the first manager of a new cluster. */
  readonly founding: Founding | undefined
  /** What is to be kept of where the other managers are. */
  readonly onMoved: (moved: SwarmState['moved']) => void
}

export interface DaemonDeps {
  readonly config: DaemonConfig
  /** As SIGHUP leaves them. */
  readonly live: LiveSettings
  readonly engine: Engine
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** Group that may use the socket. */
  readonly groupId: number
  readonly startManager: (start: StartManager) => Promise<ManagerPart>
  /** A part failed for good: the process must end. */
  readonly onFailure: (err: unknown) => void
}

/** What entering and leaving a swarm does; one at a time. */
export interface SwarmControl {
  node(): NodeRuntime | undefined
  nodeId(): string
  /** Begins the node of a new or joined membership; the state on disk is the commit point. */
  enter(identity: IdentityStore, state: SwarmState, founding?: Founding): Promise<NodeRuntime>
  leave(): Promise<void>
  /** Runs fn while no other change of membership runs. Errors: FAILED_PRECONDITION. */
  exclusively<T>(fn: () => Promise<T>): Promise<T>
}

export class Daemon implements SwarmControl {
  readonly #deps: DaemonDeps
  readonly #paths: DaemonPaths
  #identity: IdentityStore | undefined
  #node: NodeRuntime | undefined
  #listener: Listener | undefined
  #changing = false
  /** From the start of the process until the membership found on disk is resumed. */
  #resuming = false

  constructor(deps: DaemonDeps) {
    this.#deps = deps
    this.#paths = daemonPaths(deps.config)
  }

  /** Serves the local socket and resumes the membership found on disk. */
  async start(): Promise<void> {
    const { config, groupId } = this.#deps
    const state = readSwarmState(this.#paths.swarmState)
    const identity = IdentityStore.open(this.#paths.certificates)
    this.#resuming = state !== undefined && identity?.certificate().role === 'manager'
    this.#listener = await listenLocal(
      config.socket,
      groupId,
      localServices({
        nodeId: () => this.nodeId(),
        manager: () => this.#node?.manager(),
        isInSwarm: () => this.#node !== undefined,
        isStarting: () => this.#isStarting(),
        daemon: createDaemonHandlers({ ...this.#deps, paths: this.#paths, swarm: this }),
      }),
    )
    if (state === undefined || identity === undefined) {
      // What an init or join left behind that was never committed.
      await rm(this.#paths.swarm, { recursive: true, force: true })
      return
    }
    await this.exclusively(() => this.enter(identity, state))
    this.#resuming = false
  }

  /** Ends in order; containers and their traffic go on. */
  async stop(): Promise<void> {
    this.#listener?.close()
    await this.#node?.stop()
  }

  node(): NodeRuntime | undefined {
    return this.#node
  }

  nodeId(): string {
    return this.#identity?.certificate().nodeId ?? ''
  }

  async enter(
    identity: IdentityStore,
    state: SwarmState,
    founding?: Founding,
  ): Promise<NodeRuntime> {
    const { startManager } = this.#deps
    this.#identity = identity
    const nodeDeps: NodeDeps = {
      ...this.#deps,
      identity,
      startManager: (start) => startManager({ ...start, identity, founding: undefined }),
    }
    const onMoved: StartManager['onMoved'] = (moved) => this.#node?.keepMoved(moved)
    try {
      const raftId = state.raftId ?? ''
      const first =
        founding === undefined
          ? undefined
          : await startManager({ identity, state, raftId, founding, onMoved })
      writeSwarmState(this.#paths.swarmState, state)
      this.#node = new NodeRuntime(nodeDeps, state, first)
      await this.#node.start()
      return this.#node
    } catch (err) {
      if (founding !== undefined) await this.#abandon()
      throw err
    }
  }

  async leave(): Promise<void> {
    const node = this.#node
    this.#node = undefined
    await node?.leave()
    this.#identity = undefined
  }

  async exclusively<T>(fn: () => Promise<T>): Promise<T> {
    if (this.#changing) {
      throw new SwarmError(
        'FAILED_PRECONDITION',
        'this node is entering or leaving a swarm right now: wait for that and try again',
      )
    }
    this.#changing = true
    try {
      return await fn()
    } finally {
      this.#changing = false
    }
  }

  #isStarting(): boolean {
    if (this.#resuming) return true
    return (
      this.#node !== undefined &&
      this.#node.manager() === undefined &&
      this.#identity?.certificate().role === 'manager'
    )
  }

  async #abandon(): Promise<void> {
    const node = this.#node
    this.#node = undefined
    this.#identity = undefined
    await node?.stop()
    await rm(this.#paths.swarm, { recursive: true, force: true })
  }
}
