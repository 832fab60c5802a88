// From what a user wrote as the destination of a trace to addresses: as the source's resolver answers, else by what the cluster
// knows.
import { SwarmError } from '../../proto/errors.ts'
import {
  type TraceBranch,
  type TraceStep,
  TraceVerdict,
} from '../../proto/gen/tsswarm/v1/control.ts'
import {
  isServing,
  type NetworkAddresses,
  type NetworkId,
  type Node,
  type Service,
  type Task,
} from '../../proto/objects/index.ts'
import { formatIp, parseIp } from '../../proto/spec/ip.ts'
import { findNode, findService, findTask } from '../controlapi/lookup.ts'
import { taskName } from '../controlapi/views.ts'
import { networksOfSpec } from '../overlay/network-views.ts'
import type { ReadTx } from '../store/store.ts'
import { hostName, networkName, serviceAt, taskAt, whyElsewhere } from './names.ts'
import { type Destination, found, nodeAt } from './trace-ends.ts'
import { branch, step, type Trace } from './trace-steps.ts'

export interface Addressed {
  readonly steps: readonly TraceStep[]
  readonly addresses: readonly string[]
  /** Where a packet from a node or from outside comes in; undefined: it begins at the source. */
  readonly entry?: Node
  /** It ends before it began. */
  readonly end?: TraceBranch
}

/** Errors: NOT_FOUND, AMBIGUOUS, INVALID_ARGUMENT. */
export async function addressesOfName(trace: Trace, destination: Destination): Promise<Addressed> {
  const { store, source } = trace
  const { host } = destination
  const address = parseIp(host)
  if (address !== undefined) return store.view((tx) => byAddress(tx, trace, formatIp(address)))
  if (host === '') return ownPort(trace)
  if (source.kind === 'task') {
    const asked = await lookup(trace, host)
    if (asked !== undefined) return asked
  }
  return store.view((tx) => byReference(tx, trace, host))
}

function byAddress(tx: ReadTx, { source }: Trace, address: string): Addressed {
  const node = nodeAt(tx, address)
  const task = taskAt(tx, address)
  const service = serviceAt(tx, address)
  const steps =
    task !== undefined
      ? [step('store', `${address} is task ${taskName(tx, task)}`)]
      : service !== undefined
        ? [step('store', `${address} is the virtual address of service ${service.spec.name}`)]
        : node !== undefined
          ? [step('store', `${address} is node ${hostName(node)}`)]
          : []
  const entry = source.kind === 'outside' ? node : undefined
  return { steps, addresses: [address], ...(entry && { entry }) }
}

/** ":8080": the source's own node. */
function ownPort({ source }: Trace): Addressed {
  if (source.kind !== 'outside') return toNode(source.node)
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `${source.address} is no container and no node: name the node whose port is meant, as in NODE:8080`,
  )
}

function toNode(node: Node): Addressed {
  const steps = [step('store', `node ${hostName(node)} is ${node.address}`)]
  return { steps, addresses: [node.address] }
}

/** What the resolver tells the container; undefined: it does not know the name. */
async function lookup(trace: Trace, name: string): Promise<Addressed | undefined> {
  const { source, ask, signal } = trace
  if (source.kind !== 'task') return undefined
  const question = { $case: 'name', value: { taskId: source.task.id, name } } as const
  const place = `${hostName(source.node)}, resolver`
  try {
    const reply = await ask(source.node, question, signal)
    if (reply.$case !== 'name' || reply.value.addresses.length === 0) return undefined
    const { addresses } = reply.value
    const whose = trace.store.view((tx) => addresses.map((one) => called(tx, one)))
    const text = `${source.name} asks for "${name}": ${whose.join(', ')}`
    return { steps: [step(place, text)], addresses }
  } catch (err) {
    const why = err instanceof Error ? err.message : String(err)
    const text = `unknown: ${hostName(source.node)} does not answer: ${why}`
    return { steps: [], addresses: [], end: branch(name, [], TraceVerdict.UNKNOWN, text) }
  }
}

function called(tx: ReadTx, address: string): string {
  const task = taskAt(tx, address)
  if (task !== undefined) return `${address} (${taskName(tx, task)})`
  const service = serviceAt(tx, address)
  return service === undefined ? address : `${address} (virtual address of ${service.spec.name})`
}

/** Names that the resolver does not give the source, or has nobody to give to. */
function byReference(tx: ReadTx, trace: Trace, reference: string): Addressed {
  const [node] = tx.find('nodes', 'byName', reference.toLowerCase())
  const service = found(() => findService(tx, reference))
  const isService = service !== undefined && service.spec.name === reference
  if (node !== undefined && !isService) {
    return entering(trace, findNode(tx, reference, node.id))
  }
  if (isService) return toService(tx, trace, service)
  const task = found(() => findTask(tx, reference))
  if (task !== undefined) return toTask(tx, trace, task)
  throw new SwarmError(
    'NOT_FOUND',
    `"${reference}" is no name that the source knows, and no service, task or node: see "tsswarm service ls" and "tsswarm node ls"`,
  )
}

function entering({ source }: Trace, node: Node): Addressed {
  const to = toNode(node)
  // A node's own packets begin at itself, a stranger's where they come in.
  return source.kind === 'outside' ? { ...to, entry: node } : to
}

