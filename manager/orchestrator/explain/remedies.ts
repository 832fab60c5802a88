// What to do about what keeps a task from running. Words only: it decides nothing.
import type { Node } from '../../../proto/objects/index.ts'
import type { NodeRefusal } from '../../../scheduler/explain.ts'
import type { ServiceView } from '../service-view.ts'

/** More nodes than these are not named. */
const nodesMax = 3

type Facts = Pick<ServiceView, 'service' | 'node'>

export function nameOf({ service }: Facts): string {
  return service?.spec.name ?? 'SERVICE'
}

/** One sentence over what turned nodes away; undefined: all fit, or nothing is known to do. */
export function remedyOfRefusals(
  refusals: readonly NodeRefusal[],
  facts: Facts,
): string | undefined {
  const filters = [...new Set(refusals.map(({ filter }) => filter))]
  const remedies = filters.flatMap((filter) => {
    const turnedAway = refusals.filter((one) => one.filter === filter)
    if (filter === 'ready') return readyRemedies(turnedAway, facts)
    const words = byFilter[filter]
    return words === undefined ? [] : [words(nameOf(facts))]
  })
  return remedies.length === 0 ? undefined : remedies.join('; or ')
}

const update = 'tsswarm service update'

/** By the filter's name, of a service with this name. */
const byFilter: Readonly<Record<string, (name: string) => string>> = {
  resources: (name) =>
    `reserve less ("${update} --reserve-memory", "--reserve-cpu" or "--generic-resource-rm", … ${name}), stop what reserves it, or add a node`,
  constraints: (name) =>
    `change the constraints ("${update} --constraint-rm … --constraint-add … ${name}"), or label a node ("tsswarm node update --label-add … NODE")`,
  platform: (name) => `take an image for these platforms ("${update} --image … ${name}")`,
  runtime: (name) => `take a runtime that nodes have ("${update} --runtime … ${name}")`,
  version: () => 'upgrade tsswarm on these nodes',
  'host-port': (name) =>
    `publish another port ("${update} --publish-rm … --publish-add … ${name}"), stop what has it, or add a node`,
  'max-replicas': (name) =>
    `allow more of them on a node ("${update} --replicas-max-per-node … ${name}"), run fewer, or add a node`,
}

function readyRemedies(refusals: readonly NodeRefusal[], facts: Facts): readonly string[] {
  const nodes = refusals.flatMap(({ nodeId, hostname }) => {
    const node = facts.node(nodeId)
    return node === undefined ? [] : [{ node, name: hostname || nodeId }]
  })
  const named = (wanted: (node: Node) => boolean): string | undefined => {
    const names = nodes.filter(({ node }) => wanted(node)).map(({ name }) => name)
    const shown = names.slice(0, nodesMax).join(' ')
    return names.length > nodesMax ? `${shown} …` : shown || undefined
  }
  const closed = named(isClosed)
  const lost = named((node) => node.state !== 'ready')
  return [
    ...(closed === undefined ? [] : [`"tsswarm node update --availability active ${closed}"`]),
    ...(lost === undefined
      ? []
      : [`start the daemon of ${lost} ("tsswarm explain node" says what is known)`]),
  ]
}

function isClosed({ spec }: Node): boolean {
  return spec.availability !== 'active'
}

/** What a program wrote before it ended by itself. */
export function remedyOfExit(id: string): string {
  return `"tsswarm service logs ${id}" shows what it wrote`
}
