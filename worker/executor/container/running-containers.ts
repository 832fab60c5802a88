// What can be done in the containers that run on this host, for real.
import { readFile } from 'node:fs/promises'
import type {
  AttachOpen,
  ContainerProcess,
  ExecOpen,
} from '../../../proto/gen/tsswarm/v1/streams.ts'
import type { Clock } from '../../../proto/lib/clock.ts'
import { RootedError, readInRoot, walkInRoot } from '../../../proto/lib/rooted-files.ts'
import type { RuntimeName } from '../../../proto/spec/runtime-names.ts'
import type {
  AttachedContainer,
  AttachedProgram,
  ContainerPlace,
  ContainerStreams,
  ContainerUsage,
} from '../../streams/container-streams.ts'
import type { SpawnHelper } from '../spawn/spawn-helper.ts'
import { attachTo } from './attachment.ts'
import type { CgroupVersion } from './cgroups.ts'
import type { Container } from './container.ts'
import { startExec } from './exec-program.ts'
import { execProcess, type OciProcess } from './exec-spec.ts'
import { hostIds, type IdMapping, insideIds } from './id-mapping.ts'
import { startPiped } from './piped-program.ts'
import { containerProcesses } from './process-table.ts'
import { containerUsage } from './usage.ts'
import { type AccountFiles, type ResolvedUser, resolveUser } from './users.ts'

/** How long one direction of a connection may go on after the other one ended: as good as for ever. */
const halfOpenSeconds = '86400'

export interface RunningContainersOptions {
  /** Errors: NOT_FOUND, FAILED_PRECONDITION (it does not run). */
  readonly find: (id: string) => Promise<Container>
  readonly pathOf: (runtime: RuntimeName) => string
  readonly runtimeDir: string
  readonly helper: SpawnHelper
  readonly cgroups: CgroupVersion
  readonly clock: Clock
}

export class RunningContainers implements ContainerStreams {
  readonly #options: RunningContainersOptions
  #execs = 0

  constructor(options: RunningContainersOptions) {
    this.#options = options
  }

  async exec(id: string, request: ExecOpen): Promise<AttachedProgram> {
    const container = await this.#options.find(id)
    const { bundleDir } = container.paths
    const { process: base }: { readonly process: OciProcess } = JSON.parse(
      await readFile(`${bundleDir}/config.json`, 'utf8'),
    )
    const user = await this.#user(container, request.user)
    const { tty, size, detach } = request
    const process = execProcess(base, request, user)
    this.#execs += 1
    const dir = `${bundleDir}/exec-${this.#options.clock.wallMs()}-${this.#execs}`
    const { runtimeDir, helper, clock, pathOf } = this.#options
    const { runtime } = container
    const made = { containerId: id, runtime, runtimePath: pathOf(runtime) }
    const tools = { ...made, runtimeDir, helper, clock }
    const command = request.argv[0] ?? ''
    return await startExec({ ...tools, dir, process, command, tty, size, detach })
  }

  async attach(id: string, request: AttachOpen): Promise<AttachedContainer> {
    const container = await this.#options.find(id)
    const wish = { wantsInput: request.interactive, size: request.size }
    const { helper, clock } = this.#options
    return await attachTo(container, wish, { helper, clock })
  }

  async processes(id: string): Promise<readonly ContainerProcess[]> {
    const container = await this.#options.find(id)
    const accounts = await accountsOf(container)
    return await containerProcesses(this.#options.cgroups, container.paths.cgroupPath, {
      ...accounts,
      mapping: container.record.userns,
    })
  }

  async usage(id: string): Promise<ContainerUsage> {
    const container = await this.#options.find(id)
    const { network } = container.record.config
    return await containerUsage({
      version: this.#options.cgroups,
      cgroupPath: container.paths.cgroupPath,
      // The host's traffic is not the container's.
      networkPid: network.kind === 'host' ? undefined : container.process.pid,
    })
  }

  async place(id: string, path: string, followLast: boolean): Promise<ContainerPlace> {
    const container = await this.#options.find(id)
    const place = await walkInRoot(rootOf(container), path, followLast)
    const { userns } = container.record
    return userns === undefined ? place : { ...place, owners: ownersOf(userns) }
  }

  async forward(id: string, port: number): Promise<AttachedProgram> {
    const container = await this.#options.find(id)
    const { pid } = container.process
    const isHost = container.record.config.network.kind === 'host'
    const within = isHost ? [] : ['nsenter', `--net=/proc/${pid}/ns/net`]
    // By itself it keeps its output open when the container closes its side, and clients that wait for that wait for ever.
    const client = '-,shut-close'
    const connection = ['socat', '-t', halfOpenSeconds, client, `TCP:127.0.0.1:${port}`]
    return startPiped([...within, ...connection], (complaint) =>
      /failed to execute socat|No such file/.test(complaint)
        ? 'the node of the task has no socat, which forwards ports: apt-get install socat'
        : /refused/i.test(complaint)
          ? `nothing waits on port ${port} of the task: connection refused`
          : `port ${port} of the task cannot be reached: ${complaint}`,
    )
  }

  /** By the accounts as they are in the container now, as Docker does it. Errors: INVALID_ARGUMENT. */
  async #user(container: Container, user: string): Promise<ResolvedUser | undefined> {
    if (user === '') return undefined
    return resolveUser(await accountsOf(container), user, container.record.config.groups)
  }
}

function ownersOf(mapping: IdMapping): NonNullable<ContainerPlace['owners']> {
  return {
    inside: (host) => insideIds(mapping, host),
    onHost: (inside) => {
      const owner = hostIds(mapping, inside)
      if (owner !== undefined) return owner
      const whose = `user ${inside.uid} and group ${inside.gid}`
      throw new RootedError('invalid', `the container has no ${whose}: leave owners out`)
    },
  }
}

/** As the container sees it, with what is mounted in it. */
function rootOf(container: Container): string {
  return `/proc/${container.process.pid}/root`
}

async function accountsOf(container: Container): Promise<AccountFiles> {
  const root = rootOf(container)
  const [passwd, group] = await Promise.all([
    readInRoot(root, '/etc/passwd'),
    readInRoot(root, '/etc/group'),
  ])
  return { passwd, group }
}
