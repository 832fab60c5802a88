// A simulated cluster: its members, what is between them, and the oracle that watches.
import type { RaftTuning } from '../core/config.ts'
import type { Index, NodeId, Term } from '../core/types.ts'
import type { SnapshotPolicy } from '../driver/snapshot-maker.ts'
import { Ambush } from './ambush.ts'
import { CoverageCounts, type CoverageName } from './coverage.ts'
import { Oracle } from './oracle.ts'
import { Member, type MemberSurroundings } from './sim-member.ts'
import { VirtualNetwork } from './virtual-network.ts'
import { World } from './world.ts'

export interface ClusterOptions {
  readonly seed: number
  readonly nodes: number
  readonly tuning: Partial<RaftTuning>
  readonly snapshotPolicy: SnapshotPolicy
  /** A planted bug: flushes of logs do nothing. */
  readonly skipsFlush: boolean
  /** Gets a line for everything that happens. */
  readonly onTrace: ((line: string) => void) | undefined
}

export class SimCluster {
  readonly world: World
  readonly network: VirtualNetwork
  readonly oracle = new Oracle((name) => this.count(name))
  readonly coverage = new CoverageCounts()
  readonly members = new Map<NodeId, Member>()
  readonly ambush = new Ambush<Member>()
  /** Of members that should rather lead, or rather not. */
  readonly priorities = new Map<NodeId, number>()
  /** The smallest number of voters that was ever proposed. */
  fewestVoters: number
  readonly #options: ClusterOptions
  readonly #around: MemberSurroundings
  #named: number

  constructor(options: ClusterOptions) {
    this.#options = options
    this.fewestVoters = options.nodes
    this.world = new World(options.seed)
    this.network = new VirtualNetwork(this.world)
    const { world, network, oracle } = this
    this.#around = {
      world,
      network,
      oracle,
      tuning: options.tuning,
      snapshotPolicy: options.snapshotPolicy,
      skipsFlush: options.skipsFlush,
      count: (name) => this.count(name),
      isDurableAt: (id, index, term) => this.#isDurableAt(id, index, term),
      priorityOf: (id) => this.priorities.get(id) ?? 0,
      trace: (text) => this.trace(text),
      onAppend: (member, term) => this.ambush.met(member, term),
    }
    const founders = Array.from({ length: options.nodes }, (_, i) => `n${i + 1}`)
    this.#named = options.nodes
    for (const id of founders) this.#add(id, founders)
  }

  trace(text: () => string): void {
    this.#options.onTrace?.(`${this.world.nowMs.toFixed(2).padStart(9)} ${text()}`)
  }

  count(name: CoverageName): void {
    this.coverage.count(name)
  }

  /** An id that nobody had yet. */
  nextId(): NodeId {
    return `n${this.#named + 1}`
  }

  /** A new member with an empty disk, which somebody must add to the configuration. */
  join(id: NodeId): void {
    this.#named = Math.max(this.#named, Number(id.slice(1)))
    this.#add(id, [])
  }

  /** Takes a member away for good, with its disk and all that is under way from it. */
  remove(id: NodeId): void {
    this.members.get(id)?.lose()
    this.members.delete(id)
    this.network.dropUnderWay(id)
  }

  /** Whether the newest configuration that was applied names it. */
  isConfigured(id: NodeId): boolean {
    const { conf } = this.oracle
    if (conf === undefined) return false
    return [conf.voters, conf.outgoing, conf.learners, conf.learnersNext].some((ids) =>
      ids.includes(id),
    )
  }

  /** Who leads in the highest term, as far as is known outside. */
  leader(): Member | undefined {
    let found: Member | undefined
    let highest = -1
    for (const member of this.members.values()) {
      const { view } = member
      if (view?.role !== 'leader' || view.term <= highest) continue
      found = member
      highest = view.term
    }
    return found
  }

  #add(id: NodeId, founders: readonly NodeId[]): void {
    const member = new Member(id, founders, this.#around)
    this.members.set(id, member)
    member.start()
  }

  #isDurableAt(id: NodeId, index: Index, term: Term): boolean {
    const member = this.members.get(id)
    if (member === undefined || member.disk.hasRotted) return true
    return index < member.durableFirstIndex || member.durableTermAt(index) === term
  }
}
