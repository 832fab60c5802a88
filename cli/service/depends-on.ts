// --depends-on db:healthy
import { type DependencySpec, dependencyConditions } from '../../proto/spec/dependency-spec.ts'
import { list } from '../flags.ts'
import { read } from '../read-flag.ts'
import { changeKeyed } from './assignments.ts'

const about = 'NAME[:started|healthy|completed_successfully]'

export const dependencyFlag = {
  'depends-on': list(`Services that come first (${about})`, {
    takes: 'service',
    completes: 'services',
  }),
}

export const dependencyChangeFlags = {
  'depends-on-add': list(`Add or update a service that comes first (${about})`, {
    takes: 'service',
    completes: 'services',
  }),
  'depends-on-rm': list('Remove a service that comes first', {
    takes: 'service',
    completes: 'services',
  }),
}

/** Errors: USAGE. */
export function readDependencies(
  flag: 'depends-on' | 'depends-on-add',
  items: readonly string[],
): readonly DependencySpec[] {
  return items.map((item) => read(flag, () => parseDependency(item), item))
}

/** Errors: USAGE. */
export function changeDependencies(
  current: readonly DependencySpec[],
  added: readonly string[],
  removed: readonly string[],
): readonly DependencySpec[] {
  const changes = { removed, added: readDependencies('depends-on-add', added) }
  return changeKeyed(current, changes, ({ service }) => service)
}

/** Errors: Error. */
export function parseDependency(text: string): DependencySpec {
  const [service = '', word = 'started', ...more] = text.split(':')
  const condition = dependencyConditions.find((known) => known === word)
  if (service === '' || more.length > 0) throw new Error(`must be ${about}`)
  if (condition === undefined) {
    throw new Error(`condition "${word}" must be one of ${dependencyConditions.join(', ')}`)
  }
  return { service, condition }
}
