// The files that a task's secrets and configs become in its container.
import { SwarmError } from '../proto/errors.ts'
import { payloadsOf } from '../proto/objects/index.ts'
import { payloadTarget } from '../proto/spec/payload-spec.ts'
import type { HostFacts } from './container-config.ts'
import type { ContainerConfig, FileMount } from './executor/executor.ts'
import { type PayloadSource, PayloadStore } from './payload-store.ts'
import type { Wanted } from './task-driver.ts'

function noPayloads(): PayloadSource {
  const store = new PayloadStore()
  store.keepOnly([])
  return store
}

/** Waits for a manager that sends them. Errors: NOT_FOUND, INVALID_ARGUMENT (a template), CANCELLED. */
export async function payloadFiles(
  { spec }: Wanted,
  { host }: { readonly config: ContainerConfig; readonly host: HostFacts },
  signal: AbortSignal,
): Promise<readonly FileMount[]> {
  const uses = payloadsOf(spec.container)
  if (uses.length === 0) return []
  const payloads = await (host.payloads ?? noPayloads()).need(uses, signal)
  return uses.map((use) => {
    const payload = payloads.get(use.source)
    const data = payload?.data ?? new Uint8Array(0)
    if (payload?.templateDriver === 'golang')
      throw new SwarmError(
        'UNSUPPORTED',
        `${use.kind} "${use.name}" is a template, which this version does not expand`,
      )
    return {
      target: payloadTarget(use.kind, use),
      uid: Number(use.uid),
      gid: Number(use.gid),
      mode: use.mode,
      data: () => data,
    }
  })
}
