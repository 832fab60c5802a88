// The files that a task's secrets and configs become in its container, their templates expanded for that task.
import { SwarmError } from '../proto/errors.ts'
import { expandPayload } from '../proto/go-template/task-template.ts'
import { type AssignedPayload, payloadsOf, type UsedPayload } from '../proto/objects/index.ts'
import { payloadTarget } from '../proto/spec/payload-spec.ts'
import { type HostFacts, templateContext } from './container-config.ts'
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
  { task, spec }: Wanted,
  { config, host }: { readonly config: ContainerConfig; readonly host: HostFacts },
  signal: AbortSignal,
): Promise<readonly FileMount[]> {
  const uses = payloadsOf(spec.container)
  if (uses.length === 0) return []
  const payloads = await (host.payloads ?? noPayloads()).need(uses, signal)
  const context = templateContext(task, host)
  return uses.map((use) => {
    const payload = payloads.get(use.source)
    if (payload === undefined)
      throw new SwarmError('NOT_FOUND', `${use.kind} "${use.name}" is gone`)
    const data = expanded({ use, payload }, { uses, payloads, env: config.env, context })
    return {
      target: payloadTarget(use.kind, use),
      uid: Number(use.uid),
      gid: Number(use.gid),
      mode: use.mode,
      data: () => data,
    }
  })
}

interface Surroundings {
  readonly uses: readonly UsedPayload[]
  readonly payloads: ReadonlyMap<string, AssignedPayload>
  readonly env: readonly string[]
  readonly context: ReturnType<typeof templateContext>
}

/** What went wrong is told only where no secret can be in it. */
function expanded(
  { use, payload }: { readonly use: UsedPayload; readonly payload: AssignedPayload },
  { uses, payloads, env, context }: Surroundings,
): Uint8Array {
  const { kind, name } = use
  if (payload.templateDriver === '') return payload.data
  let holdsSecret = kind === 'secret'
  const dataOf = (wanted: UsedPayload['kind'], target: string): Uint8Array => {
    const found = uses.find((one) => one.kind === wanted && one.target === target)
    const data = payloads.get(found?.source ?? '')?.data
    if (data !== undefined) return data
    const text = `${wanted} target ${JSON.stringify(target)} not found: the service has no such ${wanted}`
    throw new SwarmError('INVALID_ARGUMENT', text)
  }
  try {
    return expandPayload(payload.data, context, {
      env: (variable) => lastValue(env, variable),
      config: (target) => dataOf('config', target),
      secret: (target) => {
        const data = dataOf('secret', target)
        holdsSecret = true
        return data
      },
    })
  } catch (err) {
    if (!(err instanceof SwarmError)) throw err
    const why = holdsSecret
      ? 'its template is not valid; why is not told, since it holds a secret'
      : err.message
    throw new SwarmError('INVALID_ARGUMENT', `${kind} "${name}" cannot be expanded: ${why}`)
  }
}

function lastValue(env: readonly string[], variable: string): string {
  const line = env.findLast((one) => one.startsWith(`${variable}=`))
  return line === undefined ? '' : line.slice(variable.length + 1)
}
