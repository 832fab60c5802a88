// Builds an image from a Dockerfile and its context into the store (buildah). Not for images that are there already (load.ts).
import { existsSync } from 'node:fs'
import { mkdir, open, readFile, rm, writeFile } from 'node:fs/promises'
import { SwarmError } from '../../proto/errors.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import { newId } from '../../proto/lib/ids.ts'
import type { Random } from '../../proto/lib/random.ts'
import type { Semaphore } from '../../proto/lib/semaphore.ts'
import { cgroupDirs, cgroupVersion, removeEmptyCgroups } from '../executor/container/cgroups.ts'
import type { RegistryAuth } from '../executor/executor.ts'
import type { ImageStore } from './image-store.ts'
import { finishTransfer, fullNames, openTransfer, type Transfer } from './image-transfer.ts'
import { decompress } from './load.ts'
import { type RegistriesConf, registriesConf } from './registries-conf.ts'
import { writeAuthFile } from './registry-access.ts'
import type { StoredImage } from './store-index.ts'

export interface BuildOptions {
  /** Names it gets. */
  readonly tags: readonly string[]
  /** Its text; empty: the file Dockerfile of the context. */
  readonly dockerfile: string
  /** NAME=VALUE */
  readonly buildArgs: readonly string[]
  /** Of several stages; empty: the last one. */
  readonly target: string
  readonly noCache: boolean
  /** Asks the registry for newer base images. */
  readonly pull: boolean
  /** `host` or `none`, for its commands; empty: host. */
  readonly network: string
  /** For base images. */
  readonly credentials: readonly (RegistryAuth & { readonly registry: string })[]
  /** NAME=VALUE, of the image. */
  readonly labels: readonly string[]
}

export interface BuildRequest {
  readonly options: BuildOptions
  /** Fills the file at `path` with the context, a tar, plain or compressed. */
  readonly write: (path: string) => Promise<void>
  readonly signal: AbortSignal
  /** Hears what the build says. */
  readonly output: (text: string) => void
}

export interface BuildDeps extends RegistriesConf {
  readonly store: ImageStore
  readonly clock: Clock
  readonly random: Random
  /** cgroup above those of the commands; removed after each build. */
  readonly cgroup: string
  /** One build at a time: what is left of one that was ended is then nobody else's. */
  readonly turn: Semaphore
}

const buildTimeoutMs = 6 * 3_600_000
const followEveryMs = 100
const groupTriesMax = 50
const groupTryMs = 100
const pieceBytes = 64 * 1024

/**
 * The image, complete on disk. Its steps stay in the store and serve later builds; a prune removes them. Errors:
 * INVALID_ARGUMENT with the build's own words, HOST_UNFIT, CANCELLED, RESOURCE_EXHAUSTED.
 */
export async function buildImage(deps: BuildDeps, request: BuildRequest): Promise<StoredImage> {
  const { store, random, turn } = deps
  const { network } = request.options
  if (!['', 'host', 'none'].includes(network)) {
    throw new SwarmError(
      'INVALID_ARGUMENT',
      `network mode ${network} is not for builds: use host or none`,
    )
  }
  const tags = fullNames(request.options.tags)
  const labels = labelFile(request.options.labels)
  const transfer = await openTransfer(store, newId(random))
  try {
    const context = await unpack(store, request, transfer.tmpDir)
    return await turn.run(() =>
      store.lock.shared(async () => {
        await cleanUp(deps)
        try {
          return await build(deps, request, { transfer, context, tags, labels })
        } finally {
          await cleanUp(deps)
        }
      }, request.signal),
    )
  } finally {
    await transfer.close()
  }
}

/** What builds that were ended have left: their containers in the store, and groups of their commands. */
export async function cleanUp({
  store,
  cgroup,
  clock,
}: Pick<BuildDeps, 'store' | 'cgroup' | 'clock'>): Promise<void> {
  for (const id of await store.containers()) await store.storage(['delete-container', id])
  // What was killed may still be on its way out.
  const version = cgroupVersion()
  for (let tries = 0; tries < groupTriesMax; tries += 1) {
    await removeEmptyCgroups(version, cgroup)
    if (!cgroupDirs(version, cgroup).some((dir) => existsSync(dir))) return
    await wait(clock, groupTryMs, new AbortController().signal)
  }
}

/** Path of the context. Errors: INVALID_ARGUMENT. */
async function unpack(
  store: ImageStore,
  { write, signal }: BuildRequest,
  tmpDir: string,
): Promise<string> {
  const archive = `${tmpDir}/context.tar`
  const context = `${tmpDir}/context`
  await write(archive)
  await decompress(store, archive)
  await mkdir(context, { mode: 0o700 })
  const argv = ['tar', '-C', context, '-xpf', archive]
  const result = await store.run(argv, { timeoutMs: buildTimeoutMs, signal })
  await rm(archive)
  if (signal.aborted) throw cancelled()
  if (result.code === 0) return context
  throw /no space left on device/i.test(result.stderr)
    ? full()
    : new SwarmError('INVALID_ARGUMENT', `the build context is no tar: ${result.stderr.trim()}`)
}

interface Place {
  readonly transfer: Transfer
  readonly context: string
  readonly tags: readonly string[]
  /** Empty: there are none. */
  readonly labels: string
}

