// A cluster of member processes on hosts of their own, with one host to spare: starting, leaders, membership.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRootCa } from '../../manager/ca/root-ca.ts'
import type {
  Leadership,
  MemberStep,
  Members,
  RaftCredentials,
  RaftPeer,
} from '../../manager/raft/raft-handle.ts'
import { systemClock, wait } from '../../proto/lib/clock.ts'
import { managerCredentials } from '../support/raft-members.ts'
import { untilSeen } from '../support/until.ts'
import { Host } from './host.ts'
import { HostNetwork } from './network.ts'
import type { StateAnswer } from './orders.ts'
import { compileSlowDisk } from './slow-disk.ts'

const weekMs = 7 * 24 * 3_600_000
const pollMs = 50
const changeDeadlineMs = 120_000
/** Written to confirm that a membership is committed; no part of any history. */
const confirmingKey = 'confirming'

export interface ClusterOptions {
  readonly voters: number
  /** A snapshot is taken when the log grew by so much. */
  readonly snapshotLogBytes?: number
  /** Wrong on purpose; see MemberConfig. */
  readonly readsLocally?: boolean
}

export class Cluster {
  readonly hosts: readonly Host[]
  readonly network: HostNetwork
  /** Who led in which term, as the members said. */
  readonly leaders = new Map<number, string>()
  /** What must not happen and did: two leaders of a term, a member that ended by itself. */
  failure: string | undefined
  readonly #directory: string

  private constructor(network: HostNetwork, directory: string, hosts: readonly Host[]) {
    this.network = network
    this.#directory = directory
    this.hosts = hosts
  }

  /** Nothing runs yet. Needs root, nft, cc and libfaketime. */
  static async create(options: ClusterOptions): Promise<Cluster> {
    const directory = mkdtempSync(join(tmpdir(), 'tsswarm-linearizability-'))
    const network = await HostNetwork.create(options.voters + 1).catch((err) => {
      rmSync(directory, { recursive: true, force: true })
      throw err
    })
    try {
      const slowDiskLibrary = await compileSlowDisk(directory)
      const hosts = Array.from({ length: options.voters + 1 }, (_, number): Host => {
        return new Host({
          number,
          directory,
          network,
          slowDiskLibrary,
          snapshotLogBytes: options.snapshotLogBytes ?? 128 * 1024,
          readsLocally: options.readsLocally ?? false,
          credentials,
          peers: () => cluster.peers,
          onLeadership: (id, leadership) => cluster.#leads(id, leadership),
          onFailed: (reason) => cluster.#fail(reason),
        })
      })
      // Valid long before and after now: clocks will jump.
      const nowMs = Date.now() - weekMs
      const root = await createRootCa(nowMs)
      const known = new Map<string, Promise<RaftCredentials>>()
      function credentials(nodeId: string): Promise<RaftCredentials> {
        const made = known.get(nodeId) ?? managerCredentials(root, nodeId, 2 * weekMs, nowMs)
        known.set(nodeId, made)
        return made
      }
      const cluster: Cluster = new Cluster(network, directory, hosts)
      return cluster
    } catch (err) {
      await network.dispose()
      rmSync(directory, { recursive: true, force: true })
      throw err
    }
  }

  /** Starts all hosts but the spare one; the first founds the cluster, the others become voters. */
  async found(): Promise<void> {
    const members = this.hosts.slice(0, -1)
    const ids = members.map((host) => host.assign())
    await Promise.all(members.map((host, number) => host.start(number === 0)))
    const [founder, ...others] = ids
    for (const id of others) {
      await this.#change([{ kind: 'add-learner', id }], (now) => isMember(now, id))
      await this.#change([{ kind: 'add-voter', id }], ({ voters }) => voters.includes(id))
    }
    await this.until('a leader', async () => this.leader()?.id !== undefined)
    if (founder === undefined) throw new RangeError('a cluster has at least one voter')
  }

  /** The members, and one that is about to come or to go. */
  get peers(): readonly RaftPeer[] {
    return this.hosts.flatMap(({ peer }) => (peer === undefined ? [] : [peer]))
  }

  /** Hosts on which a member lives, running or not. */
  get members(): readonly Host[] {
    return this.hosts.filter(({ id }) => id !== undefined)
  }

  hostOf(id: string | undefined): Host | undefined {
    return id === undefined ? undefined : this.hosts.find((host) => host.id === id)
  }

  /** The member that last said that it leads, in the highest term; it may be away. */
  leader(): Host | undefined {
    const terms = [...this.leaders.keys()]
    return terms.length === 0 ? undefined : this.hostOf(this.leaders.get(Math.max(...terms)))
  }

