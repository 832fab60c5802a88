// The registry in an image's name. Pure. Not for tags and digests (worker/image/reference.ts).

export const defaultRegistry = 'docker.io'

export interface SplitReference {
  /** `host[:port]` */
  readonly registry: string
  /** What is behind it. */
  readonly rest: string
}

/**
 * `docker.io` where the name has none. A first part with a dot, a colon or a capital is a registry, and `localhost`. Source: Docker's
 * reference grammar.
 */
export function splitRegistry(reference: string): SplitReference {
  const slash = reference.indexOf('/')
  const first = reference.slice(0, Math.max(slash, 0))
  const isRegistry = /[.:A-Z]/.test(first) || first === 'localhost'
  if (!isRegistry) return { registry: defaultRegistry, rest: reference }
  return { registry: canonicalRegistry(first), rest: reference.slice(slash + 1) }
}

export function registryOf(reference: string): string {
  return splitRegistry(reference).registry
}

/** Docker's registry goes by several names. */
export function canonicalRegistry(host: string): string {
  return ['index.docker.io', 'registry-1.docker.io'].includes(host) ? defaultRegistry : host
}
