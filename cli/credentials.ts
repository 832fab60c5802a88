// Credentials for registries, kept in a file of the user alone. They go from there to the daemon with each call that needs
// them. Source of the file's form: containers-auth.json(5), as docker, skopeo and buildah have it.
import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { encodeRegistryAuth, type RegistryAuth } from '../proto/codec/registry-login.ts'
import { SwarmError } from '../proto/errors.ts'
import { canonicalRegistry, defaultRegistry, registryOf } from '../proto/lib/image-registry.ts'

type Env = Readonly<Record<string, string | undefined>>

interface AuthFile {
  readonly auths: Readonly<Record<string, { readonly auth: string }>>
}

const othersBits = 0o077

/** The registry that a user means: without scheme and path, `docker.io` by any of its names. */
export function serverName(text: string): string {
  const host = text.replace(/^https?:\/\//, '').replace(/\/.*$/, '')
  return host === '' ? defaultRegistry : canonicalRegistry(host)
}

/** Of the registry of an image, as the daemon takes them; empty: none. Errors: FAILED_PRECONDITION. */
export async function authFor(env: Env, reference: string): Promise<string> {
  const known = await credentialsOf(env, registryOf(reference))
  return known === undefined ? '' : encodeRegistryAuth(known)
}

/** Of all registries, as the daemon takes them. Errors: FAILED_PRECONDITION. */
export async function allCredentials(
  env: Env,
): Promise<readonly { readonly registry: string; readonly auth: string }[]> {
  const path = pathOf(env)
  const entries = path === undefined ? [] : Object.entries((await readAuths(path)).auths)
  return entries.map(([registry, { auth }]) => ({
    registry,
    auth: encodeRegistryAuth(decoded(auth)),
  }))
}

/** Errors: FAILED_PRECONDITION. */
export async function credentialsOf(env: Env, registry: string): Promise<RegistryAuth | undefined> {
  const path = pathOf(env)
  const entry = path === undefined ? undefined : (await readAuths(path)).auths[registry]
  return entry === undefined ? undefined : decoded(entry.auth)
}

function decoded(auth: string): RegistryAuth {
  const text = Buffer.from(auth, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  return { username: text.slice(0, colon), password: text.slice(colon + 1) }
}

/** Replaces what was kept of the registry; the file that was written. Errors: FAILED_PRECONDITION. */
export async function keepCredentials(
  env: Env,
  registry: string,
  { username, password }: RegistryAuth,
): Promise<string> {
  const path = pathOf(env)
  if (path === undefined) {
    throw new SwarmError('FAILED_PRECONDITION', 'there is no place for credentials: set HOME')
  }
  const { auths } = await readAuths(path)
  const auth = Buffer.from(`${username}:${password}`).toString('base64')
  await writeAuths(path, { auths: { ...auths, [registry]: { auth } } })
  return path
}

/** False: there were none. Errors: FAILED_PRECONDITION. */
export async function forgetCredentials(env: Env, registry: string): Promise<boolean> {
  const path = pathOf(env)
  if (path === undefined) return false
  const { [registry]: gone, ...auths } = (await readAuths(path)).auths
  if (gone === undefined) return false
  await writeAuths(path, { auths })
  return true
}

/** Undefined: the user has no home. */
function pathOf(env: Env): string | undefined {
  const home = env['HOME'] === undefined ? undefined : `${env['HOME']}/.config`
  const dir = env['XDG_CONFIG_HOME'] || home
  return dir === undefined ? undefined : `${dir}/tsswarm/registries.json`
}

async function readAuths(path: string): Promise<AuthFile> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
    if (((await stat(path)).mode & othersBits) !== 0)
      throw unusable(path, `others can read it: chmod 600 ${path}`)
  } catch (err) {
    if (err instanceof Error && 'code' in err && err.code === 'ENOENT') return { auths: {} }
    if (err instanceof SwarmError) throw err
    throw unusable(path, err instanceof Error ? err.message : String(err), err)
  }
  const auths = parsed(text)
  if (auths === undefined) throw unusable(path, 'it is damaged: remove it and log in again')
  return auths
}

/** Undefined: it is something else. Never in an error: it is a secret. */
function parsed(text: string): AuthFile | undefined {
  try {
    const value: Partial<AuthFile> | null = JSON.parse(text)
    const auths = value?.auths
    if (typeof auths !== 'object' || auths === null) return undefined
    const isWhole = Object.values(auths).every((entry) => typeof entry?.auth === 'string')
    return isWhole ? { auths } : undefined
  } catch {
    return undefined
  }
}

async function writeAuths(path: string, file: AuthFile): Promise<void> {
  const fresh = `${path}.${process.pid}`
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    await writeFile(fresh, `${JSON.stringify(file, undefined, 2)}\n`, { mode: 0o600, flag: 'wx' })
    await rename(fresh, path)
  } catch (err) {
    throw unusable(path, err instanceof Error ? err.message : String(err), err)
  }
}

function unusable(path: string, why: string, cause?: unknown): SwarmError {
  return new SwarmError('FAILED_PRECONDITION', `cannot use the credentials in ${path}: ${why}`, {
    cause,
  })
}
