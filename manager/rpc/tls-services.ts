// What a manager serves on its mTLS listener.
import type { ServiceDefinition } from '@grpc/grpc-js'
import { NodeCaService } from '../../proto/gen/tsswarm/v1/ca.ts'
import { ControlService } from '../../proto/gen/tsswarm/v1/control.ts'
import { DispatcherService } from '../../proto/gen/tsswarm/v1/dispatcher.ts'
import {
  ManagerPeerService,
  type NoteAccessRequest,
} from '../../proto/gen/tsswarm/v1/membership.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import type { FetchOverlay } from '../bus/fetch-overlay.ts'
import type { CaHandlers } from '../ca/ca-handlers.ts'
import type { DiagnosisHub } from '../diagnosis/diagnosis-hub.ts'
import type { Dispatcher } from '../dispatcher/dispatcher.ts'
import type { LeaderSessions } from '../dispatcher/leader-sessions.ts'
import type { LogHub } from '../logbroker/log-hub.ts'
import type { PeerHandlers } from '../membership/peer-handlers.ts'
import type { Store } from '../store/store.ts'
import { noteAccess } from '../streams/access-record.ts'
import type { StreamHub } from '../streams/stream-hub.ts'
import { type AdapterDeps, type HandlerTable, serviceImplementation } from './adapter.ts'
import type { NodeDirectory } from './authorize.ts'
import type { Caller } from './caller.ts'
import type { ServedService } from './server.ts'
import { tlsCallers } from './tls-callers.ts'

export interface TlsServicesDeps
  extends Required<Pick<AdapterDeps, 'onLeader' | 'onLeaderStream' | 'track'>> {
  readonly control: object
  readonly ca: CaHandlers
  readonly peers: PeerHandlers
  readonly sessions: LeaderSessions
  readonly dispatcher: Dispatcher
  readonly hub: LogHub
  readonly diagnosis: DiagnosisHub
  readonly streams: StreamHub
  readonly store: Store
  readonly fetchOverlay: FetchOverlay
  readonly directory: NodeDirectory
  readonly clock: Clock
}

export function tlsServices(deps: TlsServicesDeps): readonly ServedService[] {
  const { directory, clock, onLeader, onLeaderStream, track } = deps
  const { dispatcher, hub, diagnosis, streams, store, sessions, peers } = deps
  const callerOf = tlsCallers(directory, clock)
  const adapter: AdapterDeps = { callerOf, onLeader, onLeaderStream, track }
  const serve = (definition: ServiceDefinition, handlers: object): ServedService => ({
    definition,
    implementation: serviceImplementation(definition, handlers as HandlerTable, adapter),
  })
  return [
    serve(ControlService, deps.control),
    serve(NodeCaService, deps.ca),
    serve(DispatcherService, {
      session: dispatcher.handleSession.bind(dispatcher),
      logs: hub.handleLogs.bind(hub),
      diagnose: diagnosis.handleDiagnose.bind(diagnosis),
      fetchOverlay: deps.fetchOverlay,
      streams: streams.handleStreams.bind(streams),
      tunnel: streams.handleTunnel.bind(streams),
    }),
    serve(ManagerPeerService, {
      ...peers,
      reportSessions: sessions.handleReports,
      relayLogs: hub.handleRelay.bind(hub),
      relayDiagnosis: diagnosis.handleRelay.bind(diagnosis),
      relayStream: streams.handleRelay.bind(streams),
      noteAccess: (caller: Caller, request: NoteAccessRequest) =>
        noteAccess(store, caller, request),
    }),
  ]
}
