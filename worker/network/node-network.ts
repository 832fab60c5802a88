// The network of one node: opens its record, brings the kernel to it and keeps it there, and attaches containers.
// This file only puts the pieces in order; each of them is small or pure.
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { SwarmError } from '../../proto/errors.ts'
import { invariant } from '../../proto/lib/assert.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import type { RunCommand } from '../../proto/lib/command.ts'
import type { Logger } from '../../proto/lib/log.ts'
import type { Random } from '../../proto/lib/random.ts'
import { SharedLock } from '../../proto/lib/shared-lock.ts'
import type { Stamp } from '../../proto/objects/assignment.ts'
import type { NodeCondition } from '../../proto/objects/index.ts'
import type {
  AttachRequest,
  ConnectRequest,
  NetworkAttacher,
  NetworkAttachment,
  RestoredAttachment,
} from '../executor/network-attacher.ts'
import type { NodeConditions } from '../node-conditions.ts'
import {
  type AttachmentDeps,
  attachContainer,
  detachContainer,
  readmit,
  requireRecord,
} from './attachment.ts'
import { chooseSubnet, requireUsableSubnet } from './choose-subnet.ts'
import { ComparisonBell } from './comparison-bell.ts'
import { connectContainer, disconnectContainer } from './connection.ts'
import { sizeConntrack } from './conntrack-size.ts'
import { enterNamespace, findNamespace } from './data-plane.ts'
import { DataPlaneWatcher, watchDataPlane } from './data-plane-watch.ts'
import { HealingRecord } from './healing-record.ts'
import { closeFirewall } from './host-firewall.ts'
import { isOverIpv6 } from './host-ports.ts'
import { isAlive, readOccupied } from './host-view.ts'
import { watchHost } from './host-watch.ts'
import { overlayNetworks } from './interface-plan.ts'
import { randomMac } from './ipv4.ts'
import { type Journal, openJournal } from './journal.ts'
import { createKernel, type Kernel } from './kernel.ts'
import { createLoopbackListener, type LoopbackListener } from './loopback-listener.ts'
import { audit, type MendDeps, type Mended, mend, mendPatiently } from './mend.ts'
import { NetworkDiagnosis } from './network-diagnosis.ts'
import { defaultVxlanPort, hostLink } from './network-state.ts'
import { OverlayKeeper } from './overlay-keeper.ts'
import type { OverlayState } from './overlay-state.ts'
import { PeerProber } from './peer-prober.ts'
import type { PeerReport } from './peer-table.ts'
import { mtusOf, peerConditions } from './probed-peers.ts'
import type { RunInside } from './run-inside.ts'
import { subnetClashes } from './subnet-clash.ts'
import { type News, waitForNetworks, waitForPorts } from './wait-for-news.ts'

