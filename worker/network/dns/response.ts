// Answers as bytes: the records of our own names, what is truncated, and refusals. Pure.
import { headerBytes, plainUdpBytesMax, type Query, recordTypes } from './query.ts'

export type DnsRecord =
  | { readonly kind: 'address'; readonly owner?: string; readonly bytes: Buffer }
  | { readonly kind: 'pointer'; readonly target: string }
  | { readonly kind: 'service'; readonly port: number; readonly target: string }

export interface Response {
  readonly code: number
  readonly answers: readonly DnsRecord[]
  readonly additional: readonly DnsRecord[]
  /** How long a client may keep the records. */
  readonly ttlSeconds: number
  /** For how long a client may believe that there is nothing; adds the SOA record. */
  readonly negativeTtlSeconds?: number
  /** Of the SOA record. */
  readonly serial?: number
}

/** What we send over UDP at most: fits every link of ours in one piece. Source: dnsflagday.net, 2020. */
export const ownUdpBytesMax = 1232

const bits = { response: 0x80, authoritative: 0x04, truncated: 0x02, recursionDesired: 0x01 }
const recursionAvailable = 0x80
const questionPointer = 0xc000 | headerBytes
const classInternet = 1
const optBytes = 11
const messageBytesMax = 65_535
const servicePriority = 0
const serviceWeight = 1
/** refresh, retry, expire: nobody transfers this zone. */
const soaTimes = [3_600, 600, 86_400]
const soaName = 'ns.tsswarm'
const soaMailbox = 'nobody.tsswarm'
const soaBytes = 11 + soaName.length + 2 + soaMailbox.length + 2 + 4 * (soaTimes.length + 2)

const scratch = Buffer.alloc(messageBytesMax)

/** How many bytes the asker takes: 65,535 over TCP. */
export function bytesMaxOf(query: Query, isTcp: boolean): number {
  if (isTcp) return messageBytesMax
  return Math.min(query.edns?.udpBytesMax ?? plainUdpBytesMax, ownUdpBytesMax)
}

/** Answers that do not fit are left out, with the bit set that makes the asker come again over TCP. */
export function encodeResponse(
  message: Buffer,
  query: Query,
  response: Response,
  bytesMax: number,
): Buffer {
  const writer = new Writer(bytesMax - (query.edns === undefined ? 0 : optBytes))
  writer.start(message, query)
  const answers = writer.records(response.answers, response.ttlSeconds)
  const isTruncated = answers < response.answers.length
  const hasSoa = response.negativeTtlSeconds !== undefined && writer.soa(response)
  // Additional records are a courtesy: no truncation for their sake.
  const additional = isTruncated ? 0 : writer.records(response.additional, response.ttlSeconds)
  const end = query.edns === undefined ? writer.end : writer.opt(query, response.code)
  writeHeader(query, response.code, isTruncated ? bits.truncated : 0)
  scratch.writeUInt16BE(answers, 6)
  scratch.writeUInt16BE(hasSoa ? 1 : 0, 8)
  scratch.writeUInt16BE(additional + (query.edns === undefined ? 0 : 1), 10)
  return Buffer.from(scratch.subarray(0, end))
}

/** Without records: a refusal, or with `isTruncated` the wish that the asker comes again over TCP. */
export function encodeEmpty(
  message: Buffer,
  query: Query,
  code: number,
  isTruncated = false,
): Buffer {
  const response = { code, answers: [], additional: [], ttlSeconds: 0 }
  const bytes = encodeResponse(message, query, response, plainUdpBytesMax)
  if (isTruncated) bytes[2] = (bytes[2] ?? 0) | bits.truncated
  // Not an answer of ours.
  bytes[2] = (bytes[2] ?? 0) & ~bits.authoritative
  return bytes
}

/** To a message whose question cannot be read: id and code. */
export function encodeFault(message: Buffer, code: number): Buffer {
  const bytes = Buffer.alloc(headerBytes)
  message.copy(bytes, 0, 0, 2)
  // Opcode and RD are the asker's.
  bytes[2] = bits.response | ((message[2] ?? 0) & 0x79)
  bytes[3] = recursionAvailable | code
  return bytes
}

