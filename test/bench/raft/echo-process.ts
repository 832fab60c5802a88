// One end of a round trip over the peer transport: answers every append with its response. A process of its own.
import type { PeerMessage } from 'raft-ts'
import { PeerTransport } from '../../../manager/raft/peer-transport.ts'
import type { RaftCredentials, RaftPeer } from '../../../manager/raft/raft-handle.ts'
import { systemClock } from '../../../proto/lib/clock.ts'
import { answerAsChild } from './child.ts'

export interface EchoQuestion {
  readonly self: RaftPeer
  readonly other: RaftPeer
  readonly credentials: RaftCredentials
}

answerAsChild(async ({ self, other, credentials }: EchoQuestion): Promise<true> => {
  const transport = await PeerTransport.listen({
    selfId: self.id,
    group: 'bench',
    listenAddress: self.address,
    credentials,
    clock: systemClock,
    onMessage: (message: PeerMessage) => {
      if (message.kind !== 'append') return
      const { from, to, term, prevIndex, entries } = message
      const index = prevIndex + entries.length
      transport.send('bulk', { kind: 'append-response', from: to, to: from, term, index })
    },
    onUnreachable: () => {},
  })
  transport.setPeers([self, other])
  return true
})
