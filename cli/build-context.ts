// What a build is made of, as it goes to the daemon: the Dockerfile's text, and an archive of the folder.
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { SwarmError } from '../proto/errors.ts'
import { packTree } from '../proto/lib/file-tree.ts'
import { HeldFolder } from '../proto/lib/rooted-files.ts'
import { type TarEntry, writeTar } from '../proto/lib/tar.ts'
import { fileError } from './common.ts'
import type { CommandContext } from './context.ts'
import { usage } from './parse-args.ts'

const dockerfileBytesMax = 1024 * 1024
/** The most a message may carry. */
const chunkBytes = 256 * 1024
/** Where a tar says that it is one. */
const tarMagicAt = 257
const compressions = ['1f8b', 'fd377a585a00', '28b52ffd', '425a68']

/** Empty: the daemon finds it in the context. Errors: USAGE, INVALID_ARGUMENT. */
export async function dockerfileOf(
  ctx: CommandContext,
  path: string,
  file: string | undefined,
): Promise<string> {
  if (path === '-') {
    if (file !== undefined) throw usage('--file cannot be used with a context from stdin')
    return ''
  }
  if (file === '-') return await dockerfileFromStdin(ctx)
  await refuseNoFolder(path)
  const place = file ?? join(path, 'Dockerfile')
  const bytes = await readFile(place).catch((err: unknown) => {
    throw fileError(`cannot read the Dockerfile ${place}`, err)
  })
  if (bytes.length === 0) throw invalid(`the Dockerfile (${place}) cannot be empty`)
  if (bytes.length > dockerfileBytesMax) throw invalid(`the Dockerfile (${place}) is over 1 MiB`)
  return bytes.toString('utf8')
}

async function dockerfileFromStdin({ stdin }: CommandContext): Promise<string> {
  if (stdin.isTerminal) throw usage('requested the Dockerfile from stdin, but stdin is a terminal')
  const pieces: Uint8Array[] = []
  let bytes = 0
  for await (const piece of stdin) {
    bytes += piece.length
    if (bytes > dockerfileBytesMax) throw invalid('the Dockerfile from stdin is over 1 MiB')
    pieces.push(piece)
  }
  if (bytes === 0) throw invalid('the Dockerfile from stdin cannot be empty')
  return Buffer.concat(pieces).toString('utf8')
}

/** Errors: INVALID_ARGUMENT. */
async function refuseNoFolder(path: string): Promise<void> {
  if (/^(https?|git|ssh):\/\/|^git@/.test(path)) {
    throw invalid(`${path} is no folder of this host: clone or download it first`)
  }
  const found = await stat(path).catch((err: unknown) => {
    throw fileError(`unable to prepare context: path ${path}`, err)
  })
  if (!found.isDirectory()) throw invalid(`unable to prepare context: ${path} is no folder`)
}

function invalid(text: string): SwarmError {
  return new SwarmError('INVALID_ARGUMENT', text)
}

/** The archive in pieces. Errors: USAGE, INVALID_ARGUMENT. */
export async function* buildContext(
  ctx: CommandContext,
  path: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const whole = path === '-' ? fromStdin(ctx) : fromFolder(ctx, path)
  for await (const bytes of whole) {
    for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes)
  }
}

async function* fromFolder(
  { stderr }: CommandContext,
  path: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  await refuseNoFolder(path)
  const folder = await HeldFolder.open(path)
  try {
    const onLeftOut = (name: string): void => {
      stderr.write(`Warning: ${name} is left out: it is neither file, folder nor link\n`)
    }
    yield* packTree({ folder, name: '' }, { name: '', onLeftOut })
  } finally {
    await folder.close()
  }
}

/** An archive as it is, or a Dockerfile in one. */
async function* fromStdin({ stdin }: CommandContext): AsyncGenerator<Uint8Array, void, undefined> {
  if (stdin.isTerminal) throw usage('requested a build from stdin, but stdin is a terminal')
  const head: Uint8Array[] = []
  let isArchive = false
  for await (const chunk of stdin) {
    if (isArchive) {
      yield chunk
      continue
    }
    head.push(chunk)
    const start = Buffer.concat(head)
    if (start.length > dockerfileBytesMax) throw invalid('the Dockerfile from stdin is over 1 MiB')
    isArchive = looksPacked(start)
    if (isArchive) yield start
  }
  if (isArchive) return
  const data = Buffer.concat(head)
  if (data.length === 0) throw invalid('the Dockerfile from stdin cannot be empty')
  const entry: TarEntry = { kind: 'file', path: 'Dockerfile', data }
  yield writeTar([entry])
}

function looksPacked(start: Buffer): boolean {
  const hex = start.subarray(0, 8).toString('hex')
  return (
    compressions.some((magic) => hex.startsWith(magic)) ||
    start.subarray(tarMagicAt, tarMagicAt + 5).toString('latin1') === 'ustar'
  )
}
