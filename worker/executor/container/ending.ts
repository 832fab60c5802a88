// Ends a container for good: kill, and wait until its monitor has told of it.
import { SwarmError } from '../../../proto/errors.ts'
import type { Clock } from '../../../proto/lib/clock.ts'
import type { ExitStatus } from '../executor.ts'
import type { Container } from './container.ts'
import { isAlive, signalProcess } from './processes.ts'

const monitorWaitMs = 5_000
const killWaitMs = 30_000
const sigkill = 9

/** Settles at its end, or after that time. */
export async function exitWithin(container: Container, clock: Clock, ms: number): Promise<void> {
  const controller = new AbortController()
  const timer = clock.setTimer(ms, () => controller.abort())
  await container.exit(controller.signal).catch(() => {})
  timer.cancel()
}

/** Errors: DEADLINE_EXCEEDED when a process of it hangs. */
export async function killAndWait(container: Container, clock: Clock): Promise<ExitStatus> {
  if (container.record.exit === undefined) {
    signalProcess(container.process, sigkill)
    await exitWithin(container, clock, monitorWaitMs)
    await endStuckMonitor(container, clock)
  }
  const { exit } = container.record
  if (exit !== undefined) return exit
  throw new SwarmError(
    'DEADLINE_EXCEEDED',
    `container ${container.id} does not end although it was killed: a process of it hangs in the kernel`,
  )
}

/** One that says nothing of a process long dead stands still; the supervisor tells of its end then. */
async function endStuckMonitor(container: Container, clock: Clock): Promise<void> {
  const { exit, monitor } = container.record
  if (exit !== undefined) return
  if (monitor !== undefined && !isAlive(container.process)) signalProcess(monitor, sigkill)
  await exitWithin(container, clock, killWaitMs)
}
