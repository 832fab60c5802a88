// Gives a service back the spec that it had before its last update: asked for by a user, or by an update that failed.
import { hashTaskSpec } from '../../proto/codec/spec-hash.ts'
import { SwarmError } from '../../proto/errors.ts'
import type { Service, ServiceId, UpdateStatus } from '../../proto/objects/index.ts'
import type { ServiceSpec } from '../../proto/spec/service-spec.ts'
import type { Tx } from '../store/store.ts'
import { restoreLogins } from './registry-logins.ts'
import { withPorts } from './service-networks.ts'
import { withReferences } from './service-references.ts'

/** The service with that spec, which has been checked; its task spec is put where tasks look for it. Errors: as withPorts. */
export function withSpec(tx: Tx, service: Service, spec: ServiceSpec): Service {
  const specHash = keepTaskSpec(tx, spec)
  return {
    ...service,
    spec,
    specHash,
    specVersion: service.specVersion + (specHash === service.specHash ? 0 : 1),
    endpoint: withPorts(tx, spec, service),
  }
}

/** Puts the task spec into its table, where tasks will look for it. Returns its hash. */
export function keepTaskSpec(tx: Tx, spec: ServiceSpec): Service['specHash'] {
  const hash = hashTaskSpec(spec.task)
  if (tx.get('taskSpecs', hash) === undefined) tx.create('taskSpecs', { hash, spec: spec.task })
  return hash
}

export interface Rollback {
  readonly id: ServiceId
  /** That the decision saw. */
  readonly version: number
  readonly updateStatus: UpdateStatus
}

/** Of an update that failed. Where it cannot be, the service is paused and says why. Errors: NOT_FOUND, OUT_OF_SEQUENCE. */
export function rollBack(tx: Tx, { id, version, updateStatus }: Rollback): void {
  const service = tx.get('services', id)
  if (service === undefined) throw new SwarmError('NOT_FOUND', `service ${id} is gone`)
  const { previousSpec } = service
  if (service.version !== version || previousSpec === undefined) {
    throw new SwarmError('OUT_OF_SEQUENCE', `service ${id} has changed since`)
  }
  try {
    // What it names may be gone.
    const back = withSpec(tx, service, withReferences(tx, previousSpec))
    tx.update('services', { ...back, previousSpec: undefined, updateStatus })
    restoreLogins(tx, id)
  } catch (err) {
    if (!(err instanceof SwarmError) || err.code === 'OUT_OF_SEQUENCE') throw err
    const message = `rollback paused: the previous spec no longer fits: ${err.message}`
    const paused = { ...updateStatus, state: 'rollback_paused' as const, message }
    tx.update('services', { ...service, updateStatus: paused })
  }
}
