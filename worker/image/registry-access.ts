// How tools reach a registry: over TLS or not, as whom.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { RegistryAuth } from '../executor/executor.ts'

export interface RegistryAccess {
  /** `host[:port]` */
  readonly registry: string
  readonly auth: RegistryAuth | undefined
  /** Registries that speak plain HTTP or have no trusted certificate. */
  readonly insecureRegistries: readonly string[]
  /** On tmpfs; removed by the caller. */
  readonly authDir: string
}

/**
 * Flags of skopeo, of whose commands copy has two of each: `src-` and `dest-`. Credentials go through a file: arguments
 * are seen by every process of the host.
 */
export async function registryFlags(
  { registry, auth, insecureRegistries, authDir }: RegistryAccess,
  side: '' | 'src-' | 'dest-',
): Promise<readonly string[]> {
  const tls = tlsFlags(registry, insecureRegistries, side)
  if (auth === undefined) return [...tls, `--${side}no-creds`]
  const path = `${authDir}/auth.json`
  await writeAuthFile(path, [{ registry, ...auth }])
  return [...tls, `--${side}authfile=${path}`]
}

/** Source of its form: containers-auth.json(5). */
export async function writeAuthFile(
  path: string,
  credentials: readonly (RegistryAuth & { readonly registry: string })[],
): Promise<void> {
  const auths = credentials.map(({ registry, username, password }) => {
    const auth = Buffer.from(`${username}:${password}`).toString('base64')
    return [registry, { auth }]
  })
  await writeFile(path, JSON.stringify({ auths: Object.fromEntries(auths) }), { mode: 0o600 })
}

/** A folder of its own on tmpfs for the time of the work. */
export async function withAuthDir<T>(
  runDir: string,
  work: (authDir: string) => Promise<T>,
): Promise<T> {
  const authDir = await mkdtemp(`${runDir}/auth-`)
  try {
    return await work(authDir)
  } finally {
    await rm(authDir, { recursive: true, force: true })
  }
}

export function tlsFlags(
  registry: string,
  insecureRegistries: readonly string[],
  side: '' | 'src-' | 'dest-',
): readonly string[] {
  return insecureRegistries.includes(registry) ? [`--${side}tls-verify=false`] : []
}
