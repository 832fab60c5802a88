// Takes back what a container held: at its end everything but its files, at its removal all of it. Every step is tried
// even when an earlier one failed, and may be repeated.
import { rm, unlink } from 'node:fs/promises'
import { SwarmError } from '../../../proto/errors.ts'
import { reachFaultPoint } from '../../fault-points.ts'
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
  await allOf('release', container.id, [
    ['record', () => container.save('disk')],
    // Not before the record holds what it says.
    ['exit-file', () => unlink(paths.exitPath).catch(ignoreAbsent)],
    ['network', () => detach(tools, container)],
    ['runtime', () => tools.runtime.delete(container)],
    // Secrets among them: nobody reads them any more.
    ['files', () => rm(paths.filesDir, { recursive: true, force: true })],
    // Where the runtime has lost its own notes.
    ['cgroups', () => removeEmptyCgroups(tools.cgroups, paths.cgroupPath)],
    ['volumes', () => tools.volumes.release(volumesOf(container.record))],
  ])
}

/** Kills what is left of it and removes every trace. Errors: INTERNAL. */
export async function destroyContainer(tools: CleanupTools, container: Container): Promise<void> {
  const { paths, record } = container
  // Its end, which is noticed elsewhere, would be written into a folder that is being removed.
  await container.forget()
  if (record.process !== undefined) signalProcess(record.process, sigkill)
  const anonymous = record.anonymousVolumes.map(
    (name): Step => ['anonymous-volume', () => tools.volumes.remove(name)],
  )
  await allOf('destroy', container.id, [
    ['runtime', () => tools.runtime.delete(container)],
    ['network', () => detach(tools, container)],
    ['folders', () => removeFolders(tools, paths)],
    ['exit-file', () => rm(paths.exitPath, { force: true })],
    ['cgroups', () => removeEmptyCgroups(tools.cgroups, paths.cgroupPath)],
    ['volumes', () => tools.volumes.release(volumesOf({ ...record, anonymousVolumes: [] }))],
    ...anonymous,
  ])
}

async function removeFolders(
  { helper }: CleanupTools,
  { diskDir, bundleDir, runtimeDir }: Container['paths'],
): Promise<void> {
  const argv = ['rm', '-rf', '--one-file-system', '--', diskDir, bundleDir, runtimeDir]
  const result = await helper.spawn(argv, { timeoutMs: removeTimeoutMs })
  if (result.code !== 0) throw new Error(result.stderr.trim())
}

function detach({ network }: CleanupTools, container: Container): Promise<void> {
  return container.record.config.network.kind === 'attached'
    ? network.detach(container.id)
    : Promise.resolve()
}

type Step = readonly [name: string, run: () => Promise<void>]

const words = { release: 'release', destroy: 'removal' } as const

async function allOf(kind: keyof typeof words, id: string, steps: readonly Step[]): Promise<void> {
  const failures: unknown[] = []
  for (const [name, run] of steps) {
    try {
      await run()
    } catch (err) {
      failures.push(err)
    }
    reachFaultPoint(`${kind}.${name}`)
  }
  const [first] = failures
  if (first === undefined) return
  const reason = first instanceof Error ? first.message : String(first)
  const what = `${words[kind]} of container ${id}`
  throw new SwarmError('INTERNAL', `${what} is incomplete and will be tried again: ${reason}`, {
    cause: new AggregateError(failures),
  })
}

function ignoreAbsent(err: unknown): void {
  if (!(err instanceof Error && 'code' in err && err.code === 'ENOENT')) throw err
}
