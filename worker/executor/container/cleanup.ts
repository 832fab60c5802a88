// Takes back what a container held: at its end everything but its files, at its removal all of it. Every step is tried
// even when an earlier one failed, and may be repeated.
import { rm, unlink } from 'node:fs/promises'
import { SwarmError } from '../../../proto/errors.ts'
import type { VolumeStore } from '../../volume/volume-store.ts'
import type { NetworkAttacher } from '../network-attacher.ts'
import type { SpawnHelper } from '../spawn/spawn-helper.ts'
import { type CgroupVersion, removeEmptyCgroups } from './cgroups.ts'
import type { Container } from './container.ts'
import type { OciRuntime } from './oci-runtime.ts'
import { signalProcess } from './processes.ts'
import { volumesOf } from './volume-users.ts'

export interface CleanupTools {
  readonly runtime: OciRuntime
  readonly network: NetworkAttacher
  readonly volumes: VolumeStore
  readonly helper: SpawnHelper
  readonly cgroups: CgroupVersion
}

const removeTimeoutMs = 600_000
const sigkill = 9

/** After its end: network, runtime state and cgroups. Log and record stay. Errors: INTERNAL. */
export async function releaseContainer(tools: CleanupTools, container: Container): Promise<void> {
  const { paths } = container
  await allOf(`release of container ${container.id}`, [
    () => container.save('disk'),
    // Not before the record holds what it says.
    () => unlink(paths.exitPath).catch(ignoreAbsent),
    () => detach(tools, container),
    () => tools.runtime.delete(container.id),
    // Secrets among them: nobody reads them any more.
    () => rm(paths.filesDir, { recursive: true, force: true }),
    // Where the runtime has lost its own notes.
    () => removeEmptyCgroups(tools.cgroups, paths.cgroupPath),
    () => tools.volumes.release(volumesOf(container.record)),
  ])
}

/** Kills what is left of it and removes every trace. Errors: INTERNAL. */
export async function destroyContainer(tools: CleanupTools, container: Container): Promise<void> {
  const { paths, record } = container
  if (record.process !== undefined) signalProcess(record.process, sigkill)
  await allOf(`removal of container ${container.id}`, [
    () => tools.runtime.delete(container.id),
    () => detach(tools, container),
    async () => {
      const result = await tools.helper.spawn(
        ['rm', '-rf', '--one-file-system', '--', paths.diskDir, paths.bundleDir, paths.runtimeDir],
        { timeoutMs: removeTimeoutMs },
      )
      if (result.code !== 0) throw new Error(result.stderr.trim())
    },
    () => rm(paths.exitPath, { force: true }),
    () => removeEmptyCgroups(tools.cgroups, paths.cgroupPath),
    () => tools.volumes.release(volumesOf({ ...record, anonymousVolumes: [] })),
    ...record.anonymousVolumes.map((name) => () => tools.volumes.remove(name)),
  ])
}

function detach({ network }: CleanupTools, container: Container): Promise<void> {
  return container.record.config.network.kind === 'attached'
    ? network.detach(container.id)
    : Promise.resolve()
}

async function allOf(what: string, steps: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = []
  for (const step of steps) {
    try {
      await step()
    } catch (err) {
      failures.push(err)
    }
  }
  const [first] = failures
  if (first === undefined) return
  const reason = first instanceof Error ? first.message : String(first)
  throw new SwarmError('INTERNAL', `${what} is incomplete and will be tried again: ${reason}`, {
    cause: new AggregateError(failures),
  })
}

function ignoreAbsent(err: unknown): void {
  if (!(err instanceof Error && 'code' in err && err.code === 'ENOENT')) throw err
}
