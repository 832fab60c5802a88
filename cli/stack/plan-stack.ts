// Compares what a stack is to be with what is there: what a deployment does, and what `stack plan` says. Decides only.

import { namespaceLabel } from '../../proto/objects/stack.ts'
import type { NetworkSpec } from '../../proto/spec/network-spec.ts'
import type { PayloadKind } from '../../proto/spec/payload-spec.ts'
import type { ServiceKind } from '../../proto/spec/service-mode.ts'
import type { ServiceSpec } from '../../proto/spec/service-spec.ts'
import { inOrderOfNeed } from './dependency-order.ts'
import { type Difference, differences } from './differences.ts'
import { faultsError, type Notice } from './node.ts'
import type { StackPayload, StackSpec } from './stack-spec.ts'

/** What is there. Networks, secrets and configs in specs of services by name. */
export interface SwarmState {
  readonly networks: readonly { readonly id: string; readonly spec: NetworkSpec }[]
  readonly services: readonly { readonly id: string; readonly spec: ServiceSpec }[]
  readonly payloads: readonly PresentPayload[]
}

export interface PresentPayload {
  readonly kind: PayloadKind
  readonly id: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly templateDriver: string
}

/** A secret or config whose file was read. */
export interface ReadPayload extends StackPayload {
  /** Whether the swarm has the same content under the name. */
  readonly isContentThere: boolean
}

export type PlanKind = 'network' | PayloadKind | 'service'

/** What becomes of the tasks of a service that changes. */
export type TaskEffect = 'replaced' | 'moved where they no longer fit' | 'run again' | 'kept'

export type Step =
  | {
      readonly action: 'create' | 'remove' | 'keep'
      readonly kind: PlanKind
      readonly name: string
      readonly id: string
    }
  /** A service that gets a new version of a secret or config, and is else as it is. */
  | {
      readonly action: 'roll'
      readonly kind: PlanKind
      readonly name: string
      readonly id: string
      readonly tasks: TaskEffect
    }
  | {
      readonly action: 'change'
      readonly kind: PlanKind
      readonly name: string
      readonly id: string
      readonly changes: readonly Difference[]
      readonly tasks: TaskEffect
      /** It also gets a new version of a secret or config. Absent rather than false. */
      readonly rolls?: true
    }

export interface StackPlan {
  /** In the order in which they are taken. */
  readonly steps: readonly Step[]
  readonly notices: readonly Notice[]
}

export interface PlanOptions {
  /** Services of the stack that the files no longer have are removed. */
  readonly prunes: boolean
}

/**
 * The steps from what is there to what is wanted: networks, secrets, configs, services, and last what goes.
 * Errors: FAILED_PRECONDITION, INVALID_ARGUMENT with file and line for names that others have and external objects
 * that are not there.
 */
export function planStack(
  stack: StackSpec,
  payloads: readonly ReadPayload[],
  state: SwarmState,
  options: PlanOptions,
): StackPlan {
  const notices: Notice[] = []
  refuseMissing(stack, state)
  const networks = stack.networks.map((spec) => networkStep(stack, spec, state, notices))
  const files = payloads.map((payload) => payloadStep(payload, state))
  const rolled = files.filter((step) => step.action === 'change' && step.tasks === 'replaced')
  const services = inOrderOfNeed(stack.services).map(({ spec }) =>
    withRoll(serviceStep(stack, spec, state), spec, { state, rolled }),
  )
  const removed = options.prunes ? obsolete(stack, state) : []
  const others = rolledBeside([...services, ...removed], { state, rolled })
  return { steps: [...networks, ...files, ...services, ...others, ...removed], notices }
}

interface Rolled {
  readonly state: SwarmState
  /** Secrets and configs that get a new version, which every service that has one of them gets at once. */
  readonly rolled: readonly Step[]
}

