// Which tasks of a service are not what its spec asks for.
import { canonicalJson } from '../../proto/lib/canonical-json.ts'
import type { Service, SpecHash, Task } from '../../proto/objects/index.ts'
import type { TaskSpec } from '../../proto/spec/service-spec.ts'
import { matchesConstraint } from '../../scheduler/constraints.ts'
import { demandOf } from '../../scheduler/demand.ts'
import type { ServiceView } from './service-view.ts'

/**
 * Whether a task must be replaced. One that differs only in where it may be stays on a node that still fits.
 * Source: Docker Swarm's orchestrator, the same rule.
 */
export function outdatedBy(service: Service, view: ServiceView): (task: Task) => boolean {
  const others = new Map<SpecHash, boolean>()
  const differsInMore = (hash: SpecHash): boolean => {
    const known = others.get(hash)
    if (known !== undefined) return known
    const spec = view.taskSpec(hash)
    const answer = spec === undefined || withoutPlace(spec) !== withoutPlace(service.spec.task)
    others.set(hash, answer)
    return answer
  }
  const { constraints } = demandOf(service.specHash, service.spec.task)
  return (task) => {
    if (task.specHash === service.specHash) return false
    const node = task.nodeId === undefined ? undefined : view.node(task.nodeId)
    if (node === undefined || differsInMore(task.specHash)) return true
    return !constraints.every((constraint) => matchesConstraint(constraint, node))
  }
}

/** Whether nothing but where tasks may be is another. */
export function differInPlaceOnly(a: TaskSpec, b: TaskSpec): boolean {
  return withoutPlace(a) === withoutPlace(b)
}

/** Specs are never edited, and each look at a service asks about the same few. */
const texts = new WeakMap<TaskSpec, string>()

function withoutPlace(spec: TaskSpec): string {
  const known = texts.get(spec)
  if (known !== undefined) return known
  const text = canonicalJson({ ...spec, placement: undefined })
  texts.set(spec, text)
  return text
}
