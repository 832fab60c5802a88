// What a service may depend on: others, once each, and not in a circle.
import { SwarmError } from '../../proto/errors.ts'
import type { ServiceSpec } from '../../proto/spec/service-spec.ts'
import type { ReadTx } from '../store/store.ts'
import { duplicates, type Problem } from './check-problem.ts'

/** What can be told from the spec alone. */
export function checkDependencies({ name, task, mode }: ServiceSpec): readonly Problem[] {
  const names = task.dependsOn.map(({ service }) => service.toLowerCase())
  const problems: Problem[] = []
  if (names.length > 0 && mode.kind === 'cron') {
    const reason = 'is not available for mode cron, whose time is its schedule: leave it out'
    problems.push({ field: 'task.dependsOn', reason })
  }
  if (names.includes(name.toLowerCase())) {
    problems.push({ field: 'task.dependsOn', reason: 'names the service itself: remove it' })
  }
  for (const twice of duplicates(names)) {
    problems.push({ field: 'task.dependsOn', reason: `names "${twice}" twice: remove one` })
  }
  return problems
}

/**
 * Services in a circle would wait for one another for good. O(services that it depends on, and they in turn).
 * Errors: INVALID_ARGUMENT naming the circle.
 */
export function refuseCycle(tx: ReadTx, { name, task }: ServiceSpec): void {
  const own = name.toLowerCase()
  const seen = new Set<string>()
  const pending = task.dependsOn.map(({ service }) => [service])
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    const last = path.at(-1)?.toLowerCase() ?? ''
    if (last === own) {
      const circle = [name, ...path].map((one) => `"${one}"`).join(' -> ')
      const text = `services would wait for one another: ${circle}. Remove one of these dependencies`
      const details = { field: 'task.dependsOn' }
      throw new SwarmError('INVALID_ARGUMENT', `service "${name}" is not valid: ${text}`, {
        details,
      })
    }
    if (seen.has(last)) continue
    seen.add(last)
    for (const { spec } of tx.find('services', 'byName', last)) {
      for (const { service } of spec.task.dependsOn) pending.push([...path, service])
    }
  }
}

/** Of services that are not there: they are waited for. */
export function missingDependencies(tx: ReadTx, { task }: ServiceSpec): readonly string[] {
  return task.dependsOn
    .filter(({ service }) => [...tx.find('services', 'byName', service.toLowerCase())].length === 0)
    .map(({ service }) => `it waits for service "${service}", which does not exist yet`)
}
