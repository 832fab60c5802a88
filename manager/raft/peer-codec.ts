// Peer messages of raft-ts to protobuf and back. Unknown or incomplete frames are refused, never guessed.
import type { ConfState, Entry, PeerMessage, SnapshotMeta } from 'raft-ts'
import { SwarmError } from '../../proto/errors.ts'
import type {
  PeerConf,
  PeerEntry,
  PeerFrame,
  PeerSnapshotMeta,
} from '../../proto/gen/tsswarm/v1/raft_transport.ts'
import { unreachable } from '../../proto/lib/assert.ts'

type FrameKind = NonNullable<PeerFrame['kind']>

/** Largest frame; appends are cut by the core long before. */
export const frameBytesMax = 32 * 1024 * 1024

export function encodePeerMessage(message: PeerMessage): PeerFrame {
  const { from, to, term } = message
  return { from, to, term, kind: frameKind(message) }
}

function frameKind(message: PeerMessage): FrameKind {
  switch (message.kind) {
    case 'append': {
      const { prevIndex, prevTerm, commit } = message
      const entries = message.entries.map(encodeEntry)
      return { $case: 'append', value: { prevIndex, prevTerm, commit, entries } }
    }
    case 'append-response': {
      const { index, reject } = message
      const { hintIndex = 0, hintTerm = 0, lost = false } = reject ?? {}
      const rejected = reject !== undefined
      return { $case: 'appendResponse', value: { index, rejected, hintIndex, hintTerm, lost } }
    }
    case 'heartbeat':
      return { $case: 'heartbeat', value: { commit: message.commit, round: message.round } }
    case 'heartbeat-response':
      return { $case: 'heartbeatResponse', value: { round: message.round } }
    case 'vote':
    case 'pre-vote': {
      const { lastIndex, lastTerm, force } = message
      const pre = message.kind === 'pre-vote'
      return { $case: 'vote', value: { pre, lastIndex, lastTerm, force } }
    }
    case 'vote-response':
    case 'pre-vote-response': {
      const pre = message.kind === 'pre-vote-response'
      return { $case: 'voteResponse', value: { pre, granted: message.granted } }
    }
    case 'snapshot':
      return { $case: 'snapshot', value: { meta: encodeMeta(message.meta) } }
    case 'timeout-now':
      return { $case: 'timeoutNow', value: {} }
    case 'read-index':
      return { $case: 'readIndex', value: { context: String(message.context) } }
    case 'read-index-response': {
      const { index, context } = message
      return { $case: 'readIndexResponse', value: { index, context: String(context) } }
    }
    case 'snapshot-offer': {
      const { contentHash, meta, totalBytes } = message
      return { $case: 'snapshotOffer', value: { contentHash, meta: encodeMeta(meta), totalBytes } }
    }
    case 'snapshot-chunk': {
      const { contentHash, offset, bytes, crc } = message
      return {
        $case: 'snapshotChunk',
        value: {
          contentHash,
          offset,
          bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length),
          crc,
        },
      }
    }
    case 'snapshot-ack': {
      const { contentHash, nextOffset, state } = message
      return { $case: 'snapshotAck', value: { contentHash, nextOffset, state } }
    }
    default:
      return unreachable(message, 'peer message')
  }
}

/** Errors: INVALID_ARGUMENT for a frame that no version of ours sends. */
export function decodePeerMessage({ from, to, term, kind }: PeerFrame): PeerMessage {
  const head = { from, to, term }
  switch (kind?.$case) {
    case 'append':
      return {
        ...head,
        kind: 'append',
        ...kind.value,
        entries: kind.value.entries.map(decodeEntry),
      }
    case 'appendResponse': {
      const { index, rejected, hintIndex, hintTerm, lost } = kind.value
      const answer = { ...head, kind: 'append-response', index } as const
      return rejected ? { ...answer, reject: { hintIndex, hintTerm, lost } } : answer
    }
    case 'heartbeat':
      return { ...head, kind: 'heartbeat', ...kind.value }
    case 'heartbeatResponse':
      return { ...head, kind: 'heartbeat-response', ...kind.value }
    case 'vote': {
      const { pre, ...candidacy } = kind.value
      return { ...head, kind: pre ? 'pre-vote' : 'vote', ...candidacy }
    }
    case 'voteResponse': {
      const { pre, granted } = kind.value
      return { ...head, kind: pre ? 'pre-vote-response' : 'vote-response', granted }
    }
    case 'snapshot':
      return { ...head, kind: 'snapshot', meta: decodeMeta(kind.value.meta) }
    case 'timeoutNow':
      return { ...head, kind: 'timeout-now' }
    case 'readIndex':
      return { ...head, kind: 'read-index', context: decodeContext(kind.value.context) }
    case 'readIndexResponse': {
      const { index, context } = kind.value
      return { ...head, kind: 'read-index-response', index, context: decodeContext(context) }
    }
    case 'snapshotOffer': {
      const { contentHash, meta, totalBytes } = kind.value
      return { ...head, kind: 'snapshot-offer', contentHash, meta: decodeMeta(meta), totalBytes }
    }
    case 'snapshotChunk':
      return { ...head, kind: 'snapshot-chunk', ...kind.value }
    case 'snapshotAck': {
      const { contentHash, nextOffset, state } = kind.value
      if (state !== 'more' && state !== 'complete' && state !== 'refused') throw invalid('state')
      return { ...head, kind: 'snapshot-ack', contentHash, nextOffset, state }
    }
    case undefined:
      throw invalid('kind')
    default:
      return unreachable(kind, 'peer frame')
  }
}

/** A view of the entry's bytes. */
export function encodeEntry(entry: Entry): PeerEntry {
  const { term, index } = entry
  if (entry.kind === 'conf') {
    return { term, index, data: Buffer.alloc(0), conf: encodeConf(entry.conf) }
  }
  const { data } = entry
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.length)
  return { term, index, data: bytes, conf: undefined }
}

function decodeEntry({ term, index, data, conf }: PeerEntry): Entry {
  if (conf !== undefined) return { kind: 'conf', term, index, conf }
  // A copy: the decoder's view would keep the whole received frame in memory for as long as the entry lives.
  return { kind: 'data', term, index, data: new Uint8Array(data) }
}

function encodeConf(conf: ConfState): PeerConf {
  return conf
}

function encodeMeta({ index, term, conf }: SnapshotMeta): PeerSnapshotMeta {
  return { index, term, conf: encodeConf(conf) }
}

function decodeMeta(meta: PeerSnapshotMeta | undefined): SnapshotMeta {
  if (meta?.conf === undefined) throw invalid('meta')
  return { index: meta.index, term: meta.term, conf: meta.conf }
}

/** Negative ones are the core's own: a member that is repaired asks how far it must catch up. */
function decodeContext(text: string): bigint {
  if (!/^-?\d{1,20}$/.test(text)) throw invalid('context')
  return BigInt(text)
}

function invalid(field: string): SwarmError {
  return new SwarmError('INVALID_ARGUMENT', `peer frame: field ${field} is missing or invalid`)
}
