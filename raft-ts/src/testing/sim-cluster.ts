// A simulated cluster: its members, what is between them, and the oracle that watches.
import type { RaftTuning } from '../core/config.ts'
import type { NodeId } from '../core/types.ts'
import type { PeerMessage } from '../driver/environment.ts'
import { Oracle } from './oracle.ts'
import type { SimRandom } from './random.ts'
import { Member, type MemberSurroundings, type PlantedBug } from './sim-member.ts'
import { VirtualNetwork } from './virtual-network.ts'
import { World } from './world.ts'

export interface ClusterOptions {
  readonly seed: number
  readonly nodes: number
  readonly tuning: Partial<RaftTuning>
  readonly bug: PlantedBug | undefined
  /** Gets a line for everything that happens. */
  readonly onTrace: ((line: string) => void) | undefined
}

export class SimCluster {
  readonly world: World
  readonly random: SimRandom
  readonly network: VirtualNetwork
  readonly oracle = new Oracle()
  readonly members = new Map<NodeId, Member>()
  /** The smallest number of voters that was ever proposed. */
  fewestVoters: number
  readonly #options: ClusterOptions
  readonly #around: MemberSurroundings
  #named = 0

  constructor(options: ClusterOptions) {
    this.#options = options
    this.fewestVoters = options.nodes
    this.world = new World(options.seed)
    this.random = this.world.random.fork()
    this.network = new VirtualNetwork(this.world)
    this.network.onSend = (message) => this.#sent(message)
    const { world, network, oracle } = this
    this.#around = {
      world,
      network,
      oracle,
      random: world.random.fork(),
      tuning: options.tuning,
      bug: options.bug,
      trace: (text) => this.trace(text),
    }
    const founders = Array.from({ length: options.nodes }, () => this.#nextId())
    for (const id of founders) this.#add(id, founders)
  }

  trace(text: () => string): void {
    this.#options.onTrace?.(`${this.world.nowMs.toFixed(2).padStart(9)} ${text()}`)
  }

  /** A new member with an empty disk, which somebody must add to the configuration. */
  join(): Member {
    return this.#add(this.#nextId(), [])
  }

  /** Takes away for good who is no longer in the committed configuration, by chance. */
  forgetRemoved(): void {
    const { conf } = this.oracle
    if (conf === undefined || conf.outgoing.length > 0) return
    for (const member of this.members.values()) {
      if (conf.voters.includes(member.id) || conf.learners.includes(member.id)) continue
      // One that is just being added is not in it yet.
      if (!this.oracle.wasMember(member.id) || this.random.chance(0.5)) continue
      member.crash()
      this.members.delete(member.id)
    }
  }

  /** Who leads in the highest term, as far as is known outside. */
  leader(): Member | undefined {
    let found: Member | undefined
    let highest = -1
    for (const member of this.members.values()) {
      const { leadership } = member
      if (leadership?.role !== 'leader' || leadership.term <= highest) continue
      found = member
      highest = leadership.term
    }
    return found
  }

  #nextId(): NodeId {
    this.#named += 1
    return `n${this.#named}`
  }

  #add(id: NodeId, founders: readonly NodeId[]): Member {
    const member = new Member(id, founders, this.#around)
    this.members.set(id, member)
    member.start()
    return member
  }

  #sent(message: PeerMessage): void {
    this.oracle.sent(message)
    if (message.kind !== 'append' && message.kind !== 'heartbeat') return
    const member = this.members.get(message.from)
    if (member !== undefined && !this.oracle.knowsLeader(message.term, member)) {
      this.#seenLeading(member)
    }
  }

  #seenLeading(member: Member): void {
    const status = member.status()
    if (status?.role !== 'leader') return
    const { id, life } = member
    const { term, firstIndex } = status
    this.oracle.leads({ id, life, term, firstIndex, termAt: (index) => member.termAt(index) })
  }
}
