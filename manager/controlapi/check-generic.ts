// What of a service's generic resources cannot be.
import { genericText } from '../../proto/objects/index.ts'
import type { TaskSpec } from '../../proto/spec/service-spec.ts'

interface Problem {
  readonly field: string
  readonly reason: string
}

/** They are reserved, as a number of each kind. Source: SwarmKit, which takes discrete ones of a service only. */
export function checkGeneric({ limits, reservations }: TaskSpec): readonly Problem[] {
  const problems: Problem[] = []
  if (limits.generic !== undefined) {
    const reason = 'cannot be limited: a task holds what it reserves. Put them into reservations'
    problems.push({ field: 'task.limits.generic', reason })
  }
  const seen = new Set<string>()
  for (const one of reservations.generic ?? []) {
    const refuse = (reason: string): void => {
      problems.push({ field: 'task.reservations.generic', reason: `(${one.kind}) ${reason}` })
    }
    if (seen.has(one.kind)) refuse('is given twice: add the numbers up')
    seen.add(one.kind)
    if (one.names.length > 0) {
      refuse(`asks for ${genericText(one)} by name: ask for a number, as ${one.kind}=1`)
    }
  }
  return problems
}
