// What the daemon's settings say that this node has besides CPUs and memory.
import { type GenericResource, parseGenericResources } from '../../proto/spec/generic-resource.ts'

/** Of `KIND=NUMBER` and `KIND=NAME` texts; the field is left out without any. Errors: Error that names the text. */
export function offeredGeneric(texts: readonly string[]): {
  readonly generic?: readonly GenericResource[]
} {
  const generic = parseGenericResources(texts)
  return generic.length === 0 ? {} : { generic }
}