export interface NodeNetworkOptions {
  /** Directory on a tmpfs, of this daemon alone. */
  readonly runDir: string
  /** `ADDRESS/PREFIX`; undefined: the first of a list that is free on this host. */
  readonly localSubnet?: string
  /** File of the host's network namespace; undefined: the one this process is in. */
  readonly hostNamespaceFile?: string
  /** UDP port of VXLAN until the cluster tells its own. Default: 4789. */
  readonly vxlanPort?: number
  /** Where to tell what does not work; absent: nobody hears it. */
  readonly conditions?: Pick<NodeConditions, 'set'>
  readonly run: RunCommand
  /** For what is run for each container, where a fork of this process would cost too much. Default: run. */
  readonly runOften?: RunCommand
  /** The same in the namespace of a container. Default: by runOften. */
  readonly runInside?: RunInside
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

export interface NodeNetwork extends NetworkAttacher {
  /**
   * Makes or adopts the data plane. Awaited before anything else.
   * Errors: FAILED_PRECONDITION, RESOURCE_EXHAUSTED (no free subnet), INVALID_ARGUMENT (subnet), UNAVAILABLE.
   */
  start(): Promise<void>
  /** Compares everything every 60 s and shortly after a foreign change, and mends it. Runs until the signal aborts. */
  run(signal: AbortSignal): Promise<void>
  /**
   * Brings the kernel to this state of the overlay networks. Resolves once the kernel holds it, or a later one: then
   * the stamp may be acknowledged. Calls in quick succession are written together.
   * Errors: UNAVAILABLE, with what could not be written; the next comparison tries again.
   */
  setOverlay(state: OverlayState, stamp: Stamp): Promise<void>
  /** Compares and mends now. */
  mend(): Promise<Mended>
  /** What differs from the desired state, one sentence each; changes nothing. */
  audit(): Promise<readonly string[]>
  /**
   * The nodes that this one sends packets of containers to, and whether they get there. Known while `run` runs, of a new
   * node after a second or two.
   */
  peers(): readonly PeerReport[]
  /** Of nodes that are up and have not answered for 10 s. */
  peerConditions(): readonly NodeCondition[]
  /** What managers may ask about it. */
  readonly diagnosis: NetworkDiagnosis
  /** The subnet of the local network. */
  subnet(): string
  /** Takes everything of ours off this host. Containers lose their network. Works without start. */
  purge(): Promise<void>
  /** Lets go of helpers; the network stays as it is. */
  close(): void
}

/** Before the cluster gives the node another one. Only the node's own containers ever see it. */
const standaloneTransit = '100.127.255.254'
/** How often it is looked who else waits on published ports. */
const portsMs = 2_000
/** Changes come in bursts; a reload of a firewall takes some hundred ms. */
const settleMs = 300
/** Of the data plane, where nobody reloads anything. */
const innerSettleMs = 100
/** Monitors report what we write ourselves within this time; so it is compared again after a mend. */
const echoMs = 250
/** After a comparison that failed. */
const againMs = 10_000

export function createNodeNetwork(options: NodeNetworkOptions): NodeNetwork {
  return new RoutedNetwork(options)
}

class RoutedNetwork implements NodeNetwork {
  readonly #options: NodeNetworkOptions
  readonly #dir: string
  readonly #dataPlaneFile: string
  readonly #kernel: Kernel
  readonly #lock = new SharedLock()
  readonly #overlay: OverlayKeeper
  readonly #loopback: LoopbackListener
  readonly #prober: PeerProber
  readonly diagnosis: NetworkDiagnosis
  #opened: Journal | undefined
  readonly #bell: ComparisonBell

