// Sessions over gRPC: the real SessionTransport. The session and the log stream of a manager share a connection.
import { Client } from '@grpc/grpc-js'
import { DispatcherService } from '../proto/gen/tsswarm/v1/dispatcher.ts'
import type { MessageStream } from '../proto/lib/message-stream.ts'
import type { TlsIdentity } from '../proto/objects/index.ts'
import { serverStream } from '../proto/rpc/call.ts'
import { channelCredentials, channelOptions, managerName } from '../proto/rpc/channel.ts'
import { duplexCall } from '../proto/rpc/duplex.ts'
import type { DiagnosisTransport } from './diagnosis-server.ts'
import type { LogTransport } from './log-server.ts'
import type { OverlayTransport } from './overlay-feed.ts'
import type { SessionTransport } from './session.ts'
import type { ManagerAddress } from './state-records.ts'
import type { StreamsTransport } from './streams/stream-server.ts'

export interface GrpcTransportDeps {
  /** What this node shows now; another one after a renewal. */
  readonly identity: () => TlsIdentity
  /** Where to connect for a manager; default: its address. */
  readonly dial?: (manager: ManagerAddress) => string
  /** Another number: connections made before are of no use to new streams, as this node has moved. */
  readonly generation?: () => number
}

interface Connection {
  readonly client: Client
  readonly identity: TlsIdentity
  readonly generation: number
  users: number
}

/** How long a node waits for all it asked for of the overlay. */
const fetchMs = 10_000

/** Opens sessions and the streams beside them, and fetches; a connection lives as long as a stream uses it, and none is shared across a renewal or a move. */
export function grpcSessionTransport(
  deps: GrpcTransportDeps,
): SessionTransport & LogTransport & DiagnosisTransport & StreamsTransport & OverlayTransport {
  const shared = new Map<string, Connection>()
  const lease = (
    manager: ManagerAddress,
  ): { readonly client: Client; readonly end: () => void } => {
    const key = manager.address
    const identity = deps.identity()
    const generation = deps.generation?.() ?? 0
    let entry = shared.get(key)
    if (entry?.identity !== identity || entry.generation !== generation) {
      const credentials = channelCredentials(identity)
      const target = deps.dial?.(manager) ?? manager.address
      const client = new Client(target, credentials, channelOptions(managerName))
      entry = { client, identity, generation, users: 0 }
      shared.set(key, entry)
    }
    const held = entry
    held.users += 1
    const end = (): void => {
      held.users -= 1
      if (held.users > 0) return
      held.client.close()
      if (shared.get(key) === held) shared.delete(key)
    }
    return { client: held.client, end }
  }
  return {
    open: (manager, signal) => {
      const { client, end } = lease(manager)
      return released(duplexCall(client, DispatcherService.session, signal), end)
    },
    openLogs: (manager, signal) => {
      const { client, end } = lease(manager)
      return released(duplexCall(client, DispatcherService.logs, signal), end)
    },
    openDiagnosis: (manager, signal) => {
      const { client, end } = lease(manager)
      return released(duplexCall(client, DispatcherService.diagnose, signal), end)
    },
    openStreams: (manager, signal) => {
      const { client, end } = lease(manager)
      return released(duplexCall(client, DispatcherService.streams, signal), end)
    },
    openTunnel: (manager, signal) => {
      const { client, end } = lease(manager)
      const call = duplexCall(client, DispatcherService.tunnel, signal)
      return { ...released(call, end), ended: call.ended }
    },
    fetchOverlay: async function* (manager, request, signal) {
      const { client, end } = lease(manager)
      const options = { deadlineMs: fetchMs, signal }
      try {
        yield* serverStream(client, DispatcherService.fetchOverlay, request, options)
      } finally {
        end()
      }
    },
  }
}

/** The stream, with `end` called once when it is closed. */
function released<Out, In>(
  stream: MessageStream<Out, In>,
  end: () => void,
): MessageStream<Out, In> {
  let isOpen = true
  return {
    send: stream.send,
    incoming: stream.incoming,
    close: (error) => {
      stream.close(error)
      if (isOpen) end()
      isOpen = false
    },
  }
}
