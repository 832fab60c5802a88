// What an archive does not hold, for a warning that is bounded however much it was.

const namedMax = 20

export class LeftOut {
  #count = 0
  readonly #paths: string[] = []

  readonly note = (path: string): void => {
    this.#count += 1
    if (this.#paths.length < namedMax) this.#paths.push(path)
  }

  /** A line; empty when nothing was left out. */
  text(): string {
    if (this.#count === 0) return ''
    const more = this.#count > this.#paths.length ? ', …' : ''
    return `Warning: ${this.#count} devices, pipes or sockets were left out: ${this.#paths.join(', ')}${more}\n`
  }
}
