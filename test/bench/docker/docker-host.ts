// One host of Docker's side: a containerd and a dockerd in a network namespace of their own, with a /run and a host name
// of their own as well, everything else below one directory. Not the swarm of them (docker-cluster.ts).
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { endProcess, runningPid, startDetached } from '../../../cli/lab/processes.ts'
import { inHost } from '../../../cli/lab/topology.ts'
import { SwarmError } from '../../../proto/errors.ts'
import { systemClock, wait } from '../../../proto/lib/clock.ts'
import { DockerApi } from './docker-api.ts'

export interface DockerHost {
  /** The lab its network namespace belongs to. */
  readonly lab: string
  readonly host: string
  readonly directory: string
  readonly cgroupParent: string
}

const readyMs = 60_000

/** The socket of its daemon. */
export function dockerSocket({ directory }: DockerHost): string {
  return join(directory, 'docker.sock')
}

/** Starts containerd, then dockerd; resolves when it answers. Errors: UNAVAILABLE with the end of its log. */
export async function startDockerHost(host: DockerHost): Promise<void> {
  mkdirSync(host.directory, { recursive: true, mode: 0o700 })
  const { config, socket } = containerdFiles(host)
  writeFileSync(config, containerdConfig(host))
  // Shims, locks and plugins of several hosts would meet in /run.
  const script = 'mount -t tmpfs tmpfs /run && hostname "$1" && shift && exec "$@"'
  const own = ['unshare', '--mount', '--uts', '--propagation', 'slave', 'sh', '-c', script, 'sh']
  const argv = inHost(host.lab, host.host, [...own, host.host, 'containerd', '--config', config])
  startDetached(argv, processFiles(host, 'containerd'), process.env)
  await untilUp(host, 'containerd', async () => existsSync(socket))
  await startDockerd(host)
}

/** Starts dockerd beside the containerd that runs. Errors: as startDockerHost. */
export async function startDockerd(host: DockerHost): Promise<void> {
  const { directory } = host
  const pid = runningPid(processFiles(host, 'containerd').pidFile)
  const config = join(directory, 'daemon.json')
  // Otherwise it is made in /etc/docker, for all of them.
  writeFileSync(config, JSON.stringify({ 'deprecated-key-path': join(directory, 'key.json') }))
  rmSync(dockerSocket(host), { force: true })
  const flags = [
    ['--config-file', config],
    ['--data-root', join(directory, 'data')],
    ['--exec-root', join(directory, 'exec')],
    ['--pidfile', join(directory, 'docker.pid')],
    ['--host', `unix://${dockerSocket(host)}`],
    ['--group', 'root'],
    ['--containerd', containerdFiles(host).socket],
    ['--exec-opt', 'native.cgroupdriver=cgroupfs'],
    ['--cgroup-parent', host.cgroupParent],
    ['--storage-driver', 'overlay2'],
  ].flat()
  const enter = [`--mount=/proc/${pid}/ns/mnt`, `--uts=/proc/${pid}/ns/uts`]
  const argv = inHost(host.lab, host.host, ['nsenter', ...enter, 'dockerd', ...flags])
  // There is no registry: without this each task first waits until its pull has failed.
  const env = { ...process.env, DOCKER_SERVICE_PREFER_OFFLINE_IMAGE: '1' }
  startDetached(argv, processFiles(host, 'dockerd'), env)
  const api = new DockerApi(dockerSocket(host))
  await untilUp(host, 'dockerd', () =>
    api.get('/_ping').then(
      () => true,
      () => false,
    ),
  ).finally(() => api.close())
}

/** kill -9 of dockerd; containerd and the containers go on. */
export function killDockerd(host: DockerHost): Promise<void> {
  return endProcess(processFiles(host, 'dockerd').pidFile, 'SIGKILL', systemClock)
}

/** To dockerd alone. No-op when it does not run. */
export function signalDockerd(host: DockerHost, name: 'SIGSTOP' | 'SIGCONT'): void {
  const pid = runningPid(processFiles(host, 'dockerd').pidFile)
  if (pid !== undefined) process.kill(pid, name)
}

type Program = 'containerd' | 'dockerd'

function processFiles({ directory }: DockerHost, program: Program) {
  return {
    pidFile: join(directory, `${program}.started`),
    logFile: join(directory, `${program}.log`),
  }
}

function containerdFiles({ directory }: DockerHost) {
  return { config: join(directory, 'containerd.toml'), socket: join(directory, 'containerd.sock') }
}

function containerdConfig(host: DockerHost): string {
  const { directory } = host
  return [
    'version = 2',
    `root = ${JSON.stringify(join(directory, 'containerd'))}`,
    `state = ${JSON.stringify(join(directory, 'containerd-state'))}`,
    'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
    '[grpc]',
    `address = ${JSON.stringify(containerdFiles(host).socket)}`,
    '',
  ].join('\n')
}

async function untilUp(
  host: DockerHost,
  program: Program,
  isUp: () => Promise<boolean>,
): Promise<void> {
  const { pidFile, logFile } = processFiles(host, program)
  const endsAtMs = systemClock.monotonicMs() + readyMs
  while (!(await isUp())) {
    const ended = runningPid(pidFile) === undefined
    if (ended || systemClock.monotonicMs() > endsAtMs) {
      const what = ended ? 'ended at its start' : `does not answer after ${readyMs / 1_000} s`
      // The log is removed with the rest.
      const last = readFileSync(logFile, 'utf8').trim().split('\n').at(-1)
      throw new SwarmError('UNAVAILABLE', `${program} of ${host.host} ${what}: ${last}`)
    }
    await wait(systemClock, 20)
  }
}
