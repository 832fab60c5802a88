// Whether the disk of the daemon's folder is large enough, quick enough and of a kind that overlays can lie on.
import { advised, type CheckResult, failed, passed } from './check-result.ts'
import type { DiskFacts, DiskTrial } from './disk-trial.ts'

const gib = 1024 ** 3
const freeBytesMin = 2 * gib
const freeShareMin = 0.05
/** A write is acknowledged after a flush of a majority of managers. */
const flushMsMax = 25

const kinds: Readonly<Record<number, string>> = {
  61267: 'ext4',
  1481003842: 'xfs',
  2435016766: 'btrfs',
  16914836: 'tmpfs',
  2035054128: 'overlay',
  801189825: 'zfs',
  26985: 'nfs',
  4076150800: 'f2fs',
  16914839: '9p',
}

/** Three findings of one trial. `folder`: the daemon's state folder. */
export async function checkDisk(trial: DiskTrial, folder: string): Promise<readonly CheckResult[]> {
  let facts: DiskFacts
  try {
    facts = await trial(folder)
  } catch (err) {
    const why = err instanceof Error ? err.message : String(err)
    const remedy = isFull(err)
      ? 'make room there, or name a folder of a larger disk: --state-dir'
      : `make ${folder} a folder of root on a disk that can be written, or name another: --state-dir`
    return [failed({ name: 'disk', found: `cannot be written: ${why}`, remedy, packages: [] })]
  }
  return [space(facts), layers(facts), flush(facts)]
}

/** Room, files or the quota of a user are used up. */
function isFull(err: unknown): boolean {
  const code = err instanceof Error && 'code' in err ? err.code : undefined
  return code === 'ENOSPC' || code === 'EDQUOT'
}

function space(facts: DiskFacts): CheckResult {
  const name = 'disk'
  const free = `${(facts.freeBytes / gib).toFixed(1)} of ${(facts.sizeBytes / gib).toFixed(1)} GiB free in ${facts.folder}`
  const remedy = 'make room, or name a folder of a larger disk: --state-dir'
  if (facts.freeBytes < freeBytesMin || facts.freeBytes < facts.sizeBytes * freeShareMin) {
    return advised({ name, found: `only ${free}`, remedy, packages: [] })
  }
  // Some file systems have no fixed number and say 0.
  if (facts.files > 0 && facts.freeFiles < facts.files * freeShareMin) {
    const found = `${free}, but only ${facts.freeFiles} of ${facts.files} files can still be made`
    return advised({ name, found, remedy, packages: [] })
  }
  return passed(name, free)
}

function layers(facts: DiskFacts): CheckResult {
  const name = 'layers of images'
  const kind = kinds[facts.fileSystem] ?? `type 0x${facts.fileSystem.toString(16)}`
  if (facts.overlayError === '') return passed(name, `can lie in ${facts.folder} (${kind})`)
  return failed({
    name,
    found: `${facts.folder} (${kind}) takes no overlays: ${facts.overlayError}`,
    remedy:
      'name a folder on ext4, xfs (with ftype=1) or btrfs: --state-dir; an overlay or network file system will not do',
    packages: [],
  })
}

function flush(facts: DiskFacts): CheckResult {
  const name = 'flushes'
  const ms = `${facts.flushMs.toFixed(1)} ms`
  if (facts.flushMs <= flushMsMax) return passed(name, `${ms} (fdatasync of 4 KiB)`)
  return advised({
    name,
    found: `${ms} (fdatasync of 4 KiB): each write of the cluster waits for one`,
    remedy: 'give managers a quicker disk, or one that nothing else keeps busy: --state-dir',
    packages: [],
  })
}
