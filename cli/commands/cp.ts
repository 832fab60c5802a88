// tsswarm cp
import { lstat, mkdir, realpath, stat } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import { SwarmError } from '../../proto/errors.ts'
import type { CopyOpen } from '../../proto/gen/tsswarm/v1/streams.ts'
import { packTree, unpackTree } from '../../proto/lib/file-tree.ts'
import { LeftOut } from '../../proto/lib/left-out.ts'
import { errorCode, HeldFolder, RootedError } from '../../proto/lib/rooted-files.ts'
import { TarError } from '../../proto/lib/tar-stream.ts'
import { defineCommand } from '../command.ts'
import type { CommandContext } from '../context.ts'
import { bool } from '../flags.ts'
import { usage } from '../parse-args.ts'
import { decimalSize } from '../render/human.ts'
import { type ContainerStream, openStream, writeAll } from '../streams.ts'

interface Flags {
  readonly archive: boolean
  readonly 'follow-link': boolean
  readonly quiet: boolean
}

export const command = defineCommand({
  name: 'cp',
  summary: 'Copy files between a running task and this host',
  description:
    'TARGET is a service (a running task of it is taken), SERVICE.SLOT, or a task. "-" is a tar archive on stdin or stdout. As docker cp: into a directory that ' +
    'exists under the name of the source, else under the name of the destination; "DIR/." is what is in a directory. Owners are root in a task and who calls ' +
    'on this host; --archive and archives keep them. Devices, pipes and sockets are left out. Who copies what is an event of the cluster (`copy`).',
  args: {
    usage: 'TARGET:SRC_PATH DEST_PATH|-  or  SRC_PATH|- TARGET:DEST_PATH',
    min: 2,
    max: 2,
    completes: 'places',
  },
  flags: {
    archive: bool('Archive mode (copy all uid/gid information)', { short: 'a' }),
    'follow-link': bool('Always follow symbol link in SRC_PATH', { short: 'L' }),
    quiet: bool('Suppress progress output during copy', { short: 'q' }),
  },
  examples: [
    { what: 'A file out of a task', command: 'tsswarm cp web.1:/etc/nginx/nginx.conf .' },
    { what: 'A folder into it, owners kept', command: 'tsswarm cp -a ./html/. web.1:/srv/html' },
    { what: 'An archive', command: 'tsswarm cp db.1:/var/lib/data - > data.tar' },
  ],
  run: async (ctx, { flags, args: [from = '', to = ''] }) => {
    if (from === '' || to === '') throw usage('source and destination cannot be empty')
    const [source, target] = [inTask(from), inTask(to)]
    if (source !== undefined && target !== undefined) {
      throw usage('copying between tasks is not supported: copy to this host first')
    }
    if (source !== undefined) return await copyOut(ctx, source, to, flags)
    if (target !== undefined) return await copyIn(ctx, from, target, flags)
    throw usage('one of the paths must be in a task: write TARGET:PATH')
  },
})

interface TaskPath {
  readonly reference: string
  readonly path: string
}

/** Undefined for a path of this host, which may be written ./NAME when there is a colon in it. */
function inTask(text: string): TaskPath | undefined {
  const colon = text.indexOf(':')
  if (colon < 1 || text.startsWith('/') || text.startsWith('.')) return undefined
  const path = text.slice(colon + 1)
  return { reference: text.slice(0, colon), path: path === '' ? '/' : path }
}

const isContents = (path: string): boolean => /(^|\/)\.\/*$/.test(path)

async function opened(ctx: CommandContext, { reference }: TaskPath, value: CopyOpen) {
  const client = await ctx.connect()
  return await openStream(ctx, client, { reference, what: { $case: 'copy', value } }, ctx.signal)
}

async function copyOut(ctx: CommandContext, source: TaskPath, to: string, flags: Flags) {
  if (to === '-' && ctx.stdout.isTerminal) {
    throw usage('an archive is not written to a terminal: redirect the output')
  }
  const wish = { into: false, keepOwners: false, rename: '', followLink: flags['follow-link'] }
  const stream = await opened(ctx, source, { ...wish, path: source.path })
  const counted = new Counted(ctx, stream)
  if (to === '-') {
    for await (const piece of counted) await writeAll(ctx.stdout, piece)
    return 0
  }
  const owner = flags.archive ? undefined : ownIds()
  const place = await localPlace(to, source.path)
  const folder = await HeldFolder.open(place.folder)
  try {
    const rename = place.rename === undefined ? {} : { rename: place.rename }
    const leftOut = new LeftOut()
    await unpackTree(folder, counted, { owner, ...rename, onLeftOut: leftOut.note })
    ctx.stderr.write(leftOut.text())
    // What follows the archive: warnings, and how it ended.
    for await (const _ of counted);
  } catch (err) {
    throw worded(err)
  } finally {
    await folder.close()
  }
  if (!flags.quiet) ctx.stderr.write(`Successfully copied ${decimalSize(counted.bytes)} to ${to}\n`)
  return 0
}

/** The bytes of the archive that comes; what else comes goes to stderr. */
class Counted implements AsyncIterable<Uint8Array> {
  bytes = 0
  readonly #ctx: CommandContext
  readonly #frames: AsyncIterator<{ readonly $case: string; readonly value: unknown }>

