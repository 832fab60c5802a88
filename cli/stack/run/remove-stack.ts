// Removes what carries a stack's label: services, its history, then secrets and configs, then networks, which wait until the tasks have left them.
import { hasCode, SwarmError } from '../../../proto/errors.ts'
import { ControlService } from '../../../proto/gen/tsswarm/v1/control.ts'
import { wait } from '../../../proto/lib/clock.ts'
import { newId } from '../../../proto/lib/ids.ts'
import { namespaceLabel } from '../../../proto/objects/stack.ts'
import type { Client } from '../../client.ts'
import type { CommandContext } from '../../context.ts'
import { listNetworks, listServices, listTasks } from '../../lists.ts'
import { presentPayloads } from './swarm-state.ts'

const pollMs = 250

/** The filter for what is of a stack. */
export function ofStack(name: string) {
  return { key: 'label', values: [`${namespaceLabel}=${name}`] }
}

export interface RemoveOptions {
  /** Also wait until the tasks have ended. */
  readonly waits: boolean
  readonly timeoutMs: number
}

/** Whether there was anything. Errors: DEADLINE_EXCEEDED when tasks hold a network, or are there, for too long; as Client.call. */
export async function removeStack(
  ctx: CommandContext,
  client: Client,
  name: string,
  { waits, timeoutMs }: RemoveOptions,
): Promise<boolean> {
  const endMs = ctx.clock.monotonicMs() + timeoutMs
  const services = await listServices(client, [ofStack(name)])
  for (const { service } of services) {
    ctx.stdout.write(`Removing service ${service?.spec?.name}\n`)
    await goes(() =>
      client.call(ControlService.removeService, {
        requestId: newId(ctx.random),
        reference: service?.id ?? '',
      }),
    )
  }
  const revisions = await removeHistory(ctx, client, name)
  const files = await removePayloads(ctx, client, name)
  const networks = await listNetworks(client, [ofStack(name)])
  for (const { id, spec } of networks) {
    ctx.stdout.write(`Removing network ${spec?.name}\n`)
    await untilFree(ctx, endMs, `network ${spec?.name}`, async () => {
      await goes(() =>
        client.call(ControlService.removeNetwork, { requestId: newId(ctx.random), reference: id }),
      )
    })
  }
  if (waits) {
    await untilFree(ctx, endMs, `stack ${name}`, async () => {
      const tasks = await listTasks(client, [ofStack(name)])
      if (tasks.length > 0) throw new SwarmError('IN_USE', `${tasks.length} tasks have not ended`)
    })
  }
  return services.length + files + networks.length + revisions > 0
}

/** How many revisions there were. */
async function removeHistory(ctx: CommandContext, client: Client, stack: string): Promise<number> {
  const request = { requestId: newId(ctx.random), stack }
  try {
    return (await client.call(ControlService.removeStackHistory, request)).revisions
  } catch (err) {
    // A manager of an older version keeps none.
    if (!hasCode(err, 'UNSUPPORTED')) throw err
    return 0
  }
}

async function removePayloads(ctx: CommandContext, client: Client, name: string): Promise<number> {
  let count = 0
  for (const kind of ['secret', 'config'] as const) {
    const method = kind === 'secret' ? ControlService.removeSecret : ControlService.removeConfig
    for (const payload of await presentPayloads(client, kind)) {
      if (payload.labels[namespaceLabel] !== name) continue
      ctx.stdout.write(`Removing ${kind} ${payload.name}\n`)
      await goes(() => client.call(method, { requestId: newId(ctx.random), reference: payload.id }))
      count += 1
    }
  }
  return count
}

/** Removes; that somebody else removed it meanwhile is no error. */
export async function goes(remove: () => Promise<unknown>): Promise<void> {
  try {
    await remove()
  } catch (err) {
    if (!hasCode(err, 'NOT_FOUND')) throw err
  }
}

export async function untilFree(
  ctx: CommandContext,
  endMs: number,
  what: string,
  remove: () => Promise<void>,
): Promise<void> {
  while (true) {
    try {
      await remove()
      return
    } catch (err) {
      if (!hasCode(err, 'IN_USE')) throw err
      if (ctx.signal.aborted) throw new SwarmError('CANCELLED', 'interrupted', { cause: err })
      if (ctx.clock.monotonicMs() > endMs) {
        const text = `${what} is still in use: ${err.message}. Run the command again when its tasks have ended`
        throw new SwarmError('DEADLINE_EXCEEDED', text, { cause: err })
      }
      await wait(ctx.clock, pollMs, ctx.signal)
    }
  }
}
