// The credentials with which a task pulls its image: those of its service, from the managers, for this pull alone.
import { parseRegistryAuth } from '../proto/codec/registry-login.ts'
import type { HostFacts } from './container-config.ts'
import type { PullLogin } from './image-source.ts'
import type { Wanted } from './task-driver.ts'

/**
 * Undefined: it has none, or no longer; then the registry says what it thinks of that. Waits for a manager as long as none has told what
 * this node is to have. Errors: CANCELLED.
 */
export async function pullLogin(
  { task }: Wanted,
  { payloads }: Pick<HostFacts, 'payloads'>,
  signal: AbortSignal,
): Promise<PullLogin | undefined> {
  const { registryLoginId: id } = task
  if (id === undefined || payloads === undefined) return undefined
  const payload = await payloads.login(id, signal)
  const auth = payload && parseRegistryAuth(Buffer.from(payload.data).toString('utf8'))
  return auth && { id, auth }
}
