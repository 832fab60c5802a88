// Asks a registry whether it takes credentials. Nothing is kept of them.
import { SwarmError } from '../../proto/errors.ts'
import type { RegistryAuth } from '../executor/executor.ts'
import { usualPatience } from './patience.ts'
import type { PushDeps } from './push.ts'
import { isRegistry } from './reference.ts'
import { tlsFlags, withAuthDir } from './registry-access.ts'
import { lastLine } from './registry-manifest.ts'

/** Shorter than clients wait. */
const loginMsMax = 20_000

/** Errors: INVALID_ARGUMENT, UNAUTHENTICATED with the registry's words, UNAVAILABLE. */
export async function tryLogin(
  {
    store,
    insecureRegistries,
    patience = usualPatience,
  }: Pick<PushDeps, 'store' | 'insecureRegistries' | 'patience'>,
  registry: string,
  { auth, signal }: { readonly auth: RegistryAuth; readonly signal: AbortSignal },
): Promise<void> {
  if (!isRegistry(registry)) {
    throw new SwarmError(
      'INVALID_ARGUMENT',
      `invalid registry ${JSON.stringify(registry)}: it must be HOST or HOST:PORT`,
    )
  }
  const timeoutMs = Math.min(patience.answerMs, loginMsMax)
  await withAuthDir(store.paths.runDir, async (dir) => {
    const result = await store.skopeo(
      [
        ...['login', `--authfile=${dir}/auth.json`, `--username=${auth.username}`],
        ...['--password-stdin', ...tlsFlags(registry, insecureRegistries, ''), registry],
      ],
      { timeoutMs, signal, input: auth.password },
    )
    if (result.cutShort === 'timeout') {
      throw loginError(registry, `no answer within ${timeoutMs / 1_000} s`)
    }
    if (result.code !== 0) throw loginError(registry, result.stderr)
  })
}

function loginError(registry: string, stderr: string): SwarmError {
  const reason = lastLine(stderr).replace(/^(Error: )?logging into "[^"]*": /, '')
  if (/invalid username\/password|unauthorized|denied/i.test(reason)) {
    return new SwarmError(
      'UNAUTHENTICATED',
      `login attempt to registry ${registry} failed: ${reason}`,
    )
  }
  const hint = /HTTP response to HTTPS client/i.test(reason)
    ? '. It speaks plain HTTP: add it to the insecure registries of the daemon if that is meant'
    : ''
  return new SwarmError('UNAVAILABLE', `cannot log in to registry ${registry}: ${reason}${hint}`)
}
