// Carries out the plan of a stack, step by step, and waits for its services if asked to.
import { networkSpecToProto } from '../../../proto/codec/network.ts'
import { serviceSpecFromProto, serviceSpecToProto } from '../../../proto/codec/service.ts'
import { hasCode, SwarmError } from '../../../proto/errors.ts'
import { ControlService } from '../../../proto/gen/tsswarm/v1/control.ts'
import type { ServiceSpec as ServiceSpecProto } from '../../../proto/gen/tsswarm/v1/objects.ts'
import { wait } from '../../../proto/lib/clock.ts'
import { newId } from '../../../proto/lib/ids.ts'
import { childController } from '../../../proto/lib/lifecycle.ts'
import type { ServiceSpec } from '../../../proto/spec/service-spec.ts'
import type { Client } from '../../client.ts'
import { incomplete, printWarnings } from '../../common.ts'
import type { CommandContext } from '../../context.ts'
import { converge } from '../../converge.ts'
import { changeServiceWith } from '../../service/change-service.ts'
import { authsToSend } from '../../service/registry-auth.ts'
import type { Project } from '../load-compose.ts'
import { faultError, noticeText } from '../node.ts'
import {
  type PlanOptions,
  planStack,
  type StackPlan,
  type Step,
  wantedSpec,
} from '../plan-stack.ts'
import { keyOfField } from '../service-of.ts'
import { type StackSpec, stackSpec } from '../stack-spec.ts'
import { type FilledPayload, readPayloads } from './payload-files.ts'
import { type ResolveImage, stackAsOffered } from './stack-images.ts'
import { readSwarmState } from './swarm-state.ts'

/** A stack with the plan that leads to it. */
export interface PlannedStack {
  readonly stack: StackSpec
  readonly payloads: readonly FilledPayload[]
  readonly plan: StackPlan
  /** Of all services before, by id. */
  readonly specs: ReadonlyMap<string, ServiceSpecProto>
  /** Credentials to be sent, by image; absent: none. */
  readonly auths?: ReadonlyMap<string, string>
}

export interface WantedStack {
  readonly name: string
  readonly resolveImage: ResolveImage
  /** Services get this user's logins for the registries of their images. */
  readonly sendsAuth?: boolean
}

/** Notices go to stderr. Errors: INVALID_ARGUMENT with file and line; as Client.call. */
export async function plannedStack(
  ctx: CommandContext,
  client: Client,
  project: Project,
  { name, resolveImage, sendsAuth = false, ...options }: PlanOptions & WantedStack,
): Promise<PlannedStack> {
  const asWritten = stackSpec(name, project)
  const usesPayloads =
    asWritten.payloads.length > 0 || asWritten.externals.some(({ kind }) => kind !== 'network')
  const { state, specs } = await readSwarmState(client, { payloads: usesPayloads })
  const stack = await stackAsOffered(ctx, client, asWritten, {
    services: state.services,
    way: resolveImage,
  })
  const payloads = await readPayloads(client, stack.payloads, state)
  const plan = planStack(stack, payloads, state, options)
  for (const notice of [...stack.notices, ...plan.notices]) {
    ctx.stderr.write(`Warning: ${noticeText(notice)}\n`)
  }
  const images = stack.services.map(({ spec }) => spec.task.container.image)
  const auths = sendsAuth ? { auths: await authsToSend(ctx, images) } : {}
  return { stack, payloads, plan, specs, ...auths }
}

/** A service that the deployment changed. */
export interface TouchedService {
  readonly serviceId: string
  readonly name: string
}

/** A step that was taken, and the id of what it made or changed. */
export interface TakenStep {
  readonly step: Step
  readonly id: string
}

/** Takes all steps, tells `taken` of each, says each on stdout. Errors: as Client.call; what was done before stays. */
export async function carryOut(
  ctx: CommandContext,
  client: Client,
  planned: PlannedStack,
  { quiet, taken }: { readonly quiet: boolean; readonly taken: TakenStep[] },
): Promise<readonly TouchedService[]> {
  const touched: TouchedService[] = []
  for (const step of planned.plan.steps) {
    if (step.action === 'keep') {
      await renewLogin(ctx, client, planned, step)
      continue
    }
    if (!quiet && step.action !== 'roll') ctx.stdout.write(`${lineOf(step)}\n`)
    const id = await takeStep(ctx, client, planned, step)
    taken.push({ step, id })
    if (step.kind === 'service' && step.action !== 'remove') {
      touched.push({ serviceId: id, name: step.name })
    }
  }
  return touched
}

function lineOf({ action, kind, name, id }: Step): string {
  const words = { create: 'Creating', change: 'Updating', remove: 'Removing', roll: '', keep: '' }
  return `${words[action]} ${kind} ${name}${action === 'change' ? ` (id: ${id})` : ''}`
}

/** The id of what was made or changed. */
async function takeStep(
  ctx: CommandContext,
  client: Client,
  planned: PlannedStack,
  step: Step,
): Promise<string> {
  if (step.action === 'roll') return step.id
  switch (step.kind) {
    case 'network':
      return await createNetwork(ctx, client, planned.stack, step)
    case 'secret':
    case 'config':
      return await writePayload(ctx, client, planned.payloads, step)
    case 'service':
      if (step.action !== 'remove') {
        return await withPlace(planned.stack, step, () => writeService(ctx, client, planned, step))
      }
      await client.call(ControlService.removeService, {
        requestId: newId(ctx.random),
        reference: step.id,
      })
      return step.id
  }
}