function withRoll(step: Step, spec: ServiceSpec, { state, rolled }: Rolled): Step {
  const live = state.services.find(({ id }) => id === step.id)
  if (live === undefined || !usesAny(live.spec, rolled)) return step
  const tasks = rollEffect(spec.mode.kind)
  if (step.action === 'keep') return { ...step, action: 'roll', tasks }
  return step.action === 'change' ? { ...step, tasks, rolls: true } : step
}

/** Services that no file names: of the stack, since it was deployed with others, or of somebody else. */
function rolledBeside(steps: readonly Step[], { state, rolled }: Rolled): readonly Step[] {
  const planned = new Set(steps.map(({ id }) => id))
  return state.services
    .filter(({ id, spec }) => !planned.has(id) && usesAny(spec, rolled))
    .map(({ id, spec }) => {
      const tasks = rollEffect(spec.mode.kind)
      return { action: 'roll', kind: 'service', name: spec.name, id, tasks }
    })
}

/** As of a change of the task. */
function rollEffect(mode: ServiceKind): TaskEffect {
  if (mode === 'cron') return 'kept'
  return mode === 'replicated-job' || mode === 'global-job' ? 'run again' : 'replaced'
}

function usesAny({ task }: ServiceSpec, rolled: readonly Step[]): boolean {
  const { secrets, configs } = task.container
  return rolled.some(({ kind, name }) =>
    (kind === 'secret' ? secrets : configs).some(({ source }) => sameName(source, name)),
  )
}

function refuseMissing(stack: StackSpec, state: SwarmState): void {
  const faults = stack.externals.flatMap(({ kind, name, at, path }): Notice[] => {
    const isThere =
      kind === 'network'
        ? state.networks.some((network) => network.spec.name === name || network.id === name)
        : state.payloads.some((payload) => payload.kind === kind && payload.name === name)
    if (isThere) return []
    const text = `${kind} "${name}" is external and is not there: make it with "tsswarm ${kind} create"`
    return [{ at, path, text }]
  })
  if (faults.length > 0) throw faultsError(faults)
}

/** A network cannot change; that it would have to is said. */
function networkStep(
  stack: StackSpec,
  spec: NetworkSpec,
  state: SwarmState,
  notices: Notice[],
): Step {
  const found = state.networks.find((network) => sameName(network.spec.name, spec.name))
  if (found === undefined) return { action: 'create', kind: 'network', name: spec.name, id: '' }
  const [first] = stack.services
  if (found.spec.labels[namespaceLabel] !== stack.name) {
    throw takenError('network', found.spec, { at: first?.at ?? noPlace, path: 'networks' })
  }
  const changes = differences(bareNetwork(found.spec), bareNetwork(spec))
  if (changes.length > 0 && first !== undefined) {
    const fields = changes.map(({ field }) => field).join(', ')
    const text = `network "${spec.name}" stays as it is, though ${fields} would differ: networks cannot be changed; remove the stack first`
    const { at } = first
    const whole = at.line === 0 ? at : { ...at, line: 1, column: 1 }
    notices.push({ at: whole, path: 'networks', text })
  }
  return { action: 'keep', kind: 'network', name: found.spec.name, id: found.id }
}

/** Without what the managers may have filled in. */
function bareNetwork(spec: NetworkSpec): unknown {
  const subnets = spec.subnets.map(({ subnet }) => subnet)
  return { ...spec, subnets }
}

function payloadStep(payload: ReadPayload, state: SwarmState): Step {
  const { kind, name } = payload
  const found = state.payloads.find((one) => one.kind === kind && sameName(one.name, name))
  if (found === undefined) return { action: 'create', kind, name, id: '' }
  const changes = [
    ...differences(found.labels, payload.labels, 'labels'),
    ...differences(found.templateDriver, payload.templateDriver, 'templateDriver'),
    ...(payload.isContentThere ? [] : [{ field: 'data', from: 'what is there', to: payload.file }]),
  ]
  if (changes.length === 0) return { action: 'keep', kind, name, id: found.id }
  const isNewVersion = changes.some(({ field }) => !field.startsWith('labels'))
  const tasks = isNewVersion ? 'replaced' : 'kept'
  return { action: 'change', kind, name, id: found.id, changes, tasks }
}

