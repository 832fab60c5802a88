// Credentials of registries, as calls carry them and as the store keeps them. No error holds any of them.
import { SwarmError } from '../errors.ts'
import type {
  RegistryLogin as RegistryLoginProto,
  RegistryLogins as RegistryLoginsProto,
} from '../gen/tsswarm/v1/objects.ts'
import { payloadId, serviceId } from '../objects/ids.ts'
import type { RegistryLogin, RegistryLogins } from '../objects/registry-login.ts'
import { required } from './required.ts'

export interface RegistryAuth {
  readonly username: string
  readonly password: string
}

/** Of a token, or a long password, there is room for more than enough. */
const authLengthMax = 64 * 1024

/** Undefined: there are none. Errors: INVALID_ARGUMENT. */
export function parseRegistryAuth(text: string): RegistryAuth | undefined {
  if (text === '') return undefined
  if (text.length > authLengthMax) throw badAuth()
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64').toString('utf8'))
    const { username, password } = value as Readonly<Record<string, unknown>>
    if (typeof username === 'string' && typeof password === 'string') return { username, password }
  } catch {
    // What JSON.parse says of it holds some of it.
  }
  throw badAuth()
}

/** As parseRegistryAuth takes it. */
export function encodeRegistryAuth({ username, password }: RegistryAuth): string {
  return Buffer.from(JSON.stringify({ username, password })).toString('base64')
}

export function badAuth(): SwarmError {
  return new SwarmError(
    'INVALID_ARGUMENT',
    'the registry credentials are not valid: they must be base64 of {"username": …, "password": …}',
  )
}

/** With the credentials: for the store alone. */
export function registryLoginsToProto(logins: RegistryLogins): RegistryLoginsProto {
  const { serviceId, present, previous } = logins
  return { serviceId, present: present && { ...present }, previous: previous && { ...previous } }
}

/** Errors: INVALID_ARGUMENT for missing fields. */
export function registryLoginsFromProto(proto: RegistryLoginsProto): RegistryLogins {
  return {
    serviceId: serviceId(required(proto.serviceId, 'RegistryLogins', 'service_id')),
    present: proto.present && loginFromProto(proto.present),
    previous: proto.previous && loginFromProto(proto.previous),
  }
}

function loginFromProto({ id, registry, auth }: RegistryLoginProto): RegistryLogin {
  return { id: payloadId(required(id, 'RegistryLogin', 'id')), registry, auth }
}
