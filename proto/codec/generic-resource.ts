// GenericResource <-> protobuf.
import type { GenericResource as GenericResourceProto } from '../gen/tsswarm/v1/objects.ts'
import { noGeneric } from '../objects/generic-resource.ts'
import type { GenericResource } from '../spec/generic-resource.ts'

export function genericFromProto(
  protos: readonly GenericResourceProto[],
): readonly GenericResource[] {
  if (protos.length === 0) return noGeneric
  return protos.map(({ kind, count, names }) => ({ kind, count, names }))
}

/** The field of what may go without any, left out then: so what was stored before it existed stays equal to what is made now. */
export function saidGeneric(protos: readonly GenericResourceProto[]): {
  readonly generic?: readonly GenericResource[]
} {
  return protos.length === 0 ? {} : { generic: genericFromProto(protos) }
}
