// gRPC channels as every part of tsswarm opens them: mutual TLS, fast reconnects, a checked peer.
import { type ChannelCredentials, type ChannelOptions, credentials } from '@grpc/grpc-js'
import type { TlsIdentity } from '../objects/identity.ts'

/** The name every manager's certificate carries beside its node id. */
export const managerName = 'swarm-manager'
/** Largest message either side accepts, in bytes. */
export const messageBytesMax = 8 * 1024 * 1024

/** Credentials that prove this node and trust the cluster's root only. */
export function channelCredentials(identity: TlsIdentity): ChannelCredentials {
  return credentials.createSsl(
    Buffer.from(identity.caPem),
    Buffer.from(identity.keyPem),
    Buffer.from(identity.certPem),
  )
}

/** Options of a channel to a node; `expectedName` is the node id, or managerName for any manager. */
export function channelOptions(expectedName: string): ChannelOptions {
  return {
    'grpc.ssl_target_name_override': expectedName,
    'grpc.default_authority': expectedName,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 2_000,
    'grpc.keepalive_time_ms': 1_000,
    'grpc.keepalive_timeout_ms': 2_000,
    'grpc.keepalive_permit_without_calls': 1,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_retries': 0,
    'grpc.service_config_disable_resolution': 1,
    'grpc.max_receive_message_length': messageBytesMax,
    'grpc.max_send_message_length': messageBytesMax,
  }
}
