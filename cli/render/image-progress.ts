// Progress of pulling and loading images: bars that are redrawn on a terminal, one line a step elsewhere.
import type { ImageInfo, ImageProgress } from '../../proto/gen/tsswarm/v1/daemon.ts'
import type { Output } from '../context.ts'
import { decimalSize } from './human.ts'

const barWidth = 40
const barWidthMin = 6
/** So many lines are drawn again and again; of more the first stay as they are once they are finished, or they would leave the terminal. */
const drawnMax = 8
const finished = new Set(['done', 'pushed'])

/** Shows the steps and returns the images that messages carried, in their order. */
export async function followImageProgress(
  output: Output,
  progress: AsyncIterable<ImageProgress>,
  quiet: boolean,
): Promise<readonly ImageInfo[]> {
  const display = new StepDisplay(output)
  const images: ImageInfo[] = []
  try {
    for await (const step of progress) {
      if (step.image !== undefined) images.push(step.image)
      if (!quiet && step.step !== '') display.show(step)
    }
  } finally {
    display.finish()
  }
  return images
}

class StepDisplay {
  readonly #output: Output
  readonly #lines = new Map<string, string>()
  readonly #steps = new Map<string, string>()
  /** What stands above, and is drawn no more. */
  readonly #left = new Set<string>()
  /** Whole, as they are copied from there. */
  readonly #results: string[] = []

  constructor(output: Output) {
    this.#output = output
  }

  show(step: ImageProgress): void {
    if (this.#output.isTerminal && isResult(step)) this.#results.push(`${heading(step)}\n`)
    else if (this.#output.isTerminal) this.#redraw(step)
    else if (this.#steps.get(step.subject) !== step.step) this.#output.write(`${heading(step)}\n`)
    this.#steps.set(step.subject, step.step)
  }

  finish(): void {
    this.#output.write(this.#results.join(''))
  }

  #redraw(step: ImageProgress): void {
    if (this.#left.has(step.subject)) return
    const most = Math.max(this.#output.columns - 1, 20)
    const up = this.#lines.size === 0 ? '' : `\x1b[${this.#lines.size}A`
    this.#lines.set(step.subject, lineOf(step, most))
    const body = [...this.#lines.values()].map((line) => `\r\x1b[2K${line.slice(0, most)}\n`)
    this.#output.write(up + body.join(''))
    for (const subject of this.#lines.keys()) {
      const isFinished = finished.has(
        subject === step.subject ? step.step : (this.#steps.get(subject) ?? ''),
      )
      if (this.#lines.size <= drawnMax || !isFinished) return
      this.#lines.delete(subject)
      this.#left.add(subject)
    }
  }
}

/** Layers go by the beginning of their digest. */
function heading(step: ImageProgress): string {
  const subject = step.subject.replace(/^sha256:([0-9a-f]{12})[0-9a-f]*$/, '$1')
  return subject === '' ? step.step : `${subject}: ${step.step}`
}

/** What a push tells last of each tag. */
function isResult({ step }: ImageProgress): boolean {
  return step.startsWith('digest: ')
}

/** In `most` columns; what is too long loses its bar, then the end of its heading, and its figures last. */
function lineOf(step: ImageProgress, most: number): string {
  if (step.totalBytes === 0) {
    const done = step.doneBytes > 0 ? ` ${decimalSize(step.doneBytes)}` : ''
    return `${heading(step)}${done}`
  }
  const share = Math.min(step.doneBytes / step.totalBytes, 1)
  const figures = `${decimalSize(step.doneBytes)}/${decimalSize(step.totalBytes)}`
  const head = heading(step)
  // So that the bar does not change its length with most figures.
  const reserved = Math.max(figures.length, 2 * decimalSize(step.totalBytes).length + 3)
  // Brackets, the arrow and two blanks.
  const free = most - head.length - reserved - 5
  if (free < barWidthMin) {
    const room = Math.max(most - figures.length - 2, 1)
    return `${head.length > room ? `${head.slice(0, room)}…` : head} ${figures}`
  }
  const width = Math.min(barWidth, free)
  const filled = Math.round(share * width)
  return `${head} [${'='.repeat(filled)}>${' '.repeat(width - filled)}] ${figures}`
}
