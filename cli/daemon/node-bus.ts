// A node's ear on the bus: its connection, and what it hears of overlay networks.
import { BusClient, type BusServer, type BusStatus } from '../../proto/bus/bus-client.ts'
import { splitAddress } from '../../proto/bus/host-port.ts'
import { busPorts } from '../../proto/bus/ports.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import type { NamedLoop } from '../../proto/lib/lifecycle.ts'
import type { Logger } from '../../proto/lib/log.ts'
import type { Random } from '../../proto/lib/random.ts'
import type { IdentitySource, NetworkId, NodeId, Stamp } from '../../proto/objects/index.ts'
import {
  OverlayFeed,
  type OverlayKnowledge,
  type OverlayTransport,
} from '../../worker/overlay-feed.ts'
import type { ManagerAddress } from '../../worker/state-records.ts'

export interface NodeBusDeps {
  readonly identity: IdentitySource
  readonly nodeId: NodeId
  readonly managers: () => readonly ManagerAddress[]
  /** host:port under which this very host reaches a manager's control API. */
  readonly dial: (manager: ManagerAddress) => string
  readonly sessionManager: () => ManagerAddress | undefined
  readonly transport: OverlayTransport
  /** Told what is known, once it is known which networks all nodes hold. */
  readonly follow: (now: OverlayKnowledge) => void
  /** Told up to when a network is known to be as it was told. */
  readonly confirm: (id: NetworkId, at: Stamp, until: Stamp) => void
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

export class NodeBus {
  readonly loops: readonly NamedLoop[]
  readonly #deps: NodeBusDeps
  readonly #client: BusClient
  readonly #overlay: OverlayFeed
  #followed: OverlayKnowledge | undefined
  #ofTasks: ReadonlySet<NetworkId> | undefined
  #ofAll: ReadonlySet<NetworkId> | undefined

  constructor(deps: NodeBusDeps) {
    this.#deps = deps
    this.#client = new BusClient({
      ...deps,
      servers: () => deps.managers().flatMap((manager) => serverOf(manager, deps.dial(manager))),
    })
    this.#overlay = new OverlayFeed({
      ...deps,
      bus: this.#client,
      onKnowledge: (now) => this.#follow(now),
      onConfirmed: deps.confirm,
    })
    this.loops = [
      { name: 'bus connection', run: this.#client.run },
      { name: 'overlay feed', run: this.#overlay.run },
    ]
  }

  status(): BusStatus {
    return this.#client.status()
  }

  /** A session with a manager began. */
  renew(): void {
    this.#overlay.renew()
  }

  /** The networks that this node's tasks are on. */
  holdForTasks(networks: ReadonlySet<NetworkId>): void {
    this.#ofTasks = networks
    this.#hold()
  }

  /** The networks that every node holds. */
  holdAnyway(networks: ReadonlySet<NetworkId>): void {
    this.#ofAll = networks
    this.#hold()
  }

  /** Until both are known the kernel keeps what it has: it may be of an earlier life of this daemon. */
  #hold(): void {
    if (this.#ofTasks === undefined || this.#ofAll === undefined) return
    this.#overlay.hold([...this.#ofTasks, ...this.#ofAll])
    // All that is held may have been known before.
    this.#follow(this.#overlay.known)
  }

  #follow(now: OverlayKnowledge): void {
    if (this.#ofTasks === undefined || this.#ofAll === undefined || now === this.#followed) return
    this.#followed = now
    this.#deps.follow(now)
  }
}

function serverOf({ nodeId: id }: ManagerAddress, address: string): readonly BusServer[] {
  const at = splitAddress(address)
  const ports = at && busPorts(at.port)
  return at === undefined || ports === undefined
    ? []
    : [{ nodeId: id, host: at.host, port: ports.client }]
}
