// The settings in force of a running daemon: those that SIGHUP changed and all others. Who reads a setting when it acts
// asks here; who read it when the daemon was started keeps it.
import type { DaemonConfig } from './config.ts'

export class LiveSettings {
  readonly #listeners = new Set<() => void>()
  #config: DaemonConfig

  constructor(config: DaemonConfig) {
    this.#config = config
  }

  current(): DaemonConfig {
    return this.#config
  }

  replace(config: DaemonConfig): void {
    this.#config = config
    for (const listener of [...this.#listeners]) listener()
  }

  /** Calls the listener after each change; the result ends that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
