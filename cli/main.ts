// The one program, `tsswarm`: joins run-cli to the real world. Everything else is loaded when it is needed.
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { systemClock } from '../proto/lib/clock.ts'
import { childController } from '../proto/lib/lifecycle.ts'
import { systemRandom } from '../proto/lib/random.ts'
import type { Output, TerminalControl } from './context.ts'
import { runCli } from './run-cli.ts'

function output(stream: NodeJS.WriteStream): Output {
  return {
    write: (text) => {
      stream.write(text)
    },
    isTerminal: stream.isTTY === true,
    drained: async () => {
      if (stream.writableNeedDrain) await once(stream, 'drain')
    },
    get columns() {
      // A terminal that does not know its width says 0.
      return stream.columns || 80
    },
  }
}

/** Passed on beside those that interrupt; a terminal that goes away is an end and no signal. */
const othersPassed = ['SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const

interface Interrupts extends Pick<TerminalControl, 'onSignal'> {
  readonly signal: AbortSignal
  /** Gives the signals back their usual effect. */
  readonly release: () => void
}

function interruptSignal(): Interrupts {
  const { controller } = childController()
  const listeners = new Set<(name: string) => void>()
  const stop = (name: string): void => {
    if (listeners.size > 0) {
      for (const listener of listeners) listener(name)
      return
    }
    // Twice means now.
    if (controller.signal.aborted) process.exit(130)
    controller.abort()
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  const release = (): void => {
    process.off('SIGINT', stop)
    process.off('SIGTERM', stop)
  }
  const onSignal: TerminalControl['onSignal'] = (listener) => {
    listeners.add(listener)
    for (const name of othersPassed) process.on(name, stop)
    return () => {
      listeners.delete(listener)
      if (listeners.size > 0) return
      for (const name of othersPassed) process.off(name, stop)
    }
  }
  return { signal: controller.signal, release, onSignal }
}

function terminalControl({ onSignal }: Interrupts): TerminalControl {
  const { stdin, stdout } = process
  return {
    size: () => (stdout.isTTY ? { rows: stdout.rows, columns: stdout.columns } : undefined),
    onResize: (listener) => {
      stdout.on('resize', listener)
      return () => stdout.off('resize', listener)
    },
    setRaw: (on) => {
      if (!stdin.isTTY) return
      stdin.setRawMode(on)
      // Node leaves it to the terminal to begin a line anew after each newline; what comes has said so itself, or does not want it.
      // Without stty, lines end with one carriage return too many.
      if (on) spawnSync('stty', ['-opost'], { stdio: ['inherit', 'ignore', 'ignore'] })
    },
    onSignal,
  }
}

/** A reader that went away, as in `tsswarm service logs web | head`, is no error; a full disk is. */
function endWithoutOutput(err: Error): never {
  if ('code' in err && err.code === 'EPIPE') process.exit(0)
  process.stderr.write(`Error: cannot write the output: ${err.message}\n`)
  process.exit(1)
}

async function main(): Promise<void> {
  process.stdout.on('error', endWithoutOutput)
  // Nobody is left to be told.
  process.stderr.on('error', () => {})
  const interrupts = interruptSignal()
  const { signal, release } = interrupts
  const shared = { clock: systemClock, random: systemRandom, signal }
  process.exitCode = await runCli(
    {
      ...shared,
      stdout: output(process.stdout),
      stderr: output(process.stderr),
      stdin: Object.assign(process.stdin, {
        isTerminal: process.stdin.isTTY === true,
        close: () => process.stdin.destroy(),
      }),
      terminal: terminalControl(interrupts),
      env: process.env,
      connect: async (socketPath) => {
        const { connectClient } = await import('./client.ts')
        return connectClient({ ...shared, socketPath })
      },
    },
    process.argv.slice(2),
  )
  release()
}

await main()
