// Writes POSIX tar archives in memory, deterministically: same entries, same bytes. Not for reading
// archives and not for names over 100 bytes or files over 8 GB.

export type TarEntry =
  | {
      readonly kind: 'file'
      readonly path: string
      readonly data: Uint8Array
      readonly mode?: number
      readonly uid?: number
      readonly gid?: number
    }
  | {
      readonly kind: 'directory'
      readonly path: string
      readonly mode?: number
      readonly uid?: number
      readonly gid?: number
    }
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string }
  | { readonly kind: 'hardlink'; readonly path: string; readonly target: string }

const blockBytes = 512
const typeFlags = { file: '0', hardlink: '1', symlink: '2', directory: '5' } as const

/**
 * An archive of the entries in their order, all stamped 1970. Throws RangeError for a name over 100
 * bytes.
 */
export function writeTar(entries: readonly TarEntry[]): Uint8Array {
  const parts: Uint8Array[] = []
  for (const entry of entries) {
    parts.push(header(entry))
    if (entry.kind !== 'file') continue
    parts.push(entry.data)
    parts.push(new Uint8Array(padding(entry.data.length)))
  }
  parts.push(new Uint8Array(2 * blockBytes))
  return Buffer.concat(parts)
}

function padding(length: number): number {
  return (blockBytes - (length % blockBytes)) % blockBytes
}

function header(entry: TarEntry): Uint8Array {
  const block = Buffer.alloc(blockBytes)
  const text = (value: string, offset: number, length: number): void => {
    if (Buffer.byteLength(value) > length) {
      throw new RangeError(`tar field of ${length} bytes cannot hold ${value}`)
    }
    block.write(value, offset)
  }
  const octal = (value: number, offset: number, length: number): void =>
    text(value.toString(8).padStart(length - 1, '0'), offset, length)
  const owned = entry.kind === 'file' || entry.kind === 'directory' ? entry : undefined
  text(entry.kind === 'directory' ? `${entry.path}/` : entry.path, 0, 100)
  octal(owned?.mode ?? (entry.kind === 'file' ? 0o644 : 0o755), 100, 8)
  octal(owned?.uid ?? 0, 108, 8)
  octal(owned?.gid ?? 0, 116, 8)
  octal(entry.kind === 'file' ? entry.data.length : 0, 124, 12)
  octal(0, 136, 12)
  block.fill(' ', 148, 156)
  text(typeFlags[entry.kind], 156, 1)
  if ('target' in entry) text(entry.target, 157, 100)
  text('ustar', 257, 6)
  text('00', 263, 2)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}
