// Seccomp filters for containers. crun needs 20 ms to compile one: the first container with a profile and a set of
// capabilities has it compiled, the result is kept and given to the later ones.
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { SwarmError } from '../../../proto/errors.ts'
import type { RuntimeName } from '../../../proto/spec/runtime-names.ts'
import { parseSeccompProfile } from '../../../proto/spec/seccomp-profile.ts'
import type { SeccompChoice } from './oci-spec.ts'
import { type OciSeccomp, ociSeccomp, ownSeccomp, type SeccompProfile } from './seccomp.ts'

export interface SeccompCacheOptions {
  /** The distribution's profile. */
  readonly profilePath: string
  /** Where compiled filters are kept. */
  readonly dir: string
  /** The runtimes' own state; only crun keeps the filter there, and takes one that is compiled. */
  readonly runtimeDir: string
  /** Filters that are kept; default 256. */
  readonly filtersMax?: number
}

/** What a container is to have. */
export interface SeccompWish {
  /** Absent: the default; `unconfined`; or a profile's JSON. */
  readonly profile?: string
  readonly capabilities: readonly string[]
}

/** Filters that are kept compiled, those used last; 3 to 10 KB each. */
const compiledMax = 256
const keyForm = /^[0-9a-f]{64}$/

export class SeccompCache {
  readonly #options: SeccompCacheOptions
  /** The one used last at the end. Each has a file of its name; files of former daemons may have no entry yet. */
  readonly #compiled = new Map<string, string>()
  #profile: SeccompProfile = { defaultAction: 'SCMP_ACT_ERRNO', syscalls: [] }
  #profileHash = ''

  constructor(options: SeccompCacheOptions) {
    this.#options = options
  }

  /** Errors: HOST_UNFIT without the profile. */
  async open(): Promise<void> {
    const { profilePath, dir } = this.#options
    await mkdir(dir, { recursive: true, mode: 0o700 })
    try {
      const text = await readFile(profilePath, 'utf8')
      this.#profile = JSON.parse(text)
      this.#profileHash = createHash('sha256').update(text).digest('hex')
    } catch (cause) {
      throw new SwarmError(
        'HOST_UNFIT',
        `cannot read the seccomp profile ${profilePath}: apt-get install golang-github-containers-common`,
        { cause },
      )
    }
    await this.#tidy()
  }

  /** What former daemons kept beyond the bound, or had not finished. */
  async #tidy(): Promise<void> {
    const { dir } = this.#options
    const files = await readdir(dir)
    const kept = new Set(files.filter((file) => keyForm.test(file)).slice(0, this.#max()))
    for (const file of files) if (!kept.has(file)) await rm(`${dir}/${file}`, { force: true })
  }

  #max(): number {
    return this.#options.filtersMax ?? compiledMax
  }

  /** Errors: INVALID_ARGUMENT for what is no profile. */
  async choice(wish: SeccompWish, runtime: RuntimeName): Promise<SeccompChoice> {
    if (wish.profile === 'unconfined') return { kind: 'none' }
    if (runtime !== 'crun') return { kind: 'profile', profile: this.#profileOf(wish) }
    const key = this.#key(wish)
    const bpf = this.#compiled.get(key) ?? (await this.#fromDisk(key))
    if (bpf === undefined || bpf === '') {
      return { kind: 'profile', profile: this.#profileOf(wish) }
    }
    await this.#keep(key, bpf)
    return { kind: 'compiled', bpf }
  }

  /** Keeps what the runtime compiled for the container. */
  async learn(wish: SeccompWish, containerId: string): Promise<void> {
    const { runtimeDir, dir } = this.#options
    const key = this.#key(wish)
    if (this.#compiled.has(key)) return
    const filter = await readFile(`${runtimeDir}/${containerId}/seccomp.bpf`).catch(() => undefined)
    if (filter === undefined || filter.length === 0) return
    const temporary = `${dir}/${key}.${containerId}`
    await writeFile(temporary, filter, { mode: 0o600 })
    await rename(temporary, `${dir}/${key}`)
    await this.#keep(key, filter.toString('base64'))
  }

  /** As the one used last; the one that was not used for longest goes when there are too many. */
  async #keep(key: string, bpf: string): Promise<void> {
    this.#compiled.delete(key)
    this.#compiled.set(key, bpf)
    const [oldest] = this.#compiled.keys()
    if (this.#compiled.size <= this.#max() || oldest === undefined) return
    this.#compiled.delete(oldest)
    await rm(`${this.#options.dir}/${oldest}`, { force: true })
  }

  async #fromDisk(key: string): Promise<string | undefined> {
    return readFile(`${this.#options.dir}/${key}`, 'base64').catch(() => undefined)
  }

  #profileOf({ profile, capabilities }: SeccompWish): OciSeccomp {
    if (profile === undefined) return ociSeccomp(this.#profile, process.arch, capabilities)
    try {
      return ownSeccomp(parseSeccompProfile(profile), process.arch, capabilities)
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause)
      throw new SwarmError('INVALID_ARGUMENT', `the seccomp profile of the container ${why}`)
    }
  }

  #key({ profile, capabilities }: SeccompWish): string {
    const text = JSON.stringify([profile ?? this.#profileHash, process.arch, capabilities])
    return createHash('sha256').update(text).digest('hex')
  }
}
