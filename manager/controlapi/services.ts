// CreateService, GetService, ListServices, UpdateService, RemoveService.
import { parseServiceSpec, serviceToProto } from '../../proto/codec/service.ts'
import { SwarmError } from '../../proto/errors.ts'
import {
  type CreateServiceRequest,
  type CreateServiceResponse,
  type ListServicesRequest,
  type ListServicesResponse,
  ServiceView,
  type UpdateServiceRequest,
  type UpdateServiceResponse,
} from '../../proto/gen/tsswarm/v1/control.ts'
import { newId } from '../../proto/lib/ids.ts'
import { isSameValue } from '../../proto/lib/same-value.ts'
import { type Service, serviceId } from '../../proto/objects/index.ts'
import { isJob } from '../../proto/spec/service-mode.ts'
import type { ServiceSpec } from '../../proto/spec/service-spec.ts'
import { newRollback } from '../orchestrator/update.ts'
import type { Tx } from '../store/store.ts'
import { missingDependencies, refuseCycle } from './check-dependencies.ts'
import { refuseOtherMode, requireMode } from './check-mode.ts'
import { checkServiceSpec } from './check-service-spec.ts'
import type { ControlApi, ControlDeps } from './control-api.ts'
import { serviceFilter } from './filters.ts'
import { firstRun, nextRun } from './job-runs.ts'
import { listMessages, type Page } from './list-stream.ts'
import { findService, notFound } from './lookup.ts'
import { createLogins, loginWish, removeLogins, updateLogins } from './registry-logins.ts'
import { keepTaskSpec, withSpec } from './roll-back.ts'
import { withPorts } from './service-networks.ts'
import { withReferences } from './service-references.ts'
import { serviceView } from './views.ts'
import { checkVersion, repeatable } from './writing.ts'

type ServiceHandlers = Pick<
  ControlApi,
  'createService' | 'getService' | 'listServices' | 'updateService' | 'removeService'
>

export function serviceHandlers(deps: ControlDeps): ServiceHandlers {
  const { store, cluster } = deps
  return {
    createService: async (_, request) => await createService(deps, request),
    updateService: async (_, request) => await updateService(deps, request),
    getService: async (_, request, signal) => {
      await cluster.readBarrier(signal)
      return store.view((tx) => ({ service: serviceView(tx, findService(tx, request.reference)) }))
    },
    listServices: (_, request, signal) => listServices(deps, request, signal),
    removeService: async (_, request) => {
      const id = await store.update(
        (tx) => {
          const service = findService(tx, request.reference)
          tx.remove('services', service.id)
          removeLogins(tx, service.id)
          return service.id
        },
        repeatable(request.requestId, 'RemoveService'),
      )
      return { serviceId: id }
    },
  }
}

async function* listServices(
  deps: ControlDeps,
  { filters }: ListServicesRequest,
  signal: AbortSignal,
): AsyncGenerator<ListServicesResponse, void, undefined> {
  const passes = serviceFilter(filters)
  await deps.cluster.readBarrier(signal)
  const open = (): Page<Service, ListServicesResponse> => {
    const services: ServiceView[] = []
    return {
      add: (tx, service) => {
        if (!passes(service)) return 0
        const view = serviceView(tx, service)
        services.push(view)
        return ServiceView.encode(view).finish().length
      },
      message: () => ({ services }),
    }
  }
  yield* listMessages(deps, deps.store.rows('services'), open, signal)
}

async function createService(
  { store, random, clock }: ControlDeps,
  request: CreateServiceRequest,
): Promise<CreateServiceResponse> {
  const given = parseServiceSpec(request.spec)
  const warnings = checkServiceSpec(given)
  const login = loginWish(request, random)
  const newServiceId = newId(random)
  // A repeat is answered with the first id.
  const id = await store.update(
    (tx) => {
      const service = serviceInTx(tx, given, newServiceId, clock.wallMs())
      createLogins(tx, service, login)
      return tx.create('services', service).id
    },
    repeatable(request.requestId, 'CreateService'),
  )
  const missing = store.view((tx) => missingDependencies(tx, given))
  return { service: current(store, id), warnings: [...warnings, ...missing] }
}

