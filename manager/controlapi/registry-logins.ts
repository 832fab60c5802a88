// The credentials with which a service's tasks pull its image: they come with a request, and go with its specs. Not for who gets them
// (dispatcher/node-payloads.ts). Source: swarm-semantics 6 (service update: no auth header keeps the stored auth).
import { parseRegistryAuth } from '../../proto/codec/registry-login.ts'
import { SwarmError } from '../../proto/errors.ts'
import { newId } from '../../proto/lib/ids.ts'
import { registryOf } from '../../proto/lib/image-registry.ts'
import type { Random } from '../../proto/lib/random.ts'
import { isSameValue } from '../../proto/lib/same-value.ts'
import {
  payloadId,
  type RegistryLogin,
  type RegistryLogins,
  registryLoginsLevel,
  type Service,
  type ServiceId,
} from '../../proto/objects/index.ts'
import type { ReadTx, Tx } from '../store/store.ts'
import { requireLevel } from './require-level.ts'

/** What a request says of credentials. */
export interface LoginWish {
  readonly auth: string
  /** For `auth`. */
  readonly freshId: RegistryLogin['id']
  /** Whose stay when `auth` is empty. */
  readonly from: 'spec' | 'previous-spec'
}

interface LoginRequest {
  readonly registryAuth?: string | undefined
  readonly registryAuthFrom?: string | undefined
  readonly rollback?: boolean
}

/** Errors: INVALID_ARGUMENT; none holds what was given. */
export function loginWish(request: LoginRequest, random: Random): LoginWish {
  const { registryAuth: auth = '', registryAuthFrom = '', rollback = false } = request
  parseRegistryAuth(auth)
  const from = registryAuthFrom || (rollback ? 'previous-spec' : 'spec')
  if (from !== 'spec' && from !== 'previous-spec') {
    throw new SwarmError(
      'INVALID_ARGUMENT',
      `registryAuthFrom ${JSON.stringify(from)} is not valid: it must be spec or previous-spec`,
      { details: { field: 'registryAuthFrom' } },
    )
  }
  return { auth, from, freshId: payloadId(newId(random)) }
}

/** Of a service that is made now. Errors: FAILED_PRECONDITION while a manager would drop them. */
export function createLogins(tx: Tx, { id, spec }: Service, wish: LoginWish): void {
  if (wish.auth === '') return
  const present = freshLogin(tx, spec, wish)
  tx.create('registryLogins', { serviceId: id, present, previous: undefined })
}

/** Of a service that gets a spec: `old` is what it was. Errors: FAILED_PRECONDITION. */
export function updateLogins(tx: Tx, { id, spec }: Service, old: Service, wish: LoginWish): void {
  const before = tx.get('registryLogins', id)
  if (wish.auth === '' && wish.from === 'previous-spec' && old.previousSpec === undefined) {
    throw new SwarmError(
      'FAILED_PRECONDITION',
      `service "${spec.name}" does not have a previous spec whose credentials it could have`,
    )
  }
  const kept = wish.from === 'spec' ? before?.present : before?.previous
  const present = wish.auth === '' ? kept : freshLogin(tx, spec, wish)
  // The spec before stays with its own where this one is the same.
  const isSame = wish.auth !== '' && isSameValue(spec, old.spec)
  const previous = isSame ? before?.previous : before?.present
  write(tx, before, { serviceId: id, present, previous })
}

/** Of a service whose spec changed by itself: it keeps them, and so does the spec before. */
export function keepLogins(tx: Tx, serviceId: ServiceId): void {
  const before = tx.get('registryLogins', serviceId)
  if (before !== undefined) write(tx, before, { ...before, previous: before.present })
}

/** Of a service that went back by itself, and cannot go back any more. */
export function restoreLogins(tx: Tx, serviceId: ServiceId): void {
  const before = tx.get('registryLogins', serviceId)
  if (before === undefined) return
  write(tx, before, { serviceId, present: before.previous, previous: undefined })
}

export function removeLogins(tx: Tx, serviceId: ServiceId): void {
  if (tx.get('registryLogins', serviceId) !== undefined) tx.remove('registryLogins', serviceId)
}

/** With which an image of the service is pulled; undefined: with none, also where they are for another registry. */
export function loginFor(
  tx: ReadTx,
  serviceId: ServiceId,
  image: string,
): RegistryLogin | undefined {
  const login = tx.get('registryLogins', serviceId)?.present
  return login?.registry === registryOf(image) ? login : undefined
}

function freshLogin(tx: Tx, spec: Service['spec'], { auth, freshId }: LoginWish): RegistryLogin {
  requireLevel(tx, registryLoginsLevel, `service "${spec.name}"`, 'credentials of registries')
  return { id: freshId, registry: registryOf(spec.task.container.image), auth }
}

function write(tx: Tx, before: RegistryLogins | undefined, after: RegistryLogins): void {
  if (before?.present?.id === after.present?.id && before?.previous?.id === after.previous?.id) {
    return
  }
  removeLogins(tx, after.serviceId)
  const isEmpty = after.present === undefined && after.previous === undefined
  if (!isEmpty) tx.create('registryLogins', after)
}
