// Resources that a node has besides CPUs and memory, such as GPUs: each is held by one task at a time.
// Source: Docker Swarm's generic resources, named and discrete.
import type { GenericResource } from '../spec/generic-resource.ts'

/** Of what asks for none and of what holds none. */
export const noGeneric: readonly GenericResource[] = []

/** `NVIDIA-GPU=2`, or `NVIDIA-GPU=gpu-1,gpu-2` when they have names. */
export function genericText({ kind, count, names }: GenericResource): string {
  return `${kind}=${names.length > 0 ? names.join(',') : count}`
}

/** `DOCKER_RESOURCE_<KIND>=…`, one line a kind: what a container is told that it may use. */
export function genericEnv(resources: readonly GenericResource[]): readonly string[] {
  return resources.map(({ kind, ...rest }) =>
    genericText({ ...rest, kind: `DOCKER_RESOURCE_${kind.toUpperCase()}` }),
  )
}
