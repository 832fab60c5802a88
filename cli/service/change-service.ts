// Reading a service, changing its spec and writing it back; again when someone else changed it meanwhile.
import { hasCode } from '../../proto/errors.ts'
import { ControlService } from '../../proto/gen/tsswarm/v1/control.ts'
import type { ServiceSpec } from '../../proto/gen/tsswarm/v1/objects.ts'
import { newId } from '../../proto/lib/ids.ts'
import type { Client } from '../client.ts'
import { getService, incomplete } from '../common.ts'
import type { CommandContext } from '../context.ts'

const triesMax = 5

/** `change` sees the present spec at each try: what flags say is applied to what is there, never over it. */
export async function changeService(
  ctx: CommandContext,
  client: Client,
  reference: string,
  change: (spec: ServiceSpec) => ServiceSpec,
): Promise<{ readonly serviceId: string; readonly warnings: readonly string[] }> {
  for (let tries = 1; ; tries += 1) {
    const { service } = await getService(client, reference)
    if (service?.spec === undefined) throw incomplete('service')
    try {
      const { warnings } = await client.call(ControlService.updateService, {
        requestId: newId(ctx.random),
        serviceId: service.id,
        version: service.meta?.version ?? 0,
        spec: change(service.spec),
      })
      return { serviceId: service.id, warnings }
    } catch (err) {
      if (!hasCode(err, 'OUT_OF_SEQUENCE') || tries === triesMax) throw err
    }
  }
}
