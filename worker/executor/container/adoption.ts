// After a restart of the daemon: what became of each container it left behind. The judgement is pure; around it is the
// reading of records.
import { readdir } from 'node:fs/promises'
import { isAlive, type ProcessIdentity } from './processes.ts'
import { type ContainerRecord, readRecord } from './record.ts'

export interface LeftBehind {
  readonly record: ContainerRecord | undefined
  /** Whether the kernel is the one it was made under. */
  readonly sameBoot: boolean
  /** Whether the runtime's notes and the bundle are there. */
  readonly hasBundle: boolean
  readonly hasExitFile: boolean
  readonly monitorAlive: boolean
}

export type Verdict =
  /** Lives on as if nothing had happened. */
  | { readonly kind: 'adopt' }
  /** Ended and known to have. */
  | { readonly kind: 'ended' }
  /** Ended while no daemon ran; conmon left the code. */
  | { readonly kind: 'exit file' }
  /** Ended, or must be ended, without a code. */
  | { readonly kind: 'lost'; readonly error: string }
  /** Never completed: to be removed. */
  | { readonly kind: 'discard' }

export function judge(left: LeftBehind): Verdict {
  const { record } = left
  if (record === undefined || record.phase === 'creating') return { kind: 'discard' }
  if (record.exit !== undefined) return { kind: 'ended' }
  if (!left.sameBoot) return { kind: 'lost', error: 'the host was restarted' }
  if (left.hasExitFile) return { kind: 'exit file' }
  if (!left.hasBundle) {
    return { kind: 'lost', error: 'the run-time folder of the daemon was removed under it' }
  }
  if (!left.monitorAlive) {
    return { kind: 'lost', error: 'its monitor (conmon) died while no daemon ran' }
  }
  // Should its process be gone, conmon is about to say so.
  return { kind: 'adopt' }
}

/** Ids of all that left files in either folder, oldest name first. */
export async function leftBehindIds(...dirs: readonly string[]): Promise<readonly string[]> {
  const names = await Promise.all(dirs.map((dir) => readdir(dir)))
  return [...new Set(names.flat())].toSorted()
}

export interface RecordPaths {
  readonly recordPath: string
  readonly diskRecordPath: string
}

/** The fuller record if there is one. */
export async function findRecord(
  paths: RecordPaths,
): Promise<{ readonly record: ContainerRecord | undefined; readonly hasBundle: boolean }> {
  const record = await readRecord(paths.recordPath)
  if (record !== undefined) return { record, hasBundle: true }
  return { record: await readRecord(paths.diskRecordPath), hasBundle: false }
}

export function alive(identity: ProcessIdentity | undefined): boolean {
  return identity !== undefined && isAlive(identity)
}
