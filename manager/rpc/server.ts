// The listeners: :2377 with mutual TLS, and unix sockets.
import { chmodSync, chownSync, mkdirSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import {
  experimental,
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import { SwarmError } from '../../proto/errors.ts'
import type { IdentitySource } from '../../proto/objects/index.ts'
import { messageBytesMax } from '../../proto/rpc/channel.ts'

export interface ServedService {
  readonly definition: ServiceDefinition
  readonly implementation: UntypedServiceImplementation
}

export interface Listener {
  /** Port it listens on. */
  readonly port: number
  /** Ends all calls at once. */
  close(): void
}

const serverOptions = {
  'grpc.max_receive_message_length': messageBytesMax,
  'grpc.max_send_message_length': messageBytesMax,
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.max_concurrent_streams': 1_000,
}

/**
 * Listens with TLS under the node's identity, reloaded when it changes. Joiners come without a certificate; every
 * method decides by its policy. Errors: ADDRESS_IN_USE, INVALID_ARGUMENT.
 */
export function listenTls(
  address: string,
  identity: IdentitySource,
  services: readonly ServedService[],
): Promise<Listener> {
  return listen(address, tlsServerCredentials(identity, false), services)
}

/** Server credentials that follow the identity's changes. Only the cluster's root is trusted. */
export function tlsServerCredentials(
  identity: IdentitySource,
  requiresCertificate: boolean,
): ServerCredentials {
  const provider = certificateProvider(identity)
  return experimental.createCertificateProviderServerCredentials(
    provider,
    provider,
    requiresCertificate,
  )
}

/** Listens on a unix socket that only root and the group may use (directory 0750, socket 0660). */
export async function listenLocal(
  path: string,
  groupId: number,
  services: readonly ServedService[],
): Promise<Listener> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o750 })
  chownSync(dirname(path), 0, groupId)
  rmSync(path, { force: true })
  const listener = await listen(`unix:${path}`, ServerCredentials.createInsecure(), services)
  chownSync(path, 0, groupId)
  chmodSync(path, 0o660)
  return listener
}

function listen(
  address: string,
  credentials: ServerCredentials,
  services: readonly ServedService[],
): Promise<Listener> {
  const server = new Server(serverOptions)
  for (const { definition, implementation } of services) {
    server.addService(definition, implementation)
  }
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (err, port) => {
      if (err === null) resolve({ port, close: () => server.forceShutdown() })
      else reject(bindError(address, err))
    })
  })
}

function bindError(address: string, err: Error): SwarmError {
  if (err.message.includes('EADDRINUSE')) {
    return new SwarmError(
      'ADDRESS_IN_USE',
      `cannot listen on ${address}: the address is in use. Stop the program that holds it, or choose another with --listen-addr`,
      { cause: err },
    )
  }
  return new SwarmError(
    'INVALID_ARGUMENT',
    `cannot listen on ${address}: ${err.message}. Choose an address of this host with --listen-addr`,
    { cause: err },
  )
}

type Provider = Parameters<typeof experimental.createCertificateProviderServerCredentials>[0]
type CaListener = Parameters<Provider['addCaCertificateListener']>[0]
type IdentityListener = Parameters<Provider['addIdentityCertificateListener']>[0]

/**
 * Feeds grpc-js with the present identity and every later one. Never from within addListener: grpc-js attaches its own
 * watcher only after that call, and would drop every connection for want of credentials.
 */
function certificateProvider(identity: IdentitySource): Provider {
  const caListeners = new Set<CaListener>()
  const identityListeners = new Set<IdentityListener>()
  const caUpdate = () => ({ caCertificate: Buffer.from(identity.current().caPem) })
  const identityUpdate = () => ({
    certificate: Buffer.from(identity.current().certPem),
    privateKey: Buffer.from(identity.current().keyPem),
  })
  identity.onChange(() => {
    for (const listener of caListeners) listener(caUpdate())
    for (const listener of identityListeners) listener(identityUpdate())
  })
  return {
    addCaCertificateListener: (listener) => {
      caListeners.add(listener)
      queueMicrotask(() => listener(caUpdate()))
    },
    removeCaCertificateListener: (listener) => caListeners.delete(listener),
    addIdentityCertificateListener: (listener) => {
      identityListeners.add(listener)
      queueMicrotask(() => listener(identityUpdate()))
    },
    removeIdentityCertificateListener: (listener) => identityListeners.delete(listener),
  }
}
