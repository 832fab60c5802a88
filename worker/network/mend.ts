// Compares the kernel with the record and mends it: everything at once, under the caller's exclusive lock.
import { SwarmError } from '../../proto/errors.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import type { Logger } from '../../proto/lib/log.ts'
import { furnish, requireRecord } from './attachment.ts'
import { desiredKernel } from './desired-kernel.ts'
import { type Difference, differenceText } from './difference.ts'
import { forgetStrayFlows } from './forget-flows.ts'
import { inspectFirewall, openFirewall } from './host-firewall.ts'
import { isAlive } from './host-view.ts'
import type { Journal } from './journal.ts'
import type { Kernel } from './kernel.ts'
import type { DesiredKernel, ObservedKernel } from './kernel-state.ts'
import { stateOf } from './network-record.ts'
import { type Endpoint, hostLink, type NetworkState } from './network-state.ts'
import type { OverlayKeeper } from './overlay-keeper.ts'
import { type NetworkPlan, planNetwork } from './plan.ts'

export interface MendDeps {
  readonly kernel: Kernel
  readonly journal: Journal
  readonly dataPlaneFile: string
  readonly log: Logger
  readonly overlay: OverlayKeeper
  readonly vxlanPort: number
}

export interface Mended {
  /** What was found wrong. */
  readonly found: readonly string[]
  /** What is still wrong afterwards. */
  readonly left: readonly string[]
  /** As found, but for what was done to the host's firewall. */
  readonly differences: readonly Difference[]
}

/** Mending one thing can undo another (a link that is made anew loses its routes): then it takes another round. */
const roundsMax = 4

/** Errors: FAILED_PRECONDITION when a device of somebody else has our name; UNAVAILABLE when the kernel does not answer. */
export async function mend(deps: MendDeps): Promise<Mended> {
  const found = new Map<string, Difference>()
  let errors: readonly string[] = []
  for (let round = 0; round < roundsMax; round++) {
    const { plan, state, observed } = await compareOnce(deps)
    for (const one of plan.differences) {
      const text = differenceText(one)
      if (!found.has(text)) found.set(text, one)
    }
    if (plan.steps.length === 0) {
      // What was missing, or what is new, may have let flows go where they must not.
      if (found.size > 0 || !deps.overlay.holds(state.overlay)) {
        await forgetStrayFlows(deps.kernel, state.overlay)
      }
      deps.overlay.noteApplied(state.overlay)
      const notes = await openFirewall(deps.kernel)
      for (const note of notes) deps.log.info({ note }, 'host firewall changed')
      return { found: [...found.keys(), ...notes], left: [], differences: [...found.values()] }
    }
    await keepAdvertisements(deps.kernel, plan)
    errors = [...(await deps.kernel.apply(plan.steps)), ...(await reenter(deps, state, observed))]
    if (errors.length > 0) deps.log.debug({ errors, round }, 'network step failed')
  }
  const { plan } = await compareOnce(deps)
  deps.overlay.noteUnknown()
  return {
    found: [...found.keys()],
    left: [...plan.differences.map(differenceText), ...errors],
    differences: [...found.values()],
  }
}

/** Waits before a start tries again; in between the kernel may have finished with what is in the way. */
const patienceMs: readonly number[] = [200, 800, 2_000]

/**
 * Mends, also while the kernel is just taking apart what was there before: a data plane that went without a daemon to see
 * it keeps its devices for some time. Errors: as mend.
 */
export async function mendPatiently(deps: MendDeps, clock: Clock): Promise<Mended> {
  let mended = await mend(deps)
  for (const ms of patienceMs) {
    if (mended.left.length === 0) break
    await wait(clock, ms)
    mended = await mend(deps)
  }
  return mended
}

/** What mend would mend, without doing it. */
export async function audit(deps: MendDeps): Promise<readonly string[]> {
  const { plan } = await compareOnce(deps)
  return [...plan.differences.map(differenceText), ...(await closedChains(deps.kernel))]
}

/** Foreign chains that keep containers from the world, one sentence each. */
export async function closedChains(kernel: Kernel): Promise<readonly string[]> {
  const firewall = await inspectFirewall(kernel)
  const closed = firewall.filter((chain) => chain.drops && !chain.isOpen)
  return closed.map(({ where }) => `${where} drops forwarded packets: containers are cut off`)
}

