// --generic-resource of `service create` and its -add and -rm of `service update`.
import { type GenericResource, parseGenericResources } from '../../proto/spec/generic-resource.ts'
import type { ResourceSpec } from '../../proto/spec/service-spec.ts'
import { list } from '../flags.ts'
import { read } from '../read-flag.ts'
import { changeKeyed } from './assignments.ts'

export const newGenericFlags = {
  'generic-resource': list('Reserve generic resources of the node (KIND=NUMBER)'),
}

export const genericFlags = {
  'generic-resource-add': list('Add or update a reserved generic resource (KIND=NUMBER)'),
  'generic-resource-rm': list('Remove a reserved generic resource by its kind'),
}

/** The field of the reservations; without any, none. Errors: USAGE. */
export function readGeneric(flag: string, texts: readonly string[]): Pick<ResourceSpec, 'generic'> {
  const generic = read(flag, () => parseGenericResources(texts).map(numberOnly))
  return generic.length === 0 ? {} : { generic }
}

/** The reservations with what the flags change. Errors: USAGE, also for a kind that is not reserved. */
export function changeGeneric(
  { generic = [], ...others }: ResourceSpec,
  flags: {
    readonly 'generic-resource-add': readonly string[]
    readonly 'generic-resource-rm': readonly string[]
  },
): ResourceSpec {
  const removed = flags['generic-resource-rm']
  for (const kind of removed) read('generic-resource-rm', () => known(generic, kind), kind)
  const { generic: added = [] } = readGeneric('generic-resource-add', flags['generic-resource-add'])
  const next = changeKeyed(generic, { removed, added }, ({ kind }) => kind)
  return next.length === 0 ? others : { ...others, generic: next }
}

function numberOnly(resource: GenericResource): GenericResource {
  if (resource.names.length === 0) return resource
  const { kind, names } = resource
  throw new Error(
    `${kind}=${names.join(',')} names one of them: a service asks for a number, as ${kind}=1`,
  )
}

function known(generic: readonly GenericResource[], kind: string): void {
  if (generic.some((one) => one.kind === kind)) return
  const kinds = generic.map((one) => one.kind).join(', ') || 'none'
  throw new Error(`the service reserves no such resource (it reserves: ${kinds})`)
}