function toService(tx: ReadTx, trace: Trace, service: Service): Addressed {
  const { source } = trace
  const { name } = service.spec
  const ingress = [...tx.all('networks')].find(({ spec }) => spec.isIngress)?.id
  const networks = [...networksOfSpec(service.spec.task, ingress)]
  const names = networks.map((id) => networkName(tx, id))
  const on = names.length === 0 ? 'no network of the cluster' : `network ${names.join(', ')}`
  const why = step('store', `service ${name} is on ${on}`)
  if (source.kind === 'task') {
    const own = new Set(source.task.attachments.map(({ networkId }) => networkId))
    const isOwn = (id: NetworkId): boolean => own.has(id)
    if (!networks.some(isOwn)) return apart(tx, trace, { name, names, steps: [why] })
    const unknown = `the resolver of ${hostName(source.node)} gives ${source.name} no address for it`
    const { vips } = service.endpoint
    if (vips.length === 0) {
      const elsewhere = whyOnOthers(tx, source.node, { service, shared: networks.filter(isOwn) })
      if (elsewhere !== undefined) {
        const text = `unreachable: ${elsewhere}`
        return nowhere([why], branch(name, [], TraceVerdict.UNREACHABLE, text))
      }
      const text = `refused: no serving task: ${unknown}`
      return nowhere([why], branch(name, [], TraceVerdict.REFUSED, text))
    }
    return { steps: [why, step('store', unknown)], addresses: firstOf(common(vips, own)) }
  }
  const { vips } = service.endpoint
  const tasks = [...tx.find('tasks', 'byService', service.id)].filter(isServing)
  const given = vips.length > 0 ? vips : tasks.flatMap((task) => task.attachments)
  const all = [...given].sort((a, b) => rank(a, ingress) - rank(b, ingress))
  if (all.length > 0) return { steps: [why], addresses: firstOf(all) }
  const text = `unreachable: service ${name} has no address`
  return nowhere([why], branch(name, [], TraceVerdict.UNREACHABLE, text))
}

/** Undefined: it is for another reason that the name has no address. */
function whyOnOthers(
  tx: ReadTx,
  node: Node,
  { service, shared }: { readonly service: Service; readonly shared: readonly NetworkId[] },
): string | undefined {
  const reasons = shared.map((id) =>
    whyElsewhere(tx, node, { network: tx.get('networks', id), service }),
  )
  return reasons.every((why) => why !== undefined) ? reasons[0] : undefined
}

function toTask(tx: ReadTx, trace: Trace, task: Task): Addressed {
  const name = taskName(tx, task)
  const { attachments } = task
  const names = attachments.map(({ networkId }) => networkName(tx, networkId))
  const own =
    trace.source.kind === 'task'
      ? new Set(trace.source.task.attachments.map(({ networkId }) => networkId))
      : new Set<string>()
  const shared = common(attachments, own)
  const steps = [step('store', `task ${name} is on network ${names.join(', ') || '(none)'}`)]
  const addresses = firstOf(shared.length > 0 ? shared : attachments)
  if (addresses.length > 0) return { steps, addresses }
  const text = `unreachable: task ${name} has no address on a network of the cluster`
  return nowhere(steps, branch(name, [], TraceVerdict.UNREACHABLE, text))
}

interface Apart {
  readonly name: string
  /** Networks of the service. */
  readonly names: readonly string[]
  readonly steps: readonly TraceStep[]
}

/** Its name is not known to the source, and neither would a packet arrive. */
function apart(tx: ReadTx, { source }: Trace, { name, names, steps }: Apart): Addressed {
  const own =
    source.kind === 'task'
      ? source.task.attachments.map(({ networkId }) => networkName(tx, networkId))
      : []
  const sourceName = source.kind === 'task' ? source.name : 'the source'
  const known = step('store', `${sourceName} is on network ${own.join(', ') || '(none)'}`)
  const theirs = names.join(', ') || 'the local network of its node'
  const isPlain = own.length === 1 && names.length === 1
  const text = isPlain
    ? `dropped: ${own[0]} and ${names[0]} are different networks, and "${name}" is no name on ${own[0]}`
    : `dropped: ${sourceName} (on ${own.join(', ') || 'no network'}) and ${name} (on ${theirs}) have no network in common`
  return nowhere([...steps, known], branch(name, [], TraceVerdict.DROPPED, text))
}

function nowhere(steps: readonly TraceStep[], end: TraceBranch): Addressed {
  return { steps, addresses: [], end }
}

function common(
  all: readonly NetworkAddresses[],
  networks: ReadonlySet<string>,
): readonly NetworkAddresses[] {
  return all.filter(({ networkId }) => networks.has(networkId))
}

/** One address is followed: those of other families go the same way. */
function firstOf(all: readonly NetworkAddresses[]): readonly string[] {
  return all.flatMap(({ addresses }) => addresses).slice(0, 1)
}

/** Published ports lead to the ingress network; by name nobody means it. */
function rank({ networkId }: NetworkAddresses, ingress: string | undefined): number {
  return networkId === ingress ? 1 : 0
}
