// One durable append-only file, as little of a disk as the state database needs, so that a simulation can lend its own.
import { type FileHandle, mkdir, open, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { SwarmError } from '../proto/errors.ts'

export interface StateFile {
  /** All bytes; empty when there is no file. */
  read(): Promise<Uint8Array>
  /** On disk when it resolves. After a failure the end of the file is undefined until `replace`. */
  append(data: Uint8Array): Promise<void>
  /** The whole content, all or nothing; on disk when it resolves. */
  replace(data: Uint8Array): Promise<void>
  close(): Promise<void>
}

/** The file at that path; its directory is made when missing. Errors: RESOURCE_EXHAUSTED, INTERNAL. */
export function openStateFile(path: string): StateFile {
  let handle: FileHandle | undefined
  const appender = async (): Promise<FileHandle> => {
    handle ??= await open(path, 'a', 0o600)
    return handle
  }
  const close = async (): Promise<void> => {
    const open = handle
    handle = undefined
    await open?.close()
  }
  return {
    read: () => named(path, 'read', () => readOrEmpty(path)),
    append: (data) =>
      named(path, 'written', async () => {
        const file = await appender()
        await file.appendFile(data)
        await file.datasync()
      }),
    replace: (data) =>
      named(path, 'written', async () => {
        await close()
        await replaceFile(path, data)
      }),
    close,
  }
}

async function readOrEmpty(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path)
  } catch (err) {
    if (codeOf(err) === 'ENOENT') return new Uint8Array()
    throw err
  }
}

async function replaceFile(path: string, data: Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const next = `${path}.next`
  const file = await open(next, 'w', 0o600)
  try {
    await file.writeFile(data)
    await file.datasync()
  } finally {
    await file.close()
  }
  await rename(next, path)
  // The new name itself has to reach the disk too.
  const directory = await open(dirname(path), 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

async function named<T>(path: string, what: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (err) {
    const isFull = codeOf(err) === 'ENOSPC' || codeOf(err) === 'EDQUOT'
    const remedy = isFull ? 'the disk is full: make room' : 'check the disk and its permissions'
    throw new SwarmError(
      isFull ? 'RESOURCE_EXHAUSTED' : 'INTERNAL',
      `the agent's database ${path} cannot be ${what} (${codeOf(err)}): ${remedy}`,
      { cause: err },
    )
  }
}

function codeOf(err: unknown): string {
  if (err instanceof Error && 'code' in err && typeof err.code === 'string') return err.code
  return String(err)
}
