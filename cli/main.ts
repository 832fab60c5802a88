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
      return stream.columns ?? 80
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

async function main(): Promise<void> {
  // A reader that went away, as in `tsswarm service logs web | head`, is no error.
  process.stdout.on('error', (err) => process.exit('code' in err && err.code === 'EPIPE' ? 0 : 1))
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
