// Holds what this node was told of overlay networks and writes to the kernel what changed since the last time. Everything
// else, and whatever fails here, is the full comparison's (mend.ts).

import type { Clock, Timer } from '../../proto/lib/clock.ts'
import type { Logger } from '../../proto/lib/log.ts'
import type { Stamp } from '../../proto/objects/assignment.ts'
import { bindsMeet } from '../../proto/objects/bind-address.ts'
import type { NodeCondition } from '../../proto/objects/node-condition.ts'
import type { NetworkView } from '../../proto/objects/overlay.ts'
import type { HostPort } from '../executor/network-attacher.ts'
import { compileOverlay } from './compile-overlay.ts'
import { halfOpen } from './flows.ts'
import { forgetFlows } from './forget-flows.ts'
import { chooseDoors, ingressPorts, loopbackPorts, portClaims } from './ingress-ports.ts'
import type { Journal } from './journal.ts'
import type { Kernel } from './kernel.ts'
import type { LineError } from './line-writer.ts'
import type { LoopbackPort } from './loopback-listener.ts'
import { addressesOf, type Endpoint, type PublishedPort } from './network-state.ts'
import { changeOverlay, itemId, type OverlayChange } from './overlay-change.ts'
import { type OverlayFile, openOverlayFile } from './overlay-file.ts'
import { heldViews, type OverlayState, ownPath } from './overlay-state.ts'
import type { Peer } from './peer-table.ts'
import type { CompiledOverlay } from './pieces.ts'
import { hostPlaces } from './port-elements.ts'
import { PortGuard } from './port-guard.ts'
import { isSameMtus, largestMtu, type PathMtus, peersOf, probedPaths } from './probed-peers.ts'

export interface OverlayKeeperOptions {
  readonly kernel: Kernel
  readonly dataPlaneFile: string
  /** Where the state outlives the daemon. */
  readonly file: string
  readonly vxlanPort: number
  /** Told what is wrong with published ports. */
  readonly onPortConditions: (conditions: readonly NodeCondition[]) => void
  readonly clock: Clock
  readonly log: Logger
}

/** `compare`: too much changed, or it is unknown what the kernel holds; a full comparison brings it there. */
export type FlushOutcome = 'done' | 'compare'

/** Who lives answers the first packet of a connection within this time. */
const answerMs = 250

export class OverlayKeeper {
  readonly #options: OverlayKeeperOptions
  readonly #file: OverlayFile
  readonly #guard: PortGuard
  #state: OverlayState | undefined
  #stamp: Stamp | undefined
  #doors: ReadonlyMap<string, string> = new Map()
  #mtus: PathMtus = new Map()
  /** What the kernel holds; undefined before the first comparison. */
  #applied: { readonly overlay: CompiledOverlay | undefined } | undefined
  #appliedPort = 0
  #compiled: CompiledOverlay | undefined
  /** Names of all that was compiled, once somebody asked: monitors ask for each line of a burst. */
  #needed: ReadonlySet<string> | undefined
  /** Networks that a container is just being attached to, by how many. */
  readonly #wanted = new Map<string, number>()
  readonly #waiting = new Set<() => void>()
  /** Addresses that connections were led to until a moment ago. */
  readonly #abandoned = new Set<string>()
  #forgetting: Timer | undefined
  #running: Promise<FlushOutcome> = Promise.resolve('done')
  #next: Promise<FlushOutcome> | undefined