/** The new service, with all that it refers to; it is still to be created. Errors: as CreateService. */
export function serviceInTx(
  tx: Tx,
  given: ServiceSpec,
  newServiceId: string,
  wallMs: number,
): Service {
  refuseTakenName(tx, given.name)
  refuseCycle(tx, given)
  requireMode(tx, given)
  const spec = withReferences(tx, given)
  return {
    id: serviceId(newServiceId),
    version: 0,
    createdAtMs: 0,
    updatedAtMs: 0,
    spec,
    previousSpec: undefined,
    specHash: keepTaskSpec(tx, spec),
    specVersion: 1,
    endpoint: withPorts(tx, spec, undefined),
    updateStatus: undefined,
    ...firstRun(tx, spec, wallMs),
  }
}

async function updateService(
  { store, clock, random }: ControlDeps,
  request: UpdateServiceRequest,
): Promise<UpdateServiceResponse> {
  const given = request.rollback ? undefined : parseServiceSpec(request.spec)
  const warnings = given === undefined ? [] : checkServiceSpec(given)
  const login = loginWish(request, random)
  await store.update(
    (tx) => {
      const service =
        tx.get('services', request.serviceId) ?? notFound('service', request.serviceId)
      checkVersion(`service "${service.spec.name}"`, request.version, service.version)
      const wished = given === undefined ? goneBack(tx, service) : updatedInTx(tx, service, given)
      const next = { ...wished, ...nextRun(tx, service, wished.spec, clock.wallMs()) }
      updateLogins(tx, next, service, login)
      if (login.auth !== '' && isSameValue(next.spec, service.spec)) resume(tx, service)
      else tx.update('services', { ...next, previousSpec: service.spec })
    },
    repeatable(request.requestId, 'UpdateService'),
  )
  return { service: current(store, request.serviceId), warnings }
}

/**
 * With other credentials and nothing else: it can still go back to what it was, and a job does not run again. An update that paused, perhaps for
 * want of them, goes on.
 */
function resume(tx: Tx, service: Service): void {
  const isPaused = service.updateStatus?.state.endsWith('paused') === true
  if (isPaused) tx.update('services', { ...service, updateStatus: undefined })
}

/** The service as that spec makes it; it is still to be written. Errors: as UpdateService. */
export function updatedInTx(tx: Tx, service: Service, given: ServiceSpec): Service {
  refuseRename(service, given)
  refuseCycle(tx, given)
  refuseOtherMode(service, given)
  const spec = withReferences(tx, given)
  return { ...withSpec(tx, service, spec), updateStatus: undefined }
}

/** A second time it returns to where it was. */
function goneBack(tx: Tx, service: Service): Service {
  if (service.previousSpec === undefined) {
    throw new SwarmError(
      'FAILED_PRECONDITION',
      `service "${service.spec.name}" does not have a previous spec: it was not updated since it was created or rolled back. ` +
        'Change it with "tsswarm service update"',
    )
  }
  // What it names may be gone.
  refuseCycle(tx, service.previousSpec)
  const spec = withReferences(tx, service.previousSpec)
  const updateStatus = newRollback(tx.nowMs, 'manually requested rollback')
  // A job is not updated task by task: it runs again.
  if (isJob(spec.mode)) return { ...withSpec(tx, service, spec), updateStatus: undefined }
  return { ...withSpec(tx, service, spec), updateStatus }
}

/** The service now; undefined when someone removed it since. */
function current(store: ControlDeps['store'], id: string): CreateServiceResponse['service'] {
  const service = store.view((tx) => tx.get('services', id))
  return service === undefined ? undefined : serviceToProto(service)
}

function refuseTakenName(tx: Tx, name: string): void {
  for (const taken of tx.find('services', 'byName', name.toLowerCase())) {
    throw new SwarmError(
      'NAME_CONFLICT',
      `name "${name}" is already in use by service ${taken.id}` +
        `${taken.spec.name === name ? '' : ` ("${taken.spec.name}": names must differ by more than case)`}. ` +
        `Choose another with --name, or change that one with "tsswarm service update ${taken.spec.name}"`,
      { details: { name, serviceId: taken.id } },
    )
  }
}

function refuseRename(service: Service, spec: ServiceSpec): void {
  if (service.spec.name === spec.name) return
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `service "${service.spec.name}": field name cannot change to "${spec.name}". ` +
      'Create a service of that name and remove this one',
    { details: { field: 'name' } },
  )
}