  constructor(options: NodeNetworkOptions) {
    this.#options = options
    this.#bell = new ComparisonBell(options.clock)
    this.#dir = join(options.runDir, 'network')
    this.#dataPlaneFile = join(this.#dir, 'dataplane.netns')
    this.#kernel = createKernel({
      dataPlaneFile: this.#dataPlaneFile,
      hostNamespaceFile: options.hostNamespaceFile,
      run: options.run,
      runOften: options.runOften ?? options.run,
      ...(options.runInside !== undefined && { runInside: options.runInside }),
      clock: options.clock,
    })
    this.#overlay = new OverlayKeeper({
      kernel: this.#kernel,
      dataPlaneFile: this.#dataPlaneFile,
      file: join(this.#dir, 'overlay.json'),
      vxlanPort: options.vxlanPort ?? defaultVxlanPort,
      onPortConditions: (conditions) => options.conditions?.set('ports', conditions),
      clock: options.clock,
      log: options.log,
    })
    this.#loopback = createLoopbackListener(options.clock, options.log)
    const { clock, random, log } = options
    this.#prober = new PeerProber({
      ...{ dataPlaneFile: this.#dataPlaneFile, clock, random, log },
      onChange: () => this.#followPaths(),
    })
    this.diagnosis = new NetworkDiagnosis({
      lock: this.#lock,
      healing: new HealingRecord(options.clock),
      mend: () => this.#deps(),
    })
  }

  async start(): Promise<void> {
    await this.#openRecord()
    const stamp = this.#overlay.load()
    const { clock, log } = this.#options
    const { found, left } = await this.#lock.exclusive(() => mendPatiently(this.#deps(), clock))
    if (left.length > 0) {
      const message = `the data plane of this node cannot be set up: ${left.join('; ')}`
      throw new SwarmError('UNAVAILABLE', message)
    }
    this.#serveLoopback()
    await sizeConntrack(this.#kernel, log)
    log.info({ subnet: this.subnet(), changes: found.length, stamp }, 'data plane is up')
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, hostNamespaceFile } = this.#options
    const prefix = hostNamespaceFile === undefined ? [] : enterNamespace(hostNamespaceFile)
    const isWriting = (): boolean => this.#kernel.wroteWithin('host', echoMs)
    const onChange = this.#bell.onChange(settleMs)
    const watching = watchHost({ prefix, clock, log, isWriting, onChange }, signal)
    const watcher = new DataPlaneWatcher(
      () => findNamespace(this.#dataPlaneFile),
      async (own) => {
        await Promise.all([this.#watchDataPlane(own), this.#prober.run(own)])
      },
    )
    const ports = this.#watchPorts(signal)
    await watcher.follow()
    while (!signal.aborted) {
      await this.#bell.wait(signal)
      if (signal.aborted) break
      const startedMs = clock.monotonicMs()
      await this.#mendAndTell()
      await watcher.follow()
      await this.#bell.pause(startedMs, signal)
    }
    this.#bell.close()
    await Promise.all([watching, watcher.stop(), ports])
  }

  /** A program of the host that ends leaves its port to us, and one that begins is told of. */
  async #watchPorts(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options
    while (!signal.aborted) {
      await wait(clock, portsMs, signal)
      if (signal.aborted) return
      const endpoints = this.#opened?.record?.endpoints ?? []
      try {
        if (await this.#overlay.lookAtPorts(endpoints)) await this.#bring()
        // What a program had on ::1 may be free now.
        else this.#serveLoopback()
      } catch (err) {
        log.warn({ err }, 'published ports are not as they are to be: tried again')
      }
    }
  }

  #watchDataPlane(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options
    const isAliveLink = (link: string): boolean =>
      requireRecord(this.#journal()).endpoints.some(
        (endpoint) => endpoint.link === link && isAlive(endpoint.netns),
      )
    const options = {
      dataPlaneFile: this.#dataPlaneFile,
      isWriting: () => this.#kernel.wroteWithin('dataPlane', echoMs),
      isWritten: (chain: string) => this.#kernel.wroteChainWithin(chain, echoMs),
      isNeeded: (item: string) => this.#overlay.needs(item),
      isAlive: isAliveLink,
      onChange: this.#bell.onChange(innerSettleMs),
    }
    return watchDataPlane({ ...options, clock, log }, signal)
  }

  mend(): Promise<Mended> {
    return this.#lock.exclusive(() => mend(this.#deps()))
  }

  audit(): Promise<readonly string[]> {
    return this.#lock.exclusive(() => audit(this.#deps()))
  }

  peers(): readonly PeerReport[] {
    return this.#prober.reports()
  }

  peerConditions(): readonly NodeCondition[] {
    return peerConditions(this.peers(), this.#overlay.vxlanPort)
  }

  subnet(): string {
    return requireRecord(this.#journal()).subnet
  }

  async setOverlay(state: OverlayState, stamp: Stamp): Promise<void> {
    this.#overlay.set(state, stamp)
    this.#options.conditions?.set('local subnet', subnetClashes(this.subnet(), state.views))
    await this.#bring()
  }

  async attach(request: AttachRequest, signal: AbortSignal): Promise<NetworkAttachment> {
    const networks = overlayNetworks(request)
    await this.#waitForPorts(request, signal)
    if (networks.length === 0) return await this.#attach(request, signal)
    await waitForNetworks(this.#news(), { name: request.name, networks }, signal)
    const release = this.#overlay.want(networks)
    try {
      await this.#bring()
      return await this.#attach(request, signal)
    } finally {
      release()
      await this.#bring()
    }
  }

  async detach(containerId: string): Promise<void> {
    const endpoints = requireRecord(this.#journal()).endpoints
    const isOnOverlay = endpoints.some(
      (endpoint) => endpoint.containerId === containerId && endpoint.overlay !== undefined,
    )
    await this.#lock.shared(() => detachContainer(this.#deps(), containerId))
    if (isOnOverlay) await this.#bring()
    else this.#serveLoopback()
  }

  async connect(request: ConnectRequest, signal: AbortSignal): Promise<NetworkAttachment> {
    const networks = [request.endpoint.networkId]
    await waitForNetworks(this.#news(), { name: request.name, networks }, signal)
    const release = this.#overlay.want(networks)
    try {
      await this.#bring()
      return await this.#lock.shared(() => connectContainer(this.#deps(), request, signal))
    } finally {
      release()
      await this.#bring()
    }
  }

  async disconnect(containerId: string, networkId: string): Promise<NetworkAttachment> {
    const left = await this.#lock.shared(() =>
      disconnectContainer(this.#deps(), containerId, networkId),
    )
    await this.#bring()
    return left
  }

  async restore(live: readonly RestoredAttachment[]): Promise<void> {
    const ids = new Set(live.map(({ request }) => request.containerId))
    const deps = this.#deps()
    const known = requireRecord(deps.journal).endpoints.map(({ containerId }) => containerId)
    for (const id of known) if (!ids.has(id)) await this.detach(id)
    const unknown = live.filter(({ request }) => !known.includes(request.containerId))
    for (const restored of unknown) await readmit(deps, restored)
    if (unknown.length > 0) await this.mend()
  }

  async purge(): Promise<void> {
    const { record } = openJournal(this.#journalFile())
    const values = new Map([
      ...(record?.forwardingIsOurs === true ? ([['net/ipv4/ip_forward', '0']] as const) : []),
      ...(record?.forwarding6IsOurs === true
        ? ([['net/ipv6/conf/all/forwarding', '0']] as const)
        : []),
    ])
    this.#loopback.close()
    this.#overlay.close()
    await this.#lock.exclusive(async () => {
      const errors = await closeFirewall(this.#kernel)
      if (errors.length > 0) {
        const message = `the host's firewall keeps rules of ours: ${errors.join('; ')}`
        throw new SwarmError('UNAVAILABLE', message)
      }
      if (values.size > 0) {
        await this.#kernel.apply([{ kind: 'sysctl', namespace: 'host', values }])
      }
      await this.#kernel.nft('host', ['add table inet tsswarm', 'delete table inet tsswarm'])
      await this.#kernel.ip('host', [`link del ${hostLink}`])
      await this.#kernel.removeDataPlane()
      this.#kernel.close()
      await rm(this.#dir, { recursive: true, force: true })
      this.#opened = undefined
    })
  }

  close(): void {
    this.#loopback.close()
    this.#overlay.close()
    this.#kernel.close()
  }

  async #attach(request: AttachRequest, signal: AbortSignal): Promise<NetworkAttachment> {
    const attachment = await this.#lock.shared(() => attachContainer(this.#deps(), request, signal))
    if (attachment.ports.length > 0) this.#serveLoopback()
    if (!attachment.ports.some(isOverIpv6)) return attachment
    try {
      await this.#bringIpv6(request)
      return attachment
    } catch (err) {
      await this.detach(request.containerId)
      throw err
    }
  }

  /** The first container that has an IPv6 address of this node needs the way to it, which is no container's own. */
  async #bringIpv6({ containerId, name }: AttachRequest): Promise<void> {
    const { endpoints } = requireRecord(this.#journal())
    const own = endpoints.filter(({ nodeAddress6 }) => nodeAddress6 !== undefined)
    const isFirst = own.length > 0 && own.every((one) => one.containerId === containerId)
    if (!isFirst) return
    const { left } = await this.mend()
    if (left.length === 0) return
    const message = `container ${name} cannot be reached over IPv6 on this node: ${left.join('; ')}`
    throw new SwarmError('UNAVAILABLE', message)
  }

  /** What the kernel cannot lead away from ::1. Only where this process is in the host's namespace. */
  #serveLoopback(): void {
    if (this.#options.hostNamespaceFile !== undefined) return
    const own = requireRecord(this.#journal()).endpoints.flatMap(({ ports }) => ports)
    this.#loopback.set(this.#overlay.loopbackPorts(own))
  }

  async #waitForPorts({ ports }: AttachRequest, signal: AbortSignal): Promise<void> {
    if (!this.#overlay.meshes(ports)) return
    await waitForPorts(this.#news(), ports, signal)
    // What the mesh had open is closed before it is opened for the task.
    await this.#bring()
  }

  #news(): News {
    return { overlay: this.#overlay, clock: this.#options.clock }
  }

  /** Brings the kernel to the present state of the overlay: by what changed, else by comparing everything. */
  async #bring(): Promise<void> {
    const outcome = await this.#lock.shared(() => this.#overlay.flush(this.#journal()))
    this.#serveLoopback()
    this.#prober.set(this.#overlay.peers(this.#journal().record?.endpoints ?? []))
    if (outcome === 'done') return
    const { left } = await this.mend()
    if (left.length === 0) return
    const message = `the overlay networks of this node cannot be set up: ${left.join('; ')}`
    throw new SwarmError('UNAVAILABLE', message)
  }

  /** Routes carry what their paths were found to carry. */
  #followPaths(): void {
    if (this.#overlay.setMtus(mtusOf(this.peers()))) {
      this.#bring().catch((err) => {
        this.#options.log.warn(
          { err },
          'routes have the MTU of before: the next comparison tries again',
        )
      })
    }
  }

  #deps(): AttachmentDeps & MendDeps {
    return {
      kernel: this.#kernel,
      journal: this.#journal(),
      dataPlaneFile: this.#dataPlaneFile,
      random: this.#options.random,
      log: this.#options.log,
      overlay: this.#overlay,
      vxlanPort: this.#overlay.vxlanPort,
    }
  }

  #journalFile(): string {
    return join(this.#dir, 'journal.jsonl')
  }

  #journal(): Journal {
    invariant(this.#opened !== undefined, 'the network is started before it is used')
    return this.#opened
  }

  /** Chooses what a new record needs; keeps what an older one of the same boot says. */
  async #openRecord(): Promise<void> {
    const { random, localSubnet, log } = this.#options
    this.#opened = openJournal(this.#journalFile())
    const { record } = this.#opened
    const bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
    const isSameBoot = record?.bootId === bootId
    const isOther = localSubnet !== undefined && record?.subnet !== localSubnet
    if (record !== undefined && isSameBoot && (!isOther || record.endpoints.length > 0)) {
      const { subnet } = record
      if (isOther) log.warn({ subnet, localSubnet }, 'local subnet stays while containers use it')
      return
    }
    const subnet = localSubnet ?? record?.subnet ?? (await this.#freeSubnet())
    requireUsableSubnet(subnet)
    const mac = record?.mac ?? randomMac(random)
    const transit = record?.transit ?? standaloneTransit
    this.#opened.append({ kind: 'opened', bootId, subnet, transit, mac })
    if (isSameBoot && record.forwardingIsOurs) this.#opened.append({ kind: 'forwarding-ours' })
  }

  async #freeSubnet(): Promise<string> {
    return chooseSubnet(await readOccupied(this.#kernel))
  }

  async #mendAndTell(): Promise<void> {
    const { log } = this.#options
    try {
      const { found, left } = await this.diagnosis.heal()
      if (left.length > 0) {
        log.error({ found, left }, 'network cannot be mended')
        this.#bell.ring(againMs)
      } else if (found.length > 0) log.warn({ found }, 'network mended')
      if (found.length > 0 && left.length === 0) this.#bell.ring(echoMs)
    } catch (err) {
      log.error({ err }, 'network cannot be compared')
      this.#bell.ring(againMs)
    }
  }
}