  constructor(ctx: CommandContext, stream: ContainerStream) {
    this.#ctx = ctx
    this.#frames = stream.incoming[Symbol.asyncIterator]()
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return { next: () => this.#next() }
  }

  async #next(): Promise<IteratorResult<Uint8Array>> {
    for (
      let next = await this.#frames.next();
      next.done !== true;
      next = await this.#frames.next()
    ) {
      const { $case, value } = next.value
      if (!(value instanceof Uint8Array)) continue
      if ($case === 'errorData') this.#ctx.stderr.write(value)
      if ($case !== 'data') continue
      this.bytes += value.length
      return { done: false, value }
    }
    return { done: true, value: undefined }
  }
}

interface LocalPlace {
  readonly folder: string
  readonly rename?: { readonly from: string; readonly to: string }
}

/** Where on this host, and under which name. Errors: NOT_FOUND. */
async function localPlace(to: string, source: string): Promise<LocalPlace> {
  const path = resolve(to)
  const found = await stat(path).catch(() => undefined)
  if (found?.isDirectory()) return { folder: path }
  const parent = await stat(dirname(path)).catch(() => undefined)
  if (parent?.isDirectory() !== true || (to.endsWith('/') && !isContents(source))) {
    throw new SwarmError(
      'NOT_FOUND',
      `there is no directory ${to.endsWith('/') ? to : dirname(path)}`,
    )
  }
  if (isContents(source) && found === undefined) {
    await mkdir(path)
    return { folder: path }
  }
  const name = source.split('/').findLast((part) => part !== '' && part !== '.') ?? ''
  return { folder: dirname(path), rename: { from: name, to: basename(path) } }
}

async function copyIn(ctx: CommandContext, from: string, target: TaskPath, flags: Flags) {
  const isArchive = from === '-'
  if (isArchive && ctx.stdin.isTerminal) throw usage('no archive comes from a terminal')
  const local = isArchive ? undefined : await localSource(from, flags['follow-link'])
  const rename = local === undefined ? '' : local.name === '' ? '.' : local.name
  const keepOwners = flags.archive || isArchive
  const wish = { into: true, keepOwners, rename, followLink: false }
  const stream = await opened(ctx, target, { ...wish, path: target.path })
  let bytes = 0
  const leftOut = new LeftOut()
  const send = async (): Promise<void> => {
    const pieces = local === undefined ? ctx.stdin : local.pieces(leftOut)
    for await (const value of pieces) {
      bytes += value.length
      await stream.outgoing.send({ $case: 'data', value })
    }
    await stream.outgoing.send({ $case: 'dataEnd', value: true })
  }
  let failure: unknown
  send().catch((err: unknown) => {
    failure = err
    stream.outgoing.close()
  })
  try {
    for await (const kind of stream.incoming) {
      if (kind.$case === 'errorData') ctx.stderr.write(kind.value)
    }
  } catch (err) {
    throw worded(failure ?? err)
  } finally {
    if (isArchive) ctx.stdin.close?.()
  }
  ctx.stderr.write(leftOut.text())
  if (!flags.quiet && !isArchive) {
    ctx.stderr.write(
      `Successfully copied ${decimalSize(bytes)} to ${target.reference}:${target.path}\n`,
    )
  }
  return 0
}

interface LocalSource {
  /** In the archive; empty: what is in the folder. */
  readonly name: string
  pieces(leftOut: LeftOut): AsyncIterable<Uint8Array>
}

async function localSource(from: string, follows: boolean): Promise<LocalSource> {
  const given = resolve(from)
  const path = follows || isContents(from) ? await realpath(given).catch(() => given) : given
  // Also a link that points nowhere.
  const found = await lstat(path).catch(() => undefined)
  if (found === undefined) {
    throw new SwarmError('NOT_FOUND', `no such file or directory: ${from}`)
  }
  if (!found.isFile() && !found.isDirectory() && !found.isSymbolicLink()) {
    const text = `${from} is a device, pipe or socket: those are not copied`
    throw new SwarmError('INVALID_ARGUMENT', text)
  }
  const name = isContents(from) ? '' : basename(given)
  return {
    name,
    pieces: async function* (leftOut) {
      const folder = await HeldFolder.open(path === '/' ? path : name === '' ? path : dirname(path))
      try {
        const at = name === '' ? '' : basename(path)
        yield* packTree({ folder, name: at }, { name, onLeftOut: leftOut.note })
      } finally {
        await folder.close()
      }
    },
  }
}

function ownIds(): { readonly uid: number; readonly gid: number } {
  return { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
}

function worded(err: unknown): unknown {
  if (err instanceof SwarmError) return err
  if (err instanceof RootedError || err instanceof TarError) {
    return new SwarmError('INVALID_ARGUMENT', err.message, { cause: err })
  }
  const code = errorCode(err)
  return code === '' ? err : new SwarmError('FAILED_PRECONDITION', `cannot copy: ${String(err)}`)
}