  /** The member that says now that it leads. Throws without one in time. */
  async leading(withinMs = 30_000): Promise<{ readonly host: Host; readonly state: StateAnswer }> {
    return await untilSeen(
      'a member that leads',
      async () => {
        const states = await Promise.all(
          this.members.map(async (host) => {
            const state = await host.state().catch(() => undefined)
            return state === undefined ? [] : [{ host, state }]
          }),
        )
        const leading = states.flat().filter(({ state }) => state.leadership.role === 'leader')
        leading.sort((a, b) => b.state.leadership.term - a.state.leadership.term)
        return leading[0]
      },
      withinMs,
    )
  }

  /**
   * A new member on the spare host takes the place of the one on `old`, whose host is the spare one then. Goes on through
   * faults. `joint`: in one change by joint consensus, otherwise the old one leaves first.
   */
  async replace(old: Host, isJoint: boolean): Promise<void> {
    const spare = this.hosts.find((host) => host.id === undefined)
    const oldId = old.id
    if (spare === undefined || oldId === undefined) throw new Error('a replacement is under way')
    const id = spare.assign()
    this.#tellPeers()
    await spare.start()
    const hasLeft = (now: Members): boolean => !isMember(now, oldId)
    const isVoter = ({ voters }: Members): boolean => voters.includes(id)
    if (!isJoint) await this.#change([{ kind: 'remove', id: oldId }], hasLeft)
    await this.#change([{ kind: 'add-learner', id }], (now) => isMember(now, id))
    if (isJoint) {
      const steps = [
        { kind: 'add-voter', id },
        { kind: 'remove', id: oldId },
      ] as const
      await this.#change(steps, (now) => isVoter(now) && hasLeft(now))
    } else {
      await this.#change([{ kind: 'add-voter', id }], isVoter)
    }
    await old.retire()
    this.#tellPeers()
  }

  /** Waits until all members have applied the same and hold the same state. Throws after `withinMs`, and says who lags. */
  async agreement(withinMs = 60_000): Promise<void> {
    let seen: readonly string[] = []
    const agree = async (): Promise<boolean> => {
      const states = await Promise.all(this.members.map((host) => host.state(5000)))
      seen = states.map(({ index, digest, leadership: { role, term } }, at) => {
        return `${this.members[at]?.id} ${role} term ${term} index ${index} ${digest.slice(0, 8)}`
      })
      const [first] = states
      return states.every(({ index, digest }) => index === first?.index && digest === first.digest)
    }
    await this.until('all members hold the same state', agree, withinMs).catch((err) => {
      throw new Error(`${err.message}; seen last: ${seen.join(', ')}`, { cause: err })
    })
  }

  /** Asks again and again; what throws does not hold yet. Throws after `withinMs`, or when the cluster has failed. */
  async until(what: string, holds: () => Promise<boolean>, withinMs = 30_000): Promise<void> {
    const endsAtMs = performance.now() + withinMs
    let last: unknown
    while (performance.now() < endsAtMs) {
      if (this.failure !== undefined) throw new Error(this.failure)
      try {
        if (await holds()) return
      } catch (err) {
        last = err
      }
      await wait(systemClock, pollMs)
    }
    throw new Error(`not within ${withinMs} ms: ${what}`, { cause: last })
  }

  async end(): Promise<void> {
    await Promise.all(this.hosts.map((host) => host.end()))
    await this.network.dispose()
    rmSync(this.#directory, { recursive: true, force: true })
  }

  /** Asks until the membership holds and is committed: an outcome may be unknown, a leader lost. */
  async #change(steps: readonly MemberStep[], holds: (members: Members) => boolean): Promise<void> {
    const what = steps.map(({ kind, id }) => `${kind} ${id}`).join(', ')
    await this.until(what, () => this.#tryChange(steps, holds), changeDeadlineMs)
  }

  async #tryChange(
    steps: readonly MemberStep[],
    holds: (members: Members) => boolean,
  ): Promise<boolean> {
    const { host, state } = await this.leading(5000)
    const { members, leadership } = state
    if (!holds(members) || members.outgoing.length > 0) {
      await host.order({ kind: 'change', steps })
      return false
    }
    // What comes behind it in the same term is committed, and so it is committed too.
    const call = { kind: 'write', value: leadership.term } as const
    const confirmed = await host.call(
      { kind: 'call', object: 'register', key: confirmingKey, call },
      5000,
    )
    const after = (await host.state()).leadership
    return confirmed.kind === 'ok' && after.role === 'leader' && after.term === leadership.term
  }

  #tellPeers(): void {
    for (const host of this.hosts) host.tellPeers()
  }

  #leads(id: string, { role, term }: Leadership): void {
    if (role !== 'leader') return
    const other = this.leaders.get(term)
    if (other !== undefined && other !== id) {
      this.#fail(`two leaders in term ${term}: ${other} and ${id}`)
    }
    this.leaders.set(term, id)
  }

  #fail(reason: string): void {
    this.failure ??= reason
  }
}

function isMember({ voters, learners }: Members, id: string): boolean {
  return voters.includes(id) || learners.includes(id)
}
