// A shell command on a real pseudo terminal, made by util-linux' script: keys go in, what the terminal shows comes out.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, readlinkSync } from 'node:fs'
import { runCommand } from '../../proto/lib/command.ts'
import { untilSeen } from './until.ts'

export class Pty {
  /** What it has shown so far. */
  shown = ''
  readonly #child: ChildProcessWithoutNullStreams

  /** `argv` before it: how to get to where it is to run. */
  constructor(command: string, argv: readonly string[] = [], env: NodeJS.ProcessEnv = process.env) {
    const words = [...argv, 'script', '-qefc', command, '/dev/null']
    const [file = '', ...args] = words
    this.#child = spawn(file, args, { stdio: 'pipe', env: { ...env, SHELL: '/bin/sh' } })
    this.#child.stdin.on('error', () => {})
    const take = (chunk: Buffer): void => {
      this.shown += chunk.toString()
    }
    this.#child.stdout.on('data', take)
    this.#child.stderr.on('data', take)
  }

  type(keys: string): void {
    this.#child.stdin.write(keys)
  }

  /** Waits for it, and forgets what was shown up to it. */
  async shows(text: string | RegExp): Promise<string> {
    const found = await untilSeen(`the terminal shows ${text}`, async () => {
      const match = typeof text === 'string' ? undefined : text.exec(this.shown)
      const at = typeof text === 'string' ? this.shown.indexOf(text) : (match?.index ?? -1)
      const length = typeof text === 'string' ? text.length : (match?.[0].length ?? 0)
      return at < 0 ? undefined : { at, length }
    }).catch((cause: unknown) => {
      throw new Error(`the terminal shows ${JSON.stringify(this.shown)}`, { cause })
    })
    const seen = this.shown.slice(found.at, found.at + found.length)
    this.shown = this.shown.slice(found.at + found.length)
    return seen
  }

  /** As a window that changes. */
  async resize(rows: number, columns: number): Promise<void> {
    await this.#stty('rows', String(rows), 'cols', String(columns))
  }

  /** As `stty -a` tells them. */
  settings(): Promise<string> {
    return this.#stty('-a')
  }

  /** Exit code of the command. */
  async ended(): Promise<number> {
    if (this.#child.exitCode !== null) return this.#child.exitCode
    const [code] = await once(this.#child, 'exit')
    return Number(code)
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  async #stty(...words: readonly string[]): Promise<string> {
    return (await runCommand(['stty', '-F', this.#terminal(), ...words])).stdout
  }

  /** That of the first process below script. */
  #terminal(): string {
    const path = terminalBelow(this.#child.pid ?? 0)
    if (path === undefined) throw new Error('the command has no terminal yet, or has ended')
    return path
  }
}

function terminalBelow(pid: number): string | undefined {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')
  for (const child of children.filter((one) => one !== '')) {
    const link = readlinkSync(`/proc/${child}/fd/0`)
    if (/^\/dev\/pts\/\d+$/.test(link)) return `/proc/${child}/fd/0`
    const below = terminalBelow(Number(child))
    if (below !== undefined) return below
  }
  return undefined
}
