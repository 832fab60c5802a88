// Which of the nodes that may take a task is tried first. Each strategy gives a node two keys, the least of which win.
import type { NodeEntry } from './cluster-index.ts'
import type { Strategy } from './demand.ts'

export interface Rank {
  /** `serviceTasks`: active ones of the task's service on the node; `troubles`: its many recent failures there, or 0. */
  first(serviceTasks: number, troubles: number): number
  second(entry: NodeEntry): number
  /** To be told after a task was placed on the node. */
  placed(entry: NodeEntry): void
}

/** More tasks of one service on a node are not told apart. */
const serviceTasksMax = 2 ** 20
const nodeTasksMax = 2 ** 21

/** A rank for one set of nodes. `random` in [0, 1). */
export function rankOf(strategy: Strategy, random: () => number): Rank {
  switch (strategy) {
    case 'spread':
      return spreadRank
    case 'binpack':
      return binpackRank
    case 'random':
      return randomRank(random)
  }
}

/** Fewest tasks of the service, then fewest in all; nodes where it fails again and again come last. */
const spreadRank: Rank = {
  first: (serviceTasks, troubles) =>
    troubles * serviceTasksMax + Math.min(serviceTasks, serviceTasksMax - 1),
  second: (entry) => entry.activeTasks,
  placed: () => {},
}

/** The fullest node: by its most reserved resource, then by its tasks. */
const binpackRank: Rank = {
  first: (_serviceTasks, troubles) => troubles,
  second: (entry) => {
    const total = entry.node.description?.resources
    const reserved = Math.max(
      share(entry.reservedNanoCpus, total?.nanoCpus ?? 0),
      share(entry.reservedMemoryBytes, total?.memoryBytes ?? 0),
    )
    return -(Math.round(reserved * 1e6) * nodeTasksMax + entry.activeTasks)
  },
  placed: () => {},
}

function share(part: number, whole: number): number {
  return whole > 0 ? part / whole : 0
}

/**
 * Every node is equally likely each time. A node's key is the time of its next event in a Poisson process of its own:
 * the least of them is a fair choice, and after it only the chosen node's key changes.
 */
function randomRank(random: () => number): Rank {
  const next: number[] = []
  /** Time of the last event of all. */
  let nowKey = 0
  const draw = (index: number): number => {
    const drawn = nowKey - Math.log(1 - random())
    next[index] = drawn
    return drawn
  }
  return {
    first: (_serviceTasks, troubles) => troubles,
    // Who was not to be had when its event came waits for its next one, as everybody does.
    second: (entry) => {
      const known = next[entry.index]
      return known === undefined || known < nowKey ? draw(entry.index) : known
    },
    placed: (entry) => {
      nowKey = Math.max(nowKey, next[entry.index] ?? 0)
      draw(entry.index)
    },
  }
}
