// One container in the memory of the daemon: its record, and who waits for its end. What is done to it is in
// container-executor.ts.
import { setMaxListeners } from 'node:events'
import { SwarmError } from '../../../proto/errors.ts'
import { invariant } from '../../../proto/lib/assert.ts'
import type { RuntimeName } from '../../../proto/spec/runtime-names.ts'
import { reachFaultPoint } from '../../fault-points.ts'
import type { ContainerInfo, ContainerState, ExitStatus } from '../executor.ts'
import type { ContainerPaths } from './paths.ts'
import type { ProcessIdentity } from './processes.ts'
import { type ContainerRecord, withoutSecrets, writeRecord, writeRecordInMemory } from './record.ts'

export class Container {
  readonly id: string
  readonly paths: ContainerPaths
  /** Settles once its creation has, with what came of it. */
  readonly created: Promise<ContainerInfo>
  /** What is done after its end: settles when nothing of it is left but files. */
  released: Promise<void> = Promise.resolve()
  /** Set once its start was asked for. */
  starting: Promise<void> | undefined
  /** Set while it is being removed. */
  removal: Promise<void> | undefined
  readonly #ended = new AbortController()
  #record: ContainerRecord
  #saving: Promise<void> = Promise.resolve()
  #isForgotten = false

  constructor(
    record: ContainerRecord,
    paths: ContainerPaths,
    create: (container: Container) => Promise<void>,
  ) {
    this.id = record.config.id
    this.paths = paths
    this.#record = record
    setMaxListeners(0, this.#ended.signal)
    if (record.exit !== undefined) this.#ended.abort()
    this.created = create(this).then(() => this.info())
    // Whoever asked for it sees the failure.
    this.created.catch(() => {})
  }

  get record(): ContainerRecord {
    return this.#record
  }

  /** What made it, and alone can do something with it. */
  get runtime(): RuntimeName {
    return this.#record.runtime ?? 'crun'
  }

  /** Aborted when the container has ended. */
  get ended(): AbortSignal {
    return this.#ended.signal
  }

  /** Errors: INTERNAL before its first process is there. */
  get process(): ProcessIdentity {
    const { process } = this.#record
    if (process !== undefined) return process
    throw new SwarmError('INTERNAL', `container ${this.id} has no process yet`)
  }

  update(change: Partial<ContainerRecord>): void {
    invariant(
      this.#record.exit === undefined || change.exit === undefined,
      'a container ends once',
      {
        id: this.id,
      },
    )
    if (change.exit !== undefined) reachFaultPoint('stop.ended')
    this.#record = { ...this.#record, ...change }
    if (change.exit !== undefined) this.#ended.abort()
  }

  /** Writes the record as it is then; one write after the other. `disk`: also where it outlives the host's restart. */
  save(where: 'memory' | 'disk'): Promise<void> {
    const write = async (): Promise<void> => {
      if (this.#isForgotten) return
      writeRecordInMemory(this.paths.recordPath, this.#record)
      reachFaultPoint(`record.${this.#record.phase}`)
      if (where === 'disk') {
        await writeRecord(this.paths.diskRecordPath, withoutSecrets(this.#record))
        reachFaultPoint(`record.${this.#record.phase}.disk`)
      }
    }
    const saved = this.#saving.then(write)
    this.#saving = saved.catch(() => {})
    return saved
  }

  /** Nothing is written of it from then on: its folders are about to go. */
  async forget(): Promise<void> {
    this.#isForgotten = true
    await this.#saving
  }

  info(): ContainerInfo {
    const { config, image, createdAtMs, attachment, imageHealth, imagePorts } = this.#record
    return {
      id: this.id,
      config,
      image,
      createdAtMs,
      state: this.#state(),
      ...(attachment === undefined ? {} : { attachment }),
      ...(imageHealth === undefined ? {} : { imageHealth }),
      ...(imagePorts === undefined ? {} : { imagePorts }),
    }
  }

  /** Errors: CANCELLED when the signal aborts first. */
  exit(signal: AbortSignal | undefined): Promise<ExitStatus> {
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        this.ended.removeEventListener('abort', finish)
        signal?.removeEventListener('abort', finish)
        const { exit } = this.#record
        if (exit !== undefined) resolve(exit)
        else reject(new SwarmError('CANCELLED', `no longer waiting for container ${this.id}`))
      }
      if (this.ended.aborted || signal?.aborted) return finish()
      this.ended.addEventListener('abort', finish)
      signal?.addEventListener('abort', finish)
    })
  }

  #state(): ContainerState {
    const { exit, startedAtMs, phase } = this.#record
    if (exit !== undefined) {
      return { kind: 'exited', exit, ...(startedAtMs === undefined ? {} : { startedAtMs }) }
    }
    const { pid } = this.process
    return phase === 'started'
      ? { kind: 'running', pid, startedAtMs: startedAtMs ?? 0 }
      : { kind: 'created', pid }
  }
}
