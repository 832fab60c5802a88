// What the data plane of a node must hold by the store, written down from docs/networking.md and not with the code that writes it
// to the kernel: a second opinion. A fact is a line of text; kernel-facts.ts reads the same lines from the kernel. Pure.
import {
  hasEnded,
  isRunning,
  isServing,
  isWanted,
  type Picture,
  type PictureNetwork,
  type PictureNode,
  type PictureTask,
} from './picture.ts'

export interface Facts {
  /** Each with the tasks for whose sake it must be there: one of them must have been there all the time. */
  readonly must: ReadonlyMap<string, ReadonlySet<string>>
  /** Nothing else may be there. What must be may be. */
  readonly may: ReadonlySet<string>
}

/** A fact, and the task for whose sake it is one. */
type Cause = readonly [fact: string, task: string]

/** In place of a task, where something must be there in any case. */
const always = 'always'

const remembered = new WeakMap<Picture, Map<string, Facts>>()

export function desiredFacts(picture: Picture, nodeId: string): Facts {
  const known = remembered.get(picture) ?? new Map<string, Facts>()
  remembered.set(picture, known)
  const facts = known.get(nodeId) ?? makeFacts(picture, nodeId)
  known.set(nodeId, facts)
  return facts
}

function makeFacts(picture: Picture, nodeId: string): Facts {
  const must = new Map<string, Set<string>>()
  const may = new Set<string>()
  const require = (fact: string, reason: string): void => {
    const reasons = must.get(fact) ?? new Set()
    must.set(fact, reasons.add(reason))
  }
  for (const network of picture.ground.networks) {
    const tasks = picture.tasks.filter(
      (task) => task.addresses.has(network.id) && task.nodeId !== '' && !hasEnded(task),
    )
    const local = tasks.filter((task) => task.nodeId === nodeId)
    if (!network.isIngress && local.length === 0) continue
    // A container that is being made has its interfaces before it runs, and loses them before the store hears of its end.
    const settled = local.filter((task) => isRunning(task) && isWanted(task))
    const holders = network.isIngress ? [always] : settled.map(({ id }) => id)
    const others = tasks.filter((task) => task.nodeId !== nodeId)
    const causes = [
      ...networkCauses(network),
      ...peerCauses(picture, network, { nodeId, others }),
      ...remoteCauses(others, network, picture),
      ...serviceCauses(picture, network, tasks),
    ]
    for (const [fact, task] of causes) {
      may.add(fact)
      // Both must have been there all the time: who holds the network here, and who is told of.
      for (const holder of holders) require(fact, `${holder} ${task}`)
    }
    for (const task of local) {
      for (const fact of localFacts(task.addresses.get(network.id) ?? '')) {
        may.add(fact)
        if (settled.includes(task)) require(fact, task.id)
      }
    }
  }
  return { must, may }
}

function networkCauses({ device, subnet }: PictureNetwork): readonly Cause[] {
  return [`device ${device}`, `route ${subnet} unreachable`, `same_network ${subnet}`].map(
    (fact): Cause => [fact, always],
  )
}

function peerCauses(
  { ground }: Picture,
  { device, isIngress }: PictureNetwork,
  { nodeId, others }: { readonly nodeId: string; readonly others: readonly PictureTask[] },
): readonly Cause[] {
  return ground.nodes
    .filter((node) => node.id !== nodeId)
    .flatMap(({ id, mac, vtep, transit }) => {
      const tasks = isIngress
        ? [always]
        : others.filter((task) => task.nodeId === id).map((t) => t.id)
      return tasks.flatMap((task): readonly Cause[] => [
        [`fdb ${device} ${mac} to ${vtep}`, task],
        [`neighbour ${device} ${transit} at ${mac}`, task],
      ])
    })
}

function remoteCauses(
  tasks: readonly PictureTask[],
  { id, device }: PictureNetwork,
  { ground }: Picture,
): readonly Cause[] {
  const nodes = new Map<string, PictureNode>(ground.nodes.map((node) => [node.id, node]))
  return tasks.map((task) => {
    const via = nodes.get(task.nodeId)?.transit ?? 'a node that is not known'
    return [`route ${task.addresses.get(id)} via ${via} on ${device}`, task.id]
  })
}

function serviceCauses(
  { services }: Picture,
  { id, vni }: PictureNetwork,
  tasks: readonly PictureTask[],
): readonly Cause[] {
  return services.flatMap((service): readonly Cause[] => {
    const vip = service.vips.get(id)
    if (vip === undefined) return []
    const chain = `svc4_${vni}_${service.id}`
    const backends = tasks.filter((task) => task.serviceId === service.id && isServing(task))
    return [
      [`route ${vip} here`, service.id],
      [`vip ${vip} to ${chain}`, service.id],
      ...backends.map((task): Cause => [`backend ${chain} ${task.addresses.get(id)}`, task.id]),
    ]
  })
}

function localFacts(address: string): readonly string[] {
  return [`route ${address} to a container`, `neighbour ${address}`, `hairpin ${address}`]
}
