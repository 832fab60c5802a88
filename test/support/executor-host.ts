// A host for tests of the executor: folders of its own, and a look at what is left in the end.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../../proto/lib/clock.ts'
import { silentLogger } from '../../proto/lib/log.ts'
import { systemRandom } from '../../proto/lib/random.ts'
import {
  type OpenExecutorOptions,
  type OpenedExecutor,
  openExecutor,
  purgeExecutor,
} from '../../worker/executor/container/open.ts'
import type { ExecutorDirs } from '../../worker/executor/container/paths.ts'
import type { ContainerConfig, Executor, LogOptions } from '../../worker/executor/executor.ts'
import { noNetworkAttacher } from '../../worker/executor/network-attacher.ts'
import type { Images } from '../../worker/image/images.ts'
import { eventually } from './netns.ts'

export interface ExecutorHost {
  readonly dirs: ExecutorDirs
  /** Scratch folder beside the host's own. */
  readonly scratchDir: string
  /** The host as a daemon finds it; closed at the end if the test did not. */
  open(over?: Partial<OpenExecutorOptions>): Promise<OpenedExecutor>
  /** What the host shows of its containers: mounts, cgroups, processes, files. All empty when nothing is left. */
  leftovers(): Promise<Leftovers>
  /** As a host is left for good. */
  purge(): Promise<void>
  /** Removes all containers, closes, removes the folders. */
  dispose(): Promise<void>
}

export interface Leftovers {
  readonly mounts: readonly string[]
  readonly cgroups: readonly string[]
  readonly processes: readonly string[]
  readonly files: readonly string[]
}

export const nothingLeft: Leftovers = { mounts: [], cgroups: [], processes: [], files: [] }

/** `runRoot`: where its run folder is made. */
export async function createExecutorHost({
  // On tmpfs, as /run is where systemd runs.
  runRoot = '/dev/shm',
} = {}): Promise<ExecutorHost> {
  const dir = await mkdtemp('/var/tmp/tsswarm-executor-')
  const runDir = await mkdtemp(`${runRoot}/tsswarm-executor-`)
  const name = dir.slice(dir.lastIndexOf('/') + 1).toLowerCase()
  const dirs = { stateDir: join(dir, 'state'), runDir, cgroupParent: `/${name}` }
  const options: OpenExecutorOptions = {
    dirs,
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
    network: noNetworkAttacher,
    insecureRegistries: [],
  }
  const opened: OpenedExecutor[] = []
  const open: ExecutorHost['open'] = async (over = {}) => {
    const host = await openExecutor({ ...options, ...over })
    opened.push(host)
    return host
  }
  return {
    dirs,
    scratchDir: dir,
    open,
    leftovers: () => leftovers(dirs),
    purge: () => purgeExecutor(options),
    dispose: async () => {
      for (const { executor } of opened) await executor.close()
      await purgeExecutor(options)
      await rm(dir, { recursive: true, force: true })
      await rm(runDir, { recursive: true, force: true })
    },
  }
}

/** Loads an archive as `image load` does. */
export async function loadImage(images: Images, archive: Uint8Array): Promise<void> {
  await images.load({
    write: (path) => writeFile(path, archive),
    signal: new AbortController().signal,
    progress: () => {},
  })
}

export const never: AbortSignal = new AbortController().signal

/** Creates, starts and awaits the end; the exit code and what it wrote. */
export async function runToEnd(
  executor: Executor,
  config: ContainerConfig,
): Promise<{ readonly exitCode: number; readonly oomKilled: boolean; readonly output: string }> {
  await executor.create(config, never)
  await executor.start(config.id, never)
  const { exitCode, oomKilled } = await executor.wait(config.id, never)
  return { exitCode, oomKilled, output: (await logLines(executor, config.id)).join('\n') }
}

export async function logLines(
  executor: Executor,
  id: string,
  options: LogOptions = {},
): Promise<readonly string[]> {
  const lines: string[] = []
  for await (const line of executor.logs(id, options, never)) {
    lines.push(Buffer.from(line.data).toString('utf8'))
  }
  return lines
}

/** Waits until the container has written a line with the text. */
export function hasLogged(executor: Executor, id: string, text: string): Promise<void> {
  return eventually(
    async () => (await logLines(executor, id)).some((line) => line.includes(text)),
    `${id} has written ${text}`,
  )
}

async function leftovers({ stateDir, runDir, cgroupParent }: ExecutorDirs): Promise<Leftovers> {
  const mountinfo = await readFile('/proc/self/mountinfo', 'utf8')
  const isOurs = (text: string): boolean => text.includes(stateDir) || text.includes(runDir)
  const folders = [
    `${stateDir}/containers`,
    `${runDir}/containers`,
    `${runDir}/exits`,
    `${runDir}/oci`,
  ]
  const files = await Promise.all(
    folders.map(async (one) =>
      (await readdir(one).catch(() => []))
        // Compiled seccomp profiles, kept for all containers (crun 1.14 and newer).
        .filter((name) => name !== '.cache')
        .map((name) => `${one}/${name}`),
    ),
  )
  return {
    mounts: mountinfo.split('\n').filter(isOurs),
    cgroups: await cgroupsBelow(cgroupParent),
    processes: await processesWith(isOurs),
    files: files.flat(),
  }
}

/** Groups of containers; those of the monitors and the parent itself stay while the daemon runs. */
async function cgroupsBelow(parent: string): Promise<readonly string[]> {
  const trees = await readdir('/sys/fs/cgroup', { withFileTypes: true })
  const found = await Promise.all(
    trees
      .filter((tree) => tree.isDirectory())
      .map(async (tree) => {
        const dir = `/sys/fs/cgroup/${tree.name}${parent}`
        const entries = await readdir(dir, { withFileTypes: true }).catch(() => [])
        return entries
          .filter((entry) => entry.isDirectory() && entry.name !== 'monitors')
          .map((entry) => `${dir}/${entry.name}`)
      }),
  )
  return found.flat()
}

async function processesWith(isOurs: (text: string) => boolean): Promise<readonly string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^[0-9]+$/.test(name))
  const lines = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
  )
  return lines.filter(isOurs).map((line) => line.replaceAll('\0', ' '))
}
