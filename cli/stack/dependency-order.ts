// Services of a stack by what they depend on, and circles among them. Decides nothing of when tasks start: managers do.
import type { ServiceSpec } from '../../proto/spec/service-spec.ts'
import type { Notice } from './node.ts'
import type { StackService } from './stack-spec.ts'

interface Named {
  readonly spec: ServiceSpec
}

/**
 * Each behind those that it depends on, else as they come: then no manager is told of a service that waits for one which is to come, nor
 * of a circle that the next step opens.
 */
export function inOrderOfNeed<S extends Named>(services: readonly S[]): readonly S[] {
  const ordered = new Set<S>()
  const visit = walkOf(services, { left: (service) => ordered.add(service) })
  for (const service of services) visit(service)
  return [...ordered]
}

/** The first circle, where it is closed; managers refuse it when half of the stack is written. */
export function circleFaults(services: readonly StackService[]): readonly Notice[] {
  const faults: Notice[] = []
  const visit = walkOf(services, {
    left: () => {},
    circle: (circle) => {
      const [first] = circle
      if (first === undefined || faults.length > 0) return
      const names = [...circle, first].map(({ spec }) => `"${spec.name}"`).join(' -> ')
      const text =
        circle.length === 1
          ? 'names the service itself: remove it'
          : `services would wait for one another: ${names}. Remove one of these dependencies`
      faults.push({ ...placeOf(first), text })
    },
  })
  for (const service of services) visit(service)
  return faults
}

function placeOf(service: StackService): Pick<Notice, 'at' | 'path'> {
  const keys = ['x-depends-on', 'depends_on']
  const key = keys.find((one) => service.placeOf(one) !== service.at) ?? 'depends_on'
  return { at: service.placeOf(key), path: `${service.path}.${key}` }
}

interface Walk<S> {
  /** Once for each, when all that it depends on was left. */
  readonly left: (service: S) => void
  /** From the one that is come back to up to the one that leads there. */
  readonly circle?: (path: readonly S[]) => void
}

function walkOf<S extends Named>(services: readonly S[], walk: Walk<S>): (from: S) => void {
  const byName = new Map(services.map((one) => [one.spec.name.toLowerCase(), one]))
  const path: S[] = []
  const seen = new Set<S>()
  const visit = (service: S): void => {
    const at = path.indexOf(service)
    if (at >= 0) walk.circle?.(path.slice(at))
    if (seen.has(service)) return
    seen.add(service)
    path.push(service)
    for (const { service: name } of service.spec.task.dependsOn) {
      const needed = byName.get(name.toLowerCase())
      if (needed !== undefined) visit(needed)
    }
    path.pop()
    walk.left(service)
  }
  return visit
}
