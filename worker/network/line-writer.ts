// `ip -force -batch -` and `nft -i` as coprocesses of one namespace: changes in under a millisecond, errors by line.
import type { Clock } from '../../proto/lib/clock.ts'
import { type Answer, createCoprocess } from './coprocess.ts'

/** What was said about one line. */
export interface LineError {
  readonly line: string
  readonly text: string
}

export interface LineWriter {
  /** Runs the lines in order, going on after errors, and tells which failed. Errors: as Coprocess.request. */
  run(lines: readonly string[]): Promise<readonly LineError[]>
  close(): void
}

/** `program`: argv of `ip`, or of `bridge`, with its family options and with what enters the namespace. */
export function createIpBatch(program: readonly string[], clock: Clock): LineWriter {
  const ip = createCoprocess({
    argv: [...program, '-force', '-batch', '-'],
    clock,
    markLine: (mark) => mark,
    markPattern: (mark) =>
      new RegExp(`Object "${mark}" is unknown[^\\n]*\\nCommand failed -:(\\d+)\\n`),
  })
  return {
    run: async (lines) => attributeErrors(lines, await ip.request(lines)),
    close: ip.close,
  }
}

/** Blocks of text end with `Command failed -:N`; N counts lines since the program began, the mark follows ours. */
export function attributeErrors(lines: readonly string[], answer: Answer): readonly LineError[] {
  const first = Number(answer.mark[1]) - lines.length
  const errors: LineError[] = []
  let text: string[] = []
  for (const said of answer.said.split('\n')) {
    const failed = /^Command failed -:(\d+)$/.exec(said)
    if (failed === null) {
      text.push(said)
      continue
    }
    errors.push({ line: lines[Number(failed[1]) - first] ?? '', text: text.join('\n').trim() })
    text = []
  }
  return errors
}

/** Each line is one transaction. Sets and maps change through it; whole tables go through `nft -f`. */
export function createNftShell(prefix: readonly string[], clock: Clock): LineWriter {
  const nft = createCoprocess({
    argv: [...prefix, 'nft', '-i'],
    clock,
    markLine: (mark) => `list table inet ${mark}`,
    // The complaint: a line that says why, the command, and a line that points at the name.
    markPattern: (mark) => new RegExp(`[^\\n]*\\n[^\\n]*${mark}\\n[ ^~]*\\^[ ^~]*\\n`),
  })
  const runOne = async (line: string): Promise<readonly LineError[]> => {
    const { said } = await nft.request([line])
    return said.trim() === '' ? [] : [{ line, text: said.trim() }]
  }
  return {
    run: async (lines) => {
      const errors: LineError[] = []
      for (const line of lines) errors.push(...(await runOne(line)))
      return errors
    },
    close: nft.close,
  }
}
