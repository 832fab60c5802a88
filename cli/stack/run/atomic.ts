// A deployment that is whole or not at all: when it fails, what it did is taken back, the last step first.
import { SwarmError } from '../../../proto/errors.ts'
import { ControlService } from '../../../proto/gen/tsswarm/v1/control.ts'
import { newId } from '../../../proto/lib/ids.ts'
import type { Client } from '../../client.ts'
import type { CommandContext } from '../../context.ts'
import { changeService } from '../../service/change-service.ts'
import {
  type PlannedStack,
  type TakenStep,
  type TouchedService,
  waitForServices,
} from './deploy-stack.ts'
import { beginRevision, type OpenRevision } from './history.ts'
import { carryOutNoted } from './recorded.ts'
import { goes, untilFree } from './remove-stack.ts'

interface AtomicOptions {
  readonly quiet: boolean
  /** 0: no limit. */
  readonly timeoutMs: number
}

/** What one deployment did and met so far. */
interface Attempt extends AtomicOptions {
  readonly revision: OpenRevision
  readonly taken: TakenStep[]
  readonly failures: string[]
}

/** How long networks that are to go again are waited for, when there is no limit. */
const removeMs = 60_000

/** The exit code of the deployment; of a failed one after the stack is what it was. Errors: as Client.call while it is brought back. */
export async function deployAtomically(
  ctx: CommandContext,
  client: Client,
  planned: PlannedStack,
  options: AtomicOptions,
): Promise<number> {
  const { stack, plan } = planned
  const origin = { stack: stack.name, kind: 'deploy', rollbackTo: 0 } as const
  const revision = await beginRevision(ctx, client, plan, origin)
  const attempt: Attempt = { ...options, revision, taken: [], failures: [] }
  const code = await deployed(ctx, client, planned, attempt)
  if (code === 0 || ctx.signal.aborted) return code
  ctx.stderr.write(`Error: stack ${stack.name} is brought back to what it was\n`)
  try {
    const services = await takeBack(ctx, client, planned, attempt)
    await revision.ended('reverted', attempt.failures.join('; '))
    await waitForServices(ctx, client, services, options)
  } catch (err) {
    const why = err instanceof Error ? err.message : String(err)
    await revision.ended('failed', `it was not brought back: ${why}`)
    throw err
  }
  return code
}

async function deployed(
  ctx: CommandContext,
  client: Client,
  planned: PlannedStack,
  attempt: Attempt,
): Promise<number> {
  const { taken, failures } = attempt
  try {
    const touched = await carryOutNoted(ctx, client, planned, attempt)
    return await waitForServices(ctx, client, touched, attempt)
  } catch (err) {
    if (!(err instanceof SwarmError) || ctx.signal.aborted || taken.length === 0) throw err
    ctx.stderr.write(`Error: ${err.message}\n`)
    failures.push(err.message)
    return 1
  }
}

/** The services that are as before again. */
async function takeBack(
  ctx: CommandContext,
  client: Client,
  planned: PlannedStack,
  { timeoutMs, taken }: Attempt,
): Promise<readonly TouchedService[]> {
  const endMs = ctx.clock.monotonicMs() + (timeoutMs === 0 ? removeMs : timeoutMs)
  const services: TouchedService[] = []
  for (const { step, id } of [...taken].reverse()) {
    if (step.action === 'create') {
      await untilFree(ctx, endMs, `${step.kind} ${step.name}`, () =>
        goes(() => removeMade(ctx, client, step.kind, id)),
      )
    } else if (step.kind === 'service') {
      const serviceId = await restoreService(ctx, client, planned, { step, id })
      services.push({ serviceId, name: step.name })
    }
  }
  return services
}

const removals = {
  network: ControlService.removeNetwork,
  secret: ControlService.removeSecret,
  config: ControlService.removeConfig,
  service: ControlService.removeService,
}

async function removeMade(
  ctx: CommandContext,
  client: Client,
  kind: keyof typeof removals,
  reference: string,
): Promise<void> {
  const request = { requestId: newId(ctx.random), reference }
  switch (kind) {
    case 'network':
      await client.call(removals.network, request)
      return
    case 'service':
      await client.call(removals.service, request)
      return
    case 'secret':
    case 'config':
      await client.call(removals[kind], request)
  }
}

/** A service that was pruned is made again and has another id. */
async function restoreService(
  ctx: CommandContext,
  client: Client,
  planned: PlannedStack,
  { step, id }: TakenStep,
): Promise<string> {
  const spec = planned.specs.get(step.id)
  if (spec === undefined) throw new SwarmError('INTERNAL', `no former spec of ${step.name}`)
  if (step.action !== 'remove') {
    return (await changeService(ctx, client, id, () => spec)).serviceId
  }
  const request = { requestId: newId(ctx.random), spec }
  const { service } = await client.call(ControlService.createService, request)
  return service?.id ?? ''
}