  constructor(options: OverlayKeeperOptions) {
    this.#options = options
    this.#file = openOverlayFile(options.file, options.clock, (err) => {
      options.log.error({ err }, 'overlay state cannot be kept for a restart')
    })
    const { kernel, log, onPortConditions: onConditions } = options
    this.#guard = new PortGuard({ kernel, log, onConditions })
  }

  /** Reads what an earlier daemon was told. */
  load(): Stamp | undefined {
    const stored = this.#file.read()
    this.#state = stored?.state
    this.#stamp = stored?.stamp
    this.#guard.restore(stored?.held ?? [])
    return stored?.stamp
  }

  set(state: OverlayState, stamp: Stamp): void {
    this.#state = state
    this.#stamp = stamp
    this.#keep()
    for (const notify of this.#waiting) notify()
  }

  get state(): OverlayState | undefined {
    return this.#state
  }

  /** What paths were found to carry, for the next compilation. False: that was known. */
  setMtus(mtus: PathMtus): boolean {
    if (isSameMtus(mtus, this.#mtus)) return false
    this.#mtus = mtus
    return true
  }

  /** Whom this node sends packets of containers to, as they may be by what it holds now. */
  peers(endpoints: readonly Endpoint[]): readonly Peer[] {
    if (this.#state === undefined) return []
    const held = heldViews(this.#state, endpoints, new Set(this.#wanted.keys()))
    const mtuMax = largestMtu(held.map(({ network }) => network))
    return peersOf(probedPaths(this.#state, held), mtuMax)
  }

  /** UDP port of VXLAN: what the cluster tells, once it did. */
  get vxlanPort(): number {
    const own = this.#state === undefined ? undefined : ownPath(this.#state)
    return own?.dataPathPort ?? this.#options.vxlanPort
  }

  view(networkId: string): NetworkView | undefined {
    return this.#state?.views.find(({ network }) => network.id === networkId)
  }

  /** Resolves once the node was told of all these networks; rejects with the signal's reason. */
  async waitFor(networkIds: readonly string[], signal: AbortSignal): Promise<void> {
    await this.#until(() => networkIds.every((id) => this.view(id) !== undefined), signal)
  }

  /** Whether the mesh has one of these ports of the host. */
  meshes(asked: readonly HostPort[]): boolean {
    const mesh = this.ingressPorts()
    return asked.some((port) => mesh.some((held) => isSamePort(held, port)))
  }

  /** Resolves once the mesh has none of these ports, by what the node was told; rejects with the signal's reason. */
  async waitForPorts(asked: readonly HostPort[], signal: AbortSignal): Promise<void> {
    await this.#until(() => !this.meshes(asked), signal)
  }

  /** Looks again at each news of the cluster. */
  async #until(isKnown: () => boolean, signal: AbortSignal): Promise<void> {
    if (isKnown()) return
    await new Promise<void>((resolve, reject) => {
      const leave = (finish: () => void): void => {
        this.#waiting.delete(look)
        signal.removeEventListener('abort', giveUp)
        finish()
      }
      const look = (): void => {
        if (isKnown()) leave(resolve)
      }
      const giveUp = (): void => leave(() => reject(signal.reason))
      this.#waiting.add(look)
      signal.addEventListener('abort', giveUp, { once: true })
      if (signal.aborted) giveUp()
    })
  }

  /** Keeps networks in the kernel for a container that has no interface yet; answers with how to end that. */
  want(networkIds: readonly string[]): () => void {
    const count = (id: string, step: number): void => {
      const sum = (this.#wanted.get(id) ?? 0) + step
      if (sum === 0) this.#wanted.delete(id)
      else this.#wanted.set(id, sum)
    }
    for (const id of networkIds) count(id, 1)
    return () => {
      for (const id of networkIds) count(id, -1)
    }
  }

  /** Ports of the ingress network, as holders of ports of this host. */
  ingressPorts(): readonly PublishedPort[] {
    return ingressPorts(this.#state, this.#doors)
  }

  /** What of them and of these is to answer on ::1. */
  loopbackPorts(own: readonly PublishedPort[]): readonly LoopbackPort[] {
    const mesh = loopbackPorts(this.ingressPorts(), this.#guard.blocked)
    return [...loopbackPorts(own, new Set()), ...mesh]
  }

  /** Learns whose the published ports are, before compile, where that is not known. */
  async admitPorts(endpoints: readonly Endpoint[]): Promise<void> {
    const { blocked } = this.#guard
    await this.#guard.admit(portClaims(this.#state, endpoints))
    if (blocked !== this.#guard.blocked) this.#keep()
  }

  /** Looks at all published ports; answers whether the kernel must be brought to what was found. */
  async lookAtPorts(endpoints: readonly Endpoint[]): Promise<boolean> {
    const isChanged = await this.#guard.look(portClaims(this.#state, endpoints))
    if (isChanged) this.#keep()
    return isChanged
  }

  /** What the kernel shall hold for these interfaces and the present state. */
  compile(endpoints: readonly Endpoint[]): CompiledOverlay | undefined {
    if (this.#state === undefined) return undefined
    const ports = endpoints.flatMap((endpoint) => endpoint.ports)
    this.#doors = chooseDoors(this.#state, ports, this.#doors)
    const input = {
      overlay: this.#state,
      endpoints,
      wanted: new Set(this.#wanted.keys()),
      vxlanPort: this.vxlanPort,
      dataPlaneFile: this.#options.dataPlaneFile,
      doors: this.#doors,
      blocked: this.#guard.blocked,
      mtus: this.#mtus,
    }
    this.#compiled = compileOverlay(input, this.#applied?.overlay)
    this.#needed = undefined
    return this.#compiled
  }

  /** What was compiled last. */
  get compiled(): CompiledOverlay | undefined {
    return this.#compiled
  }

  /** Whether the data plane shall hold this (`route 10.1.0.5`, `element SET TEXT`) by what was compiled last. */
  needs(item: string): boolean {
    this.#needed ??= namesIn(this.#compiled)
    return this.#needed.has(item)
  }

  /** Whether the kernel is known to hold this. */
  holds(overlay: CompiledOverlay | undefined): boolean {
    const [known, asked] = [this.#applied?.overlay?.groups, overlay?.groups]
    if (known === undefined || asked === undefined || known.size !== asked.size) return false
    return [...asked].every(([name, group]) => known.get(name) === group)
  }

  /** A full comparison brought the kernel to this. */
  noteApplied(overlay: CompiledOverlay | undefined): void {
    this.#applied = { overlay }
    this.#appliedPort = this.vxlanPort
  }

  /** A full comparison could not bring the kernel to what it should be. */
  noteUnknown(): void {
    this.#applied = undefined
  }

  /** Writes what changed. Calls that come while one is at work share the next. The caller keeps comparisons away. */
  flush(journal: Journal): Promise<FlushOutcome> {
    if (this.#next !== undefined) return this.#next
    const next = this.#running
      .catch(() => 'compare' as const)
      .then(() => {
        this.#next = undefined
        return this.#write(journal)
      })
    this.#next = next
    this.#running = next
    return next
  }

  close(): void {
    this.#forgetting?.cancel()
    this.#file.close()
  }

  #keep(): void {
    const { held } = this.#guard
    const [state, stamp] = [this.#state, this.#stamp]
    if (state !== undefined && stamp !== undefined) this.#file.writeSoon({ state, stamp, held })
  }

  async #write(journal: Journal): Promise<FlushOutcome> {
    await this.admitPorts(journal.record?.endpoints ?? [])
    const applied = this.#applied
    if (applied === undefined) return 'compare'
    const endpoints = journal.record?.endpoints ?? []
    const overlay = this.compile(endpoints)
    if (transitOf(overlay) !== transitOf(applied.overlay)) return 'compare'
    // Rules beside the overlay's own name it.
    if (this.vxlanPort !== this.#appliedPort) return 'compare'
    const change = changeOverlay(applied.overlay, overlay, ownKeys(endpoints))
    if (change.isTooMuch || change.hostSysctls.size > 0) return 'compare'
    // Unknown until all is written: an exception leaves it to a comparison.
    this.#applied = undefined
    const errors = await writeChange(this.#options.kernel, change)
    if (errors.length > 0) {
      this.#options.log.warn({ errors }, 'overlay change failed')
      return 'compare'
    }
    this.#applied = { overlay }
    this.#forgetSoon(change.abandoned)
    return 'done'
  }

  /** Nobody waits for it, and what fails here ends by itself after two minutes. */
  #forgetSoon(addresses: readonly string[]): void {
    const { clock, kernel, log } = this.#options
    for (const address of addresses) this.#abandoned.add(address)
    if (this.#abandoned.size === 0) return
    this.#forgetting ??= clock.setTimer(answerMs, () => {
      const flows = [...this.#abandoned].map(halfOpen)
      this.#abandoned.clear()
      this.#forgetting = undefined
      forgetFlows(kernel, flows).catch((err: unknown) => {
        log.debug({ err }, 'connections that nobody answers are left')
      })
    })
  }
}

function isSamePort(held: PublishedPort, port: HostPort): boolean {
  return (
    held.protocol === port.protocol &&
    held.publishedPort === port.publishedPort &&
    bindsMeet(held.bindAddress ?? '', port.bindAddress ?? '')
  )
}

function namesIn(overlay: CompiledOverlay | undefined): ReadonlySet<string> {
  const names = new Set<string>()
  for (const { pieces } of overlay?.groups.values() ?? []) {
    for (const { items = [], elements = [] } of pieces.values()) {
      for (const item of items) names.add(itemId(item))
      for (const { set, element } of elements) names.add(`element ${set} ${element}`)
    }
  }
  return names
}

function transitOf(overlay: CompiledOverlay | undefined): string {
  return (overlay?.transit ?? []).join(' ')
}

/** Routes and ports of this node's own containers: made when they are attached, and gone when they are detached. */
function ownKeys(endpoints: readonly Endpoint[]): ReadonlySet<string> {
  const routes = endpoints.flatMap(addressesOf).map(([address]) => `route ${address}`)
  const places = endpoints.flatMap(({ ports }) => ports.flatMap(hostPlaces))
  return new Set([...routes, ...places.map(({ set, element }) => `element ${set} ${element}`)])
}

async function writeChange(kernel: Kernel, change: OverlayChange): Promise<readonly LineError[]> {
  kernel.devicesCome(change.newDevices)
  const errors = [
    ...(await kernel.ip('host', change.hostLines)),
    ...(await kernel.ip('dataPlane', change.lines)),
    ...(await writeSysctls(kernel, change.sysctls)),
    ...(await kernel.nft('dataPlane', change.tables.dataPlane)),
    ...(await kernel.nft('host', change.tables.host)),
  ]
  await kernel.ip('dataPlane', change.removals)
  await kernel.ip('host', change.hostRemovals)
  kernel.devicesWent(change.goneDevices)
  await forgetFlows(kernel, change.forgotten)
  await forgetFlowsOfPorts(kernel, change.openedUdpPorts)
  return errors
}

async function writeSysctls(
  kernel: Kernel,
  values: ReadonlyMap<string, string>,
): Promise<readonly LineError[]> {
  if (values.size === 0) return []
  const errors = await kernel.setSysctls('dataPlane', values)
  return errors.map((text) => ({ line: 'sysctl', text }))
}

/** A sender of UDP that never pauses would be kept from a port by the answer it got before the port was open. */
async function forgetFlowsOfPorts(kernel: Kernel, ports: readonly string[]): Promise<void> {
  if (ports.length === 0) return
  const script =
    'for p; do for f in ipv4 ipv6; do conntrack -D -f $f -p udp --orig-port-dst "$p"; done; done'
  await kernel.run('host', ['sh', '-c', script, 'sh', ...ports])
}
