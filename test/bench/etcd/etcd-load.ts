// The native load on etcd: a Go program against etcd's own client library, built when it is needed from what Debian
// ships. Installs nothing.
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const source = fileURLToPath(new URL('../../../../test/bench/etcd/load.go', import.meta.url))
const goPath = '/usr/share/gocode'
const buildMs = 300_000

/** Where its library lies, what it needs, and what installs it. */
const packages: readonly { readonly isThere: () => Promise<boolean>; readonly name: string }[] = [
  { isThere: () => answers('etcd', ['--version']), name: 'etcd-server' },
  { isThere: () => answers('go', ['version']), name: 'golang-go' },
  {
    isThere: async () => existsSync(`${goPath}/src/go.etcd.io/etcd/clientv3`),
    name: 'golang-etcd-server-dev',
  },
]

/** What a load did. */
export interface EtcdLoadResult {
  readonly committed: number
  /** Puts that were committed before the measuring began. */
  readonly warmUp: number
  readonly others: Readonly<Record<string, number>>
  readonly ms: number
  readonly p50Ms: number
  readonly p99Ms: number
}

export interface EtcdLoadOptions {
  readonly endpoint: string
  readonly connections: number
  readonly clients: number
  readonly valueBytes: number
  readonly warmUpMs: number
  readonly loadMs: number
}

/** Debian packages that are missing here; empty when etcd can be measured. */
export async function missingPackages(): Promise<readonly string[]> {
  const missing: string[] = []
  for (const { isThere, name } of packages) if (!(await isThere())) missing.push(name)
  return missing
}

/** As `etcd --version` says it. */
export async function etcdVersion(): Promise<string> {
  const { stdout } = await run('etcd', ['--version'], { timeout: 10_000 })
  return /etcd Version: (\S+)/.exec(stdout)?.[1] ?? 'unknown'
}

export class EtcdLoad {
  readonly #directory: string

  private constructor(directory: string) {
    this.#directory = directory
  }

  /** Builds the program; takes about 10 s the first time on a machine. Throws what the compiler says. */
  static async build(): Promise<EtcdLoad> {
    const directory = mkdtempSync(join(tmpdir(), 'tsswarm-bench-load-'))
    await run('go', ['build', '-o', join(directory, 'load'), source], {
      env: { ...process.env, GO111MODULE: 'off', GOPATH: goPath },
      timeout: buildMs,
    })
    return new EtcdLoad(directory)
  }

  async run(options: EtcdLoadOptions): Promise<EtcdLoadResult> {
    const { stdout } = await run(
      join(this.#directory, 'load'),
      [
        `-endpoint=${options.endpoint}`,
        `-connections=${options.connections}`,
        `-clients=${options.clients}`,
        `-value-bytes=${options.valueBytes}`,
        `-warm-up=${options.warmUpMs}ms`,
        `-duration=${options.loadMs}ms`,
      ],
      { timeout: 60_000 + options.warmUpMs + options.loadMs },
    )
    return JSON.parse(stdout) as EtcdLoadResult
  }

  end(): void {
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

async function answers(command: string, args: readonly string[]): Promise<boolean> {
  try {
    await run(command, args, { timeout: 10_000 })
    return true
  } catch {
    return false
  }
}
