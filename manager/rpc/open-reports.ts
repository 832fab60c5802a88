// The stream on which this manager reports its sessions: to the leader over gRPC, to itself through a pipe when it leads.
import {
  ManagerPeerService,
  type SessionReport,
  type SessionReportAck,
} from '../../proto/gen/tsswarm/v1/membership.ts'
import { streamPair } from '../../proto/lib/message-stream.ts'
import type { NodeId } from '../../proto/objects/index.ts'
import { duplexCall } from '../../proto/rpc/duplex.ts'
import type { LeaderSessions } from '../dispatcher/leader-sessions.ts'
import type { ReportStream } from '../dispatcher/report-link.ts'
import type { ManagerChannels } from './forward.ts'

export interface OpenReportsDeps {
  readonly nodeId: NodeId
  readonly channels: ManagerChannels
  readonly sessions: LeaderSessions
}

export function openReports({ nodeId, channels, sessions }: OpenReportsDeps) {
  return (leader: NodeId, signal: AbortSignal): ReportStream => {
    if (leader !== nodeId) {
      return duplexCall(channels.client(leader), ManagerPeerService.reportSessions, signal)
    }
    const { near, far } = streamPair<SessionReport, SessionReportAck>()
    const caller = { kind: 'node', nodeId, role: 'manager' } as const
    sessions.handleReports(caller, far.incoming, far.send, signal).then(
      () => far.close(),
      (err: unknown) => far.close(err instanceof Error ? err : new Error(String(err))),
    )
    return near
  }
}
