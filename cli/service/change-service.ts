// Reading a service, changing its spec and writing it back; again when someone else changed it meanwhile.
import { hasCode } from '../../proto/errors.ts'
import { ControlService } from '../../proto/gen/tsswarm/v1/control.ts'
import type { Service, ServiceSpec } from '../../proto/gen/tsswarm/v1/objects.ts'
import { newId } from '../../proto/lib/ids.ts'
import type { Client } from '../client.ts'
import { getService, incomplete } from '../common.ts'
import type { CommandContext } from '../context.ts'

const triesMax = 5

export interface ChangedService {
  readonly serviceId: string
  readonly warnings: readonly string[]
}

/** `change` sees the present spec at each try: what flags say is applied to what is there, never over it. */
export async function changeService(
  ctx: CommandContext,
  client: Client,
  reference: string,
  change: (spec: ServiceSpec) => ServiceSpec,
): Promise<ChangedService> {
  return await changeServiceWith(ctx, client, reference, (spec) => ({ spec: change(spec) }))
}

export interface ServiceChange {
  readonly spec: ServiceSpec
  /** Credentials for its image; absent: it keeps those it has. */
  readonly registryAuth?: string
}

/** The same, with credentials. */
export async function changeServiceWith(
  ctx: CommandContext,
  client: Client,
  reference: string,
  change: (spec: ServiceSpec) => ServiceChange | Promise<ServiceChange>,
): Promise<ChangedService> {
  return await writeService(ctx, client, reference, async ({ spec }) => {
    if (spec === undefined) throw incomplete('service')
    return { ...(await change(spec)), rollback: false }
  })
}

/** The service gets the spec that it had before its last update. Errors: FAILED_PRECONDITION without one. */
export async function rollBackService(
  ctx: CommandContext,
  client: Client,
  reference: string,
): Promise<ChangedService> {
  return await writeService(ctx, client, reference, async () => ({
    spec: undefined,
    rollback: true,
  }))
}

async function writeService(
  ctx: CommandContext,
  client: Client,
  reference: string,
  wish: (service: Service) => Promise<{
    readonly spec: ServiceSpec | undefined
    readonly registryAuth?: string
    readonly rollback: boolean
  }>,
): Promise<ChangedService> {
  for (let tries = 1; ; tries += 1) {
    const { service } = await getService(client, reference)
    if (service === undefined) throw incomplete('service')
    try {
      const { warnings } = await client.call(ControlService.updateService, {
        requestId: newId(ctx.random),
        serviceId: service.id,
        version: service.meta?.version ?? 0,
        ...(await wish(service)),
      })
      return { serviceId: service.id, warnings }
    } catch (err) {
      if (!hasCode(err, 'OUT_OF_SEQUENCE') || tries === triesMax) throw err
    }
  }
}
