// Sessions over gRPC: the real SessionTransport. The session and the log stream of a manager share a connection.
import { Client } from '@grpc/grpc-js'
import { DispatcherService } from '../proto/gen/tsswarm/v1/dispatcher.ts'
import type { MessageStream } from '../proto/lib/message-stream.ts'
import { duplexCall } from '../proto/rpc/duplex.ts'
import type { LogTransport } from './log-server.ts'
import type { SessionTransport } from './session.ts'
import type { ManagerAddress } from './state-records.ts'

type Channel = ConstructorParameters<typeof Client>

export interface GrpcTransportDeps {
  /** How to reach that manager now, for example channelCredentials and channelOptions(managerName). */
  readonly channel: (manager: ManagerAddress) => {
    readonly credentials: Channel[1]
    readonly options?: Channel[2]
  }
}

/** Opens sessions and log streams; a connection lives as long as a stream uses it. */
export function grpcSessionTransport(deps: GrpcTransportDeps): SessionTransport & LogTransport {
  const shared = new Map<string, { readonly client: Client; users: number }>()
  const lease = (
    manager: ManagerAddress,
  ): { readonly client: Client; readonly end: () => void } => {
    const key = manager.address
    let entry = shared.get(key)
    if (entry === undefined) {
      const { credentials, options } = deps.channel(manager)
      entry = { client: new Client(manager.address, credentials, options ?? {}), users: 0 }
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
