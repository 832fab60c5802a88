// What a service's spec names of other objects, looked up when it is written: networks, secrets and configs, all by id.
import { SwarmError } from '../../proto/errors.ts'
import { featuresOfService, payloadsLevel, payloadsOf } from '../../proto/objects/index.ts'
import { type PayloadKind, type PayloadUse, payloadTarget } from '../../proto/spec/payload-spec.ts'
import type { ServiceSpec } from '../../proto/spec/service-spec.ts'
import type { ReadTx } from '../store/store.ts'
import { findPayload } from './lookup.ts'
import { requireLevel } from './require-level.ts'
import { requirePrivileges } from './require-privileges.ts'
import { withNetworkIds } from './service-networks.ts'

/**
 * The spec with the ids of what it names. Errors: INVALID_ARGUMENT, NOT_FOUND, AMBIGUOUS, FAILED_PRECONDITION naming
 * service and object.
 */
export function withReferences(tx: ReadTx, spec: ServiceSpec): ServiceSpec {
  const known = withPayloadIds(tx, withNetworkIds(tx, spec))
  requireFeatures(tx, known)
  requirePrivileges(tx, known)
  return known
}

/** Errors: FAILED_PRECONDITION while a manager of an older version would drop something of the spec. */
function requireFeatures(tx: ReadTx, spec: ServiceSpec): void {
  for (const { words, level } of featuresOfService(spec)) {
    requireLevel(tx, level, `service "${spec.name}"`, words)
  }
}

/** A version that is named by its id stays; a name means the present one. */
function withPayloadIds(tx: ReadTx, spec: ServiceSpec): ServiceSpec {
  const { container } = spec.task
  if (container.secrets.length + container.configs.length === 0) return spec
  requireLevel(tx, payloadsLevel, `service "${spec.name}"`, 'secrets and configs')
  const found = (kind: PayloadKind, uses: readonly PayloadUse[]): readonly PayloadUse[] =>
    uses.map((use) => {
      const payload = findPayload(tx, kind, use.source)
      const { name } = payload.spec
      return { ...use, source: payload.id, name, target: use.target || name }
    })
  const named = {
    ...container,
    secrets: found('secret', container.secrets),
    configs: found('config', container.configs),
  }
  refuseSameTarget(spec.name, named)
  return { ...spec, task: { ...spec.task, container: named } }
}

/** Source: swarm-semantics 7.5: two references with one target are refused. */
function refuseSameTarget(service: string, container: ServiceSpec['task']['container']): void {
  const taken = new Map(container.mounts.map(({ target }) => [clean(target), 'a mount']))
  for (const use of payloadsOf(container)) {
    const target = clean(payloadTarget(use.kind, use))
    const what = `${use.kind} "${use.name}"`
    const reason = whyNoTarget(target, taken.get(target))
    if (reason !== undefined) {
      throw new SwarmError(
        'INVALID_ARGUMENT',
        `service "${service}" is not valid: ${what} has the target "${target}", ${reason}`,
        { details: { field: `task.container.${use.kind}s`, reason } },
      )
    }
    taken.set(target, what)
  }
}

function whyNoTarget(target: string, other: string | undefined): string | undefined {
  if (target === '/') return 'which is no file: name one below it'
  return other === undefined ? undefined : `which ${other} has too: give it another target`
}

function clean(path: string): string {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  }
  return `/${parts.join('/')}`
}
