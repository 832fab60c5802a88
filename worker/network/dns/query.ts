// Questions as they come from the wire: a header, one question, perhaps EDNS. Everything here is written by strangers, so
// nothing is trusted and nothing throws. Pure. Not for answers, which are only ever forwarded as they are.

export const recordTypes = { A: 1, SOA: 6, PTR: 12, AAAA: 28, SRV: 33, OPT: 41, ANY: 255 } as const

export const responseCodes = {
  ok: 0,
  formatError: 1,
  serverFailure: 2,
  noSuchName: 3,
  notImplemented: 4,
  refused: 5,
  badVersion: 16,
} as const

export const headerBytes = 12
/** What a client without EDNS takes over UDP. Source: RFC 1035, 4.2.1. */
export const plainUdpBytesMax = 512

export interface Edns {
  /** What the client takes over UDP. */
  readonly udpBytesMax: number
  readonly version: number
  readonly isDnssecOk: boolean
}

export interface Question {
  /** In lower case, without the last dot; undefined when a label holds bytes that no name of ours has. */
  readonly name: string | undefined
  readonly labelCount: number
  readonly type: number
  readonly class: number
}

export interface Query {
  readonly id: number
  readonly isRecursionDesired: boolean
  readonly question: Question
  /** Where the question ends in the message. */
  readonly questionEnd: number
  /** Where the last record ends; what follows is not part of the query. */
  readonly end: number
  readonly edns: Edns | undefined
}

export type Parsed =
  | { readonly kind: 'query'; readonly query: Query }
  /** To be answered with this code and, of the message, the id only. */
  | { readonly kind: 'fault'; readonly code: number }
  /** Not a query: an answer to it could start a loop. */
  | { readonly kind: 'drop' }

const flags = { response: 0x8000, recursionDesired: 0x0100 }
const nameBytesMax = 255
const labelBytesMax = 63
const recordsMax = 4
const dnssecOk = 0x8000

const drop: Parsed = { kind: 'drop' }
const formatError: Parsed = { kind: 'fault', code: responseCodes.formatError }
const notImplemented: Parsed = { kind: 'fault', code: responseCodes.notImplemented }

export function parseQuery(message: Buffer): Parsed {
  if (message.length < headerBytes) return drop
  const bits = message.readUInt16BE(2)
  if ((bits & flags.response) !== 0) return drop
  if (((bits >> 11) & 15) !== 0) return notImplemented
  const hasOneQuestion = message.readUInt16BE(4) === 1
  const hasAnswers = message.readUInt16BE(6) !== 0 || message.readUInt16BE(8) !== 0
  if (!hasOneQuestion || hasAnswers) return formatError
  const question = readQuestion(message)
  if (question === undefined) return formatError
  const extra = readAdditional(message, question.end, message.readUInt16BE(10))
  if (extra === undefined) return formatError
  const query = {
    id: message.readUInt16BE(0),
    isRecursionDesired: (bits & flags.recursionDesired) !== 0,
    question,
    questionEnd: question.end,
    end: extra.end,
    edns: extra.edns,
  }
  return { kind: 'query', query }
}

/** The first question of a message, or undefined when it is malformed or compressed. */
export function readQuestion(message: Buffer): (Question & { readonly end: number }) | undefined {
  const name = readName(message, headerBytes)
  if (name === undefined || name.end + 4 > message.length) return undefined
  return {
    name: name.text,
    labelCount: name.labelCount,
    type: message.readUInt16BE(name.end),
    class: message.readUInt16BE(name.end + 2),
    end: name.end + 4,
  }
}

interface Name {
  readonly text: string | undefined
  readonly labelCount: number
  readonly end: number
}

const scratch = Buffer.alloc(nameBytesMax)

function readName(message: Buffer, start: number): Name | undefined {
  let at = start
  let isPlain = true
  let labelCount = 0
  let length = 0
  for (;;) {
    const size = message[at]
    // A pointer has both high bits set; before a question there is nothing to point to.
    if (size === undefined || size > labelBytesMax) return undefined
    at += 1
    if (size === 0) break
    if (at + size > message.length || at - start + size >= nameBytesMax) return undefined
    if (labelCount > 0) scratch[length++] = dot
    for (const end = at + size; at < end; at++) {
      const byte = lowered(message[at] ?? 0)
      isPlain &&= byte > space && byte < 127 && byte !== dot
      scratch[length++] = byte
    }
    labelCount += 1
  }
  return { text: isPlain ? scratch.toString('latin1', 0, length) : undefined, labelCount, end: at }
}

const dot = 46
const space = 32

function lowered(byte: number): number {
  return byte >= 65 && byte <= 90 ? byte + 32 : byte
}

interface Additional {
  readonly end: number
  readonly edns: Edns | undefined
}

function readAdditional(message: Buffer, start: number, count: number): Additional | undefined {
  if (count > recordsMax) return undefined
  let at = start
  let edns: Edns | undefined
  for (let i = 0; i < count; i++) {
    const owner = readName(message, at)
    if (owner === undefined || owner.end + 10 > message.length) return undefined
    const end = owner.end + 10 + message.readUInt16BE(owner.end + 8)
    if (end > message.length) return undefined
    if (message.readUInt16BE(owner.end) === recordTypes.OPT) {
      if (edns !== undefined || owner.labelCount > 0) return undefined
      edns = {
        udpBytesMax: Math.max(message.readUInt16BE(owner.end + 2), plainUdpBytesMax),
        version: message[owner.end + 5] ?? 0,
        isDnssecOk: (message.readUInt16BE(owner.end + 6) & dnssecOk) !== 0,
      }
    }
    at = end
  }
  return { end: at, edns }
}