/** What the managers refuse of a service is told with its place in the files. */
async function withPlace<T>(stack: StackSpec, step: Step, write: () => Promise<T>): Promise<T> {
  try {
    return await write()
  } catch (err) {
    const place = stack.services.find(({ spec }) => spec.name === step.name)
    if (!hasCode(err, 'INVALID_ARGUMENT') || place === undefined) throw err
    const key = keyOfField(String(err.details['field'] ?? ''))
    throw faultError(place.placeOf(key), place.path, err.message)
  }
}

async function createNetwork(
  ctx: CommandContext,
  client: Client,
  stack: StackSpec,
  { name }: Step,
): Promise<string> {
  const spec = stack.networks.find((candidate) => candidate.name === name)
  if (spec === undefined) throw incomplete('network')
  const request = { requestId: newId(ctx.random), spec: networkSpecToProto(spec) }
  const { network } = await client.call(ControlService.createNetwork, request)
  return network?.id ?? ''
}

const payloadWrites = {
  secret: { create: ControlService.createSecret, update: ControlService.updateSecret },
  config: { create: ControlService.createConfig, update: ControlService.updateConfig },
}

async function writePayload(
  ctx: CommandContext,
  client: Client,
  payloads: readonly FilledPayload[],
  step: Step,
): Promise<string> {
  const found = payloads.find(({ kind, name }) => kind === step.kind && name === step.name)
  if (found === undefined) throw incomplete(step.kind)
  const { name, labels, data, templateDriver, kind } = found
  const requestId = newId(ctx.random)
  const spec = { name, labels, data, templateDriver }
  if (step.action === 'create') {
    const { payload } = await client.call(payloadWrites[kind].create, { requestId, spec })
    return payload?.id ?? ''
  }
  const request = { requestId, reference: step.id, version: 0, spec }
  const { payload } = await client.call(payloadWrites[kind].update, request)
  return payload?.id ?? ''
}

async function writeService(
  ctx: CommandContext,
  client: Client,
  { stack, auths }: PlannedStack,
  step: Step,
): Promise<string> {
  const wanted = stack.services.find(({ spec }) => spec.name === step.name)?.spec
  if (wanted === undefined) throw incomplete('service')
  const login = loginOf(wanted, auths)
  if (step.action === 'change') {
    const { serviceId, warnings } = await changeServiceWith(ctx, client, step.id, (live) => ({
      spec: serviceSpecToProto(wantedSpec(wanted, serviceSpecFromProto(live))),
      ...login,
    }))
    printWarnings(ctx, warnings)
    return serviceId
  }
  const request = { requestId: newId(ctx.random), spec: serviceSpecToProto(wanted), ...login }
  const { service, warnings } = await client.call(ControlService.createService, request)
  if (service === undefined) throw incomplete('service')
  printWarnings(ctx, warnings)
  return service.id
}

/** A service that stays as it is gets the credentials all the same: the managers tell nobody which it has. */
async function renewLogin(
  ctx: CommandContext,
  client: Client,
  { stack, auths }: PlannedStack,
  { kind, name, id }: Step,
): Promise<void> {
  const wanted = stack.services.find(({ spec }) => spec.name === name)?.spec
  if (kind !== 'service' || wanted === undefined) return
  const login = loginOf(wanted, auths)
  if (login.registryAuth === undefined) return
  await changeServiceWith(ctx, client, id, (spec) => ({ spec, ...login }))
}

function loginOf({ task }: ServiceSpec, auths: PlannedStack['auths']): { registryAuth?: string } {
  const registryAuth = auths?.get(task.container.image)
  return registryAuth === undefined ? {} : { registryAuth }
}

/** Exit code of a deployment that had not settled in time; that of timeout(1). */
export const timedOutCode = 124

/**
 * Waits until all have converged, one after the other. The exit code: 0, 1 when some cannot (each with its reason on stderr),
 * 124 when the time is over. `timeoutMs` 0: no limit.
 */
export async function waitForServices(
  ctx: CommandContext,
  client: Client,
  services: readonly TouchedService[],
  options: {
    readonly quiet: boolean
    readonly timeoutMs: number
    /** Is told why services cannot. */
    readonly failures?: string[]
  },
): Promise<number> {
  const { quiet, timeoutMs, failures = [] } = options
  const { controller, release } = childController(ctx.signal)
  const timer = timeoutMs > 0 ? deadline(ctx, controller, timeoutMs) : undefined
  let settled = 0
  try {
    for (const service of services) {
      if (controller.signal.aborted) break
      if (!quiet) ctx.stdout.write(`service ${service.name}:\n`)
      try {
        await converge({ ...ctx, signal: controller.signal }, client, { ...service, quiet })
        if (!controller.signal.aborted) settled += 1
      } catch (err) {
        if (!(err instanceof SwarmError) || ctx.signal.aborted) throw err
        const subject = `service ${service.name}`
        failures.push(err.message.startsWith(subject) ? err.message : `${subject}: ${err.message}`)
      }
    }
  } finally {
    timer?.abort()
    release()
  }
  for (const failure of failures) ctx.stderr.write(`Error: ${failure}\n`)
  if (ctx.signal.aborted) return 130
  if (settled + failures.length === services.length) return failures.length === 0 ? 0 : 1
  const late = services.length - settled - failures.length
  const seconds = timeoutMs / 1_000
  ctx.stderr.write(
    `Error: ${late} of ${services.length} services have not converged within ${seconds}s; the work goes on in the background\n`,
  )
  return timedOutCode
}

/** Aborts the controller after the time; the one that is returned ends the waiting for it. */
function deadline(
  ctx: CommandContext,
  controller: AbortController,
  timeoutMs: number,
): AbortController {
  const timer = new AbortController()
  wait(ctx.clock, timeoutMs, timer.signal).then(
    () => {
      if (!timer.signal.aborted) controller.abort()
    },
    () => {},
  )
  return timer
}
