// Asks the user for a line at the terminal: a name, or what must not be seen.
import { SwarmError } from '../proto/errors.ts'
import type { CommandContext } from './context.ts'

const ctrlC = 0x03
const ctrlD = 0x04
const backspaces = [0x08, 0x7f]
const lineEnds = [0x0a, 0x0d]

/** Lines as they are typed, one after another; nothing of them is shown where `hidden`. Errors: CANCELLED. */
export class LineAsker {
  readonly #ctx: CommandContext
  readonly #bytes: AsyncIterator<number>

  constructor(ctx: CommandContext) {
    this.#ctx = ctx
    this.#bytes = bytesOf(ctx.stdin)
  }

  async ask(prompt: string, hidden: boolean): Promise<string> {
    const { stderr, terminal } = this.#ctx
    stderr.write(prompt)
    if (hidden) terminal?.setRaw(true)
    try {
      return await this.#line()
    } finally {
      if (hidden) {
        terminal?.setRaw(false)
        stderr.write('\n')
      }
    }
  }

  close(): void {
    this.#ctx.stdin.close?.()
  }

  async #line(): Promise<string> {
    const typed: number[] = []
    while (true) {
      const { value: byte, done } = await this.#bytes.next()
      if (done === true || byte === ctrlC || byte === ctrlD) {
        throw new SwarmError('CANCELLED', 'the login was given up')
      }
      if (lineEnds.includes(byte)) return Buffer.from(typed).toString('utf8')
      if (backspaces.includes(byte)) typed.pop()
      else typed.push(byte)
    }
  }
}

async function* bytesOf(input: AsyncIterable<Uint8Array>): AsyncGenerator<number, void, undefined> {
  for await (const chunk of input) yield* chunk
}
