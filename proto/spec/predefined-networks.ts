// The networks that every node has for itself, under the names that Docker gives them. They are no objects of the cluster:
// nothing of them is allocated, and tasks are on the one of their own node.

export interface PredefinedNetwork {
  /** Also its id. */
  readonly name: string
  /** As listings show it. Source: Docker, where `none` has the driver null. */
  readonly driver: string
  /** It goes with no other network. */
  readonly isAlone: boolean
}

export const predefinedNetworks = [
  { name: 'bridge', driver: 'bridge', isAlone: false },
  { name: 'host', driver: 'host', isAlone: true },
  { name: 'none', driver: 'null', isAlone: true },
] as const satisfies readonly PredefinedNetwork[]

/** Undefined: a network of the cluster, by name or id. */
export function predefinedOf(target: string): (typeof predefinedNetworks)[number] | undefined {
  return predefinedNetworks.find(({ name }) => name === target)
}
