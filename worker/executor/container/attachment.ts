// A client at the standard streams of a container's first process. Outputs come from its log, so that no client can hold up the
// container; input goes through conmon's attach socket, which is of a kind that Node cannot open: socat carries it.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readlink } from 'node:fs/promises'
import { Writable } from 'node:stream'
import { SwarmError } from '../../../proto/errors.ts'
import type { TerminalSize } from '../../../proto/gen/tsswarm/v1/streams.ts'
import { type Clock, wait } from '../../../proto/lib/clock.ts'
import { childController } from '../../../proto/lib/lifecycle.ts'
import { atUsualPriority } from '../../../proto/lib/priority.ts'
import type { AttachedContainer, ExecEnd } from '../../streams/container-streams.ts'
import type { SpawnHelper } from '../spawn/spawn-helper.ts'
import type { Container } from './container.ts'
import { followOutput } from './log-follower.ts'
import { signalProcess } from './processes.ts'
import { parseSignal } from './signals.ts'

const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const sizeMax = 65_535
/** conmon takes packets of up to 32 KiB and cuts off longer ones. */
const packetBytes = '8192'
/** How long a container may take for what was sent to it last. */
const leaveMs = 1_000
/** How long socat stays after the end of what it carries. */
const lingerSeconds = '0.05'
/** What the node keeps unless told otherwise is more than one. */
const severalFiles = 2
/** Exit code of a container whose end nobody saw. */
const unseen = 255

export interface AttachWish {
  /** Where it may be written to. */
  readonly wantsInput: boolean
  readonly size: TerminalSize | undefined
}

export interface AttachTools {
  readonly helper: SpawnHelper
  readonly clock: Clock
}

/** Errors: FAILED_PRECONDITION (it keeps no log), HOST_UNFIT when its input cannot be carried. */
export async function attachTo(
  container: Container,
  { wantsInput, size }: AttachWish,
  tools: AttachTools,
): Promise<AttachedContainer> {
  const { clock } = tools
  const { config } = container.record
  if (config.log?.kind === 'none') {
    const text = `container ${config.name} keeps no log (--log-driver none), and what it writes is read from there: it cannot be attached to`
    throw new SwarmError('FAILED_PRECONDITION', text)
  }
  const tty = config.tty ?? false
  const hasInput = config.openStdin ?? false
  const { controller, release } = childController()
  const source = {
    path: container.paths.logPath,
    hasEnded: () => container.record.exit !== undefined,
    ended: container.ended,
    clock,
    keepsOlder: (config.log?.filesMax ?? severalFiles) > 1,
  }
  let attached: Attachment | undefined
  try {
    const output = await followOutput(source, controller.signal)
    const isCarried = hasInput && wantsInput
    const carrier = isCarried ? await startCarrier(container.paths.bundleDir) : undefined
    const life = { stopped: controller, release }
    attached = new Attachment(container, carrier, { ...tools, life })
    if (tty && size !== undefined) await attached.redraw(size)
    return Object.assign(attached, { tty, hasInput, output })
  } catch (err) {
    controller.abort()
    release()
    await attached?.hangUp()
    throw err
  }
}

interface Life {
  readonly stopped: AbortController
  readonly release: () => void
}

class Attachment implements Omit<AttachedContainer, 'tty' | 'hasInput' | 'output'> {
  readonly input: Writable
  readonly ended: Promise<ExecEnd>
  readonly #container: Container
  readonly #carrier: ChildProcess | undefined
  readonly #carrierEnded: Promise<unknown>
  readonly #life: Life
  readonly #tools: AttachTools

  constructor(
    container: Container,
    carrier: ChildProcess | undefined,
    { life, ...tools }: AttachTools & { readonly life: Life },
  ) {
    this.#container = container
    this.#tools = tools
    this.#carrier = carrier
    this.#life = life
    this.input = carrier?.stdin ?? nowhere()
    this.#carrierEnded = carrier === undefined ? Promise.resolve() : endOf(carrier)
    this.ended = container.exit(life.stopped.signal).then(({ exitCode, error }) => ({
      exitCode: exitCode < 0 ? unseen : exitCode,
      err: error ?? '',
    }))
    this.ended.catch(() => {})
  }

  /**
   * On the terminal itself. conmon has a word for it too, but of two words that come soon after each other it loses the
   * second one.
   */
  async resize({ rows, columns }: TerminalSize): Promise<void> {
    const terminal = await terminalOf(this.#container.process.pid)
    if (terminal === undefined) return
    const size = ['rows', bounded(rows), 'cols', bounded(columns)]
    await this.#tools.helper.spawn(['stty', '-F', terminal, ...size])
  }

  /** A program draws itself anew when its terminal changes, so it is made to change. */
  async redraw({ rows, columns }: TerminalSize): Promise<void> {
    await this.resize({ rows: rows + 1, columns })
    await this.resize({ rows, columns })
  }

  signal(name: string): void {
    signalProcess(this.#container.process, parseSignal(name))
  }

  async leave(): Promise<void> {
    this.input.end()
    await Promise.race([this.#carrierEnded, wait(this.#tools.clock, leaveMs)])
    await this.hangUp()
  }

  /** The container goes on. */
  async hangUp(): Promise<void> {
    this.#life.stopped.abort()
    this.#life.release()
    this.input.destroy()
    this.#carrier?.kill('SIGKILL')
    await this.#carrierEnded
  }
}

/** Undefined when the process has none at its standard streams. */
async function terminalOf(pid: number): Promise<string | undefined> {
  for (const path of ['0', '1', '2'].map((number) => `/proc/${pid}/fd/${number}`)) {
    if (/^\/dev\/pts\/\d+$/.test(await readlink(path).catch(() => ''))) return path
  }
  return undefined
}

function bounded(number: number): string {
  return String(Math.min(Math.max(Math.trunc(number), 0), sizeMax))
}

/**
 * From its standard input to the socket, packet by packet. What conmon sends there as well it reads and forgets: conmon waits for a
 * client that does not read, and the container with it.
 */
async function startCarrier(bundleDir: string): Promise<ChildProcess> {
  const argv = ['-b', packetBytes, '-t', lingerSeconds, 'STDIO', 'UNIX-CONNECT:attach,type=5']
  const child = atUsualPriority(() =>
    spawn('socat', argv, {
      // A path in a socket's name has at most 107 bytes.
      cwd: bundleDir,
      env: { PATH: systemPath },
      stdio: ['pipe', 'ignore', 'ignore'],
    }),
  )
  // Ended: then it is no longer writable.
  child.stdin.on('error', () => {})
  try {
    await once(child, 'spawn')
  } catch (cause) {
    const text =
      'the node of the task has no socat, which carries what is typed: apt-get install socat'
    throw new SwarmError('HOST_UNFIT', text, { cause })
  }
  return child
}

async function endOf(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  await once(child, 'exit')
}

/** Input that the container does not take. */
function nowhere(): Writable {
  return new Writable({
    write: (_chunk, _encoding, done) => {
      const text = 'nothing can be typed into this container'
      done(new SwarmError('FAILED_PRECONDITION', text))
    },
  }).on('error', () => {})
}