function serviceStep(stack: StackSpec, spec: ServiceSpec, state: SwarmState): Step {
  const { name } = spec
  const found = state.services.find((service) => sameName(service.spec.name, name))
  if (found === undefined) return { action: 'create', kind: 'service', name, id: '' }
  if (found.spec.labels[namespaceLabel] !== stack.name) throw taken(stack, spec, found.spec)
  refuseOtherMode(stack, spec, found.spec)
  const changes = differences(found.spec, wantedSpec(spec, found.spec))
  if (changes.length === 0) return { action: 'keep', kind: 'service', name, id: found.id }
  return {
    action: 'change',
    kind: 'service',
    name,
    id: found.id,
    changes,
    tasks: effectOf(changes, spec.mode.kind),
  }
}

/** Source: swarm-semantics 1.1, controlapi: no mode change. */
function refuseOtherMode(stack: StackSpec, spec: ServiceSpec, live: ServiceSpec): void {
  const [from, to] = [live.mode.kind, spec.mode.kind]
  const place = stack.services.find((service) => service.spec === spec)
  if (from === to || place === undefined) return
  const text = `deploy.mode cannot change from ${from} to ${to}: remove service "${live.name}" first`
  throw faultsError([{ at: place.placeOf('deploy'), path: place.path, text }])
}

const noPlace = { file: '', line: 0, column: 0 }

function taken(stack: StackSpec, spec: ServiceSpec, other: ServiceSpec): Error {
  const place = stack.services.find((service) => service.spec === spec)
  return takenError('service', other, place ?? { at: noPlace, path: '' })
}

function takenError(
  kind: 'network' | 'service',
  other: Pick<ServiceSpec, 'name' | 'labels'>,
  { at, path }: Pick<Notice, 'at' | 'path'>,
): Error {
  const owner = other.labels[namespaceLabel]
  const whose = owner === undefined ? 'no stack' : `the stack "${owner}"`
  const text = `${kind} "${other.name}" is there and of ${whose}: remove it, or name the stack otherwise`
  return faultsError([{ at, path, text }])
}

/** What is written: the count of `service update --force` stays, since files do not know of it. */
export function wantedSpec(spec: ServiceSpec, live: ServiceSpec): ServiceSpec {
  return { ...spec, name: live.name, task: { ...spec.task, forceUpdate: live.task.forceUpdate } }
}

/**
 * Source: swarm-semantics 7.1: what makes a task dirty; the endpoint mode changes beside running tasks. A job runs again whatever changes, and
 * a cron service waits for its schedule.
 */
function effectOf(changes: readonly Difference[], mode: ServiceKind): TaskEffect {
  if (mode === 'replicated-job' || mode === 'global-job') return 'run again'
  const dirty = changes.filter(({ field }) => field.startsWith('task.'))
  if (dirty.length === 0 || mode === 'cron') return 'kept'
  const isPlacement = dirty.every(({ field }) => field.startsWith('task.placement'))
  return isPlacement ? 'moved where they no longer fit' : 'replaced'
}

function obsolete(stack: StackSpec, state: SwarmState): readonly Step[] {
  const wanted = new Set(stack.services.map(({ spec }) => spec.name.toLowerCase()))
  return state.services
    .filter(({ spec }) => spec.labels[namespaceLabel] === stack.name)
    .filter(({ spec }) => !wanted.has(spec.name.toLowerCase()))
    .map(({ id, spec }) => ({ action: 'remove', kind: 'service', name: spec.name, id }))
}

function sameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}

/** Whether a deployment would do nothing. */
export function changesNothing(plan: StackPlan): boolean {
  return plan.steps.every(({ action }) => action === 'keep')
}