export interface Compared {
  readonly plan: NetworkPlan
  readonly state: NetworkState
  readonly observed: ObservedKernel
}

/** What the kernel should hold, what it holds, and the difference. Changes nothing but what the record says of forwarding. */
export async function compareOnce(deps: MendDeps): Promise<Compared> {
  const { kernel, journal, dataPlaneFile, vxlanPort } = deps
  await kernel.ensureDataPlane()
  const { endpoints } = requireRecord(journal)
  await deps.overlay.admitPorts(endpoints)
  const [alive, ended] = byLife(endpoints)
  // Their links go by themselves; who has them is told of the end a moment later.
  kernel.devicesLeave(ended.map(({ link }) => link))
  const cluster = { overlay: deps.overlay.compile(endpoints), vxlanPort }
  const before = desiredKernel(stateOf(requireRecord(journal), alive, cluster), dataPlaneFile)
  const observed = await kernel.observe(before)
  refuseForeignLink(observed)
  noteForwarding(journal, before, observed)
  const state = stateOf(requireRecord(journal), alive, cluster)
  const desired = desiredKernel(state, dataPlaneFile)
  return { plan: planNetwork(desired, observed, kernel.shapes()), state, observed }
}

/** Of containers that live, and of those that have ended. */
function byLife(
  endpoints: readonly Endpoint[],
): readonly [alive: readonly Endpoint[], ended: readonly Endpoint[]] {
  const [alive, ended]: [Endpoint[], Endpoint[]] = [[], []]
  for (const endpoint of endpoints) (isAlive(endpoint.netns) ? alive : ended).push(endpoint)
  return [alive, ended]
}

function refuseForeignLink(observed: ObservedKernel): void {
  const link = observed.host.items.find((item) => item.kind === 'link' && item.key === hostLink)
  if (link === undefined || link.fields.alias === 'tsswarm' || link.identity === 'veth') return
  throw new SwarmError(
    'FAILED_PRECONDITION',
    `this host has a device "${hostLink}" (${link.identity}) that is not ours, and the network needs that name: ` +
      `rename it ("ip link set ${hostLink} name OTHER") or remove it`,
  )
}

const forwarding = 'net/ipv4/ip_forward'
const forwarding6 = 'net/ipv6/conf/all/forwarding'

/** Whoever switches forwarding on answers for what may be forwarded; written down before it is done. */
function noteForwarding(journal: Journal, desired: DesiredKernel, observed: ObservedKernel): void {
  const isOff = (path: string): boolean =>
    desired.host.sysctls.has(path) && observed.host.sysctls.get(path) === '0'
  const record = requireRecord(journal)
  if (isOff(forwarding) && !record.forwardingIsOurs) journal.append({ kind: 'forwarding-ours' })
  if (isOff(forwarding6) && record.forwarding6IsOurs !== true) {
    journal.append({ kind: 'forwarding6-ours' })
  }
}

/** A host that forwards IPv6 no longer takes its own addresses from routers, unless it is told to. */
async function keepAdvertisements(kernel: Kernel, plan: NetworkPlan): Promise<void> {
  const isSwitchedOn = plan.steps.some(
    (step) => step.kind === 'sysctl' && step.namespace === 'host' && step.values.has(forwarding6),
  )
  if (!isSwitchedOn) return
  const script =
    'for f in /proc/sys/net/ipv6/conf/*/accept_ra; do read v <$f; [ "$v" = 1 ] && echo 2 >$f; done; true'
  await kernel.run('host', ['sh', '-c', script])
}

/** Containers whose veth had to be made anew need their inside again. */
async function reenter(
  deps: MendDeps,
  state: NetworkState,
  observed: ObservedKernel,
): Promise<readonly string[]> {
  const links = new Set(observed.dataPlane.items.filter((i) => i.kind === 'link').map((i) => i.key))
  const errors: string[] = []
  for (const endpoint of state.endpoints.filter(({ link }) => !links.has(link))) {
    const error = await furnish(deps.kernel, endpoint, state)
    if (error !== undefined) errors.push(`container ${endpoint.containerId}: ${error}`)
  }
  return errors
}
