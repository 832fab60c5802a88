// Appends read from PeerFrame's bytes by hand: they are what a follower decodes all day. Whatever is not exactly what
// append-frames.ts or the generated code writes of data entries is left to the generated code.
import type { Entry, PeerMessage } from 'raft-ts'

type Append = Extract<PeerMessage, { readonly kind: 'append' }>

/** Tags: a field's number and its wire type. */
const frameTag = { from: 0x0a, to: 0x12, term: 0x18, append: 0x22 } as const
const appendTag = { prevIndex: 0x08, prevTerm: 0x10, commit: 0x18, entry: 0x22 } as const
const entryTag = { term: 0x08, index: 0x10, data: 0x1a } as const

/** Undefined: another kind of message, or one to be looked at by the generated code. */
export function readAppend(bytes: Buffer): Append | undefined {
  try {
    return new AppendReader(bytes).frame()
  } catch (err) {
    if (err === unfamiliar) return undefined
    throw err
  }
}

const unfamiliar = new Error('not an append as it is written here')

class AppendReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  frame(): Append {
    let from = ''
    let to = ''
    let term = 0
    let append: Omit<Append, 'kind' | 'from' | 'to' | 'term'> | undefined
    while (this.#at < this.#bytes.length) {
      const tag = this.#byte()
      if (tag === frameTag.from) from = this.#text()
      else if (tag === frameTag.to) to = this.#text()
      else if (tag === frameTag.term) term = this.#varint()
      else if (tag === frameTag.append && append === undefined) append = this.#append()
      else throw unfamiliar
    }
    if (append === undefined) throw unfamiliar
    return { kind: 'append', from, to, term, ...append }
  }

  #append(): Omit<Append, 'kind' | 'from' | 'to' | 'term'> {
    const end = this.#end()
    let prevIndex = 0
    let prevTerm = 0
    let commit = 0
    const entries: Entry[] = []
    while (this.#at < end) {
      const tag = this.#byte()
      if (tag === appendTag.entry) entries.push(this.#entry(end))
      else if (tag === appendTag.prevIndex) prevIndex = this.#varint()
      else if (tag === appendTag.prevTerm) prevTerm = this.#varint()
      else if (tag === appendTag.commit) commit = this.#varint()
      else throw unfamiliar
    }
    if (this.#at !== end) throw unfamiliar
    return { prevIndex, prevTerm, commit, entries }
  }

  #entry(within: number): Entry {
    const end = this.#end()
    if (end > within) throw unfamiliar
    let term = 0
    let index = 0
    let data: Uint8Array = noData
    while (this.#at < end) {
      const tag = this.#byte()
      if (tag === entryTag.data) data = this.#copy()
      else if (tag === entryTag.term) term = this.#varint()
      else if (tag === entryTag.index) index = this.#varint()
      else throw unfamiliar
    }
    if (this.#at !== end) throw unfamiliar
    return { kind: 'data', term, index, data }
  }

  /** A copy: a view would keep the whole received frame in memory for as long as the entry lives. */
  #copy(): Uint8Array {
    const end = this.#end()
    const data = new Uint8Array(this.#bytes.subarray(this.#at, end))
    this.#at = end
    return data
  }

  #text(): string {
    const end = this.#end()
    const text = this.#bytes.toString('utf8', this.#at, end)
    this.#at = end
    return text
  }

  /** Reads a length; where what has it ends. */
  #end(): number {
    const end = this.#varint() + this.#at
    if (end > this.#bytes.length) throw unfamiliar
    return end
  }

  #varint(): number {
    let value = 0
    let scale = 1
    while (true) {
      const byte = this.#byte()
      value += (byte & 127) * scale
      if (value > Number.MAX_SAFE_INTEGER) throw unfamiliar
      if (byte < 128) return value
      scale *= 128
    }
  }

  #byte(): number {
    const byte = this.#bytes[this.#at]
    if (byte === undefined) throw unfamiliar
    this.#at += 1
    return byte
  }
}

const noData = new Uint8Array(0)
