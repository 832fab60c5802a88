// The one program, `tsswarm`: joins run-cli to the real world. Everything else is loaded when it is needed.
import { systemClock } from '../proto/lib/clock.ts'
import { childController } from '../proto/lib/lifecycle.ts'
import { systemRandom } from '../proto/lib/random.ts'
import type { Output } from './context.ts'
import { runCli } from './run-cli.ts'

function output(stream: NodeJS.WriteStream): Output {
  return {
    write: (text) => {
      stream.write(text)
    },
    isTerminal: stream.isTTY === true,
    get columns() {
      // A terminal that does not know its width says 0.
      return stream.columns || 80
    },
  }
}

/** `release` gives the signals back their usual effect. */
function interruptSignal(): { readonly signal: AbortSignal; readonly release: () => void } {
  const { controller } = childController()
  const stop = (): void => {
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
  return { signal: controller.signal, release }
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
  const { signal, release } = interruptSignal()
  const shared = { clock: systemClock, random: systemRandom, signal }
  process.exitCode = await runCli(
    {
      ...shared,
      stdout: output(process.stdout),
      stderr: output(process.stderr),
      stdin: Object.assign(process.stdin, { isTerminal: process.stdin.isTTY === true }),
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
