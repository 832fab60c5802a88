// Files out of a container and into it, as tar archives. The walk never leaves the container's own file system, whatever its
// programs do to it meanwhile (proto/lib/rooted-files.ts).
import { lstat, mkdir } from 'node:fs/promises'
import { SwarmError } from '../../proto/errors.ts'
import type { CopyOpen } from '../../proto/gen/tsswarm/v1/streams.ts'
import { packTree, unpackTree } from '../../proto/lib/file-tree.ts'
import { LeftOut } from '../../proto/lib/left-out.ts'
import {
  errorCode,
  type HeldFolder,
  type HeldPlace,
  RootedError,
} from '../../proto/lib/rooted-files.ts'
import { TarError } from '../../proto/lib/tar-stream.ts'
import type { ContainerPlace, ContainerStreams } from './container-streams.ts'
import type { StreamIo } from './stream-io.ts'

type PathKind = 'file' | 'directory' | 'symlink' | 'other' | 'absent'

const dataBytes = 64 * 1024

export async function serveCopy(
  containers: Pick<ContainerStreams, 'place'>,
  { id, copy }: { readonly id: string; readonly copy: CopyOpen },
  io: StreamIo,
): Promise<void> {
  const leftOut = new LeftOut()
  try {
    // Into: what a link at its end points to is meant.
    const place = await containers.place(id, copy.path, copy.into || copy.followLink)
    try {
      if (copy.into) await copyIn(place, copy, leftOut, io)
      else await copyOut(place, copy, leftOut, io)
    } finally {
      await place.folder.close()
    }
  } catch (err) {
    throw worded(err, copy)
  }
  const warning = leftOut.text()
  if (warning !== '') await io.send({ $case: 'errorData', value: Buffer.from(warning) })
  await io.send({ $case: 'ended', value: { exitCode: 0, err: '', code: '' } })
}

async function copyOut(place: ContainerPlace, copy: CopyOpen, leftOut: LeftOut, io: StreamIo) {
  const pathKind = await kindOf(place)
  if (pathKind === 'absent')
    throw new RootedError('absent', `no such file or directory: ${copy.path}`)
  if (pathKind === 'other')
    throw new RootedError(
      'invalid',
      `${copy.path} is a device, pipe or socket: those are not copied`,
    )
  await io.send(opened(pathKind))
  // "folder/." is what is in it.
  const name = /(^|\/)\.\/*$/.test(copy.path) ? '' : lastName(copy.path)
  const ownerOf = place.owners?.inside
  const options = { name, onLeftOut: leftOut.note, ...(ownerOf && { ownerOf }) }
  const folder = pathKind === 'directory' ? await folderAt(place) : undefined
  try {
    const pieces = packTree(folder === undefined ? place : { folder, name: '' }, options)
    for await (const value of gathered(pieces)) await io.send({ $case: 'data', value })
  } finally {
    if (folder !== place.folder) await folder?.close()
  }
}

async function copyIn(place: ContainerPlace, copy: CopyOpen, leftOut: LeftOut, io: StreamIo) {
  const kind = await kindOf(place)
  const { rename } = copy
  const isNew = kind === 'absent' && rename === '.'
  if (isNew) await mkdir(place.folder.path(place.name))
  const isFolder = kind === 'directory' || isNew
  if (!isFolder && (rename === '' || rename === '.' || copy.path.endsWith('/'))) {
    throw new RootedError('invalid', `there is no directory ${copy.path} in the container`)
  }
  await io.send(opened(kind === 'absent' ? '' : kind))
  const folder = isFolder ? await folderAt(place) : place.folder
  const options = {
    owner: copy.keepOwners ? undefined : { uid: 0, gid: 0 },
    ...(isFolder ? {} : { rename: { from: rename, to: place.name } }),
    onLeftOut: leftOut.note,
    ...(place.owners && { ownerOf: place.owners.onHost }),
  }
  try {
    if (isNew && place.owners) await folder.change(place.owners.onHost({ uid: 0, gid: 0 }))
    await unpackTree(folder, dataOf(io), options)
  } finally {
    if (folder !== place.folder) await folder.close()
  }
}

async function folderAt({ folder, name }: HeldPlace): Promise<HeldFolder> {
  return name === '' ? folder : await folder.folder(name)
}

async function kindOf({ folder, name }: HeldPlace): Promise<PathKind> {
  try {
    const stat = await lstat(folder.path(name === '' ? '.' : name))
    if (stat.isDirectory()) return 'directory'
    if (stat.isSymbolicLink()) return 'symlink'
    return stat.isFile() ? 'file' : 'other'
  } catch (err) {
    if (errorCode(err) === 'ENOENT') return 'absent'
    throw err
  }
}

function opened(pathKind: string) {
  const names = { taskId: '', taskName: '', nodeHostname: '' }
  return { $case: 'opened', value: { ...names, tty: false, hasInput: false, pathKind } } as const
}

function lastName(path: string): string {
  const name = path.split('/').findLast((part) => part !== '' && part !== '.') ?? ''
  return name === '..' ? '' : name
}

/** Up to the end of the data. Errors: CANCELLED when the other end goes before. */
async function* dataOf(io: StreamIo): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const { kind } of io.frames) {
    if (kind?.$case === 'data') yield kind.value
    if (kind?.$case === 'dataEnd') return
  }
  throw new SwarmError('CANCELLED', 'the archive was not sent whole')
}

/** In pieces that are worth a message. */
async function* gathered(
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<Buffer, void, undefined> {
  let waiting: Uint8Array[] = []
  let bytes = 0
  for await (const piece of pieces) {
    waiting.push(piece)
    bytes += piece.length
    if (bytes < dataBytes) continue
    yield Buffer.concat(waiting)
    waiting = []
    bytes = 0
  }
  if (bytes > 0) yield Buffer.concat(waiting)
}

const reasons: Readonly<Record<string, string>> = {
  EROFS: 'its file system is read-only',
  ENOSPC: 'there is no space left',
  EOVERFLOW:
    'it is a tmpfs of a container with users of its own (usernsRemap), where programs inside alone can make files: ' +
    'pipe an archive into "exec --interactive TASK tar -x -C FOLDER"',
}

function worded(err: unknown, { path, into }: CopyOpen): unknown {
  if (err instanceof SwarmError) return err
  if (err instanceof RootedError) {
    const code = err.reason === 'absent' ? 'NOT_FOUND' : 'INVALID_ARGUMENT'
    return new SwarmError(code, err.message, { cause: err })
  }
  if (err instanceof TarError) {
    return new SwarmError('INVALID_ARGUMENT', `the archive cannot be read: ${err.message}`, {
      cause: err,
    })
  }
  const code = errorCode(err)
  if (code === '') return err
  const doing = into ? `cannot copy to ${path}` : `cannot copy from ${path}`
  const why = reasons[code] ?? code
  return new SwarmError('FAILED_PRECONDITION', `${doing} in the container: ${why}`, { cause: err })
}
