// Daemons of their own process with an executor each, started and killed by tests.
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { ContainerConfig } from '../../worker/executor/executor.ts'
import type { ExecutorHost } from './executor-host.ts'

const daemonMain = fileURLToPath(new URL('./executor-daemon.js', import.meta.url))

/** A daemon of its own process that has started the containers. */
export async function aDaemon(
  host: ExecutorHost,
  configs: readonly ContainerConfig[],
): Promise<ChildProcess> {
  const argv = [daemonMain, JSON.stringify(host.dirs), JSON.stringify(configs)]
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] })
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve())
    child.once('exit', (code) => reject(new Error(`the daemon ended with ${code}`)))
  })
  return child
}

export async function killDaemon(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
}