async function build(deps: BuildDeps, request: BuildRequest, place: Place): Promise<StoredImage> {
  const { store, clock } = deps
  const { tmpDir, authDir } = place.transfer
  const { dockerfile, credentials } = request.options
  const files = {
    dockerfile: `${tmpDir}/Dockerfile`,
    id: `${tmpDir}/id`,
    log: `${tmpDir}/log`,
    auth: `${authDir}/auth.json`,
    registries: `${authDir}/registries.conf`,
    runtime: `${authDir}/runtime`,
  }
  if (dockerfile !== '') await writeFile(files.dockerfile, dockerfile)
  await writeFile(files.registries, registriesConf(deps))
  await writeAuthFile(files.auth, credentials)
  const run = async (options: BuildOptions, tags: readonly string[]): Promise<string> => {
    // Afresh: buildah writes each from its beginning.
    await writeFile(files.log, '')
    const follower = followFile(files.log, clock, request.output)
    // Nothing is followed any more, also where the program could not be run.
    return await runOnce(options, tags).finally(() => follower.end())
  }
  const runOnce = async (options: BuildOptions, tags: readonly string[]): Promise<string> => {
    const argv = buildArguments(options, { ...place, tags, files, cgroup: deps.cgroup })
    const result = await store.buildah(argv, {
      timeoutMs: buildTimeoutMs,
      signal: request.signal,
      tmpDir,
      registriesConf: files.registries,
    })
    if (request.signal.aborted) throw cancelled()
    if (result.code !== 0) throw buildError(result.stderr, place.context)
    return (await readFile(files.id, 'utf8')).trim().replace(/^sha256:/, '')
  }
  const whole = async (): Promise<string> => {
    const { options } = request
    if (place.labels === '') return await run(options, place.tags)
    // buildah's own --label is left out where all steps were there already.
    const dockerfile = `FROM ${await run(options, [])}\n${place.labels}`
    await writeFile(files.dockerfile, dockerfile)
    return await run({ ...options, dockerfile, target: '', buildArgs: [], pull: false }, place.tags)
  }
  return await finishTransfer(store, `@${await whole()}`)
}

/** An instruction of a Dockerfile. Errors: INVALID_ARGUMENT. */
export function labelFile(labels: readonly string[]): string {
  const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`
  const words = labels.map((label) => {
    const at = label.indexOf('=')
    const [name, value] = at < 0 ? [label, ''] : [label.slice(0, at), label.slice(at + 1)]
    if (name === '' || /[\n\r\0]/.test(label)) {
      const text = `label ${JSON.stringify(label)} is not valid: it must be NAME=VALUE, of one line`
      throw new SwarmError('INVALID_ARGUMENT', text)
    }
    return `${quoted(name)}=${quoted(value)}`
  })
  return words.length === 0 ? '' : `LABEL ${words.join(' ')}\n`
}

interface BuildPlace extends Place {
  readonly files: {
    readonly dockerfile: string
    readonly id: string
    readonly log: string
    readonly auth: string
    /** Folder of crun's notes. */
    readonly runtime: string
  }
  readonly cgroup: string
}

/** Of buildah, behind its flags for the store. Pure. */
export function buildArguments(options: BuildOptions, place: BuildPlace): readonly string[] {
  const { files, context, tags, cgroup } = place
  const given = (flag: string, values: readonly string[]): readonly string[] =>
    values.map((value) => `--${flag}=${value}`)
  return [
    ...['build', '--layers', '--isolation=oci', '--runtime=crun', `--cgroup-parent=${cgroup}`],
    `--runtime-flag=root=${files.runtime}`,
    // Docker's own format: OCI's has neither HEALTHCHECK nor SHELL.
    ...['--format=docker', `--network=${options.network || 'host'}`],
    ...[`--pull=${options.pull ? 'always' : 'false'}`, `--authfile=${files.auth}`],
    ...[`--iidfile=${files.id}`, `--logfile=${files.log}`],
    `--file=${options.dockerfile === '' ? `${context}/Dockerfile` : files.dockerfile}`,
    ...given('tag', tags),
    ...given('build-arg', options.buildArgs),
    ...given('target', options.target === '' ? [] : [options.target]),
    ...(options.noCache ? ['--no-cache'] : []),
    context,
  ]
}

/** What is appended to the file, soon after it was. */
function followFile(
  path: string,
  clock: Clock,
  output: (text: string) => void,
): { end(): Promise<void> } {
  let at = 0
  const decoder = new TextDecoder()
  const readOn = async (): Promise<void> => {
    const file = await open(path, 'r')
    try {
      while (true) {
        const { bytesRead, buffer } = await file.read(Buffer.alloc(pieceBytes), 0, pieceBytes, at)
        if (bytesRead === 0) return
        at += bytesRead
        const text = decoder.decode(buffer.subarray(0, bytesRead), { stream: true })
        if (text !== '') output(text)
      }
    } finally {
      await file.close()
    }
  }
  let reading = Promise.resolve()
  const look = (): void => {
    reading = readOn().catch(() => {})
    void reading.then(() => {
      if (!isEnded) timer = clock.setTimer(followEveryMs, look)
    })
  }
  let isEnded = false
  let timer = clock.setTimer(followEveryMs, look)
  return {
    end: async () => {
      isEnded = true
      timer.cancel()
      await reading
      await readOn()
    },
  }
}

/** `context`: its path on this host says nothing to a user. */
export function buildError(stderr: string, context: string): SwarmError {
  const lines = stderr.trim().split('\n')
  if (/no space left on device/i.test(stderr)) return full()
  if (/exec: buildah: not found/.test(stderr)) {
    return new SwarmError('HOST_UNFIT', 'this host has no buildah: apt-get install buildah')
  }
  const reason = (lines.at(-1) ?? '').replace(/^Error: /, '').replaceAll(context, '.')
  return new SwarmError('INVALID_ARGUMENT', `the build failed: ${reason}`)
}

function full(): SwarmError {
  return new SwarmError('RESOURCE_EXHAUSTED', "cannot build: no space left on this host's disk")
}

function cancelled(): SwarmError {
  return new SwarmError('CANCELLED', 'the build was given up')
}
