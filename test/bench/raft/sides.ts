// The two that are compared: three members of ours, whose leader's main thread proposes, and three of etcd under the
// native load. Each runs a load for a while and says what came of it.

import { type Member, MemberProcesses } from '../../support/raft-members.ts'
import { EtcdCluster, processCpuMs } from '../etcd/etcd-cluster.ts'
import { EtcdLoad } from '../etcd/etcd-load.ts'
import { loadEtcd, loadOurs, type NodeClientResult } from './node-client.ts'

export interface CommitLoad {
  readonly proposers: number
  readonly entryBytes: number
  readonly warmUpMs: number
  readonly loadMs: number
}

export interface CommitResult {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Processor time that one commit costs the leader's process. */
  readonly leaderCpuMicros: number
  /** What was not committed, by outcome. */
  readonly others: Readonly<Record<string, number>>
}

export interface ClientLoad {
  readonly concurrency: number
  readonly entryBytes: number
  readonly ms: number
}

export interface Side {
  commits(load: CommitLoad): Promise<CommitResult>
  /** The same Node client on both. */
  throughNode(load: ClientLoad): Promise<NodeClientResult>
  end(): Promise<void>
}

/** Newest entries that a member's state machine keeps: a bounded state, as a manager's is. */
const itemsMax = 16_384

export class OurSide implements Side {
  readonly #cluster: MemberProcesses
  /** Of members that serve proposals over gRPC. */
  readonly #addresses = new Map<Member, string>()

  private constructor(cluster: MemberProcesses) {
    this.#cluster = cluster
  }

  static async start(): Promise<OurSide> {
    const cluster = await MemberProcesses.create(3, { itemsMax })
    try {
      await cluster.found()
    } catch (err) {
      await cluster.end()
      throw err
    }
    return new OurSide(cluster)
  }

  async commits({ proposers, entryBytes, warmUpMs, loadMs }: CommitLoad): Promise<CommitResult> {
    const leader = await this.#cluster.leader()
    await leader.load(proposers, warmUpMs, entryBytes)
    const result = await leader.load(proposers, loadMs, entryBytes)
    const { committed = 0, ...others } = result.outcomes
    return {
      perSecond: (committed * 1000) / result.ms,
      p50Ms: result.p50Ms,
      p99Ms: result.p99Ms,
      leaderCpuMicros: (result.cpuMs * 1000) / Math.max(1, committed),
      others,
    }
  }

  async throughNode({ concurrency, entryBytes, ms }: ClientLoad): Promise<NodeClientResult> {
    const leader = await this.#cluster.leader()
    const address = this.#addresses.get(leader) ?? (await leader.serve())
    this.#addresses.set(leader, address)
    return await loadOurs({ address, concurrency, valueBytes: entryBytes, ms })
  }

  async end(): Promise<void> {
    await this.#cluster.end()
  }
}

/** Connections that are tried for many clients; the best of them is used. */
const connectionChoices = [1, 4, 16] as const
const choiceMs = 1_000

export class EtcdSide implements Side {
  readonly #cluster: EtcdCluster
  readonly #load: EtcdLoad
  /** By proposers. */
  readonly #connections = new Map<number, number>()

  private constructor(cluster: EtcdCluster, load: EtcdLoad) {
    this.#cluster = cluster
    this.#load = load
  }

  static async start(): Promise<EtcdSide> {
    const load = await EtcdLoad.build()
    try {
      return new EtcdSide(await EtcdCluster.start(3), load)
    } catch (err) {
      load.end()
      throw err
    }
  }

  async commits(load: CommitLoad): Promise<CommitResult> {
    const connections = await this.connections(load)
    return await this.#measured(load, connections)
  }

  /** The number of connections that suits etcd best, looked for once. */
  async connections(load: CommitLoad): Promise<number> {
    const known = this.#connections.get(load.proposers)
    if (known !== undefined) return known
    let best = { connections: 1, perSecond: 0 }
    for (const connections of connectionChoices.filter((count) => count <= load.proposers)) {
      const { perSecond } = await this.#measured({ ...load, loadMs: choiceMs }, connections)
      if (perSecond > best.perSecond) best = { connections, perSecond }
    }
    this.#connections.set(load.proposers, best.connections)
    return best.connections
  }

  async throughNode({ concurrency, entryBytes, ms }: ClientLoad): Promise<NodeClientResult> {
    const { endpoint } = await this.#cluster.leader()
    return await loadEtcd({ address: endpoint, concurrency, valueBytes: entryBytes, ms })
  }

  async end(): Promise<void> {
    this.#load.end()
    await this.#cluster.end()
  }

  async #measured(load: CommitLoad, connections: number): Promise<CommitResult> {
    const { endpoint, pid } = await this.#cluster.leader()
    const before = processCpuMs(pid)
    const result = await this.#load.run({
      endpoint,
      connections,
      clients: load.proposers,
      valueBytes: load.entryBytes,
      warmUpMs: load.warmUpMs,
      loadMs: load.loadMs,
    })
    const cpuMs = processCpuMs(pid) - before
    return {
      perSecond: (result.committed * 1000) / result.ms,
      p50Ms: result.p50Ms,
      p99Ms: result.p99Ms,
      leaderCpuMicros: (cpuMs * 1000) / Math.max(1, result.committed + result.warmUp),
      others: result.others,
    }
  }
}
