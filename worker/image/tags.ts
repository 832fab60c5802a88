// The tags of a repository, as its registry or a mirror lists them, and a pull of them all. Not for one image (pull.ts).
import { hasCode, SwarmError } from '../../proto/errors.ts'
import type { RegistryAuth, ResolvedImage } from '../executor/executor.ts'
import type { ImageStore } from './image-store.ts'
import { type Patience, usualPatience } from './patience.ts'
import { familiarName, fullName, type ImageReference, isTag, parseRepository } from './reference.ts'
import type { RegistryMirror } from './registries-conf.ts'
import { registryFlags, withAuthDir } from './registry-access.ts'
import { pullError } from './registry-manifest.ts'

export interface TagsDeps {
  readonly store: Pick<ImageStore, 'skopeo' | 'paths'>
  readonly insecureRegistries: readonly string[]
  readonly registryMirrors: readonly RegistryMirror[]
  readonly patience?: Patience
}

export interface TagsRequest {
  readonly auth: RegistryAuth | undefined
  readonly signal: AbortSignal
}

const tagsMax = 10_000
const listBytesMax = 4 * 1024 * 1024
/** Of those that failed no more are told. */
const toldMax = 10

/**
 * In the registry's order; mirrors are asked before it. Errors: IMAGE_NOT_FOUND, UNAUTHENTICATED, UNAVAILABLE, CANCELLED,
 * FAILED_PRECONDITION for more tags than 10,000.
 */
export async function listTags(
  deps: TagsDeps,
  repository: ImageReference,
  request: TagsRequest,
): Promise<readonly string[]> {
  const { registry } = repository
  for (const mirror of deps.registryMirrors.filter((one) => one.registry === registry)) {
    const { location, insecure } = mirror
    const tls = insecure ? ['--tls-verify=false'] : []
    const name = `${location}/${repository.repository}`
    const listed = await askFor(deps, { name, flags: [...tls, '--no-creds'] }, request)
    // One that fails, or has none of it, is passed over.
    const tags = listed.code === 0 ? parseTags(listed.stdout) : []
    if (tags.length > 0) return bounded(tags, repository)
  }
  return await withAuthDir(deps.store.paths.runDir, async (authDir) => {
    const { insecureRegistries } = deps
    const { auth } = request
    const flags = await registryFlags({ registry, auth, insecureRegistries, authDir }, '')
    const listed = await askFor(deps, { name: fullName(repository), flags }, request)
    if (listed.code !== 0) throw pullError(listed.stderr, familiarName(repository), registry)
    return bounded(parseTags(listed.stdout), repository)
  })
}

interface Asked {
  readonly name: string
  readonly flags: readonly string[]
}

async function askFor(
  { store, patience = usualPatience }: TagsDeps,
  { name, flags }: Asked,
  { signal }: TagsRequest,
) {
  // The time is that of all pages together: a registry may go on and on.
  const result = await store.skopeo(['list-tags', ...flags, `docker://${name}`], {
    ...{ timeoutMs: patience.answerMs, signal, explains: true, outputBytesMax: listBytesMax },
  })
  if (signal.aborted) throw new SwarmError('CANCELLED', 'the list of tags was given up')
  return result
}

/** Of skopeo's answer; what is cut off in its middle is a list all the same, of too many. */
function parseTags(text: string): readonly string[] {
  try {
    const { Tags }: { readonly Tags?: unknown } = JSON.parse(text)
    return Array.isArray(Tags) ? Tags.filter((one) => typeof one === 'string') : []
  } catch {
    return Array.from({ length: tagsMax + 1 }, () => '')
  }
}

function bounded(tags: readonly string[], repository: ImageReference): readonly string[] {
  const { registry } = repository
  const name = familiarName(repository)
  if (tags.length === 0) {
    throw new SwarmError(
      'IMAGE_NOT_FOUND',
      `No such image: ${name}: registry ${registry} has no tag of it`,
    )
  }
  if (tags.length > tagsMax) {
    throw new SwarmError(
      'FAILED_PRECONDITION',
      `registry ${registry} has more than ${tagsMax} tags of ${name}: pull those that you need by name`,
    )
  }
  const wrong = tags.find((tag) => !isTag(tag))
  if (wrong === undefined) return tags
  throw new SwarmError(
    'UNAVAILABLE',
    `registry ${registry} lists ${JSON.stringify(wrong)} of ${name}, which is no tag`,
  )
}

export interface AllTagsPull extends TagsRequest {
  readonly repository: string
  /** One after another, by the full name. */
  readonly pull: (reference: string) => Promise<ResolvedImage>
  /** After each that was pulled. */
  readonly onPulled: (tag: string, image: ResolvedImage) => void
}

/**
 * What was pulled, in order. A tag that is not for the platform, or gone meanwhile, leaves the others; any other failure ends it, as it would be
 * that of the others too. Errors: as of listTags and pulls, with the tags that are missing by name.
 */
export async function pullAllTags(
  deps: TagsDeps,
  request: AllTagsPull,
): Promise<readonly ResolvedImage[]> {
  const repository = parseRepository(request.repository)
  const tags = await listTags(deps, repository, request)
  const pulled: ResolvedImage[] = []
  const failed: string[] = []
  let first: SwarmError | undefined
  for (const tag of tags) {
    try {
      const image = await request.pull(`${fullName(repository)}:${tag}`)
      request.onPulled(tag, image)
      pulled.push(image)
    } catch (err) {
      if (!(err instanceof SwarmError) || hasCode(err, 'CANCELLED')) throw err
      first ??= err
      failed.push(tag)
      if (!hasCode(err, 'IMAGE_NOT_FOUND')) break
    }
  }
  if (first === undefined) return pulled
  const left = tags.length - pulled.length
  const others = failed.length > toldMax ? `, and ${failed.length - toldMax} more` : ''
  throw new SwarmError(
    first.code,
    `${left} of ${tags.length} tags of ${familiarName(repository)} are not here. Failed: ${failed.slice(0, toldMax).join(', ')}${others}`,
    { cause: first },
  )
}
