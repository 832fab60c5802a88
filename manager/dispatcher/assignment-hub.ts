// One watch of the store for all sessions of this manager: tells each node's feed which of its tasks changed.
// A watch a session would cost every commit one look per agent.
import type { SessionConfig } from '../../proto/gen/tsswarm/v1/dispatcher.ts'
import type { Logger } from '../../proto/lib/log.ts'
import {
  isTerminal,
  type Node,
  type NodeId,
  type Task,
  type TaskAttachment,
  TaskState,
} from '../../proto/objects/index.ts'
import { type Change, type Commit, type Store, WatchLagged } from '../store/store.ts'
import { isAssigned, type NodeFeed } from './node-feed.ts'

const commitsWaitingMax = 4_096

export interface AssignmentHubDeps {
  readonly store: Store
  readonly log: Logger
  /** The node left the cluster: its session must end. */
  readonly onNodeRemoved: (id: NodeId) => void
}

type ClusterConfig = Omit<SessionConfig, 'heartbeatMs' | 'role'>

export class AssignmentHub {
  readonly #deps: AssignmentHubDeps
  readonly #feeds = new Map<NodeId, Set<NodeFeed>>()
  #markedIndex = 0
  #config: ClusterConfig | undefined

  constructor(deps: AssignmentHubDeps) {
    this.#deps = deps
  }

  /** Raft index up to which feeds have been told of changes. */
  get markedIndex(): number {
    return this.#markedIndex
  }

  add(feed: NodeFeed): void {
    const feeds = this.#feeds.get(feed.nodeId) ?? new Set()
    feeds.add(feed)
    this.#feeds.set(feed.nodeId, feeds)
  }

  remove(feed: NodeFeed): void {
    const feeds = this.#feeds.get(feed.nodeId)
    feeds?.delete(feed)
    if (feeds?.size === 0) this.#feeds.delete(feed.nodeId)
  }

  /** Every agent is to be told its configuration anew, if it is not what it was told. */
  markConfigs(): void {
    for (const feeds of this.#feeds.values()) for (const feed of feeds) feed.markConfig()
  }

  /** Managers, roots, epoch and ingress network as they are now; O(nodes) after a change of them, else O(1). */
  clusterConfig(): ClusterConfig {
    this.#config ??= this.#deps.store.view((tx) => {
      const managers: { nodeId: string; address: string }[] = []
      for (const { id, manager } of tx.all('nodes')) {
        if (manager !== undefined) managers.push({ nodeId: id, address: manager.address })
      }
      let [rootCaCertPem, clusterEpoch] = ['', 0]
      for (const cluster of tx.all('cluster')) {
        rootCaCertPem = cluster.rootCaCertPem
        clusterEpoch = cluster.epoch
      }
      let ingressNetworkId = ''
      for (const { id, spec } of tx.all('networks')) if (spec.isIngress) ingressNetworkId = id
      return { managers, rootCaCertPem, clusterEpoch, ingressNetworkId }
    })
    return this.#config
  }

  /** Watches until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const options = { signal, bufferMax: commitsWaitingMax }
      const commits = this.#deps.store.watch(
        { tasks: 'all', nodes: 'all', cluster: 'all', networks: 'all' },
        options,
      )
      // Subscribed and marked in one tick: no change falls in between.
      this.#markEverything()
      try {
        for await (const commit of commits) this.#note(commit)
      } catch (err) {
        if (!(err instanceof WatchLagged)) throw err
        this.#deps.log.warn({ err }, 'dispatcher lags behind the store: full sets follow')
      }
    }
  }

  #markEverything(): void {
    this.#config = undefined
    this.#markedIndex = this.#deps.store.appliedIndex
    for (const [id, feeds] of this.#feeds) {
      for (const feed of feeds) {
        feed.markAll()
        feed.markConfig()
      }
      if (this.#deps.store.view((tx) => tx.get('nodes', id)) === undefined) {
        this.#deps.onNodeRemoved(id)
      }
    }
  }

  #note(commit: Commit): void {
    for (const change of commit.changes) this.#noteChange(change, commit.index)
    this.#markedIndex = commit.index
  }

  #noteChange(change: Change, index: number): void {
    switch (change.table) {
      case 'tasks': {
        const { nodeId } = change.object
        if (nodeId === undefined) return
        const { id, state } = change.object
        const isOther = concernsAgent(change)
        for (const feed of this.#feeds.get(nodeId) ?? []) {
          if (isOther) feed.markTask(id, index)
          else if (state > TaskState.PREPARING) feed.markPulled(id, index)
        }
        return
      }
      case 'nodes':
        this.#noteNode(change)
        return
      case 'networks':
        if (!change.object.spec.isIngress) return
        this.#config = undefined
        this.markConfigs()
        return
      case 'cluster':
        this.#config = undefined
        this.markConfigs()
        return
      default:
        return
    }
  }

  #noteNode(change: Change<'nodes'>): void {
    const node = change.object
    const old = change.kind === 'update' ? change.old : undefined
    if (change.kind === 'remove') this.#deps.onNodeRemoved(node.id)
    if (managerAddress(old) !== managerAddress(node) || change.kind === 'remove') {
      if (node.manager === undefined && old?.manager === undefined) return
      this.#config = undefined
      this.markConfigs()
    } else if (old?.spec.role !== node.spec.role) {
      for (const feed of this.#feeds.get(node.id) ?? []) feed.markConfig()
    }
  }
}

function managerAddress(node: Node | undefined): string | undefined {
  return node?.manager?.address
}

/** An agent's own report coming back to it says nothing new. */
function concernsAgent(change: Change<'tasks'>): boolean {
  if (change.kind !== 'update') return true
  const { old, object } = change
  return (
    old.desiredState !== object.desiredState ||
    old.isDrained !== object.isDrained ||
    old.nodeId !== object.nodeId ||
    !isSameConnections(old, object) ||
    isAssigned(old) !== isAssigned(object) ||
    // Perhaps ended by the cluster: then the agent must hear of it.
    isTerminal(old.state) !== isTerminal(object.state)
  )
}

/** Addresses are given once, before a task has a node; only what it is connected to changes later. */
function isSameConnections({ attachments: old }: Task, { attachments: now }: Task): boolean {
  return old === now || (old.length === now.length && old.every((one, i) => isSame(one, now[i])))
}

function isSame(a: TaskAttachment, b: TaskAttachment | undefined): boolean {
  const isConnection = a.connection !== undefined || b?.connection !== undefined
  return a === b || (!isConnection && a.networkId === b?.networkId)
}
