// Tar archives as streams, of any size: POSIX headers, with pax records for what they cannot hold; GNU's long names are read.
// Not for where the files are (file-tree.ts) and not for the small archives that are made in memory (tar.ts).

export type TarKind = 'file' | 'directory' | 'symlink' | 'hardlink' | 'other'

export interface TarHeader {
  /** As written; may hold anything. */
  readonly path: string
  readonly kind: TarKind
  /** Permission bits. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Of a file's data. */
  readonly sizeBytes: number
  readonly mtimeMs: number
  /** Of a link. */
  readonly target: string
}

export interface TarMember {
  readonly header: TarHeader
  /** To be read before the next member; what is left is skipped. */
  readonly data: AsyncIterable<Uint8Array>
}

/** What is read is no archive, or ends too soon. */
export class TarError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'TarError'
  }
}

const blockBytes = 512
const paxBytesMax = 1024 * 1024
const kinds: Readonly<Record<string, TarKind>> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '5': 'directory',
}
const flags = { file: '0', hardlink: '1', symlink: '2', directory: '5' } as const
const numberMax = 0o7777777

/** Members in their order. Errors: TarError; those of the chunks. */
export async function* readTar(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<TarMember, void, undefined> {
  const bytes = new ByteSource(chunks)
  let extra: Record<string, string> = {}
  while (true) {
    const block = await bytes.take(blockBytes)
    if (block === undefined) return
    // The end is two blocks of zeros; what follows is padding.
    if (block.every((byte) => byte === 0)) {
      await bytes.skipAll()
      return
    }
    const { flag, header } = parseHeader(block)
    if (flag === 'x' || flag === 'L' || flag === 'K' || flag === 'g') {
      const text = await bytes.text(header.sizeBytes)
      await bytes.skip(padding(header.sizeBytes))
      if (flag === 'x') extra = { ...extra, ...paxRecords(text) }
      if (flag === 'L') extra = { ...extra, path: untilZero(text) }
      if (flag === 'K') extra = { ...extra, linkpath: untilZero(text) }
      continue
    }
    const whole = withRecords(header, extra)
    extra = {}
    const data = new MemberData(bytes, whole.sizeBytes)
    yield { header: whole, data }
    await data.finish()
    await bytes.skip(padding(whole.sizeBytes))
  }
}

/** The header of a member; its data and `tarPadding` follow. */
export function tarHeader(
  header: TarHeader & { readonly kind: Exclude<TarKind, 'other'> },
): Uint8Array {
  const records: Record<string, string> = {}
  if (Buffer.byteLength(header.path) > 100) records['path'] = header.path
  if (Buffer.byteLength(header.target) > 100) records['linkpath'] = header.target
  if (header.sizeBytes >= 2 ** 33) records['size'] = String(header.sizeBytes)
  if (header.uid > numberMax) records['uid'] = String(header.uid)
  if (header.gid > numberMax) records['gid'] = String(header.gid)
  if (header.mtimeMs % 1_000 !== 0) records['mtime'] = (header.mtimeMs / 1_000).toFixed(3)
  const block = ustarBlock(header, flags[header.kind])
  if (Object.keys(records).length === 0) return block
  const text = Buffer.from(
    Object.entries(records)
      .map(([key, value]) => paxLine(key, value))
      .join(''),
  )
  const about = {
    ...header,
    path: 'pax',
    target: '',
    mode: 0o644,
    sizeBytes: text.length,
    mtimeMs: 0,
  }
  return Buffer.concat([ustarBlock(about, 'x'), text, tarPadding(text.length), block])
}

/** What follows the data of a member. */
export function tarPadding(sizeBytes: number): Uint8Array {
  return new Uint8Array(padding(sizeBytes))
}

export const tarEnd: Uint8Array = new Uint8Array(2 * blockBytes)

function padding(length: number): number {
  return (blockBytes - (length % blockBytes)) % blockBytes
}

function ustarBlock(header: TarHeader, flag: string): Uint8Array {
  const block = Buffer.alloc(blockBytes)
  const text = (value: string, at: number, length: number): void => {
    // Too long ones are whole in a record before this.
    Buffer.from(value).copy(block, at, 0, length)
  }
  const octal = (value: number, at: number, length: number): void => {
    const max = 8 ** (length - 1) - 1
    text(
      Math.min(Math.max(0, Math.trunc(value)), max)
        .toString(8)
        .padStart(length - 1, '0'),
      at,
      length,
    )
  }
  text(header.path, 0, 100)
  octal(header.mode & 0o7777, 100, 8)
  octal(header.uid, 108, 8)
  octal(header.gid, 116, 8)
  octal(header.sizeBytes, 124, 12)
  octal(header.mtimeMs / 1_000, 136, 12)
  block.fill(' ', 148, 156)
  text(flag, 156, 1)
  text(header.target, 157, 100)
  text('ustar', 257, 6)
  text('00', 263, 2)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}

/** `LENGTH KEY=VALUE\n`, where the length counts itself. */
function paxLine(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`)
  let length = rest + 1
  while (length !== rest + String(length).length) length = rest + String(length).length
  return `${length} ${key}=${value}\n`
}

function paxRecords(text: string): Record<string, string> {
  const records: Record<string, string> = {}
  let rest = Buffer.from(text)
  while (rest.length > 0) {
    const blank = rest.indexOf(0x20)
    const length = Number(rest.toString('utf8', 0, blank))
    if (blank < 1 || !(length > blank) || length > rest.length)
      throw new TarError('its pax header is damaged')
    const line = rest.toString('utf8', blank + 1, length - 1)
    const equals = line.indexOf('=')
    if (equals > 0) records[line.slice(0, equals)] = line.slice(equals + 1)
    rest = rest.subarray(length)
  }
  return records
}

function withRecords(header: TarHeader, records: Readonly<Record<string, string>>): TarHeader {
  const number = (key: string, other: number): number => {
    const value = records[key]
    return value === undefined ? other : Number(value)
  }
  const sizeBytes = number('size', header.sizeBytes)
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0)
    throw new TarError('a size in it is impossible')
  return {
    ...header,
    path: records['path'] ?? header.path,
    target: records['linkpath'] ?? header.target,
    uid: number('uid', header.uid),
    gid: number('gid', header.gid),
    mtimeMs: Math.round(number('mtime', header.mtimeMs / 1_000) * 1_000),
    // Links have none, whatever their header says.
    sizeBytes: header.kind === 'file' ? sizeBytes : 0,
  }
}

function parseHeader(block: Uint8Array): { readonly flag: string; readonly header: TarHeader } {
  const bytes = Buffer.from(block)
  const text = (at: number, length: number): string =>
    untilZero(bytes.toString('utf8', at, at + length))
  checkSum(bytes)
  const flag = String.fromCharCode(bytes[156] ?? 0)
  const prefix = text(257, 5) === 'ustar' && bytes[262] === 0 ? text(345, 155) : ''
  const name = text(0, 100)
  const path = prefix === '' ? name : `${prefix}/${name}`
  const kind = kinds[flag] ?? 'other'
  const header = {
    path,
    // Archives of old: a folder is a file whose name says so.
    kind: kind === 'file' && path.endsWith('/') ? ('directory' as const) : kind,
    mode: number(bytes, 100, 8) & 0o7777,
    uid: number(bytes, 108, 8),
    gid: number(bytes, 116, 8),
    sizeBytes: number(bytes, 124, 12),
    mtimeMs: number(bytes, 136, 12) * 1_000,
    target: text(157, 100),
  }
  return { flag, header }
}

function checkSum(bytes: Buffer): void {
  const stated = number(bytes, 148, 8)
  const sum = bytes.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 0x20 : byte), 0)
  if (stated !== sum) throw new TarError('it is no tar archive')
}

/** Octal digits, or, where they do not suffice, GNU's base 256. */
function number(bytes: Buffer, at: number, length: number): number {
  const first = bytes[at] ?? 0
  if ((first & 0x80) !== 0) {
    let value = first & 0x7f
    for (let i = 1; i < length; i += 1) value = value * 256 + (bytes[at + i] ?? 0)
    return value
  }
  const digits = /[0-7]+/.exec(bytes.toString('latin1', at, at + length))?.[0]
  return digits === undefined ? 0 : Number.parseInt(digits, 8)
}

function untilZero(text: string): string {
  const end = text.indexOf('\0')
  return end < 0 ? text : text.slice(0, end)
}

/** Chunks of any length as pieces of the lengths that are asked for. */
class ByteSource {
  readonly #chunks: AsyncIterator<Uint8Array>
  #rest: Uint8Array = new Uint8Array(0)

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]()
  }

  /** At most so many bytes, at least one. Errors: TarError at the end. */
  async some(max: number): Promise<Uint8Array> {
    while (this.#rest.length === 0) {
      const next = await this.#chunks.next()
      if (next.done === true) throw new TarError('it ends too soon')
      this.#rest = next.value
    }
    const piece = this.#rest.subarray(0, max)
    this.#rest = this.#rest.subarray(piece.length)
    return piece
  }

  /** Undefined right at the end. */
  async take(length: number): Promise<Uint8Array | undefined> {
    const pieces: Uint8Array[] = []
    let missing = length
    while (missing > 0) {
      if (missing === length && (await this.#isAtEnd())) return undefined
      const piece = await this.some(missing)
      pieces.push(piece)
      missing -= piece.length
    }
    return pieces.length === 1 ? pieces[0] : Buffer.concat(pieces)
  }

  async text(length: number): Promise<string> {
    if (length > paxBytesMax) throw new TarError('a name in it is too long')
    return Buffer.from((await this.take(length)) ?? []).toString('utf8')
  }

  async skip(length: number): Promise<void> {
    for (let missing = length; missing > 0; ) missing -= (await this.some(missing)).length
  }

  async skipAll(): Promise<void> {
    while (!(await this.#isAtEnd())) this.#rest = new Uint8Array(0)
  }

  async #isAtEnd(): Promise<boolean> {
    while (this.#rest.length === 0) {
      const next = await this.#chunks.next()
      if (next.done === true) return true
      this.#rest = next.value
    }
    return false
  }
}

class MemberData implements AsyncIterable<Uint8Array> {
  readonly #bytes: ByteSource
  #missing: number

  constructor(bytes: ByteSource, sizeBytes: number) {
    this.#bytes = bytes
    this.#missing = sizeBytes
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    while (this.#missing > 0) {
      const piece = await this.#bytes.some(this.#missing)
      this.#missing -= piece.length
      yield piece
    }
  }

  async finish(): Promise<void> {
    await this.#bytes.skip(this.#missing)
    this.#missing = 0
  }
}
