// Where tasks of a service version failed lately. A node on which they fail again and again is tried last.
// Source: Docker Swarm: five failures within five minutes.
import type { ServiceId, Task } from '../proto/objects/index.ts'

export const failureWindowMs = 5 * 60_000
export const failuresMany = 5

/** More are not told apart. */
const failuresKept = 32

const noFailures: ReadonlyMap<number, number> = new Map()

export class FailureRecord {
  /** Times of failures by service version, then by node index; oldest first. */
  readonly #times = new Map<string, Map<number, number[]>>()
  #prunedAtMs = 0

  add(task: Task, nodeIndex: number): void {
    const key = versionKey(task.serviceId, task.specVersion)
    let nodes = this.#times.get(key)
    if (nodes === undefined) {
      nodes = new Map()
      this.#times.set(key, nodes)
    }
    const times = nodes.get(nodeIndex) ?? []
    times.push(task.appliedAtMs)
    if (times.length > 1) times.sort((a, b) => a - b)
    if (times.length > failuresKept) times.shift()
    nodes.set(nodeIndex, times)
  }

  /** Nodes with many recent failures of this service version, with their number. */
  troubled(service: ServiceId, specVersion: number, nowMs: number): ReadonlyMap<number, number> {
    if (this.#times.size === 0) return noFailures
    const nodes = this.#times.get(versionKey(service, specVersion))
    if (nodes === undefined) return noFailures
    const troubled = new Map<number, number>()
    for (const [index, times] of nodes) {
      const recent = times.filter((atMs) => atMs > nowMs - failureWindowMs).length
      if (recent >= failuresMany) troubled.set(index, recent)
    }
    return troubled
  }

  dropNode(nodeIndex: number): void {
    for (const nodes of this.#times.values()) nodes.delete(nodeIndex)
  }

  /** Forgets what no longer counts; at most once a minute. */
  prune(nowMs: number): void {
    if (nowMs - this.#prunedAtMs < 60_000) return
    this.#prunedAtMs = nowMs
    for (const [key, nodes] of this.#times) {
      for (const [index, times] of nodes) {
        const last = times[times.length - 1] ?? 0
        if (last <= nowMs - failureWindowMs) nodes.delete(index)
      }
      if (nodes.size === 0) this.#times.delete(key)
    }
  }
}

function versionKey(service: ServiceId, specVersion: number): string {
  return `${service}/${specVersion}`
}
