// Generic resources as Docker's API shows them: one entry a number, one a name.
import type { GenericResource } from '../spec/generic-resource.ts'
import type { Json } from './json.ts'

export function genericJson(resources: readonly GenericResource[] = []): readonly Json[] {
  return resources.flatMap(({ kind, count, names }): readonly Json[] =>
    names.length === 0
      ? [{ DiscreteResourceSpec: { Kind: kind, Value: count } }]
      : names.map((name) => ({ NamedResourceSpec: { Kind: kind, Value: name } })),
  )
}