function writeHeader(query: Query, code: number, more: number): void {
  scratch.writeUInt16BE(query.id, 0)
  const desired = query.isRecursionDesired ? bits.recursionDesired : 0
  scratch[2] = bits.response | bits.authoritative | more | desired
  scratch[3] = recursionAvailable | (code & 15)
  scratch.writeUInt16BE(1, 4)
}

class Writer {
  readonly #bytesMax: number
  end = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  start(message: Buffer, query: Query): void {
    message.copy(scratch, headerBytes, headerBytes, query.questionEnd)
    this.end = query.questionEnd
  }

  /** How many fitted. */
  records(records: readonly DnsRecord[], ttlSeconds: number): number {
    let count = 0
    for (const record of records) {
      const before = this.end
      if (!this.#record(record, ttlSeconds)) {
        this.end = before
        break
      }
      count += 1
    }
    return count
  }

  soa(response: Response): boolean {
    if (!this.#fits(soaBytes)) return false
    const ttlSeconds = response.negativeTtlSeconds ?? 0
    // The root owns it: an ancestor of every name.
    scratch[this.end++] = 0
    this.#head(recordTypes.SOA, ttlSeconds)
    const start = this.end
    this.end += 2
    this.#name(soaName)
    this.#name(soaMailbox)
    for (const number of [response.serial ?? 0, ...soaTimes, ttlSeconds]) {
      this.end = scratch.writeUInt32BE(number >>> 0, this.end)
    }
    scratch.writeUInt16BE(this.end - start - 2, start)
    return true
  }

  /** Its place is kept free from the start. */
  opt(query: Query, code: number): number {
    scratch[this.end] = 0
    scratch.writeUInt16BE(recordTypes.OPT, this.end + 1)
    scratch.writeUInt16BE(ownUdpBytesMax, this.end + 3)
    scratch[this.end + 5] = code >> 4
    scratch[this.end + 6] = 0
    // The client's wish is repeated. Source: RFC 3225, 3.
    scratch.writeUInt16BE(query.edns?.isDnssecOk ? 0x8000 : 0, this.end + 7)
    scratch.writeUInt16BE(0, this.end + 9)
    return this.end + optBytes
  }

  #record(record: DnsRecord, ttlSeconds: number): boolean {
    switch (record.kind) {
      case 'address': {
        const { bytes, owner } = record
        if (!this.#fits((owner === undefined ? 2 : owner.length + 2) + 10 + bytes.length)) {
          return false
        }
        this.#owner(owner)
        this.#head(bytes.length === 4 ? recordTypes.A : recordTypes.AAAA, ttlSeconds)
        this.end = scratch.writeUInt16BE(bytes.length, this.end)
        bytes.copy(scratch, this.end)
        this.end += bytes.length
        return true
      }
      case 'pointer':
        return this.#targetRecord(recordTypes.PTR, ttlSeconds, record.target, [])
      case 'service': {
        const numbers = [servicePriority, serviceWeight, record.port]
        return this.#targetRecord(recordTypes.SRV, ttlSeconds, record.target, numbers)
      }
    }
  }

  #targetRecord(
    type: number,
    ttlSeconds: number,
    target: string,
    numbers: readonly number[],
  ): boolean {
    const length = 2 * numbers.length + target.length + 2
    if (!this.#fits(12 + length)) return false
    this.#owner(undefined)
    this.#head(type, ttlSeconds)
    this.end = scratch.writeUInt16BE(length, this.end)
    for (const number of numbers) this.end = scratch.writeUInt16BE(number, this.end)
    this.#name(target)
    return true
  }

  #fits(bytes: number): boolean {
    return this.end + bytes <= this.#bytesMax
  }

  #owner(name: string | undefined): void {
    if (name === undefined) this.end = scratch.writeUInt16BE(questionPointer, this.end)
    else this.#name(name)
  }

  #head(type: number, ttlSeconds: number): void {
    this.end = scratch.writeUInt16BE(type, this.end)
    this.end = scratch.writeUInt16BE(classInternet, this.end)
    this.end = scratch.writeUInt32BE(ttlSeconds, this.end)
  }

  #name(name: string): void {
    for (const label of name.split('.')) {
      scratch[this.end] = label.length
      this.end += 1 + scratch.write(label, this.end + 1, label.length, 'latin1')
    }
    scratch[this.end++] = 0
  }
}
