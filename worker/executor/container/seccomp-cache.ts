// The default seccomp filter for containers. crun needs 20 ms to compile it: the first container with a set of
// capabilities has it compiled, the result is kept and given to the later ones.
import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { SwarmError } from '../../../proto/errors.ts'
import type { SeccompChoice } from './oci-spec.ts'
import { ociSeccomp, type SeccompProfile } from './seccomp.ts'

export interface SeccompCacheOptions {
  /** The distribution's profile. */
  readonly profilePath: string
  /** Where compiled filters are kept. */
  readonly dir: string
  /** The runtime's own state; only crun keeps the filter there. */
  readonly runtimeDir: string
  readonly canCompile: boolean
}

export class SeccompCache {
  readonly #options: SeccompCacheOptions
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
  }

  async choice(capabilities: readonly string[]): Promise<SeccompChoice> {
    const key = this.#key(capabilities)
    const bpf = this.#compiled.get(key) ?? (await this.#fromDisk(key))
    if (bpf === undefined || bpf === '') {
      return { kind: 'profile', profile: ociSeccomp(this.#profile, process.arch, capabilities) }
    }
    this.#compiled.set(key, bpf)
    return { kind: 'compiled', bpf }
  }

  /** Keeps what the runtime compiled for the container. */
  async learn(capabilities: readonly string[], containerId: string): Promise<void> {
    const { runtimeDir, dir, canCompile } = this.#options
    const key = this.#key(capabilities)
    if (!canCompile || this.#compiled.has(key)) return
    const filter = await readFile(`${runtimeDir}/${containerId}/seccomp.bpf`).catch(() => undefined)
    if (filter === undefined || filter.length === 0) return
    this.#compiled.set(key, filter.toString('base64'))
    const temporary = `${dir}/${key}.${containerId}`
    await writeFile(temporary, filter, { mode: 0o600 })
    await rename(temporary, `${dir}/${key}`)
  }

  async #fromDisk(key: string): Promise<string | undefined> {
    if (!this.#options.canCompile) return undefined
    return readFile(`${this.#options.dir}/${key}`, 'base64').catch(() => undefined)
  }

  #key(capabilities: readonly string[]): string {
    const text = JSON.stringify([this.#profileHash, process.arch, capabilities])
    return createHash('sha256').update(text).digest('hex')
  }
}
