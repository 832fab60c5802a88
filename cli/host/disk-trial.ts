// How a disk is tried: a folder is made where the daemon's would be, a small file flushed a few times, an overlay mounted on
// it, and all of it is taken away again.
import { existsSync } from 'node:fs'
import { mkdtemp, open, rm, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { performance } from 'node:perf_hooks'
import type { RunCommand } from '../../proto/lib/command.ts'

export interface DiskFacts {
  /** Where it was tried: the folder, or the nearest above that exists. */
  readonly folder: string
  /** As statfs(2) numbers them. */
  readonly fileSystem: number
  readonly freeBytes: number
  readonly sizeBytes: number
  readonly freeFiles: number
  readonly files: number
  /** The middle one of some flushes of 4 KiB. */
  readonly flushMs: number
  /** What mount said; empty when an overlay can be written there. */
  readonly overlayError: string
}

export type DiskTrial = (folder: string) => Promise<DiskFacts>

const flushes = 9

/** Tries the disk of a folder that need not exist. Errors: those of the file system. */
export function diskTrial(run: RunCommand): DiskTrial {
  return async (wanted) => {
    const folder = nearestFolder(wanted)
    const trial = await mkdtemp(join(folder, '.tsswarm-doctor-'))
    try {
      const facts = await statfs(trial)
      const flushMs = await timeFlush(join(trial, 'flush'))
      const overlayError = await tryOverlay(run, trial)
      return {
        folder,
        fileSystem: facts.type,
        freeBytes: facts.bavail * facts.bsize,
        sizeBytes: facts.blocks * facts.bsize,
        freeFiles: facts.ffree,
        files: facts.files,
        flushMs,
        overlayError,
      }
    } finally {
      await rm(trial, { recursive: true, force: true })
    }
  }
}

/** The folder, or the nearest above it that exists. */
export function nearestFolder(folder: string): string {
  return existsSync(folder) || folder === '/' ? folder : nearestFolder(dirname(folder))
}

async function timeFlush(file: string): Promise<number> {
  const handle = await open(file, 'w')
  try {
    const block = Buffer.alloc(4096, 1)
    const times: number[] = []
    for (let at = 0; at < flushes; at += 1) {
      const began = performance.now()
      await handle.write(block, 0, block.length, at * block.length)
      await handle.datasync()
      times.push(performance.now() - began)
    }
    return times.sort((a, b) => a - b)[Math.floor(flushes / 2)] ?? 0
  } finally {
    await handle.close()
  }
}

const overlayScript = `cd "$1" && mkdir lower upper work top &&
mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay top && : >top/file`

async function tryOverlay(run: RunCommand, trial: string): Promise<string> {
  const unshare = ['unshare', '--mount', '--propagation', 'private', '--']
  const { code, stderr } = await run([...unshare, 'sh', '-c', overlayScript, 'sh', trial])
  return code === 0 ? '' : stderr.trim().split('\n')[0] || 'it failed without a word'
}
