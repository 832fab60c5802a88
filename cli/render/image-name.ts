// Image references as docker shows them.
import { defaultRegistry, splitRegistry } from '../../proto/lib/image-registry.ts'

export function hasTagOrDigest(reference: string): boolean {
  return /[:@]/.test(reference.slice(reference.lastIndexOf('/') + 1)) || reference.includes('@')
}

/** `docker.io/library/nginx:1` of `nginx:1`; the tag stays away where there is none. */
export function fullImage(reference: string): string {
  const { registry, rest } = splitRegistry(reference)
  const isOfficial = registry === defaultRegistry && !rest.includes('/')
  return `${registry}/${isOfficial ? 'library/' : ''}${rest}`
}

/** Without tag and digest. */
export function repositoryOf(reference: string): string {
  const [name = ''] = reference.split('@')
  return name.replace(/:[^/:]*$/, '')
}

/** Without the default registry; `short`: also without a digest that stands beside a tag. */
export function familiarImage(reference: string, short: boolean): string {
  const familiar = reference.replace(/^docker\.io\//, '').replace(/^library\//, '')
  const at = familiar.indexOf('@')
  const tagged = /:[^/]+$/.test(familiar.slice(0, at === -1 ? undefined : at))
  return short && at !== -1 && tagged ? familiar.slice(0, at) : familiar
}
