// What a specification names of other objects that is not there, or not so far.
import {
  isActive,
  payloadsOf,
  placeOf,
  type Service,
  taskStateName,
} from '../../../proto/objects/index.ts'
import type { PayloadKind } from '../../../proto/spec/payload-spec.ts'
import type { TaskSpec } from '../../../proto/spec/service-spec.ts'
import type { ServiceView } from '../service-view.ts'
import { slotsOf } from '../slot.ts'
import type { Finding } from './finding.ts'
import { nameOf } from './remedies.ts'

/** Whether the swarm has that version of a secret or config. */
export type HasPayload = (kind: PayloadKind, id: string) => boolean

/** Secrets and configs that were removed since: no new task of the spec can be prepared. */
export function missingPayloads(
  spec: TaskSpec | undefined,
  service: Service | undefined,
  has: HasPayload,
): readonly Finding[] {
  if (spec === undefined) return []
  const gone = payloadsOf(spec.container).filter(({ kind, source }) => !has(kind, source))
  return gone.map(({ kind, name, source }) => ({
    code: 'PAYLOAD',
    text: `${kind} "${name}" (${source}) is not in the swarm any more: a task that needs it cannot be prepared`,
    remedy:
      `"tsswarm ${kind} create ${name} FILE", then "tsswarm service update --${kind}-rm ${name} --${kind}-add ${name} ` +
      `${service?.spec.name ?? 'SERVICE'}"`,
  }))
}

/** What a task waits for, in the words it was made with, and how far that is now. */
export function dependencyFinding(waitsFor: string, view: ServiceView): Finding {
  const dependsOn = view.service?.spec.task.dependsOn ?? []
  const named = dependsOn.filter(({ service }) => waitsFor.includes(`"${service}"`))
  const there = named.filter(({ service }) => view.depended(service) !== undefined)
  return {
    code: 'DEPENDENCY',
    text: `it waits for ${waitsFor}`,
    causes: named.map(({ service }) => standingOf(service, view)),
    ...remedyOf(named, there, view),
  }
}

interface Named {
  readonly service: string
}

function remedyOf(
  [first]: readonly Named[],
  [there]: readonly Named[],
  view: ServiceView,
): Pick<Finding, 'remedy'> {
  if (there !== undefined) {
    return { remedy: `"tsswarm explain service ${there.service}" says what that one waits for` }
  }
  if (first === undefined) return {}
  const { service } = first
  const remedy = `create service "${service}", or "tsswarm service update --depends-on-rm ${service} ${nameOf(view)}"`
  return { remedy }
}

/** More tasks than these are not named. */
const tasksMax = 5

function standingOf(name: string, view: ServiceView): string {
  const depended = view.depended(name)
  if (depended === undefined) return `there is no service "${name}"`
  const heads = slotsOf(depended.tasks).map(({ head }) => head)
  if (heads.length === 0) return `service "${name}" has no tasks`
  const words = heads.slice(0, tasksMax).map((head) => {
    const health = head.health === undefined ? '' : `, ${head.health.state}`
    const stops = isActive(head) ? '' : ', to stop'
    const err = head.err === '' ? '' : `: ${head.err}`
    return `${name}.${placeOf(head)} is ${taskStateName(head.state)}${health}${stops}${err}`
  })
  const more = heads.length > tasksMax ? [`and ${heads.length - tasksMax} more`] : []
  return [...words, ...more].join('; ')
}
