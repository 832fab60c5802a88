// Image references as Docker's users write them: parsing, the full form for tools, the familiar
// form for people. Pure. Not for looking anything up.
import { SwarmError } from '../../proto/errors.ts'
import { defaultRegistry, splitRegistry } from '../../proto/lib/image-registry.ts'

export interface ImageReference {
  /** `docker.io`, `registry.example:5000`, … */
  readonly registry: string
  /** `library/nginx` */
  readonly repository: string
  /** Undefined only when there is a digest. */
  readonly tag: string | undefined
  /** `sha256:…` */
  readonly digest: string | undefined
}

const component = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*'
const repositoryForm = new RegExp(`^${component}(?:/${component})*$`)
const registryForm =
  /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?$/
const tagForm = /^[\w][\w.-]{0,127}$/
const digestForm = /^sha256:[0-9a-f]{64}$/
const lengthMax = 255

/** Errors: INVALID_ARGUMENT. Source: Docker's reference grammar; a missing tag is `latest`. */
export function parseReference(text: string): ImageReference {
  const [nameAndTag = '', digest, ...more] = text.split('@')
  const colon = nameAndTag.indexOf(':', nameAndTag.lastIndexOf('/') + 1)
  const name = colon < 0 ? nameAndTag : nameAndTag.slice(0, colon)
  const tag = colon < 0 ? undefined : nameAndTag.slice(colon + 1)
  const { registry, repository } = splitName(name)
  if (/[A-Z]/.test(repository)) {
    throw invalid(text, 'repository name must be lowercase')
  }
  if (more.length > 0 || !repositoryForm.test(repository) || !registryForm.test(registry)) {
    throw invalid(text, 'it is not name[:tag][@digest]')
  }
  if (repository.length > lengthMax) throw invalid(text, 'the name is over 255 characters')
  if (tag !== undefined && !tagForm.test(tag)) throw invalid(text, `${tag} is no tag`)
  if (digest !== undefined && !digestForm.test(digest)) {
    throw invalid(text, 'the digest must be sha256: and 64 hexadecimal digits')
  }
  return {
    registry,
    repository,
    tag: tag ?? (digest === undefined ? 'latest' : undefined),
    digest,
  }
}

/** `docker.io`, `localhost`, `registry.example:5000` */
export function isRegistry(text: string): boolean {
  return registryForm.test(text)
}

export function isTag(text: string): boolean {
  return tagForm.test(text)
}

/** A name without a tag: all tags of it are meant. Errors: INVALID_ARGUMENT. */
export function parseRepository(text: string): ImageReference {
  const reference = parseReference(text)
  if (reference.digest === undefined && !/:[^/]+$/.test(text)) return reference
  const what = reference.digest === undefined ? 'tag' : 'digest'
  throw new SwarmError('INVALID_ARGUMENT', `${what} can't be used with --all-tags/-a: ${text}`)
}

/** `docker.io/library/nginx:1.27@sha256:…` */
export function fullReference(reference: ImageReference): string {
  return `${fullName(reference)}${suffix(reference)}`
}

/** `docker.io/library/nginx` */
export function fullName({ registry, repository }: ImageReference): string {
  return `${registry}/${repository}`
}

/** Full, by digest if there is one (tools refuse both tag and digest), else by tag. */
export function pinnedReference(reference: ImageReference): string {
  return fullReference(
    reference.digest === undefined ? reference : { ...reference, tag: undefined },
  )
}

/** As short as people write it: `nginx:1.27`, `lab/hello:latest`, `registry:5000/x:1`. */
export function familiarReference(reference: ImageReference): string {
  return `${familiarName(reference)}${suffix(reference)}`
}

/** `nginx`, `lab/hello`, `registry:5000/x` */
export function familiarName(reference: ImageReference): string {
  if (reference.registry !== defaultRegistry) return fullName(reference)
  return reference.repository.replace(/^library\/(?=[^/]+$)/, '')
}

function suffix({ tag, digest }: ImageReference): string {
  return `${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`
}

function splitName(name: string): { readonly registry: string; readonly repository: string } {
  const { registry, rest } = splitRegistry(name)
  return { registry, repository: official(registry, rest) }
}

function official(registry: string, repository: string): string {
  return registry === defaultRegistry && !repository.includes('/')
    ? `library/${repository}`
    : repository
}

function invalid(text: string, why: string): SwarmError {
  return new SwarmError(
    'INVALID_ARGUMENT',
    `invalid image reference ${JSON.stringify(text)}: ${why}`,
  )
}
